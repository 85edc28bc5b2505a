"""Remove the modality gap of CLIP-like embeddings, and search mixed corpora."""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from ._embeddings import EmbeddingArray
    from ._folder import read_folder
    from ._items import Query, explode_documents
    from ._search import make_search_pipeline, search
    from .calibration import ModalityGapRemover
    from .encoders import CLIPEncoder
    from .model_selection import FusionWeightSearchCV, QueryKFold, make_ranking_scorer
    from .retrieval import MixedModalityRetriever
    from .score_calibration import PosteriorOdds

__all__ = [
    "CLIPEncoder",
    "EmbeddingArray",
    "FusionWeightSearchCV",
    "MixedModalityRetriever",
    "ModalityGapRemover",
    "PosteriorOdds",
    "Query",
    "QueryKFold",
    "__version__",
    "explode_documents",
    "make_ranking_scorer",
    "make_search_pipeline",
    "read_folder",
    "search",
]

# Where the names live: imported when first used, so that importing the package takes no time.
_HOME = {
    "CLIPEncoder": "encoders",
    "EmbeddingArray": "_embeddings",
    "FusionWeightSearchCV": "model_selection",
    "MixedModalityRetriever": "retrieval",
    "ModalityGapRemover": "calibration",
    "PosteriorOdds": "score_calibration",
    "Query": "_items",
    "QueryKFold": "model_selection",
    "explode_documents": "_items",
    "make_ranking_scorer": "model_selection",
    "make_search_pipeline": "_search",
    "read_folder": "_folder",
    "search": "_search",
}
_ROOMS = {
    "calibration",
    "datasets",
    "encoders",
    "inspection",
    "metrics",
    "model_selection",
    "retrieval",
    "score_calibration",
}


def __getattr__(name):
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_HOME, *_ROOMS})

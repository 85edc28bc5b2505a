"""Remove the modality gap of CLIP-like embeddings, and search mixed corpora."""

from ._embeddings import EmbeddingArray
from ._folder import read_folder
from ._items import Query, explode_documents
from ._pipeline import search
from ._search_pipeline import make_search_pipeline
from ._version import __version__
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

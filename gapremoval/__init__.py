"""Remove the modality gap of CLIP-like embeddings, and search mixed corpora."""

from . import (
    calibration,
    contents,
    datasets,
    encoders,
    evaluation,
    inspection,
    metrics,
    model_selection,
    retrieval,
    score_calibration,
    stores,
)
from ._combined_queries import combine_queries
from ._embeddings import EmbeddingArray
from ._items import Joint, Query, Tagged
from ._search import add_documents, make_search_pipeline, remove_documents, search, teach
from ._version import __version__
from .calibration import (
    AnchorAndScale,
    ByModality,
    CovarianceAligner,
    GapShift,
    GapSubspaceEraser,
    ModalityGapRemover,
    OrthogonalAligner,
)
from .contents import add_texts
from .datasets import explode_documents, read_folder
from .encoders import CLIPEncoder, SentenceTransformerEncoder
from .model_selection import FusionWeightSearchCV, QueryKFold, make_ranking_scorer
from .retrieval import MixedModalityRetriever, StoreRetriever
from .score_calibration import PosteriorOdds

__all__ = [
    "AnchorAndScale",
    "ByModality",
    "CLIPEncoder",
    "CovarianceAligner",
    "EmbeddingArray",
    "FusionWeightSearchCV",
    "GapShift",
    "GapSubspaceEraser",
    "Joint",
    "MixedModalityRetriever",
    "ModalityGapRemover",
    "OrthogonalAligner",
    "PosteriorOdds",
    "Query",
    "QueryKFold",
    "SentenceTransformerEncoder",
    "StoreRetriever",
    "Tagged",
    "__version__",
    "add_documents",
    "add_texts",
    "calibration",
    "combine_queries",
    "contents",
    "datasets",
    "encoders",
    "evaluation",
    "explode_documents",
    "inspection",
    "make_ranking_scorer",
    "make_search_pipeline",
    "metrics",
    "model_selection",
    "read_folder",
    "remove_documents",
    "retrieval",
    "score_calibration",
    "search",
    "stores",
    "teach",
]

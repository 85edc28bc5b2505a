"""Remove the modality gap of CLIP-like embeddings, and search mixed corpora."""

from ._embeddings import EmbeddingArray
from ._items import Query, explode_documents
from ._version import __version__
from .calibration import ModalityGapRemover

__all__ = [
    "EmbeddingArray",
    "ModalityGapRemover",
    "Query",
    "__version__",
    "explode_documents",
]

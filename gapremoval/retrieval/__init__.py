"""Search over documents of several modalities."""

from ._export import ExportedVectors
from ._results import SearchResult
from ._retriever import MixedModalityRetriever
from ._store_retriever import StoreRetriever
from ._store_search import CertifiedResult

__all__ = [
    "CertifiedResult",
    "ExportedVectors",
    "MixedModalityRetriever",
    "SearchResult",
    "StoreRetriever",
]

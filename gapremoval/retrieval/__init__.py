"""Search over documents of several modalities."""

from ._results import SearchResult
from ._retriever import MixedModalityRetriever

__all__ = ["MixedModalityRetriever", "SearchResult"]

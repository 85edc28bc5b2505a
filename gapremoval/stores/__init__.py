"""Stores of vectors beyond this process, for `gapremoval.StoreRetriever`."""

from ._faiss import FaissStore
from ._protocol import Store, StoreHits, StoreRows, WritableStore

__all__ = ["FaissStore", "Store", "StoreHits", "StoreRows", "WritableStore"]

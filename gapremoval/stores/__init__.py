"""Stores of vectors beyond this process, for `gapremoval.StoreRetriever`."""

from ._faiss import FaissStore
from ._milvus import MilvusStore
from ._protocol import Store, StoreHits, StoreRows, WritableStore

__all__ = ["FaissStore", "MilvusStore", "Store", "StoreHits", "StoreRows", "WritableStore"]

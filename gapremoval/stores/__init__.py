"""Stores of vectors beyond this process, for `gapremoval.StoreRetriever`."""

from ._protocol import Store, StoreHits, StoreRows, WritableStore

__all__ = ["Store", "StoreHits", "StoreRows", "WritableStore"]

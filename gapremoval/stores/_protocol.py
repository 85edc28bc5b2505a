"""The store protocol: what a StoreRetriever asks of the store that holds its vectors."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


class StoreHits(NamedTuple):
    """What a store found for some queries, best first.

    Attributes
    ----------
    ids : ndarray of shape (n_queries, n_found)
        int64 or object. None where a query found fewer rows than others.
    products : ndarray of float64 of shape (n_queries, n_found)
        Inner products of the query with the stored rows, descending; -inf where there is no row.
    modalities : ndarray of str of shape (n_queries, n_found)
        The modality of each row; ``""`` where there is none.
    """

    ids: np.ndarray
    products: np.ndarray
    modalities: np.ndarray


class StoreRows(NamedTuple):
    """Some rows of a store.

    Attributes
    ----------
    ids : ndarray of shape (n_rows,)
        int64 or object.
    modalities : ndarray of str of shape (n_rows,)
    vectors : ndarray of float32 of shape (n_rows, n_features)
    metadata : list of dict of length n_rows, default=None
        The other fields of each row; None where the store keeps none.
    """

    ids: np.ndarray
    modalities: np.ndarray
    vectors: np.ndarray
    metadata: list | None = None


@runtime_checkable
class Store(Protocol):
    """What is asked of any store of rows: all that ``StoreRetriever(store, raw=True)`` needs.

    A row has an id, a modality and a vector. An object with these four methods is a store; it
    need not inherit from this class.
    """

    def count(self):
        """The number of rows of each modality: a dict of str to int."""

    def search(self, queries, k, *, modality=None, among=None, filter=None):
        """The rows with the largest inner products.

        Parameters
        ----------
        queries : ndarray of float32 of shape (n_queries, n_features)
        k : int
            Number of rows, at least 1. Fewer are found where fewer match.
        modality : collection of str, default=None
            Search only rows of these modalities.
        among : sequence of ids, default=None
            Search only these rows.
        filter : object, default=None
            A condition on the metadata in the store's own language.

        Returns
        -------
        StoreHits
        """

    def fetch(self, ids):
        """The rows with some ids, in their order: StoreRows. A missing id is a KeyError."""

    def sample(self, modality, n):
        """At most `n` rows of a modality, drawn as evenly as the store can: StoreRows."""


@runtime_checkable
class WritableStore(Store, Protocol):
    """What a StoreRetriever needs besides, where it fills the store itself."""

    def build(self, n_features, *, overwrite=False):
        """A context in which a new, empty store is filled, and takes the place of the old one.

        It yields a store that `upsert` and `write_settings` fill. When the context ends, the new
        store replaces the old one in one step; after an error or an interrupt the old one stays
        as it was. A store that holds rows is refused (ValueError) unless `overwrite` is True.
        """

    def upsert(self, rows):
        """Write StoreRows; rows whose id is there are replaced."""

    def delete(self, ids):
        """Delete the rows with some ids; ids that are not there are ignored."""

    def known(self, ids):
        """Which ids the store holds: ndarray of bool."""

    def rows(self, batch_size=8192):
        """Yield all rows in StoreRows of at most `batch_size`, each row once."""

    def write_settings(self, settings):
        """Keep bytes beside the rows, in place of those before."""

    def read_settings(self):
        """The bytes that `write_settings` kept; None if there are none."""

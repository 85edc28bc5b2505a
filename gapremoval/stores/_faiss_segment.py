"""The rows of one modality in a faiss index: appended, marked as dead, compacted."""

import numpy as np

from .._optional import import_optional

LIVE_SHARE = 0.75  # of the rows, below which a segment is compacted
ROWS_PER_LIST = 39  # below which faiss warns that the lists of an IVF index are trained badly
BLOCK = 8192  # rows that are read from the index at once


def import_faiss():
    return import_optional("faiss", extra="faiss", purpose="FaissStore")


def new_index(n_features, factory, search_params=None):
    """An empty index of complete vectors, by faiss's index factory.

    Raises
    ------
    ValueError
        If faiss cannot read `factory`, the index has no such search parameter, or is none of
        flat, HNSW and IVF over complete vectors.
    """
    faiss = import_faiss()
    try:
        index = faiss.index_factory(n_features, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ValueError(f"faiss cannot make an index from factory={factory!r}: {error}") from None
    check_kind(index, factory)
    set_search_params(index, search_params)
    return index


def check_kind(index, name):
    """Refuse an index that does not hold complete vectors or cannot skip deleted rows."""
    faiss = import_faiss()
    if type(index) not in (
        faiss.IndexFlat,
        faiss.IndexFlatIP,
        faiss.IndexHNSWFlat,
        faiss.IndexIVFFlat,
    ):
        raise ValueError(
            f"FaissStore cannot use {name!r} ({type(index).__name__}): it returns complete "
            "vectors and skips deleted rows, which 'Flat', 'HNSW32', 'IVF1024,Flat' and their "
            "like can do."
        )


def set_search_params(index, search_params):
    """Set parameters by their names in faiss, such as efSearch and nprobe."""
    space = import_faiss().ParameterSpace()
    for name, value in (search_params or {}).items():
        try:
            space.set_index_parameter(index, name, float(value))
        except (RuntimeError, TypeError, ValueError):
            raise ValueError(
                f"search_params={search_params!r}: {type(index).__name__} has no parameter "
                f"{name!r} that can be {value!r}. HNSW has 'efSearch', IVF 'nprobe', Flat none."
            ) from None


class Segment:
    """Rows of one modality.

    A row has a number for life, until the segment is compacted. A deleted row stays in the
    index, where a search skips it.

    Parameters
    ----------
    index : faiss.Index
    ids : ndarray of shape (n_rows,)
    live : ndarray of bool of shape (n_rows,)
        False for deleted rows.
    file : str, default=None
        Name of the file that holds the index as it is.

    Attributes
    ----------
    row_of : dict of id to int
        The live rows.
    """

    def __init__(self, index, ids, live, file=None):
        self.index, self.ids, self.live, self.file = index, ids, live, file
        rows = self.live_rows
        self.row_of = dict(zip(ids[rows].tolist(), rows.tolist()))

    @classmethod
    def made_of(cls, ids, vectors, factory):
        """A segment of some rows; flat until there are enough of them to train the index."""
        index = new_index(vectors.shape[1], factory)
        if not index.is_trained:
            if len(vectors) < ROWS_PER_LIST * index.nlist:
                index = import_faiss().IndexFlatIP(vectors.shape[1])
            else:
                index.train(vectors)
                index.make_direct_map()  # to read rows by their number
        index.add(vectors)
        return cls(index, ids, np.ones(len(ids), bool))

    @property
    def live_rows(self):
        return np.flatnonzero(self.live)

    def rows_of(self, ids):
        """The rows of those ids that are there, ascending."""
        return np.array(sorted({self.row_of[i] for i in ids if i in self.row_of}), np.int64)

    def vectors(self, rows):
        return self.index.reconstruct_batch(np.asarray(rows, np.int64))

    def append(self, ids, vectors):
        self.index.add(vectors)
        self.row_of.update(zip(ids.tolist(), range(len(self.ids), len(self.ids) + len(ids))))
        self.ids = np.concatenate([self.ids, ids])
        self.live = np.concatenate([self.live, np.ones(len(ids), bool)])
        self.file = None

    def delete(self, ids):
        rows = [self.row_of.pop(i) for i in ids if i in self.row_of]
        live = self.live.copy()
        live[rows] = False
        self.live = live

    def renewed(self, factory):
        """This segment, or a new one of its live rows if it should be compacted or trained."""
        rows = self.live_rows
        if len(rows) >= LIVE_SHARE * len(self.live) and not self._can_be_trained(factory):
            return self
        return self.made_of(self.ids[rows], self.vectors(rows), factory)

    def _can_be_trained(self, factory):
        wanted = new_index(self.index.d, factory)
        is_trained = wanted.is_trained or type(self.index) is type(wanted)
        return not is_trained and len(self.row_of) >= ROWS_PER_LIST * wanted.nlist

    def search(self, queries, k, search_params):
        """Products and ids of the nearest rows, -inf where the index found none.

        Returns
        -------
        products : ndarray of float64 of shape (n_queries, n_found)
        rows : ndarray of int64 of shape (n_queries, n_found)
        """
        k = min(k, len(self.row_of))
        if not isinstance(self.index, import_faiss().IndexFlat):
            set_search_params(self.index, search_params)
        parameters = None if self.live.all() else self._skip_deleted()
        products, rows = self.index.search(queries, k, params=parameters)
        return np.where(rows < 0, -np.inf, products.astype(float)), rows

    def _skip_deleted(self):
        """A selector of the live rows, in the kind of parameters that the index takes."""
        faiss = import_faiss()
        selector = faiss.IDSelectorBitmap(np.packbits(self.live, bitorder="little"))
        if isinstance(self.index, faiss.IndexHNSW):
            return faiss.SearchParametersHNSW(sel=selector, efSearch=self.index.hnsw.efSearch)
        if isinstance(self.index, faiss.IndexIVF):
            return faiss.SearchParametersIVF(sel=selector, nprobe=self.index.nprobe)
        return faiss.SearchParameters(sel=selector)

    def search_among(self, queries, k, rows):
        """As `search`, exactly, and only some rows.

        A graph or lists searched with a selector that few rows pass find less than there is;
        and a list of ids takes as long to look up as its rows to compare.
        """
        faiss = import_faiss()
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            products, found = faiss.knn(
                queries,
                self.vectors(block),
                min(k, len(block)),
                metric=faiss.METRIC_INNER_PRODUCT,
            )
            yield products.astype(float), block[found]

"""Documents by their parts, from which their scores follow for any fusion weight."""

from collections import deque
from dataclasses import dataclass
from threading import Lock

import numpy as np

from .._array_api import as_slice, full_precision, row_blocks, to_numpy
from ..retrieval._fusion import fuse_rows, modalities_of, modality_weights
from ..score_calibration._teaching import TeachingScores

# A fused vector shorter than this, as a share of its document's longest row, is made
# rather than scored from its parts, whose rounding errors are divided by its length.
SHORTEST = 1 / 4


class Parts:
    """The parts of the documents of one modality: the mean of a document's rows of each.

    The inner product of a query with a document's fused unit vector is the weighted sum of its
    inner products with the parts over the vector's length, and that length follows from the
    inner products among the parts.

    Parameters
    ----------
    rows : Rows
        Those of the documents.
    document : ndarray of int of shape (n_rows,)
        The document of each row; each has rows of all these modalities.

    Attributes
    ----------
    number : ndarray of int of shape (n_documents,)
        The documents, ascending.
    vectors : ndarray of float32 of shape (n_parts, n_documents, n_features)
        The parts at unit length, or zero.
    sizes : ndarray of float64 of shape (n_parts, n_documents)
        Their lengths before, as a share of the longest row of their document.
    """

    def __init__(self, rows, document):
        self.rows, tags = rows, rows.tags
        self.number, self.document = np.unique(document, return_inverse=True)
        codes, part = np.unique(tags.codes, return_inverse=True)
        self.names = [tags.names[code] for code in codes]
        shape = len(codes), len(self.number)
        cell = part * shape[1] + self.document
        with full_precision(rows.values):
            vectors, _ = fuse_rows(rows.values, tags, cell, shape[0] * shape[1])
        vectors = to_numpy(vectors).astype(np.float32, copy=False)
        lengths = to_numpy(rows.lengths)
        longest = np.zeros(shape[1])
        np.maximum.at(longest, self.document, lengths)
        longest[longest == 0] = 1
        along = np.empty(len(cell))
        for some in row_blocks(rows.values):
            block = to_numpy(rows.values[some, ...]) / longest[self.document[some], None]
            along[some] = np.vecdot(block, vectors[cell[some]])
        self.sizes = (np.bincount(cell, along) / np.bincount(cell)).reshape(shape)
        self.vectors = vectors.reshape(*shape, -1)
        self.products = np.vecdot(self.vectors[:, None], self.vectors[None], dtype=float)

    def fuse(self, some, weight):
        """The fused vectors of some documents as a retriever makes them, and which have any."""
        place = np.full(len(self.number), -1)
        place[some] = np.arange(len(some))
        at = np.flatnonzero(place[self.document] >= 0)
        rows, document = self.rows[at], place[self.document[at]]
        with full_precision(rows.values):
            vectors, directed = fuse_rows(rows.values, rows.tags, document, len(some), weight)
        return to_numpy(vectors), directed


class CorpusParts:
    """The parts of all documents, which lie in columns, those of a modality together.

    Parameters
    ----------
    rows : Rows
        Those of documents.
    document : ndarray of int of shape (n_rows,)
        The document of each row; every document has one.

    Attributes
    ----------
    of : dict of str to Parts
        By modality.
    number : ndarray of int of shape (n_documents,)
        Which document lies in each column.
    starts : ndarray of int of shape (n_modalities + 1,)
        The first column of each modality, and the number of all.
    """

    def __init__(self, rows, document):
        names, code = modalities_of(rows.tags, document, document.max() + 1)
        self.of = {}
        for i, name in enumerate(names):
            at = np.flatnonzero(code[document] == i)
            self.of[name] = Parts(rows[at], document[at])
        self.number = np.concatenate([parts.number for parts in self.of.values()])
        self.starts = np.cumsum([0, *(len(parts.number) for parts in self.of.values())])
        self._known, self._lock = deque(maxlen=4), Lock()

    def products_with(self, queries):
        """The inner products with queries, made once for each of a few arrays of them.

        Returns
        -------
        dict of str to ndarray of float32 of shape (n_parts, n_documents, n_queries)
        """
        with self._lock:
            for known, products in self._known:
                if known is queries:
                    return products
            across = queries.T.astype(np.float32, copy=False)
            products = {name: parts.vectors @ across for name, parts in self.of.items()}
            self._known.append((queries, products))
            return products


class FusedParts:
    """Documents of one modality that have a direction, fused by a weight.

    Parameters
    ----------
    parts : Parts
    weight : float or dict of str to float

    Attributes
    ----------
    shape : (n_documents, n_features)
    at : slice or ndarray of int
        Where they are among those of `parts`.

    Raises
    ------
    ValueError
        If a dict of weights leaves out one of the modalities.
    """

    def __init__(self, parts, weight):
        self.parts, self.weight = parts, weight
        present = np.ones((1, len(parts.names)), dtype=bool)
        pulls = modality_weights(present, parts.names, weight).T * parts.sizes
        squares = np.einsum("ac,bc,abc->c", pulls, pulls, parts.products)
        is_short, directed = squares < SHORTEST**2, np.ones(len(squares), dtype=bool)
        if is_short.any():
            directed[is_short] = parts.fuse(np.flatnonzero(is_short), weight)[1]
        self.at = as_slice(np.flatnonzero(directed))
        self.is_short = is_short[directed]
        factors = pulls / np.sqrt(np.where(is_short, 1, squares))
        # What a document's products with its parts are multiplied by, and added up.
        self.factors = factors[:, directed].astype(np.float32)
        self.number = parts.number[self.at]
        self.shape = len(self.number), parts.vectors.shape[-1]

    def __array__(self, dtype=None, copy=None):
        vectors = self.fuse(np.arange(self.shape[0]))
        return vectors.astype(dtype or vectors.dtype)

    def fuse(self, some):
        """The unit vectors of some of these documents, which may repeat."""
        some, place = np.unique(some, return_inverse=True)
        at = np.arange(len(self.parts.number))[self.at][some]
        return self.parts.fuse(at, self.weight)[0][place]

    def scores(self, products, queries, rows=slice(None)):
        """The cosines of some of these documents with queries.

        Parameters
        ----------
        products : ndarray of shape (n_parts, n_documents, n_queries)
            Those of the parts with the queries.
        queries : ndarray of shape (n_queries, n_features)
        rows : slice, default=slice(None)

        Returns
        -------
        ndarray of shape (n_documents, n_queries)
            Off by rounding; free to be overwritten.
        """
        at = np.arange(products.shape[1])[self.at][rows]
        # A small product for each document: it reads and writes everything once.
        of_document = np.swapaxes(products[:, as_slice(at)], 0, 1)
        scores = np.matmul(self.factors[:, rows].T[:, None], of_document)[:, 0]
        short = np.flatnonzero(self.is_short[rows])
        if len(short):
            vectors = self.parts.fuse(at[short], self.weight)[0]
            scores[short] = vectors.astype(scores.dtype) @ queries.T.astype(scores.dtype)
        return scores


@dataclass(frozen=True, eq=False)
class FusedScores(TeachingScores):
    """Teaching scores that come from the parts of documents; `vectors` are FusedParts."""

    parts: CorpusParts

    def _product_with_rows(self):
        products = self.parts.products_with(self.rows)
        return lambda name, rows: self.vectors[name].scores(products[name], self.rows, rows)

    def _vectors_at(self, name, rows):
        return self.vectors[name].fuse(rows)

    def scores_with(self, row):
        scores = np.zeros(self.n_documents)
        for name, segment in self.segments.items():
            if row.any():
                products = np.vecdot(self.vectors[name].parts.vectors, row)[..., None]
                scores[segment] = self.vectors[name].scores(products, row[None])[:, 0]
        return scores

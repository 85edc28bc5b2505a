"""Teaching scores: the cosines of example queries with a corpus, and statistics over them.

The cosines are computed block by block and never held all at once: products in the dtype of
the documents, sums in float64.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .._array_api import (
    beside,
    full_precision,
    row_blocks,
    row_products,
    take_rows,
    to_double,
    to_numpy,
)
from .._modality import parts_of
from .._validation import compute_dtype
from ._shrinkage import query_centers

# A smaller standard deviation of cosines is the rounding of single precision.
SMALLEST_DEVIATION = 1e-5


class Blocks(NamedTuple):
    """How many numbers are handled at once.

    Attributes
    ----------
    scores : int
        In a block.
    documents : int
        In a block, at most.
    summed : int
        In a sum in single precision, which then goes on in double.
    """

    scores: int = 2**20
    documents: int = 2**13
    summed: int = 256


@dataclass(frozen=True, eq=False)
class TeachingScores:
    """Example queries, the documents that they are compared with, and known answers.

    Rows of documents are fallback queries where queries are few. The documents are numbered
    from the first of the first modality to the last of the last.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features)
        The queries, then the fallback queries, of unit length. No document but its own answers
        a fallback query.
    n_queries : int
    vectors : dict of str to array of shape (n, n_features), of any library
        By modality, documents of unit length.
    position : ndarray of int of shape (n_documents,)
        The position of each document in the corpus.
    own : ndarray of int of shape (n_rows,)
        The document of each fallback query; -1 where it is not among these, and for queries.
    answers : list of length n_queries of ndarray of int or None
        The documents that may be the right one of each query: empty where nothing answers it,
        None where that is unknown.
    pairs : dict of str to ndarray of float64
        By modality, scores of fallback queries with another part of their own document: they are
        right for certain.
    weights : ndarray of float64 of shape (n_queries,)
        Weights of the queries, under which repetitions count once.
    query_modality : str
        Such as ``"query:text"``.
    """

    rows: np.ndarray
    n_queries: int
    vectors: dict
    position: np.ndarray
    own: np.ndarray
    answers: list
    pairs: dict
    weights: np.ndarray
    query_modality: str

    # No field, since subclasses add fields without a default.
    sizes = Blocks()

    @property
    def n_rows(self):
        """The number of queries and fallback queries."""
        return len(self.rows)

    @property
    def queries(self):
        """The queries."""
        return self.rows[: self.n_queries]

    @property
    def fallback(self):
        """The fallback queries."""
        return self.rows[self.n_queries :]

    @property
    def n_effective(self):
        """The effective number of rows: repetitions of a query count once."""
        return self.weights.sum() + len(self.fallback)

    @cached_property
    def overlap(self):
        """By modality of documents, the part of a document that is of the queries' modality."""
        asked = set(parts_of(self.query_modality))
        parts = {name: parts_of(name) for name in self.vectors}
        return {name: len(asked & set(of)) / len(of) for name, of in parts.items()}

    @property
    def n_documents(self):
        """The number of documents."""
        return sum(self.counts.values())

    @property
    def counts(self):
        """The number of documents of each modality: a dict."""
        return {name: vectors.shape[0] for name, vectors in self.vectors.items()}

    @cached_property
    def segments(self):
        """The numbers of the documents of each modality: a dict of slices."""
        stops = np.cumsum([0, *self.counts.values()]).tolist()
        return {name: slice(*span) for name, span in zip(self.vectors, pairwise(stops))}

    @cached_property
    def cache(self):
        """Centered rows that are kept, by `prior_count`."""
        return {}

    def centered(self, prior_count):
        """The scores of rows without what all queries have in common, and that.

        Parameters
        ----------
        prior_count : float
            As `query_centers` takes it.

        Returns
        -------
        TeachingScores
            Over the same documents.
        center : ndarray of float64 of shape (n_features,)
            What was subtracted from the queries.
        """
        if prior_count not in self.cache:
            both = query_centers(self.queries, self.weights, self.fallback, prior_count)
            of_queries, of_fallback = (x.astype(self.rows.dtype) for x in both)
            rows = np.concatenate([self.queries - of_queries, self.fallback - of_fallback])
            self.cache[prior_count] = rows, both[0]
        rows, center = self.cache[prior_count]
        return replace(self, rows=rows), center

    def asked(self):
        """The scores of the queries, or of the fallback queries where there are no queries."""
        if not self.n_queries:
            return self
        return replace(self, rows=self.queries, own=self.own[: self.n_queries])

    def blocks(self):
        """Yield the scores of all rows with some documents of one modality at a time.

        Yields
        ------
        name : str
            The modality.
        documents : slice
            The numbers of the documents.
        scores : ndarray of shape (n_documents_of_block, n_rows)
            Cosines; free to be overwritten.
        own : tuple of ndarray of int
            Rows and columns of `scores` where a fallback query meets its own document.
        """
        step = min(max(self.sizes.scores // max(self.n_rows, 1), 1), self.sizes.documents)
        product = self._product_with_rows()
        for name, segment in self.segments.items():
            for first in range(segment.start, segment.stop, step):
                documents = slice(first, min(first + step, segment.stop))
                rows = slice(first - segment.start, documents.stop - segment.start)
                at = np.flatnonzero((self.own >= first) & (self.own < documents.stop))
                yield name, documents, product(name, rows), (self.own[at] - first, at)

    def _product_with_rows(self):
        """A function of a modality and a slice: the products of those documents with the rows."""

        def product(name, rows):
            vectors = self.vectors[name]
            xp, dtype = array_namespace(vectors), compute_dtype(vectors)
            with full_precision(vectors):
                block = xp.astype(vectors[rows, ...], dtype, copy=False)
                across = xp.matrix_transpose(beside(self.rows, block, dtype))
                return to_numpy(xp.matmul(block, across))

        return product

    def scores_of(self, query, document):
        """The scores of pairs of a query and a document.

        Parameters
        ----------
        query, document : ndarray of int of shape (n,)
            Their numbers.

        Returns
        -------
        ndarray of float64 of shape (n,)
            Cosines.
        """
        scores = np.empty(len(query))
        for name, segment in self.segments.items():
            at = np.flatnonzero((document >= segment.start) & (document < segment.stop))
            rows = self._vectors_at(name, document[at] - segment.start)
            scores[at] = np.vecdot(rows.astype(float), self.queries[query[at]].astype(float))
        return scores

    def _vectors_at(self, name, rows):
        return to_numpy(take_rows(self.vectors[name], rows))

    def scores_with(self, row):
        """The inner products of a row with all documents.

        Parameters
        ----------
        row : ndarray of shape (n_features,)
            Of any length.

        Returns
        -------
        ndarray of float64 of shape (n_documents,)
            Equal for equal documents.
        """
        scores = np.zeros(self.n_documents)
        for name, segment in self.segments.items():
            vectors, of_segment = self.vectors[name], scores[segment]
            if row.any():
                other = to_double(row, vectors)
                for rows in row_blocks(vectors):
                    block = to_double(vectors[rows, ...], vectors)
                    of_segment[rows] = to_numpy(row_products(block, other))
        return scores

    def mean_scores(self):
        """Each query's mean score with each modality.

        Returns
        -------
        ndarray of float64 of shape (n_queries, n_modalities)
            Modalities in the order of `segments`.
        """
        sums = dict.fromkeys(self.segments, 0)
        for name, _, scores, _ in self.blocks():
            sums[name] += scores[:, : self.n_queries].sum(axis=0, dtype=float)
        return np.stack([total / self.counts[name] for name, total in sums.items()], axis=1)

    def spreads(self, weights):
        """Mean and variance of each document's scores over the rows, without its own rows.

        Parameters
        ----------
        weights : ndarray of shape (n_rows,)
            Weights of the rows.

        Returns
        -------
        mean, variance, noise : ndarray of float64 of shape (n_documents,)
            `noise` is the weighted mean of ``((score - mean)**2 - variance)**2``, from which
            the sampling variance of `variance` follows.
        """
        mean, variance, noise = np.zeros((3, self.n_documents))
        for _, documents, scores, own in self.blocks():
            scores[own] = 0
            total = np.full(len(scores), weights.sum())
            np.subtract.at(total, own[0], weights[own[1]])
            total = np.maximum(total, 1e-12)
            mean[documents] = self._weighted_sums(scores, weights) / total
            scores -= mean[documents, None].astype(scores.dtype)
            scores[own] = 0
            squares = np.square(scores, out=scores)
            mean_square = self._weighted_sums(squares, weights) / total
            fourth = self._weighted_sums(np.square(squares, out=squares), weights) / total
            variance[documents] = np.maximum(mean_square, 1e-12)
            noise[documents] = np.maximum(fourth - mean_square**2, 0)
        return mean, variance, noise

    def _weighted_sums(self, scores, weights):
        """``scores @ weights`` with sums in float64, shape (n_documents,)."""
        sums = np.zeros(len(scores))
        for start in range(0, len(weights), self.sizes.summed):
            rows = slice(start, start + self.sizes.summed)
            sums += scores[:, rows] @ weights[rows].astype(scores.dtype)
        return sums

    def best(self, k, scale, shift):
        """Each row's best calibrated scores in each modality.

        Parameters
        ----------
        k : int
            Number of scores.
        scale : ndarray of shape (n_documents,)
            Factors of each document's scores.
        shift : ndarray of shape (n_modalities,)
            Subtracted from the scores of queries before they are scaled.

        Returns
        -------
        ndarray of float64 of shape (k, n_modalities, n_rows)
            Descending; -inf where there are fewer documents but a fallback query's own.
        """
        names = list(self.segments)
        best = np.full((k, len(names), self.n_rows), -np.inf)
        for name, documents, scores, own in self.blocks():
            m = names.index(name)
            scores[:, : self.n_queries] -= shift[m].astype(scores.dtype)
            scores *= scale[documents, None].astype(scores.dtype)
            scores[own] = -np.inf
            best[:, m] = _merged_best(best[:, m], scores)
        return best


def _merged_best(best, scores):
    """The best of each column, of those so far and of more scores.

    Parameters
    ----------
    best : ndarray of shape (k, n_columns)
        Descending.
    scores : ndarray of shape (n, n_columns)

    Returns
    -------
    ndarray of shape (k, n_columns)
    """
    k, n_columns = best.shape
    least = best[-1].astype(scores.dtype)
    if len(scores) > k and np.isneginf(least).any():  # nothing is known yet to be better than
        # Of the maxima of at least k groups of rows, the k-th is no better than the k-th score.
        starts = np.linspace(0, len(scores), min(4 * k, len(scores)), endpoint=False).astype(int)
        maxima = np.maximum.reduceat(scores, starts, axis=0)
        least = np.maximum(least, np.partition(maxima, -k, axis=0)[-k])
    row, column = np.nonzero(scores >= least)
    found = scores[row, column]
    order = np.lexsort((-found, column))
    column, found = column[order], found[order]
    rank = np.arange(len(column)) - np.searchsorted(column, np.arange(n_columns))[column]
    added = np.full((k, n_columns), -np.inf)
    added[rank[rank < k], column[rank < k]] = found[rank < k]
    return -np.sort(-np.concatenate([best, added]), axis=0)[:k]

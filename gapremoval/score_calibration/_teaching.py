"""Teaching scores: those of queries and stand-ins with a corpus, and statistics over them.

They are made block by block and never held at once: products in the dtype of the documents,
sums in float64.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

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
from .._validation import compute_dtype
from ._odds_model import certain_center

# Scores held at once; with few rows that teach, documents a block.
BLOCK_SCORES = 2**20
BLOCK_DOCUMENTS = 2**13

# A sum in single precision adds up no more rows than this before it goes on in double.
ROWS_A_SUM = 256

# Of cosines; what is below is the rounding of single precision.
SMALLEST_DEVIATION = 1e-5


@dataclass(frozen=True, eq=False)
class TeachingScores:
    """Rows that teach, the documents that they are compared with, and what is known of both.

    Attributes
    ----------
    queries : ndarray of shape (n_queries, n_features)
        Of unit length.
    stand_ins : ndarray of shape (n_stand_ins, n_features)
        Rows of documents that stand in for queries, of unit length: no document but their
        own answers them.
    vectors : dict of str to array of shape (n, n_features), of any library
        By modality, documents of unit length. They are counted from the first of the first
        modality to the last of the last.
    position : ndarray of int of shape (n_documents,)
        That of each in the corpus.
    own : ndarray of int of shape (n_stand_ins,)
        The document that each stand-in belongs to; -1 where it is not among these.
    answers : list of length n_queries of ndarray of int or None
        The documents that may count as the right one of each query; empty where nothing
        answers it, None where that is not known.
    pairs : dict of str to ndarray of float64
        By modality, scores that are right for certain: of stand-ins with another part of
        their own document.
    """

    queries: np.ndarray
    stand_ins: np.ndarray
    vectors: dict
    position: np.ndarray
    own: np.ndarray
    answers: list
    pairs: dict

    @property
    def n_rows(self):
        """The number of rows that teach."""
        return len(self.queries) + len(self.stand_ins)

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
        """Which documents are of which modality: a dict of slices."""
        stops = np.cumsum([0, *self.counts.values()]).tolist()
        return {name: slice(*span) for name, span in zip(self.vectors, pairwise(stops))}

    @cached_property
    def teach(self):
        """The rows that teach: the queries, then the stand-ins."""
        return np.concatenate([self.queries, self.stand_ins])

    @cached_property
    def centers(self):
        """The means of the queries and of the stand-ins, as far as they are certain."""
        return certain_center(self.queries), certain_center(self.stand_ins)

    @cached_property
    def centered(self):
        """The scores of rows without these means: TeachingScores over the same documents."""
        of_queries, of_stand_ins = (x.astype(self.queries.dtype) for x in self.centers)
        queries, stand_ins = self.queries - of_queries, self.stand_ins - of_stand_ins
        return replace(self, queries=queries, stand_ins=stand_ins)

    def asked(self):
        """The queries alone; where there are none, the stand-ins.

        Returns
        -------
        TeachingScores
            Over the same documents.
        """
        if not len(self.queries):
            return self
        return replace(self, stand_ins=self.stand_ins[:0], own=self.own[:0])

    def blocks(self):
        """Scores of all rows with some documents of one modality at a time.

        Yields
        ------
        name : str
            The modality.
        documents : slice
        scores : ndarray of shape (n_documents_of_block, n_queries + n_stand_ins)
            Cosines; free to be overwritten.
        own : tuple of ndarray of int
            Where in `scores` a stand-in meets its own document.
        """
        step = min(max(BLOCK_SCORES // max(self.n_rows, 1), 1), BLOCK_DOCUMENTS)
        product = self._product_with(self.teach)
        for name, segment in self.segments.items():
            for first in range(segment.start, segment.stop, step):
                documents = slice(first, min(first + step, segment.stop))
                rows = slice(first - segment.start, documents.stop - segment.start)
                at = np.flatnonzero((self.own >= first) & (self.own < documents.stop))
                own = self.own[at] - first, len(self.queries) + at
                yield name, documents, product(name, rows), own

    def _product_with(self, teach):
        """A function of a modality and a slice: the products of those documents with rows."""

        def product(name, rows):
            vectors = self.vectors[name]
            xp, dtype = array_namespace(vectors), compute_dtype(vectors)
            with full_precision(vectors):
                block = xp.astype(vectors[rows, ...], dtype, copy=False)
                return to_numpy(xp.matmul(block, xp.matrix_transpose(beside(teach, block, dtype))))

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
            rows = to_numpy(take_rows(self.vectors[name], document[at] - segment.start))
            scores[at] = np.vecdot(rows.astype(float), self.queries[query[at]].astype(float))
        return scores

    def scores_with(self, row):
        """The scores of all documents with a row.

        Parameters
        ----------
        row : ndarray of shape (n_features,)
            Of any length.

        Returns
        -------
        ndarray of float64 of shape (n_documents,)
            Inner products, equal for equal documents.
        """
        scores = np.zeros(self.n_documents)
        for name, segment in self.segments.items():
            vectors, mine = self.vectors[name], scores[segment]
            if row.any():
                other = to_double(row, vectors)
                for rows in row_blocks(vectors):
                    block = to_double(vectors[rows, ...], vectors)
                    mine[rows] = to_numpy(row_products(block, other))
        return scores

    def mean_scores(self):
        """Each query's mean score with each modality.

        Returns
        -------
        ndarray of float64 of shape (n_queries, n_modalities)
            Modalities as in `segments`.
        """
        centers = np.zeros((len(self.vectors), self.queries.shape[1]))
        for center, vectors in zip(centers, self.vectors.values()):
            xp = array_namespace(vectors)
            for rows in row_blocks(vectors):
                block = xp.astype(vectors[rows, ...], compute_dtype(vectors), copy=False)
                center += to_numpy(xp.sum(block, axis=0))
            center /= vectors.shape[0]
        return self.queries.astype(float) @ centers.T

    def spreads(self, weights):
        """How each document's scores spread over the rows; a stand-in's own is left out.

        Parameters
        ----------
        weights : ndarray of shape (n_queries + n_stand_ins,)
            Of the rows that teach.

        Returns
        -------
        mean, variance, noise : ndarray of float64 of shape (n_documents,)
            `noise` is the weighted mean of ((score - mean)^2 - variance)^2: a row's part in
            the sampling variance of the variance.
        """
        mean, variance, noise = np.zeros((3, self.n_documents))
        for _, documents, scores, own in self.blocks():
            scores[own] = 0
            total = np.full(len(scores), weights.sum())
            np.subtract.at(total, own[0], weights[own[1]])
            total = np.maximum(total, 1e-12)
            mean[documents] = _weighted_sums(scores, weights) / total
            scores -= mean[documents, None].astype(scores.dtype)
            scores[own] = 0
            squares = np.square(scores, out=scores)
            mean_square = _weighted_sums(squares, weights) / total
            fourth = _weighted_sums(np.square(squares, out=squares), weights) / total
            variance[documents] = np.maximum(mean_square, 1e-12)
            noise[documents] = np.maximum(fourth - mean_square**2, 0)
        return mean, variance, noise

    def top_means(self, k):
        """The mean of each document's `k` best scores over the rows, its own left out.

        Parameters
        ----------
        k : int
            How many scores, at least 1.

        Returns
        -------
        ndarray of float64 of shape (n_documents,)
            Where fewer are left it is their mean, and 0 where none is.
        """
        means = np.zeros(self.n_documents)
        k = min(k, self.n_rows)
        for _, documents, scores, own in self.blocks():
            scores[own] = -2  # below all cosines
            best = np.partition(scores, -k, axis=1)[:, -k:]
            is_other = best > -1.5
            sums = best.sum(axis=1, dtype=float, where=is_other)
            means[documents] = sums / np.maximum(is_other.sum(axis=1), 1)
        return means

    def hubness(self, top):
        """The mean of each document's best scores over a share of the rows.

        Parameters
        ----------
        top : float
            The share, in (0, 1]; at least one row counts.

        Returns
        -------
        ndarray of float64 of shape (n_documents,)
            As `top_means`.
        """
        # A product such as 0.29 * 100 comes out a little below the whole number.
        return self.top_means(max(int(top * self.n_rows + 1e-9), 1))

    def soft_means(self, slope):
        """``log(mean(exp(slope * score))) / slope`` of each document over the rows.

        Parameters
        ----------
        slope : float
            Above 0.

        Returns
        -------
        ndarray of float64 of shape (n_documents,)
            Its own are left out; it is 0 where none is left.
        """
        means = np.zeros(self.n_documents)
        for _, documents, scores, own in self.blocks():
            scores[own] = -np.inf
            others = np.isfinite(scores).sum(axis=1)
            largest = np.where(others > 0, scores.max(axis=1), 0)
            scores -= largest[:, None]
            scores *= slope
            sums = np.exp(scores, out=scores).sum(axis=1, dtype=float)
            sums[others == 0] = 1
            logarithms = np.log(sums / np.maximum(others, 1))
            means[documents] = largest + logarithms / slope
        return means

    def moments(self):
        """The mean and the deviation of all scores with each modality.

        Returns
        -------
        mean, deviation : ndarray of float64 of shape (n_modalities,)
            All documents of a modality count alike. The deviation is 1 where scores do not
            differ, since there is nothing to scale by.
        """
        mean, variance, _ = self.spreads(np.ones(self.n_rows))
        of_modality, total = np.empty((2, len(self.segments)))
        for m, segment in enumerate(self.segments.values()):
            of_modality[m] = mean[segment].mean()
            total[m] = variance[segment].mean() + mean[segment].var()
        return of_modality, _deviation(total)

    def best_moments(self):
        """As `moments`, of each row's best score with each modality.

        Returns
        -------
        mean, deviation : ndarray of float64 of shape (n_modalities,)
            As `moments`.
        """
        first, _ = self.best_two(np.ones(self.n_documents), np.zeros(len(self.segments)))
        mean, variance = np.zeros((2, len(first)))
        for m, best in enumerate(first):
            # A stand-in may have met no document but its own.
            best = best[np.isfinite(best)]
            if len(best):
                mean[m], variance[m] = best.mean(), best.var()
        return mean, _deviation(variance)

    def best_two(self, scale, shift):
        """Each row's best and second-best calibrated score in each modality.

        Parameters
        ----------
        scale : ndarray of shape (n_documents,)
            Of each document's scores.
        shift : ndarray of shape (n_modalities,)
            Taken off the scores of queries before they are scaled.

        Returns
        -------
        first, second : ndarray of float64 of shape (n_modalities, n_queries + n_stand_ins)
            -inf where there is none but a stand-in's own; `second` is 0 where the modality
            has one document.
        """
        n_queries, names = len(self.queries), list(self.segments)
        first, second = np.full((2, len(names), self.n_rows), -np.inf)
        for name, documents, scores, own in self.blocks():
            m = names.index(name)
            scores[:, :n_queries] -= shift[m].astype(scores.dtype)
            scores *= scale[documents, None].astype(scores.dtype)
            scores[own] = -np.inf
            best, next_best = _best_two(scores)
            second[m] = np.maximum(np.maximum(second[m], next_best), np.minimum(first[m], best))
            first[m] = np.maximum(first[m], best)
        second[[n == 1 for n in self.counts.values()]] = 0
        return first, second


def _deviation(variance):
    """The square root; 1 where it is no more than the rounding of cosines."""
    deviation = np.sqrt(variance)
    return np.where(deviation < SMALLEST_DEVIATION, 1, deviation)


def _weighted_sums(scores, weights):
    """``scores @ weights`` with sums in float64, shape (n_documents,)."""
    sums = np.zeros(len(scores))
    for start in range(0, len(weights), ROWS_A_SUM):
        rows = slice(start, start + ROWS_A_SUM)
        sums += scores[:, rows] @ weights[rows].astype(scores.dtype)
    return sums


def _best_two(scores):
    """The largest and the second-largest of each column, by a tournament of halves."""
    first, second = scores, None
    while len(first) > 1:
        half = (len(first) + 1) // 2
        a, b = first[: len(first) - half], first[half:]
        lost = np.minimum(a, b)
        if second is None:
            second = np.full((half, scores.shape[1]), -np.inf, dtype=scores.dtype)
            second[: len(a)] = lost
        else:
            beaten = np.maximum(second[: len(a)], second[half:])
            # Of an odd number, the one in the middle has no partner.
            second = np.concatenate([np.maximum(beaten, lost), second[len(a) : half]])
        first = np.concatenate([np.maximum(a, b), first[len(a) : half]])
    return first[0], np.full(scores.shape[1], -np.inf) if second is None else second[0]

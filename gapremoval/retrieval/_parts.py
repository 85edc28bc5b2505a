"""The ranks of answers for many fusion weights, from one product with the documents' parts."""

from typing import NamedTuple

import numpy as np

from .._array_api import full_precision, row_blocks, row_sums, take_rows, to_numpy
from .._relevance import group_ids
from .._validation import checked_lengths
from ._fusion import fuse_rows, modality_weights

# A fused vector shorter than this, as a share of its document's longest row, is made
# rather than scored from its parts, whose rounding errors are divided by its length.
SHORTEST = 1 / 4

# Twice what a score from the parts may be off in float32: 1e-5 for unit vectors, as in an
# exact search, over the shortest length.
MARGIN = 1e-5 / SHORTEST

# Below any cosine: documents without a direction come last.
LAST = -2

# How many scores are held at once, unless a single query has more: 8 MiB in float32.
BLOCK_SIZE = 2**21


class Parts:
    """The parts of a corpus, to rank its documents by any fusion weight.

    A part is the mean of a document's rows of one modality. The inner product of a query
    with the fused unit vector is the weighted sum of its inner products with the parts over
    the vector's length, and that length follows from the inner products among the parts.

    Documents lie in columns: those of several modalities first, which alone depend on the
    weight, then the others, each in their order.

    Parameters
    ----------
    values : array of shape (n_rows, n_features)
        The rows of documents, of any library that follows the array API standard.
    tags : Tags
        Their modalities.
    ids : ndarray of shape (n_rows,)
        Their documents.
    """

    def __init__(self, values, tags, ids):
        ids, document = group_ids(ids)
        self.values, self.tags, self.document = values, tags, document
        n_documents, n_names = len(ids), len(tags.names)
        cells, cell = np.unique(document * n_names + tags.codes, return_inverse=True)
        of_document, of_name = np.divmod(cells, n_names)
        self.present = np.zeros((n_documents, n_names), dtype=bool)
        self.present[of_document, of_name] = True
        several = self.present.sum(axis=1) > 1
        self.names = np.flatnonzero(self.present[several].any(axis=0))
        self.number = np.argsort(~several, kind="stable")
        self.column = np.argsort(self.number)
        self.n_several = n_several = int(several.sum())

        with full_precision(values):
            unit, directed = fuse_rows(values, tags, cell, len(cells), 0.5)
        unit = to_numpy(unit).astype(np.float32, copy=False)
        column, shared = self.column[of_document], several[of_document]
        place = column + (len(self.names) - 1) * n_several
        place[shared] = (np.searchsorted(self.names, of_name) * n_several + column)[shared]
        # The parts of each modality side by side, zeros for those that are not there.
        n_rows = len(self.names) * n_several + n_documents - n_several
        self.rows = np.zeros((n_rows, unit.shape[1]), dtype=np.float32)
        self.rows[place] = unit
        self.undirected = column[~shared & ~directed]
        shape = (len(self.names), n_several, unit.shape[1])
        parts = self.rows[: len(self.names) * n_several].reshape(shape)
        self.products = np.vecdot(parts[:, None], parts[None])
        self.sizes = np.zeros(len(self.rows))
        self.sizes[place] = self._sizes(unit, cell)
        self.sizes = self.sizes[: len(self.names) * n_several].reshape(shape[:2])

    def _sizes(self, unit, cell):
        """The length of each part, as a share of the longest row of its document."""
        longest = np.zeros(len(self.number))
        np.maximum.at(longest, self.document, to_numpy(checked_lengths(self.values)))
        longest[longest == 0] = 1
        along = np.empty(len(cell))
        for rows in row_blocks(self.values):
            block = to_numpy(self.values[rows, ...]) / longest[self.document[rows], None]
            along[rows] = np.vecdot(block, unit[cell[rows]])
        return np.bincount(cell, along) / np.bincount(cell)

    def ranks(self, queries, query, document, fusion_weights, k):
        """How many documents come before an answer, by each fusion weight.

        They are those that an exact search puts there: what comes near an answer's score is
        fused and scored again in float64, and equal scores are ordered by number.

        Parameters
        ----------
        queries : ndarray of float64 of shape (n_queries, n_features)
            Of unit length, or zero.
        query, document : ndarray of int of shape (n_answers,)
            Pairs of a query, ascending, and the number of a document that answers it.
        fusion_weights : sequence of float or dict
        k : int
            How far to count.

        Returns
        -------
        ndarray of int of shape (n_weights, n_answers)
            At least `k` where `k` or more come before.

        Raises
        ------
        ValueError
            If a dict of weights leaves out a modality that is fused.
        """
        weighings = [self._weigh(weight) for weight in fusion_weights]
        before = np.empty((len(weighings), len(query)), dtype=int)
        column = self.column[document]
        step = max(BLOCK_SIZE // (len(self.rows) + len(self.number)), 1)
        for start in range(0, len(queries), step):
            asked = queries[start : start + step]
            pairs = slice(*np.searchsorted(query, [start, start + step]))
            rough = asked.astype(np.float32)
            similarities = rough @ self.rows.T
            scores = np.empty((len(asked), len(self.number)), dtype=np.float32)
            scores[:, self.n_several :] = similarities[:, len(self.names) * self.n_several :]
            scores[:, self.undirected] = LAST
            for found, weighing in zip(before, weighings):
                self._score(scores, similarities, rough, weighing)
                found[pairs] = self._count(
                    scores, asked, query[pairs] - start, column[pairs], weighing.fusion_weight, k
                )
        return before

    def _weigh(self, fusion_weight):
        """A fusion weight as a _Weighing."""
        shares = modality_weights(self.present, self.tags.names, fusion_weight)
        pulls = shares[self.number[: self.n_several, None], self.names].T * self.sizes
        squares = np.einsum("ac,bc,abc->c", pulls, pulls, self.products)
        is_short = squares < SHORTEST**2
        factors = pulls / np.sqrt(np.where(is_short, 1, squares))
        return _Weighing(fusion_weight, factors.astype(np.float32), np.flatnonzero(is_short))

    def _score(self, scores, similarities, queries, weighing):
        """Write the rough scores of documents of several modalities into `scores`."""
        of_several, n_several = scores[:, : self.n_several], self.n_several
        of_several[:] = 0
        for i, factors in enumerate(weighing.factors):
            of_several += similarities[:, i * n_several : (i + 1) * n_several] * factors
        if len(weighing.short):
            vectors, directed = self._fuse(self.number[weighing.short], weighing.fusion_weight)
            again = queries @ vectors.astype(np.float32).T
            again[:, ~directed] = LAST
            scores[:, weighing.short] = again

    def _count(self, scores, queries, query, column, fusion_weight, k):
        """`ranks` for a block of queries and one weight, from rough scores."""
        before = np.full(len(query), k)
        score = scores[query, column]
        candidates = np.flatnonzero(_among_best(score, query, k))
        step = max(BLOCK_SIZE // scores.shape[1], 1)
        for start in range(0, len(candidates), step):
            pairs = candidates[start : start + step]
            others, own = scores[query[pairs]], score[pairs, None]
            low, high = own - MARGIN, own + MARGIN
            surely = np.count_nonzero(others > high, axis=1)
            perhaps = np.count_nonzero(others >= low, axis=1)
            # The answer itself is one of those near its own score.
            unsure = np.flatnonzero((surely < k) & (perhaps > surely + 1))
            if len(unsure):
                others = others[unsure]
                near = (others >= low[unsure]) & (others <= high[unsure])
                pair, other = np.nonzero(near)
                asks, answers = query[pairs[unsure]][pair], column[pairs[unsure]][pair]
                first = self._comes_first(queries, asks, other, answers, fusion_weight)
                surely[unsure] += np.bincount(pair[first], minlength=len(unsure))
            before[pairs] = surely
        return before

    def _comes_first(self, queries, query, column, other, fusion_weight):
        """Whether a query finds one document before another, for each of many triples."""
        number, other = self.number[column], self.number[other]
        numbers, place = np.unique(np.stack([number, other]), return_inverse=True)
        vectors, _ = self._fuse(numbers, fusion_weight)
        scores = np.empty((2, len(query)))
        for rows in row_blocks(np.broadcast_to(query[:, None], (len(query), queries.shape[1]))):
            for side, of in zip(scores, place.reshape(2, -1)):
                side[rows] = row_sums(queries[query[rows]] * vectors[of[rows]].astype(float))
        return (scores[0] > scores[1]) | ((scores[0] == scores[1]) & (number < other))

    def _fuse(self, numbers, fusion_weight):
        """The fused vectors of some documents, as a retriever makes them."""
        place = np.full(len(self.number), -1)
        place[numbers] = np.arange(len(numbers))
        at = place[self.document]
        rows = np.flatnonzero(at >= 0)
        values = take_rows(self.values, rows)
        with full_precision(values):
            vectors, directed = fuse_rows(
                values, self.tags[rows], at[rows], len(numbers), fusion_weight
            )
        return to_numpy(vectors), directed


class _Weighing(NamedTuple):
    """What a fusion weight makes of the parts.

    Attributes
    ----------
    fusion_weight : float or dict
    factors : ndarray of float32 of shape (n_modalities, n_several)
        A document's score is the sum of its parts' similarities times these.
    short : ndarray of int
        The columns of documents whose parts nearly cancel out, which are fused instead.
    """

    fusion_weight: object
    factors: np.ndarray
    short: np.ndarray


def _among_best(scores, query, k):
    """Which answers may be among the `k` best of their query; the others come after these."""
    order = np.lexsort((-scores, query))
    position = np.arange(len(query)) - np.searchsorted(query, query)
    floor = np.full(query.max(initial=-1) + 1, -np.inf)
    kth = order[position == k - 1]
    floor[query[kth]] = scores[kth]
    return scores >= floor[query] - MARGIN

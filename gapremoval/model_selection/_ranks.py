"""The ranks of answers in a corpus that a weight has fused, exact, from rough scores."""

import numpy as np

from .._array_api import as_slice, row_blocks, row_sums
from ._parts import SHORTEST, FusedParts

# Twice what a score from the parts may be off in float32: 1e-5 for unit vectors, as in an
# exact search, over the shortest length.
MARGIN = 1e-5 / SHORTEST

# How many scores are held at once, unless a single query has more: 8 MiB in float32.
BLOCK_SIZE = 2**21


class FusedCorpus:
    """A corpus fused by a weight.

    Parameters
    ----------
    parts : CorpusParts
    weight : float or dict of str to float

    Attributes
    ----------
    fused : dict of str to FusedParts
        By modality; those of which a document has a direction.
    """

    def __init__(self, parts, weight):
        fused = {name: FusedParts(some, weight) for name, some in parts.of.items()}
        self.parts, self.weight = parts, weight
        self.fused = {name: some for name, some in fused.items() if some.shape[0]}

    def ranks(self, queries, query, column, k, score_maps=None):
        """How many documents come before the answers to queries.

        They are those that an exact search puts there: what comes near an answer's score is
        fused and scored again in float64, and equal scores are ordered by number.

        Parameters
        ----------
        queries : ndarray of float64 of shape (n_queries, n_features)
            Of unit length, or zero.
        query, column : ndarray of int of shape (n_answers,)
            Pairs of a query, ascending, and the column of a document that answers it.
        k : int
            How far to count.
        score_maps : dict of str to ScoreMap, default=None
            By modality; make scores of cosines.

        Returns
        -------
        ndarray of int of shape (n_answers,)
            At least `k` where `k` or more come before.
        """
        scores, scale, offset = self._rough(queries, score_maps)
        margin = np.float32(MARGIN * max(scale.max() + np.abs(offset).max(), 1))
        before, score = np.full(len(query), k), scores[column, query]
        candidates = np.flatnonzero(_among_best(score, query, k, margin))
        step = max(BLOCK_SIZE // len(scores), 1)
        for start in range(0, len(candidates), step):
            pairs = candidates[start : start + step]
            others, low, high = (
                scores[:, query[pairs]],
                score[pairs] - margin,
                score[pairs] + margin,
            )
            rank = np.count_nonzero(others > high, axis=0)
            # The answer itself is one of those near its own score.
            perhaps = np.count_nonzero(others >= low, axis=0) > rank + 1
            unsure = np.flatnonzero(perhaps & (rank < k))
            if len(unsure):
                others, of = others[:, unsure], pairs[unsure]
                other, pair = np.nonzero((others >= low[unsure]) & (others <= high[unsure]))
                both = np.stack([other, column[of[pair]]])
                cosines = self._cosines(queries, query[of[pair]], both)
                exact, number = cosines * scale[both] + offset[both], self.parts.number[both]
                first = (exact[0] > exact[1]) | ((exact[0] == exact[1]) & (number[0] < number[1]))
                rank[unsure] += np.bincount(pair[first], minlength=len(unsure))
            before[pairs] = rank
        return before

    def _rough(self, queries, score_maps):
        """Rough scores, (n_documents, n_queries), -inf without a direction; scales, offsets."""
        scores = np.empty((len(self.parts.number), len(queries)), dtype=np.float32)
        if sum(fused.shape[0] for fused in self.fused.values()) < len(scores):
            scores[:] = -np.inf
        scale, offset = np.ones(len(scores)), np.zeros(len(scores))
        products = self.parts.products_with(queries)
        for start, (name, parts) in zip(self.parts.starts, self.parts.of.items()):
            if name in self.fused:
                fused = self.fused[name]
                at = as_slice(start + np.arange(len(parts.number))[fused.at])
                scores[at] = fused.scores(products[name], queries)
                if score_maps is not None:
                    scale[at], offset[at] = score_maps[name].scale, score_maps[name].offset
        if score_maps is not None:
            scores *= scale[:, None].astype(np.float32)
            scores += offset[:, None].astype(np.float32)
        return scores, scale, offset

    def _cosines(self, queries, query, columns):
        """Exact cosines of queries with documents, shapes (n,) and (2, n): shape (2, n)."""
        fused, place = np.unique(columns, return_inverse=True)
        vectors = np.empty((len(fused), queries.shape[1]))
        for start, stop, parts in zip(
            self.parts.starts, self.parts.starts[1:], self.parts.of.values()
        ):
            inside = np.flatnonzero((fused >= start) & (fused < stop))
            if len(inside):
                vectors[inside] = parts.fuse(fused[inside] - start, self.weight)[0]
        cosines = np.empty(columns.shape)
        for rows in row_blocks(np.broadcast_to(query[:, None], (len(query), queries.shape[1]))):
            for side, of in zip(cosines, place.reshape(columns.shape)):
                side[rows] = row_sums(queries[query[rows]] * vectors[of[rows]])
        return cosines


def _among_best(scores, query, k, margin):
    """Which answers may be among the `k` best of their query; the others come after these."""
    order = np.lexsort((-scores, query))
    position = np.arange(len(query)) - np.searchsorted(query, query)
    floor = np.full(query.max(initial=-1) + 1, -np.inf)
    kth = order[position == k - 1]
    floor[query[kth]] = scores[kth]
    return scores >= floor[query] - margin

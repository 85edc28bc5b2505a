"""A corpus by the parts of its documents, from which their scores follow for any fusion weight."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .._array_api import as_slice, full_precision, row_blocks, row_sums, to_numpy
from ..retrieval._fusion import fuse_rows, modalities_of, modality_weights
from ..score_calibration import TeachingScores

# A fused vector shorter than this, as a share of its document's longest row, is made
# rather than scored from its parts, whose rounding errors are divided by its length.
SHORTEST = 1 / 4

# Twice what a score from the parts may be off in float32: 1e-5 for unit vectors, as in an
# exact search, over the shortest length.
MARGIN = 1e-5 / SHORTEST

# How many scores are held at once, unless a single query has more: 8 MiB in float32.
BLOCK_SIZE = 2**21


class Parts:
    """The parts of a corpus. A part is the mean of a document's rows of one modality.

    The inner product of a query with a document's fused unit vector is the weighted sum of its
    inner products with the parts over the vector's length, and that length follows from the
    inner products among the parts.

    Documents lie in columns: those of several modalities first, which alone depend on the
    weight, then the others; those of one modality side by side, each in their order.

    Parameters
    ----------
    rows : Rows
        Those of documents.
    document : ndarray of int of shape (n_rows,)
        The document of each row; every document has one.

    Attributes
    ----------
    number : ndarray of int of shape (n_documents,)
        The document in each column.
    columns : dict of str to ndarray of int
        By modality, sorted.
    """

    def __init__(self, rows, document):
        self.documents, self.document = rows, document
        tags, n_documents, n_names = rows.tags, document.max() + 1, len(rows.tags.names)
        cells, cell = np.unique(document * n_names + tags.codes, return_inverse=True)
        of_document, of_name = np.divmod(cells, n_names)
        self.present = np.zeros((n_documents, n_names), dtype=bool)
        self.present[of_document, of_name] = True
        several = self.present.sum(axis=1) > 1
        self.names = np.flatnonzero(self.present[several].any(axis=0))
        modalities, code = modalities_of(tags, document, n_documents)
        self.number = np.lexsort((code, ~several))
        self.column = np.argsort(self.number)
        self.columns = {
            name: np.flatnonzero(code[self.number] == i) for i, name in enumerate(modalities)
        }

        with full_precision(rows.values):
            unit, directed = fuse_rows(rows.values, tags, cell, len(cells), 0.5)
        unit = to_numpy(unit).astype(np.float32, copy=False)
        self.n_several = n_several = int(several.sum())
        column, shared = self.column[of_document], several[of_document]
        place = column + (len(self.names) - 1) * n_several
        place[shared] = (np.searchsorted(self.names, of_name) * n_several + column)[shared]
        # The parts of each modality side by side, zeros for those that are not there.
        self.rows = np.zeros((n_documents + (len(self.names) - 1) * n_several, unit.shape[1]), "f4")
        self.rows[place] = unit
        self.directed = np.ones(n_documents, dtype=bool)
        self.directed[column[~shared]] = directed[~shared]
        n_parts = len(self.names) * n_several
        shape = len(self.names), n_several, unit.shape[1]
        parts = self.rows[:n_parts].reshape(shape)
        self.products = np.vecdot(parts[:, None], parts[None], dtype=float)
        self.sizes = np.zeros(len(self.rows))
        self.sizes[place] = self._sizes(unit, cell)
        self.sizes = self.sizes[:n_parts].reshape(shape[:2])
        self._known = deque(maxlen=4)

    def _sizes(self, unit, cell):
        """The length of each part, as a share of the longest row of its document."""
        longest, values = np.zeros(len(self.number)), self.documents.values
        np.maximum.at(longest, self.document, to_numpy(self.documents.lengths))
        longest[longest == 0] = 1
        along = np.empty(len(cell))
        for rows in row_blocks(values):
            block = to_numpy(values[rows, ...]) / longest[self.document[rows], None]
            along[rows] = np.vecdot(block, unit[cell[rows]])
        return np.bincount(cell, along) / np.bincount(cell)

    def products_with(self, queries):
        """The inner products of all parts with queries, float32, shape (n_parts, n_queries)."""
        return self.rows @ queries.astype(np.float32, copy=False).T

    def remembered_products(self, queries):
        """As `products_with`, made once for the same few sets of queries."""
        for known, products in self._known:
            if np.array_equal(known, queries):
                return products
        self._known.append((queries, self.products_with(queries)))
        return self._known[-1][1]

    def fuse(self, columns, fusion_weight):
        """The fused vectors of some documents, as a retriever makes them."""
        place = np.full(len(self.number), -1)
        place[self.number[columns]] = np.arange(len(columns))
        at = place[self.document]
        rows = np.flatnonzero(at >= 0)
        some = self.documents[rows]
        with full_precision(some.values):
            vectors, directed = fuse_rows(
                some.values, some.tags, at[rows], len(columns), fusion_weight
            )
        return to_numpy(vectors), directed


class Fusion:
    """What a fusion weight makes of the parts.

    Parameters
    ----------
    parts : Parts
    weight : float or dict of str to float

    Attributes
    ----------
    factors : ndarray of float32 of shape (n_modalities, n_several)
        A document's score is the sum of its parts' products times these.
    short : ndarray of bool of shape (n_documents,)
        Documents whose parts nearly cancel out, which are fused instead.
    directed : ndarray of bool of shape (n_documents,)
        Documents that have a direction.

    Raises
    ------
    ValueError
        If a dict of weights leaves out a modality that is fused.
    """

    def __init__(self, parts, weight):
        self.parts, self.weight = parts, weight
        shares = modality_weights(parts.present, parts.documents.tags.names, weight)
        pulls = shares[parts.number[: parts.n_several, None], parts.names].T * parts.sizes
        squares = np.einsum("ac,bc,abc->c", pulls, pulls, parts.products)
        self.short = np.zeros(len(parts.number), dtype=bool)
        self.short[: parts.n_several] = is_short = squares < SHORTEST**2
        self.factors = (pulls / np.sqrt(np.where(is_short, 1, squares))).astype(np.float32)
        self.directed = parts.directed.copy()
        if is_short.any():
            _, self.directed[self.short] = parts.fuse(np.flatnonzero(self.short), weight)

    def scores(self, products, queries, columns):
        """The cosines of the documents in some columns, all of several modalities or all of one.

        Parameters
        ----------
        products : ndarray of shape (n_parts, n_queries)
        queries : ndarray of shape (n_queries, n_features)
        columns : ndarray of int, ascending

        Returns
        -------
        ndarray of shape (n_columns, n_queries)
            Off by rounding; free to be overwritten.
        """
        n_names, n_several = self.factors.shape
        at = as_slice(columns)
        if not len(columns) or columns[0] >= n_several:
            return np.array(products[n_names * n_several :][as_slice(columns - n_several)])
        scores = np.zeros((len(columns), products.shape[1]), products.dtype)
        of_names = products[: n_names * n_several]
        of_names = of_names.reshape(n_names, n_several, products.shape[1])
        for factors, of_name in zip(self.factors, of_names):
            if factors[at].any():
                scores += of_name[at] * factors[at, None]
        short = np.flatnonzero(self.short[at])
        if len(short):
            vectors, _ = self.parts.fuse(columns[short], self.weight)
            scores[short] = vectors.astype(scores.dtype) @ queries.T.astype(scores.dtype)
        return scores

    def ranks(self, products, queries, query, column, k, lines=None):
        """How many documents come before the answers to queries.

        They are those that an exact search puts there: what comes near an answer's score is
        fused and scored again in float64, and equal scores are ordered by number.

        Parameters
        ----------
        products : ndarray of float32 of shape (n_parts, n_queries)
        queries : ndarray of float64 of shape (n_queries, n_features)
            Of unit length, or zero.
        query, column : ndarray of int of shape (n_answers,)
            Pairs of a query, ascending, and a document that answers it.
        k : int
            How far to count.
        lines : ScoreMap of all columns, default=None
            Makes scores of cosines.

        Returns
        -------
        ndarray of int of shape (n_answers,)
            At least `k` where `k` or more come before.
        """
        n_several, n_documents = self.parts.n_several, len(self.parts.number)
        all_columns, margin = np.arange(n_documents), MARGIN
        scores = np.concatenate(
            [self.scores(products, queries, some) for some in np.split(all_columns, [n_several])]
        )
        if lines is not None:
            scores *= lines.scale[:, None].astype(np.float32)
            scores += lines.offset[:, None].astype(np.float32)
            margin *= max(lines.scale.max() + np.abs(lines.offset).max(), 1)
        scores[~self.directed] = -np.inf
        before, score = np.full(len(query), k), scores[column, query]
        candidates = np.flatnonzero(_among_best(score, query, k, margin))
        step = max(BLOCK_SIZE // n_documents, 1)
        for start in range(0, len(candidates), step):
            pairs = candidates[start : start + step]
            others, own = scores[:, query[pairs]], score[pairs]
            low, high = own - np.float32(margin), own + np.float32(margin)
            surely = np.count_nonzero(others > high, axis=0)
            perhaps = np.count_nonzero(others >= low, axis=0)
            # The answer itself is one of those near its own score.
            unsure = np.flatnonzero((surely < k) & (perhaps > surely + 1))
            if len(unsure):
                others = others[:, unsure]
                other, pair = np.nonzero((others >= low[unsure]) & (others <= high[unsure]))
                asks, answers = query[pairs[unsure]][pair], column[pairs[unsure]][pair]
                first = self._comes_first(queries, asks, other, answers, lines)
                surely[unsure] += np.bincount(pair[first], minlength=len(unsure))
            before[pairs] = surely
        return before

    def _comes_first(self, queries, query, column, other, lines):
        """Whether a query finds one document before another, for each of many triples."""
        columns, place = np.unique(np.stack([column, other]), return_inverse=True)
        vectors, _ = self.parts.fuse(columns, self.weight)
        scores = np.empty((2, len(query)))
        for rows in row_blocks(np.broadcast_to(query[:, None], (len(query), queries.shape[1]))):
            for side, of in zip(scores, place.reshape(2, -1)):
                side[rows] = row_sums(queries[query[rows]] * vectors[of[rows]].astype(float))
        if lines is not None:
            both = np.stack([column, other])
            scores = scores * lines.scale[both] + lines.offset[both]
        earlier = self.parts.number[column] < self.parts.number[other]
        return (scores[0] > scores[1]) | ((scores[0] == scores[1]) & earlier)


def _among_best(scores, query, k, margin):
    """Which answers may be among the `k` best of their query; the others come after these."""
    order = np.lexsort((-scores, query))
    position = np.arange(len(query)) - np.searchsorted(query, query)
    floor = np.full(query.max(initial=-1) + 1, -np.inf)
    kth = order[position == k - 1]
    floor[query[kth]] = scores[kth]
    return scores >= floor[query] - margin


class FusedVectors(Mapping):
    """The fused vectors of each modality, made when they are asked for."""

    def __init__(self, fusion, columns):
        self.fusion, self.columns = fusion, columns

    def __getitem__(self, name):
        return self.fusion.parts.fuse(self.columns[name], self.fusion.weight)[0]

    def __iter__(self):
        return iter(self.columns)

    def __len__(self):
        return len(self.columns)


@dataclass(frozen=True, eq=False)
class FusedScores(TeachingScores):
    """Teaching scores that come from the parts of documents.

    Attributes
    ----------
    vectors : FusedVectors
    """

    @property
    def counts(self):
        return {name: len(columns) for name, columns in self.vectors.columns.items()}

    def scores_of(self, query, document):
        scores = np.empty(len(query))
        for _, documents, block, _ in self.blocks():
            at = np.flatnonzero((document >= documents.start) & (document < documents.stop))
            scores[at] = block[document[at] - documents.start, query[at]]
        return scores

    def scores_with(self, row):
        if not row.any():
            return np.zeros(self.n_documents)
        products = np.vecdot(self.vectors.fusion.parts.rows, row)[:, None]
        return np.concatenate(
            [
                self.vectors.fusion.scores(products, row[None], columns)[:, 0]
                for columns in self.vectors.columns.values()
            ]
        )

    def _product_with(self, teach):
        fusion, columns = self.vectors.fusion, self.vectors.columns
        products = fusion.parts.remembered_products(teach)
        return lambda name, rows: fusion.scores(products, teach, columns[name][rows])

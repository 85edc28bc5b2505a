"""Exact top k in numpy: threads share out the documents, candidates wait to be scored again."""

from collections import deque
from typing import NamedTuple

import numpy as np

from ._blas_threads import in_threads
from ._rescoring import group_maxima, inner_products

# Threads pay where the product takes more multiplications than this.
WORTH_THREADS = 2**28

# Documents that a thread scores at once, which fit its cache; scores without threads.
DOCUMENT_BLOCK = 2048
SCORES = 2**20

# At least so many groups of documents, and so many times k, give a floor under the k-th score
# by their maxima.
N_GROUPS = 256
N_GROUPS_OF_K = 4

# More candidates than so many times k a query, in a block, call for a closer look.
CROWD = 4

# At so many candidates, or as many as are asked for, a thread scores those that wait.
MANY_WAITING = 2**20

# Documents that are multiplied in float64, and that are compared, at once.
ROWS_AT_ONCE, COMPARED_AT_ONCE = 256, 1024

# More than a float64 product of unit vectors may be off, both ways.
DOUBLE_MARGIN = 1e-12


class Best(NamedTuple):
    """The best documents for each query.

    Attributes
    ----------
    scores, numbers : ndarray of shape (n_queries, k)
        Sorted by (-score, number).
    log_sums : ndarray of float64 of shape (n_queries,) or None
    error : float
        The largest difference seen between a score of the product and the exact one.
    margin : float
        What the product was allowed to be off, both ways.
    """

    scores: np.ndarray
    numbers: np.ndarray
    log_sums: np.ndarray | None
    error: float
    margin: float


def numpy_top_k(queries, documents, k, margin, numbers, lines, slope):
    """`top_k` for a block of queries.

    Parameters
    ----------
    queries : ndarray of float64 of shape (n_queries, n_features)
    documents : ndarray of shape (n_documents, n_features)
        float64, float32, or float16, which is multiplied in float32.
    k : int
    margin : float
        What the product may be off, both ways.
    numbers : ndarray of int of shape (n_documents,)
    lines : Lines or None
    slope : float or None

    Returns
    -------
    Best
    """
    search = _Search(queries, documents, k, margin, numbers, lines, slope)
    is_worth = len(queries) > 1 and queries.size * len(documents) > WORTH_THREADS
    is_half = documents.dtype == np.float16
    size = DOCUMENT_BLOCK if is_worth or is_half else SCORES // len(queries)
    search.cut(max(size, N_GROUPS_OF_K * k, 1))
    try:
        found = in_threads(search.scan) if is_worth else [search.scan()]
    finally:
        search.blocks.clear()  # Threads end soon after an interrupt.
    _, place, exact = search.best(*map(np.concatenate, zip(*(best for best, _ in found))))
    shape = len(queries), k
    log_sums = None if slope is None else np.logaddexp.reduce(search.log_sums)
    error = max(error for _, error in found)
    return Best(exact.reshape(shape), numbers[place].reshape(shape), log_sums, error, margin)


class _Search:
    """A block of queries, and what the threads share.

    Attributes
    ----------
    floor : ndarray of shape (n_queries,)
        At least k documents score as much in the product. What another thread overwrites
        is a floor as well, only a lower one.
    exact_floor : ndarray of float64 of shape (n_queries,)
        At least k documents score as much in float64.
    """

    def __init__(self, queries, documents, k, margin, numbers, lines, slope):
        dtype = np.promote_types(documents.dtype, np.float32)
        self.queries, self.cast = queries, queries.astype(dtype)
        self.documents, self.k, self.numbers = documents, k, numbers
        self.lines, self.slope, self.margin = lines, slope, margin
        self.double_margin = DOUBLE_MARGIN * (1 if lines is None else max(lines.largest, 1))
        self.floor = np.full(len(queries), -np.inf, dtype)
        self.exact_floor = np.full(len(queries), -np.inf)

    def cut(self, size):
        """Cut the documents into blocks of at most `size`."""
        n_documents = len(self.documents)
        starts = range(0, n_documents, size)
        self.size = min(size, n_documents)
        self.blocks = deque((i, slice(a, min(a + size, n_documents))) for i, a in enumerate(starts))
        self.log_sums = np.empty((len(starts), len(self.queries)))

    def scan(self):
        """Score block after block until none is left.

        Returns
        -------
        best : tuple of ndarray
            As from `best`, for the blocks that this call took.
        error : float
        """
        candidates = _Candidates(self)
        n_queries, n_features = self.cast.shape
        scores = np.empty(n_queries * self.size, self.cast.dtype)
        is_narrow = self.documents.dtype != self.cast.dtype
        widened = np.empty((self.size, n_features), self.cast.dtype) if is_narrow else None
        while self.blocks:
            try:
                i, rows = self.blocks.popleft()
            except IndexError:  # Another thread took the last.
                break
            block = self.documents[rows]
            if is_narrow:
                block = _widened(block, widened[: len(block)])
            rough = scores[: n_queries * len(block)].reshape(n_queries, len(block))
            np.matmul(self.cast, block.T, out=rough)
            if self.lines is not None:
                scale, offset = self.lines.beside(rough, rows)
                rough *= scale
                rough += offset
            candidates.add(rough, rows)
            if self.slope is not None:
                self.log_sums[i] = _log_sums(rough, self.slope)
        candidates.settle()
        return candidates.settled, candidates.error

    def best(self, query, place, exact):
        """The k best of each query, sorted by (query, -score, number)."""
        order = np.lexsort((self.numbers[place], -exact, query))
        first = np.searchsorted(query[order], np.arange(len(self.queries)))
        rank = np.arange(len(order)) - first[query[order]]
        order = order[rank < self.k]
        return query[order], place[order], exact[order]


class _Candidates:
    """What one thread found: documents that may be among the best.

    Attributes
    ----------
    settled : tuple of ndarray
        Query, place of the document and exact score, as from `_Search.best`.
    error : float
        The largest difference seen between a score of the product and the exact one.
    """

    def __init__(self, search):
        self.search = search
        n_queries = len(search.queries)
        # Any two groups have different documents, so k of them give a floor.
        n_groups = min(max(N_GROUPS, N_GROUPS_OF_K * search.k), search.size)
        self.maxima = np.full((n_queries, n_groups), -np.inf, search.cast.dtype)
        self.waiting, self.n_waiting = [], 0
        self.settled = np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
        self.error = 0.0

    def add(self, rough, rows):
        """Look at the documents of a slice, whose scores are about `rough`."""
        crowd = CROWD * self.search.k * len(rough)
        is_near = self._near(rough)
        if np.count_nonzero(is_near) > crowd and rough.shape[1] >= self.maxima.shape[1]:
            np.maximum(self.maxima, group_maxima(rough, self.maxima.shape[1]), out=self.maxima)
            self._raise_floor()
            is_near = self._near(rough)
        if np.count_nonzero(is_near) > crowd:
            self._drop_repeats(is_near, rough, rows)
        if np.count_nonzero(is_near) > crowd:
            self._look_in_double(is_near, rows)
        query, place = np.divmod(np.flatnonzero(is_near), rough.shape[1])
        if not len(query):
            return
        score = rough[query, place]
        n_groups = self.maxima.shape[1]
        np.maximum.at(self.maxima.reshape(-1), query * n_groups + place % n_groups, score)
        self._raise_floor()
        self.waiting.append((query, place + rows.start, score))
        self.n_waiting += len(query)
        if self.n_waiting > max(MANY_WAITING, self.search.k * len(rough)):
            self.settle()

    def settle(self):
        """Score those that wait exactly, and keep the best."""
        if not self.waiting:
            return
        search = self.search
        query, place, rough = map(np.concatenate, zip(*self.waiting))
        self.waiting, self.n_waiting = [], 0
        near = rough >= (search.floor - search.margin)[query]
        query, place, rough = query[near], place[near], rough[near]
        if len(query) > CROWD * search.k * len(search.queries):
            places, at = np.unique(place, return_inverse=True)
            one = np.zeros(len(places), dtype=np.intp)
            scores = inner_products(search.queries, one, search.documents, places)
            keep = ~self._is_surplus(places, scores)[at]
            query, place, rough = query[keep], place[keep], rough[keep]
        exact = inner_products(search.queries, query, search.documents, place)
        if search.lines is not None:
            exact = exact * search.lines.scale[place] + search.lines.offset[place]
        self.error = max(self.error, np.max(np.abs(exact - rough), initial=0))
        found = zip(self.settled, (query, place, exact))
        self.settled = query, place, exact = search.best(*map(np.concatenate, found))
        full = np.bincount(query, minlength=len(search.queries)) == search.k
        last = exact[np.searchsorted(query, np.flatnonzero(full), side="right") - 1]
        search.floor[full] = np.maximum(search.floor[full], last)

    def _near(self, rough):
        return rough >= (self.search.floor - self.search.margin)[:, None]

    def _raise_floor(self):
        k = self.search.k
        if k <= self.maxima.shape[1]:
            floor = np.partition(self.maxima, -k, axis=1)[:, -k]
            np.maximum(self.search.floor, floor, out=self.search.floor)

    def _drop_repeats(self, is_near, rough, rows):
        """Leave the first k of equal documents: no other can be among the best."""
        places = np.flatnonzero(is_near.any(axis=0))
        # Equal documents have almost always equal scores; where not, fewer are dropped.
        crowded = np.count_nonzero(is_near, axis=1).argmax()
        keep = np.ones(rough.shape[1], dtype=bool)
        keep[places] = ~self._is_surplus(places + rows.start, rough[crowded, places])
        is_near &= keep

    def _is_surplus(self, places, scores):
        """Which documents have k equal ones before them, found among those of equal scores."""
        search = self.search
        order = np.lexsort((search.numbers[places], scores))
        places = places[order]
        number = search.numbers[places]
        repeats = _equal_to_last(search.documents, places)
        repeats[1:] &= number[1:] > number[:-1]
        if search.lines is not None:
            for line in (search.lines.scale[places], search.lines.offset[places]):
                repeats[1:] &= line[1:] == line[:-1]
        first = np.flatnonzero(~repeats)
        rank = np.arange(len(places)) - np.repeat(first, np.diff(first, append=len(places)))
        is_surplus = np.empty(len(places), dtype=bool)
        is_surplus[order] = rank >= search.k
        return is_surplus

    def _look_in_double(self, is_near, rows):
        """Leave what is near the k-th score in a float64 product."""
        search, k = self.search, self.search.k
        crowded = np.flatnonzero(np.count_nonzero(is_near, axis=1) > CROWD * k)
        places = np.flatnonzero(is_near[crowded].any(axis=0))
        scores = np.empty((len(crowded), len(places)))
        queries = search.queries[crowded]
        for start in range(0, len(places), ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            vectors = search.documents[rows][places[some]].astype(np.float64)
            scores[:, some] = queries @ vectors.T
        if search.lines is not None:
            scores *= search.lines.scale[rows][places]
            scores += search.lines.offset[rows][places]
        floor = np.partition(scores, -k, axis=1)[:, -k]
        floor = np.maximum(floor, search.exact_floor[crowded])
        search.exact_floor[crowded] = floor
        search.floor[crowded] = np.maximum(search.floor[crowded], floor)
        is_near[np.ix_(crowded, places)] &= scores >= floor[:, None] - search.double_margin


def _widened(narrow, out):
    """Write rows of float16, all finite, in a wider dtype: five times as fast as a cast."""
    if narrow.dtype != np.float16:
        np.copyto(out, narrow)
        return out
    # Sign, exponent and fraction go to their places; the exponent then counts from elsewhere.
    bits = out.view(np.int32)
    np.left_shift(narrow.view(np.int16), 13, out=bits, dtype=np.int32)
    bits &= np.int32(-0x70000001)
    out *= np.float32(2**112)
    return out


def _log_sums(rough, slope):
    """The logarithm of the sum of ``exp(slope * score)`` of each row, which is overwritten."""
    largest = rough.max(axis=1)
    rough -= largest[:, None]
    rough *= slope
    np.exp(rough, out=rough)
    sums = rough @ np.ones(rough.shape[1], rough.dtype)
    return np.log(sums, dtype=np.float64) + slope * largest.astype(np.float64)


def _equal_to_last(documents, places):
    """Whether each of some documents is, bit by bit, the one before it in that order."""
    equal = np.zeros(len(places), dtype=bool)
    is_slice = (np.diff(places) == 1).all()
    for start in range(0, len(places) - 1, COMPARED_AT_ONCE):
        some = places[start : start + COMPARED_AT_ONCE + 1]
        rows = documents[some[0] : some[-1] + 1] if is_slice else documents[some]
        rows = np.ascontiguousarray(rows)
        # The fewer and wider the numbers, the faster.
        bits = rows.view(np.uint64 if rows[0].nbytes % 8 == 0 else f"u{rows.itemsize}")
        same = bits[1:] == bits[:-1]
        equal[start + 1 : start + len(some)] = same.all() or same.all(axis=1)
    return equal

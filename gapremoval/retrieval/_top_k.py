"""Exact top k by inner product: approximate scores in blocks, the best rescored in float64."""

from collections import deque
from typing import NamedTuple

import numpy as np

from .._array_api import (
    array_namespace,
    as_slice,
    beside,
    is_on_accelerator,
    kth_largest,
    lexsort,
    namespace_and_device,
    row_sums,
    take_rows,
    to_double,
    to_numpy,
)
from .._threads import in_threads

# Twice the error bound of a matrix product of unit vectors: 5e-6 in float32 (at most 1e-6 was
# observed), 2**-10 where torch multiplies in TF32, 2**-7 in bfloat16.
MARGINS = (1e-5, 2**-9, 2**-6)

# An upper bound of the error of a float64 product of unit vectors, in both directions.
DOUBLE_MARGIN = 1e-12

# Below every score, the same number in float32, and above that of a document that is not live.
LOWEST = -(2.0**100)


class Steps(NamedTuple):
    """The sizes of the steps of a search.

    Attributes
    ----------
    queries : int
        Queries per step.
    scores, numbers : int
        Scores per block, and numbers (documents times features) that are read for them.
    pairs : int
        Numbers of documents that are multiplied exactly at once.
    few_scores : int
        Searches of at most this many scores, in numpy, take a path of fewer steps.
    worth_threads : int
        Threads start when at least this many numbers are read; 16 queries count twice as much
        as one.
    groups, groups_of_k : int
        The scores of a block are split into this many groups, or this many times k, whose
        maxima give a lower bound for the k-th score.
    crowd, crowded_block : int
        More than this many times k candidates per query are a crowd: they are narrowed down
        before they are scored exactly, in blocks of this many documents.
    gathered : int
        Numbers of a few documents that are copied together at once.
    copying : float
        What copying a document costs one query, over reading it. Its share of the time falls
        with the square root of the number of queries.
    """

    queries: int
    scores: int
    numbers: int
    pairs: int
    few_scores: int = 2**15
    worth_threads: int = 2**24
    groups: int = 256
    groups_of_k: int = 4
    crowd: int = 4
    crowded_block: int = 8192
    gathered: int = 2**20
    copying: float = 2.5


# In numpy, a block fits a cache, also where float16 is widened. An accelerator wants few and
# large steps: scores of 1 GiB in float32.
IN_NUMPY = Steps(256, 2**19, 2**24, 2**16)
IN_HALF = IN_NUMPY._replace(numbers=2**20, copying=0.3)
ON_HOST = Steps(256, 2**21, 2**22, 2**20)
ON_ACCELERATOR = Steps(2048, 2**28, 2**40, 2**24, gathered=2**26)


class TopK(NamedTuple):
    """The best documents for each query.

    Attributes
    ----------
    scores : ndarray of float64 of shape (n_queries, k)
        Descending.
    rows : ndarray of int of shape (n_queries, k)
        Rows of the documents; equal scores in ascending order.
    log_sums : ndarray of float64 of shape (n_queries,) or None
        The logarithm of the sum of ``exp(slope * score)`` over all live documents, within 1e-5.
    """

    scores: np.ndarray
    rows: np.ndarray
    log_sums: np.ndarray | None


def top_k(
    queries,
    documents,
    k,
    *,
    live=None,
    scale=None,
    offset=None,
    slope=None,
    without=None,
    steps=None,
):
    """The `k` best documents for each query: exact, and the same for any block size.

    Every document within 1e-5 of the k-th score of a matrix product is rescored in float64, row
    by row, and sorted by (-score, row). Equal documents are therefore in the order of their rows,
    and the answer to a query does not depend on the other queries, on the array library or on the
    device. Everything is computed on the device of the documents; candidates on MPS, which has
    no float64, are rescored on the host.

    In numpy, searches that take longer than a few milliseconds run in as many threads as BLAS
    may use. A single query starts no BLAS threads unless it reads much memory.

    Parameters
    ----------
    queries : array of shape (n_queries, n_features), floating
        Of any length but zero, from any array library.
    documents : array of shape (n_documents, n_features), float32 or float64
        Unit rows, from any library that follows the array API standard. In numpy also float16,
        which is multiplied in float32, and memory-mapped files, which are read in blocks.
    k : int
        At least 1 and at most the number of live documents.
    live : ndarray of bool of shape (n_documents,) or of int, default=None
        Mask of the documents to search, or their rows, ascending; all by default. Few documents
        are copied together, block by block; of many, all are read.
    scale, offset : ndarray of float64 of shape (n_documents,), default=None
        A score is ``scale * inner product + offset``.
    slope : float, default=None
        If given, the exponentials of ``slope * score`` are summed as well, which costs about
        a tenth of the product.
    without : ndarray of int of shape (n_queries,), default=None
        For each query the row of a document that is left out, or -1. Where `k` is the number of
        documents, it comes last, with score -inf.
    steps : Steps, default=None
        The sizes of the steps; by default those that suit the device of the documents.

    Returns
    -------
    TopK
    """
    steps = steps or _steps(documents)
    if live is not None:
        live = _few(live, documents.shape[0], queries.shape[0], steps)
    is_numpy, few = isinstance(documents, np.ndarray), None
    if is_numpy:
        documents = np.asarray(documents)
    if live is not None and live.dtype != bool:
        few, live = live, None
        scale, offset = (None if x is None else x[few] for x in (scale, offset))
        without = None if without is None else _places(without, few)
    n_queries, largest, shift = queries.shape[0], 1.0, offset
    if scale is not None:
        largest = max(float(np.max(scale) + np.max(np.abs(offset))), 1.0)
    if live is not None:
        shift = np.where(live, 0.0 if shift is None else shift, -np.inf)
    score_map = scale, offset, shift
    if not is_numpy:
        score_map = [None if x is None else to_double(x, documents) for x in score_map]
    chosen = few
    if few is not None and few.size * documents.shape[1] <= steps.gathered:
        documents, chosen = take_rows(documents, as_slice(few)), None
    n_documents = documents.shape[0] if chosen is None else chosen.size
    scores, rows = np.empty((n_queries, k)), np.empty((n_queries, k), dtype=np.intp)
    log_sums = None if slope is None else np.empty(n_queries)
    for start in range(0, n_queries, steps.queries):
        block = slice(start, start + steps.queries)
        unit = unit_queries(to_double(queries[block, ...], documents))
        out = None if without is None else beside(without[block], unit)
        is_short = is_numpy and chosen is None
        is_short = is_short and unit.shape[0] * n_documents <= steps.few_scores
        for margin in MARGINS:
            margin *= largest
            asked = unit, documents, k, margin, score_map, slope, out, steps
            found = (is_short and _best_of_few(*asked)) or _Search(*asked, live, chosen).best()
            # Detects a library that multiplies in lower precision.
            if found[2] <= margin / 2:
                break
        if not is_numpy:
            found = [x if x is None else to_numpy(x) for x in found]
        rows[block], scores[block] = found[:2]
        if slope is not None:
            log_sums[block] = found[3]
    if without is not None:
        scores[scores == LOWEST] = -np.inf
    return TopK(scores, rows if few is None else few[rows], log_sums)


def _few(live, n_documents, n_queries, steps):
    """The rows of few documents, which are faster to search when copied; a mask of many."""
    is_mask = live.dtype == bool
    n = np.count_nonzero(live) if is_mask else len(live)
    is_few = n * (1 + steps.copying / n_queries**0.5) < n_documents
    if is_few == is_mask:
        if is_few:
            return np.flatnonzero(live)
        rows, live = live, np.zeros(n_documents, dtype=bool)
        live[rows] = True
    return live


def _places(rows, among):
    """The places of rows in an ascending array, -1 where they are not in it."""
    at = np.minimum(np.searchsorted(among, rows), len(among) - 1)
    return np.where(among[at] == rows, at, -1)


class _Search:
    """The search of a block of queries, shared by the threads.

    Attributes
    ----------
    floor : array of shape (n_queries,)
        A lower bound of the k-th score, approximate or exact. Threads may overwrite it with each
        other's bound, which is valid as well, only lower.
    double_floor : array of float64 of shape (n_queries,) or None
        A lower bound of the k-th score of a float64 product.
    sums : dict of int to array of float64 of shape (n_queries,)
        The log sums of each block, by its first row.
    chosen : array of int or None
        The rows of few documents, which are then numbered in their order.
    """

    def __init__(
        self, queries, documents, k, margin, score_map, slope, without, steps, live, chosen
    ):
        self.xp, self.in_numpy = array_namespace(documents), isinstance(documents, np.ndarray)
        is_half = self.in_numpy and documents.dtype == np.float16
        self.queries, self.documents, self.k, self.margin = queries, documents, k, margin
        self.cast = beside(queries, documents, np.float32 if is_half else documents.dtype)
        self.chosen = None if chosen is None else beside(chosen, documents)
        self.n_documents = n = documents.shape[0] if chosen is None else chosen.size
        is_one, n_read = queries.shape[0] == 1, n * documents.shape[1]
        self.by_dots = self.in_numpy and is_one and (is_half or n_read <= steps.worth_threads)
        self.scale, self.offset, self.shift = score_map
        self.slope, self.sums, self.steps, self.without = slope, {}, steps, without
        self.floor, self.double_floor, self.is_new = 0 * self.cast[:, 0] + LOWEST, None, True
        self.n_groups = max(steps.groups, steps.groups_of_k * k)
        self.crowd = steps.crowd * k * queries.shape[0]
        n_queries, n_features = queries.shape
        smallest, numbers = steps.groups_of_k * k, steps.numbers
        if chosen is not None:
            numbers = min(numbers, steps.gathered)
        size = max(min(steps.scores // n_queries, numbers // n_features), smallest)
        if n > size:
            # Blocks of equal size, and equally many for each of two or four threads.
            size = max(-(-n // (4 * -(-n // (4 * size)))), smallest)
        self.size = size = min(size, n)
        blocks = (slice(start, min(start + size, n)) for start in range(0, n, size))
        self.blocks = deque(rows for rows in blocks if live is None or live[rows].any())

    def best(self):
        """The best documents.

        Returns
        -------
        rows, scores : array of shape (n_queries, k)
        error : float
            The largest difference between an approximate score and the exact one.
        log_sums : array of shape (n_queries,) or None
        """
        n_queries, n_features = self.queries.shape
        reads = self.n_documents * n_features * (1 + n_queries / 16)
        try:
            # One query over many documents is left to the threads of BLAS.
            if (
                self.in_numpy
                and reads > self.steps.worth_threads
                and (n_queries > 1 or self.by_dots)
            ):
                found = in_threads(self.scan, uses_blas=not self.by_dots)
            else:
                found = [self.scan()]
        finally:
            self.blocks.clear()  # After an interrupt, the threads end soon.
        found = [one for one in found if one.waiting]
        query, row, score = found[0].waiting[0]
        if len(found) > 1:
            query, row, score = map(self.xp.concat, zip(*(one.waiting[0] for one in found)))
            query, row, score, _ = self.ranked(query, row, score)
        error = max(float(error) for one in found for error in one.errors)
        shape = n_queries, self.k
        log_sums = None if self.slope is None else self._log_sums()
        return self.xp.reshape(row, shape), self.xp.reshape(score, shape), error, log_sums

    def scan(self):
        """Process blocks until none is left, and keep the best documents."""
        found = _Candidates(self)
        while self.blocks:
            try:
                rows = self.blocks.popleft()
            except IndexError:  # Another thread took the last block.
                break
            rough = found.rough_scores(rows)
            found.look(rough, rows)
            if self.slope is not None:
                self.sums[rows.start] = _log_sums(rough, self.slope, self.queries)
        if found.waiting:
            found.settle()
        return found

    def numbers_of(self, rows):
        """The rows in `documents` of some of the documents searched."""
        return rows if self.chosen is None else self.chosen[rows]

    def near(self, rough):
        """Mask of the scores that may be among the k best."""
        return rough >= (self.floor - self.margin)[:, None]

    def is_crowded(self, near):
        return int(self.xp.count_nonzero(near)) > self.crowd

    def raise_floor(self, floor):
        self.is_new = False
        self.floor = self.xp.maximum(self.floor, beside(floor, self.floor, self.floor.dtype))

    def ranked(self, query, row, score):
        """The k best candidates of each query by (query, -score, row), and the k-th scores."""
        xp, place = namespace_and_device(score)
        order = lexsort((row, -score, query))
        query, row, score = query[order], row[order], score[order]
        numbers, n = xp.arange(self.queries.shape[0], device=place), query.shape[0]
        first = xp.searchsorted(query, numbers)
        last = first + (self.k - 1)
        at = xp.where(last < n, last, 0)
        is_full = (last < n) & (query[at] == numbers)
        floor = xp.where(is_full, score[at], LOWEST)
        best = xp.arange(n, device=place) - first[query] < self.k
        return query[best], row[best], score[best], floor

    def _log_sums(self):
        sums, *more = (self.sums[start] for start in sorted(self.sums))
        for other in more:
            sums = self.xp.logaddexp(sums, other)
        return sums


class _Candidates:
    """The documents that may be among the best, as found by one thread.

    Attributes
    ----------
    waiting : list of tuple of array
        Query, document row and approximate score; after `settle` the exact score.
    errors : list of array of shape ()
        The largest differences between approximate and exact scores.
    """

    def __init__(self, search):
        self.search, self.waiting, self.n_waiting, self.errors = search, [], 0, []
        if search.in_numpy:
            cast, documents = search.cast, search.documents
            self.scores = np.empty((cast.shape[0] * search.size), cast.dtype)
            if search.chosen is not None:
                self.copied = np.empty((search.size, documents.shape[1]), documents.dtype)
            if documents.dtype != cast.dtype:
                self.wide = np.empty((search.size, documents.shape[1]), cast.dtype)

    def rough_scores(self, rows):
        """Approximate scores of a slice of the documents, by a product in their precision."""
        search = self.search
        block, out = self._vectors(search.numbers_of(rows)), None
        if search.in_numpy:
            shape = search.cast.shape[0], block.shape[0]
            out = self.scores[: shape[0] * shape[1]].reshape(shape)
            if block.dtype != search.cast.dtype:
                block = _widened(block, self.wide[: shape[1]])
        rough = _products(search.cast, block, search.by_dots, out)
        rough = _scaled_scores(rough, search.scale, search.shift, rows)
        if search.without is not None:
            column = beside(search.without, rough) - rows.start
            query = search.xp.nonzero((column >= 0) & (column < rough.shape[1]))[0]
            rough[query, column[query]] = LOWEST
        return rough

    def _vectors(self, rows):
        """A block of documents: a slice, or rows that are copied together."""
        documents = self.search.documents
        if not isinstance(rows, slice) and self.search.in_numpy:
            rows = as_slice(rows)
        if isinstance(rows, slice):
            return documents[rows, ...]
        if self.search.in_numpy:
            return documents.take(rows, axis=0, out=self.copied[: len(rows)], mode="clip")
        return self.search.xp.take(documents, rows, axis=0)

    def look(self, rough, rows):
        """Collect the documents of a slice that may be among the best."""
        search, xp, n = self.search, self.search.xp, rough.shape[1]
        near = search.near(rough)
        if search.is_new or search.is_crowded(near):
            if n >= search.k:
                search.raise_floor(_floor_under(rough, search.k, search.n_groups))
                near = search.near(rough)
            for leave in (self._first_of_equal, self._near_in_double):
                if search.is_crowded(near):
                    step = search.steps.crowded_block
                    if n > step:
                        for start in range(0, n, step):
                            part = slice(start, min(start + step, n))
                            where = slice(rows.start + part.start, rows.start + part.stop)
                            self.look(rough[:, part], where)
                        return
                    near = leave(near, rough, rows)
        at = xp.nonzero(xp.reshape(near, (-1,)))[0]
        query, column = at // n, at % n
        self.waiting.append((query, column + rows.start, rough[query, column]))
        self.n_waiting += query.shape[0]
        if self.n_waiting > search.crowd:
            self._tighten()
            if self.n_waiting > search.crowd / 2:
                self.settle()

    def _tighten(self):
        """Raise the floor to the k-th best approximate scores, and keep only what is near."""
        self.waiting = [self._near_floor()]
        if self.waiting[0][0].shape[0]:
            self.search.raise_floor(self.search.ranked(*self.waiting[0])[-1])
            self.waiting = [self._near_floor()]
        self.n_waiting = self.waiting[0][0].shape[0]

    def settle(self):
        """Score the waiting candidates exactly, and keep the best."""
        search, xp = self.search, self.search.xp
        query, row, rough = self._near_floor()
        if not query.shape[0]:
            self.waiting = []
            return
        query, row = beside(query, search.queries), beside(row, search.queries)
        at = search.numbers_of(row)
        exact = inner_products(search.queries, query, search.documents, at, search.steps)
        exact = _scaled_scores(exact, search.scale, search.offset, row)
        if search.without is not None:
            exact = xp.where(row == beside(search.without, row)[query], LOWEST, exact)
        self.errors.append(xp.max(xp.abs(exact - to_double(rough, search.queries))))
        *best, floor = search.ranked(query, row, exact)
        search.raise_floor(floor)
        self.waiting, self.n_waiting = [tuple(best)], best[0].shape[0]

    def _near_floor(self):
        """The waiting candidates of all blocks that may still be among the best."""
        query, row, score = self.waiting[0]
        if len(self.waiting) > 1:
            query, row, score = map(self.search.xp.concat, zip(*self.waiting))
        near = score >= (self.search.floor - self.search.margin)[query]
        return query[near], row[near], score[near]

    def _first_of_equal(self, near, rough, rows):
        """Keep the first k of equal documents: no other can be among the best.

        One more is kept where a query may leave one of them out.
        """
        search, xp = self.search, self.search.xp
        n_kept = search.k + (search.without is not None)
        column, at = _columns(near)
        # Equal documents almost always have equal scores and so are in the order of their rows;
        # where they are not, fewer are dropped.
        crowded = int(xp.argmax(xp.count_nonzero(near, axis=1)))
        order = xp.argsort(rough[crowded, :][column], stable=True)
        row = column[order] + rows.start
        vectors = xp.take(search.documents, search.numbers_of(row), axis=0)
        # Rounding can put later rows first.
        is_repeat = (row[1:] > row[:-1]) & xp.all(vectors[1:, ...] == vectors[:-1, ...], axis=1)
        if search.scale is not None:
            row = beside(row, search.queries)
            for line in (search.scale[row], search.offset[row]):
                is_repeat = is_repeat & beside(line[1:] == line[:-1], near)
        repeats = xp.cumulative_sum(xp.astype(is_repeat, xp.int64), include_initial=True)
        is_surplus = repeats[n_kept:] - repeats[:-n_kept] == n_kept
        keep = xp.concat([~xp.astype(repeats[:n_kept], xp.bool) | True, ~is_surplus])
        return near & keep[xp.argsort(order)][at]

    def _near_in_double(self, near, rough, rows):
        """Keep what is near the k-th score of a float64 product."""
        search, xp = self.search, self.search.xp
        column, at = _columns(near)
        row, scores = column + rows.start, []
        for some in _blocks_of_pairs(row, search.documents, search.steps):
            vectors = xp.take(search.documents, search.numbers_of(row[some]), axis=0)
            vectors = to_double(vectors, search.queries)
            scores.append(_products(search.queries, vectors, search.by_dots))
        row, scores = beside(row, search.queries), xp.concat(scores, axis=1)
        scores = _scaled_scores(scores, search.scale, search.offset, row)
        if search.without is not None:
            is_left_out = row[None, :] == beside(search.without, row)[:, None]
            scores = xp.where(is_left_out, LOWEST, scores)
        floor = kth_largest(scores, search.k)
        if search.double_floor is not None:
            floor = xp.maximum(floor, search.double_floor)
        search.double_floor = floor
        search.raise_floor(floor)
        margin = search.margin * DOUBLE_MARGIN / MARGINS[0]
        is_near = beside(scores >= (floor - margin)[:, None], near)
        return near & xp.take(is_near, at, axis=1)


def _best_of_few(queries, documents, k, margin, score_map, slope, without, steps):
    """`_Search.best` in numpy, in few steps; None if very many scores are near the k-th.

    Returns
    -------
    rows, scores, error, log_sums
    """
    (scale, offset, shift), n_queries = score_map, queries.shape[0]
    if documents.dtype == np.float16:
        documents = documents.astype(np.float32)
    cast = queries.astype(documents.dtype, copy=False)
    rough = _products(cast, documents, n_queries == 1)
    if scale is not None:
        rough *= scale
    if shift is not None:
        rough += shift
    if without is not None:
        query = np.flatnonzero(without >= 0)
        rough[query, without[query]] = LOWEST
    floor = kth_largest(rough, k) - margin
    query, row = (rough >= floor[:, None]).nonzero()
    if row.size > steps.crowd * k * n_queries:
        return None
    exact = inner_products(queries, query, documents, row)
    if scale is not None:
        exact = exact * scale[row] + offset[row]
    if without is not None:
        exact[without[query] == row] = LOWEST
    error = abs(exact - rough[query, row]).max()
    order = np.lexsort((row, -exact, query))
    first = query.searchsorted(np.arange(n_queries))
    best = order[first[:, None] + np.arange(k)]
    log_sums = None if slope is None else _log_sums(rough, slope, queries)
    return row[best], exact[best], error, log_sums


def inner_products(queries, query, documents, row, steps=None):
    """Float64 inner products of the given pairs, to the same digits everywhere."""
    if isinstance(documents, np.ndarray) and row.size * documents.shape[1] <= IN_NUMPY.pairs:
        return row_sums(documents[row].astype(np.float64) * queries[query])
    xp, place = namespace_and_device(queries)
    products = xp.empty(query.shape[0], dtype=xp.float64, device=place)
    row = beside(row, documents)
    for some in _blocks_of_pairs(row, documents, steps or _steps(documents)):
        pairs = to_double(xp.take(documents, row[some], axis=0), queries)
        products[some] = row_sums(pairs * xp.take(queries, query[some], axis=0))
    return products


def unit_queries(queries):
    """Queries in float64 at unit length, to the same digits in every library."""
    xp = array_namespace(queries)
    # Squares of numbers of at most one do not overflow.
    queries = queries / xp.max(xp.abs(queries), axis=1)[:, None]
    squares = row_sums(queries * queries)
    # The square roots of torch on the CPU differ in the last digit.
    return queries / beside(np.sqrt(to_numpy(squares)), squares)[:, None]


def _blocks_of_pairs(row, documents, steps):
    """Slices that split some documents into blocks."""
    step = max(steps.pairs // documents.shape[1], 1)
    return [slice(i, i + step) for i in range(0, row.shape[0], step)]


def _steps(documents):
    """The steps for the device and dtype of some documents."""
    if isinstance(documents, np.ndarray):
        return IN_HALF if documents.dtype == np.float16 else IN_NUMPY
    return ON_ACCELERATOR if is_on_accelerator(documents) else ON_HOST


def _scaled_scores(scores, scale, offset, rows):
    """Apply the scale and offset of some documents to their scores, in place."""
    if scale is not None:
        scores *= beside(scale[rows], scores, scores.dtype)
    if offset is not None:
        scores += beside(offset[rows], scores, scores.dtype)
    return scores


def _products(queries, documents, by_dots, out=None):
    """Inner products in the precision of the library; `by_dots` starts no BLAS threads."""
    xp = array_namespace(queries)
    if not isinstance(queries, np.ndarray):
        return xp.matmul(queries, xp.matrix_transpose(documents))
    if by_dots:
        return np.vecdot(queries[:, None], documents[None], out=out)
    return np.matmul(queries, documents.T, out=out)


def _floor_under(rough, k, n_groups):
    """A score that at least k documents reach, in each row of scores."""
    xp, (n_queries, n) = array_namespace(rough), rough.shape
    if n > 2 * n_groups:
        # The maxima of the groups are scores of different documents, and fewer to sort.
        rest = n % n_groups
        whole = xp.reshape(rough[:, : n - rest], (n_queries, -1, n_groups))
        maxima = xp.max(whole, axis=1)
        maxima[:, :rest] = xp.maximum(maxima[:, :rest], rough[:, n - rest :])
        rough = maxima
    return kth_largest(rough, k)


def _columns(mask):
    """The columns in which a mask is true anywhere, and each column's index among them."""
    xp = array_namespace(mask)
    some = xp.any(mask, axis=0)
    at = xp.cumulative_sum(xp.astype(some, xp.int64)) - 1
    return xp.nonzero(some)[0], xp.where(some, at, 0)


def _log_sums(rough, slope, queries):
    """The logarithm of each row's sum of ``exp(slope * score)``. Overwrites the scores."""
    xp = array_namespace(rough)
    largest = xp.max(rough, axis=1)
    rough -= largest[:, None]
    rough *= slope
    sums = xp.log(to_double(xp.sum(xp.exp(rough), axis=1), queries))
    return sums + slope * to_double(largest, queries)


def _widened(narrow, out):
    """Convert finite float16 rows to float32, five times as fast as a cast."""
    # Shift sign, exponent and fraction to their float32 bits, then correct the exponent's bias.
    bits = out.view(np.int32)
    np.left_shift(narrow.view(np.int16), 13, out=bits, dtype=np.int32)
    bits &= np.int32(-0x70000001)
    out *= np.float32(2**112)
    return out

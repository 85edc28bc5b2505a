"""Exact top k by inner product: a blocked GEMM, rescored so that ties are decided on purpose."""

from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_numpy_array

from .._array_api import (
    beside,
    is_on_accelerator,
    kth_largest,
    lexsort,
    namespace_and_device,
    to_double,
    to_numpy,
)
from ._exact_numpy import numpy_top_k
from ._rescoring import Lines, group_maxima, inner_products

# Twice what a GEMM over unit vectors may be off: 5e-6 in float32 (no more than 1e-6 was
# seen), 2**-10 where torch was told to multiply in TF32, 2**-7 in bfloat16.
MARGINS = (1e-5, 2**-9, 2**-6)

QUERY_BLOCK = 256
DOCUMENT_BLOCK = 8192

# An accelerator wants few and large steps: scores of 1 GiB in float32.
ACCELERATOR_QUERY_BLOCK = 2048
ACCELERATOR_SCORES = 2**28

# About so many documents share a maximum, by which most are ruled out together.
GROUP_SIZE = 64

# More candidates than this are not held at once; only near-equal documents come to so many.
MANY_CANDIDATES = 2**22


class TopK(NamedTuple):
    """The best documents for each query.

    Attributes
    ----------
    scores : ndarray of float64 of shape (n_queries, k)
        Descending.
    indices : ndarray of int of shape (n_queries, k)
        Document numbers; equal scores in ascending order.
    log_sums : ndarray of float64 of shape (n_queries,) or None
        The logarithm of the sum of ``exp(slope * score)`` over all documents, to about 1e-5.
    """

    scores: np.ndarray
    indices: np.ndarray
    log_sums: np.ndarray | None


def top_k(queries, documents, k, *, numbers=None, scale=None, offset=None, slope=None):
    """The `k` best documents for each query: exact, and the same for any block size.

    Whatever comes within 1e-5 of the k-th score in the GEMM is scored again in float64,
    row by row, and sorted by (-score, document number). So equal documents come in their
    own order, and a query's answer does not depend on the other queries, on the array
    library or on the device. All is computed where the documents lie; on MPS, which has no
    float64, candidates are scored again on the host.

    In numpy, searches that take longer than a few milliseconds run in as many threads as BLAS
    may use, with one BLAS thread each.

    Parameters
    ----------
    queries : array of shape (n_queries, n_features), float32 or float64
        Of unit length; of the library of `documents`.
    documents : array of shape (n_documents, n_features), float32 or float64
        Of unit length; of any library that follows the array API standard. In numpy float16
        too, which is multiplied in float32, and memory-mapped files, read block by block.
    k : int
        At least 1 and at most `n_documents`.
    numbers : ndarray of int of shape (n_documents,), default=None
        The documents' numbers, by which ties are decided; by default their positions.
    scale, offset : ndarray of float64 of shape (n_documents,), default=None
        Makes a score ``scale * inner product + offset``.
    slope : float, default=None
        If given, exponentials of the scores are summed up as well, which costs about a
        tenth of the product.

    Returns
    -------
    TopK
    """
    n_queries, n_documents = queries.shape[0], documents.shape[0]
    numbers = np.arange(n_documents) if numbers is None else numbers
    lines = None if scale is None else Lines(scale, offset)
    queries = to_double(queries, documents)
    scores, indices = np.empty((n_queries, k)), np.empty((n_queries, k), dtype=np.intp)
    log_sums = None if slope is None else np.empty(n_queries)
    step = ACCELERATOR_QUERY_BLOCK if is_on_accelerator(documents) else QUERY_BLOCK
    numbers = beside(numbers, queries)
    search = numpy_top_k if is_numpy_array(documents) else _top_k_of_block
    for start in range(0, n_queries, step):
        rows = slice(start, min(start + step, n_queries))
        for margin in MARGINS:
            margin = margin if lines is None else margin * max(lines.largest, 1)
            best = search(queries[rows, ...], documents, k, margin, numbers, lines, slope)
            # A library that was told to multiply in lower precision is found out here.
            if float(best.error) <= best.margin / 2:
                break
        scores[rows], indices[rows] = to_numpy(best.scores), to_numpy(best.numbers)
        if slope is not None:
            log_sums[rows] = to_numpy(best.log_sums)
    return TopK(scores, indices, log_sums)


def _top_k_of_block(queries, documents, k, margin, numbers, lines, slope):
    """`top_k` for a block of queries, as a `_Best`; `numpy_top_k` does it for numpy."""
    xp = array_namespace(documents)
    best = _Best(queries, k, margin, numbers, lines, slope)
    cast = beside(queries, documents, documents.dtype)
    on_accelerator = is_on_accelerator(documents)
    step = max(ACCELERATOR_SCORES // queries.shape[0], 1) if on_accelerator else DOCUMENT_BLOCK
    n_documents = documents.shape[0]
    for start in range(0, n_documents, step):
        rows = slice(start, min(start + step, n_documents))
        block = documents[rows, ...]
        rough = xp.matmul(cast, xp.matrix_transpose(block))
        if lines is not None:
            scale, offset = lines.beside(rough, rows)
            rough *= scale[None, :]
            rough += offset[None, :]
        best.add(block, rough, start)
        if slope is not None:
            best.add_up(rough)
    return best


class _Best:
    """The exact best so far for a block of queries, while documents go by.

    Attributes
    ----------
    scores, numbers : array of shape (n_queries, min(k, documents so far))
        Sorted by (-score, number).
    error : array of shape ()
        The largest difference seen between a score of the GEMM and the exact one.
    log_sums : array of shape (n_queries,)
        Of the exponentials of `slope` times the scores that were added up.
    """

    def __init__(self, queries, k, margin, document_numbers, lines, slope):
        xp, place = namespace_and_device(queries)
        self.queries, self.k, self.margin = queries, k, margin
        self.document_numbers, self.slope = document_numbers, slope
        self.lines = None if lines is None else tuple(lines.beside(queries))
        self.log_sums = xp.full(queries.shape[0], -xp.inf, dtype=xp.float64, device=place)
        self.scores = xp.empty((queries.shape[0], 0), dtype=xp.float64, device=place)
        self.numbers = xp.empty((queries.shape[0], 0), dtype=xp.int64, device=place)
        self.error = xp.zeros((), dtype=xp.float64, device=place)

    def add(self, documents, rough, first):
        """Look at documents numbered from `first`, whose scores are about `rough`."""
        xp, place = namespace_and_device(rough)
        n_documents = rough.shape[1]
        # At least k groups, so that k documents reach the k-th largest maximum.
        n_groups = max(n_documents // GROUP_SIZE, min(n_documents, 4 * self.k))
        maxima = group_maxima(rough, n_groups)
        floor = kth_largest(maxima, min(self.k, n_groups))
        if self.scores.shape[1] == self.k:
            floor = xp.maximum(floor, beside(self.scores[:, -1], rough, rough.dtype))
        floor = floor - self.margin
        query, group = xp.nonzero(maxima >= floor[:, None])
        depth = -(-n_documents // n_groups)
        if query.shape[0] * depth > MANY_CANDIDATES and n_documents > 1:
            half = n_documents // 2
            self.add(documents[:half, ...], rough[:, :half], first)
            self.add(documents[half:, ...], rough[:, half:], first + half)
            return
        member = group[:, None] + n_groups * xp.arange(depth, device=place)[None, :]
        exists = member < n_documents
        scores = rough[query[:, None], xp.where(exists, member, group[:, None])]
        hit, at = xp.nonzero(exists & (scores >= xp.take(floor, query)[:, None]))
        if hit.shape[0]:
            self._merge(documents, xp.take(query, hit), member[hit, at], scores[hit, at], first)

    def _merge(self, documents, query, document, rough, first):
        """Score candidates exactly, and keep the best."""
        xp, place = namespace_and_device(self.queries)
        n_queries, width = self.scores.shape
        query, place_of = beside(query, self.queries), beside(document, self.queries) + first
        exact = inner_products(self.queries, query, documents, document)
        if self.lines is not None:
            scale, offset = self.lines
            exact = exact * xp.take(scale, place_of) + xp.take(offset, place_of)
        number = xp.take(self.document_numbers, place_of)
        off = xp.max(xp.abs(exact - beside(rough, exact, xp.float64)))
        self.error = xp.maximum(self.error, off)
        numbered = xp.arange(n_queries, device=place)
        before = xp.reshape(xp.broadcast_to(numbered[:, None], (n_queries, width)), (-1,))
        query = xp.concat([before, query])
        exact = xp.concat([xp.reshape(self.scores, (-1,)), exact])
        number = xp.concat([xp.reshape(self.numbers, (-1,)), number])
        order = lexsort((number, -exact, query))
        start = xp.searchsorted(xp.take(query, order), numbered)
        keep = min(self.k, width + documents.shape[0])
        best = start[:, None] + xp.arange(keep, device=place)[None, :]
        best = xp.take(order, xp.reshape(best, (-1,)))
        self.scores = xp.reshape(xp.take(exact, best), (n_queries, keep))
        self.numbers = xp.reshape(xp.take(number, best), (n_queries, keep))

    def add_up(self, rough):
        """Add the exponentials of `slope` times some scores, which are overwritten."""
        xp = array_namespace(rough)
        largest = xp.max(rough, axis=1)
        rough -= largest[:, None]
        rough *= self.slope
        sums = xp.log(beside(xp.sum(xp.exp(rough), axis=1), self.queries, xp.float64))
        sums = sums + self.slope * beside(largest, self.queries, xp.float64)
        self.log_sums = xp.logaddexp(self.log_sums, sums)

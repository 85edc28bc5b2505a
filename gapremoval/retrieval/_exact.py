"""Exact top k by inner product: a blocked GEMM, rescored so that ties are decided on purpose."""

import numpy as np

from .._array_api import row_blocks

# Rounding of a GEMM over unit vectors stays well below this, in float32 too.
MARGIN = 1e-5

QUERY_BLOCK = 256
DOCUMENT_BLOCK = 8192


def top_k(queries, documents, k):
    """The `k` best documents for each query: exact, and the same for any block size.

    Whatever comes within 1e-5 of the k-th score in the GEMM is scored again in float64,
    row by row, and sorted by (-score, document number). So equal documents come in their
    own order, and a query's answer does not depend on the other queries.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_features), float32 or float64
        Of unit length.
    documents : ndarray of shape (n_documents, n_features), float32 or float64
        Of unit length.
    k : int
        At least 1 and at most `n_documents`.

    Returns
    -------
    scores : ndarray of float64 of shape (n_queries, k)
        Inner products, descending.
    indices : ndarray of int of shape (n_queries, k)
        Document numbers; equal scores in ascending order.
    """
    scores = np.empty((len(queries), k))
    indices = np.empty((len(queries), k), dtype=np.intp)
    for start in range(0, len(queries), QUERY_BLOCK):
        rows = slice(start, start + QUERY_BLOCK)
        scores[rows], indices[rows] = _top_k_of_block(queries[rows], documents, k)
    return scores, indices


def _top_k_of_block(queries, documents, k):
    """`top_k` for a block of queries, keeping the exact best so far from block to block."""
    scores, indices = np.empty((len(queries), 0)), np.empty((len(queries), 0), dtype=np.intp)
    cast = queries.astype(documents.dtype, copy=False)
    for start in range(0, len(documents), DOCUMENT_BLOCK):
        block = documents[start : start + DOCUMENT_BLOCK]
        rough = cast @ block.T
        within = min(k, len(block))
        floor = np.partition(rough, -within, axis=1)[:, -within]
        if scores.shape[1] == k:
            floor = np.maximum(floor, scores[:, -1])
        query, document = np.nonzero(rough >= (floor - MARGIN)[:, None])
        exact = _inner_products(queries, query, block, document)
        merged = _merge(scores, indices, query, exact, document + start, k)
        scores, indices = merged
    return scores, indices


def _inner_products(queries, query, documents, document):
    """Float64 inner products of the given pairs, each computed the same way everywhere."""
    products = np.empty(len(query))
    for rows in row_blocks(np.broadcast_to(products[:, None], (len(query), queries.shape[1]))):
        left = queries[query[rows]].astype(np.float64)
        right = documents[document[rows]].astype(np.float64)
        products[rows] = np.einsum("ij,ij->i", left, right)
    return products


def _merge(scores, indices, query, new_scores, new_indices, k):
    """Keep the best `k` a query of those so far and the new ones, by (-score, number)."""
    n_queries, width = scores.shape
    query = np.concatenate([np.repeat(np.arange(n_queries), width), query])
    new_scores = np.concatenate([scores.ravel(), new_scores])
    new_indices = np.concatenate([indices.ravel(), new_indices])
    order = np.lexsort((new_indices, -new_scores, query))
    counts = np.bincount(query, minlength=n_queries)
    keep = min(k, counts.min())
    first = np.cumsum(counts) - counts
    best = order[first[:, None] + np.arange(keep)]
    return new_scores[best], new_indices[best]

"""What every exact search shares: group maxima, exact inner products, lines of documents."""

import numpy as np
from array_api_compat import array_namespace

from .._array_api import beside, namespace_and_device, row_blocks, row_sums, to_double


class Lines:
    """A scale and an offset for each document, in the precision that is asked for."""

    def __init__(self, scale, offset):
        self.scale, self.offset = scale, offset
        self.largest = float(np.max(scale) + np.max(np.abs(offset)))

    def beside(self, like, documents=slice(None)):
        """Those of some documents, beside an array and in its dtype."""
        return (beside(x[documents], like, like.dtype) for x in (self.scale, self.offset))


def group_maxima(rough, n_groups):
    """The largest of every n_groups-th score: shape (n_queries, n_groups)."""
    xp = array_namespace(rough)
    n_queries, n_documents = rough.shape
    rest = n_documents % n_groups
    whole = xp.reshape(rough[:, : n_documents - rest], (n_queries, -1, n_groups))
    maxima = xp.max(whole, axis=1)
    if rest:
        maxima[:, :rest] = xp.maximum(maxima[:, :rest], rough[:, n_documents - rest :])
    return maxima


def inner_products(queries, query, documents, document):
    """Float64 inner products of the given pairs, each computed the same way everywhere."""
    xp, place = namespace_and_device(queries)
    products = xp.empty(query.shape[0], dtype=xp.float64, device=place)
    pairs = xp.broadcast_to(products[:, None], (query.shape[0], queries.shape[1]))
    for rows in row_blocks(pairs):
        right = to_double(xp.take(documents, document[rows], axis=0), queries)
        products[rows] = row_sums(xp.take(queries, query[rows], axis=0) * right)
    return products

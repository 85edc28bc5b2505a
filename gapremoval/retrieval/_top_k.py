"""temporary"""

from collections import namedtuple

import numpy as np

from .._array_api import take_rows, to_double, unit_rows
from ._exact import top_k as old

TopK = namedtuple("TopK", "scores rows log_sums")


def top_k(queries, documents, k, *, live=None, scale=None, offset=None, slope=None):
    queries = unit_rows(to_double(queries, documents))[0]
    if live is not None:
        rows = np.flatnonzero(live)
        found = old(
            queries,
            take_rows(documents, rows),
            k,
            scale=None if scale is None else scale[rows],
            offset=None if offset is None else offset[rows],
            slope=slope,
        )
        return TopK(found[0], rows[found[1]], found[2])
    return TopK(*old(queries, documents, k, scale=scale, offset=offset, slope=slope))

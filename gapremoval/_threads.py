"""Threads over pieces of an array: numpy lets other threads run while it computes."""

import os
from concurrent.futures import ThreadPoolExecutor

import joblib

# More do not make memory faster, and each holds a block or two.
MAX_THREADS = 4


def n_threads():
    """The cores this process may use; fewer where OMP_NUM_THREADS says so, as in joblib workers."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    allowed = int(limit) if limit.isdigit() and int(limit) else MAX_THREADS
    return min(joblib.cpu_count(), allowed, MAX_THREADS)


def threaded_map(function, pieces):
    """Yield the result of each piece in the order given, whatever the number of threads.

    An error is that of the first piece that has one; the pieces not yet begun are dropped.
    """
    count = min(n_threads(), len(pieces))
    if count < 2:
        yield from map(function, pieces)
        return
    with ThreadPoolExecutor(count) as pool:
        yield from pool.map(function, pieces)

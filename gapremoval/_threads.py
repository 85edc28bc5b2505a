"""Threads: how many there may be, and how they share the work with those of BLAS."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Lock

import joblib
from threadpoolctl import ThreadpoolController

# More threads than this do not make a pass over memory faster, and each holds a block or two.
MAX_PASSES = 4


def n_threads():
    """Number of threads: the fewest that the processor, BLAS and OMP_NUM_THREADS allow.

    Workers of joblib are limited by the last two. What BLAS may use is its limit in force, but
    for our own: see `in_threads`.
    """
    with _threads.lock:
        if _threads.n_users:
            return _threads.count
        limit = os.environ.get("OMP_NUM_THREADS", "")
        limits = [int(limit)] if limit.isdigit() and int(limit) else []
        return min([joblib.cpu_count(), *limits, *_blas_limits()])


def threaded_map(function, pieces):
    """Yield the result of each piece in the order given, whatever the number of threads.

    An error is that of the first piece that has one; the pieces not yet begun are dropped.
    """
    count = min(n_threads(), MAX_PASSES, len(pieces)) if len(pieces) > 1 else 1
    if count < 2:
        yield from map(function, pieces)
        return
    with ThreadPoolExecutor(count) as pool:
        yield from pool.map(function, pieces)


def in_threads(work, *, uses_blas=True):
    """Call `work()` in each of several threads at once; in the calling one if there is one only.

    Parameters
    ----------
    work : callable
        Without parameters; the calls share out what is to be done.
    uses_blas : bool, default=True
        Whether to limit BLAS to one thread meanwhile, in the whole process. Concurrent calls
        share the threads, and the last to end restores the limit, after an interrupt too.
        If not, the calling thread is one of those that work.

    Returns
    -------
    list
        What each call returned.
    """
    count, found = n_threads(), None
    if count > 1 and uses_blas:
        # An interrupt reaches the calling thread only, not the one that ends the limit.
        found = _threads.waiters.submit(_threads.limited, work, count).result()
    elif count > 1:
        # To work here too takes much less time than to wait.
        calls = [_threads.pool(count - 1).submit(work) for _ in range(count - 1)]
        found = [work(), *(call.result() for call in calls)]
    return [work()] if found is None else found


class _Threads:
    """The threads of this process, and the limit of BLAS while they use it.

    The limit holds for the whole process, so two users that each saved and restored it would
    leave it at one: users are counted, and only the first saves it. threadpoolctl lets one
    thread at a time set it, so one thread sets and restores it for all. Where another holds
    it, BLAS keeps its own threads and there are none of ours.
    """

    def __init__(self):
        self.lock, self.n_users, self.count, self.limit = Lock(), 0, 1, None
        self.pool = cache(lambda n: ThreadPoolExecutor(n, "gapremoval", _limit_this_thread))
        self.waiters = ThreadPoolExecutor(2**20, "gapremoval-wait")
        self.keeper = ThreadPoolExecutor(1, "gapremoval-limit")

    def limited(self, work, count):
        """What `work` returns in each thread, with BLAS limited to one; None where it cannot be."""
        with self.lock:
            self.n_users += 1
            if self.n_users == 1:
                self.count = count
                self.keeper.submit(self._limit_blas).result()
        try:
            if self.count < 2:
                return None
            calls = [self.pool(self.count).submit(work) for _ in range(self.count)]
            wait(calls)
            return [call.result() for call in calls]
        finally:
            with self.lock:
                self.n_users -= 1
                if self.n_users == 0:
                    self.keeper.submit(self._restore_blas).result()

    def _limit_blas(self):
        self.limit = _blas().limit(limits=1).__enter__()
        if max(_blas_limits(), default=2) > 1:
            self._restore_blas()
            self.count = 1

    def _restore_blas(self):
        limit, self.limit = self.limit, None
        if limit is not None:
            limit.__exit__(None, None, None)

    def start_anew(self):
        """In a forked child: none of the threads is there, and none of their users."""
        limit = self.limit
        self.__init__()
        self.limit = limit
        self.keeper.submit(self._restore_blas).result()


@cache  # To look for the library takes longer than a small search.
def _blas():
    """The BLAS that came with numpy, or all there are, where it came from elsewhere."""
    blas = ThreadpoolController().select(user_api="blas")
    folders = "numpy.libs", ".dylibs"
    paths = [library["filepath"] for library in blas.info()]
    bundled = [path for path in paths if "numpy" in path and any(x in path for x in folders)]
    return blas.select(filepath=bundled) if bundled else blas


def _blas_limits():
    return [library["num_threads"] for library in _blas().info()]


def _limit_this_thread():
    """Limit BLAS where the limit is one of each thread."""
    _blas().select(threading_layer="openmp").limit(limits=1, user_api="blas")


_threads = _Threads()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _threads.lock.acquire(),
        after_in_parent=lambda: _threads.lock.release(),
        after_in_child=_threads.start_anew,
    )

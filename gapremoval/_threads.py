"""The number of threads, and the limit of BLAS threads while ours run."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Lock

import joblib
from threadpoolctl import ThreadpoolController

# More threads do not make a pass over memory faster, and each holds a block or two.
MAX_PASSES = 4


def n_threads():
    """The number of threads: the minimum of processors, BLAS threads and OMP_NUM_THREADS.

    joblib limits its workers by the last two. The number of BLAS threads is the limit in force,
    not counting the limit that `in_threads` sets.
    """
    with _threads.lock:
        if _threads.n_users:
            return _threads.count
        limit = os.environ.get("OMP_NUM_THREADS", "")
        limits = [int(limit)] if limit.isdigit() and int(limit) else []
        return min([joblib.cpu_count(), *limits, *_blas_limits()])


def threaded_map(function, pieces):
    """Like ``map``, in threads: yield the result of each piece in order.

    Raises the error of the first piece that failed; pieces that have not begun are dropped.
    """
    count = min(n_threads(), MAX_PASSES, len(pieces)) if len(pieces) > 1 else 1
    if count < 2:
        yield from map(function, pieces)
        return
    with ThreadPoolExecutor(count) as pool:
        yield from pool.map(function, pieces)


def in_threads(work, *, uses_blas=True):
    """Call `work()` in several threads at once, or in the calling thread if there is only one.

    Parameters
    ----------
    work : callable
        A function without parameters; its calls divide the work among themselves.
    uses_blas : bool, default=True
        Whether `work` calls BLAS, which is then limited to one thread in the whole process.
        Concurrent calls share the threads, and the last one restores the limit, also after an
        interrupt. If False, the calling thread takes part in the work.

    Returns
    -------
    list
        The result of each call.
    """
    count, found = n_threads(), None
    if count > 1 and uses_blas:
        # An interrupt reaches only the calling thread, not the one that restores the limit.
        found = _threads.waiters.submit(_threads.limited, work, count).result()
    elif count > 1:
        # Working here as well takes much less time than waiting.
        calls = [_threads.pool(count - 1).submit(work) for _ in range(count - 1)]
        found = [work(), *(call.result() for call in calls)]
    return [work()] if found is None else found


class _Threads:
    """The threads of this process, and the limit of BLAS threads while they run.

    The limit is process-wide. Two callers that each saved and restored it could leave it at
    one, so callers are counted, and only the first one saves it. threadpoolctl accepts a limit
    from one thread at a time, so a single thread sets and restores it for all. If another
    library holds the limit, BLAS keeps its threads and ours do not start.
    """

    def __init__(self):
        self.lock, self.n_users, self.count, self.limit = Lock(), 0, 1, None
        self.pool = cache(lambda n: ThreadPoolExecutor(n, "gapremoval", _limit_this_thread))
        self.waiters = ThreadPoolExecutor(2**20, "gapremoval-wait")
        self.keeper = ThreadPoolExecutor(1, "gapremoval-limit")

    def limited(self, work, count):
        """The results of `work` in each thread, with one BLAS thread; None if BLAS has no limit."""
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
        """Reset in a forked child, where neither the threads nor their callers exist."""
        limit = self.limit
        self.__init__()
        self.limit = limit
        self.keeper.submit(self._restore_blas).result()


@cache  # Finding the library takes longer than a small search.
def _blas():
    """The BLAS bundled with numpy, or every BLAS if numpy bundles none."""
    blas = ThreadpoolController().select(user_api="blas")
    folders = "numpy.libs", ".dylibs"
    paths = [library["filepath"] for library in blas.info()]
    bundled = [path for path in paths if "numpy" in path and any(x in path for x in folders)]
    return blas.select(filepath=bundled) if bundled else blas


def _blas_limits():
    return [library["num_threads"] for library in _blas().info()]


def _limit_this_thread():
    """Limit a BLAS with OpenMP, whose limit is set per thread."""
    _blas().select(threading_layer="openmp").limit(limits=1, user_api="blas")


_threads = _Threads()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _threads.lock.acquire(),
        after_in_parent=lambda: _threads.lock.release(),
        after_in_child=_threads.start_anew,
    )

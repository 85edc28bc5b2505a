"""Threads that work with one BLAS thread each, as many as BLAS may use here."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Lock

import joblib
from threadpoolctl import ThreadpoolController


def in_threads(work):
    """Call `work()` in each of several threads at once.

    There are as many as the limit of BLAS in force and the processor allow; with a limit of
    one, as in a worker of joblib, the calling thread does it. Meanwhile BLAS is limited to
    one thread, in the whole process; concurrent calls share the threads, and the last to
    end restores the limit.

    Parameters
    ----------
    work : callable
        Without parameters; the calls share out what is to be done.

    Returns
    -------
    list
        What each call returned.
    """
    with _threads.borrowed() as (pool, n_threads):
        if n_threads < 2:
            return [work()]
        calls = [pool.submit(work) for _ in range(n_threads)]
        wait(calls)
        return [call.result() for call in calls]


class _Threads:
    """The threads of this process, and the limit of BLAS while they are in use.

    The limit holds for the whole process, so two users that each saved and restored it would
    leave it at one: the users are counted, and only the first saves it. threadpoolctl lets
    one thread at a time set it, so one thread sets and restores it for all. Where another
    holds it, BLAS keeps its own threads and there are none of ours.
    """

    def __init__(self):
        self.lock = Lock()
        self.n_users, self.n_threads = 0, 1
        self.blas = self.limit = self.pool = None
        self.keeper = ThreadPoolExecutor(1, "gapremoval-limit")

    @contextmanager
    def borrowed(self):
        """The pool and its number of threads, while BLAS has one thread."""
        with self.lock:
            if self.n_users == 0:
                self._limit_blas()
            self.n_users += 1
            borrowed = self.pool, self.n_threads
        try:
            yield borrowed
        finally:
            with self.lock:
                self.n_users -= 1
                if self.n_users == 0:
                    self._restore_blas()

    def _limit_blas(self):
        # To look for the library takes longer than a small search.
        self.blas = self.blas or _blas_of_numpy()
        before = self.n_threads
        self.n_threads = min([*self._limits(), joblib.cpu_count()]) if self._limits() else 1
        if self.n_threads > 1:
            if self.pool is None or self.n_threads != before:
                self.pool = ThreadPoolExecutor(self.n_threads, "gapremoval", self._limit_own)
            self.limit = self.keeper.submit(self._held_limit).result()
            if max(self.keeper.submit(self._limits).result()) > 1:
                self._restore_blas()
                self.n_threads = 1

    def _limits(self):
        return [library["num_threads"] for library in self.blas.info()]

    def _held_limit(self):
        return self.blas.limit(limits=1).__enter__()

    def _limit_own(self):
        """Limit this thread, where the limit is one of each thread."""
        self.blas.select(threading_layer="openmp").limit(limits=1, user_api="blas")

    def _restore_blas(self):
        if self.limit is not None:
            self.keeper.submit(self.limit.__exit__, None, None, None).result()
            self.limit = None

    def start_anew(self):
        """In a forked child: none of the threads is there, and none of their users."""
        limit = self.limit
        self.__init__()
        if limit is not None:
            self.keeper.submit(limit.__exit__, None, None, None).result()


def _blas_of_numpy():
    """The BLAS that came with numpy, or all there are, where it came from elsewhere."""
    blas = ThreadpoolController().select(user_api="blas")
    folders = "numpy.libs", ".dylibs"
    paths = [library["filepath"] for library in blas.info()]
    bundled = [path for path in paths if "numpy" in path and any(x in path for x in folders)]
    return blas.select(filepath=bundled) if bundled else blas


_threads = _Threads()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _threads.lock.acquire(),
        after_in_parent=lambda: _threads.lock.release(),
        after_in_child=_threads.start_anew,
    )

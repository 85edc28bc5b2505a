"""How many threads, one BLAS thread each, a limit that is restored, and forks."""

import linecache
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import joblib
import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from gapremoval import EmbeddingArray, MixedModalityRetriever, _threads
from gapremoval._threads import in_threads, n_threads
from gapremoval.retrieval import _top_k
from gapremoval.retrieval._top_k import top_k


def blas_limits():
    """How many threads the BLAS of numpy may use; empty where it cannot be told."""
    libraries = ThreadpoolController().select(user_api="blas").info()
    return {x["num_threads"] for x in libraries if "numpy" in x["filepath"]}


@contextmanager
def blas_limit(n_threads):
    """Limit BLAS from a thread that ends, as threadpoolctl heeds but one living thread."""

    def change(action):
        with ThreadPoolExecutor(1) as other:
            return other.submit(action).result()

    limit = change(lambda: threadpool_limits(n_threads, user_api="blas"))
    assert blas_limits() == {n_threads}
    try:
        yield
    finally:
        change(limit.restore_original_limits)


needs_blas = pytest.mark.skipif(not blas_limits(), reason="threadpoolctl knows no BLAS here")


@pytest.fixture(autouse=True)
def no_limit_in_the_environment(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def two_threads(monkeypatch):
    """A processor of four cores, of which BLAS may use two."""
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    with blas_limit(2):
        yield


LARGE = {"n_documents": 17_000, "n_queries": 256, "n_features": 64}  # for which threads start


def retriever_and_queries(n_documents=2000, n_queries=64, n_features=16):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n_documents + n_queries, n_features)).astype("f4")
    retriever = MixedModalityRetriever().fit(EmbeddingArray(rows[:n_documents], "image"))
    return retriever, EmbeddingArray(rows[n_documents:], "query:image")


@needs_blas
@pytest.mark.usefixtures("two_threads")
def test_there_are_as_many_threads_as_blas_may_use_each_with_one_of_blas():
    both = threading.Barrier(2, timeout=60)

    def work():
        both.wait()
        return threading.get_ident(), blas_limits()

    found = in_threads(work)
    assert len({thread for thread, _ in found} | {threading.get_ident()}) == 3
    assert [limits for _, limits in found] == [{1}, {1}]
    assert blas_limits() == {2}


@needs_blas
def test_where_blas_may_use_one_thread_the_caller_works():
    with blas_limit(1):
        assert in_threads(threading.get_ident) == [threading.get_ident()]


@needs_blas
def test_there_are_no_more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    with blas_limit(2):
        assert in_threads(threading.get_ident) == [threading.get_ident()]
        assert blas_limits() == {2}


@needs_blas
def test_the_number_of_threads_follows_the_limit(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    for limit in (2, 3, 1, 2):
        with blas_limit(limit):
            assert len(in_threads(threading.get_ident)) == limit
            assert blas_limits() == {limit}


def search_in_worker(retriever, queries):
    found = retriever.predict(queries)
    return found, [t.name for t in threading.enumerate() if t.name.startswith("gapremoval")]


def test_a_worker_with_one_blas_thread_starts_none_of_its_own():
    retriever, queries = retriever_and_queries(**LARGE)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        workers = joblib.Parallel(n_jobs=2)
        found = workers([joblib.delayed(search_in_worker)(retriever, queries)] * 2)
    for ids, threads in found:
        np.testing.assert_array_equal(ids, retriever.predict(queries))
        assert threads == []


@needs_blas
@pytest.mark.usefixtures("two_threads")
def test_concurrent_predicts_restore_the_limit_and_share_the_threads(monkeypatch):
    retriever, queries = retriever_and_queries(**LARGE)
    want = retriever.predict(queries)
    all_at_once = threading.Barrier(8, timeout=60)
    working, most, limits = [], [], []
    scan = _top_k._Search.scan

    def counted(search):
        working.append(None)
        most.append(len(working))
        limits.extend(blas_limits())
        try:
            return scan(search)
        finally:
            working.pop()

    monkeypatch.setattr(_top_k._Search, "scan", counted)

    def ask(_):
        all_at_once.wait()
        return [retriever.predict(queries) for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(ask, range(8)):
            for ids in answers:
                np.testing.assert_array_equal(ids, want)
    assert blas_limits() == {2}
    assert max(most) <= 2
    assert set(limits) == {1}


@needs_blas
@pytest.mark.usefixtures("two_threads")
def test_the_limit_is_free_for_others_after_a_search():
    assert len(in_threads(threading.get_ident)) == 2
    with threadpool_limits(1, user_api="blas"):
        assert blas_limits() == {1}
        assert in_threads(threading.get_ident) == [threading.get_ident()]
    assert blas_limits() == {2}


@needs_blas
@pytest.mark.usefixtures("two_threads")
def test_where_another_thread_holds_the_limit_blas_keeps_its_own_threads():
    pytest.importorskip("threadpoolctl", minversion="3.8")
    with threadpool_limits(2, user_api="blas"):
        assert in_threads(lambda: (threading.get_ident(), blas_limits())) == [
            (threading.get_ident(), {2})
        ]
    assert blas_limits() == {2}


@needs_blas
@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_thread_is_raised_and_the_limit_restored():
    def fail():
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        in_threads(fail)
    assert blas_limits() == {2}


def test_a_small_search_does_not_look_for_blas(monkeypatch):
    monkeypatch.setattr(_top_k, "in_threads", None)
    retriever, queries = retriever_and_queries()
    assert retriever.predict(queries).shape == (64, 10)
    assert retriever.predict(queries[:1]).shape == (1, 10)


@needs_blas
@pytest.mark.usefixtures("two_threads")
def test_one_query_in_half_precision_is_answered_in_threads_and_leaves_blas_alone(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(2001, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    documents, query = rows[1:].astype("f2"), rows[:1]
    want = _top_k.top_k(query, documents, 1).rows
    steps = _top_k.IN_HALF._replace(worth_threads=0, few_scores=0)
    limits, threads = [], set()
    scan = _top_k._Search.scan

    def watched(search):
        limits.append(blas_limits())
        threads.add(threading.get_ident())
        return scan(search)

    monkeypatch.setattr(_top_k._Search, "scan", watched)
    np.testing.assert_array_equal(_top_k.top_k(query, documents, 1, steps=steps).rows, want)
    assert limits == [{2}, {2}]
    assert len(threads | {threading.get_ident()}) == 2


@pytest.mark.parametrize("n_documents", [2000, 40_000])
def test_one_query_over_few_documents_makes_no_product_of_blas(monkeypatch, n_documents):
    retriever, queries = retriever_and_queries(n_documents)
    want = retriever.predict(queries)
    monkeypatch.setattr(np, "matmul", None)
    for query, ids in zip(queries.values[:5], want):
        found = retriever.predict(EmbeddingArray(query[None], "query:image"))
        np.testing.assert_array_equal(found, [ids])


@needs_blas
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("uses_blas", [False, True])
def test_all_limits_hold_for_all_threads(monkeypatch, uses_blas):
    count = lambda: len(in_threads(threading.get_ident, uses_blas=uses_blas))  # noqa: E731
    assert n_threads() == count() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert n_threads() == count() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "64,8")  # what does not say a number says nothing
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    assert n_threads() == count() == 1


@needs_blas
@pytest.mark.usefixtures("two_threads")
def test_who_asks_meanwhile_is_not_told_of_our_own_limit():
    assert in_threads(n_threads) == [2, 2]


@needs_blas
@pytest.mark.usefixtures("two_threads")
def test_an_interrupt_at_any_line_leaves_no_limit():
    def ask_interrupted_at(line):
        passed = []

        def trace(frame, event, _):
            code = frame.f_code
            if code.co_filename != _threads.__file__ or code.co_name == "__init__":
                return None
            # A `with` is traced again as it ends, where no real interrupt comes.
            text = linecache.getline(code.co_filename, frame.f_lineno).split()[0]
            if event == "line" and text != "with":
                passed.append(frame.f_lineno)
                if len(passed) == line:
                    raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            in_threads(threading.get_ident)
        finally:
            sys.settrace(before)

    for line in range(1, 100):
        try:
            ask_interrupted_at(line)
        except KeyboardInterrupt:
            assert len(in_threads(threading.get_ident)) == 2
            assert blas_limits() == {2}
        else:
            break
    assert 5 < line < 99


@needs_blas
@pytest.mark.usefixtures("two_threads")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.parametrize("n_queries", [1, 40])
def test_an_interrupt_of_a_search_ends_its_threads(monkeypatch, n_queries):
    rows = np.random.default_rng(0).normal(size=(5000, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    look = _top_k._Candidates.look

    def slow(candidates, rough, rows):
        time.sleep(0.1)
        look(candidates, rough, rows)

    # Without the interrupt, more than a thousand steps of a tenth of a second.
    steps = _top_k.Steps(40, 1, 1, 1, few_scores=0, worth_threads=0, groups_of_k=1)
    monkeypatch.setattr(_top_k._Candidates, "look", slow)

    def interrupt(*_):
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            top_k(rows[:n_queries], rows, 3, steps=steps)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    # The threads of the pool are free again, and those that waited for them.
    in_threads(threading.get_ident)
    assert in_threads(threading.get_ident, uses_blas=False)
    # The thread that waited for the interrupted search restores the limit a moment later.
    stop = time.monotonic() + 30
    while blas_limits() != {2} and time.monotonic() < stop:
        time.sleep(0.01)
    assert blas_limits() == {2}


FORK = """
import os, signal, sys, threading, time, warnings
os.environ.pop("OMP_NUM_THREADS", None)
import joblib
import numpy as np
from threadpoolctl import ThreadpoolController, threadpool_limits
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
joblib.cpu_count = lambda: 4
from gapremoval.retrieval._top_k import top_k
from gapremoval._threads import in_threads

def limit_blas():  # from a thread that ends: threadpoolctl heeds but one living thread
    threadpool_limits(2, user_api="blas")

first = threading.Thread(target=limit_blas)
first.start()
first.join()

def limits():
    libraries = ThreadpoolController().select(user_api="blas").info()
    return {x["num_threads"] for x in libraries if "numpy" in x["filepath"]}

rows = np.random.default_rng(0).normal(size=(17_000, 64))
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
want = top_k(rows[:256], rows, 5).rows
if sys.argv[1] == "in use":
    inside, done = threading.Semaphore(0), threading.Event()
    def work():
        inside.release()
        done.wait()
    other = threading.Thread(target=in_threads, args=(work,), daemon=True)
    other.start()
    inside.acquire(), inside.acquire()
    assert limits() == {1}
child = os.fork()
if child == 0:
    signal.alarm(60)  # ends a child that hangs
    right = limits() == {2} and (top_k(rows[:256], rows, 5).rows == want).all()
    right = right and len(in_threads(threading.get_ident)) == 2 and limits() == {2}
    os._exit(0 if right else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if sys.argv[1] == "in use":
    assert limits() == {1}
    done.set()
    other.join()
assert limits() == {2}
assert (top_k(rows[:256], rows, 5).rows == want).all()
sys.exit(status)
"""


@needs_blas
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("when", ["used before", "in use"])
def test_a_forked_child_searches_with_threads_of_its_own(when):
    run = subprocess.run(
        [sys.executable, "-c", FORK, when], timeout=150, capture_output=True, text=True
    )
    assert run.returncode == 0, (run.returncode, run.stderr)


def test_nothing_is_left_in_use():
    assert _threads._threads.n_users == 0
    assert _threads._threads.limit is None

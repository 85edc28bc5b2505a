"""Ctrl-C at every line of a change: the index is as before or as after it, and goes on."""

import os
import pickle
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from interrupts import each_line, interrupted
from sklearn.exceptions import NotFittedError

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds

pytestmark = [
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*length zero:UserWarning"),
]
calibrations = pytest.mark.parametrize("calibration", [None, PosteriorOdds()])
N_FEATURES, N_DOCUMENTS = 8, 40
ROWS = np.random.default_rng(0).normal(size=(200, N_FEATURES)).astype("f4")
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
ROWS[5] = 0
ASKED = EmbeddingArray(ROWS[160:166], ["query:text", "query:image"] * 3)
QUERIES = EmbeddingArray(ROWS[-12:], ["query:text", "query:image"] * 6)


def fit(retriever, first=0, n=N_DOCUMENTS):
    """Fit texts, images and documents of both: the ids are d0, d1 and so on."""
    tags = ["text", "image"] * (n // 2)
    both = EmbeddingArray(ROWS[first + n : first + n + 10], ["text", "image"] * 5)
    X = EmbeddingArray.concatenate([EmbeddingArray(ROWS[first : first + n], tags), both, QUERIES])
    ids = [f"d{first + i}" for i in (*range(n), *np.arange(10) // 2 + n)]
    return retriever.fit(X, [*ids, *[None] * len(QUERIES)])


def add(retriever, first, tags, per_document=1, name="new"):
    """Add rows from the first on, so many a document."""
    ids = [f"{name}{first + i // per_document}" for i in range(len(tags))]
    return retriever.partial_fit(EmbeddingArray(ROWS[first : first + len(tags)], tags), ids)


def add_and_learn(retriever):
    """Add documents of a new modality together with queries, after a removal."""
    X = EmbeddingArray.concatenate(
        [EmbeddingArray(ROWS[100:103], ["text", "audio", "image"]), ASKED]
    )
    return retriever.partial_fit(X, ["new0", "new1", "new2", *[None] * 6])


def replace(retriever, ids):
    """Replace documents by one row each, and add those that are not there."""
    tags = ["text", "image", "audio"] * len(ids)
    X = EmbeddingArray(ROWS[100 : 100 + len(ids)], tags[: len(ids)])
    return retriever._add_documents(X, ids, None, replace=True)


CHANGES = {
    "fit": lambda r: fit(r, 60, 20),
    "add one": lambda r: add(r, 100, ["text"]),
    "add several": lambda r: add(r, 100, ["text", "image", "audio", "text", "image"]),
    "add parts": lambda r: add(r, 100, ["text", "image"] * 6, 2),
    "add a modality": lambda r: add(r, 100, ["audio", "audio"]),
    "add to its room": lambda r: add(r, 60, ["text"] * 90),
    "replace one": lambda r: replace(r, ["d3"]),
    "replace several": lambda r: replace(r, ["d0", "new", f"d{N_DOCUMENTS}", "d1", "d5"]),
    "replace most": lambda r: replace(r, [f"d{i}" for i in range(34)]),
    "learn late": lambda r: r.partial_fit(ASKED, [["d1"], *[None] * 5]),
    "add and learn": lambda r: add_and_learn(r),
    "remove one": lambda r: r.remove("d3"),
    "remove several": lambda r: r.remove(["d0", "d1", "d5", f"d{N_DOCUMENTS}"]),
    "remove most": lambda r: r.remove([f"d{i}" for i in range(34)]),
    "remove a modality": lambda r: r.remove([f"d{i}" for i in range(0, N_DOCUMENTS, 2)]),
    "remove all": lambda r: r.remove(r.ids_),
}


def state(retriever):
    """All that a search can tell of a retriever: arrays by name, None before it is fitted."""
    try:
        ids = retriever.ids_
        found = {"ids": ids, "document_modality": retriever.document_modality_}
        assert retriever.n_documents_ == len(ids)
        assert len(set(ids.tolist())) == len(ids)
        if len(ids):
            result = vars(retriever.search(QUERIES, len(ids)))
            found |= {f"found {name}": x for name, x in result.items() if x is not None}
    except (AttributeError, NotFittedError):
        with pytest.raises(NotFittedError):
            retriever.search(QUERIES)
        return None
    else:
        return found


def is_same(one, other):
    """Whether two states are the same, up to the rounding of sums over all documents."""
    if one is None or other is None or one.keys() != other.keys():
        return one is other
    pairs = [(x, other[name]) for name, x in one.items()]
    return all(
        np.allclose(x, y, rtol=0, atol=1e-6, equal_nan=True)
        if x.dtype == float and x.shape == y.shape
        else np.array_equal(x, y)
        for x, y in pairs
    )


def assert_goes_on(retriever):
    """Changes from another thread are taken, and show: no lock is left closed."""

    def change():
        try:
            add(retriever, 180, ["text", "image", "text"], name="later").remove("later181")
            done.append(retriever.ids_.tolist())
        except BaseException as error:
            done.append(error)

    before, done = retriever.ids_.tolist(), []
    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    thread.join(30)
    assert done, "a change from another thread is stuck"
    assert done[0] == [*before, "later180", "later182"]
    retriever.remove(["later180", "later182"])
    assert retriever.ids_.tolist() == before


def some(visits, most):
    """Up to so many visits of lines, evenly spread."""
    step = -(-len(visits) // most)
    return visits[len(visits) % step :: step]


def assert_all_or_nothing(make, change, most=40):
    """Interrupt a change of what `make` returns at up to so many of the lines it executes."""
    change(make())  # what is imported or cached at the first call is no part of a change
    retriever = make()
    before = state(retriever)
    change(retriever)
    after = state(retriever)
    traced = make()
    visits = each_line(lambda: change(traced))
    assert len(visits) > 10
    for visit in some(visits, most):
        retriever = make()
        assert interrupted(lambda mine=retriever: change(mine), visit)
        now = state(retriever)
        assert is_same(now, before) or is_same(now, after), f"neither, at visit {visit}"
        if now is not None:
            assert_goes_on(retriever)
        if is_same(now, before):
            change(retriever)
            assert is_same(state(retriever), after), f"another outcome, after visit {visit}"


@calibrations
@pytest.mark.parametrize("name", CHANGES)
def test_an_interrupted_change_took_place_or_did_not(calibration, name):
    fresh = pickle.dumps(fit(MixedModalityRetriever(score_calibration=calibration)))
    # Every line of one change of each method; the others execute most of the same lines.
    most = 40
    if name in ("add several", "replace several", "remove several"):
        most = 100 if calibration else 10_000
    assert_all_or_nothing(lambda: pickle.loads(fresh), CHANGES[name], most)


@calibrations
@pytest.mark.parametrize(
    "name", ["add several", "add to its room", "replace several", "add and learn", "remove most"]
)
def test_so_it_is_after_other_changes(calibration, name):
    fresh = pickle.dumps(fit(MixedModalityRetriever(score_calibration=calibration)))

    def make():
        retriever = pickle.loads(fresh)
        add(retriever, 150, ["text", "audio", "image"], name="early").remove(["early150", "d35"])
        retriever.search(QUERIES)
        return retriever

    assert_all_or_nothing(make, CHANGES[name])


@calibrations
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_was_not_fitted_is_fitted_or_not(calibration, method):
    X = EmbeddingArray.concatenate([EmbeddingArray(ROWS[:20], ["text", "image"] * 10), QUERIES])
    y = [*(f"d{i}" for i in range(20)), *[None] * len(QUERIES)]
    assert_all_or_nothing(
        lambda: MixedModalityRetriever(score_calibration=calibration),
        lambda retriever: getattr(retriever, method)(X, y),
    )


def test_rows_in_a_file_are_all_or_nothing_too(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS[10:50])
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r+")
    X, y = EmbeddingArray(rows, np.repeat(["text", "image"], 20)), [f"d{i}" for i in range(40)]
    before = (tmp_path / "rows.npy").read_bytes()
    for name in ("add several", "remove one", "remove a modality"):
        assert_all_or_nothing(lambda: MixedModalityRetriever().fit(X, y), CHANGES[name])
    assert (tmp_path / "rows.npy").read_bytes() == before


@calibrations
def test_reading_can_be_interrupted_anywhere(calibration):
    """Copies and searches leave the index as it was."""
    retriever = fit(MixedModalityRetriever(score_calibration=calibration))
    add(retriever, 100, ["text", "audio"]).remove("d4")
    fresh = pickle.dumps(retriever)
    want = state(retriever)
    reads = {
        "search": lambda r: r.search(QUERIES, 50),
        "kneighbors": lambda r: r.kneighbors(QUERIES),
        "pickle": pickle.dumps,
        "ids_": lambda r: r.ids_,
    }
    for name, read in reads.items():
        for visit in some(each_line(lambda read=read: read(pickle.loads(fresh))), 40):
            retriever = pickle.loads(fresh)
            interrupted(lambda read=read, mine=retriever: read(mine), visit)
            assert is_same(state(retriever), want), f"{name}, at visit {visit}"
        assert_goes_on(retriever)


# A process of its own: a signal may leave other libraries' settings changed.
SIGNALS = """
import gc, signal, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds

def interrupt(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
gc.disable()  # what is raised where garbage is collected is lost
rng = np.random.default_rng(0)
rows = rng.normal(size=(40, 8)).astype("f4")
queries = EmbeddingArray(rows[:6], ["query:text", "query:image"] * 3)
X = EmbeddingArray.concatenate([EmbeddingArray(rows, ["text", "image"] * 20), queries])
odds = PosteriorOdds() if sys.argv[1] == "odds" else None
retriever = MixedModalityRetriever(score_calibration=odds)
retriever.fit(X, [*range(40), *[None] * 6])
vectors, there = dict(enumerate(rows)), list(range(40))

def timed(call):
    try:
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 2e-3))
        call()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        return True
    return False

start, n_interrupted, n = time.monotonic(), 0, 0
while time.monotonic() < start + 1.5 or n_interrupted < 20:
    n += 1
    if len(there) < 30 or (len(there) < 60 and rng.random() < .5):
        new = [40 + 3 * n + i for i in range(rng.integers(1, 4))]
        mine = rng.normal(size=(len(new), 8)).astype("f4")
        vectors.update(zip(new, mine))
        tags = [("text", "image", "audio")[i % 3] for i in new]
        after = [*there, *new]
        n_interrupted += timed(lambda: retriever.partial_fit(EmbeddingArray(mine, tags), new))
    else:
        gone = set(rng.permutation(there)[:rng.integers(1, 5)].tolist())
        after = [x for x in there if x not in gone]
        n_interrupted += timed(lambda: retriever.remove([*gone]))
    ids = retriever.ids_.tolist()
    assert ids in (there, after), (n, "neither as before nor as after")
    there = ids
    found = retriever.search(queries, 100)
    for query, ids, scores in zip(queries.values, found.ids.tolist(), found.scores):
        assert sorted(ids) == sorted(there), (n, "not all are found, or some twice")
        if odds is None:
            right = np.stack([vectors[x] for x in ids]).astype(float)
            right /= np.linalg.norm(right, axis=1, keepdims=True)
            np.testing.assert_allclose(scores, right @ query / np.linalg.norm(query), atol=1e-6)
print(n_interrupted, "of", n, "changes were interrupted")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
@pytest.mark.parametrize("calibration", ["none", "odds"])
def test_signals_at_any_moment_leave_an_index_that_is_right(calibration):
    run = subprocess.run(
        [sys.executable, "-c", SIGNALS, calibration],
        timeout=120,
        capture_output=True,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr[-3000:]

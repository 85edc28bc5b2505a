"""Several threads on one index: nothing is lost, and an answer is of one moment."""

import copy
import pickle
import sys
import threading
import tracemalloc

import joblib
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds

pytestmark = pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
calibrations = pytest.mark.parametrize("calibration", [None, PosteriorOdds()])
N_FEATURES = 16
ROWS = np.random.default_rng(0).normal(size=(400, N_FEATURES)).astype("f4")
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
QUERIES = EmbeddingArray(ROWS[-20:], ["query:text", "query:image"] * 10)
N_BASE = 40


@pytest.fixture(autouse=True)
def often_another_thread():
    """Let threads take turns a hundred times as often as by default."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


def fitted(calibration=None, n_neighbors=10_000):
    """A retriever with the documents base.0 to base.39, texts and images in turn."""
    X = EmbeddingArray(ROWS[:N_BASE], ["text", "image"] * (N_BASE // 2))
    X = EmbeddingArray.concatenate([X, QUERIES])
    y = [*(f"base.{i}" for i in range(N_BASE)), *[None] * len(QUERIES)]
    return MixedModalityRetriever(n_neighbors, score_calibration=calibration).fit(X, y)


def row_of(id_):
    """The row of a document, which its id alone tells."""
    name, number = id_.split(".")
    if name == "base":
        return ROWS[int(number)]
    return ROWS[N_BASE + sum(name.encode()) * 7 % 100 + int(number) % 200]


def together(*tasks, timeout=120):
    """Run tasks in threads of their own; the first error is raised."""
    errors = []

    def run(task):
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread is stuck"


def beside(writer, *readers):
    """Repeat what readers do for as long as a writer works."""
    done = threading.Event()

    def write():
        try:
            writer()
        finally:
            done.set()

    def again(reader):
        reader()
        while not done.is_set():
            reader()

    together(write, *(lambda reader=reader: again(reader) for reader in readers))


def assert_answers_belong_together(found):
    """No id comes twice, and cosines are those of the documents."""
    for query, ids, scores in zip(QUERIES.values.astype(float), found.ids.tolist(), found.scores):
        assert len(set(ids)) == len(ids)
        right = np.stack([row_of(id_) for id_ in ids]) @ query / np.linalg.norm(query)
        np.testing.assert_allclose(scores, right, atol=1e-6)
        assert (np.diff(scores) <= 0).all()


def assert_sound(retriever, ids):
    """The documents are these, in any order, each is found, and more can come and go."""
    assert sorted(retriever.ids_.tolist()) == sorted(ids)
    assert retriever.n_documents_ == len(ids)
    found = retriever.search(QUERIES)
    assert all(sorted(x) == sorted(ids) for x in found.ids.tolist())
    retriever.partial_fit(ROWS[:1], ["last.0"], modality="video").remove("last.0")
    assert sorted(retriever.ids_.tolist()) == sorted(ids)


# What is acknowledged is there.


@pytest.mark.parametrize("is_fitted", [False, True])
def test_threads_that_add_lose_no_document(is_fitted):
    retriever = fitted() if is_fitted else MixedModalityRetriever(10_000)
    one = np.eye(1, N_FEATURES, dtype="f4")
    ids = [[f"{k}.{n}" for n in range(300)] for k in range(4)]

    def add(mine):
        for id_ in mine:
            retriever.partial_fit(one, [id_], modality="text")

    together(*(lambda mine=mine: add(mine) for mine in ids))
    ids = [*(f"base.{i}" for i in range(N_BASE) if is_fitted), *(x for mine in ids for x in mine)]
    assert retriever.n_documents_ == len(ids)
    found = retriever.search(one, modality="query:text")
    assert sorted(found.ids[0].tolist()) == sorted(ids)
    assert (found.scores[0, :1200] == 1).all()
    # Those of one thread stay in the order in which it added them.
    there = retriever.ids_.tolist()
    for k in range(4):
        mine = [x for x in there if x.startswith(f"{k}.")]
        assert mine == [f"{k}.{n}" for n in range(300)]
    retriever.remove(there)
    assert retriever.n_documents_ == 0


@calibrations
def test_threads_that_add_and_remove_keep_what_is_their_own(calibration):
    retriever = fitted(calibration)
    kept = {}

    def change(k):
        rng, mine = np.random.default_rng(k), []
        for n in range(60):
            new = [f"{k}.{n}", f"{k}.{n + 1000}"]
            rows = np.stack([row_of(id_) for id_ in new])
            retriever.partial_fit(rows, new, modality=["text", "image", "audio"][n % 3])
            mine += new
            if n % 2:
                gone = [mine.pop(rng.integers(len(mine))) for _ in range(3)]
                retriever.remove(gone)
        kept[k] = mine

    together(*(lambda k=k: change(k) for k in range(4)))
    ids = [*(f"base.{i}" for i in range(N_BASE)), *(x for mine in kept.values() for x in mine)]
    if calibration is None:
        assert_answers_belong_together(retriever.search(QUERIES))
    assert_sound(retriever, ids)


def test_one_of_two_threads_that_add_the_same_document_is_refused():
    retriever, refused = fitted(), []

    def add():
        for n in range(100):
            try:
                retriever.partial_fit(ROWS[:1], [f"same.{n}"], modality="text")
            except ValueError as error:
                refused.append(str(error))

    together(add, add)
    assert len(refused) == 100
    assert all("already in the corpus" in x for x in refused)
    ids = [f"base.{i}" for i in range(N_BASE)] + [f"same.{n}" for n in range(100)]
    assert_sound(retriever, ids)


@calibrations
def test_a_call_that_fails_takes_nothing_back_and_leaves_nothing(calibration):
    retriever = fitted(calibration)
    bad = np.stack([ROWS[0], np.full(N_FEATURES, np.nan, dtype="f4")])

    def fail():
        for n in range(100):
            with pytest.raises(ValueError, match="NaN"):
                retriever.partial_fit(bad, [f"bad.{n}", f"bad.{n + 1000}"], modality="text")
            with pytest.raises(ValueError, match="already in the corpus"):
                retriever.partial_fit(ROWS[:2], [f"bad.{n}", "base.0"], modality="smell")
            with pytest.raises(ValueError, match="unknown document"):
                retriever.remove(["base.1", f"bad.{n}"])

    def add():
        for n in range(100):
            retriever.partial_fit(ROWS[n : n + 1], [f"good.{n}"], modality="image")

    together(fail, add)
    ids = [f"base.{i}" for i in range(N_BASE)] + [f"good.{n}" for n in range(100)]
    assert "smell" not in retriever.modalities_
    assert_sound(retriever, ids)


def test_a_fit_in_one_thread_is_whole_for_a_search_in_another():
    X = [EmbeddingArray(rows, ["text", "image"] * 20) for rows in (ROWS[:40], ROWS[40:80])]
    y = [[f"{name}.{i}" for i in range(40)] for name in "ab"]
    retriever = MixedModalityRetriever(10_000).fit(X[0], y[0])
    rows = dict(zip([*y[0], *y[1]], ROWS))

    def fit():
        for n in range(60):
            retriever.fit(X[n % 2], y[n % 2])

    def ask():
        found = retriever.search(QUERIES)
        assert {frozenset(x) for x in found.ids.tolist()} <= {frozenset(y[0]), frozenset(y[1])}
        for query, ids, scores in zip(QUERIES.values, found.ids.tolist(), found.scores):
            right = np.stack([rows[x] for x in ids]).astype(float) @ query
            np.testing.assert_allclose(scores, right, atol=1e-5)

    beside(fit, ask, ask)


# A search sees one moment.


def come_and_go(retriever, modalities, n_rounds, n_kept=10):
    """Add pairs of documents, and remove the oldest pair where there are more than some."""
    pairs = []
    for n in range(n_rounds):
        pair = [f"a.{n}", f"b.{n}"]
        rows, modality = np.stack([row_of(id_) for id_ in pair]), modalities[n % len(modalities)]
        retriever.partial_fit(rows, pair, modality=modality)
        pairs.append(pair)
        if len(pairs) > n_kept:
            retriever.remove(pairs.pop(0))
    for pair in pairs:
        retriever.remove(pair)


@calibrations
@pytest.mark.parametrize(
    "modalities",
    [["text"], ["text", "image", ["text", "image"]], [f"new {n}" for n in range(40)]],
    ids=["one", "known", "new"],
)
def test_a_search_sees_the_corpus_before_or_after_a_change(calibration, modalities):
    retriever = fitted(calibration)
    base = {f"base.{i}" for i in range(N_BASE)}

    def all_of_them():
        found = retriever.search(QUERIES)
        moment = set(found.ids[0].tolist())
        assert all(set(x) == moment for x in found.ids.tolist())
        assert base <= moment
        pairs = moment - base
        assert {x for x in pairs if x[0] == "a"} == {f"a{x[1:]}" for x in pairs if x[0] == "b"}
        assert_moment(found)

    def the_best():
        found = retriever.search(QUERIES, 5)
        assert found.ids.shape == (len(QUERIES), 5)
        assert_moment(found)

    def of_one_modality():
        found = retriever.search(QUERIES, document_modality="image")
        assert set(found.modalities.ravel().tolist()) == {"image"}
        assert {f"base.{i}" for i in range(1, N_BASE, 2)} <= set(found.ids[0].tolist())
        assert_moment(found)

    def otherwise():
        distances, places = retriever.kneighbors(QUERIES, 5)
        assert (np.diff(distances) >= 0).all()
        assert places.min() >= 0
        assert retriever.predict(QUERIES).shape[0] == len(QUERIES)
        table = retriever.transform(QUERIES)
        assert table.nnz == table.shape[0] * table.shape[1]
        assert len(retriever.ids_) >= N_BASE
        assert len(retriever.document_modality_) >= N_BASE

    def assert_moment(found):
        if calibration is None:
            assert_answers_belong_together(found)
        elif found.ids.shape[1] >= N_BASE and len(set(found.modalities.ravel().tolist())) > 1:
            np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)

    beside(
        lambda: come_and_go(retriever, modalities, 60),
        all_of_them,
        the_best,
        of_one_modality,
        otherwise,
    )
    if calibration is None:
        assert_answers_belong_together(retriever.search(QUERIES))
    assert_sound(retriever, base)


def test_calibrated_answers_beside_changes_are_those_of_a_copy_at_rest():
    """Documents of another modality that come and go do not mix up the scores of these."""
    retriever = fitted(PosteriorOdds())
    retriever.partial_fit(ROWS[50:52], ["first.0", "first.1"], modality="audio")
    rest = copy.deepcopy(retriever).search(QUERIES, document_modality="text")

    def ask():
        found = retriever.search(QUERIES, document_modality="text")
        np.testing.assert_array_equal(found.ids, rest.ids)
        np.testing.assert_allclose(found.scores, rest.scores, atol=1e-9)
        np.testing.assert_allclose(found.probabilities, rest.probabilities, atol=1e-5)

    beside(lambda: come_and_go(retriever, ["audio", "image"], 60), ask, ask, ask)


def test_where_nothing_was_fitted_a_search_says_so_until_all_of_the_first_call_is_there():
    retriever = MixedModalityRetriever(10_000)
    seen = []

    def ask():
        try:
            seen.append(retriever.search(QUERIES).ids.shape[1])
        except NotFittedError:
            seen.append(0)

    def add():
        retriever.partial_fit(ROWS[:300], [f"one.{i}" for i in range(300)], modality="image")

    beside(add, ask, ask)
    ask()
    assert set(seen) <= {0, 300}
    assert seen[-1] == 300


# Copies and files.


@calibrations
def test_copies_made_beside_a_writer_are_of_one_moment_and_stay(calibration):
    retriever = fitted(calibration)
    base = [f"base.{i}" for i in range(N_BASE)]

    def check(mine):
        ids = mine.ids_.tolist()
        assert ids[:N_BASE] == base
        pairs = set(ids[N_BASE:])
        assert {x for x in pairs if x[0] == "a"} == {f"a{x[1:]}" for x in pairs if x[0] == "b"}
        if calibration is None:
            assert_answers_belong_together(mine.search(QUERIES))
        assert len(mine.remove(["base.0"]).ids_) == len(ids) - 1
        assert_sound(mine, ids[1:])

    beside(
        lambda: come_and_go(retriever, ["text", "audio"], 40),
        lambda: check(copy.copy(retriever)),
        lambda: check(pickle.loads(pickle.dumps(retriever))),
        lambda: joblib.hash(retriever),
    )
    assert_sound(retriever, base)


@calibrations
def test_a_hash_stays_the_same_and_so_does_what_was_hashed(calibration):
    retriever = fitted(calibration)
    for n in range(2):
        assert joblib.hash(retriever) == joblib.hash(retriever)
        want = retriever.search(QUERIES)
        first = joblib.hash(retriever)
        copy.copy(retriever), pickle.dumps(retriever), copy.deepcopy(retriever)
        assert joblib.hash(retriever) == first
        np.testing.assert_array_equal(retriever.search(QUERIES).scores, want.scores)
        retriever.partial_fit(ROWS[:1], [f"new.{n}"], modality="text").remove(f"base.{n}")


READS = {
    "pickle": lambda retriever, folder: pickle.dumps(retriever),
    "copy": lambda retriever, folder: copy.copy(retriever),
    "deepcopy": lambda retriever, folder: copy.deepcopy(retriever),
    "hash": lambda retriever, folder: joblib.hash(retriever),
    "dump": lambda retriever, folder: joblib.dump(retriever, folder / "index.joblib"),
}


@calibrations
@pytest.mark.parametrize("read", READS)
def test_whoever_copies_or_saves_an_index_leaves_its_rows_where_they_are(
    calibration, read, tmp_path
):
    n_documents, n_features = 20_000, 64
    rows = np.random.default_rng(0).normal(size=(n_documents + 40, n_features)).astype("f4")
    X = EmbeddingArray(rows, ["text", "image"] * (n_documents // 2) + ["query:text"] * 40)
    retriever = MixedModalityRetriever(score_calibration=calibration)
    retriever.fit(X, [*range(n_documents), *[None] * 40])
    for i in range(4):  # the first changes make room, and a table of the ids
        retriever.partial_fit(X[i : i + 1], [-1 - i])
    retriever.remove([0])
    READS[read](retriever, tmp_path)
    tracemalloc.start()
    retriever.partial_fit(X[4:5], [-5])
    retriever.remove([1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The rows take 5 MB; the mask of what is there and the ids are less.
    assert peak < n_documents * n_features * 4 / 4
    assert retriever.n_documents_ == n_documents + 3


@calibrations
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_an_index_mapped_from_a_file_changes_without_the_file(calibration, mode, tmp_path):
    path = tmp_path / "index.joblib"
    retriever = fitted(calibration)
    retriever.partial_fit(ROWS[60:62], ["new.0", "new.1"], modality="text").remove("base.7")
    joblib.dump(retriever, path)
    before, want = path.read_bytes(), retriever.search(QUERIES)
    mapped = joblib.load(path, mmap_mode=mode)
    mapped.remove([f"base.{i}" for i in range(5)])
    mapped.partial_fit(ROWS[70:90], [f"more.{i}" for i in range(20)], modality="text")
    mapped.partial_fit(ROWS[90:92], ["rare.0", "rare.1"], modality="audio")
    mapped.remove([f"base.{i}" for i in range(10, 35)])
    ids = mapped.ids_.tolist()
    if calibration is None:
        rows = {f"new.{i}": ROWS[60 + i] for i in range(2)} | {
            f"more.{i}": ROWS[70 + i] for i in range(20)
        }
        rows |= {f"rare.{i}": ROWS[90 + i] for i in range(2)}
        found = mapped.search(QUERIES)
        for query, names, scores in zip(QUERIES.values, found.ids.tolist(), found.scores):
            right = [rows[x] @ query if x in rows else row_of(x) @ query for x in names]
            np.testing.assert_allclose(scores, right, atol=1e-6)
    assert_sound(mapped, ids)
    assert path.read_bytes() == before
    again = joblib.load(path).search(QUERIES)
    np.testing.assert_array_equal(again.ids, want.ids)
    np.testing.assert_array_equal(again.scores, want.scores)

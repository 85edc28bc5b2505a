"""Several threads on one index: nothing is lost, and an answer is of one moment."""

import copy

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from thread_cases import (
    N_BASE,
    N_FEATURES,
    QUERIES,
    ROWS,
    assert_answers_belong_together,
    assert_sound,
    beside,
    come_and_go,
    fitted,
    frequent_turns,
    row_of,
    together,
)

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds

pytestmark = [
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:y was not given:UserWarning"),
    # Many documents are equal here.
    pytest.mark.filterwarnings("ignore:The mean of the new rows:UserWarning"),
]
calibrations = pytest.mark.parametrize("calibration", [None, PosteriorOdds()])


@pytest.fixture(autouse=True)
def often_another_thread():
    with frequent_turns():
        yield


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

"""Copies, pickles, hashes and mapped files: none of them changes the index, or the file."""

import copy
import pickle
import tracemalloc

import joblib
import numpy as np
import pytest
from thread_cases import (
    N_BASE,
    QUERIES,
    ROWS,
    assert_answers_belong_together,
    assert_sound,
    beside,
    come_and_go,
    fitted,
    frequent_turns,
    row_of,
)

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds

pytestmark = [
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:y was not given:UserWarning"),
]
calibrations = pytest.mark.parametrize("calibration", [None, PosteriorOdds()])


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

    with frequent_turns():
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

"""A corpus in a memory-mapped file: searched where it lies, never written to, same answers."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval._array_api import as_slice, is_mapped

pytestmark = pytest.mark.filterwarnings("ignore:y was not given:UserWarning")


def unit(n, n_features=16, dtype="f4", seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, n_features))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


@pytest.fixture
def mapped(tmp_path):
    """Write rows into a file and map it."""

    def make(rows, mode="r"):
        np.save(tmp_path / "rows.npy", rows)
        return np.load(tmp_path / "rows.npy", mmap_mode=mode)

    return make


def stays(retriever):
    segments = retriever._index.now.segments.values()
    return {is_mapped(segment.columns["vectors"]) for segment in segments} == {True}


TAGS = np.repeat(["text", "image"], [300, 200])
QUERIES = EmbeddingArray(unit(20, seed=1), "query:text")


@pytest.mark.parametrize("calibration", [None, PosteriorOdds()])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_answers_are_those_of_the_same_rows_in_memory(mapped, dtype, calibration):
    rows = unit(500, dtype=dtype)
    there = MixedModalityRetriever(score_calibration=calibration)
    here = MixedModalityRetriever(score_calibration=calibration)
    there.fit(EmbeddingArray(mapped(rows), TAGS))
    here.fit(EmbeddingArray(rows, TAGS))
    assert stays(there)
    assert not stays(here)
    for modality in (None, "text", "image"):
        a, b = (x.search(QUERIES, 500, document_modality=modality) for x in (there, here))
        precision = 50 * np.finfo(dtype).eps if dtype == "f2" else 1e-5
        np.testing.assert_allclose(a.scores, b.scores, atol=precision)
        assert (a.ids == b.ids).mean() > (0.9 if dtype == "f2" else 0.999)
        assert (a.modalities == b.modalities).mean() > 0.9


def test_the_scores_are_the_inner_products_of_what_is_stored(mapped):
    rows = unit(500, dtype="f2")
    retriever = MixedModalityRetriever(500).fit(EmbeddingArray(mapped(rows), "image"))
    found = retriever.search(QUERIES)
    exact = QUERIES.values.astype(float) @ rows.astype(float).T
    exact /= np.linalg.norm(QUERIES.values.astype(float), axis=1, keepdims=True)
    order = np.argsort(-exact, axis=1, kind="stable")
    assert np.array_equal(found.ids, order)
    np.testing.assert_allclose(found.scores, np.take_along_axis(exact, order, 1), atol=1e-12)


def test_fitting_takes_no_copy(mapped):
    rows = mapped(unit(200_000, 64, dtype="f2"))
    X = EmbeddingArray(rows, "image")
    tracemalloc.start()
    retriever = MixedModalityRetriever().fit(X)
    retriever.predict(QUERIES_OF_64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stays(retriever)
    # A copy in float32 would take 51 MB; counters and lengths of 200,000 rows are less.
    assert peak < 45e6


QUERIES_OF_64 = EmbeddingArray(unit(4, 64), "query:text")


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_the_file_is_never_written_to(mapped, tmp_path, mode):
    rows = unit(500)
    retriever = MixedModalityRetriever(5).fit(EmbeddingArray(mapped(rows, mode), TAGS))
    assert stays(retriever)
    before = (tmp_path / "rows.npy").read_bytes()
    retriever.remove([0, 7, 499])
    retriever.partial_fit(EmbeddingArray(unit(3, seed=5), "text"), modality=None)
    assert (tmp_path / "rows.npy").read_bytes() == before
    kept = np.setdiff1d(np.arange(500), [0, 7, 499])
    values = np.concatenate([rows[kept], unit(3, seed=5)])
    tags = np.concatenate([TAGS[kept], ["text"] * 3])
    fresh = MixedModalityRetriever(5).fit(EmbeddingArray(values, tags), retriever.ids_.tolist())
    assert np.array_equal(retriever.predict(QUERIES), fresh.predict(QUERIES))


def test_a_pickle_holds_the_vectors(mapped, tmp_path):
    retriever = MixedModalityRetriever().fit(EmbeddingArray(mapped(unit(500)), TAGS))
    found = retriever.predict(QUERIES)
    written = pickle.dumps(retriever)
    (tmp_path / "rows.npy").unlink()
    assert np.array_equal(pickle.loads(written).predict(QUERIES), found)


@pytest.mark.parametrize("case", ["interleaved", "several parts", "other lengths", "integers"])
def test_other_rows_are_taken_into_memory_with_the_same_answers(mapped, case):
    rows, tags, ids = unit(500), TAGS, list(range(500))
    if case == "interleaved":
        tags = np.resize(["text", "image"], 500)
    elif case == "several parts":
        ids[499] = 0
    elif case == "other lengths":
        rows = rows * np.linspace(0.5, 2, 500, dtype="f4")[:, None]
    else:
        rows = np.rint(rows * 100).astype("i1")
    there = MixedModalityRetriever().fit(EmbeddingArray(mapped(rows), tags), ids)
    here = MixedModalityRetriever().fit(EmbeddingArray(rows, tags), ids)
    assert not stays(there)
    a, b = there.search(QUERIES), here.search(QUERIES)
    assert np.array_equal(a.ids, b.ids)
    assert np.array_equal(a.scores, b.scores)


def test_queries_behind_the_documents_in_a_file_take_no_copy_of_them(mapped):
    rows, tags = unit(500), np.repeat(["text", "image", "query:text"], [300, 150, 50])
    retriever = MixedModalityRetriever().fit(
        EmbeddingArray(mapped(rows), tags), [*range(450)] + [None] * 50
    )
    assert stays(retriever)
    assert retriever.n_documents_ == 450


@given(
    st.lists(st.integers(0, 5), max_size=6) | st.integers(0, 9).map(lambda n: [*range(3, 3 + n)])
)
def test_positions_as_a_slice_select_the_same(positions):
    rows, positions = np.arange(31), np.array(positions, dtype=int)
    assert np.array_equal(rows[as_slice(positions)], rows[positions])
    follows = len(positions) and (np.diff(positions) == 1).all()
    assert isinstance(as_slice(positions), slice) == bool(follows)

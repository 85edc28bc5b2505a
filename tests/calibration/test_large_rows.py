"""Many rows: cut into blocks, spread over threads, and read from files."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, ModalityGapRemover

MODALITIES = ["text", "image", "query:text", "query:image+text"]


@st.composite
def many_rows(draw):
    """Rows of several groups, some of length zero or out of the range of squares."""
    n_rows, n_features = draw(st.integers(100, 700)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(1, 1, size=(n_rows, n_features))
    values[rng.integers(n_rows, size=5)] *= draw(st.sampled_from([0, 1, 1e-30, 1e30]))
    dtype = draw(st.sampled_from(["f2", "f4", "f8"]))
    values = np.clip(values, -6e4, 6e4) if dtype == "f2" else values
    modalities = draw(st.lists(st.sampled_from(MODALITIES), min_size=1, unique=True))
    return EmbeddingArray(values.astype(dtype), rng.choice(modalities, n_rows))


def cut(patch, *, block, span, threads):
    patch.setattr("gapremoval._array_api.BLOCK_SIZE", block)
    patch.setattr("gapremoval._array_api.SPAN_SIZE", span)
    patch.setattr("gapremoval._threads.n_threads", lambda: threads)


pytestmark = pytest.mark.filterwarnings(
    "ignore:Few rows:UserWarning", "ignore:.*length zero:UserWarning"
)


@given(many_rows(), st.integers(1, 5000), st.integers(1, 3), st.sampled_from(["l2", None]))
def test_blocks_and_threads_change_no_bit(X, block, threads, norm):
    results = []
    for size, count in ((2**19, 1), (block, threads)):
        with pytest.MonkeyPatch.context() as patch:
            cut(patch, block=size, span=1000, threads=count)
            remover = ModalityGapRemover(norm=norm).fit(X)
            results.append((remover, remover.transform(X).values))
    (one, rows), (other, other_rows) = results
    assert one.counts_ == other.counts_
    for name, mean in one.means_.items():
        np.testing.assert_array_equal(mean, other.means_[name])
    np.testing.assert_array_equal(rows, other_rows)


@given(many_rows())
def test_means_and_rows_are_those_of_the_formula(X):
    values = X.values.astype("f8")
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    there = lengths[:, 0] > 0
    scaled = (X.modality != "query:image+text")[:, None]
    unit = values / np.where(scaled & (lengths > 0), lengths, 1)
    remover = ModalityGapRemover(shrinkage=0, norm=None).fit(X)
    Z = remover.transform(X).values.astype("f8")
    eps = float(np.finfo(max(X.dtype, np.dtype("f4"))).eps)
    for name, n in remover.counts_.items():
        mine = (X.modality == name) & there
        assert n == mine.sum()
        size = np.abs(unit[mine]).max(initial=1)
        mean = unit[mine].mean(axis=0) if n else np.zeros(X.shape[1])
        np.testing.assert_allclose(remover.means_[name], mean, atol=64 * eps * size)
        if X.dtype != np.float16 and size == 1:
            np.testing.assert_allclose(Z[mine], unit[mine] - mean, atol=64 * eps)
    assert not Z[~there].any()


def test_tags_come_as_an_array_or_a_list_of_strings():
    rng = np.random.default_rng(0)
    values = rng.normal(1, 1, size=(70_000, 2))
    tags = rng.choice([*MODALITIES, *(f"m{i}" for i in range(20))], len(values))
    for modality in (tags, np.where(np.arange(len(tags)) < 66_000, "text", tags)):
        one = ModalityGapRemover().fit(values, modality=modality)
        other = ModalityGapRemover().fit(values, modality=modality.tolist())
        assert one.counts_ == other.counts_
        assert list(one.counts_) == list(other.counts_) == list(dict.fromkeys(modality.tolist()))


def test_an_error_in_a_thread_names_the_first_wrong_row(monkeypatch):
    cut(monkeypatch, block=400, span=2000, threads=2)
    X = EmbeddingArray(np.random.default_rng(0).normal(size=(2000, 4)).astype("f4"), "image")
    remover = ModalityGapRemover().fit(X)
    X.values[[1201, 1990]] = np.nan
    for method in (ModalityGapRemover().fit, remover.transform):
        with pytest.raises(ValueError, match="NaN in row 1201:"):
            method(X)


@pytest.mark.parametrize("limit", ["1", "2"])
def test_a_limit_on_threads_in_the_environment_holds(monkeypatch, limit):
    from gapremoval import _threads

    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    monkeypatch.setattr(_threads.joblib, "cpu_count", lambda: 64)
    monkeypatch.setattr(_threads, "_blas_limits", lambda: [64])
    assert _threads.n_threads() == int(limit)


@pytest.fixture
def mapped(tmp_path):
    """A function that writes rows and maps the file into memory."""

    def write(values):
        np.save(tmp_path / "rows.npy", values)
        return np.load(tmp_path / "rows.npy", mmap_mode="r")

    return write


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1"])
def test_rows_mapped_from_a_file_are_not_copied(mapped, dtype):
    rng = np.random.default_rng(0)
    values = mapped(rng.integers(1, 100, (400_000, 64)).astype(dtype))
    tags = np.array(["text", "image"])[np.arange(len(values)) % 2]
    whole = ModalityGapRemover().fit(np.array(values), modality=tags)
    X = EmbeddingArray(values, tags)
    assert np.shares_memory(X.values, values)
    tracemalloc.start()
    try:
        fitted = ModalityGapRemover().fit(X)
        pieces = ModalityGapRemover()
        for start in range(0, len(X), 100_000):
            pieces.partial_fit(X[start : start + 100_000])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < min(values.nbytes, 64 * 2**20)
    for name, mean in whole.means_.items():
        np.testing.assert_array_equal(fitted.means_[name], mean)
        np.testing.assert_allclose(pieces.means_[name], mean, atol=1e-7)

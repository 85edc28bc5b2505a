"""Rows larger than memory, corrected into a file."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import save_transformed


@pytest.fixture(name="X")
def tagged_rows():
    rng = np.random.default_rng(0)
    values = rng.normal(1, 1, size=(300, 5)).astype("f4")
    return EmbeddingArray(values, rng.choice(["text", "image", "query:text"], 300))


@pytest.fixture
def remover(X):
    return ModalityGapRemover().fit(X)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(span=st.integers(1, 2000), dtype=st.sampled_from(["f2", "f4", "f8", "i2"]))
def test_the_file_holds_what_transform_returns(tmp_path, X, remover, span, dtype):
    X = EmbeddingArray((X.values * 9).astype(dtype), X.modality)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gapremoval._array_api.SPAN_SIZE", span)
        Z = save_transformed(remover, X, tmp_path / "Z")
    want = remover.transform(X).values
    for got in (Z, np.load(tmp_path / "Z")):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    assert isinstance(Z, np.memmap)
    assert [file.name for file in tmp_path.iterdir()] == ["Z"]


def test_batches_of_any_number_are_written_one_after_the_other(tmp_path, X, remover):
    batches = (X[rows] for rows in (slice(7), slice(7, 200), slice(200, 300)))
    Z = save_transformed(remover, batches, str(tmp_path / "Z.npy"))
    np.testing.assert_array_equal(Z, remover.transform(X).values)


def test_plain_rows_bring_their_modality_along(tmp_path, X, remover):
    want = remover.transform(X).values
    Z = save_transformed(remover, X.values, tmp_path / "Z.npy", modality=X.modality)
    np.testing.assert_array_equal(Z, want)
    alone = ModalityGapRemover().fit(X[X.modality == "text"])
    Z = save_transformed(alone, X.values, tmp_path / "Z.npy")
    np.testing.assert_array_equal(Z, alone.transform(X.values))


def test_rows_that_do_not_lie_one_after_the_other_do_so_in_the_file(tmp_path, X, remover):
    turned = EmbeddingArray(np.asfortranarray(X.values)[::-1], X.modality[::-1])
    Z = save_transformed(remover, turned, tmp_path / "Z.npy")
    np.testing.assert_allclose(Z, remover.transform(X).values[::-1], atol=1e-6)


def test_a_pipeline_of_transformers_transforms(tmp_path, X):
    pipe = make_pipeline(ModalityGapRemover(norm=None), ModalityGapRemover()).fit(X)
    Z = save_transformed(pipe, X, tmp_path / "Z.npy")
    np.testing.assert_array_equal(Z, pipe.transform(X).values)


def test_tensors_are_written_as_numpy(tmp_path, X, remover):
    torch = pytest.importorskip("torch")
    tensor = EmbeddingArray(torch.from_numpy(X.values), X.modality)
    Z = save_transformed(remover, tensor, tmp_path / "Z.npy")
    np.testing.assert_allclose(Z, remover.transform(X).values, atol=1e-6)


def test_progress_is_shown_where_asked_for(tmp_path, X, remover, capsys):
    save_transformed(remover, X, tmp_path / "Z.npy")
    assert capsys.readouterr().err == ""
    save_transformed(remover, [X, X], tmp_path / "Z.npy", verbose=True)
    assert capsys.readouterr().err.endswith("600 rows transformed\n")


def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch, remover):
    monkeypatch.setattr("gapremoval._array_api.SPAN_SIZE", 2**18)
    np.save(tmp_path / "rows.npy", np.ones((1_000_000, 5), "f4"))
    X = EmbeddingArray(np.load(tmp_path / "rows.npy", mmap_mode="r"), "image")
    tracemalloc.start()
    try:
        save_transformed(remover, X, tmp_path / "Z.npy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.values.nbytes / 2


# What goes wrong.


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("older", [True, False])
def test_an_interrupted_run_leaves_nothing(tmp_path, X, remover, error, older):
    if older:
        save_transformed(remover, X[:3], tmp_path / "Z.npy")

    def batches():
        yield X
        raise error

    with pytest.raises(error):
        save_transformed(remover, batches(), tmp_path / "Z.npy")
    assert [file.name for file in tmp_path.iterdir()] == ["Z.npy"] * older
    if older:
        assert len(np.load(tmp_path / "Z.npy")) == 3


def test_batches_of_different_kinds_are_refused(tmp_path, X, remover):
    wide = EmbeddingArray(X.values.astype("f8"), X.modality)
    with pytest.raises(ValueError, match="Batch 1 has dtype float64 .* first one float32"):
        save_transformed(remover, [X, wide], tmp_path / "Z.npy")
    assert not list(tmp_path.iterdir())


def test_no_rows_are_refused(tmp_path, X, remover):
    for nothing in ([], X[:0]):
        with pytest.raises(ValueError, match="no rows"):
            save_transformed(remover, nothing, tmp_path / "Z.npy")


def test_a_missing_folder_is_told_before_anything_is_read(tmp_path, remover):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere to save Z\.npy in"):
        save_transformed(remover, None, tmp_path / "nowhere" / "Z.npy")

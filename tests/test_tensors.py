"""Tensors in EmbeddingArray and through ModalityGapRemover."""

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from strategies import tagged_rows

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    QueryKFold,
    search,
)
from gapremoval.datasets import make_mixed_modality

torch = pytest.importorskip("torch")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
dtypes = pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])

MODALITIES = ["text", "image", "query:text", "text", "audio"]


def numbered(device="cpu", dtype=torch.float32):
    """Five rows of four features that count up."""
    values = torch.arange(20, dtype=dtype, device=device).reshape(5, 4)
    return EmbeddingArray(values, MODALITIES)


def tensors(X, device="cpu", dtype=None):
    return EmbeddingArray(torch.tensor(X.values, device=device, dtype=dtype), X._tags)


# EmbeddingArray.

KEYS = [
    slice(None, None, -1),
    slice(4, 0, -2),
    slice(1, 3),
    slice(3, 3),
    [4, 0, -2],
    [],
    [True, False, False, True, True],
    np.array([1, 1, 3]),
    ...,
]


@devices
@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("columns", [..., slice(None, None, -1), [2, 0], slice(1, 3), 1, -1])
def test_keys_select_as_in_numpy(device, key, columns):
    X = numbered(device)
    if isinstance(columns, list) and not isinstance(key, slice) and key is not ...:
        with pytest.raises(IndexError, match=r"write X\[rows\]\[:, columns\]"):
            X[key, columns]
        return
    want, got = X.to_host()[key, columns], X[key, columns]
    if isinstance(columns, int):
        np.testing.assert_array_equal(want, got.cpu())
        return
    assert got.values.device.type == device
    np.testing.assert_array_equal(want.values, got.values.cpu())
    assert want.modality.tolist() == got.modality.tolist()


@devices
@pytest.mark.parametrize("key", [[4, 0, -2], [True, False, False, True, True], [2]], ids=str)
def test_tensors_are_keys(device, key):
    X = numbered(device)
    for place in {"cpu", device}:
        for array in (X, X.to_host()):
            got = array[torch.tensor(key, device=place)]
            assert type(got.values) is type(array.values)
            np.testing.assert_array_equal(got.to_host().values, X.to_host()[key].values)
            assert got.modality.tolist() == X[key].modality.tolist()
            columns = array[1:, torch.tensor([3, 1], device=place)]
            np.testing.assert_array_equal(columns.to_host().values, X.to_host().values[1:, [3, 1]])


@devices
def test_one_row_is_a_bare_tensor(device):
    X = numbered(device)
    for key in (3, -2, np.int64(3), torch.tensor(3, device=device)):
        assert X[key].tolist() == [12, 13, 14, 15]
    assert X[3, ::-1].tolist() == [15, 14, 13, 12]
    assert X[3, 1] == 13
    assert X[torch.tensor(3), torch.tensor(1)] == 13


def test_keys_that_do_not_fit_are_refused():
    X = numbered()
    for key in (5, [5], torch.tensor([5]), torch.ones(4, dtype=bool), torch.ones(5, 4, dtype=bool)):
        with pytest.raises(IndexError):
            X[key]


@devices
def test_concatenated_tensors_stay_where_they_are(device):
    X = EmbeddingArray.concatenate([numbered(device)[:2], numbered(device)[::-1]])
    assert X.values.device.type == device
    np.testing.assert_array_equal(
        X.values.cpu(), numbered().to_host().values[[0, 1, 4, 3, 2, 1, 0]]
    )
    assert X.modality.tolist() == [*MODALITIES[:2], *MODALITIES[::-1]]
    parts = {"text": numbered(device).values, "image": numbered(device).values[:1]}
    assert EmbeddingArray.concatenate(parts).values.device.type == device


@devices
@dtypes
def test_what_leaves_the_process_is_numpy(device, dtype, tmp_path):
    X = numbered(device, getattr(torch, dtype))
    X.save(tmp_path / "X.npz")
    versions = {
        "to_host": X.to_host(),
        "pickle": pickle.loads(pickle.dumps(X)),
        "deepcopy": copy.deepcopy(X),
        "save": EmbeddingArray.load(tmp_path / "X.npz"),
    }
    for Y in versions.values():
        assert type(Y.values) is np.ndarray
        assert Y.dtype == ("float32" if dtype == "bfloat16" else dtype)
        np.testing.assert_array_equal(Y.values, np.arange(20).reshape(5, 4))
        assert Y.modality.tolist() == MODALITIES


@dtypes
def test_the_text_names_the_dtype(dtype):
    shown = repr(numbered(dtype=getattr(torch, dtype)))
    assert shown == (f"EmbeddingArray(5 rows x 4, {dtype}: 2 text, 1 image, 1 query:text, 1 audio)")


def test_numpy_does_not_take_a_tensor_silently():
    with pytest.raises(TypeError, match=r"torch array.*host with \.to_host\(\)"):
        np.asarray(numbered())


@devices
@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_floats_of_eight_bits_are_refused_with_what_converts_them(device, dtype):
    rows = torch.eye(20, device=device).to(getattr(torch, dtype))
    for way in (
        lambda: EmbeddingArray(rows, "image"),
        lambda: ModalityGapRemover().fit(rows, modality="image"),
        lambda: MixedModalityRetriever().fit(rows, modality="image"),
    ):
        with pytest.raises(ValueError, match=rf"{dtype} are not supported: use values.float\(\)"):
            way()
    found = MixedModalityRetriever(1).fit(EmbeddingArray(rows.float(), "image"))
    asked = EmbeddingArray(rows.float(), "query:image")
    assert found.predict(asked)[:, 0].tolist() == [*range(20)]


@devices
def test_tensors_are_converted_to_another_dtype(device):
    X = numbered(device)
    for dtype in ("float16", torch.float16):
        Z = X.astype(dtype)
        assert (Z.dtype, Z.values.device.type) == (torch.float16, device)
        assert Z.modality.tolist() == MODALITIES
    assert X.astype("bfloat16").dtype == torch.bfloat16
    assert X.size == 20


# ModalityGapRemover.


@devices
@pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
@given(X=tagged_rows(), norm=st.sampled_from(["l2", None]))
def test_the_gap_is_removed_as_in_numpy(device, X, norm):
    there = tensors(X, device)
    one, other = ModalityGapRemover(norm=norm).fit(X), ModalityGapRemover(norm=norm).fit(there)
    assert one.counts_ == other.counts_
    for name, mean in one.means_.items():
        assert type(other.means_[name]) is np.ndarray
        np.testing.assert_allclose(mean, other.means_[name], atol=1e-14)
    want, got = one.transform(X), other.transform(there)
    assert got.values.device.type == device
    assert got.values.dtype == there.values.dtype
    # Of a row that all but equals its mean, the direction is rounding.
    residual = ModalityGapRemover(norm=None).fit(X).transform(X).values
    sound = np.linalg.norm(residual, axis=1) > 1e-2
    tolerance = 1e-4 if X.dtype == np.float32 else 1e-11
    np.testing.assert_allclose(
        want.values[sound], got.to_host().values[sound], atol=tolerance, rtol=tolerance
    )


@devices
@dtypes
def test_dtype_and_device_are_kept(device, dtype):
    X, _ = make_mixed_modality(200, random_state=0)
    X = EmbeddingArray(X.values.astype("f8"), X.modality)
    there = tensors(X, device, getattr(torch, dtype))
    want = ModalityGapRemover().fit_transform(X).values
    remover = ModalityGapRemover()
    tolerance = {"float64": 1e-12, "float32": 1e-5, "float16": 3e-3, "bfloat16": 2e-2}[dtype]
    for Z in (remover.fit_transform(there), remover.transform(there)):
        assert isinstance(Z, EmbeddingArray)
        assert (Z.values.dtype, Z.values.device) == (there.values.dtype, there.values.device)
        np.testing.assert_allclose(Z.to_host().values, want, atol=tolerance)
    bare = remover.transform(there.values, modality=there.modality)
    assert torch.equal(bare, Z.values)


@devices
def test_a_remover_serves_every_library(device):
    X, _ = make_mixed_modality(200, random_state=0)
    there = tensors(X, device)
    for fitted in (X, there):
        remover = pickle.loads(pickle.dumps(ModalityGapRemover().fit(fitted)))
        want, got = remover.transform(X), remover.transform(there)
        np.testing.assert_allclose(want.values, got.to_host().values, atol=1e-6)
        assert got.values.device.type == device


@devices
def test_rows_are_overwritten_where_torch_allows_it(device):
    X, _ = make_mixed_modality(200, random_state=0)
    want = tensors(ModalityGapRemover().fit_transform(X), device).values
    remover = ModalityGapRemover(copy=False).fit(X)
    plain = tensors(X, device)
    assert remover.transform(plain).values.data_ptr() == plain.values.data_ptr()
    with torch.inference_mode():
        inferred = tensors(X, device)
    learnt = EmbeddingArray(tensors(X, device).values.requires_grad_(), X.modality)
    for Y in (inferred, learnt):
        assert remover.transform(Y).values.data_ptr() != Y.values.data_ptr()
    for Y in (plain, remover.transform(inferred), remover.transform(learnt)):
        torch.testing.assert_close(Y.values, want, atol=1e-5, rtol=0, check_dtype=False)


@devices
def test_rows_that_are_not_finite_are_named(device):
    X = numbered(device)
    X.values[3, 1] = torch.nan
    for estimator in (ModalityGapRemover(), MixedModalityRetriever()):
        with pytest.raises(ValueError, match="NaN in row 3"):
            estimator.fit(X)


# The whole pipeline.


@devices
def test_the_weight_is_tuned_on_tensors(device):
    X, y = make_mixed_modality(200, random_state=0)
    there = tensors(X, device)
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    grid = {"mixedmodalityretriever__fusion_weight": [0.2, 0.5, 0.8]}
    one, other = (
        GridSearchCV(pipe, grid, cv=QueryKFold(3), error_score="raise").fit(rows, y)
        for rows in (X, there)
    )
    np.testing.assert_allclose(
        one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"]
    )
    asked = X.modality == "query:text"
    want = search(one, X[asked]).ids
    np.testing.assert_array_equal(want, search(other, there[asked]).ids)
    np.testing.assert_array_equal(want[0], search(other, there[asked].values[0]).ids[0])
    np.testing.assert_array_equal(want, search(other, X[asked]).ids)


@needs_cuda
def test_no_rows_come_to_the_host(tmp_path):
    generator = torch.Generator("cuda").manual_seed(0)
    rows = torch.randn(50_000, 512, device="cuda", generator=generator)
    X = EmbeddingArray(rows, np.resize(["text", "image", "query:text"], 50_000))
    remover = ModalityGapRemover().fit(X)
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        remover.transform(X)
        torch.cuda.synchronize()
    profile.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    copies = [event["args"]["bytes"] for event in events if "DtoH" in event.get("name", "")]
    assert copies
    assert max(copies) <= 8

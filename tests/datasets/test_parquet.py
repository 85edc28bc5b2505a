"""Embedding columns of Parquet and Arrow files."""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapremoval import ModalityGapRemover
from gapremoval.datasets import iter_parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")

ARROW_TYPES = {"f2": pa.float16(), "f4": pa.float32(), "f8": pa.float64()}


def column(values, shape="fixed"):
    numbers = pa.array(values.ravel(), ARROW_TYPES[values.dtype.str[1:]])
    if shape == "fixed":
        return pa.FixedSizeListArray.from_arrays(numbers, values.shape[1])
    kind, size = (pa.ListArray, "i4") if shape == "list" else (pa.LargeListArray, "i8")
    starts = np.arange(0, values.size + 1, values.shape[1], dtype=size)
    return kind.from_arrays(pa.array(starts), numbers)


def table(values, shape="fixed"):
    n_rows = len(values)
    return pa.table(
        {
            "embedding": column(values, shape),
            "kind": np.resize(["text", "image", "query:text"], n_rows).tolist(),
            "name": [f"item{i}" for i in range(n_rows)],
            "text": ["a caption: of this row"] * n_rows,
        }
    )


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(50, 6)).astype("f4")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(["f2", "f4", "f8"]),
    shape=st.sampled_from(["fixed", "list", "large_list"]),
    suffix=st.sampled_from([".parquet", ".arrow", ".feather"]),
    batch_size=st.integers(1, 70),
)
def test_what_was_written_comes_back(tmp_path, values, dtype, shape, suffix, batch_size):
    written, path = table(values.astype(dtype), shape), tmp_path / f"items{suffix}"
    if suffix == ".parquet":
        pq.write_table(written, path, row_group_size=20)
    else:
        feather.write_feather(written, path, chunksize=20)
    read = list(iter_parquet(path, modality_column="kind", id="name", batch_size=batch_size))
    assert all(len(X) == len(ids) <= batch_size for X, ids in read)
    got = np.concatenate([X.values for X, _ in read])
    np.testing.assert_array_equal(got, values.astype(dtype))
    assert got.dtype == dtype
    assert [m for X, _ in read for m in X.modality] == written["kind"].to_pylist()
    assert [i for _, ids in read for i in ids] == written["name"].to_pylist()


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path, values):
    for name, part in (("b", values[20:]), ("a", values[:20])):
        pq.write_table(table(part), tmp_path / f"{name}.parquet")
    read = list(iter_parquet(tmp_path, modality="image"))
    np.testing.assert_array_equal(np.concatenate([X.values for X, _ in read]), values)
    assert [i for _, ids in read for i in ids] == list(range(50))
    assert {m for X, _ in read for m in X.modality} == {"image"}


def test_one_modality_may_have_the_name_of_a_column(tmp_path, values):
    pq.write_table(table(values), tmp_path / "items.parquet")
    [(X, _)] = iter_parquet(tmp_path / "items.parquet", modality="text")
    assert set(X.modality) == {"text"}


def test_a_dictionary_of_modalities_is_read(tmp_path, values):
    encoded = table(values)
    kinds = encoded["kind"].combine_chunks().dictionary_encode()
    pq.write_table(encoded.set_column(1, "kind", kinds), tmp_path / "items.parquet")
    [(X, _)] = iter_parquet(tmp_path / "items.parquet", modality_column="kind")
    assert X.modality.tolist() == encoded["kind"].to_pylist()


@pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
def test_means_from_batches_are_those_of_all_rows(tmp_path, values):
    pq.write_table(table(values), tmp_path / "items.parquet")
    whole, pieces = ModalityGapRemover(), ModalityGapRemover()
    [(X, _)] = iter_parquet(tmp_path / "items.parquet", modality_column="kind")
    whole.fit(X)
    for X, _ in iter_parquet(tmp_path, modality_column="kind", batch_size=7):
        pieces.partial_fit(X)
    assert whole.counts_ == pieces.counts_
    for name, mean in whole.means_.items():
        np.testing.assert_allclose(mean, pieces.means_[name], atol=1e-14)


# Bad input.

ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        ([*ROWS[:3], None], "row 3 has no embedding"),
        ([*ROWS[:3], [7.0]], "row 3 has 1 numbers, and those before it 2"),
        ([*ROWS[:3], [7.0, 8.0, 9.0]], "row 3 has 3 numbers"),
        ([*ROWS[:3], []], "row 3 has 0 numbers"),
        ([*ROWS[:3], [7.0, None]], "a number is missing in the embedding of row 3"),
        ([[1, 2]] * 4, "lists of floating numbers; got list<.*int64>"),
        ([1.0] * 4, "lists of floating numbers; got double"),
        (["a"] * 4, "lists of floating numbers; got string"),
    ],
)
@pytest.mark.parametrize("batch_size", [2, 100])
def test_a_wrong_embedding_is_named_by_its_row(tmp_path, embedding, message, batch_size):
    pq.write_table(pa.table({"embedding": embedding}), tmp_path / "items.parquet")
    with pytest.raises(ValueError, match=message):
        list(iter_parquet(tmp_path, modality="text", batch_size=batch_size))


def test_embeddings_without_numbers_are_refused(tmp_path):
    empty = pa.array([[], []], pa.list_(pa.float32()))
    pq.write_table(pa.table({"embedding": empty}), tmp_path / "items.parquet")
    with pytest.raises(ValueError, match="row 0 has no numbers"):
        list(iter_parquet(tmp_path, modality="text"))


def test_a_missing_number_of_fixed_lists_is_named_by_its_row(tmp_path):
    fixed = pa.array([*ROWS[:3], None], pa.list_(pa.float32(), 2))
    feather.write_feather(pa.table({"embedding": fixed}), tmp_path / "items.arrow")
    with pytest.raises(ValueError, match="row 3 has no embedding"):
        list(iter_parquet(tmp_path / "items.arrow", modality="text"))


def test_a_missing_id_is_named_by_its_row(tmp_path):
    rows = pa.table({"embedding": ROWS, "id": [1, 2, None, 4]})
    pq.write_table(rows, tmp_path / "items.parquet")
    with pytest.raises(ValueError, match="column 'id': row 2 has no id"):
        list(iter_parquet(tmp_path, modality="text", id="id"))


def test_a_missing_column_is_told_with_those_there_are(tmp_path):
    pq.write_table(pa.table({"vector": ROWS, "kind": list("abcd")}), tmp_path / "items.parquet")
    with pytest.raises(ValueError, match="no column 'embedding'; it has 'vector', 'kind'"):
        next(iter_parquet(tmp_path, modality="text"))
    with pytest.raises(ValueError, match="no column 'name'"):
        next(iter_parquet(tmp_path, modality="text", embedding="vector", id="name"))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        next(iter_parquet(tmp_path / "nowhere.parquet", modality="text"))


def test_the_modality_is_said_in_one_way(tmp_path):
    for both in ({}, {"modality": "text", "modality_column": "kind"}):
        with pytest.raises(ValueError, match="either modality.*or modality_column"):
            next(iter_parquet(tmp_path, **both))


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.dataset", None)
    with pytest.raises(ImportError, match=r"pip install 'gapremoval\[parquet\]'"):
        next(iter_parquet(tmp_path, modality="text"))

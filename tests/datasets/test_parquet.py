"""Embedding columns of Parquet and Arrow files."""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, ModalityGapRemover
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
    suffix=st.sampled_from([".parquet", ".arrow", ".feather", ".arrows"]),
    batch_size=st.integers(1, 70),
)
def test_what_was_written_comes_back(tmp_path, values, dtype, shape, suffix, batch_size):
    written, path = table(values.astype(dtype), shape), tmp_path / f"items{suffix}"
    if suffix == ".parquet":
        pq.write_table(written, path, row_group_size=20)
    elif suffix == ".arrows":
        with pa.ipc.new_stream(path, written.schema) as stream:
            stream.write_table(written, max_chunksize=20)
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


def test_a_stream_is_read_whatever_its_suffix(tmp_path, values):
    written = table(values)
    for suffix in ("arrow", "ipc"):
        with pa.ipc.new_stream(tmp_path / f"items.{suffix}", written.schema) as stream:
            stream.write_table(written)
        [(X, _)] = iter_parquet(tmp_path / f"items.{suffix}", modality_column="kind")
        np.testing.assert_array_equal(X.values, values)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4"])
def test_integers_keep_their_dtype(tmp_path, values, dtype):
    lists = (10 * np.abs(values)).astype(dtype)
    written = pa.table(
        {"embedding": pa.array(lists.tolist(), pa.list_(pa.from_numpy_dtype(dtype)))}
    )
    pq.write_table(written, tmp_path / "items.parquet")
    [(X, _)] = iter_parquet(tmp_path, modality="text")
    assert X.dtype == dtype
    np.testing.assert_array_equal(X.values, lists)


def test_the_keys_of_partitions_are_columns(tmp_path, values):
    for kind, part in (("text", values[:30]), ("image", values[30:])):
        (tmp_path / f"kind={kind}").mkdir()
        pq.write_table(table(part).drop(["kind"]), tmp_path / f"kind={kind}" / "0.parquet")
    [(images, _), (texts, _)] = iter_parquet(tmp_path, modality_column="kind")
    assert set(images.modality) == {"image"}
    np.testing.assert_array_equal(images.values, values[30:])
    assert set(texts.modality) == {"text"}
    np.testing.assert_array_equal(texts.values, values[:30])


def test_other_files_in_a_folder_are_skipped(tmp_path, values):
    pq.write_table(table(values), tmp_path / "items.parquet")
    (tmp_path / "README.md").write_text("# Items")
    for hidden in ("_temporary", ".ipynb_checkpoints"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "items.parquet").write_text("half a file")
    [(X, _)] = iter_parquet(tmp_path, modality="text")
    assert len(X) == 50
    (tmp_path / "texts").mkdir()
    with pytest.raises(FileNotFoundError, match="no .parquet file in the folder .*texts"):
        next(iter_parquet(tmp_path / "texts", modality="text"))
    (tmp_path / "b.parquet").write_text("damaged")
    with pytest.raises(ValueError, match="b.parquet"):
        list(iter_parquet(tmp_path, modality="text"))


@given(st.data(), st.sampled_from([".parquet", ".arrows"]), st.integers(1, 12))
def test_a_wide_file_is_read_as_the_frame_is(tmp_path_factory, data, suffix, batch_size):
    has = data.draw(st.lists(st.sampled_from([(1, 0), (0, 1), (1, 1)]), min_size=1, max_size=20))
    rows = np.arange(6 * len(has), dtype="f4").reshape(len(has), 2, 3).tolist()
    columns = [
        [
            row[m] if flags[m] else data.draw(st.sampled_from([None, []]))
            for row, flags in zip(rows, has)
        ]
        for m in (0, 1)
    ]
    kind = pa.list_(pa.float32())
    frame = pa.table(
        {
            "sku": [f"item{i}" for i in range(len(has))],
            "text_vec": pa.array(columns[0], kind),
            "image_vec": pa.array(columns[1], kind),
        }
    )
    path = tmp_path_factory.mktemp("wide") / f"items{suffix}"
    if suffix == ".parquet":
        pq.write_table(frame, path)
    else:
        with pa.ipc.new_stream(path, frame.schema) as stream:
            stream.write_table(frame)
    names = {"text": "text_vec", "image": "image_vec"}
    X, y = EmbeddingArray.from_frame(frame, id="sku", **names)
    read = list(iter_parquet(path, id="sku", batch_size=batch_size, **names))
    assert [m for part, _ in read for m in part.modality] == X.modality.tolist()
    assert [i for _, ids in read for i in ids] == y.tolist()
    np.testing.assert_array_equal(np.concatenate([part.values for part, _ in read]), X.values)


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
        ([*ROWS[:3], None], "no vector in row 3"),
        ([*ROWS[:3], [7.0]], "row 3 has 1 numbers, and those before it 2"),
        ([*ROWS[:3], [7.0, 8.0, 9.0]], "row 3 has 3 numbers"),
        ([*ROWS[:3], []], "no vector in row 3"),
        ([*ROWS[:3], [7.0, None]], "a number is missing or NaN in the vector of row 3"),
        ([1.0] * 4, "row 0 holds .*1.0.*, which is no vector"),
        (["a"] * 4, "row 0 holds 'a', which is no vector"),
        ([["a", "b"]] * 4, "vectors hold something else than numbers"),
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
    with pytest.raises(ValueError, match="no vector in row 0, 1"):
        list(iter_parquet(tmp_path, modality="text"))


def test_a_missing_number_of_fixed_lists_is_named_by_its_row(tmp_path):
    fixed = pa.array([*ROWS[:3], None], pa.list_(pa.float32(), 2))
    feather.write_feather(pa.table({"embedding": fixed}), tmp_path / "items.arrow")
    with pytest.raises(ValueError, match="no vector in row 3"):
        list(iter_parquet(tmp_path / "items.arrow", modality="text"))


def test_a_missing_id_is_named_by_its_row(tmp_path):
    rows = pa.table({"embedding": ROWS, "id": [1, 2, None, 4]})
    pq.write_table(rows, tmp_path / "items.parquet")
    with pytest.raises(ValueError, match="column 'id': no id in row 2"):
        list(iter_parquet(tmp_path, modality="text", id="id"))


def test_a_missing_modality_is_named_by_its_row(tmp_path):
    rows = pa.table({"embedding": ROWS, "kind": ["text", "image", None, "text"]})
    pq.write_table(rows, tmp_path / "items.parquet")
    for batch_size in (2, 100):
        with pytest.raises(ValueError, match="column 'kind': row 2 has no modality"):
            list(iter_parquet(tmp_path, modality_column="kind", batch_size=batch_size))


def test_a_row_without_any_vector_is_named_with_its_id(tmp_path):
    rows = pa.table({"a": [*ROWS[:3], None], "b": [None, *ROWS[:2], None], "sku": list("wxyz")})
    pq.write_table(rows, tmp_path / "items.parquet")
    with pytest.raises(ValueError, match=r"column 'a' and 'b': no vector in row 3 \(sku 'z'\)"):
        list(iter_parquet(tmp_path, text="a", image="b", id="sku", batch_size=2))


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
    one, other, wide = {"modality": "text"}, {"modality_column": "kind"}, {"text": "text_vec"}
    for both in ({}, one | other, one | wide, other | wide):
        with pytest.raises(ValueError, match="either modality.*or modality_column"):
            next(iter_parquet(tmp_path, **both))


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("batch_size", [0, -1, 1.5])
def test_a_batch_has_at_least_one_row(tmp_path, values, suffix, batch_size):
    path, written = tmp_path / f"items.{suffix}", table(values)
    if suffix == "parquet":
        pq.write_table(written, path)
    else:
        with pa.ipc.new_stream(path, written.schema) as stream:
            stream.write_table(written)
    with pytest.raises(ValueError, match="'batch_size' .* must be an int in the range"):
        list(iter_parquet(path, modality_column="kind", batch_size=batch_size))


def test_an_empty_name_is_no_modality(tmp_path, values):
    pq.write_table(table(values), tmp_path / "items.parquet")
    with pytest.raises(ValueError, match="modality"):
        next(iter_parquet(tmp_path, modality=""))


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.dataset", None)
    with pytest.raises(ImportError, match=r"pip install 'gapremoval\[parquet\]'"):
        next(iter_parquet(tmp_path, modality="text"))

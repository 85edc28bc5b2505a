"""EmbeddingArray: the tags go with the rows, and files come back whole."""

import copy
import os
import pickle
import tracemalloc
from itertools import pairwise

import array_api_strict
import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.model_selection import KFold, train_test_split
from sklearn.utils import _safe_indexing, resample, shuffle

from gapremoval import EmbeddingArray

MODALITIES = ["text", "image", "audio", "query:text", "query:image", "query:image+text"]
DTYPES = [np.float16, np.float32, np.float64, np.int64, np.int8, np.uint8]

tags = st.lists(st.sampled_from(MODALITIES), min_size=1, max_size=30)
libraries = pytest.mark.parametrize("xp", [np, array_api_strict])


def numbered(modality, dtype=np.float64, xp=np):
    """Rows that hold their own number in each of three columns."""
    rows = np.arange(len(modality), dtype=dtype)
    return EmbeddingArray(xp.asarray(np.column_stack([rows, rows, rows])), modality)


def assert_rows(X, rows, modality):
    """Whether X holds the rows with these numbers out of `numbered`, and their tags."""
    assert isinstance(X, EmbeddingArray)
    numbers = np.asarray(X.to_host().values)[:, 0].astype(int)
    assert numbers.tolist() == np.asarray(rows).tolist()
    assert X.modality.tolist() == [modality[row] for row in numbers]


@st.composite
def selections(draw):
    """The tags of some rows, and a way to select among the rows."""
    modality = draw(tags)
    n_rows = len(modality)
    indices = st.lists(st.integers(-n_rows, n_rows - 1))
    masks = st.lists(st.booleans(), min_size=n_rows, max_size=n_rows)
    kind = draw(st.sampled_from(["slice", "mask", "mask array", "list", "array", "small array"]))
    if kind == "slice":
        return modality, draw(st.slices(n_rows))
    selected = draw(masks if "mask" in kind else indices)
    dtype = {"mask array": bool, "array": int, "small array": np.int8}.get(kind)
    return modality, selected if dtype is None else np.array(selected, dtype=dtype)


@libraries
@given(selections())
def test_tags_stay_with_their_rows_however_rows_are_selected(xp, selection):
    modality, key = selection
    rows = np.arange(len(modality))[key]
    X = numbered(modality, xp=xp)
    assert_rows(X[key], rows, modality)
    assert_rows(X[key, ...], rows, modality)
    assert_rows(X[(key,)], rows, modality)
    assert X[key].values.__array_namespace__() is X.values.__array_namespace__()


@libraries
@given(selections())
def test_columns_are_selected_together_with_rows_and_keep_the_tags(xp, selection):
    modality, key = selection
    rows = np.arange(len(modality))[key]
    X = numbered(modality, xp=xp)
    for columns in (slice(1, 3), slice(0, 1), slice(None)):
        part = X[key, columns]
        assert_rows(part, rows, modality)
        assert part.shape == (len(rows), len(range(3)[columns]))


@given(selections(), selections())
def test_selecting_twice_is_selecting_once_among_the_selected(first, second):
    modality, key = first
    selected = numbered(modality)[key]
    again = [i for i in range(len(selected)) if i % 3 != 1][::-1]
    rows = np.arange(len(modality))[key][again]
    assert_rows(selected[again], rows, modality)


@libraries
@given(tags, st.data())
def test_an_integer_selects_the_bare_vector(xp, modality, data):
    X = numbered(modality, xp=xp)
    row = data.draw(st.integers(-len(modality), len(modality) - 1))
    for i in (row, np.int64(row)):
        vector = X[i]
        assert not isinstance(vector, EmbeddingArray)
        assert vector.shape == (3,)
        assert float(vector[0]) == row % len(modality)
    assert float(X[row, 1]) == row % len(modality)


@given(st.lists(tags, min_size=1, max_size=5))
def test_concatenate_keeps_all_rows_and_tags_in_order(several):
    modality = [tag for one in several for tag in one]
    X = numbered(modality)
    starts = np.cumsum([0, *map(len, several)])
    parts = [X[start:stop] for start, stop in pairwise(starts)]
    assert_rows(EmbeddingArray.concatenate(parts), range(len(modality)), modality)
    assert_rows(EmbeddingArray.concatenate(iter(parts)), range(len(modality)), modality)


@given(tags)
def test_tagged_parts_that_name_modalities_in_another_order_concatenate(modality):
    X = numbered(modality)
    rows = [*range(len(modality))[::-1], *range(len(modality))]
    separately = EmbeddingArray.concatenate([EmbeddingArray(X[i:][:1], modality[i]) for i in rows])
    together = EmbeddingArray.concatenate([X[::-1], X])
    assert_rows(separately, rows, modality)
    assert_rows(together, rows, modality)


@libraries
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_concatenate_of_a_dict_stacks_the_rows_of_each_modality(xp, dtype):
    text, image = np.ones((2, 3), dtype), np.zeros((1, 3), dtype)
    X = EmbeddingArray.concatenate({"text": xp.asarray(text), "query:image": xp.asarray(image)})
    assert X.modality.tolist() == ["text", "text", "query:image"]
    assert X.values.__array_namespace__() is xp.asarray(text).__array_namespace__()
    stacked = X.to_host().values
    assert stacked.dtype == dtype
    np.testing.assert_array_equal(stacked, np.concatenate([text, image]))


@pytest.mark.parametrize("n_modalities", [255, 256, 257, 70_000])
def test_any_number_of_modalities_can_be_told_apart(n_modalities):
    modality = [f"m{i}" for i in range(n_modalities)]
    X = EmbeddingArray(np.arange(n_modalities)[:, None], modality)
    both = EmbeddingArray.concatenate([X[::-1], X])
    assert X.modality.tolist() == modality
    assert both.modality.tolist() == modality[::-1] + modality


@pytest.mark.parametrize("empty", [[], {}, ()])
def test_concatenate_of_nothing_is_refused(empty):
    with pytest.raises(ValueError, match="at least one array"):
        EmbeddingArray.concatenate(empty)


def test_concatenate_refuses_untagged_rows():
    X = numbered(["text", "image"])
    with pytest.raises(TypeError, match="a ndarray, whose modality is unknown"):
        EmbeddingArray.concatenate([X, np.ones((2, 3))])
    with pytest.raises(TypeError, match="a ndarray, whose modality is unknown"):
        EmbeddingArray.concatenate(X)


def test_concatenate_refuses_embeddings_of_different_lengths():
    with pytest.raises(ValueError, match=r"got \[2, 3\].*do not share a space"):
        EmbeddingArray.concatenate({"text": np.ones((1, 3)), "image": np.ones((1, 2))})


def test_concatenate_names_a_malformed_modality():
    with pytest.raises(ValueError, match="'image:'"):
        EmbeddingArray.concatenate({"text": np.ones((1, 3)), "image:": np.ones((1, 3))})


@pytest.mark.parametrize(
    "stack",
    [
        np.concatenate,
        np.vstack,
        np.stack,
        lambda arrays: np.append(*arrays, axis=0),
    ],
)
@libraries
def test_numpy_does_not_stack_rows_without_their_tags(xp, stack):
    X = numbered(["text", "image"], xp=xp)
    for arrays in ([X, X], [X, np.ones((2, 3))], [np.ones((2, 3)), X]):
        with pytest.raises(TypeError, match=r"EmbeddingArray\.concatenate"):
            stack(arrays)


@pytest.mark.parametrize("join", [np.hstack, lambda arrays: np.concatenate(arrays, axis=1)])
def test_columns_are_joined_to_a_bare_array_as_by_a_feature_union(join):
    X = numbered(["text", "image"])
    np.testing.assert_array_equal(join([X, X]), join([X.values, X.values]))


@given(tags)
def test_other_functions_of_numpy_read_the_values(modality):
    X = numbered(modality)
    values = X.values
    np.testing.assert_array_equal(np.unique(X), np.unique(values))
    np.testing.assert_array_equal(np.take(X, [0], axis=0), values[:1])
    np.testing.assert_array_equal(np.mean(X, axis=0), values.mean(axis=0))
    np.testing.assert_array_equal(np.dot(X, X.values.T), values @ values.T)
    np.testing.assert_array_equal(np.linalg.norm(X, axis=1), np.linalg.norm(values, axis=1))
    assert np.shape(X) == values.shape
    assert np.size(X) == X.size == values.size
    assert np.may_share_memory(X, values)


@libraries
@given(tags, st.sampled_from(["float16", "float32", "float64", "int8"]))
def test_values_are_converted_to_another_dtype_with_their_tags(xp, modality, dtype):
    if xp is not np and dtype == "float16":
        return
    X = numbered(modality, xp=xp)
    for name in (dtype, getattr(xp, dtype)):
        Z = X.astype(name)
        assert_rows(Z, range(len(modality)), modality)
        assert str(Z.dtype).split(".")[-1] == dtype
        assert Z.values.__array_namespace__() is X.values.__array_namespace__()
    assert str(X.dtype).split(".")[-1] == "float64"


def test_values_are_not_converted_to_what_is_no_number():
    for dtype in ("S4", object, complex, "M8[s]"):
        with pytest.raises((ValueError, TypeError)):
            numbered(["text"]).astype(dtype)


@given(selections())
def test_safe_indexing_keeps_the_tags(selection):
    modality, key = selection
    assert_rows(_safe_indexing(numbered(modality), key), np.arange(len(modality))[key], modality)


@given(tags, st.integers(0, 100))
def test_resampling_and_shuffling_keep_the_tags(modality, seed):
    X, rows = numbered(modality), np.arange(len(modality))
    for draw in (resample, shuffle):
        drawn, numbers = draw(X, rows, random_state=seed)
        assert_rows(drawn, numbers, modality)


@given(tags.filter(lambda modality: len(modality) > 2), st.integers(0, 100))
def test_the_splits_of_scikit_learn_keep_the_tags(modality, seed):
    X, rows = numbered(modality), np.arange(len(modality))
    X_train, X_test, train, test = train_test_split(X, rows, random_state=seed)
    assert_rows(X_train, train, modality)
    assert_rows(X_test, test, modality)
    for train, test in KFold(2, shuffle=True, random_state=seed).split(X):
        assert_rows(X[train], train, modality)
        assert_rows(X[test], test, modality)


def test_columns_taken_by_scikit_learn_keep_the_tags():
    X = EmbeddingArray(np.arange(6).reshape(2, 3), ["text", "image"])
    part = _safe_indexing(X, [2, 0], axis=1)
    assert part.modality.tolist() == ["text", "image"]
    np.testing.assert_array_equal(part, [[2, 0], [5, 3]])


def test_what_is_no_longer_rows_is_bare():
    X = numbered(["text", "image"])
    for bare, expected in [
        (X[:, 0], [0, 1]),
        (X[[1, 0], -1], [1, 0]),
        (X[:, None], [[[0, 0, 0]], [[1, 1, 1]]]),
        (X[1, 1:], [1, 1]),
    ]:
        assert type(bare) is np.ndarray
        np.testing.assert_array_equal(bare, expected)


def test_all_rows_are_selected_by_an_ellipsis_or_an_empty_tuple():
    modality = ["text", "image", "text"]
    X = numbered(modality)
    assert_rows(X[...], range(3), modality)
    assert_rows(X[()], range(3), modality)
    assert_rows(X[..., :2], range(3), modality)
    assert X[..., :2].shape == (3, 2)


@pytest.mark.parametrize(
    "key",
    [
        None,
        True,
        [[0, 1]],
        np.ix_([0, 1], [0, 2]),
        ([0, 1], [0, 2]),
        ([True, True, False], np.array([0, 2])),
        np.ones((3, 3), dtype=bool),
        [True, False],
        [3],
        3,
        1.5,
        "text",
    ],
    ids=str,
)
def test_what_does_not_select_rows_is_an_index_error(key):
    X = numbered(["text", "image", "text"])
    with pytest.raises(IndexError):
        X[key]


def test_an_index_for_rows_and_one_for_columns_are_not_paired_silently():
    X = numbered(["text", "image", "text"])
    with pytest.raises(IndexError, match=r"write X\[rows\]\[:, columns\]"):
        X[[0, 2], [0, 2]]
    assert_rows(X[[0, 2]][:, [0, 2]], [0, 2], ["text", "image", "text"])


def test_iterating_gives_the_bare_vectors():
    vectors = list(numbered(["text", "image"]))
    assert [type(vector) for vector in vectors] == [np.ndarray, np.ndarray]
    np.testing.assert_array_equal(vectors, [[0, 0, 0], [1, 1, 1]])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
@given(selections())
def test_a_copy_keeps_the_tags(duplicate, selection):
    modality, key = selection
    X = duplicate(numbered(modality)[key])
    assert_rows(X, np.arange(len(modality))[key], modality)


@libraries
@given(selections(), st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_pickles_keep_the_tags_and_hold_host_arrays(xp, selection, protocol):
    modality, key = selection
    X = pickle.loads(pickle.dumps(numbered(modality, xp=xp)[key], protocol))
    assert_rows(X, np.arange(len(modality))[key], modality)
    assert type(X.values) is np.ndarray


def test_a_pickle_of_a_part_does_not_hold_the_whole():
    X = numbered(["text"] * 100_000)
    assert len(pickle.dumps(X[:10])) < 2000


def test_neither_pickle_nor_hash_tells_what_was_asked_before():
    X = numbered(MODALITIES)
    pickled, hashed = pickle.dumps(X), joblib.hash(X)
    repr(X), X.modality, X[1:], X.to_host(), len(X), np.asarray(X), X.shape
    pickle.dumps(X)
    assert pickle.dumps(X) == pickled
    assert joblib.hash(X) == hashed == joblib.hash(pickle.loads(pickled))


@given(tags, st.booleans())
def test_equal_arrays_have_one_hash_however_their_tags_were_written(modality, use_one):
    modality = modality[:1] * len(modality) if use_one else modality
    written = [modality, tuple(modality), np.array(modality), np.array(modality, dtype=object)]
    written += [modality[0]] if len(set(modality)) == 1 else []
    values = np.arange(2.0 * len(modality)).reshape(-1, 2)
    assert len({joblib.hash(EmbeddingArray(values, tags)) for tags in written}) == 1


def test_a_deep_copy_has_its_own_values():
    X = numbered(["text", "image"])
    Z = copy.deepcopy(X)
    Z.values[:] = -1
    np.testing.assert_array_equal(X.values[:, 0], [0, 1])


def test_joblib_workers_get_memory_mapped_rows_with_their_tags():
    modality = MODALITIES * 100
    X = numbered(modality)

    def look(X, key):
        return isinstance(X.values, np.memmap), X[key]

    rows = np.arange(len(X))
    keys = [slice(None, None, -170), rows[:5], rows % 99 == 0, [7, -1]]
    looked = joblib.Parallel(n_jobs=2, max_nbytes=1000)(
        joblib.delayed(look)(X, key) for key in keys
    )
    for key, (mapped, part) in zip(keys, looked):
        assert mapped
        assert_rows(part, rows[key], modality)


def test_joblib_dump_maps_the_rows_and_keeps_the_tags(tmp_path):
    joblib.dump(numbered(MODALITIES), tmp_path / "X.joblib")
    X = joblib.load(tmp_path / "X.joblib", mmap_mode="r")
    assert isinstance(X.values, np.memmap)
    assert_rows(X[::-1], range(len(MODALITIES))[::-1], MODALITIES)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_keep_their_dtype_and_are_not_copied(dtype):
    values = np.ones((2, 3), dtype=dtype)
    X = EmbeddingArray(values, "text")
    assert X.values is values
    assert X.dtype == X[1:].dtype == X[[0]].dtype == np.asarray(X).dtype == dtype
    assert (X.shape, X.ndim, len(X)) == ((2, 3), 2, 2)


def test_numpy_reads_the_values_and_copies_as_it_is_told():
    values = np.arange(6.0).reshape(2, 3)
    X = EmbeddingArray(values, "text")
    assert np.shares_memory(np.asarray(X), values)
    assert np.shares_memory(np.array(X, copy=False), values)
    assert not np.shares_memory(np.array(X), values)
    assert not np.shares_memory(np.array(X, copy=True), values)
    half = np.array(X, dtype=np.float16)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, values)
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        np.array(X, dtype=np.float16, copy=False)


def test_read_only_and_memory_mapped_values_are_taken_as_they_are(tmp_path):
    values = np.arange(6.0).reshape(3, 2)
    values.flags.writeable = False
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    for given_values in (values, mapped):
        X = EmbeddingArray(given_values, ["text", "image", "text"])
        assert np.shares_memory(X.values, given_values)
        assert not X.values.flags.writeable
        part = X[[2, 1]]
        assert part.modality.tolist() == ["text", "image"]
        np.testing.assert_array_equal(part.values, values[[2, 1]])


def test_values_of_another_library_stay_there_until_asked():
    X = numbered(["text", "image"], xp=array_api_strict)
    assert isinstance(X.values, type(array_api_strict.asarray(1)))
    with pytest.raises(TypeError, match=r"array_api_strict.*host with \.to_host\(\)"):
        np.asarray(X)
    assert type(X.to_host().values) is np.ndarray
    assert_rows(X.to_host(), [0, 1], ["text", "image"])


def test_array_libraries_do_not_take_it_for_one_of_their_own():
    assert not hasattr(numbered(["text"]), "__array_namespace__")


@given(tags)
def test_tags_cannot_be_changed(modality):
    X = numbered(modality)
    with pytest.raises(ValueError, match="read-only"):
        X.modality[0] = "other"
    with pytest.raises(AttributeError):
        X.modality = ["other"] * len(modality)
    mine = X.modality.copy()
    mine[:] = "other"
    assert X.modality.tolist() == modality


@pytest.mark.parametrize("container", [list, np.array, lambda x: np.array(x, dtype=object)])
def test_changing_the_given_tags_afterwards_changes_nothing(container):
    given_tags = container(["text", "image"])
    X = numbered(given_tags)
    given_tags[0] = "audio"
    assert X.modality.tolist() == ["text", "image"]


def test_one_tag_stands_for_all_rows():
    assert numbered(["text"] * 3).modality.tolist() == ["text"] * 3
    for tag in ("query:text", np.str_("query:text"), np.array("query:text")):
        # As many rows as letters: the tag must not be taken apart.
        X = EmbeddingArray(np.ones((10, 2)), tag)
        assert X.modality.tolist() == ["query:text"] * 10


@libraries
def test_tagging_again_replaces_the_tags(xp):
    X = numbered(["text", "image"], xp=xp)
    again = EmbeddingArray(X, "audio")
    assert again.values is X.values
    assert again.modality.tolist() == ["audio", "audio"]
    assert X.modality.tolist() == ["text", "image"]


def test_no_rows_are_a_valid_array():
    for X in (EmbeddingArray(np.ones((0, 3)), []), numbered(["text", "image"])[:0]):
        assert X.shape == (0, 3)
        assert X.modality.tolist() == []
        assert repr(X) == "EmbeddingArray(0 rows x 3, float64: empty)"
        assert_rows(EmbeddingArray.concatenate([X, numbered(["text"])]), [0], ["text"])


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([["a", "b"]], "<U1"),
        (["a red bicycle"], "<U13"),
        ([[None, 1.0]], "object"),
        ([object()], "object"),
        ([b"abc"], "S3"),
        ([[1j]], "complex128"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "datetime64"),
    ],
)
def test_values_that_are_not_numbers_are_refused_with_their_dtype(values, dtype):
    with pytest.raises(ValueError, match=f"values must be numbers; got .*{dtype}"):
        EmbeddingArray(values, "text")


@libraries
@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 3, 4)])
def test_values_that_are_not_rows_are_refused_with_their_shape(xp, shape):
    with pytest.raises(ValueError, match="must be 2-D") as refusal:
        EmbeddingArray(xp.ones(shape), "text")
    assert f"got shape {shape}" in str(refusal.value)


def test_its_repr_counts_the_rows_of_each_modality():
    X = EmbeddingArray.concatenate(
        {
            "text": np.ones((500, 512), np.float32),
            "image": np.ones((500, 512), np.float32),
            "query:text": np.ones((100, 512), np.float32),
        }
    )
    assert repr(X) == (
        "EmbeddingArray(1100 rows x 512, float32: 500 text, 500 image, 100 query:text)"
    )
    assert repr(X[:600]) == "EmbeddingArray(600 rows x 512, float32: 500 text, 100 image)"


def test_its_repr_is_the_same_for_another_library():
    X = numbered(["text", "image"], np.float32, array_api_strict)
    assert repr(X) == "EmbeddingArray(2 rows x 3, float32: 1 text, 1 image)"


names = st.text(st.characters(exclude_characters=":+\0"), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("saved")


@given(
    hnp.arrays(
        st.sampled_from([*map(np.dtype, DTYPES), np.dtype(bool), np.dtype(">f4")]),
        st.tuples(st.integers(0, 6), st.integers(1, 4)),
    ),
    st.lists(names | names.map("query:{}".format), min_size=1, max_size=3),
    st.booleans(),
)
def test_a_saved_file_is_read_back_as_it_was(folder, values, some_names, by_column):
    modality = [some_names[i % len(some_names)] for i in range(len(values))]
    X = EmbeddingArray(np.asfortranarray(values) if by_column else values, modality)
    X.save(folder / "X")
    read = EmbeddingArray.load(folder / "X")
    assert read.modality.tolist() == modality
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read.values, values)


def test_a_file_holds_arrays_only_and_has_exactly_the_given_name(tmp_path):
    numbered(MODALITIES).save(str(tmp_path / "X.gap"))
    assert [file.name for file in tmp_path.iterdir()] == ["X.gap"]
    with np.load(tmp_path / "X.gap", allow_pickle=False) as arrays:
        kinds = {name: arrays[name].dtype.kind for name in arrays}
    assert kinds == {"values": "f", "codes": "u", "names": "U"}


def test_a_part_and_values_of_another_library_are_saved_on_the_host(tmp_path):
    numbered(MODALITIES, xp=array_api_strict)[[4, 1]].save(tmp_path / "X")
    assert_rows(EmbeddingArray.load(tmp_path / "X"), [4, 1], MODALITIES)


def test_a_name_as_long_as_file_systems_allow_can_be_saved(tmp_path):
    numbered(["text"]).save(tmp_path / ("x" * 255))
    assert_rows(EmbeddingArray.load(tmp_path / ("x" * 255)), [0], ["text"])


@pytest.mark.parametrize("interruption", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_an_interrupted_save_leaves_the_older_file_and_nothing_else(
    tmp_path, monkeypatch, interruption
):
    numbered(["image"]).save(tmp_path / "X")

    def stop_halfway(file, **arrays):
        file.write(b"PK\3\4")
        raise interruption

    monkeypatch.setattr(np, "savez", stop_halfway)
    with pytest.raises(type(interruption)):
        numbered(["text", "text"]).save(tmp_path / "X")
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["X"]
    assert_rows(EmbeddingArray.load(tmp_path / "X"), [0], ["image"])


def test_saving_again_replaces_the_older_file(tmp_path):
    numbered(["image"]).save(tmp_path / "X")
    numbered(["text", "text"]).save(tmp_path / "X")
    assert_rows(EmbeddingArray.load(tmp_path / "X"), [0, 1], ["text", "text"])


def test_saving_where_nothing_can_be_written_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        numbered(["text"]).save(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        numbered(["text"]).save(tmp_path / "no such folder" / "X")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


@pytest.fixture(scope="module")
def saved(folder):
    numbered(MODALITIES).save(folder / "whole")
    return (folder / "whole").read_bytes()


@given(st.data())
def test_a_file_that_was_cut_off_is_refused(folder, saved, data):
    stop = data.draw(st.integers(0, len(saved) - 1))
    (folder / "cut").write_bytes(saved[:stop])
    with pytest.raises(ValueError, match=r"cut is not a complete file of EmbeddingArray\.save"):
        EmbeddingArray.load(folder / "cut")


@given(st.data())
def test_a_damaged_file_is_refused_or_read_as_it_was(folder, saved, data):
    damaged = bytearray(saved)
    damaged[data.draw(st.integers(0, len(saved) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / "damaged").write_bytes(damaged)
    try:
        X = EmbeddingArray.load(folder / "damaged")
    except ValueError as error:
        refusal = str(error)
    else:
        return assert_rows(X, range(len(MODALITIES)), MODALITIES)
    assert "damaged is not a complete file of EmbeddingArray.save" in refusal


def test_a_flipped_bit_in_any_byte_is_refused_or_changes_nothing(folder, saved):
    refusals = []
    for position in range(len(saved)):
        damaged = bytearray(saved)
        damaged[position] ^= 1 << position % 8
        (folder / "damaged").write_bytes(damaged)
        try:
            X = EmbeddingArray.load(folder / "damaged")
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert_rows(X, range(len(MODALITIES)), MODALITIES)
    assert all("not a complete file of EmbeddingArray.save" in told for told in refusals)


def test_a_small_file_fills_no_memory(tmp_path):
    long = np.array(["text" * 2000])
    write_npz(
        tmp_path / "X", values=np.ones((50_000, 1), "i1"), codes=np.zeros(50_000, "u1"), names=long
    )
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too long for so many"):
            EmbeddingArray.load(tmp_path / "X")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    # One long name beside as many numbers is no reason to refuse what was saved.
    EmbeddingArray(np.ones((3, 2)), long.tolist() * 3).save(tmp_path / "X")
    assert EmbeddingArray.load(tmp_path / "X").modality.tolist() == long.tolist() * 3


def test_a_part_saved_with_names_that_it_no_longer_has_is_read_back(tmp_path):
    for part in (slice(0, 0), slice(1, 2), slice(None, None, 2)):
        numbered(MODALITIES)[part].save(tmp_path / "X")
        assert_rows(
            EmbeddingArray.load(tmp_path / "X"), np.arange(len(MODALITIES))[part], MODALITIES
        )


def write_npz(path, save=np.savez, **arrays):
    with path.open("wb") as file:
        save(file, **arrays)


def write_npy(path):
    with path.open("wb") as file:
        np.save(file, np.ones((2, 3)))


VALUES, CODES, NAMES = np.ones((2, 3)), np.array([0, 1]), np.array(["text", "image"])


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("a red bicycle\n"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(pickle.dumps(numbered(["text"]))),
        lambda path: path.mkdir(),
        write_npy,
        lambda path: write_npz(path, embeddings=VALUES),
        lambda path: write_npz(path, values=VALUES, codes=CODES),
        lambda path: write_npz(path, values=VALUES, codes=CODES[:1], names=NAMES),
        lambda path: write_npz(path, values=VALUES, codes=CODES + 1, names=NAMES),
        lambda path: write_npz(path, values=VALUES, codes=CODES - 1, names=NAMES),
        lambda path: write_npz(path, values=VALUES, codes=CODES * 1.0, names=NAMES),
        lambda path: write_npz(path, values=VALUES, codes=CODES > 0, names=NAMES),
        lambda path: write_npz(path, values=VALUES, codes=CODES[None], names=NAMES),
        lambda path: write_npz(path, values=VALUES, codes=CODES, names=np.array("ab")),
        lambda path: write_npz(path, values=VALUES, codes=CODES, names=np.array(["a", "a"])),
        lambda path: write_npz(path, values=VALUES, codes=CODES, names=np.array([1, 2])),
        lambda path: write_npz(path, values=VALUES, codes=CODES, names=np.array(["a:", "b"])),
        lambda path: write_npz(path, values=VALUES, codes=CODES, names=NAMES, more=NAMES),
        lambda path: write_npz(path, np.savez_compressed, values=VALUES, codes=CODES, names=NAMES),
        lambda path: write_npz(path, values=VALUES[0], codes=CODES, names=NAMES),
        lambda path: write_npz(path, values=VALUES.astype(object), codes=CODES, names=NAMES),
    ],
    ids=[
        "text",
        "nothing",
        "pickle",
        "folder",
        "npy",
        "foreign npz",
        "no names",
        "too few codes",
        "codes without a name",
        "negative codes",
        "broken codes",
        "codes of no number",
        "a table of codes",
        "one name alone",
        "equal names",
        "numbers as names",
        "malformed names",
        "one array more",
        "compressed",
        "one vector",
        "pickled objects",
    ],
)
def test_what_save_did_not_write_is_refused(tmp_path, write):
    write(tmp_path / "other")
    with pytest.raises(ValueError, match=r"other is not a complete file of EmbeddingArray\.save"):
        EmbeddingArray.load(tmp_path / "other")


class MakesAFolder:
    """Its pickle makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_no_code_in_a_file_is_run(tmp_path):
    names = np.array([MakesAFolder(str(tmp_path / "made")), "image"], dtype=object)
    write_npz(tmp_path / "other", values=VALUES, codes=CODES, names=names)
    with pytest.raises(ValueError, match="not a complete file"):
        EmbeddingArray.load(tmp_path / "other")
    assert not (tmp_path / "made").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is not a complete file"):
        EmbeddingArray.load(tmp_path / "pipe")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        EmbeddingArray.load(tmp_path / "nowhere")


def test_saving_into_a_folder_that_is_not_there_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*absent to save x.npz in"):
        EmbeddingArray(np.eye(2), "text").save(tmp_path / "absent" / "x.npz")

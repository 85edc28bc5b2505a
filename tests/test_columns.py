"""Rows from the tables and columns of vectors of pandas, polars and pyarrow."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover
from gapremoval import make_search_pipeline as make_pipe

pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")

MISSING = [None, np.nan, pd.NA, []]
N_FEATURES = 3
rng = np.random.default_rng(0)


def listed(cells):
    return [None if cell is None else cell.tolist() for cell in cells]


def arrow_lists(kind):
    return lambda cells: pa.array(listed(cells), kind)


# A column of vectors of float32, some None, as libraries hold it.
COLUMNS = {
    "pandas arrays": lambda cells: pd.Series(cells, dtype=object),
    "pandas lists": lambda cells: pd.Series(listed(cells), dtype=object),
    "pandas Arrow": lambda cells: pd.Series(
        arrow_lists(pa.list_(pa.float32()))(cells), dtype=pd.ArrowDtype(pa.list_(pa.float32()))
    ),
    "polars lists": lambda cells: pl.Series(listed(cells), dtype=pl.List(pl.Float32)),
    "polars arrays": lambda cells: pl.Series(listed(cells), dtype=pl.Array(pl.Float32, N_FEATURES)),
    "Arrow lists": arrow_lists(pa.list_(pa.float32())),
    "Arrow large lists": arrow_lists(pa.large_list(pa.float32())),
    "Arrow fixed lists": arrow_lists(pa.list_(pa.float32(), N_FEATURES)),
    "Arrow chunks": lambda cells: pa.chunked_array(
        [arrow_lists(pa.list_(pa.float32()))(part) for part in (cells[:1], cells[1:])]
    ),
}
IDS = {
    "pandas": pd.Series,
    "polars": pl.Series,
    "Arrow": pa.array,
}
FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "Arrow": pa.table}

columns = pytest.mark.parametrize("kind", COLUMNS)


def frame_of(kind, **columns):
    """A table of the library of a kind of column."""
    library = kind.split()[0]
    return FRAMES[library](
        {n: COLUMNS[kind](c) if n.endswith("vec") else IDS[library](c) for n, c in columns.items()}
    )


@st.composite
def items(draw):
    """Vectors of two modalities, some missing, but none of both; and ids."""
    n = draw(st.integers(1, 8))
    has = draw(st.lists(st.sampled_from([(1, 0), (0, 1), (1, 1)]), min_size=n, max_size=n))
    vectors = rng.normal(size=(n, 2, N_FEATURES)).astype("f4")
    text, image = (
        [row[m] if flags[m] else None for row, flags in zip(vectors, has)] for m in (0, 1)
    )
    ids = draw(st.sampled_from(["strings", "integers", "numbers of rows"]))
    ids = [f"sku{i}" for i in range(n)] if ids == "strings" else [*range(n)]
    return text, image, ids


@columns
@given(items())
def test_the_vectors_of_a_wide_frame_come_item_by_item_with_their_ids(kind, given_items):
    text, image, ids = given_items
    frame = frame_of(kind, sku=ids, text_vec=text, image_vec=image)
    X, y = EmbeddingArray.from_frame(frame, text="text_vec", image="image_vec", id="sku")
    want = [
        (name, sku, vector)
        for t, i, sku in zip(text, image, ids)
        for name, vector in (("text", t), ("image", i))
        if vector is not None
    ]
    assert X.modality.tolist() == [name for name, _, _ in want]
    assert y.tolist() == [sku for _, sku, _ in want]
    np.testing.assert_array_equal(
        X.values, np.stack([vector for _, _, vector in want]).astype("f4")
    )
    assert X.dtype == (np.float64 if kind == "pandas lists" else np.float32)


@columns
@given(items())
def test_without_a_column_of_ids_the_id_is_the_number_of_the_row(kind, given_items):
    text, image, _ = given_items
    frame = frame_of(kind, text_vec=text, image_vec=image)
    X, y = EmbeddingArray.from_frame(frame, text="text_vec", image="image_vec")
    want = [i for i, pair in enumerate(zip(text, image)) for v in pair if v is not None]
    assert y.tolist() == want
    assert len(X) == len(want)


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_a_vector_is_missing_however_that_is_written(missing):
    cells = [missing, np.ones(2), missing, [2.0, 3.0]]
    frame = pd.DataFrame({"text_vec": [np.zeros(2)] * 4, "image_vec": cells}, index=[7, 7, 8, 9])
    X, y = EmbeddingArray.from_frame(frame, text="text_vec", image="image_vec")
    assert X.modality.tolist() == ["text", "text", "image", "text", "text", "image"]
    assert y.tolist() == [0, 1, 1, 2, 3, 3]


@columns
def test_a_column_without_any_vector_is_fine(kind):
    vectors = [*rng.normal(size=(4, N_FEATURES)).astype("f4")]
    frame = frame_of(kind, text_vec=vectors, image_vec=[None] * 4)
    for names in (["text", "image"], ["image", "text"]):
        X, y = EmbeddingArray.from_frame(frame, **{name: f"{name}_vec" for name in names})
        assert X.shape == (4, N_FEATURES)
        assert set(X.modality) == {"text"}
        assert y.tolist() == [0, 1, 2, 3]


def test_a_modality_without_rows_is_stacked():
    rows = rng.normal(size=(20, 64)).astype("f4")
    for empty in (np.empty((0, 64), "f4"), np.empty((0, 64)), [], pd.Series([]), pl.Series([])):
        X = EmbeddingArray.concatenate({"text": empty, "image": rows})
        assert X.modality.tolist() == ["image"] * 20
        assert (X.shape, X.dtype) == ((20, 64), np.float32)
        assert ModalityGapRemover().fit(X).counts_ == {"image": 20}
        assert MixedModalityRetriever().fit(X).n_documents_ == 20
    nothing = X[:0]
    assert EmbeddingArray.concatenate([nothing, X, nothing]).shape == (20, 64)
    assert EmbeddingArray.concatenate([nothing, nothing]).shape == (0, 64)
    assert EmbeddingArray.concatenate({"text": np.empty((0, 3))}).shape == (0, 3)


def test_queries_have_columns_of_their_own():
    frame = pd.DataFrame({"text_vec": [[1.0, 0.0]], "asked": [[0.0, 1.0]]})
    X, _ = EmbeddingArray.from_frame(frame, text="text_vec", **{"query:text": "asked"})
    assert X.modality.tolist() == ["text", "query:text"]


def wide(**changes):
    columns = {
        "sku": ["cup", "hat", "pan"],
        "text_vec": [[1.0, 2.0], [3.0, 4.0], None],
        "image_vec": [[5.0, 6.0], None, [7.0, 8.0]],
    }
    return pd.DataFrame(columns | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sku": ["cup", None, "pan"]}, "column 'sku': no id in row 1"),
        ({"sku": [1, np.nan, 2]}, "column 'sku': no id in row 1"),
        ({"sku": pd.array([1, None, 2], "Int64")}, "column 'sku': no id in row 1"),
        ({"sku": pd.to_datetime(["2026-01-01", None, None])}, "no id in row 1, 2"),
        ({"image_vec": [None] * 3}, r"no vector in row 2 \(sku 'pan'\). Drop such rows"),
        ({"text_vec": [[1.0, 2.0], [3.0], None]}, "'text_vec': row 1 has 1 numbers, .* it 2: emb"),
        ({"image_vec": [[5.0], None, [6.0]]}, "'image_vec': row 0 has 1 numbers, .* it 2: embed"),
        ({"image_vec": [[5.0, None], None, [7.0, 8.0]]}, "'image_vec': .*else than numbers"),
        ({"image_vec": [[5.0, np.nan], None, [7.0, 8.0]]}, "NaN in the vector of row 0"),
        ({"image_vec": ["[5.0, 6.0]", None, "[7.0]"]}, r"row 0 holds '\[5.0, 6.0\]', which is no"),
        ({"image_vec": [5.0, 6.0, 7.0]}, "row 0 holds .*5.0.*, which is no vector"),
        ({"image_vec": [[[5.0, 6.0]] * 2, None, [[1.0, 2.0]] * 2]}, "something else than numbers"),
        ({"image_vec": [["a", "b"], None, ["c", "d"]]}, "something else than numbers"),
    ],
)
def test_what_is_wrong_in_a_wide_frame_is_named_by_column_and_row(changes, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingArray.from_frame(wide(**changes), text="text_vec", image="image_vec", id="sku")


def test_a_column_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(ValueError, match="no column 'vec'; the columns are 'sku', 'text_vec', 'im"):
        EmbeddingArray.from_frame(wide(), text="vec")
    for frame in (pl.DataFrame({"a": [[1.0]]}), pa.table({"a": [[1.0]]})):
        with pytest.raises(ValueError, match="no column 'id'; the columns are 'a'"):
            EmbeddingArray.from_frame(frame, text="a", id="id")


def test_a_modality_must_be_named():
    with pytest.raises(TypeError, match="text='text_vec'"):
        EmbeddingArray.from_frame(wide(), id="sku")
    with pytest.raises(ValueError, match="'a:b' is malformed"):
        EmbeddingArray.from_frame(wide().iloc[:2], **{"a:b": "text_vec"})


@pytest.mark.parametrize(
    "frame", [[{"text_vec": [1.0]}], {"text_vec": [[1.0]]}, np.eye(2), "a.csv"]
)
def test_what_is_no_table_is_refused_by_its_type(frame):
    with pytest.raises(TypeError, match=f"got {type(frame).__name__}"):
        EmbeddingArray.from_frame(frame, text="text_vec")


# Columns and frames as rows.

ROWS = rng.normal(size=(20, N_FEATURES)).astype("f4")


def both_ways(rows):
    """What an EmbeddingArray and a fit beside `modality=` make of rows."""
    tagged = EmbeddingArray(rows, "text")
    means = [
        ModalityGapRemover().fit(tagged).means_["text"],
        ModalityGapRemover().fit(rows, modality="text").means_["text"],
    ]
    np.testing.assert_array_equal(*means)
    return tagged


@columns
def test_a_column_of_vectors_is_rows(kind):
    tagged = both_ways(COLUMNS[kind]([*ROWS]))
    np.testing.assert_array_equal(tagged.values, ROWS)


@pytest.mark.parametrize(
    "rows",
    [
        pd.DataFrame(ROWS, dtype="Float32"),
        pd.DataFrame(ROWS).astype("float[pyarrow]"),
        pd.DataFrame(ROWS, columns=list("abc")),
        pl.DataFrame(ROWS),
        pa.table([ROWS[:, 0], ROWS[:, 1], ROWS[:, 2]], names=list("abc")),
        np.fromiter(ROWS, object),
        [*ROWS],
        np.ma.array(ROWS),
    ],
    ids=lambda rows: type(rows).__module__.split(".")[0],
)
def test_a_frame_of_numbers_is_rows(rows):
    np.testing.assert_array_equal(both_ways(rows).values, ROWS)


def refusals(rows):
    """The errors of both ways in."""
    for way in (
        lambda: EmbeddingArray(rows, "text"),
        lambda: ModalityGapRemover().fit(rows, modality="text"),
        lambda: MixedModalityRetriever().fit(rows, modality="text"),
    ):
        with pytest.raises((ValueError, TypeError)) as refusal:
            way()
        yield str(refusal.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (sparse.csr_array(ROWS), ".toarray()"),
        (sparse.csr_matrix(ROWS), ".toarray()"),
        (np.ma.array(ROWS, mask=ROWS > 1), "masked"),
        (pd.Series([*ROWS[:3], None]), "no vector in row 3"),
        (pl.Series([[1.0], None, []]), "no vector in row 1, 2"),
        (pd.Series([[1.0, 2.0], [1.0]]), "row 1 has 1 numbers"),
    ],
)
def test_rows_that_cannot_be_computed_with_are_refused_with_what_mends_them(rows, message):
    for said in refusals(rows):
        assert message in said
        assert "encoder" not in said


@pytest.mark.parametrize("library", FRAMES)
def test_a_frame_with_columns_of_vectors_is_refused_with_the_line_that_reads_it(library):
    columns = {"sku": [1, 2], "text_vec": [None, [1.0, 2.0]], "image_vec": [None, [3.0, 4.0]]}
    frame = FRAMES[library](columns)
    line = 'EmbeddingArray.from_frame(df, text="text_vec", image="image_vec", id="sku")'
    assert all(line in said for said in refusals(frame))
    with pytest.raises(ValueError, match=re.escape(line)):
        make_pipe().fit(frame)


@pytest.mark.parametrize("texts", [pd.Series, pl.Series, pa.array, list, np.array])
def test_texts_are_told_to_go_through_an_encoder(texts):
    for said in refusals(texts(["a red bicycle", "a green one"])):
        assert "encoder" in said

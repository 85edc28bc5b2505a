import numpy as np
import pandas as pd
import pytest

from gapremoval import Query
from gapremoval.encoders._rows import read_rows

Image = pytest.importorskip("PIL.Image")

PICTURE = Image.new("RGB", (4, 3))
ARRAY = np.zeros((3, 4, 3), dtype=np.uint8)


def read(items):
    return read_rows(items, taker="CLIPEncoder")


def test_each_row_is_tagged_by_what_it_is(tmp_path):
    path = tmp_path / "x.jpg"
    items = ["a", "", path, PICTURE, ARRAY, Query("a"), Query(path), Query(PICTURE)]
    items += [Query(text="a"), Query(image=ARRAY), Query(text="a", image=path)]
    rows = read(items)
    assert [row.modality for row in rows] == [
        *["text", "text", "image", "image", "image", "query:text", "query:image", "query:image"],
        *["query:text", "query:image", "query:image+text"],
    ]
    assert rows[-1].parts == [("text", "a"), ("image", path)]
    assert rows[1].parts == [("text", "")]


def test_a_path_written_as_text_in_the_image_of_a_query_is_a_path(tmp_path):
    path = tmp_path / "x.jpg"
    assert read([Query(image=str(path))])[0].parts == [("image", path)]


@pytest.mark.parametrize("series", [pd.Series, tuple, np.array])
def test_any_sequence_of_items_will_do(series):
    assert [row.parts for row in read(series(["a", "b"]))] == [[("text", "a")], [("text", "b")]]


@pytest.mark.parametrize(
    "lone", ["a red bicycle", b"bytes", PICTURE, ARRAY, Query("a")], ids=lambda x: type(x).__name__
)
def test_a_lone_item_is_a_type_error_that_shows_the_list_and_names_search(lone):
    with pytest.raises(TypeError, match=r"write \[.*\]\. To search, call gapremoval\.search"):
        read(lone)


def test_a_lone_path_is_one_too(tmp_path):
    with pytest.raises(TypeError, match=r"a single PosixPath|a single WindowsPath"):
        read(tmp_path / "x.png")


@pytest.mark.parametrize("records", [pd.DataFrame({"text": ["a"]}), {"text": "a"}, {"a"}, 5])
def test_what_is_no_sequence_of_items_is_sent_to_explode_documents(records):
    with pytest.raises(TypeError, match="explode_documents"):
        read(records)


def test_all_rows_that_are_no_items_are_named_together():
    items = ["a", None, float("nan"), pd.NA, b"x", np.zeros((2, 2)), 3, Query(5), ["b"], "c"]
    with pytest.raises(ValueError, match="8 of 10 rows are not valid items") as error:
        read(items)
    for number in (1, 2, 3):
        assert f"row {number}: {items[number]!r} is missing: drop it" in str(error.value)
    for number in (4, 5, 6, 7, 8):
        assert f"row {number}: " in str(error.value)
    assert "an array of float64 and shape (2, 2)" in str(error.value)


COLUMNS = {
    "object": lambda texts: pd.Series(texts, dtype=object),
    "StringDtype": lambda texts: pd.Series(texts, dtype="string"),
    "categories": lambda texts: pd.Series(texts, dtype="category"),
    "pandas with arrow": lambda texts: pd.Series(
        texts, dtype=pd.ArrowDtype(pytest.importorskip("pyarrow").string())
    ),
    "index": pd.Index,
    "polars": lambda texts: pytest.importorskip("polars").Series(texts),
    "arrow": lambda texts: pytest.importorskip("pyarrow").array(texts),
    "chunks of arrow": lambda texts: pytest.importorskip("pyarrow").chunked_array(
        [texts[:1], texts[1:]]
    ),
    "masked": lambda texts: np.ma.array(texts, mask=[text is None for text in texts], dtype=object),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_a_column_of_texts_is_read_and_its_missing_cells_are_named(column):
    assert [row.parts for row in read(column(["a", "b"]))] == [[("text", "a")], [("text", "b")]]
    with pytest.raises(ValueError, match="2 of 4 rows are not valid items") as error:
        read(column(["a", None, "b", None]))
    for number in (1, 3):
        assert f"row {number}: " in str(error.value)
    assert str(error.value).count("is missing: drop it") == 2


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_a_table_is_sent_to_explode_documents(kind):
    columns = {"text": ["a", "b"]}
    make = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "table"}[kind]
    with pytest.raises(TypeError, match="explode_documents"):
        read(getattr(pytest.importorskip(kind), make)(columns))


@pytest.mark.parametrize(
    "query", [Query(text=5), Query(image="a.jpg", text=PICTURE), Query(image=3)]
)
def test_a_query_whose_parts_are_of_another_kind_is_named(query):
    with pytest.raises(ValueError, match="1 of 2 rows are not valid items. row 1: "):
        read(["a", query])


def test_texts_of_other_string_types_are_plain_texts_in_queries_too():
    for row in read([np.str_("a"), Query(text=np.str_("a")), Query(np.str_("a"))]):
        assert row.parts == [("text", "a")]
        assert type(row.parts[0][1]) is str


def test_no_items_are_refused():
    with pytest.raises(ValueError, match="no items"):
        read([])


def test_a_text_that_names_a_picture_file_is_refused_where_the_file_is_there(tmp_path):
    PICTURE.save(tmp_path / "x.PNG")
    with pytest.raises(ValueError, match=r"row 1: the text '.*x\.PNG' names a picture file: wrap"):
        read(["a", str(tmp_path / "x.PNG")])


def test_a_text_that_only_looks_like_one_is_warned_of():
    with pytest.warns(UserWarning, match="2 texts end like the name of a picture"):
        assert len(read(["absent.jpg", "a.PNG", "b"])) == 3
    with pytest.warns(UserWarning, match="1 texts"):
        read(["x" * 5000 + ".jpg"])


def test_other_suffixes_are_texts_without_a_warning(tmp_path):
    (tmp_path / "notes.txt").touch()
    read(["see file.txt", str(tmp_path / "notes.txt"), "a.pdf", "Dr. Who", "jpg", "a.jpg\n"])

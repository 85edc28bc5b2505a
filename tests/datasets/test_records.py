"""explode_documents: records that become items and ids."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import Joint, Tagged, explode_documents

MISSING = [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT]
missing = st.sampled_from(MISSING)
texts = st.text(min_size=1).filter(str.strip)
paths = st.sampled_from(["a.jpg", "b c.png", "folder/d.jpg"]).map(Path)
picture = np.zeros((4, 5, 3), dtype=np.uint8)


@st.composite
def cells(draw, items, blanks):
    """A cell and the items in it: one, a list or tuple of several among blanks, or none."""
    held = draw(st.lists(items, max_size=3))
    if len(held) == 1 and draw(st.booleans()):
        return held[0], held
    if not held and draw(st.booleans()):
        return draw(blanks), held
    cell = [x for item in held for x in (*draw(st.lists(blanks, max_size=1)), item)]
    return draw(st.sampled_from([list, tuple]))(cell), held


records_and_items = st.lists(
    st.tuples(
        cells(texts, missing | st.sampled_from(["", " ", "\n\t"])),
        cells(paths, missing),
    ).filter(lambda record: record[0][1] or record[1][1]),
    max_size=8,
)


@pytest.mark.parametrize("table", [list, iter, pd.DataFrame], ids=["list", "iter", "pandas"])
@given(records_and_items)
def test_every_item_has_the_id_of_its_record_and_the_order_is_kept(table, drawn):
    records = [{"text": text, "image": image} for (text, _), (image, _) in drawn]
    items, ids = explode_documents(table(records))
    assert items == [item for (_, texts), (_, images) in drawn for item in texts + images]
    assert ids == [i for i, (text, image) in enumerate(drawn) for _ in text[1] + image[1]]


@given(records_and_items, st.randoms())
def test_ids_are_taken_from_the_records(drawn, random):
    names = [f"p{i}" for i in range(len(drawn))]
    random.shuffle(names)
    records = [
        {"id": name, "text": text, "image": image}
        for name, ((text, _), (image, _)) in zip(names, drawn)
    ]
    without_id = [{"text": record["text"], "image": record["image"]} for record in records]
    items, ids = explode_documents(records)
    assert len(items) == len(ids)
    assert ids == [names[i] for i in explode_documents(without_id)[1]]


def test_a_catalogue_with_empty_cells_gives_one_item_for_each_full_one():
    images = [Path(f"{i}.jpg") for i in range(5)]
    table = pd.DataFrame(
        {
            "id": ["p1", "p2", "p3", "p4", "p5"],
            "text": ["red shoe", np.nan, None, "  ", pd.NA],
            "image": [images[0], images[1], pd.NA, [images[2], images[3]], images[4]],
        }
    )
    items, ids = explode_documents(table[table["id"] != "p3"])
    assert items == ["red shoe", *images]
    assert ids == ["p1", "p1", "p2", "p4", "p4", "p5"]
    with pytest.raises(ValueError, match="^1 record has neither a text nor an image: 'p3'"):
        explode_documents(table)


@pytest.mark.parametrize("blank", [*MISSING, "", "  ", [], (), [None, ""], np.array([], object)])
def test_a_record_of_blank_cells_is_named(blank):
    records = [{"id": "full", "text": "a"}, {"id": "blank", "text": blank, "image": blank}]
    with pytest.raises(ValueError, match="neither a text nor an image: 'blank'"):
        explode_documents(records)
    assert explode_documents([{"text": blank, "image": "a.jpg"}]) == ([Path("a.jpg")], [0])
    assert explode_documents([{"text": "a", "image": blank}]) == (["a"], [0])


def test_of_many_empty_records_ten_are_named():
    with pytest.raises(ValueError, match=r"^12 records have .*: 0, 1, .*, 9, \.\.\.") as refusal:
        explode_documents([{"text": None}] * 12)
    assert "10" not in str(refusal.value)


def test_records_whose_columns_have_other_names_are_told_which_are_read():
    with pytest.raises(ValueError, match="the columns read are 'text' and 'image'"):
        explode_documents([{"caption": "red shoe", "photo": "shoe.jpg"}])


def test_other_columns_are_ignored():
    table = pd.DataFrame({"text": ["a"], "price": [3.5], "note": [None]})
    assert explode_documents(table) == (["a"], [0])


def test_no_records_give_no_items():
    assert explode_documents([]) == ([], [])
    assert explode_documents(pd.DataFrame({"text": []})) == ([], [])


def test_ids_come_from_the_column_then_the_index_then_the_position():
    table = pd.DataFrame({"text": ["a", "b"], "id": [20, 10]}, index=["x", "y"])
    assert explode_documents(table)[1] == [20, 10]
    assert explode_documents(table.drop(columns="id"))[1] == ["x", "y"]
    assert explode_documents(table.drop(columns="id").to_dict("records"))[1] == [0, 1]


def test_records_of_one_id_are_one_document():
    table = pd.DataFrame({"text": ["a", "b", "c"], "id": ["p1", "p1", "p2"]}, index=[0, 0, 0])
    assert explode_documents(table) == (["a", "b", "c"], ["p1", "p1", "p2"])


@pytest.mark.parametrize("id_column", [{}, {"id": [None, None]}, {"id": [pd.NA, np.nan]}])
def test_an_index_that_repeats_is_no_id(id_column):
    table = pd.DataFrame({"text": ["a", "b"], **id_column}, index=["x", "x"])
    with pytest.raises(ValueError, match=r"index repeats.*reset_index\(drop=True\)"):
        explode_documents(table)


@pytest.mark.parametrize("absent", MISSING)
def test_an_id_for_some_records_only_is_refused(absent):
    records = [{"id": "p1", "text": "a"}, {"id": absent, "text": "b"}]
    with pytest.raises(ValueError, match="Record 1 has no 'id' while others have one"):
        explode_documents(records)
    with pytest.raises(ValueError, match="Record 0 has no 'id' while others have one"):
        explode_documents([{"text": "b"}, records[0]])


def test_images_given_as_strings_become_paths_and_texts_stay_strings():
    items, ids = explode_documents(
        [{"text": "shoe.jpg", "image": ["a.jpg", Path("b.jpg"), "a.jpg"]}]
    )
    assert items == ["shoe.jpg", Path("a.jpg"), Path("b.jpg"), Path("a.jpg")]
    assert [isinstance(item, Path) for item in items] == [False, True, True, True]
    assert ids == [0] * 4


def polars_frame(records):
    polars = pytest.importorskip("polars")
    return polars.DataFrame(records, strict=False)


def arrow_table(records):
    return pytest.importorskip("pyarrow").Table.from_pylist(records)


def arrow_frame(records):
    pytest.importorskip("pyarrow")
    return pd.DataFrame(records).convert_dtypes(dtype_backend="pyarrow")


def nullable_frame(records):
    return pd.DataFrame(records).convert_dtypes()


TABLES = [pd.DataFrame, nullable_frame, arrow_frame, polars_frame, arrow_table]
cell = st.none() | st.sampled_from(["", " ", "a", "b.jpg"])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
@pytest.mark.parametrize("lists", [False, True])
@given(
    st.lists(
        st.tuples(cell, cell).filter(lambda cells: any(x and x.strip() for x in cells)),
        min_size=1,
        max_size=4,
    )
)
def test_tables_of_all_kinds_give_the_items_of_their_records(table, lists, drawn):
    wrap = (lambda x: None if x is None else [x, x]) if lists else (lambda x: x)
    records = [
        {"id": number, "text": wrap(text), "image": wrap(image)}
        for number, (text, image) in enumerate(drawn, 5)
    ]
    items, ids = explode_documents(table(records))
    assert (items, ids) == explode_documents(records)
    without = [{name: record[name] for name in ("text", "image")} for record in records]
    assert explode_documents(table(without)) == explode_documents(without)


def test_pictures_are_passed_on_as_they_are():
    pil = pytest.importorskip("PIL.Image").new("RGB", (4, 3))
    for table in (list, pd.DataFrame):
        items, ids = explode_documents(
            table([{"image": picture}, {"image": [pil, picture]}, {"image": pil}])
        )
        assert [id(item) for item in items] == [id(x) for x in (picture, pil, picture, pil)]
        assert ids == [0, 1, 1, 2]


def test_lists_that_were_read_as_arrays_are_lists():
    lists = {"text": ["a", None, "b"], "image": ["a.jpg", "b.jpg"]}
    arrays = {"text": np.array(lists["text"], dtype=object), "image": np.array(lists["image"])}
    assert explode_documents(pd.DataFrame([arrays])) == explode_documents([lists])


@pytest.mark.parametrize("text", [3, 3.5, True, b"red", Path("a.txt"), {"a": 1}, ["a", 3], [["a"]]])
def test_a_text_that_is_no_string_is_refused_with_its_record(text):
    with pytest.raises(TypeError, match="The text of record 'p2' is a .*, not a str"):
        explode_documents([{"id": "p1", "text": "a"}, {"id": "p2", "text": text}])


def test_one_dict_alone_is_refused():
    with pytest.raises(TypeError, match=r"write \[record\]"):
        explode_documents({"text": "red shoe", "image": "shoe.jpg"})


@pytest.mark.parametrize(
    "records", [["red shoe"], "red shoe", pd.Series(["red shoe"]), [Path("a.jpg")], [None], [["a"]]]
)
def test_what_holds_no_records_is_refused_with_its_type(records):
    with pytest.raises(TypeError, match="a list of dicts with 'text' and 'image'; got a "):
        explode_documents(records)


@pytest.mark.parametrize("records", [None, 5, Path("folder")])
def test_what_cannot_be_iterated_is_a_type_error(records):
    with pytest.raises(TypeError, match="not iterable"):
        explode_documents(records)


def told(item):
    """An item as its class and what it holds, to compare."""
    if isinstance(item, Tagged):
        return item.modality, told(item.item)
    return ("joint", item.text, item.image) if isinstance(item, Joint) else item


record_of_three = st.fixed_dictionaries(
    {
        "text": cells(texts, missing),
        "caption": cells(texts, missing),
        "image": cells(paths, missing),
    }
).filter(lambda record: any(held for _, held in record.values()))


@pytest.mark.parametrize("table", [list, pd.DataFrame], ids=["list", "pandas"])
@given(st.lists(record_of_three, max_size=6), st.booleans())
def test_texts_of_another_column_are_a_modality_and_only_text_is_joined(table, drawn, joint):
    records = [{name: cell for name, (cell, _) in record.items()} for record in drawn]
    items, ids = explode_documents(table(records), text_columns=("text", "caption"), joint=joint)
    expected = []
    for number, record in enumerate(drawn):
        held_texts, captions, images = (record[x][1] for x in ("text", "caption", "image"))
        if joint and held_texts and images:
            held_texts, images = [], [("joint", "\n".join(held_texts), images)]
        parts = [*held_texts, *(("caption", caption) for caption in captions), *images]
        expected += [(number, part) for part in parts]
    assert list(zip(ids, map(told, items))) == expected


def test_text_columns_need_not_have_a_text_and_their_order_is_kept():
    record = {"caption": "a shoe", "text": "red shoe", "ocr": "SALE", "image": "a.jpg"}
    items, _ = explode_documents([record], text_columns=["ocr", "caption"])
    assert [told(x) for x in items] == [("ocr", "SALE"), ("caption", "a shoe"), Path("a.jpg")]
    assert explode_documents([record])[0] == ["red shoe", Path("a.jpg")]


def test_a_text_column_that_no_record_has_is_an_error_that_offers_a_similar_one():
    records = [{"id": 1, "image": "a.jpg", "captions": "a shoe"}, {"id": 2, "image": "b.jpg"}]
    with pytest.raises(ValueError, match=r"text column 'caption'; .*Did you mean 'captions'\?"):
        explode_documents(records, text_columns=("text", "caption"))
    items, _ = explode_documents(records, text_columns=("text", "captions"))
    assert told(items[0]) == ("captions", "a shoe")
    assert explode_documents([], text_columns=("caption",)) == ([], [])


@pytest.mark.parametrize(
    "column", ["image", "id", "joint", "query:text", "a+b", "", "a:b", 3, None]
)
def test_a_text_column_must_be_the_name_of_a_modality_of_texts(column):
    with pytest.raises(ValueError, match="Modality|A column of texts cannot be named"):
        explode_documents([{"text": "a", column: "b"}], text_columns=("text", column))


def test_text_columns_are_a_list_and_joint_needs_the_texts():
    with pytest.raises(TypeError, match=r"write \['caption'\]"):
        explode_documents([{"caption": "b"}], text_columns="caption")
    with pytest.raises(ValueError, match="joint=True joins images with the column 'text'"):
        explode_documents([{"caption": "b"}], text_columns=["caption"], joint=True)


def test_a_wrong_text_or_picture_names_its_column_and_record():
    with pytest.raises(TypeError, match="The ocr of record 'p1' is a int"):
        explode_documents([{"id": "p1", "text": "a", "ocr": 3}], text_columns=["text", "ocr"])
    with pytest.raises(TypeError, match=r"Record 'p1': A Joint has a text .*b'\.\.'"):
        explode_documents([{"id": "p1", "text": "a", "image": b".."}], joint=True)
    with pytest.raises(ValueError, match="the columns read are 'text', 'ocr' and 'image'"):
        explode_documents([{"ocr": None}], text_columns=["text", "ocr"])

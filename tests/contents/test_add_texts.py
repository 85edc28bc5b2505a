"""add_texts: texts that a reader finds in the images of records."""

import pickle
import shutil
import tempfile
import threading
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import CLIPEncoder, EmbeddingArray, Query, add_texts, explode_documents
from gapremoval.contents import ReadingError

Image = pytest.importorskip("PIL.Image")

COLORS = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "blank": (255, 255, 255)}
PICTURES = {name: Image.new("RGB", (6, 4), color) for name, color in COLORS.items()}


class Reader:
    """Names the color of each picture, ``""`` for blank ones, and remembers what it was asked."""

    def __init__(self, fails_for=()):
        self.batches, self.fails_for = [], fails_for

    def __call__(self, pictures):
        assert all(x.mode == "RGB" and isinstance(x, Image.Image) for x in pictures)
        named = {color: name for name, color in COLORS.items()}
        names = [named[picture.getpixel((0, 0))] for picture in pictures]
        self.batches.append(names)
        for name in names:
            if name in self.fails_for:
                raise RuntimeError(f"{name} hurts")
        return ["" if name == "blank" else f" {name}\n" for name in names]

    @property
    def read(self):
        return [name for batch in self.batches for name in batch]


@pytest.fixture
def files(tmp_path):
    """A file of each picture."""
    for name, picture in PICTURES.items():
        picture.save(tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in PICTURES}


def text_of(names):
    """The cell for pictures of these names."""
    texts = [name for name in names if name != "blank"]
    return texts if len(texts) > 1 else (texts[0] if texts else None)


names = st.lists(st.sampled_from(list(COLORS)), max_size=3)
records_of_names = st.lists(
    st.tuples(names, st.sampled_from([None, "", " ", "kept", ["kept", "too"]])), max_size=7
).filter(lambda records: any(held for held, _ in records))


@pytest.mark.parametrize("table", [list, iter, pd.DataFrame], ids=["list", "iter", "pandas"])
@given(records_of_names, st.integers(1, 4), st.booleans())
def test_each_record_gets_the_texts_of_its_images_and_each_distinct_image_is_read_once(
    table, drawn, batch_size, is_cached
):
    records = [
        {"image": [PICTURES[name] for name in held], "caption": text, "price": 3}
        for held, text in drawn
    ]
    with tempfile.TemporaryDirectory() as folder:
        memory = {"memory": folder, "reader_name": "colors"} if is_cached else {}
        reader = Reader()
        added = add_texts(table(records), reader, batch_size=batch_size, **memory)
        again = Reader()
        assert add_texts(table(records), again, **memory) == added
    kept = ("kept", ["kept", "too"])
    expected = [text if text in kept else text_of(held) for held, text in drawn]
    assert [record["caption"] for record in added] == expected
    assert [(record["id"], record["price"]) for record in added] == [
        (number, 3) for number in range(len(drawn))
    ]
    assert [record["caption"] for record in records] == [text for _, text in drawn]
    asked = {name for held, text in drawn if text not in kept for name in held}
    assert sorted(reader.read) == sorted(asked)
    assert all(1 <= len(batch) <= batch_size for batch in reader.batches)
    assert len(reader.batches) == -(-len(asked) // batch_size)
    assert sorted(again.read) == ([] if is_cached else sorted(asked))


def test_the_texts_are_a_modality_beside_the_images(files):
    pytest.importorskip("open_clip")
    records = [
        {"id": "a", "image": files["red"]},
        {"id": "b", "text": "a note"},
        {"id": "c", "text": "a hat", "image": [str(files["blue"]), files["lime"], files["blank"]]},
        {"id": "d", "image": files["blank"]},
    ]
    added = add_texts(records, Reader())
    assert [record["caption"] for record in added] == ["red", None, ["blue", "lime"], None]
    items, ids = explode_documents(added, text_columns=["text", "caption"])
    assert ids == [*"aabccccccd"]
    assert [repr(item) for item in items[:1]] == ["Tagged('red', 'caption')"]
    X = CLIPEncoder("pocket").transform(items)
    tags = ["caption", "image", "text", "text", "caption", "caption", *["image"] * 4]
    assert X.modality.tolist() == tags
    bare = CLIPEncoder("pocket").transform(["red"])
    np.testing.assert_allclose(X.values[0], bare.values[0], atol=1e-6)


def test_an_arrow_table_is_read_too_and_a_column_may_have_another_name(files):
    table = pytest.importorskip("pyarrow").Table.from_pylist(
        [{"id": 7, "image": str(files["red"])}, {"id": 8, "image": str(files["blank"])}]
    )
    added = add_texts(table, Reader(), "ocr")
    assert [(record["id"], record["ocr"]) for record in added] == [(7, "red"), (8, None)]
    items, ids = explode_documents(added, text_columns=["ocr"])
    assert ids == [7, 7, 8]
    assert items[0].modality == "ocr"


def test_pictures_are_upright_and_on_white(tmp_path):
    seen = []

    def look(pictures):
        seen.extend(pictures)
        return [None] * len(pictures)

    picture = Image.new("RGB", (6, 4), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    picture.save(tmp_path / "turned.png", exif=exif)
    Image.new("RGBA", (6, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    array = np.zeros((4, 6, 3), np.uint8)
    images = [tmp_path / "turned.png", tmp_path / "clear.png", array]
    (record,) = add_texts([{"image": images}], look)
    assert record["caption"] is None
    assert [picture.size for picture in seen] == [(4, 6), (6, 4), (6, 4)]
    assert [picture.getpixel((0, 0)) for picture in seen] == [
        (255, 0, 0),
        (255, 255, 255),
        (0, 0, 0),
    ]


def test_records_without_images_are_warned_of_and_none_at_all_are_fine():
    with pytest.warns(UserWarning, match="No record has an image.*column read is 'image'"):
        added = add_texts([{"text": "a", "photo": "a.jpg"}], Reader())
    assert added == [{"text": "a", "photo": "a.jpg", "id": 0, "caption": None}]
    assert explode_documents(added, text_columns=["text", "caption"]) == (["a"], [0])
    assert add_texts([], Reader()) == []


# Errors by row


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_pictures_that_cannot_be_read_are_named_and_all_other_texts_are_kept(files, batch_size):
    files["lime"].write_bytes(b"no picture")
    broken = [files["lime"].with_name("gone.png"), files["lime"], b"bytes", PICTURES["blue"]]
    records = [{"id": f"p{i}", "image": x} for i, x in enumerate([files["red"], *broken])]
    records += [
        {"id": "p5", "image": [PICTURES["blank"], PICTURES["red"]]},
        {"id": "p6", "image": [PICTURES["blue"], files["red"]]},
        {"id": "p7", "text": "a note"},
    ]
    with pytest.raises(ReadingError, match=r"^5 of 9 images cannot be read\. ") as raised:
        add_texts(records, Reader(fails_for=["blue"]), batch_size=batch_size)
    error = raised.value
    assert list(error.reasons) == ["p1", "p2", "p3", "p4", "p6"]
    assert error.reasons["p1"] == "no such file"
    assert "not a picture" in error.reasons["p2"]
    assert "a bytes: a picture is a Path" in error.reasons["p3"]
    assert (
        error.reasons["p4"] == error.reasons["p6"] == "the reader raised RuntimeError: blue hurts"
    )
    assert all(f"record 'p{i}' (" in str(error) for i in (1, 2, 3, 4, 6))
    texts = [record["caption"] for record in error.records]
    assert texts == ["red", None, None, None, None, "red", "red", None]
    loaded = pickle.loads(pickle.dumps(error))
    assert (str(loaded), loaded.reasons) == (str(error), error.reasons)
    assert [record["caption"] for record in loaded.records] == texts


def test_a_batch_that_fails_is_tried_one_by_one_and_only_its_own_pictures():
    reader = Reader(fails_for=["lime"])
    records = [{"image": PICTURES[name]} for name in ("red", "lime", "blue")]
    with pytest.raises(ReadingError):
        add_texts(records, reader, batch_size=2)
    assert reader.batches == [["red", "lime"], ["red"], ["lime"], ["blue"]]


def test_a_reader_may_be_a_generator_that_raises_in_the_middle():
    def read(pictures):
        for picture in pictures:
            yield from Reader(fails_for=["lime"])([picture])

    records = [{"image": PICTURES[name]} for name in ("red", "lime", "blue")]
    with pytest.raises(ReadingError, match="record 1 .*the reader raised RuntimeError") as raised:
        add_texts(records, read)
    assert [record["caption"] for record in raised.value.records] == ["red", None, "blue"]


def test_mended_records_go_on_where_the_error_ended(files):
    files["lime"].rename(files["lime"].with_name("elsewhere.png"))
    records = [{"id": name, "image": path} for name, path in files.items()]
    with pytest.raises(ReadingError) as raised:
        add_texts(records, Reader())
    files["lime"].with_name("elsewhere.png").rename(files["lime"])
    reader = Reader()
    added = add_texts(raised.value.records, reader)
    assert [record["caption"] for record in added] == ["red", "lime", "blue", None]
    assert sorted(reader.read) == ["blank", "lime"]


def test_a_file_that_changes_while_others_are_read_is_not_stored_under_its_old_content(files):
    def exchange(pictures):
        shutil.copy(files["blue"], files["lime"])
        return Reader()(pictures)

    records = [{"id": name, "image": files[name]} for name in ("red", "lime")]
    with pytest.raises(ReadingError, match="record 'lime' .* the file changed meanwhile"):
        add_texts(records, exchange, batch_size=1)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ("ab", "must return a list of str, one for each; it returned a str: 'ab'"),
        ({"generated_text": "a"}, "must return a list of str, .* returned a dict"),
        (None, "must return a list of str, .* returned a NoneType: None"),
        (["a"], "it returned 1 for 2 pictures. Where it finds none, '' or None"),
        (["a", "b", "c"], "it returned 3 for 2 pictures"),
        (["a", 3], r"must return a str \(or None\) for each picture; it returned a int: 3"),
        (["a", b"b"], "it returned a bytes"),
        (["a", ["b", "c"]], "it returned a list"),
        (["a", {"text": "b"}], "it returned a dict"),
        (["a", {"generated_text": [{"role": "user"}]}], "it returned a dict"),
    ],
)
def test_results_of_another_number_or_type_are_refused(results, message):
    records = [{"image": PICTURES["red"]}, {"image": PICTURES["lime"]}]
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        add_texts(records, lambda pictures: results)
    assert not isinstance(raised.value, ReadingError)


@pytest.mark.parametrize(
    "give", [list, tuple, np.array, pd.Series, iter, lambda x: [{"generated_text": t} for t in x]]
)
def test_results_may_be_any_sequence_of_texts(give):
    records = [{"image": PICTURES["red"]}, {"image": PICTURES["lime"]}]
    added = add_texts(records, lambda pictures: give(Reader()(pictures)))
    assert [record["caption"] for record in added] == ["red", "lime"]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, "", " \n"])
def test_a_missing_result_is_no_text(missing):
    (record,) = add_texts([{"image": PICTURES["red"]}], lambda pictures: [missing])
    assert record["caption"] is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "image"}, "cannot be named 'image'"),
        ({"name": "id"}, "cannot be named 'id'"),
        ({"name": "query:text"}, "cannot be named"),
        ({"batch_size": 0}, "batch_size"),
        ({"reader": "blip"}, "reader"),
        ({"memory": 3}, "memory"),
        ({"prompt": "Describe the image."}, "a callable has its prompt in itself"),
        ({"records": {"image": "a.jpg"}}, r"write \[record\]"),
        ({"records": [{"id": 1, "image": "a.jpg"}, {"image": "b.jpg"}]}, "has no 'id'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_read(wrong, message):
    reader = Reader()
    arguments = {"records": [{"image": PICTURES["red"]}], "reader": reader} | wrong
    with pytest.raises((TypeError, ValueError), match=message):
        add_texts(**arguments)
    assert reader.read == []


def test_a_progress_bar_is_shown_when_asked_for(capsys):
    records = [{"image": PICTURES["red"]}, {"image": PICTURES["red"]}]
    add_texts(records, Reader())
    assert capsys.readouterr().err == ""
    pytest.importorskip("tqdm")
    add_texts(records, Reader(), verbose=True)
    assert "reading: 100%" in capsys.readouterr().err


# The cache


def test_with_memory_a_callable_needs_a_name_and_another_name_is_another_reader(tmp_path):
    records = [{"image": PICTURES["red"]}, {"image": PICTURES["blank"]}]
    memory = joblib.Memory(tmp_path, verbose=0)
    with pytest.raises(ValueError, match="reader_name= too: .*cannot tell two callables apart"):
        add_texts(records, Reader(), memory=memory)
    assert add_texts(records, Reader(), memory=joblib.Memory(None))[0]["caption"] == "red"
    for name, n_read in [("first", 2), ("first", 0), ("second", 2)]:
        reader = Reader()
        add_texts(records, reader, memory=memory, reader_name=name)
        assert len(reader.read) == n_read  # nothing found is remembered too


def test_a_text_is_kept_by_the_content_of_its_image(files, tmp_path):
    known = {"memory": tmp_path / "cache", "reader_name": "colors"}
    add_texts([{"image": files["red"]}], Reader(), **known)
    moved = shutil.copy(files["red"], tmp_path / "moved.png")
    shutil.copy(files["blue"], files["red"])
    reader = Reader()
    added = add_texts([{"image": Path(moved)}, {"image": files["red"]}], reader, **known)
    assert [record["caption"] for record in added] == ["red", "blue"]
    assert reader.read == ["blue"]


@pytest.mark.parametrize("text", ["é\n漢", "\ud800 alone", "a\x00b", "x" * 100_000])
def test_any_text_comes_back_from_the_cache(text, tmp_path):
    known = {"memory": tmp_path, "reader_name": "any"}
    for reader in (lambda pictures: [text] * len(pictures), Reader(fails_for=COLORS)):
        (record,) = add_texts([{"image": PICTURES["red"]}], reader, **known)
        assert record["caption"] == text


def test_an_interrupt_passes_through_and_what_was_read_is_kept(tmp_path):
    records = [{"image": PICTURES[name]} for name in ("red", "lime", "blue")]

    def interrupted(pictures):
        if Reader()(pictures) == [" blue\n"]:
            raise KeyboardInterrupt
        return Reader()(pictures)

    known = {"memory": tmp_path, "reader_name": "colors", "batch_size": 1}
    with pytest.raises(KeyboardInterrupt):
        add_texts(records, interrupted, **known)
    reader = Reader()
    added = add_texts(records, reader, **known)
    assert [record["caption"] for record in added] == ["red", "lime", "blue"]
    assert reader.read == ["blue"]


def test_rows_and_texts_share_a_folder_and_a_reader_may_encode(tmp_path):
    pytest.importorskip("open_clip")
    encoder = CLIPEncoder("pocket", memory=tmp_path)
    words = ["a large red circle", "a large blue circle"]

    def nearest(pictures):
        rows = encoder.transform([*words, *pictures])
        assert isinstance(rows, EmbeddingArray)
        return [words[i] for i in (rows.values[2:] @ rows.values[:2].T).argmax(axis=1)]

    records = [{"image": PICTURES["red"]}]
    done = []
    thread = threading.Thread(
        target=lambda: done.append(
            add_texts(records, nearest, memory=tmp_path, reader_name="nearest")
        ),
        daemon=True,
    )
    thread.start()
    thread.join(60)
    assert done[0][0]["caption"] in words
    again = add_texts(records, Reader(), memory=tmp_path, reader_name="nearest")
    assert again == done[0]
    before = CLIPEncoder("pocket").transform([Query("a dog"), *words])
    after = CLIPEncoder("pocket", memory=tmp_path).transform([Query("a dog"), *words])
    np.testing.assert_allclose(after.values, before.values, atol=1e-6)


def test_a_reader_that_fails_for_all_is_not_asked_for_the_rest_and_its_error_is_the_cause():
    asked = []

    def reader(pictures):
        asked.append(len(pictures))
        raise ZeroDivisionError("of the reader")

    rng = np.random.default_rng(0)
    records = [
        {"id": i, "image": rng.integers(0, 255, (3, 3, 3), dtype=np.uint8)} for i in range(50)
    ]
    with pytest.raises(ReadingError, match="reader raised ZeroDivisionError") as raised:
        add_texts(records, reader, batch_size=4)
    assert asked == [4, 1, 1, 1, 1]
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert len(raised.value.reasons) == 50
    assert "not tried" in raised.value.reasons[4]


def test_a_reader_may_itself_add_texts_with_the_same_cache(tmp_path):
    def outer(pictures):
        records = add_texts(
            [{"image": x} for x in pictures], Reader(), memory=tmp_path, reader_name="inner"
        )
        return [f"seen as {record['caption']}" for record in records]

    records = [{"image": PICTURES["red"]}, {"image": PICTURES["blue"]}]
    got = add_texts(records, outer, memory=tmp_path, reader_name="outer")
    assert [record["caption"] for record in got] == ["seen as red", "seen as blue"]


@pytest.mark.parametrize("results", [{"a", "b"}, pd.DataFrame({"a": ["x"], "b": ["y"]})])
def test_results_without_the_order_of_the_pictures_are_refused(results):
    records = [{"image": PICTURES["red"]}, {"image": PICTURES["blue"]}]
    with pytest.raises(TypeError, match="must return a list of str"):
        add_texts(records, lambda pictures: results)

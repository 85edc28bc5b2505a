"""IndexFile: what is written comes back, what is damaged is refused, and no code is run."""

import json
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray
from gapremoval.cli._index_file import MOST_LEARNED, IndexFile


def is_part(name):
    return name not in (b".", b"..") and not set(name) & {0, ord("/")}


parts = st.binary(min_size=1, max_size=8).filter(is_part).map(os.fsdecode)
names = st.lists(
    st.tuples(st.lists(parts, min_size=1, max_size=3), st.sampled_from([".JPG", ".txt", ".heic"])),
    min_size=1,
    max_size=8,
).map(lambda files: list(dict.fromkeys("/".join(way) + suffix for way, suffix in files)))


def make(files, n_captions=2, n_learned=3):
    rng = np.random.default_rng(0)

    def rows(n, modality):
        return EmbeddingArray(rng.normal(size=(n, 4)).astype("f4"), modality)

    kinds = np.array(["image", "text"])[np.arange(len(files)) % 2]
    return IndexFile(
        "pocket",
        "abc",
        "/photos",
        files,
        rows(len(files), kinds),
        rows(n_captions, "query:text"),
        rows(n_learned, "query:image"),
    )


@given(names, st.integers(0, 3), st.integers(0, 3))
def test_what_was_saved_comes_back(tmp_path_factory, files, n_captions, n_learned):
    path = tmp_path_factory.mktemp("index") / "index.gap"
    saved = make(files, n_captions, n_learned)
    saved.save(path)
    assert_same(IndexFile.load(path), saved)


def test_equal_indexes_are_equal_files(tmp_path):
    for name in ("a.gap", "b.gap"):
        make(["x.jpg"]).save(tmp_path / name)
    assert (tmp_path / "a.gap").read_bytes() == (tmp_path / "b.gap").read_bytes()


def test_files_that_differ_in_the_suffix_are_one_document():
    index = make(["a.jpg", "a.txt", "b.txt", "sub/a.jpg", "c.d.png", "c.d.md", ".txt"])
    assert index.documents == {
        "a": [0, 1],
        "b": [2],
        "sub/a": [3],
        "c.d": [4, 5],
        ".txt": [6],
    }


def test_no_more_past_questions_are_kept_than_can_teach():
    index = make(["x.jpg"], n_learned=0)
    rows = np.random.default_rng(0).normal(size=(MOST_LEARNED + 5, 4))
    index = index.with_learned(EmbeddingArray(rows, "query:text"))
    assert np.array_equal(index.learned.values, rows[5:])
    # Whatever is asked again is as new as that, and pushes no other question out.
    again = EmbeddingArray(rows[[9] * 2000], "query:text")
    index = index.with_learned(again)
    assert np.array_equal(index.learned.values, rows[[*range(5, 9), *range(10, len(rows)), 9]])


def test_a_text_and_a_picture_with_one_embedding_are_two_questions():
    row = np.ones((2, 4), dtype="f4")
    index = make(["x.jpg"], n_learned=0).with_learned(EmbeddingArray(row, "query:text"))
    index = index.with_learned(EmbeddingArray(row, "query:image"))
    assert index.learned.modality.tolist() == ["query:text", "query:image"]


def assert_same(loaded, saved):
    for name in ("model", "fingerprint", "folder", "names", "version"):
        assert getattr(loaded, name) == getattr(saved, name)
    for name in ("files", "captions", "learned"):
        before, after = getattr(saved, name), getattr(loaded, name)
        assert (before.modality == after.modality).all()
        assert np.array_equal(before.values, after.values)
        assert after.dtype == np.float32


def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(tmp_path):
    path = tmp_path / "index.gap"
    make(["x.jpg", "y.txt"]).save(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"index.gap is no index of gapremoval, or is dam"):
            IndexFile.load(path)


@pytest.mark.parametrize(("step", "flip"), [(1, None), (9, 0xFF)], ids=["bits", "bytes"])
def test_a_file_with_a_changed_bit_or_byte_is_refused_or_the_same(tmp_path, step, flip):
    path = tmp_path / "index.gap"
    saved = make(["x.jpg", "y.txt"])
    saved.save(path)
    whole = path.read_bytes()
    told = set()
    for position in range(0, len(whole), step):
        content = bytearray(whole)
        content[position] ^= flip or 1 << position % 8
        path.write_bytes(content)
        try:
            loaded = IndexFile.load(path)
        except ValueError as error:
            told.add(str(error))
        else:
            assert_same(loaded, saved)
    (refusal,) = told
    assert "index.gap is no index of gapremoval, or is damaged" in refusal


def rewritten(path, **changes):
    with np.load(path) as arrays:
        header = json.loads(arrays["header"].tobytes())
        kept = {name: arrays[name] for name in arrays.files}
    kept["header"] = np.frombuffer(json.dumps({**header, **changes}).encode(), dtype=np.uint8)
    with open(path, "wb") as file:
        np.savez(file, **kept)


def test_a_later_format_is_named_with_its_version(tmp_path):
    make(["x.jpg"]).save(tmp_path / "index.gap")
    rewritten(tmp_path / "index.gap", format_version=99, version="7.1")
    with pytest.raises(ValueError, match=r"made by gapremoval 7.1 in a format"):
        IndexFile.load(tmp_path / "index.gap")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "something"},
        {"names": 3},
        {"names": "x.jpg"},
        {"names": []},
        {"names": [1]},
        {"names": ["x.jpg"] * 2},
        {"names": [f"{i}.jpg" for i in range(9)]},
        {"names": ["../x.jpg"]},
        {"names": ["a/../../x.jpg"]},
        {"names": ["/x.jpg"]},
        {"names": ["a//x.jpg"]},
        {"names": ["./x.jpg"]},
        {"names": ["id_rsa"]},
        {"names": ["a\0.jpg"]},
        {"names": ["\ud800.jpg"]},
        {"model": "\ud800"},
        {"fingerprint": "\ud800"},
        {"version": "\ud800"},
        {"format_version": 99, "version": "\ud800"},
        {"format_version": 99, "version": 3},
        {"folder": "/photos\ud800"},
        {"folder": "photos"},
        {"folder": 5},
        {"model": None},
        {"version": 1},
        {"fingerprint": ["x"]},
        {"n_captions": 7},
        {"n_captions": -5},
        {"n_captions": "2"},
        {"n_captions": True},
    ],
)
def test_a_header_that_was_never_written_is_refused(tmp_path, changes):
    make(["x.jpg"]).save(tmp_path / "index.gap")
    rewritten(tmp_path / "index.gap", **changes)
    with pytest.raises(ValueError, match="damaged"):
        IndexFile.load(tmp_path / "index.gap")


@pytest.mark.parametrize(
    "changes",
    [
        {"values": np.full((6, 4), np.nan, dtype="f4")},
        {"values": np.zeros((6, 4))},
        {"values": np.zeros((6, 4), dtype="i4")},
        {"values": np.zeros((5, 4), dtype="f4")},
        {"values": np.zeros(6, dtype="f4")},
        {"modalities": np.array(["audio", "query:text", "query:image"])},
        {"modalities": np.array(["image", "text", "query:image"])},
        {"codes": np.full(6, 9)},
        {"codes": np.full(6, -1)},
        {"codes": np.zeros((6, 1), dtype=int)},
        {"more": np.zeros(3)},
    ],
)
def test_rows_that_were_never_written_are_refused(tmp_path, changes):
    path = tmp_path / "index.gap"
    make(["x.jpg"]).save(path)
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    with open(path, "wb") as file:
        np.savez(file, **kept | changes)
    with pytest.raises(ValueError, match="damaged"):
        IndexFile.load(path)


def test_a_size_that_is_made_up_is_refused(tmp_path):
    path = tmp_path / "index.gap"
    make(["x.jpg"]).save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    shape = members["values.npy"]
    assert shape.count(b"(6, 4)") == 1
    members["values.npy"] = shape.replace(b"(6, 4), }" + b" " * 12, b"(99999999999999, 4), }")
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises(ValueError, match="damaged"):
        IndexFile.load(path)


@pytest.mark.parametrize("what", ["values", "codes", "modalities", "header"])
def test_a_small_file_fills_no_memory(tmp_path, what):
    path = tmp_path / "index.gap"
    make(["x.jpg"]).save(path)
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    bombs = {
        "values": {"values": np.zeros((2**20, 16), "f4")},
        "codes": {"codes": np.zeros(2**25, "u1")},
        "modalities": {"modalities": np.array(["query:" + "x" * 2**22])},
        "header": {"header": np.full(2**25, ord(" "), "u1")},
    }
    with open(path, "wb") as file:
        np.savez_compressed(file, **kept | bombs[what])
    assert path.stat().st_size < 2**17
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="damaged"):
            IndexFile.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is no index of gapremoval"):
        IndexFile.load(tmp_path / "pipe")


def test_no_code_is_run_by_opening(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "index.gap"
    make(["x.jpg"]).save(path)
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    kept["modalities"] = np.array([Trap()], dtype=object)
    with open(path, "wb") as file:
        np.savez(file, **kept)
    with pytest.raises(ValueError, match="damaged"):
        IndexFile.load(path)
    assert not (tmp_path / "ran").exists()

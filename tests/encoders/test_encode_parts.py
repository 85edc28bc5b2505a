"""Large sources, encoded part by part: folders, lists, tables and tar files."""

import io
import os
import shutil
import tarfile

import numpy as np
import pytest

pytest.importorskip("open_clip")

from hypothesis import given, settings
from hypothesis import strategies as st

from gapremoval import CLIPEncoder, EmbeddingArray, explode_documents, read_folder
from gapremoval.datasets import iter_parquet, make_scenes
from gapremoval.encoders import encode_parts

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ENCODER = CLIPEncoder("pocket", device="cpu")
SCENES = make_scenes(8, random_state=3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """16 files: pictures and notes, six of each are documents of both."""
    folder = tmp_path_factory.mktemp("source") / "photos"
    (folder / "sub").mkdir(parents=True)
    for i, (image, captions) in enumerate(zip(SCENES.images, SCENES.captions)):
        stem = folder / ("sub" if i % 2 else "") / f"{i}"
        if i != 0:
            image.save(f"{stem}.png")
        if i != 1:
            stem.with_suffix(".txt").write_text(captions[0])
    return folder


@pytest.fixture(scope="module")
def whole(photos):
    """The ids, and the rows of all items, encoded at once."""
    items, ids = read_folder(photos)
    return ids, ENCODER.transform(items)


def read(folder, id="id"):
    """All rows of the parts, and their ids."""
    batches = list(iter_parquet(folder, modality_column="modality", id=id))
    X = EmbeddingArray.concatenate([rows for rows, _ in batches])
    return [x for _, ids in batches for x in ids.tolist()], X


def assert_same(folder, wanted):
    """The parts hold these rows and no others, each once and in order."""
    (ids, rows), (wanted_ids, wanted_rows) = read(folder), wanted
    assert ids == wanted_ids
    assert rows.modality.tolist() == wanted_rows.modality.tolist()
    np.testing.assert_allclose(rows.values, wanted_rows.values, atol=1e-6)
    assert rows.encoder == wanted_rows.encoder


def states(folder):
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.glob("*.parquet")
    }


@settings(max_examples=8)
@given(st.data(), st.integers(1, 20), st.integers(1, 5))
def test_the_shards_in_any_order_make_what_one_call_makes(
    tmp_path_factory, photos, whole, data, part_size, n_shards
):
    out = tmp_path_factory.mktemp("out")
    order = data.draw(st.permutations(range(n_shards)))
    for i in order:
        encode_parts(ENCODER, photos, out, shard=(i, n_shards), part_size=part_size)
    assert_same(out, whole)
    assert len(states(out)) == -(-14 // part_size)
    there = states(out)
    other = data.draw(st.integers(1, 5))
    done = [
        encode_parts(ENCODER, photos, out, shard=(i, other), part_size=part_size)
        for i in range(other)
    ]
    assert not any(x.written for x in done)
    assert sorted(path.name for x in done for path in x.paths) == sorted(there)
    assert states(out) == there


notes = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 7), min_size=1)


def cut(files):
    """What the parts of two files are made of, by their names: the files, and who comes next."""
    names = sorted(files)
    return {
        f"part-{i:08}.parquet": (
            [(x, files[x]) for x in names[2 * i : 2 * i + 2]],
            names[2 * i + 2 :][:1],
        )
        for i in range(-(-len(names) // 2))
    }


@settings(max_examples=8)
@given(notes, notes, st.integers(1, 3))
def test_after_changes_the_parts_are_those_of_the_source_as_it_is(
    tmp_path_factory, before, after, n_shards
):
    home = tmp_path_factory.mktemp("home")
    source, out = home / "notes", home / "parts"
    source.mkdir()
    there = {}
    for files in (before, after):
        for path in source.iterdir():
            path.unlink()
        for name, i in files.items():
            (source / f"{name}.txt").write_text(SCENES.captions[i][0])
            os.utime(source / f"{name}.txt", (i, i))
        for i in range(n_shards):
            encode_parts(ENCODER, source, out, shard=(i, n_shards), part_size=2)
        items, ids = read_folder(source)
        assert_same(out, (ids, ENCODER.transform(items)))
        old, there = there, states(out)
    for name, made_of in cut(after).items():
        assert (there[name] == old.get(name)) == (made_of == cut(before).get(name))


def test_what_cannot_be_read_is_named_and_not_tried_again(tmp_path, whole, photos):
    source, out = shutil.copytree(photos, tmp_path / "photos"), tmp_path / "parts"
    (source / "0.png").write_bytes(b"no picture")
    (source / "latin.txt").write_bytes(b"caf\xe9")
    (source / "blank.txt").write_text(" ")
    (source / "gone.jpg").symlink_to("nowhere")
    (source / "other.docx").write_bytes(b"PK")
    (source / "other.parquet").write_bytes(b"not read beside pictures")
    for n_written in (17, 0):
        done = encode_parts(ENCODER, source, out, part_size=1)
        assert len(done.written) == n_written + bool(n_written)
        assert dict(done.left_out) == {
            "0.png": "not a picture that Pillow knows, or damaged",
            "latin.txt": "not UTF-8",
            "blank.txt": "blank",
            "gone.jpg": "no such file",
        }
    assert_same(out, whole)
    SCENES.images[0].save(source / "0.png")
    done = encode_parts(ENCODER, source, out, part_size=1)
    assert [path.name for path in done.written] == ["part-00000000.parquet"]
    assert "0.png" not in dict(done.left_out)
    assert read(out)[0][:2] == ["0", "0"]


def test_half_precision_takes_half_the_bytes(tmp_path, photos, whole):
    encode_parts(ENCODER, photos, tmp_path / "parts", dtype="float16")
    _, rows = read(tmp_path / "parts")
    assert rows.dtype == np.float16
    np.testing.assert_allclose(rows.values, whole[1].values, atol=1e-3)


def test_a_list_of_files_is_read_in_its_order_and_each_file_once(tmp_path, photos, whole):
    ids, rows = whole
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.*"))
    listed = photos.parent / "relative.lst"
    listed.write_text("\n".join(f"photos/{name}" for name in [*names[::-1], names[3]]) + "\n")
    encode_parts(ENCODER, listed, tmp_path / "relative", part_size=4)
    assert_same(tmp_path / "relative", ([f"photos/{x}" for x in ids[::-1]], rows[::-1]))
    absolute = tmp_path / "absolute.lst"
    absolute.write_text("\n".join(str(photos / name) for name in names))
    encode_parts(ENCODER, absolute, tmp_path / "absolute", part_size=4)
    prefix = photos.as_posix().lstrip("/")
    assert_same(tmp_path / "absolute", ([f"{prefix}/{x}" for x in ids], rows))


def test_a_tar_file_is_read_as_the_folder_that_it_holds(tmp_path, photos, whole):
    with tarfile.open(tmp_path / "shard-0.tar", "w") as archive:
        for path in sorted(photos.rglob("*.*")):
            archive.add(path, f"./{path.relative_to(photos).as_posix()}")
        archive.addfile(tarfile.TarInfo("0.json"), io.BytesIO())
        archive.addfile(tarfile.TarInfo("../x.txt"), io.BytesIO())
        broken = tarfile.TarInfo("broken.jpg")
        broken.size = 4
        archive.addfile(broken, io.BytesIO(b"xxxx"))
    done = encode_parts(ENCODER, tmp_path, tmp_path / "parts")
    ids, rows = whole
    assert_same(tmp_path / "parts", ([f"shard-0.tar/{x}" for x in ids], rows))
    assert dict(done.left_out) == {
        "shard-0.tar/../x.txt": "outside of the tar file",
        "shard-0.tar/broken.jpg": "not a picture that Pillow knows, or damaged",
    }


@settings(max_examples=6)
@given(
    part_size=st.integers(1, 8),
    row_group_size=st.integers(1, 8),
    form=st.sampled_from(["path", "bytes", "struct"]),
    has_ids=st.sampled_from(["str", "int", "none"]),
)
def test_rows_of_tables_are_read_as_records(
    tmp_path_factory, photos, part_size, row_group_size, form, has_ids
):
    home = tmp_path_factory.mktemp("tables")
    records = [
        {"id": f"p{i}" if has_ids == "str" else i, "text": text, "image": image}
        for i, (text, image) in enumerate(
            [
                ("a ring", None),
                ("a disc", photos / "4.png"),
                (None, photos / "2.png"),
                ("", photos / "sub" / "3.png"),
                ("a star", None),
            ]
        )
    ]
    items, ids = explode_documents(records)
    for record in records:
        if has_ids == "none":
            record.pop("id")
        if path := record["image"]:
            content = {"path": str(path), "bytes": path.read_bytes()}
            record["image"] = content.get(form, {"bytes": content["bytes"], "path": None})
    for name, rows in (("a", records[:3]), ("b", records[3:])):
        table = pa.Table.from_pylist(rows, pa.Table.from_pylist(records).schema)
        pq.write_table(table, home / f"{name}.parquet", row_group_size=row_group_size)
    (home / "README.md").write_text("A folder of tables.")
    done = encode_parts(ENCODER, home, home / "parts", part_size=part_size)
    assert not done.left_out
    assert_same(home / "parts", (ids, ENCODER.transform(items)))
    assert not encode_parts(ENCODER, home, home / "parts", part_size=part_size).written


def test_rows_without_ids_are_numbered_again_if_files_before_them_grow(tmp_path):
    for texts in (["a ring"], ["a ring", "a disc"]):
        pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
        pq.write_table(pa.table({"text": ["a star"]}), tmp_path / "b.parquet")
        os.utime(tmp_path / "b.parquet", (0, 0))
        encode_parts(ENCODER, tmp_path, tmp_path / "parts")
        assert read(tmp_path / "parts")[0] == list(range(len(texts) + 1))


def test_rows_without_content_or_id_are_named_and_their_other_parts_are_kept(tmp_path, photos):
    picture = (photos / "2.png").read_bytes()
    records = [
        {"id": "a", "text": "a ring", "image": [picture, b"broken"]},
        {"id": "b", "text": " ", "image": []},
        {"id": None, "text": "a disc", "image": []},
        {"id": "c", "text": "photo.jpg", "image": None},
    ]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "items.parquet")
    done = encode_parts(ENCODER, tmp_path / "items.parquet", tmp_path / "parts")
    assert read(tmp_path / "parts")[0] == ["a", "a", "c"]
    assert dict(done.left_out) == {
        "items.parquet row 0 (a)": "not a picture that Pillow knows, or damaged",
        "items.parquet row 1 (b)": "it has neither a text nor an image",
        "items.parquet row 2 (None)": "it has no id",
    }


def test_a_part_of_nothing_but_losses_is_a_part(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff")
    (tmp_path / "b.txt").write_text("a ring")
    for _ in range(2):  # the parts in the source itself are no source
        encode_parts(ENCODER, tmp_path, tmp_path / "parts", part_size=1)
        assert read(tmp_path / "parts")[0] == ["b"]


@pytest.fixture
def small(tmp_path):
    """A folder of one note, and its parts."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a ring")
    encode_parts(ENCODER, tmp_path / "notes", tmp_path / "parts")
    return tmp_path / "notes", tmp_path / "parts"


def test_parts_of_something_else_are_refused_and_stay(small, checkpoint, tmp_path):
    notes, parts = small
    there = states(parts)
    other = shutil.copytree(notes, tmp_path / "other")
    encoder = CLIPEncoder(f"tiny-vit/{checkpoint('tiny-vit')[2]}", device="cpu")
    with pytest.raises(ValueError, match="has parts of .*notes, not of .*other: encode each"):
        encode_parts(ENCODER, other, parts)
    with pytest.raises(ValueError, match="encoded by 'pocket' with other weights than 'tiny-vit/"):
        encode_parts(encoder, notes, parts)
    with pytest.raises(ValueError, match="have part_size=4096, not 2"):
        encode_parts(ENCODER, notes, parts, part_size=2)
    with pytest.raises(ValueError, match="have dtype='float32', not 'float16'"):
        encode_parts(ENCODER, notes, parts, dtype="float16", shard=(1, 2))
    assert states(parts) == there
    (parts / "part-00000000.parquet").write_bytes(b"something")
    with pytest.raises(ValueError, match="is no part of this library, or damaged"):
        encode_parts(ENCODER, notes, parts)
    shutil.rmtree(parts)
    encode_parts(encoder, notes, parts)
    moved = shutil.move(notes, tmp_path / "moved")
    with pytest.raises(ValueError, match="leave a link at its old place"):
        encode_parts(encoder, moved, parts)
    notes.symlink_to(moved)
    assert not encode_parts(encoder, notes, parts).written
    assert not encode_parts(encoder, moved, parts).written


def test_parts_of_two_encoders_are_not_read_together(small, checkpoint, tmp_path):
    notes, parts = small
    encoder = CLIPEncoder(f"tiny-vit/{checkpoint('tiny-vit')[2]}", device="cpu")
    encode_parts(encoder, notes, tmp_path / "others")
    shutil.copy(tmp_path / "others" / "part-00000000.parquet", parts / "part-00000001.parquet")
    with pytest.raises(ValueError, match="holds parts of 2 encoders: 'pocket @ .*', 'tiny-vit/"):
        read(parts)


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0), (0.5, 2)])
def test_shards_are_numbered_from_0(small, shard):
    with pytest.raises(ValueError, match="Shards are numbered from 0: the last of"):
        encode_parts(ENCODER, *small, shard=shard)


def test_sources_with_nothing_to_encode_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file or folder .*absent"):
        encode_parts(ENCODER, tmp_path / "absent", tmp_path / "parts")
    with pytest.raises(ValueError, match="nothing to encode in"):
        encode_parts(ENCODER, tmp_path, tmp_path / "parts")
    (tmp_path / "list").write_text("a.txt\n../b.txt\n/c.txt\nd\n")
    with pytest.raises(ValueError, match=r"These are not: '\.\./b\.txt', '/c\.txt', 'd'\."):
        encode_parts(ENCODER, tmp_path / "list", tmp_path / "parts")
    pq.write_table(pa.table({"caption": ["x"]}), tmp_path / "items.parquet")
    with pytest.raises(ValueError, match="no column 'text' or 'image'; it has 'caption'"):
        encode_parts(ENCODER, tmp_path, tmp_path / "parts")
    pq.write_table(pa.table({"text": ["x"], "id": [0.5]}), tmp_path / "items.parquet")
    with pytest.raises(ValueError, match="ids in .* are 'double': expected a column 'id' of str"):
        encode_parts(ENCODER, tmp_path, tmp_path / "parts")
    for name, ids in (("items", {}), ("more", {"id": [1]})):
        pq.write_table(pa.table({"text": ["x"]} | ids), tmp_path / f"{name}.parquet")
    with pytest.raises(ValueError, match="of integers in all, or in none"):
        encode_parts(ENCODER, tmp_path, tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


@pytest.mark.skipif(not hasattr(os, "getuid") or not os.getuid(), reason="root may read all")
def test_folders_that_cannot_be_entered_are_named(tmp_path):
    (tmp_path / "a.txt").write_text("a ring")
    (tmp_path / "closed").mkdir(mode=0)
    done = encode_parts(ENCODER, tmp_path, tmp_path / "parts")
    assert [name for name, _ in done.left_out] == ["closed/"]
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "items.parquet")
    with pytest.raises(PermissionError, match="cannot be entered: 'closed/'"):
        encode_parts(ENCODER, tmp_path, tmp_path / "parts")

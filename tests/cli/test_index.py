"""``gapremoval index``: what is in the index, what is said, and what a second run does."""

import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("typer")
pytest.importorskip("open_clip")

from gapremoval.cli._index_file import IndexFile
from gapremoval.cli._indexing import learn_question
from gapremoval.encoders import _forward, _models

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)


def n_encoded(folder):
    """How many rows the cache of the index in a folder has."""
    with closing(sqlite3.connect(folder / "index.gap.cache" / "gapremoval_rows.sqlite")) as file:
        return file.execute("SELECT count(*) FROM rows").fetchone()[0]


def same(one, other):
    """Whether two indexes hold the same, but for rounding in other batches."""
    one, other = IndexFile.load(one), IndexFile.load(other)
    assert (one.names, one.fingerprint, one.folder) == (
        other.names,
        other.fingerprint,
        other.folder,
    )
    for name in ("files", "captions"):
        rows, others = getattr(one, name), getattr(other, name)
        assert (rows.modality == others.modality).all()
        np.testing.assert_allclose(rows.values, others.values, atol=1e-6)
    return True


def test_photos_and_notes_are_indexed_and_stdout_is_left_alone(run, photos):
    done = run("index", photos, "--model", "pocket")
    assert (done.code, done.out) == (0, "")
    assert done.err == "gapremoval: 80 files (40 image, 40 text) in index.gap\n"
    index = IndexFile.load("index.gap")
    assert index.folder == str(photos)
    assert index.names == sorted(
        path.relative_to(photos).as_posix() for path in photos.rglob("*.*")
    )
    assert len(index.documents()) == 60
    assert np.allclose(np.linalg.norm(index.files.values, axis=1), 1, atol=1e-5)


def test_what_is_broken_foreign_or_hidden_is_left_out_and_told(run, photos):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8" + bytes(50))
    (photos / "cut.png").write_bytes((photos / "scene 0.png").read_bytes()[:300])
    (photos / "latin.txt").write_bytes(b"caf\xe9 in the snow")
    (photos / "blank.txt").write_text(" \n")
    (photos / "letter.docx").write_bytes(b"PK")
    (photos / "IMG_3.CR2").write_bytes(b"II*")
    for name in (".DS_Store", "._scene 0.png", ".Trashes/x.png", "@eaDir/x/thumb.jpg", "Thumbs.db"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(bytes(4096))
    done = run("index", photos, "--model", "pocket")
    assert done.code == 3
    lines = done.err.splitlines()
    for name in ("broken.jpg", "cut.png", "latin.txt"):
        assert sum(f"left out: {name}: " in line for line in lines) == 1
    assert "gapremoval: 3 files were not taken: 1 .cr2, 1 .docx, 1 .txt (blank)." in lines
    assert lines[-1] == "gapremoval: 80 files (40 image, 40 text) in index.gap"
    assert len(lines) == 5


def test_heic_is_counted_with_what_it_takes_to_read_it(run, photos, monkeypatch):
    from gapremoval._pillow import import_pillow

    Image = import_pillow()
    for suffix in (".heic", ".heif", ".hif"):
        monkeypatch.delitem(Image.EXTENSION, suffix, raising=False)
    for i in range(3):
        (photos / f"IMG_{i}.HEIC").write_bytes(HEIC)
    done = run("index", photos, "--model", "pocket")
    assert done.code == 3
    assert "3 files were not taken: 3 .heic (pip install pillow-heif)." in done.err
    assert len(done.err.splitlines()) == 2


def test_heic_is_indexed_where_its_plugin_is_installed(run, photos, scenes):
    pytest.importorskip("pillow_heif")
    from gapremoval._pillow import import_pillow

    import_pillow()
    scenes.images[1].save(photos / "IMG_1.HEIC", quality=95)
    assert run("index", photos, "--model", "pocket").code == 0
    done = run("search", "index.gap", scenes.captions[1][2], "-n", "1", "--only", "image")
    assert "IMG_1.HEIC" in done.out


def test_hidden_files_are_taken_if_asked_for(run, photos, scenes):
    (photos / ".album").mkdir()
    scenes.images[1].save(photos / ".album" / "hidden.png")
    assert "80 files" in run("index", photos, "--model", "pocket").err
    assert "81 files" in run("index", photos, "--model", "pocket", "--hidden").err
    assert run("index", photos / ".album", "--model", "pocket", "--out", "x.gap").code == 0
    assert IndexFile.load("x.gap").names == ["hidden.png"]


@pytest.mark.parametrize("out", ["index.gap", "notes.txt"])
def test_its_own_files_are_never_indexed(run, photos, monkeypatch, out):
    monkeypatch.chdir(photos)
    for _ in range(2):
        done = run("index", ".", "--model", "pocket", "--out", out, "--hidden")
        assert done.code == 0
        assert done.err == f"gapremoval: 80 files (40 image, 40 text) in {out}\n"
    assert IndexFile.load(out).folder == str(photos)


def test_after_changes_the_index_equals_one_made_from_nothing(run, photos, scenes, tmp_path):
    run("index", photos, "--model", "pocket")
    encoded = n_encoded(tmp_path)
    (photos / "scene 0.png").unlink()
    (photos / "scene 8.png").rename(photos / "trip" / "renamed.png")
    (photos / "scene 8.txt").rename(photos / "scene 8 too.txt")
    scenes.images[30].save(photos / "scene 6.png")  # changed, into one that is known
    (photos / "scene 4.txt").write_text("another text")
    scenes.images[7].save(photos / "new.jpg")
    assert run("index", photos, "--model", "pocket").code == 0
    assert n_encoded(tmp_path) == encoded + 2
    run("index", photos, "--model", "pocket", "--out", "fresh.gap")
    assert same("index.gap", "fresh.gap")
    assert run("index", photos, "--model", "pocket").code == 0
    assert n_encoded(tmp_path) == encoded + 2


@settings(max_examples=6)
@given(st.data())
def test_any_second_run_equals_one_from_nothing(tmp_path_factory, scenes, data):
    from gapremoval.cli._app import run

    base = tmp_path_factory.mktemp("runs")
    out, fresh = str(base / "index.gap"), str(base / "fresh.gap")
    folder = base / "photos"
    content = st.integers(0, 5)
    names = st.sampled_from(["a.png", "a.txt", "b.png", "sub/a.png", "sub/c.txt"])
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
        files = data.draw(st.dictionaries(names, content, min_size=1))
        for name, i in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("png"):
                scenes.images[i].save(folder / name)
            else:
                (folder / name).write_text(scenes.captions[i][0])
        assert run(["index", str(folder), "--model", "pocket", "--out", out]) == 0
    assert run(["index", str(folder), "--model", "pocket", "--out", fresh]) == 0
    assert same(out, fresh)


@pytest.mark.parametrize("state", ["missing", "empty", "a file", "nothing readable"])
def test_a_folder_without_anything_leaves_the_old_index(run, photos, state):
    run("index", photos, "--model", "pocket")
    with open("index.gap", "rb") as file:
        before = file.read()
    shutil.rmtree(photos)
    if state == "a file":
        photos.write_text("x")
    elif state != "missing":
        photos.mkdir()
    if state == "nothing readable":
        (photos / "x.png").write_bytes(b"xx")
    done = run("index", photos, "--model", "pocket")
    assert (done.code, done.out) == (1, "")
    assert "gapremoval: error: " in done.err
    with open("index.gap", "rb") as file:
        assert file.read() == before


def test_an_interrupted_run_loses_only_what_was_under_way(run, photos, monkeypatch, tmp_path):
    shutil.rmtree(photos / "trip")
    read, seen = _forward.read_picture, []

    def read_eight(picture):
        seen.append(picture)
        if len(seen) > 8:
            raise KeyboardInterrupt
        return read(picture)

    monkeypatch.setattr(_forward, "read_picture", read_eight)
    done = run("index", photos, "--model", "pocket")
    assert done.code == 130
    assert "interrupted: the same command goes on where this one stopped" in done.err
    assert not (tmp_path / "index.gap").exists()
    kept = n_encoded(tmp_path)
    assert kept >= 20  # the notes
    monkeypatch.setattr(_forward, "read_picture", read)
    assert run("index", photos, "--model", "pocket").code == 0
    assert n_encoded(tmp_path) == 40
    assert sorted(os.listdir(tmp_path)) == ["index.gap", "index.gap.cache", "photos"]


def test_a_file_that_is_no_index_is_not_overwritten(run, photos, tmp_path):
    (tmp_path / "thesis.doc").write_text("ten years of work")
    done = run("index", photos, "--model", "pocket", "--out", "thesis.doc")
    assert done.code == 1
    assert "It is not overwritten: name another --out" in done.err
    assert (tmp_path / "thesis.doc").read_text() == "ten years of work"


def test_where_nothing_can_be_written_is_told_before_anything_is_encoded(run, photos, monkeypatch):
    monkeypatch.setattr(_models, "_build", None)
    _models._networks.clear()
    for out in ("absent/index.gap", photos):
        done = run("index", photos, "--model", "pocket", "--out", out)
        assert done.code == 1
        assert "index" in done.err


def test_what_was_learnt_is_kept_by_a_second_run_and_bound_to_the_model(run, photos, network):
    run("index", photos, "--model", "pocket")
    run(
        "search",
        "index.gap",
        "a small red star in the middle on a plain grey background",
        "--learn",
    )
    learnt = IndexFile.load("index.gap").learnt
    assert learnt.modality.tolist() == ["query:text"]
    (photos / "scene 0.png").unlink()
    run("index", photos, "--model", "pocket")
    assert np.array_equal(IndexFile.load("index.gap").learnt.values, learnt.values)
    done = run("index", photos, "--model", network("another"))
    assert done.code == 1
    assert "holds 1 past questions, encoded by 'pocket'" in done.err
    assert len(IndexFile.load("index.gap").learnt) == 1


def test_questions_learnt_at_once_are_all_kept(run, photos):
    run("index", photos, "--model", "pocket")
    index = IndexFile.load("index.gap")
    questions = [index.files[i : i + 1] for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda rows: learn_question("index.gap", rows), questions))
    kept = IndexFile.load("index.gap").learnt.values
    assert len(kept) == 8
    assert set(map(bytes, kept)) == set(map(bytes, index.files.values[:8]))


def test_pictures_alone_answer_texts(run, photos, scenes):
    for note in photos.rglob("*.txt"):
        note.unlink()
    done = run("index", photos, "--model", "pocket")
    assert "no texts in the folder: 32 ordinary captions are encoded too" in done.err
    assert "questions    32 ordinary captions, 0 learnt" in run("info", "index.gap").out
    best = []
    for i in range(0, 60, 6):
        out = run("search", "index.gap", scenes.captions[i][1], "-n", "1").out
        best.append(f"scene {i}.png" in out)
    assert np.mean(best) >= 0.8


def test_a_single_note_among_pictures_is_found(run, photos, scenes):
    for note in photos.rglob("*.txt"):
        if note.stem != "scene 1":
            note.unlink()
    done = run("index", photos, "--model", "pocket")
    assert "1 text in the folder: 32 ordinary captions" in done.err
    assert "scene 1.txt" in run("search", "index.gap", scenes.captions[1][2], "-n", "3").out


def test_a_note_that_reads_like_the_name_of_a_picture_is_a_note(run, photos, monkeypatch):
    monkeypatch.chdir(photos)
    (photos / "todo.txt").write_text("scene 0.png")
    done = run("index", ".", "--model", "pocket")
    assert done.code == 0
    assert "81 files (40 image, 41 text)" in done.err
    assert "warning" not in done.err


def test_the_model_is_found_from_any_folder(run, photos, network, monkeypatch):
    network("network")
    assert run("index", photos, "--model", "local-dir:network").code == 0
    monkeypatch.chdir(photos)
    assert run("search", "../index.gap", "two dogs").code == 0

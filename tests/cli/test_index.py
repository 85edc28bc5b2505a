"""``gapremoval index``: what is in the index, what is said, and what a second run does."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("typer")
pytest.importorskip("open_clip")

from gapremoval import CLIPEncoder, EmbeddingArray, Query
from gapremoval._files import replacing
from gapremoval.cli._index_file import IndexFile
from gapremoval.cli._indexing import learn_question
from gapremoval.cli._searching import ask
from gapremoval.encoders import _encoder, _forward

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)


@pytest.fixture
def encoded(monkeypatch):
    """What goes through the network: the texts, and the pictures by the name of their file."""
    gone = []

    class Watched(_forward.Forward):
        def texts(self, kind, texts):
            gone.extend(text.strip() for text in texts.values())
            return super().texts(kind, texts)

        def pictures(self, kind, pictures):
            gone.extend(picture.name for picture in pictures.values())
            return super().pictures(kind, pictures)

    monkeypatch.setattr(_encoder, "Forward", Watched)
    return gone


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
    assert len(index.documents) == 60
    assert np.allclose(np.linalg.norm(index.files.values, axis=1), 1, atol=1e-5)


def test_what_is_broken_foreign_or_hidden_is_left_out_and_told(run, photos):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8" + bytes(50))
    (photos / "cut.png").write_bytes((photos / "scene 0.png").read_bytes()[:300])
    (photos / "latin.txt").write_bytes(b"caf\xe9 in the snow")
    (photos / "blank.txt").write_text(" \n")
    (photos / "letter.docx").write_bytes(b"PK")
    (photos / "IMG_3.CR2").write_bytes(b"II*")
    (photos / "object.o").symlink_to("absent")
    (photos / "gone.jpg").symlink_to("nowhere")
    for name in (".DS_Store", "._scene 0.png", ".Trashes/x.png", "@eaDir/x/thumb.jpg", "Thumbs.db"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(bytes(4096))
    done = run("index", photos, "--model", "pocket")
    assert done.code == 3
    lines = done.err.splitlines()
    for name in ("broken.jpg", "cut.png", "latin.txt", "gone.jpg"):
        assert sum(f"left out: {name}: " in line for line in lines) == 1
    assert (
        "gapremoval: 4 files were left out: 1 .cr2, 1 .docx, 1 .o (broken link), 1 .txt (blank)."
    ) in lines
    assert lines[-1] == "gapremoval: 80 files (40 image, 40 text) in index.gap"
    assert len(lines) == 6


def test_a_picture_and_its_note_are_one_document_however_systems_spell_their_name(
    run, tmp_path, scenes
):
    folder = tmp_path / "odd"
    folder.mkdir()
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    scenes.images[0].save(folder / f"{composed}.png")
    (folder / f"{decomposed}.txt").write_text(scenes.captions[0][0])
    if len(os.listdir(folder)) < 2 or (folder / f"{composed}.txt").exists():
        pytest.skip("the file system composes names")
    assert run("index", folder, "--model", "pocket").code == 0
    assert IndexFile.load("index.gap").documents == {composed: [0, 1]}
    assert "image+text" in run("search", "index.gap", scenes.captions[0][1]).out
    scenes.images[1].save(folder / f"{decomposed}.png")
    told = run("index", folder, "--model", "pocket").err
    assert (
        f"warning: Names that differ in their Unicode form alone are one document: '{composed}"
        in told
    )


def test_heic_is_counted_with_what_it_takes_to_read_it(run, photos, monkeypatch):
    from gapremoval._optional import import_pillow

    Image = import_pillow()
    for suffix in (".heic", ".heif", ".hif"):
        monkeypatch.delitem(Image.EXTENSION, suffix, raising=False)
    for i in range(3):
        (photos / f"IMG_{i}.HEIC").write_bytes(HEIC)
    done = run("index", photos, "--model", "pocket")
    assert done.code == 3
    assert "3 files were left out: 3 .heic (pip install pillow-heif)." in done.err
    assert len(done.err.splitlines()) == 2


def test_heic_is_indexed_where_its_plugin_is_installed(run, photos, scenes):
    pytest.importorskip("pillow_heif")
    from gapremoval._optional import import_pillow

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


def test_after_changes_the_index_equals_one_made_from_nothing(run, photos, scenes, encoded):
    run("index", photos, "--model", "pocket")
    assert len(encoded) == 80
    encoded.clear()
    (photos / "scene 0.png").unlink()
    (photos / "scene 8.png").rename(photos / "trip" / "renamed.png")
    (photos / "scene 8.txt").rename(photos / "scene 8 too.txt")
    scenes.images[30].save(photos / "scene 6.png")  # changed, into one that is known
    (photos / "scene 4.txt").write_text("another text")
    scenes.images[7].save(photos / "new.jpg")
    assert run("index", photos).code == 0
    assert encoded == ["another text", "new.jpg"]
    encoded.clear()
    assert run("index", photos).code == 0
    assert encoded == []
    run("index", photos, "--model", "pocket", "--out", "fresh.gap")
    assert len(encoded) == 79  # of two equal pictures one
    assert same("index.gap", "fresh.gap")


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


def test_an_interrupted_run_loses_only_what_was_under_way(
    run, photos, scenes, encoded, monkeypatch, tmp_path
):
    read = _forward.read_picture

    def read_until_the_last(picture, **options):
        if picture.name == "z.png":
            raise KeyboardInterrupt
        return read(picture, **options)

    for i, image in enumerate(scenes.images):
        image.rotate(90).save(photos / f"turned {i}.png")
    scenes.images[0].rotate(180).save(photos / "z.png")
    monkeypatch.setattr(_forward, "read_picture", read_until_the_last)
    done = run("index", photos, "--model", "pocket")
    assert done.code == 130
    assert "interrupted: the same command goes on where this one stopped" in done.err
    assert sorted(os.listdir(tmp_path)) == ["index.gap.cache", "photos"]
    monkeypatch.setattr(_forward, "read_picture", read)
    encoded.clear()
    assert run("index", photos, "--model", "pocket").code == 0
    assert len(encoded) == 101 - 64  # one batch of pictures was kept, and all notes
    assert sorted(os.listdir(tmp_path)) == ["index.gap", "index.gap.cache", "photos"]


def test_a_file_that_is_no_index_is_not_overwritten(run, photos, tmp_path):
    (tmp_path / "thesis.doc").write_text("ten years of work")
    done = run("index", photos, "--model", "pocket", "--out", "thesis.doc")
    assert done.code == 1
    assert "It is not overwritten: name another --out" in done.err
    assert (tmp_path / "thesis.doc").read_text() == "ten years of work"


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("absent/index.gap", "There is no folder absent to write the index in"),
        ("photos", "photos is a folder: name a file for the index"),
        ("pipe", "pipe is no regular file"),
        ("blocked.gap", "blocked.gap.cache, the folder where encoded rows are kept, cannot"),
        ("other.gap", "other.gap.cache, the folder where encoded rows are kept, cannot be used"),
        ("x" * 252, ".cache, the folder where encoded rows are kept, cannot be used"),
    ],
)
def test_where_nothing_can_be_written_is_told_before_anything_is_encoded(
    run, photos, tmp_path, encoded, out, message
):
    (tmp_path / "blocked.gap.cache").write_text("a file")
    (tmp_path / "other.gap.cache").mkdir()
    (tmp_path / "other.gap.cache" / "index.lock").write_text("no lock" * 99)
    os.mkfifo(tmp_path / "pipe")
    done = run("index", photos, "--model", "pocket", "--out", out)
    assert done.code == 1
    assert message in done.err
    assert encoded == []


def test_an_index_of_another_folder_is_not_replaced(run, photos, tmp_path):
    run("index", photos / "trip", "--model", "pocket")
    done = run("index", photos)
    assert done.code == 1
    assert f"index.gap is the index of {photos / 'trip'}: name another --out" in done.err
    # Where the folder itself has moved, it is the same one.
    (photos / "trip").rename(tmp_path / "moved")
    assert run("index", tmp_path / "moved").code == 0
    assert IndexFile.load("index.gap").folder == str(tmp_path / "moved")


def test_permissions_and_links_of_an_index_are_kept(run, photos, tmp_path):
    run("index", photos, "--model", "pocket", "--out", "real.gap")
    os.chmod("real.gap", 0o600)
    os.symlink("real.gap", "index.gap")
    (photos / "scene 0.png").unlink()
    assert run("index", photos).code == 0
    assert os.path.islink("index.gap")
    assert os.stat("real.gap").st_mode & 0o777 == 0o600
    assert len(IndexFile.load("real.gap").names) == 79


def test_what_a_killed_run_left_is_cleared_away(run, photos, tmp_path):
    for name in ("index.gap", "index", "other.gap"):
        before = {*tmp_path.glob("*.part")}
        with replacing(tmp_path / name):
            (partial,) = {*tmp_path.glob("*.part")} - before
        partial.write_bytes(b"half")  # as a killed writer leaves it
        (tmp_path / name).unlink()
    assert len(list(tmp_path.glob("*.part"))) == 3
    assert run("index", photos, "--model", "pocket").code == 0
    left = sorted(path.name for path in tmp_path.glob("*.part"))
    assert [name.rsplit(".", 3)[0] for name in left] == [".index", ".other.gap"]
    assert run("index", photos, "--model", "pocket", "--out", "index").code == 0
    assert len(list(tmp_path.glob("*.part"))) == 1


@pytest.mark.parametrize("damage", [None, b"no database"])
def test_a_cache_that_is_gone_or_damaged_costs_time_and_nothing_else(
    run, photos, encoded, tmp_path, damage
):
    run("index", photos, "--model", "pocket")
    os.rename("index.gap", "before.gap")
    encoded.clear()
    if damage:
        (tmp_path / "index.gap.cache" / "gapremoval_rows.sqlite").write_bytes(damage)
    else:
        shutil.rmtree(tmp_path / "index.gap.cache")
    done = run("index", photos, "--model", "pocket")
    assert done.code == 0
    assert ("cached rows" in done.err) == bool(damage)
    assert len(encoded) == 80
    assert same("index.gap", "before.gap")


def test_an_empty_folder_name_is_refused(run, photos):
    done = run("index", "", "--model", "pocket")
    assert (done.code, done.out) == (2, "")
    assert "FOLDER is empty" in done.err


def test_what_was_learned_is_kept_by_a_second_run_and_bound_to_the_model(run, photos, network):
    run("index", photos, "--model", "pocket")
    run(
        "search",
        "index.gap",
        "a small red star in the middle on a plain grey background",
        "--learn",
    )
    learned = IndexFile.load("index.gap").learned
    assert learned.modality.tolist() == ["query:text"]
    (photos / "scene 0.png").unlink()
    run("index", photos, "--model", "pocket")
    assert np.array_equal(IndexFile.load("index.gap").learned.values, learned.values)
    done = run("index", photos, "--model", network("another"))
    assert done.code == 1
    assert "holds 1 past questions, encoded by 'pocket'" in done.err
    assert len(IndexFile.load("index.gap").learned) == 1


def test_questions_learned_at_once_are_all_kept(run, photos):
    run("index", photos, "--model", "pocket")
    index = IndexFile.load("index.gap")
    questions = [index.files[i : i + 1] for i in range(8)]
    questions = [EmbeddingArray(rows.values, "query:text") for rows in questions]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda rows: learn_question(Path("index.gap"), rows), questions))
    kept = IndexFile.load("index.gap").learned.values
    assert len(kept) == 8
    assert set(map(bytes, kept)) == set(map(bytes, index.files.values[:8]))


@pytest.mark.parametrize("n_notes", [0, 1, 2, 4, 10, 15, 16])
def test_pictures_and_notes_are_found_however_few_notes_there_are(run, photos, scenes, n_notes):
    for note in photos.rglob("*.txt"):
        note.unlink()
    for i in range(n_notes):
        (photos / f"note {i}.txt").write_text(scenes.captions[1 + 3 * i][0])
    done = run("index", photos, "--model", "pocket")
    told = {0: "no texts in the folder", 1: "1 text in the folder"}.get(n_notes)
    assert ("32 ordinary captions are encoded too" in done.err) == (n_notes < 2)
    assert told is None or told in done.err
    index = IndexFile.load("index.gap")
    assert len(index.captions) == (32 if n_notes < 2 else 0)
    encoder, asked = CLIPEncoder("pocket"), {"picture": [], "note": []}
    for i in range(0, 60, 3):
        asked["picture"].append((f"scene {i}.png", scenes.captions[i][1]))
    for i in range(n_notes):
        asked["note"].append((f"note {i}.txt", scenes.captions[1 + 3 * i][1]))
    for kind, pairs in asked.items():
        ranks = []
        for name, text in pairs:
            found = ask(index, encoder.transform([Query(text)]), 60)
            names = [index.names[index.documents[x][0]] for x in found.ids[0]]
            ranks.append(1 + [os.path.basename(x) for x in names].index(name))
        if pairs:
            # With a single note its mean is a guess, and the pictures pay for it.
            assert np.mean(1 / np.array(ranks)) > (0.5 if n_notes == 1 else 0.75), kind


def test_a_note_that_reads_like_the_name_of_a_picture_is_a_note(run, photos, monkeypatch):
    monkeypatch.chdir(photos)
    (photos / "todo.txt").write_text("scene 0.png")
    done = run("index", ".", "--model", "pocket")
    assert done.code == 0
    assert "81 files (40 image, 41 text)" in done.err
    assert "warning" not in done.err


def test_a_network_that_cannot_encode_captions_is_told_in_one_line(run, photos, network, tmp_path):
    torch = pytest.importorskip("torch")
    model = network("damaged")
    (path,) = (tmp_path / "damaged").glob("*.bin")
    weights = torch.load(path)
    torch.save(weights | {"text_projection": weights["text_projection"] * torch.nan}, path)
    for note in photos.rglob("*.txt"):
        note.unlink()
    done = run("index", photos, "--model", model)
    assert done.code == 1
    assert done.err.count("cannot encode an ordinary caption: the network gives a row") == 1
    assert not (tmp_path / "index.gap").exists()


def test_the_model_is_found_from_any_folder(run, photos, network, monkeypatch):
    network("network")
    assert run("index", photos, "--model", "local-dir:network").code == 0
    monkeypatch.chdir(photos)
    assert run("search", "../index.gap", "two dogs").code == 0

"""The example scripts: the demo as a user runs it, the other cases in this process."""

import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

needs_clip = pytest.mark.skipif(not find_spec("open_clip"), reason="needs the extra clip")
# Three photos are few to take a mean from, and a long text is cut: scripts warn of it.
few_rows = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def main(tmp_path, monkeypatch, capsys):
    """Run a script in this process and return what it prints: torch is imported once."""

    def run_here(script, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return run_here


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@needs_clip
def test_the_demo_shows_the_gap_disappear(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.split()}
    n_queries, raw, removed, recommended = map(float, lines["image"])
    assert n_queries == 200
    assert raw < 0.05
    assert removed > 0.75
    assert recommended > removed + 0.03
    assert done.stdout.count("<- the answer") >= 2
    assert (tmp_path / "gap_removed.png").read_bytes().startswith(b"\x89PNG")
    assert "Page: demo.html" in done.stdout
    page = (tmp_path / "demo.html").read_text(encoding="utf-8")
    assert page.count("<h2") == 12
    assert page.count("<li") == 12 * 2 * 5
    assert page.count('src="data:image/') > 24
    assert page.count("src=") == page.count('src="data:image/')
    assert 4 <= page.count("right answer not among") < 12  # raw, where pictures answer
    assert 12 <= page.count("✓ right answer") < 24


def test_the_demo_takes_a_file_with_a_text_an_item(tmp_path, rng, main):
    pairs = write(
        tmp_path / "my pairs.npz", **dict(zip(("text", "image"), rng.normal(size=(2, 60, 8))))
    )
    out = main("demo.py", pairs, "--picture", "x.png")
    assert "30 text, 30 image, 30 query:text, 30 query:image" in out
    assert (tmp_path / "x.png").exists()
    assert not (tmp_path / "demo.html").exists()


def test_the_demo_takes_a_file_with_several_texts_an_item(tmp_path, rng, main):
    several = write(
        tmp_path / "several.npz",
        text=rng.normal(size=(60, 3, 8)),
        image=rng.normal(size=(60, 8)),
        extra=rng.normal(size=(5, 8)),
    )
    assert "40 text, 45 image, 120 query:text" in main("demo.py", several)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"text": np.eye(4)}, "has no array image; it holds ['text']"),
        ({"text": np.eye(4), "image": np.eye(5)}, "got text (4, 4), image (5, 5)"),
        ({"text": np.eye(4), "image": np.eye(4), "extra": np.eye(3)}, "extra (3, 3)"),
        ({"text": np.eye(4), "image": np.full((4, 4), np.nan)}, "holds NaN or infinity"),
    ],
)
def test_the_demo_says_in_a_line_what_is_wrong_with_a_file(tmp_path, main, arrays, message):
    # An exit with a message: it goes to stderr, without a traceback, and the code is 1.
    with pytest.raises(SystemExit) as ended:
        main("demo.py", write(tmp_path / "bad.npz", **arrays))
    assert message in ended.value.code


def test_the_demo_says_so_where_there_is_no_such_file(tmp_path, main):
    (tmp_path / "text.npz").write_text("not arrays")
    for name in ("absent.npz", "text.npz"):
        with pytest.raises(SystemExit) as ended:
            main("demo.py", name)
        assert f"{name} cannot be read" in ended.value.code


@pytest.fixture
def photos_and_notes(tmp_path, rng):
    from networks import register, save
    from PIL import Image

    (tmp_path / "network").mkdir()
    register(tmp_path)
    (tmp_path / "mine").mkdir()
    for i in range(3):
        pixels = rng.integers(0, 255, (30, 40, 3), dtype="u1")
        Image.fromarray(pixels).save(tmp_path / "mine" / f"{i}.png")
        (tmp_path / "mine" / f"note {i}.txt").write_text(f"note number {i}")
    return tmp_path / "mine", save("tiny-vit", tmp_path / "network")


@needs_clip
@few_rows
def test_a_folder_is_searched_by_a_text_and_by_a_picture(main, photos_and_notes):
    folder, model = photos_and_notes
    by_text = main("search_folder.py", folder, "note number 1", "--model", model)
    assert len(by_text.splitlines()) == 6
    by_picture = main("search_folder.py", folder, folder / "2.png", "--model", model)
    assert len(by_picture.splitlines()) == 6
    assert by_picture.split()[2] == "2"


@needs_clip
@few_rows
def test_a_folder_is_encoded_once_and_searched_from_its_file(tmp_path, main, photos_and_notes):
    folder, model = photos_and_notes
    out = main("encode_once.py", folder, "rows.npz", "--model", model)
    assert "EmbeddingArray(38 rows x 24, float32: 3 image, 3 text, 32 query:text)" in out
    assert "SearchResult(2 queries x 3 documents)" in out
    assert (tmp_path / "rows.ids.json").exists()


@needs_clip
@few_rows
def test_a_folder_of_photos_alone_is_searched_by_texts(main, photos_and_notes):
    folder, model = photos_and_notes
    for note in folder.glob("*.txt"):
        note.unlink()
    found = main("search_folder.py", folder, "a dog " * 100, "--model", model)
    assert len(found.splitlines()) == 3
    encoded = main("encode_once.py", folder, "rows.npz", "--model", model)
    assert "SearchResult(2 queries x 3 documents)" in encoded


@needs_clip
def test_where_nothing_can_be_written_is_told_before_encoding(main, capsys, photos_and_notes):
    folder, model = photos_and_notes
    with pytest.raises(SystemExit) as ended:
        main("encode_once.py", folder, "absent/rows.npz", "--model", model)
    assert ended.value.code == 2
    assert "there is no folder absent" in capsys.readouterr().err

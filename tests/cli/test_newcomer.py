"""A newcomer's first hour: an album of photos and notes by the command line alone.

Every command is typed as a person types it who has read ``docs/command_line.md`` and nothing else.
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("open_clip")

from gapremoval.datasets import make_scenes


@pytest.fixture
def typed(run):
    """Run a line as it was typed; what stands behind a ``|`` reads what the command printed."""

    def line(text):
        command, _, reader = text.partition(" | ")
        name, *arguments = shlex.split(command)
        assert name == "gapremoval"
        done = run(*arguments)
        if reader:
            reader = [sys.executable, *shlex.split(reader)[1:]]
            read = subprocess.run(reader, input=done.out.encode(), capture_output=True, check=True)
            done.out = read.stdout.decode()
        return done

    return line


def first(done):
    """The rank, score, probability, modality and files of the first line of a table."""
    return done.out.splitlines()[1].split(maxsplit=4)


def test_an_album_is_indexed_searched_extended_and_pruned(typed):
    scenes = make_scenes(40, random_state=0)
    described = [captions[1] for captions in scenes.captions]  # in other words than the notes
    album = Path("album")
    album.mkdir()
    for i, (image, captions) in enumerate(zip(scenes.images[:30], scenes.captions)):
        if i % 3 != 1:
            image.save(album / f"{i}.png")
        if i % 3 != 0:
            (album / f"{i}.txt").write_text(captions[0])

    done = typed("gapremoval index album --model pocket --out album.gap")
    assert (done.code, done.err) == (0, "gapremoval: 40 files (20 image, 20 text) in album.gap\n")

    # A photo, a note, and a photo with a note are each found by a description.
    for i, modality, files in (
        (0, "image", "album/0.png"),
        (1, "text", "album/1.txt"),
        (2, "image+text", "album/2.png + album/2.txt"),
    ):
        found = typed(f'gapremoval search album.gap "{described[i]}" -n 3')
        assert len(found.out.splitlines()) == 1 + 3
        assert first(found)[3:] == [modality, files]

    # A photo finds the notes that describe it.
    scenes.images[1].save("question.png")
    found = typed("gapremoval search album.gap --image question.png --only text -n 2 --json")
    results = json.loads(found.out)["results"]
    assert [result["modality"] for result in results] == ["text", "text"]
    assert results[0]["files"][0]["path"] == str(Path("album/1.txt").absolute())

    # Another program reads the answer.
    by_hand = typed(
        f'gapremoval search album.gap "{described[0]}" -n 1 --json | python -m json.tool'
    )
    assert '"modality": "image"' in by_hand.out
    reader = 'python -c \'import json, sys; print(json.load(sys.stdin)["results"][0]["rank"])\''
    assert typed(f'gapremoval search album.gap "{described[0]}" --json | {reader}').out == "1\n"

    # New photos are found once the same command has run again.
    for i in range(30, 40):
        scenes.images[i].save(album / f"{i}.png")
    assert typed("gapremoval index album --out album.gap").err == (
        "gapremoval: 50 files (30 image, 20 text) in album.gap\n"
    )
    for i in (30, 35):
        found = typed(f'gapremoval search album.gap "{described[i]}" -n 1')
        assert first(found)[4] == f"album/{i}.png"

    # What was deleted is gone.
    (album / "30.png").unlink()
    assert typed("gapremoval index album --out album.gap").code == 0
    found = typed(f'gapremoval search album.gap "{described[30]}" -n 100')
    assert "album/30.png" not in found.out
    assert len(found.out.splitlines()) == 1 + 39

    # What went wrong is said in a line.
    (album / "broken.jpg").write_text("no picture")
    done = typed("gapremoval index album --out album.gap")
    assert done.code == 3
    assert "gapremoval: left out: broken.jpg: " in done.err
    assert typed("gapremoval search albums.gap 'a red ring'").err.startswith("gapremoval: error: ")

    # What an index holds, and a page to look at.
    told = dict(
        line.split(maxsplit=1) for line in typed("gapremoval info album.gap").out.splitlines()
    )
    assert told["documents"].startswith("39 ")
    assert told["model"] == "pocket"
    assert typed("gapremoval search album.gap 'a red ring' --html found.html").code == 0
    assert "<img" in Path("found.html").read_text(encoding="utf-8")

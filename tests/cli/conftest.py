"""A folder of drawn scenes and notes, and the command that indexes and searches it."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest


@dataclass
class Done:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    """Run a command in this process, in a folder of its own."""
    pytest.importorskip("typer")
    pytest.importorskip("open_clip")
    from gapremoval.cli._app import run

    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        capfd.readouterr()
        code = run([os.fspath(argument) for argument in arguments])
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return Done(code, said.out, said.err)

    return command


@pytest.fixture
def process(tmp_path):
    """Run a command as a process of its own; streams are bytes."""
    pytest.importorskip("typer")
    pytest.importorskip("open_clip")

    def command(*arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "gapremoval", *arguments],
            **{"cwd": tmp_path, "capture_output": True, "timeout": 120, **options},
        )

    return command


TYPED = """
import json, sys
from gapremoval.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["gapremoval", *arguments]
    try:
        main()
    except SystemExit as done:
        for stream in (sys.stdout, sys.stderr):
            print(f"\\0{done.code or 0}\\0", end="", file=stream, flush=True)
"""


@pytest.fixture
def processes(tmp_path):
    """Run commands one after the other in one new process, which imports torch only once."""
    pytest.importorskip("typer")
    pytest.importorskip("open_clip")

    def commands(*typed, terminal=None, **options):
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
        done = subprocess.run(
            [sys.executable, "-c", TYPED, json.dumps(typed)],
            **{"cwd": tmp_path, "timeout": 300, **options},
            **(streams if terminal else {"capture_output": True}),
        )
        if terminal:
            return None
        out, err = (stream.split(b"\0") for stream in (done.stdout, done.stderr))
        assert len(out) == len(err) == 2 * len(typed) + 1, done.stderr
        return [Done(int(code), *both) for code, *both in zip(out[1::2], out[::2], err[::2])]

    return commands


@pytest.fixture(scope="session")
def scenes():
    pytest.importorskip("open_clip")
    from gapremoval.datasets import make_scenes

    return make_scenes(60, random_state=20261)


@pytest.fixture(scope="session")
def drawn(scenes, tmp_path_factory):
    """20 pictures, 20 notes, and 20 pictures with a note of their name."""
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    (folder / "trip").mkdir(parents=True)
    for i, (image, captions) in enumerate(zip(scenes.images, scenes.captions)):
        stem = folder / ("trip" if i % 2 else "") / f"scene {i}"
        if i % 3 != 1:
            image.save(f"{stem}.png")
        if i % 3 != 0:
            stem.with_suffix(".txt").write_text(captions[0])
    return folder


@pytest.fixture(scope="session")
def drawn_index(drawn):
    """The index of these files."""
    pytest.importorskip("typer")
    from gapremoval.cli._app import run

    path = drawn.parent / "index.gap"
    assert run(["index", str(drawn), "--model", "pocket", "--out", str(path)]) == 0
    return path


@pytest.fixture
def photos(tmp_path, drawn):
    """A folder of one's own with these files."""
    return shutil.copytree(drawn, tmp_path / "photos")


@pytest.fixture
def indexed(photos, drawn_index, tmp_path):
    """The same, and ``index.gap`` of it."""
    from gapremoval.cli._index_file import IndexFile

    index = dataclasses.replace(IndexFile.load(drawn_index), folder=str(photos))
    index.save(tmp_path / "index.gap")
    shutil.copytree(f"{drawn_index}.cache", tmp_path / "index.gap.cache")
    return photos


@pytest.fixture
def network(tmp_path):
    """Save a tiny network with random weights under a name; its model is ``local-dir:`` that."""
    from networks import register, save

    (tmp_path / "architectures").mkdir()
    register(tmp_path / "architectures")

    def make(name):
        (tmp_path / name).mkdir()
        return save("tiny-vit", tmp_path / name)

    return make

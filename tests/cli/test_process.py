"""The command as a process of its own: names that are not text, pipes, signals."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from threading import Thread
from urllib.parse import unquote_to_bytes

import pytest

pytest.importorskip("typer")
pytest.importorskip("open_clip")

from gapremoval.cli._index_file import IndexFile

NAMES = [
    b"caf\xe9 1.png",
    b"two\nlines.png",
    b"-n.png",
    b"[bold red]x.png",
    b"<img src=x onerror=alert(1)>.png",
    b"\x1b[31mred.png",
    "\u202egnp.png".encode(),
    b"a" * 251 + b".png",
    "שלום.png".encode(),
    "🐕 cafe\u0301.png".encode(),
    b"tab\tand 'quotes\".png",
]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_files_of_any_name_are_indexed_found_and_led_back_to(processes, tmp_path, scenes, locale):
    folder = os.fsencode(tmp_path / "photos")
    os.mkdir(folder)
    for name, image in zip(NAMES, scenes.images):
        try:
            with open(os.path.join(folder, name), "wb") as file:
                image.save(file, format="PNG")
        except OSError:
            pytest.skip("such names cannot be given here")
    (tmp_path / "photos" / "notes.md").write_text(scenes.captions[30][0])
    (tmp_path / "photos" / "broken \n.jpg").write_bytes(b"xx")
    search = ["search", "index.gap", scenes.captions[0][1], "-n", "20"]
    index, with_json, with_table = processes(
        ["index", "photos", "--model", "pocket"],
        [*search, "--json", "--html", "out.html"],
        search,
        env={**os.environ, "LC_ALL": locale, "PYTHONWARNINGS": "error"},
    )
    assert index.code == 3, index.err
    assert b"left out: broken \\n.jpg: " in index.err
    assert b"12 files (11 image, 1 text)" in index.err
    assert index.out == b""

    assert with_json.code == 0, with_json.err
    results = json.loads(with_json.out.decode())["results"]
    json.dumps(results, ensure_ascii=False).encode()  # no lone surrogates
    found = [unquote_to_bytes(file["uri"])[7:] for x in results for file in x["files"]]
    wanted = [os.path.join(folder, name) for name in [*NAMES, b"notes.md"]]
    assert sorted(found) == sorted(wanted)
    assert all(map(os.path.exists, found))
    assert any(x["files"][0]["path"].endswith("caf\\xe9 1.png") for x in results)
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page

    lines = with_table.out.decode().splitlines()
    assert len(lines) == 13
    assert b"\x1b" not in with_table.out
    for shown in (
        "caf\\xe9 1.png",
        "two\\nlines.png",
        "[bold red]x.png",
        "\\x1b[31mred.png",
        "\\u202egnp.png",
        "שלום.png",
    ):
        assert sum(line.endswith(f"photos/{shown}") for line in lines) == 1


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_terminal_is_shown_tables_and_no_command_that_a_name_holds(processes, photos):
    hostile = "red\x1b]0;title\x07\x1b[31m\u202egnp [bold]x.png"
    (photos / "scene 0.png").rename(photos / hostile)
    (photos / "broken \x1b[31m.png").write_bytes(b"xx")
    import pty
    import termios

    terminal, stream = pty.openpty()
    termios.tcsetwinsize(stream, (40, 60))
    told = []

    def read():
        with suppress(OSError):  # how Linux says that nothing is connected any more
            while part := os.read(terminal, 2**16):
                told.append(part)

    reader = Thread(target=read)
    reader.start()
    processes(
        ["index", "photos", "--model", "pocket"],
        ["search", "index.gap", "a ring", "-n", "100"],
        ["search", "index.gap", f"photos/{hostile}"],
        ["search", "index.gap", "--image", hostile],
        ["search", "index.gap", "a ring", f"--{hostile}"],
        ["info", "index.gap"],
        env={**os.environ, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "60"},
        terminal=stream,
    )
    os.close(stream)
    reader.join(timeout=60)
    os.close(terminal)
    told = b"".join(told).decode()
    assert "Traceback" not in told
    assert not {"\x1b", "\x07", "\u202e"} & {*told}
    assert "━" in told or "─" in told  # of the table, which is as wide as the terminal
    # Long lines are folded, in the midst of a name or at a blank.
    assert "".join(told.split()).count("\\u202egnp[bold]x.png") == 4


def test_a_closed_pipe_or_stream_ends_quietly(process, indexed):
    for command in (["info", "index.gap"], ["search", "index.gap", "a ring"]):
        reading, writing = os.pipe()
        os.close(reading)
        streams = {"capture_output": False, "stdout": writing, "stderr": subprocess.PIPE}
        done = process(*command, **streams)
        os.close(writing)
        assert done.stderr == b""
        assert done.returncode not in (0, 120)
    command = f"exec '{sys.executable}' -m gapremoval info index.gap >&-"
    done = subprocess.run(["bash", "-c", command], cwd=indexed.parent, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_questions_learned_by_several_processes_are_all_kept(indexed, tmp_path):
    command = [sys.executable, "-m", "gapremoval", "search", "index.gap", "--learn"]
    running = [
        subprocess.Popen([*command, text], cwd=tmp_path, stdout=subprocess.DEVNULL)
        for text in ("a ring", "a star")
    ]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    assert len(IndexFile.load(tmp_path / "index.gap").learned) == 2


def test_weights_that_cannot_be_had_are_told_within_seconds(process, photos):
    dead = "http://127.0.0.1:9"
    environment = {**os.environ, "HTTPS_PROXY": dead, "HTTP_PROXY": dead, "HF_HOME": str(photos)}
    start = time.monotonic()
    done = process("index", "photos", env=environment)
    assert time.monotonic() - start < 60
    assert (done.returncode, done.stdout) == (1, b"")
    assert len(done.stderr.splitlines()) == 1
    assert b"weights of model='ViT-B-32/laion2b_s34b_b79k' cannot be loaded" in done.stderr
    assert b"'--model pocket' tries the command" in done.stderr

"""The command as a process of its own: names that are not text, pipes, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from urllib.parse import unquote_to_bytes

import pytest

pytest.importorskip("typer")
pytest.importorskip("open_clip")

NAMES = [
    b"caf\xe9 1.png",
    b"two\nlines.png",
    b"-n.png",
    b"[bold red]x.png",
    b"<img src=x onerror=alert(1)>.png",
    b"\x1b[31mred.png",
    b"a" * 251 + b".png",
    "שלום.png".encode(),
    "🐕 cafe\u0301.png".encode(),
    b"tab\tand 'quotes\".png",
]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_files_of_any_name_are_indexed_found_and_led_back_to(process, tmp_path, scenes, locale):
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
    environment = {**os.environ, "LC_ALL": locale, "PYTHONWARNINGS": "error"}
    done = process("index", "photos", "--model", "pocket", env=environment)
    assert done.returncode == 3, done.stderr
    assert b"left out: broken \\n.jpg: " in done.stderr
    assert b"11 files (10 image, 1 text)" in done.stderr
    assert done.stdout == b""

    search = ["search", "index.gap", scenes.captions[0][1], "-n", "20"]
    done = process(*search, "--json", "--html", "out.html", env=environment)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.decode())["results"]
    json.dumps(results, ensure_ascii=False).encode()  # no lone surrogates
    found = [unquote_to_bytes(file["uri"])[7:] for x in results for file in x["files"]]
    wanted = [os.path.join(folder, name) for name in [*NAMES, b"notes.md"]]
    assert sorted(found) == sorted(wanted)
    assert all(map(os.path.exists, found))
    assert any(x["files"][0]["path"].endswith("caf\\xe9 1.png") for x in results)
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page

    done = process(*search, env=environment)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 12
    assert b"\x1b" not in done.stdout
    for shown in ("caf\\xe9 1.png", "two\\nlines.png", "[bold red]x.png", "\\x1b[31mred.png"):
        assert sum(line.endswith(f"photos/{shown}") for line in lines) == 1


def test_a_closed_pipe_or_stream_ends_quietly(process, photos):
    assert process("index", "photos", "--model", "pocket").returncode == 0
    for command in (["info", "index.gap"], ["search", "index.gap", "a ring"]):
        reading, writing = os.pipe()
        os.close(reading)
        streams = {"capture_output": False, "stdout": writing, "stderr": subprocess.PIPE}
        done = process(*command, **streams)
        os.close(writing)
        assert done.stderr == b""
        assert done.returncode not in (0, 120)
    command = f"exec '{sys.executable}' -m gapremoval info index.gap >&-"
    done = subprocess.run(["bash", "-c", command], cwd=photos.parent, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_questions_learnt_by_several_processes_are_all_kept(process, photos, tmp_path):
    assert process("index", "photos", "--model", "pocket").returncode == 0
    command = [sys.executable, "-m", "gapremoval", "search", "index.gap", "--learn"]
    running = [
        subprocess.Popen([*command, text], cwd=tmp_path, stdout=subprocess.DEVNULL)
        for text in ("a ring", "a star", "a moon")
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert b"3 learned" in process("info", "index.gap").stdout


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_and_the_next_run_goes_on(process, photos, tmp_path, scenes, name):
    for i, image in enumerate(scenes.images):
        for angle in range(3):
            image.rotate(angle).resize((900, 900)).save(photos / f"more {i} {angle}.bmp")
    command = [sys.executable, "-m", "gapremoval", "index", "photos", "--model", "pocket"]
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's jobs in the background ignore interrupts, and hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    rows = tmp_path / "index.gap.cache" / "gapremoval_rows.sqlite"
    for _ in range(1200):
        if rows.exists() or running.poll() is not None:
            break
        time.sleep(0.05)
    running.send_signal(getattr(signal, name))
    _, said = running.communicate(timeout=60)
    assert running.returncode == {"SIGINT": 130, "SIGTERM": 143}[name], said
    assert b"Traceback" not in said
    assert sorted(os.listdir(tmp_path)) == ["index.gap.cache", "photos"]
    assert process("index", "photos", "--model", "pocket").returncode == 0


def test_weights_that_cannot_be_had_are_told_within_seconds(process, photos):
    dead = "http://127.0.0.1:9"
    environment = {**os.environ, "HTTPS_PROXY": dead, "HTTP_PROXY": dead, "HF_HOME": str(photos)}
    start = time.monotonic()
    done = process("index", "photos", env=environment)
    assert time.monotonic() - start < 60
    assert (done.returncode, done.stdout) == (1, b"")
    assert len(done.stderr.splitlines()) == 1
    assert b"weights of model='ViT-B-32/laion2b_s34b_b79k' cannot be had" in done.stderr
    assert b"'--model pocket' tries the command" in done.stderr

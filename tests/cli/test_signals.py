"""The command under signals, in processes of its own."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("typer")
pytest.importorskip("open_clip")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("name", "times", "code"), [("SIGINT", 1, 130), ("SIGINT", 3, 130), ("SIGTERM", 1, 143)]
)
def test_a_signal_ends_it_soon_and_the_next_run_goes_on(
    run, photos, tmp_path, scenes, name, times, code
):
    # Photos as a camera makes them: a batch of these takes far longer than one may wait. What
    # follows the end of a JPEG makes it another file.
    photo = io.BytesIO()
    scenes.images[0].resize((6000, 4000)).save(photo, "jpeg", progressive=True)
    for i in range(200):
        (photos / f"large {i}.jpg").write_bytes(photo.getvalue() + bytes([i]))
    running = subprocess.Popen(
        [sys.executable, "-m", "gapremoval", "index", "photos", "--model", "pocket"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's jobs in the background ignore interrupts, and hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    cache = tmp_path / "index.gap.cache"
    for _ in range(2400):
        if any(path.stat().st_size for path in cache.glob("*sqlite")) or running.poll() is not None:
            break
        time.sleep(0.05)
    time.sleep(1)  # in the midst of the photos
    start = time.monotonic()
    for _ in range(times):
        if running.poll() is None:
            running.send_signal(getattr(signal, name))
            time.sleep(0.2)
    _, said = running.communicate(timeout=60)
    assert time.monotonic() - start < 8  # two seconds where nothing else runs
    assert running.returncode == code, said
    assert b"Traceback" not in said
    lines = said.decode().split("\n")
    assert [line for line in lines if line] == (
        ["gapremoval: interrupted: the same command goes on where this one stopped."]
        if name == "SIGINT"
        else []
    )
    assert sorted(os.listdir(tmp_path)) == ["index.gap.cache", "photos"]
    for large in photos.glob("large *.jpg"):
        large.unlink()
    assert run("index", "photos", "--model", "pocket").code == 0


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_hangup_that_is_ignored_as_by_nohup_ends_nothing(indexed):
    running = subprocess.Popen(
        [sys.executable, "-m", "gapremoval", "info", "index.gap"],
        cwd=indexed.parent,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    while running.poll() is None:
        running.send_signal(signal.SIGHUP)
        time.sleep(0.02)
    assert running.returncode == 0

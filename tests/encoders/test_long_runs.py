"""Long runs over large pictures: memory, and an interrupt."""

import ctypes
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("open_clip")

from PIL import Image

from gapremoval import CLIPEncoder
from gapremoval.contents._pictures import quiet_pillow, read_picture
from gapremoval.datasets import make_scenes

pytestmark = pytest.mark.usefixtures("tiny_architectures")


def peak_of(work):
    """Most memory, in bytes, that a function takes beyond what is in use before it."""
    if sys.platform != "linux":
        pytest.skip("memory is read as Linux tells it")

    def told(name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    before = told("VmRSS")
    work()
    return told("VmHWM") - before


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Files of 36 megapixels and a few kilobytes, in different modes."""
    folder, size, turned = tmp_path_factory.mktemp("large"), (6000, 6000), Image.Exif()
    turned[274] = 6
    Image.new("RGBA", size, (1, 2, 3, 100)).save(folder / "rgba.png", exif=turned)
    Image.fromarray(np.zeros(size, dtype=np.uint16)).save(folder / "16 bits.png")
    Image.new("L", size).save(folder / "gray.png")
    return sorted(folder.glob("*.png"))


def test_a_large_picture_takes_eight_bytes_per_pixel(large):
    with quiet_pillow():
        for path in large[:1] + large[2:]:
            assert peak_of(lambda path=path: read_picture(path)) < 9 * 36e6


def test_large_pictures_are_decoded_one_at_a_time(large):
    def read(path):
        return read_picture(path, then=lambda picture: picture.resize((9, 9)))

    def work():
        with quiet_pillow(), ThreadPoolExecutor(3) as threads:
            assert [picture.size for picture in threads.map(read, large)] == [(9, 9)] * 3

    # Together they would take 19 bytes per pixel.
    assert peak_of(work) < 12 * 36e6


def test_peak_memory_does_not_grow_with_the_number_of_files(tmp_path):
    Image.effect_noise((1280, 960), 60).convert("RGB").save(tmp_path / "0.ppm")
    for i in range(1, 150):
        (tmp_path / f"{i}.ppm").hardlink_to(tmp_path / "0.ppm")
    paths = sorted(tmp_path.glob("*.ppm"))
    encoder = CLIPEncoder("tiny-vit/random", device="cpu", batch_size=8)
    encoder.transform(paths[:1])  # loads the network
    # All pictures at once would be 700 MiB.
    assert peak_of(lambda: encoder.transform(paths)) < 150 * 2**20


def test_pictures_that_the_caller_opened_do_not_stay_decoded(tmp_path):
    pictures = [Image.effect_noise((90, 60), 60) for _ in range(6)]
    for i, picture in enumerate(pictures):
        picture.save(tmp_path / f"{i}.png")
    opened = [Image.open(tmp_path / f"{i}.png") for i in range(6)]
    encoder = CLIPEncoder("tiny-vit/random", device="cpu", memory=tmp_path / "rows")
    got = encoder.transform(opened).values
    assert all(picture.tile for picture in opened)  # which Pillow empties when it decodes
    np.testing.assert_array_equal(got, encoder.transform(pictures).values)
    for picture, before in zip(opened, pictures):
        assert (np.asarray(picture) == np.asarray(before)).all()


INTERRUPTED = """
import contextlib, json, os, signal, sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from networks import register
from gapremoval import CLIPEncoder
from gapremoval.encoders._clip_model import load_model

folder, told = Path(sys.argv[2]), {}
register(folder)
small, large = (sorted(folder.glob(f"{name} *")) for name in ("small", "large"))


class Interrupted(CLIPEncoder):
    def _bar(self, n_parts):
        return contextlib.nullcontext(lambda n: threading.Timer(0.5, interrupt).start())


def interrupt():
    told["sent"], told["cpu"] = time.time(), time.process_time()
    os.kill(os.getpid(), signal.SIGINT)


parameters = {"device": "cpu", "batch_size": 32, "n_jobs": 2, "memory": folder / "rows"}
try:
    Interrupted("tiny-vit/random", **parameters).transform(small + large)
except KeyboardInterrupt:
    told["waited"] = time.time() - told["sent"]
load_model("tiny-vit/random", "cpu").network.encode_image = None
told["kept"] = len(CLIPEncoder("tiny-vit/random", **parameters).transform(small))
print(json.dumps(told))
"""


def test_an_interrupt_ends_at_once_without_a_traceback_and_keeps_finished_batches(tmp_path):
    # To decode 32 pictures of 24 megapixels takes 16 seconds.
    for name, size in (("small", (40, 40)), ("large", (6000, 4000))):
        Image.new("RGB", size, "navy").save(tmp_path / f"{name} 0.png")
        content = (tmp_path / f"{name} 0.png").read_bytes()
        for i in range(1, 32):  # of other content each, or the cache would know them
            (tmp_path / f"{name} {i}.png").write_bytes(content + str(i).encode())
    command, before = [sys.executable, "-c", INTERRUPTED, Path(__file__).parent, tmp_path], cpu()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["waited"] < 2
    assert told["kept"] == 32
    # Nor did the process decode the 30 pictures that waited, before it ended.
    assert cpu() - before - told["cpu"] < 7


def cpu():
    """Seconds that the processes took that were started and have ended."""
    return sum(os.times()[2:4])


def test_a_large_jpeg_is_decoded_smaller_and_keeps_its_embedding(tmp_path):
    encoder, noise = CLIPEncoder("pocket", device="cpu"), np.random.default_rng(0)
    photos = []
    for i, scene in enumerate(make_scenes(3, random_state=0).images):
        pixels = np.asarray(scene.resize((1504, 1000))) + noise.normal(0, 9, (1000, 1504, 3))
        Image.fromarray(pixels.clip(0, 255).astype("u1")).save(tmp_path / f"{i}.jpg", quality=90)
        photos.append(tmp_path / f"{i}.jpg")
    opened = [Image.open(photo) for photo in photos]  # closed when the pixels are read
    files, reopened = encoder.transform(photos).values, encoder.transform(opened).values
    pixels = encoder.transform([np.asarray(photo) for photo in opened]).values
    np.testing.assert_array_equal(files, reopened)
    assert not np.array_equal(files, pixels)  # it was decoded smaller
    assert (files * pixels).sum(axis=1).min() > 0.9999

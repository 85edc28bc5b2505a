"""read_picture: each kind of picture against the pixels that the eye sees."""

import contextlib
import os
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from forked import needs_fork, start_child
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageFile, ImageOps, ImageSequence

from gapremoval._items import picture_suffixes
from gapremoval.contents._pictures import (
    UnreadablePicture,
    picture_content,
    quiet_pillow,
    read_picture,
)

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)
ORIENTATION = 274
rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (12, 17, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)
RAMP = np.linspace(0, 255, 60).round().astype(np.uint8).reshape(6, 10)


@pytest.fixture(autouse=True)
def no_warning_leaks():
    """Pillow warns in quiet only; anything else, and a file left open, fails the test."""
    with warnings.catch_warnings(), quiet_pillow():
        yield


def seen(item):
    """The pixels of a picture as read."""
    picture = read_picture(item)
    assert picture.mode == "RGB"
    assert picture.info == {}
    return np.asarray(picture)


def three(gray):
    """A gray picture in three channels."""
    return np.repeat(np.asarray(gray)[..., None], 3, axis=-1)


def saved(folder, picture, name="picture.png", **options):
    picture.save(folder / name, **options)
    return folder / name


def each_way(folder, picture, name="picture.png", **options):
    """The same picture in memory, as a file, opened, and loaded from the file."""
    file = saved(folder, picture, name, **options)
    with Image.open(file) as opened, Image.open(file) as again:
        again.load()
        yield from (picture, file, opened, again, again.copy())


def png(width, height, depth, kind, rows, transparent=None):
    """The bytes of a PNG file, also of those kinds that Pillow does not write."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    key = chunk(b"tRNS", transparent) if transparent else b""
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + key + body + chunk(b"IEND", b"")


class TestPlain:
    @given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
    def test_rgb_is_read_as_it_is(self, pixels):
        assert (seen(pixels) == pixels).all()
        assert (seen(Image.fromarray(pixels)) == pixels).all()
        assert (seen(np.asfortranarray(pixels)) == pixels).all()
        assert (seen(pixels[::-1, ::-1]) == pixels[::-1, ::-1]).all()

    @pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.webp", "a.tga"])
    def test_lossless_files(self, tmp_path, name):
        options = {"lossless": True} if name == "a.webp" else {}
        for item in each_way(tmp_path, PICTURE, name, **options):
            assert (seen(item) == PIXELS).all()

    def test_jpeg_is_what_pillow_decodes(self, tmp_path):
        file = saved(tmp_path, PICTURE, "a.jpg")
        with Image.open(file) as opened:
            assert (seen(file) == np.asarray(opened)).all()

    def test_gray(self, tmp_path):
        for item in each_way(tmp_path, Image.fromarray(RAMP)):
            assert (seen(item) == three(RAMP)).all()

    def test_black_and_white(self, tmp_path):
        dots = RAMP > 100
        for item in each_way(tmp_path, Image.fromarray(dots)):
            assert (seen(item) == three(np.where(dots, 255, 0))).all()

    def test_palette(self, tmp_path):
        picture = PICTURE.quantize(40)
        for item in each_way(tmp_path, picture):
            assert (seen(item) == np.asarray(picture.convert("RGB"))).all()

    @pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
    def test_other_color_spaces(self, mode):
        plain = Image.new("RGB", (3, 2), (200, 40, 90))
        picture = plain.convert(mode) if mode != "LAB" else plain.convert("RGB").convert("LAB")
        assert np.abs(seen(picture).astype(int) - (200, 40, 90)).max() <= 3

    def test_cmyk_jpeg(self, tmp_path):
        picture = Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK")
        for item in each_way(tmp_path, picture, "a.jpg", quality=100):
            assert np.abs(seen(item).astype(int) - (200, 40, 90)).max() <= 3

    @pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (60000, 3)])
    def test_one_pixel_and_strips(self, tmp_path, size):
        for item in each_way(tmp_path, Image.new("RGB", size, RED)):
            pixels = seen(item)
            assert pixels.shape == (size[1], size[0], 3)
            assert (pixels == RED).all()

    def test_the_picture_read_is_independent_of_what_was_given(self):
        pixels = PIXELS.copy()
        picture = Image.fromarray(pixels)
        from_array, from_picture = read_picture(pixels), read_picture(picture)
        pixels[:] = 0
        picture.paste(BLACK, (0, 0, *picture.size))
        assert (np.asarray(from_array) == PIXELS).all()
        assert (np.asarray(from_picture) == PIXELS).all()


class TestTransparency:
    """A red square in the middle; around it what hides under the transparent pixels."""

    SQUARE = np.full((16, 16, 3), 255, dtype=np.uint8)
    SQUARE[4:12, 4:12] = RED

    @pytest.fixture(params=[BLACK, WHITE, (7, 200, 90)], ids=["black", "white", "green"])
    def cut_out(self, request):
        picture = Image.new("RGBA", (16, 16), (*request.param, 0))
        picture.paste((*RED, 255), (4, 4, 12, 12))
        return picture

    @pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
    def test_rgba(self, tmp_path, cut_out, name):
        options = {"lossless": True, "exact": True} if name == "a.webp" else {}
        for item in each_way(tmp_path, cut_out, name, **options):
            assert (seen(item) == self.SQUARE).all()

    def test_premultiplied(self, cut_out):
        assert (seen(cut_out.convert("RGBa")) == self.SQUARE).all()

    @pytest.mark.parametrize("mode", ["LA", "La"])
    @pytest.mark.parametrize("hidden", [0, 255])
    def test_gray_with_alpha(self, tmp_path, mode, hidden):
        picture = Image.new("LA", (16, 16), (hidden, 0))
        picture.paste((90, 255), (4, 4, 12, 12))
        expected = np.full((16, 16), 255)
        expected[4:12, 4:12] = 90
        for item in each_way(tmp_path, picture) if mode == "LA" else [picture.convert("La")]:
            assert (seen(item) == three(expected)).all()

    def palette(self, **transparent):
        picture = Image.new("P", (16, 16), 0)
        picture.putpalette([7, 200, 90, *RED, 0, 0, 255])
        picture.paste(1, (4, 4, 12, 12))
        picture.info.update(transparent)
        return picture

    @pytest.mark.parametrize("transparency", [0, b"\0\xff\xff", b"\0"])
    def test_palette(self, tmp_path, transparency):
        picture = self.palette(transparency=transparency)
        for item in each_way(tmp_path, picture):
            assert (seen(item) == self.SQUARE).all()

    def test_half_transparent_palette(self):
        pixels = seen(self.palette(transparency=b"\0\x80\xff"))
        assert np.abs(pixels[8, 8].astype(int) - (255, 127, 127)).max() <= 1

    def test_palette_of_four_channels(self):
        picture = Image.new("P", (16, 16), 0)
        picture.putpalette([7, 200, 90, 0, *RED, 255], "RGBA")
        picture.paste(1, (4, 4, 12, 12))
        assert (seen(picture) == self.SQUARE).all()

    def test_palette_with_alpha(self):
        picture = self.palette().convert("PA")
        alpha = Image.new("L", (16, 16), 0)
        alpha.paste(255, (4, 4, 12, 12))
        picture.putalpha(alpha)
        assert picture.mode == "PA"
        assert (seen(picture) == self.SQUARE).all()

    def test_one_transparent_color(self, tmp_path):
        picture = Image.new("RGB", (16, 16), (7, 200, 90))
        picture.paste(RED, (4, 4, 12, 12))
        for item in each_way(tmp_path, picture, transparency=(7, 200, 90)):
            if item is not picture:
                assert (seen(item) == self.SQUARE).all()

    @pytest.mark.parametrize("mode", ["L", "1"])
    def test_one_transparent_gray(self, tmp_path, mode):
        picture = Image.new(mode, (16, 16), 0)
        picture.paste(255, (4, 4, 12, 12))
        for item in each_way(tmp_path, picture, transparency=0):
            if item is not picture:
                assert (seen(item) == 255).all()

    def test_one_transparent_gray_of_16_bits(self, tmp_path):
        row = np.array([0, 1, 257, 65535], dtype=">u2").tobytes()
        (tmp_path / "a.png").write_bytes(png(4, 1, 16, 0, [row], struct.pack(">H", 1)))
        assert seen(tmp_path / "a.png")[0, :, 0].tolist() == [0, 255, 1, 255]

    def test_fully_transparent_is_white(self):
        assert (seen(Image.new("RGBA", (5, 4), (10, 20, 30, 0))) == 255).all()

    @given(st.integers(0, 255), st.integers(0, 255))
    def test_half_transparent_is_mixed_with_white(self, gray, alpha):
        pixels = seen(Image.new("RGBA", (2, 2), (gray, gray, gray, alpha)))
        assert np.abs(pixels - (gray * alpha + 255 * (255 - alpha)) / 255).max() <= 1


class TestMoreThanEightBits:
    @pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
    def test_16_bits_have_65535_as_white(self, mode):
        values = np.array([[0, 1, 128, 129, 257, 1000, 32768, 65534, 65535]])
        data = values.astype(">u2" if mode.endswith("B") else "<u2").tobytes()
        picture = Image.frombytes(mode, (9, 1), data)
        assert (seen(picture) == three(np.rint(values / 257))).all()

    @pytest.mark.parametrize("name", ["a.png", "a.tif"])
    def test_16_bit_files(self, tmp_path, name):
        picture = Image.fromarray(RAMP.astype(np.uint16) * 257)
        assert picture.mode == "I;16"
        for item in each_way(tmp_path, picture, name):
            assert (seen(item) == three(RAMP)).all()

    def test_16_bits_are_not_stretched(self):
        assert seen(Image.fromarray(np.array([[257, 514]], dtype=np.uint16)))[0, :, 0].tolist() == [
            1,
            2,
        ]

    def test_16_bit_color_file(self, tmp_path):
        rows = [row.astype(">u2").tobytes() for row in PIXELS.astype(int) * 257]
        (tmp_path / "a.png").write_bytes(png(17, 12, 16, 2, rows))
        assert (seen(tmp_path / "a.png") == PIXELS).all()

    @pytest.mark.parametrize(
        ("mode", "values", "expected"),
        [
            ("I", [0, 7, 255], [0, 7, 255]),
            ("I", [0, 257, 65535], [0, 1, 255]),
            ("I", [0, 500_000, 1_000_000], [0, 128, 255]),
            ("I", [-(2**31), 0, 2**31 - 1], [0, 128, 255]),
            ("I", [-5, -5, -5], [0, 0, 0]),
            ("F", [0, 0.2, 1], [0, 51, 255]),
            ("F", [0, 7, 254.6], [0, 7, 255]),
            ("F", [0, 257, 60000], [0, 1, 233]),
            ("F", [-1, 0, 1], [0, 128, 255]),
            ("F", [-3e38, 0, 3e38], [0, 128, 255]),
            ("F", [0, np.nan, 1], [0, 0, 255]),
            ("F", [-np.inf, 0.2, np.inf], [0, 51, 255]),
            ("F", [np.nan, np.nan, np.nan], [0, 0, 0]),
        ],
    )
    def test_integers_and_floats_are_scaled_not_clipped(self, tmp_path, mode, values, expected):
        dtype = {"I": np.int32, "F": np.float32}[mode]
        picture = Image.fromarray(np.array([values], dtype=dtype))
        assert picture.mode == mode
        for item in each_way(tmp_path, picture, "a.tif"):
            assert seen(item)[0].tolist() == three(expected).tolist()

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_a_gray_picture_in_more_bits_looks_the_same(self, mode):
        assert (seen(Image.fromarray(RAMP).convert(mode)) == three(RAMP)).all()


class TestFrames:
    COLORS = [RED, (0, 255, 0), (0, 0, 255)]

    @pytest.fixture(params=["gif", "webp", "png", "tiff"])
    def file(self, tmp_path, request):
        frames = [Image.new("RGB", (8, 8), color) for color in self.COLORS]
        options = {"lossless": True} if request.param == "webp" else {}
        return saved(
            tmp_path,
            frames[0],
            f"a.{request.param}",
            save_all=True,
            append_images=frames[1:],
            **options,
        )

    def test_a_file_gives_its_first_frame(self, file):
        assert (seen(file) == RED).all()

    def test_an_opened_picture_gives_its_current_frame_and_stays_there(self, file):
        with Image.open(file) as picture:
            for frame in (2, 0, 1):
                picture.seek(frame)
                assert (seen(picture) == self.COLORS[frame]).all()
                assert picture.tell() == frame
                assert picture_content(picture) == picture_content(
                    Image.new("RGB", (8, 8), self.COLORS[frame])
                )
        with Image.open(file) as picture:
            shown = [seen(frame)[0, 0] for frame in ImageSequence.Iterator(picture)]
        assert (np.array(shown) == self.COLORS).all()

    def test_transparent_animation(self, tmp_path):
        frames = [Image.new("RGBA", (8, 8), (0, 0, 0, 0)) for _ in range(2)]
        for frame, color in zip(frames, self.COLORS):
            frame.paste((*color, 255), (0, 0, 4, 8))
        file = saved(
            tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:], disposal=2
        )
        pixels = seen(file)
        assert (pixels[:, :4] == RED).all()
        assert (pixels[:, 4:] == WHITE).all()


# How an upright picture is stored under each orientation: the inverse of the turn.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


def exif(orientation):
    data = Image.Exif()
    data[ORIENTATION] = orientation
    return data


class TestOrientation:
    @pytest.fixture(params=STORED)
    def orientation(self, request):
        return request.param

    @pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
    def test_each_is_turned_upright(self, tmp_path, orientation, name):
        stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](PIXELS)))
        options = {"lossless": True} if name == "a.webp" else {}
        for item in each_way(tmp_path, stored, name, exif=exif(orientation), **options):
            if item is not stored:
                assert (seen(item) == PIXELS).all()

    def test_jpeg_as_pillow_turns_it(self, tmp_path, orientation):
        half = np.zeros((16, 32, 3), dtype=np.uint8)
        half[:, 16:] = 255
        stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](half)))
        for item in each_way(tmp_path, stored, "a.jpg", quality=95, exif=exif(orientation)):
            if item is not stored:
                assert np.abs(seen(item).astype(int) - half).max() <= 2

    @pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
    def test_in_other_modes(self, tmp_path, orientation, mode):
        if mode == "I;16":
            upright = Image.fromarray(RAMP.astype(np.uint16) * 257)
        else:
            upright = PICTURE.convert(mode)
        pixels = STORED[orientation](np.asarray(upright))
        stored = Image.fromarray(np.ascontiguousarray(pixels), None if mode != "P" else "L")
        if mode == "P":
            stored.putpalette(upright.getpalette())
        file = saved(tmp_path, stored, exif=exif(orientation))
        assert (seen(file) == seen(upright)).all()

    def test_an_orientation_in_xmp_only(self, tmp_path):
        stored = Image.fromarray(np.ascontiguousarray(STORED[6](PIXELS)))
        xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
        stored.info["xmp"] = xmp
        assert (seen(stored) == PIXELS).all()

    @pytest.mark.parametrize("in_place", [True, False])
    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
    def test_a_picture_that_the_caller_turned_is_not_turned_again(self, tmp_path, name, in_place):
        stored = Image.fromarray(np.ascontiguousarray(STORED[6](PIXELS)))
        with Image.open(saved(tmp_path, stored, name, exif=exif(6))) as opened:
            turned = ImageOps.exif_transpose(opened, in_place=in_place)
            turned = opened if in_place else turned
            assert (seen(turned) == np.asarray(turned)).all()

    def test_what_was_read_is_not_turned_again(self, tmp_path):
        stored = Image.fromarray(np.ascontiguousarray(STORED[6](PIXELS)))
        picture = read_picture(saved(tmp_path, stored, exif=exif(6)))
        assert (seen(picture) == PIXELS).all()
        assert ImageOps.exif_transpose(picture).size == picture.size

    @pytest.mark.parametrize(
        "damaged",
        [
            b"Exif\0\0" + b"garbage" * 5,
            b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01",
            b"Exif\0\0" + exif(1).tobytes(),
            b"Exif\0\0",
            # A denominator of zero, a text and a number out of range as orientation.
            b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01\0\0\0\x1a\0\0\0" + bytes(12),
            b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0" + bytes(4),
            b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0" + bytes(4),
        ],
        ids=["garbage", "cut", "doubled", "empty", "zero", "text", "range"],
    )
    def test_damaged_exif_is_ignored(self, tmp_path, damaged):
        for name in ("a.jpg", "a.png", "a.webp"):
            plain = saved(tmp_path, PICTURE, f"plain {name}")
            for item in each_way(tmp_path, PICTURE, name, exif=damaged):
                if item is not PICTURE:
                    assert (seen(item) == seen(plain)).all()

    def test_a_damaged_profile_text_is_ignored(self):
        picture = PICTURE.copy()
        picture.info["Raw profile type exif"] = "exif\n 8\n\nnot hex"
        assert (seen(picture) == PIXELS).all()


class TestCallersPicture:
    """What the caller gave is as it was."""

    def test_keeps_its_exif_pixels_and_mode(self, tmp_path):
        file = saved(tmp_path, PICTURE, exif=exif(6))
        with Image.open(file) as picture:
            for _ in range(2):
                assert seen(picture).shape == (17, 12, 3)
                picture_content(picture)
            assert picture.getexif()[ORIENTATION] == 6
            assert "exif" in picture.info
            assert picture.size == PICTURE.size
            assert (np.asarray(picture) == PIXELS).all()

    def test_keeps_its_palette(self):
        picture = PICTURE.quantize(8)
        picture.info["transparency"] = b"\0\x80"
        before = picture.im.getpalette("RGBA", "RGBA"), picture.palette.mode
        read_picture(picture)
        assert (picture.im.getpalette("RGBA", "RGBA"), picture.palette.mode) == before
        assert picture.info["transparency"] == b"\0\x80"

    def test_no_setting_of_pillow_is_changed(self, tmp_path):
        def settings():
            return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK

        before = settings()
        read_picture(saved(tmp_path, PICTURE))
        with pytest.raises(UnreadablePicture):
            read_picture(tmp_path / "missing.png")
        assert settings() == before

    def test_a_picture_in_several_rows_is_read_by_several_threads(self, tmp_path):
        big = Image.fromarray(rng.integers(0, 256, (600, 800, 3), dtype=np.uint8))
        file = saved(tmp_path, big, compress_level=1)
        for _ in range(5):
            with Image.open(file) as opened, ThreadPoolExecutor(8) as threads:
                for picture in threads.map(read_picture, [opened] * 8):
                    assert (np.asarray(picture) == np.asarray(big)).all()


def open_files():
    """The files that this process holds open, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def cause(item):
    """Why a picture is unreadable; its file is closed."""
    before = open_files()
    with pytest.raises(UnreadablePicture) as caught:
        read_picture(item)
    assert isinstance(caught.value, ValueError)
    assert open_files() == before
    return str(caught.value)


class TestUnreadable:
    def test_missing(self, tmp_path):
        assert cause(tmp_path / "a.jpg") == "no such file"

    def test_folder(self, tmp_path):
        assert cause(tmp_path) == "not a regular file"

    def test_empty(self, tmp_path):
        (tmp_path / "a.jpg").touch()
        assert cause(tmp_path / "a.jpg") == "the file is empty"

    def test_no_picture(self, tmp_path):
        (tmp_path / "a.jpg").write_bytes(b"not a picture")
        assert cause(tmp_path / "a.jpg") == "not a picture that Pillow knows, or damaged"

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "a.jpg")
        assert cause(tmp_path / "a.jpg") == "not a regular file"

    def test_a_name_that_no_file_can_have(self, tmp_path):
        assert cause(tmp_path / ("n" * 5000)) == "File name too long"
        assert "null" in cause(Path("a\0b.jpg"))

    def test_not_permitted(self, tmp_path):
        file = saved(tmp_path, PICTURE)
        file.chmod(0)
        if os.access(file, os.R_OK):
            pytest.skip("this user may read everything")
        assert cause(file) == "Permission denied"

    @pytest.mark.parametrize(
        "name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.bmp", "a.tif", "a.avif"]
    )
    @pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
    def test_cut_off(self, tmp_path, name, part):
        whole = Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8))
        try:
            file = saved(tmp_path, whole, name)
        except (KeyError, ValueError, OSError):
            pytest.skip(f"Pillow does not write {name} here")
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * part)])
        assert cause(file).startswith(("cannot be decoded (", "not a picture that Pillow knows"))
        file.write_bytes(file.read_bytes()[:3])
        assert cause(file)

    @given(data=st.data())
    def test_damage_is_a_cause_or_a_picture_and_nothing_else(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("damage")
        name = data.draw(st.sampled_from(["a.jpg", "a.png", "a.gif", "a.webp", "a.tif", "a.ico"]))
        file = saved(folder, PICTURE, name)
        content = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 6))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        file.write_bytes(content)
        with contextlib.suppress(UnreadablePicture):
            assert read_picture(file).mode == "RGB"

    def test_bomb(self, tmp_path):
        file = saved(tmp_path, Image.new("1", (13400, 13400)))
        assert "179560000 pixels" in cause(file)
        assert "PIL.Image.MAX_IMAGE_PIXELS" in cause(file)

    def test_a_picture_of_which_pillow_only_warns_is_read(self, tmp_path):
        file = saved(tmp_path, Image.new("1", (9500, 9500)))
        assert Image.MAX_IMAGE_PIXELS < 9500**2
        picture = read_picture(file)
        assert picture.size == (9500, 9500)
        assert picture.getextrema() == ((0, 0),) * 3

    @pytest.mark.parametrize("name", ["a.HEIC", "a.heif", "a.jpg"])
    def test_heic_without_its_plugin(self, tmp_path, name, monkeypatch):
        seen(PICTURE)  # registers what is installed
        monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
        monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
        heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)
        (tmp_path / name).write_bytes(heic)
        assert cause(tmp_path / name) == "HEIC needs pillow-heif: pip install pillow-heif"

    def test_heic_with_its_plugin_is_upright_like_any_other(self, tmp_path):
        pytest.importorskip("pillow_heif")
        seen(PICTURE)  # registers what is installed
        exif = Image.Exif()
        exif[274] = 6
        upright = Image.new("RGB", (40, 60), "white")
        upright.paste("black", (0, 0, 40, 30))
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.heic", exif=exif.tobytes())
        gray = seen(tmp_path / "a.heic").mean(axis=2)
        assert gray.shape == (60, 40)
        assert gray[:28].max() < 30
        assert gray[32:].min() > 225

    def test_avif_without_its_codec(self, tmp_path, monkeypatch):
        Image.init()
        monkeypatch.delitem(Image.SAVE, "AVIF", raising=False)
        (tmp_path / "a.avif").write_bytes(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(500))
        assert (
            cause(tmp_path / "a.avif") == "AVIF needs Pillow 11.3 or newer: pip install -U pillow"
        )

    def test_pictures_without_pixels(self):
        assert cause(Image.new("RGB", (0, 5))) == "no pixels: 0 x 5"
        assert cause(np.zeros((0, 5, 3), dtype=np.uint8)) == "no pixels: 5 x 0"

    def test_an_opened_picture_whose_file_is_closed(self, tmp_path):
        with Image.open(saved(tmp_path, PICTURE)) as picture:
            pass
        assert cause(picture).startswith("cannot be decoded (")

    def test_an_opened_picture_that_is_cut_off(self, tmp_path):
        file = saved(tmp_path, PICTURE)
        file.write_bytes(file.read_bytes()[:300])
        with Image.open(file) as picture:
            assert "truncated" in cause(picture)

    def test_the_next_picture_is_read_after_it(self, tmp_path):
        cause(tmp_path / "missing.png")
        assert (seen(saved(tmp_path, PICTURE)) == PIXELS).all()


def test_every_file_is_closed(tmp_path):
    names = ["a.jpg", "a.png", "a.gif", "a.webp", "a.tif"]
    files = [saved(tmp_path, PICTURE, name) for name in names]
    before = open_files()
    kept = [read_picture(file) for file in files for _ in range(20)]
    [picture_content(file) for file in files]
    assert open_files() == before
    # They are whole without their files.
    assert [picture.resize((5, 5)).size for picture in kept] == [(5, 5)] * len(kept)


def test_threads_read_all_formats_from_the_start(tmp_path):
    names = [f"{i}.{kind}" for i in range(20) for kind in ("png", "bmp", "tif", "ppm", "tga")]
    files = [saved(tmp_path, PICTURE, name) for name in names]
    with ThreadPoolExecutor(8) as threads:
        assert all((pixels == PIXELS).all() for pixels in threads.map(seen, files))


@needs_fork
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_forked_while_a_picture_is_decoded_reads_it_too():
    parent, started, go_on = os.getpid(), threading.Event(), threading.Event()

    class Slow(Image.Image):
        def load(self):
            if os.getpid() == parent:
                started.set()
                go_on.wait(10)
            return super().load()

    picture = PICTURE.copy()
    picture.__class__ = Slow
    thread = threading.Thread(target=read_picture, args=[picture])
    thread.start()
    assert started.wait(10)
    child = start_child(lambda: np.testing.assert_array_equal(read_picture(picture), PIXELS))
    child.join(60)
    assert child.exitcode == 0
    go_on.set()
    thread.join()


class TestContent:
    def test_is_the_same_wherever_the_file_lies(self, tmp_path):
        file = saved(tmp_path, PICTURE)
        content = picture_content(file)
        file.rename(tmp_path / "moved.jpg")
        assert picture_content(tmp_path / "moved.jpg") == content
        assert content.startswith(b"file:")
        assert len(content) == len(b"file:") + 32

    def test_a_changed_file_is_new_even_with_its_old_time_and_size(self, tmp_path):
        file = saved(tmp_path, PICTURE, "a.bmp")
        content, times = picture_content(file), file.stat()
        pixels = PIXELS.copy()
        pixels[3, 3] += 1
        saved(tmp_path, Image.fromarray(pixels), "a.bmp")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert file.stat().st_size == times.st_size
        assert picture_content(file) != content

    @given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))))
    def test_an_array_and_its_picture_are_the_same(self, pixels):
        assert picture_content(pixels) == picture_content(Image.fromarray(pixels))
        changed = pixels.copy()
        changed[-1, -1, -1] += 1
        assert picture_content(changed) != picture_content(pixels)

    def test_the_shape_counts(self):
        pixels = np.zeros((2, 6, 3), dtype=np.uint8)
        assert picture_content(pixels) != picture_content(pixels.reshape(6, 2, 3))

    def test_palette_transparency_and_orientation_count(self):
        plain = PICTURE.quantize(8)
        recolored, clear, turned = plain.copy(), plain.copy(), plain.copy()
        recolored.putpalette(plain.getpalette()[::-1])
        clear.info["transparency"] = 0
        turned.info["exif"] = exif(3).tobytes()
        contents = {picture_content(x) for x in (plain, recolored, clear, turned)}
        assert len(contents) == 4

    def test_of_what_cannot_be_read(self, tmp_path):
        (tmp_path / "a.jpg").touch()
        files = [tmp_path, *(tmp_path / name for name in ("a.jpg", "missing.jpg", "a\0b.jpg"))]
        for item in (*files, Image.new("L", (0, 1))):
            with pytest.raises(UnreadablePicture):
                picture_content(item)


def warn_as(module):
    warnings.warn_explicit("said", UserWarning, "file.py", 1, module=module)


class TestQuietPillow:
    @pytest.fixture(autouse=True)
    def no_warning_leaks(self):
        """In place of the one above: here nobody else has entered it."""

    def test_only_pillow_is_quiet_and_only_within(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with quiet_pillow():
                warn_as("PIL.Image")
                warn_as("PIL.TiffImagePlugin")
                for other in ("PILOT", "mine.PIL.Image", "pillow_heif"):
                    with pytest.raises(UserWarning, match="said"):
                        warn_as(other)

    @pytest.mark.parametrize("own", [r"PIL\.", "PIL"])
    def test_filters_are_restored_also_after_an_error(self, own):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=own)
            before = list(warnings.filters)
            with pytest.raises(KeyError), quiet_pillow():
                raise KeyError
            assert warnings.filters == before

    def test_filters_that_were_set_within_stay(self):
        with warnings.catch_warnings():
            before = list(warnings.filters)
            with quiet_pillow():
                warnings.filterwarnings("ignore", message="mine")
            assert warnings.filters[1:] == before
            assert warnings.filters[0][1].pattern == "mine"

    def test_threads_enter_and_leave_in_any_order(self):
        quiet, go_on = threading.Event(), threading.Event()

        def stay():
            with quiet_pillow():
                quiet.set()
                go_on.wait(10)

        thread = threading.Thread(target=stay)
        with quiet_pillow():
            thread.start()
            assert quiet.wait(10)
        warn_as("PIL.Image")
        go_on.set()
        thread.join()
        with pytest.raises(UserWarning, match="said"):
            warn_as("PIL.Image")

    def test_many_threads_leave_no_trace(self):
        def enter(_):
            for _ in range(50):
                with quiet_pillow():
                    warn_as("PIL.Image")

        before = list(warnings.filters)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(enter, range(8)))
        assert warnings.filters == before


class TestSuffixes:
    def test_are_those_of_the_pictures_that_can_be_decoded(self):
        suffixes = picture_suffixes()
        assert {".jpg", ".jpeg", ".png", ".webp", ".tiff", ".mpo", ".qoi", ".psd"} <= suffixes
        assert suffixes.isdisjoint({".txt", ".md", ".pdf", ".ps", ".eps", ".mpg", ".h5", ".docx"})
        assert all(x == x.lower() and x.startswith(".") for x in suffixes)

    def test_have_heic_where_its_plugin_is(self):
        pytest.importorskip("pillow_heif")
        assert {".heic", ".heif", ".hif"} <= picture_suffixes()

    def test_every_format_that_pillow_writes_and_we_name_can_be_read(self, tmp_path):
        n_read = 0
        for suffix in picture_suffixes():
            kind = Image.registered_extensions()[suffix]
            if kind not in Image.SAVE:
                continue
            for mode in ("RGB", "L", "1", "P"):
                with contextlib.suppress(OSError, ValueError, KeyError, NotImplementedError):
                    PICTURE.resize((64, 64)).convert(mode).save(tmp_path / f"a{suffix}")
                    break
            else:
                continue
            assert read_picture(tmp_path / f"a{suffix}").mode == "RGB"
            n_read += 1
        assert n_read > 30

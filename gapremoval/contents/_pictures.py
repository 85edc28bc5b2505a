"""Pictures of any kind as upright 8-bit RGB: what the eye sees."""

import hashlib
import os
import re
import stat
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import numpy as np

from .._items import is_picture
from .._optional import import_pillow
from ._locks import process_lock

PICTURE = "a picture is a Path, a PIL image or a uint8 array of shape (H, W, 3)"
LARGE = 2**25  # pixels; most phones take pictures of fewer
STRIP = 2**18  # pixels that are converted at once


class UnreadablePicture(ValueError):  # noqa: N818 -- says what is wrong already
    """A picture that cannot be decoded; the message is the cause in a few words."""


def read_part(read, picture, n_parts):
    """Read a picture; where a content has several parts, an error names it."""
    try:
        return read(picture)
    except UnreadablePicture as error:
        if n_parts == 1:
            raise
        name = picture if isinstance(picture, Path) else f"a {type(picture).__name__}"
        raise UnreadablePicture(f"{name}: {error}") from error


def read_picture(item, *, least_edge=None, stop=None, then=lambda picture: picture):
    """Decode a picture to 8-bit RGB, upright, on white.

    - The EXIF orientation is applied, and ignored where the EXIF data are damaged.
    - Transparent parts become white. Color profiles are not applied.
    - A file with several frames gives its first frame, an opened picture its current one.
    - More than 8 bits are scaled, never clipped. In 16-bit gray, 65535 is white. In mode I
      (integers) white is 255 or 65535, the first that no pixel exceeds; in mode F (floats) 1,
      255 or 65535. Pictures with negative or larger values are scaled from their minimum to
      their maximum.

    Within `quiet_pillow`, several threads may call this at once. A call needs about 8 bytes
    of memory per pixel of the picture, whatever its mode. Pictures of more than 2**25 pixels
    are decoded by one thread of the process, one after the other. So n threads together need
    less than n * 256 MiB and 8 bytes per pixel of the largest picture.

    Parameters
    ----------
    item : Path, PIL.Image.Image or ndarray of uint8 of shape (H, W, 3)
        An image file or a picture. It is not changed: a picture that was opened and not
        loaded yet is decoded from its open file by another picture object, so that its pixels
        do not stay in memory.
    least_edge : int, default=None
        Lets JPEG files be decoded at 1/8, 1/4 or 1/2 of their size, if that divides both edges
        and leaves them at least this number of pixels. None decodes at full size.
    stop : threading.Event, default=None
        Once it is set, pictures that wait for their turn are not decoded.
    then : callable, default=identity
        Its result is returned in place of the picture. A large picture that is made smaller
        here is out of memory before the next one is decoded.

    Returns
    -------
    PIL.Image.Image
        In mode RGB, without metadata, independent of `item`.

    Raises
    ------
    UnreadablePicture
        If the file is missing, damaged, cut off, no picture, or larger than Pillow reads.
    ImportError
        If Pillow is not installed.
    """
    Image = import_pillow()
    try:
        with _source(item) as (picture, is_ours):
            if least_edge and is_ours and picture.format in {"JPEG", "MPO"}:
                width, height = picture.size
                scales = [x for x in (8, 4, 2) if min(picture.size) >= x * least_edge]
                # Where an edge is cut, the pixels of the smaller picture are not quite square.
                scale = next((x for x in scales if not (width % x or height % x)), 1)
                picture.draft(None, (width // scale, height // scale))

            def work():
                if stop is not None and stop.is_set():
                    raise UnreadablePicture("not decoded: the run was stopped")
                return then(_upright_rgb(picture, is_ours))

            if picture.width * picture.height <= LARGE:
                return work()
            alone = _large.setdefault(os.getpid(), ThreadPoolExecutor(1))
            return alone.submit(work).result()
    except UnreadablePicture:
        raise
    except Image.DecompressionBombError as error:
        size = str(error).split(",")[0]
        raise UnreadablePicture(f"{size}; PIL.Image.MAX_IMAGE_PIXELS sets it") from error
    # Decoders answer damage with anything from SyntaxError to struct.error.
    except Exception as error:
        raise UnreadablePicture(f"cannot be decoded ({_reason(error)})") from error


def picture_content(item):
    """Digest of what a picture shows, wherever the picture is stored.

    Parameters
    ----------
    item : Path, PIL.Image.Image or ndarray of uint8 of shape (H, W, 3)
        An image file, which is not decoded, or a picture.

    Returns
    -------
    bytes
        ``b"file:"`` and the SHA-256 of the file, or ``b"pixels:"`` and that of the size and
        the pixels that `read_picture` gives: pictures that look the same have equal digests.

    Raises
    ------
    UnreadablePicture
        If the file cannot be opened or the picture cannot be decoded.
    """
    if isinstance(item, Path):
        try:
            with _open(item) as file:
                return b"file:" + hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            raise UnreadablePicture(_reason(error)) from error
    picture = read_picture(item)
    digest = hashlib.sha256(f"{picture.width} x {picture.height}:".encode())
    for _, strip in _strips(picture):
        digest.update(strip.tobytes())
    return b"pixels:" + digest.digest()


@contextmanager
def quiet_pillow():
    """Ignore the warnings of Pillow's own modules, in all threads, until it is left.

    It is entered around the threads that decode: ``warnings.catch_warnings`` in each of them
    would restore another's filters. Several threads may be inside at once; the last one to
    leave removes the one filter that this adds.
    """
    global _n_quiet
    with process_lock("quiet_pillow"):
        _n_quiet += 1
        # It moves to the front if it is there; another's catch_warnings may have removed it.
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)
    try:
        yield
    finally:
        with process_lock("quiet_pillow"):
            _n_quiet -= 1
            if not _n_quiet:
                with suppress(ValueError):
                    warnings.filters.remove(("ignore", None, Warning, _PILLOW, 0))


# The comment in the pattern distinguishes it from a filter of the user.
_PILLOW = re.compile(r"PIL\.(?#quiet_pillow)")
_n_quiet = 0
# The one thread that decodes large pictures, by process. A lock would not bound the memory of
# all threads, since malloc keeps for a thread what it has freed.
_large = {}


@contextmanager
def _source(item):
    """Picture of an item, and whether it is ours to change and to decode in place."""
    Image = import_pillow()
    if not is_picture(item):
        raise UnreadablePicture(f"a {type(item).__name__}: {PICTURE}")
    if isinstance(item, np.ndarray):
        yield Image.fromarray(item), True
        return
    if isinstance(item, Path):
        with _open(item) as file:
            yield open_picture(file), True
        return
    # Two threads must not decode one picture at once, since they share its file.
    with process_lock("picture", id(item) % 61):
        file, twin = getattr(item, "fp", None), None
        # Nothing public tells whether pixels were loaded, which the caller may have changed.
        if file is None or file.closed or getattr(item, "_im", None) is not None:
            yield item, False
            return
        place = file.tell()
        # The plugin that opened the picture may not be registered.
        with suppress(Exception):
            twin = Image.open(file)
            twin.seek(item.tell())
        # The caller may have called `draft`.
        is_same = twin is not None and (twin.size, twin.mode) == (item.size, item.mode)
        try:
            yield twin if is_same else item, is_same
        finally:
            file.seek(place)


def _open(path):
    """Open a file that exists, is a regular file, and is not empty."""
    try:
        status = path.stat()
        # Opening a pipe would wait for a writer.
        if stat.S_ISREG(status.st_mode) and status.st_size:
            return open(path, "rb")
        is_file = stat.S_ISREG(status.st_mode)
        cause = "the file is empty" if is_file else "not a regular file"
    except FileNotFoundError:
        cause = "no such file"
    # A name with a null in it is a ValueError.
    except (OSError, ValueError) as error:
        cause = _reason(error)
    raise UnreadablePicture(cause)


def _reason(error):
    """Message of the system, without its number and the path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def open_picture(file):
    """Picture in an open file, not decoded yet; or an error with what it takes to read it."""
    Image = import_pillow()
    # Pillow registers its formats on demand; a thread that comes in the middle of that
    # would not know the file.
    Image.init()
    try:
        return Image.open(file)
    except Image.UnidentifiedImageError as error:
        file.seek(0)
        head = file.read(12)
        brand = head[8:11] if head[4:8] == b"ftyp" else b""
        if brand == b"avi" and "AVIF" not in Image.SAVE:
            cause = "AVIF needs Pillow 11.3 or newer: pip install -U pillow"
        elif brand in {b"hei", b"hev", b"mif", b"msf"} and "HEIF" not in Image.OPEN:
            cause = "HEIC needs pillow-heif: pip install pillow-heif"
        else:
            cause = "not a picture that Pillow knows, or damaged"
        raise UnreadablePicture(cause) from error


def _upright_rgb(picture, is_ours):
    """New picture in RGB, turned as the EXIF data say, transparent parts white."""
    Image, ImageOps = import_pillow(), import_module("PIL.ImageOps")
    if not all(picture.size):
        raise UnreadablePicture(f"no pixels: {picture.width} x {picture.height}")
    picture.load()
    # Damaged EXIF data raise whatever their parser stumbles over.
    with suppress(Exception):
        picture = ImageOps.exif_transpose(picture, in_place=is_ours) or picture
    seen, scale = Image.new("RGB", picture.size, "white"), _gray_scale(picture)
    for top, strip in _strips(picture):
        if scale:
            strip = Image.fromarray(_eight_bits(strip, *scale))
        elif strip.has_transparency_data:
            strip = strip.convert("LA") if strip.mode == "La" else strip
            strip = strip.convert("RGBA")
        seen.paste(strip, (0, top), strip if strip.mode == "RGBA" else None)
    return seen


def _strips(picture):
    """Yield full-width pieces of a picture, from top to bottom, after their upper edges."""
    height = max(1, STRIP // picture.width)
    for top in range(0, picture.height, height):
        bottom = min(top + height, picture.height)
        yield top, picture.crop((0, top, picture.width, bottom))


def _gray_scale(picture):
    """Values that become black and white, if the mode has more than 8 bits; else None."""
    if picture.mode.startswith("I;"):
        return 0, 65535
    whites = {"I": (255, 65535), "F": (1, 255, 65535)}.get(picture.mode)
    if whites is None:
        return None
    values = (np.asarray(strip) for _, strip in _strips(picture))
    extremes = [(x.min(), x.max()) for part in values if (x := part[np.isfinite(part)]).size]
    low = float(min((low for low, _ in extremes), default=0))
    high = float(max((high for _, high in extremes), default=0))
    if low < 0 or high > 65535:
        return low, high
    return 0, next(white for white in whites if high <= white)


def _eight_bits(strip, black, white):
    """Gray values scaled to uint8, ndarray of shape (H, W)."""
    values = np.asarray(strip)
    scaled = (values.astype(float) - black) * (255 / ((white - black) or 1))
    # NaN becomes black.
    gray = np.rint(np.fmin(np.fmax(scaled, 0), 255)).astype(np.uint8)
    gray[values == strip.info.get("transparency")] = 255
    return gray

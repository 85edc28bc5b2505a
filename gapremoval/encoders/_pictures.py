"""Pictures of any kind as upright 8-bit RGB: what the eye sees."""

import hashlib
import os
import stat
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .._optional import import_pillow


class UnreadablePicture(ValueError):  # noqa: N818 -- says what is wrong already
    """A picture that cannot be decoded; the message is the cause in a few words."""


def read_picture(item):
    """Decode a picture to 8-bit RGB, upright, on white.

    The EXIF orientation is followed, and ignored where the EXIF is damaged. Transparent
    parts show white. Of a file with several frames the first is read, of an opened picture
    the current one. More than 8 bits are scaled, never clipped: 16-bit grey so that 65535
    is white, whatever the picture holds; integers (mode I) so that white is the first of
    255 and 65535 that no pixel exceeds, and floats (mode F) of 1, 255 and 65535; those with
    negative or larger pixels from their least to their greatest. Color profiles are not
    applied.

    Call it within `quiet_pillow`. It may run in several threads at once.

    Parameters
    ----------
    item : Path, PIL.Image.Image or ndarray of uint8 of shape (H, W, 3)
        An image file, or a picture; a picture is not changed.

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
        if isinstance(item, Path):
            with _open(item) as file, _identify(file, item) as picture:
                return _upright(_as_seen(picture), picture)
        if isinstance(item, Image.Image):
            with _decoding[id(item) % len(_decoding)]:
                return _upright(_as_seen(item), item)
        return _as_seen(Image.fromarray(item))
    except UnreadablePicture:
        raise
    except Image.DecompressionBombError as error:
        size = str(error).split(",")[0]
        raise UnreadablePicture(f"{size}; PIL.Image.MAX_IMAGE_PIXELS sets it") from error
    # Decoders answer damage with anything from SyntaxError to struct.error.
    except Exception as error:
        raise UnreadablePicture(f"cannot be decoded ({_reason(error)})") from error


def picture_content(item):
    """A key of what a picture holds, the same wherever the picture lies.

    Parameters
    ----------
    item : Path, PIL.Image.Image or ndarray of uint8 of shape (H, W, 3)
        An image file, which is not decoded, or a picture.

    Returns
    -------
    bytes
        ``b"file:"`` and the SHA-256 of the file, or ``b"pixels:"`` and that of the size and
        pixels that `read_picture` gives: pictures that look the same have the same key.

    Raises
    ------
    UnreadablePicture
        If the file cannot be opened or the picture not decoded.
    """
    if isinstance(item, Path):
        with _open(item) as file:
            try:
                return b"file:" + hashlib.file_digest(file, "sha256").digest()
            except OSError as error:
                raise UnreadablePicture(_reason(error)) from error
    picture = read_picture(item)
    digest = hashlib.sha256(f"{picture.width} x {picture.height}:".encode())
    digest.update(picture.tobytes())
    return b"pixels:" + digest.digest()


@contextmanager
def quiet_pillow():
    """Ignore the warnings that Pillow's modules raise, in all threads, while it is entered.

    ``warnings.catch_warnings`` in each worker would restore another's filters; this is
    entered once around them, and by several threads at once if need be: the last to leave
    removes the one filter that it added.
    """
    global _n_quiet
    with _quieting:
        _n_quiet += 1
        # Also for a later one: a catch_warnings elsewhere may have taken it away.
        if not _own_filters():
            warnings.filterwarnings("ignore", module=_PILLOW_MODULES)
    try:
        yield
    finally:
        with _quieting:
            _n_quiet -= 1
            for entry in _own_filters() if not _n_quiet else ():
                warnings.filters.remove(entry)


# The comment in the pattern keeps it apart from a filter that the user set.
_PILLOW_MODULES = r"PIL\.(?#quiet_pillow)"
_n_quiet = 0


def _own_filters():
    return [x for x in warnings.filters if getattr(x[3], "pattern", None) == _PILLOW_MODULES]


def _make_locks():
    global _quieting, _decoding
    _quieting = threading.Lock()
    # An opened picture decodes itself in place when it is first used, so one that stands in
    # several rows must not be read by two threads at once; pictures are not hashable.
    _decoding = [threading.Lock() for _ in range(61)]


_make_locks()
if hasattr(os, "register_at_fork"):
    # A thread of the parent that held a lock does not exist in the child.
    os.register_at_fork(after_in_child=_make_locks)


def _open(path):
    """Open a file that is there, is a file, and holds something."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            cause = "a folder, not a file"
        # Opening a pipe would wait for a writer.
        elif not stat.S_ISREG(status.st_mode):
            cause = "not a regular file"
        elif not status.st_size:
            cause = "the file is empty"
        else:
            return open(path, "rb")
    except FileNotFoundError:
        cause = "no such file"
    # A name with a null in it is a ValueError.
    except (OSError, ValueError) as error:
        cause = _reason(error)
    raise UnreadablePicture(cause)


def _reason(error):
    """What the system says, without its number and the path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_HEIF_SUFFIXES = {".heic", ".heif", ".hif"}
_AVIF_BRANDS = {b"avif", b"avis"}


def _identify(file, path):
    """The picture in an open file, not yet decoded, or what it would take to read it."""
    Image = import_pillow()
    # Pillow registers its formats on demand; a thread that comes in the middle of that
    # would not know the file.
    Image.init()
    try:
        return Image.open(file)
    except Image.UnidentifiedImageError as error:
        file.seek(0)
        head = file.read(12)
        brand = head[8:] if head[4:8] == b"ftyp" else None
        if brand in _AVIF_BRANDS and "AVIF" not in Image.SAVE:
            cause = "AVIF needs Pillow 11.3 or newer: pip install -U pillow"
        elif "HEIF" not in Image.OPEN and (
            brand in _HEIF_BRANDS or path.suffix.lower() in _HEIF_SUFFIXES
        ):
            cause = "HEIC needs pillow-heif: pip install pillow-heif"
        else:
            cause = "not a picture that Pillow knows, or damaged"
        raise UnreadablePicture(cause) from error


def _as_seen(picture):
    """A new picture in RGB, transparent parts white."""
    Image = import_pillow()
    if not all(picture.size):
        raise UnreadablePicture(f"no pixels: {picture.width} x {picture.height}")
    picture.load()
    mode, transparent = picture.mode, picture.info.get("transparency")
    if mode.startswith("I") or mode == "F":
        values = np.asarray(picture)
        grey = _eight_bits(values, whites={"I": (255, 65535), "F": (1, 255, 65535)}.get(mode))
        if transparent is not None:
            grey[values == transparent] = 255
        return Image.fromarray(grey).convert("RGB")
    if mode in {"P", "LA", "La", "PA", "RGBA", "RGBa"} or (
        mode in {"1", "L", "RGB"} and transparent is not None
    ):
        if mode == "P":
            # Converting it writes the transparency into its palette.
            picture = picture.copy()
        elif mode == "La":
            picture = picture.convert("LA")
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture)
        return white
    seen = picture.convert("RGB")
    seen.info = {}
    return seen


def _eight_bits(values, whites):
    """Scale grey values to uint8; without `whites`, 65535 is white."""
    if whites is None:
        low, white = 0, 65535
    else:
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0, 0)
        if low < 0 or high > whites[-1]:
            white = high
        else:
            low, white = 0, next(white for white in whites if high <= white)
    with np.errstate(invalid="ignore"):
        scaled = (values.astype(float) - low) * (255 / ((white - low) or 1))
    return np.rint(np.nan_to_num(scaled, nan=0, posinf=255, neginf=0)).astype(np.uint8)


_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def _upright(seen, picture):
    """Turn what was made of a picture as the picture's EXIF says."""
    try:
        turn = _TURNS.get(picture.getexif().get(274))
    # Damaged EXIF raises whatever its parser stumbled over.
    except Exception:
        turn = None
    return seen.transpose(import_pillow().Transpose[turn]) if turn else seen

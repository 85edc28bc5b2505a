"""Texts and pictures as HTML that shows them and does nothing else."""

import base64
import re
from html import escape
from io import BytesIO
from pathlib import Path

from .._items import is_picture
from ..encoders._pictures import UnreadablePicture, read_picture

# What UTF-8 cannot encode, and what HTML forbids even when escaped: controls but for tab and
# line feed, surrogates, and the code points that are no characters.
_UNPRINTABLE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
    )
    + "]"
)


def show_text(value, up_to=None):
    """Any value's text, escaped; cut after `up_to` characters, if it is longer.

    Code points that a page cannot hold are written out: ``\\xe9`` for a byte that is no
    UTF-8, which Python keeps as a surrogate, ``\\x00`` for a control.
    """
    text = str(value).replace("\r\n", "\n")
    if up_to and len(text) > up_to:
        text = f"{text[:up_to].rstrip()}…"
    return escape(_UNPRINTABLE.sub(_write_out, text))


def _write_out(found):
    code = ord(found[0])
    code -= 0xDC00 if 0xDC80 <= code <= 0xDCFF else 0
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def show_item(item, *, name, edge, up_to):
    """A text as a paragraph; a picture as an image, or as a note why there is none.

    Call it within `quiet_pillow`.

    Parameters
    ----------
    item : str, Path, PIL.Image.Image or ndarray of uint8 of shape (H, W, 3)
    name : str
        What a picture is called that has no file name.
    edge : int
        Pixels of the longer edge that a picture is scaled down to.
    up_to : int or None
        Characters to show of a text.

    Raises
    ------
    TypeError
        If the item is neither a text nor a picture.
    """
    if isinstance(item, str):
        return f'<p dir="auto">{show_text(item, up_to)}</p>'
    if not is_picture(item):
        raise TypeError(
            f"This {type(item).__name__} cannot be shown: {repr(item)[:60]}. Give a text (str) or "
            "a picture: a Path, a PIL image or a uint8 array of shape (H, W, 3)."
        )
    name = show_text(item.name if isinstance(item, Path) else name, 200)
    try:
        picture = read_picture(item)
    except UnreadablePicture as cause:
        return f'<p class="note">{name}: {show_text(cause)}</p>'
    picture.thumbnail((edge, edge))
    width, height = picture.size
    # Drawings are smaller as PNG, photos as JPEG.
    encoded = {kind: _encode(picture, kind) for kind in ("png", "jpeg")}
    kind = min(encoded, key=lambda kind: len(encoded[kind]))
    return (
        f'<img src="data:image/{kind};base64,{encoded[kind]}" '
        f'width="{width}" height="{height}" alt="{name}">'
    )


def _encode(picture, kind):
    file = BytesIO()
    picture.save(file, kind, quality=85, optimize=True)
    return base64.b64encode(file.getvalue()).decode()

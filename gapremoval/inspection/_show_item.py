"""show_item: a text or a picture as a page's templates take it."""

import base64
from io import BytesIO
from pathlib import Path

from .._items import is_picture
from ..contents._pictures import UnreadablePicture, read_picture


def show_item(item, *, name, edge):
    """What a template needs to show a text or a picture.

    Call it within `quiet_pillow`.

    Parameters
    ----------
    item : str, Path, PIL.Image.Image or ndarray of uint8 of shape (H, W, 3)
    name : str
        Name of a picture that has no file name; errors tell it too.
    edge : int
        Longer edge of a picture in pixels; a larger picture is scaled down to it.

    Returns
    -------
    dict
        With ``kind``: ``"text"`` (and ``text``), ``"picture"`` (and ``src``, a data URL,
        ``width``, ``height`` and ``name``), or ``"note"`` for a picture that cannot be read
        (and ``reason`` and ``name``).

    Raises
    ------
    TypeError
        If the item is neither a text nor a picture.
    """
    if isinstance(item, str):
        return {"kind": "text", "text": str(item)}
    if not is_picture(item):
        raise TypeError(
            f"This {type(item).__name__} cannot be shown: {repr(item)[:60]} ({name[:60]}). Give a "
            "text (str) or a picture: a Path, a PIL image or a uint8 array of shape (H, W, 3)."
        )
    name = (item.name if isinstance(item, Path) else name)[:200]
    try:
        picture = read_picture(item, least_edge=edge)
    except UnreadablePicture as cause:
        return {"kind": "note", "reason": str(cause), "name": name}
    picture.thumbnail((edge, edge))
    # Drawings are smaller as PNG, photos as JPEG.
    encoded = {kind: _encode(picture, kind) for kind in ("png", "jpeg")}
    kind = min(encoded, key=lambda kind: len(encoded[kind]))
    width, height = picture.size
    src = f"data:image/{kind};base64,{encoded[kind]}"
    return {"kind": "picture", "src": src, "width": width, "height": height, "name": name}


def _encode(picture, kind):
    file = BytesIO()
    picture.save(file, kind, quality=85, optimize=True)
    return base64.b64encode(file.getvalue()).decode()

"""show_item, show_document: texts and pictures as the templates of pages take them."""

import base64
import os
from collections.abc import Mapping
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from .._html import file_url
from .._items import contents_of, is_picture, listed_items
from ..datasets._folder import TEXTS, known_suffixes, read_text, suffix_of
from ._pictures import UnreadablePicture, read_picture
from ._plain_text import plain_text

MOST_PARTS = 4  # shown of a document
MOST_LETTERS = 2000  # of one of its texts


def show_item(item, *, name, edge, folder=None):
    """What a template needs to show a text or a picture.

    Call it within `quiet_pillow`.

    Parameters
    ----------
    item : str, Path, PIL.Image.Image or ndarray of uint8 of shape (H, W, 3)
        A ``Path`` is a text file, ``.txt`` or ``.md``, or a picture file.
    name : str
        Name of a picture that has no file name; errors tell it too.
    edge : int
        Longer edge of a picture in pixels; a larger picture is scaled down to it.
    folder : str or Path, default=None
        Where the page will lie, for the links to files: see `file_url`.

    Returns
    -------
    dict
        With ``kind``: ``"text"`` (and ``text``), ``"picture"`` (and ``src``, a data URL,
        ``width`` and ``height``), or ``"note"`` for a file that cannot be read (and
        ``reason``); with ``name``, and ``href``, a link to the file or None.

    Raises
    ------
    TypeError
        If the item is neither a text nor a picture.
    """
    if isinstance(item, str):
        return {"kind": "text", "text": str(item), "name": name[:200], "href": None}
    if not is_picture(item):
        raise TypeError(
            f"This {type(item).__name__} cannot be shown: {repr(item)[:60]} ({name[:60]}). Give a "
            "text (str) or a picture: a Path, a PIL image or a uint8 array of shape (H, W, 3)."
        )
    is_file = isinstance(item, Path)
    told = {
        "name": (item.name if is_file else name)[:200],
        "href": file_url(item, folder) if is_file else None,
    }
    if is_file and suffix_of(item) in TEXTS:
        text, reason = read_text(item)
        return told | (
            {"kind": "note", "reason": reason} if reason else {"kind": "text", "text": text}
        )
    try:
        picture = read_picture(item, least_edge=edge)
    except UnreadablePicture as cause:
        return told | {"kind": "note", "reason": str(cause)}
    picture.thumbnail((edge, edge))
    # Drawings are smaller as PNG, photos as JPEG.
    encoded = {kind: _encode(picture, kind) for kind in ("png", "jpeg")}
    kind = min(encoded, key=lambda kind: len(encoded[kind]))
    width, height = picture.size
    src = f"data:image/{kind};base64,{encoded[kind]}"
    return told | {"kind": "picture", "src": src, "width": width, "height": height}


def show_document(contents, id_, *, edge, folder=None):
    """What a template needs to show a document: its id, and its first parts.

    Call it within `quiet_pillow`.

    Parameters
    ----------
    contents : mapping
        The parts of each document by its id. Where an id is missing here and is the path of a
        text or picture file, that file is its part.
    id_ : object
        The id. If it is the path of any file, it has a link.
    edge, folder
        As for `show_item`.

    Returns
    -------
    dict
        With ``id``, ``href``, ``parts`` (each as `show_item` gives it; marks of Markdown are
        taken off the texts) and ``n_more``, the number of parts that are not shown.

    Raises
    ------
    TypeError
        If a part is neither a text nor a picture.
    """
    href = file_url(id_, folder) if isinstance(id_, str | os.PathLike) else None
    items = contents.get(id_)
    if items is None:
        items = Path(id_) if href and _can_be_shown(id_) else ()
    parts = [part for item in listed_items(items) for part in contents_of(item)]
    name = f"Picture of {id_}"
    shown = [show_item(part, name=name, edge=edge, folder=folder) for part in parts[:MOST_PARTS]]
    for part in shown:
        if part["kind"] == "text":
            text = part["text"]
            more = "…" if len(text) > MOST_LETTERS else ""
            part["text"] = plain_text(text[:MOST_LETTERS]) + more
    n_more = max(len(parts) - MOST_PARTS, 0)
    return {"id": str(id_), "href": href, "parts": shown, "n_more": n_more}


def check_contents(contents):
    """The contents; a TypeError if they are no mapping."""
    if not isinstance(contents, Mapping):
        raise TypeError(
            "contents must be a dict from a document's id to the list of its texts and "
            f"pictures; got a {type(contents).__name__}."
        )
    return contents


def _can_be_shown(path):
    """Whether a path is that of a text, or of a picture that can be read here."""
    suffix = suffix_of(path)
    return suffix in TEXTS or (suffix in known_suffixes() and find_spec("PIL") is not None)


def _encode(picture, kind):
    file = BytesIO()
    picture.save(file, kind, quality=85, optimize=True)
    return base64.b64encode(file.getvalue()).decode()

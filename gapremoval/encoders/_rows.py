"""What the rows given to an encoder are: texts, pictures, or both, and who asks."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._items import Query, is_missing, is_picture, picture_suffixes
from .._modality import as_query
from .._warnings import warn


@dataclass(frozen=True)
class Row:
    """One row: its tag, and the text (str) and picture that it is made of, or None."""

    modality: str
    text: object = None
    picture: object = None

    @property
    def parts(self):
        """The texts and pictures to encode, as pairs of a kind and a content."""
        given = {"text": self.text, "image": self.picture}
        return [(kind, content) for kind, content in given.items() if content is not None]


def read_rows(items, *, taker, warn_of_names=True):
    """Sort out a list of items before anything is loaded.

    Parameters
    ----------
    items : sequence
        Texts (str), pictures, and `Query` objects around them.
    taker : str
        Who takes them, for the messages.
    warn_of_names : bool, default=True
        Whether texts that end like the name of a picture file are warned of.

    Returns
    -------
    list of Row

    Warns
    -----
    UserWarning
        If texts end like the name of a picture file.

    Raises
    ------
    TypeError
        If `items` is one item, or no sequence of items.
    ValueError
        If some are no items; the message names all of them. If a text is the name of a
        picture file that is there.
    """
    if isinstance(items, str | bytes | Query) or is_picture(items):
        shown = repr(items)[:40] if isinstance(items, str | Query | Path) else "picture"
        raise TypeError(
            f"{taker} takes a list of items and got a single {type(items).__name__}: write "
            f"[{shown}]. To search, call gapremoval.search(pipeline, {shown})."
        )
    if (
        isinstance(items, Mapping | Set)
        or hasattr(items, "iterrows")
        or not hasattr(items, "__len__")
    ):
        raise TypeError(
            f"{taker} takes a list of texts and pictures; got a {type(items).__name__}. Records "
            "and DataFrames become items with gapremoval.explode_documents."
        )
    rows, wrong, like_files, suffixes = [], {}, [], picture_suffixes()
    for number, item in enumerate(items):
        try:
            row = _read_row(item)
        except ValueError as error:
            wrong[number] = str(error)
            continue
        rows.append(row)
        if row.text is not None and Path(row.text).suffix.lower() in suffixes:
            like_files.append(row.text)
            if is_file(row.text):
                wrong[number] = f"the text {row.text!r} names a picture file: wrap it in Path"
    if wrong:
        shown = [f"row {number}: {why}" for number, why in list(wrong.items())[:20]]
        more = [f"and {len(wrong) - 20} more"] if len(wrong) > 20 else []
        raise ValueError(
            f"{len(wrong)} of {number + 1} rows are no items. " + "; ".join(shown + more)
        )
    if not rows:
        raise ValueError(f"{taker} was given no items (0 samples): at least one is needed.")
    if like_files and warn_of_names:
        warn(
            f"{len(like_files)} texts end like the name of a picture, such as {like_files[0]!r}, "
            "and are read as texts: there is no such file."
        )
    return rows


def _read_row(item):
    if not isinstance(item, Query):
        return _plain_row(item)
    if item.item is not None:
        row = _plain_row(item.item)
        return Row(as_query(row.modality), row.text, row.picture)
    picture = Path(item.image) if isinstance(item.image, str) else item.image
    if item.text is not None and not isinstance(item.text, str):
        raise ValueError(f"the text of {item!r} is a {type(item.text).__name__}, not a str")
    if picture is not None and not is_picture(picture):
        raise ValueError(f"the image of {item!r} is a {type(picture).__name__}: {HOW}")
    kinds = [kind for kind, x in (("image", picture), ("text", item.text)) if x is not None]
    text = None if item.text is None else str.__str__(item.text)
    return Row(as_query("+".join(kinds)), text, picture)


HOW = "a picture is a Path, a PIL image or a uint8 array of shape (H, W, 3)"


def _plain_row(item):
    if is_picture(item):
        return Row("image", picture=item)
    if isinstance(item, str):
        return Row("text", text=str.__str__(item))
    if isinstance(item, np.ndarray):
        raise ValueError(f"an array of {item.dtype} and shape {item.shape}: {HOW}")
    if is_missing(item):
        raise ValueError(f"{item!r} is missing: drop it, or use gapremoval.explode_documents")
    raise ValueError(f"a {type(item).__name__}: an item is a str or a picture; {HOW}")


def never_a_name(text):
    """The same text to the network, and one that is not taken for the name of a picture."""
    return f"{text}\n"


def is_file(text):
    """Whether there is a file of this name, whatever the text is."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a NUL
        return False

"""Raw items: texts, pictures, and the mark of queries."""

import numbers
import sys
from pathlib import Path

import numpy as np

from ._optional import import_pillow

# Pillow recognizes these formats and cannot decode them, or not without another program.
NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


def is_missing(value):
    """Whether a value is missing: None, NaN, NaT or ``pandas.NA``."""
    pandas = sys.modules.get("pandas")
    return (
        value is None
        or (isinstance(value, (numbers.Real, np.datetime64)) and value != value)
        or (pandas is not None and (value is pandas.NA or value is pandas.NaT))
    )


def is_picture(item):
    """Whether an item is a picture: a Path, a PIL image or a uint8 array (height, width, 3)."""
    if isinstance(item, np.ndarray):
        return item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] == 3
    return isinstance(item, Path) or any(
        kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(item).__mro__
    )


def picture_suffixes():
    """File name suffixes of the pictures that can be opened here.

    Returns
    -------
    frozenset of str
        Lower-case suffixes with their dot (``".jpg"``) of all formats that Pillow decodes.
        ``".heic"`` and its relatives are among them where pillow-heif is installed.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """
    Image = import_pillow()
    Image.init()
    # The plugin for JPEG opens MPO too.
    opened = {*Image.OPEN, "MPO"} - NOT_DECODED
    return frozenset(
        suffix for suffix, kind in Image.registered_extensions().items() if kind in opened
    )


class Query:
    """Mark a raw item as a query.

    An encoder tags its row ``query:text`` or ``query:image`` in place of ``text`` or
    ``image``. A query with a text and an image is one row, tagged ``query:image+text``.

    Parameters
    ----------
    item : str or picture, default=None
        A text, or a picture: a ``Path``, a PIL image or a uint8 array of shape
        (height, width, 3).
    text, image : str and picture, default=None
        A text, a picture or both, in place of `item`.

    Raises
    ------
    TypeError
        If nothing is given or what is given is missing (None, NaN, ``pandas.NA``), or `item` is
        given together with `text` or `image`.

    Examples
    --------
    >>> from gapremoval import Query
    >>> Query("a red bicycle in snow")
    Query('a red bicycle in snow')
    >>> Query(text="the same in blue", image="bicycle.jpg").text
    'the same in blue'
    """

    __slots__ = ("image", "item", "text")

    def __init__(self, item=None, *, text=None, image=None):
        item, text, image = (None if is_missing(x) else x for x in (item, text, image))
        if item is None and text is None and image is None:
            raise TypeError(
                "The item of a Query is missing: give Query(item), Query(text=...), "
                "Query(image=...) or both keywords."
            )
        if item is not None and (text is not None or image is not None):
            raise TypeError("A Query takes one item, or text= and image=, not both.")
        self.item, self.text, self.image = item, text, image

    def __repr__(self):
        if self.item is not None:
            return f"Query({self.item!r})"
        given = {"text": self.text, "image": self.image}
        return f"Query({', '.join(f'{k}={v!r}' for k, v in given.items() if v is not None)})"

"""Raw items: texts, pictures, both together, and the marks of modalities and queries."""

import numbers
import sys
from pathlib import Path

import numpy as np

from ._modality import QUERY, check_tag, is_query
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


def is_item(item):
    """Whether this is one raw item, not a vector and not several items."""
    return isinstance(item, str | Joint | Tagged | Query) or is_picture(item)


def item_modality(item):
    """The tag that an encoder gives to the row of a raw item."""
    if isinstance(item, Tagged):
        return item.modality
    if isinstance(item, Joint):
        return "joint"
    if not isinstance(item, Query):
        return "text" if isinstance(item, str) else "image"
    if item.item is not None:
        return QUERY + item_modality(item.item)
    return QUERY + "+".join(name for name in ("image", "text") if getattr(item, name) is not None)


def contents_of(item):
    """The texts and pictures of a raw item, in a list."""
    if isinstance(item, Tagged):
        return contents_of(item.item)
    if isinstance(item, Joint):
        return [item.text, *item.image]
    if not isinstance(item, Query):
        return [item]
    if item.item is not None:
        return contents_of(item.item)
    image = Path(item.image) if isinstance(item.image, str) else item.image
    return [content for content in (item.text, image) if content is not None]


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


class Tagged:
    """Mark a raw item as one of a modality of its own.

    An encoder encodes the item as any other, and tags its row with `modality`. Texts that a
    machine wrote, or in another language, then have a mean, an answer share and a fusion weight
    of their own.

    Parameters
    ----------
    item : str, picture or Joint
        A text, a picture (a ``Path``, a PIL image or a uint8 array of shape (height, width, 3)),
        or a text and pictures together.
    modality : str
        A non-empty string without ``:`` and ``+``, such as ``"caption"``.

    Raises
    ------
    TypeError
        If the item is missing, or marked already (`Query`, `Tagged`). `Query(Tagged(...))` is
        the right order.
    ValueError
        If `modality` is not the name of a modality.

    See Also
    --------
    gapremoval.add_texts : Texts read from the images of records, tagged so.

    Examples
    --------
    >>> from gapremoval import Tagged
    >>> Tagged("a dog on a beach", "caption")
    Tagged('a dog on a beach', 'caption')
    """

    __slots__ = ("item", "modality")

    def __init__(self, item, modality):
        if is_missing(item) or isinstance(item, Tagged | Query):
            raise TypeError(f"Tagged marks a text, a picture or a Joint; got {item!r}.")
        if is_query(check_tag(modality)):
            raise ValueError(f"A query is marked Query(Tagged(item, {modality[6:]!r})).")
        self.item, self.modality = item, modality

    def __repr__(self):
        return f"Tagged({self.item!r}, {self.modality!r})"


class Joint:
    """A text and pictures that an encoder reads together, as one item.

    Its row is tagged ``joint``, a modality with a mean of its own. It is not a document with a
    text and an image (``image+text``), whose two rows are encoded apart and fused.

    Parameters
    ----------
    text : str
        The text.
    image : picture or list of pictures
        A ``Path`` (or a str that is a path), a PIL image, a uint8 array of shape (height, width,
        3), or a list of these.

    Raises
    ------
    TypeError
        If the text or the picture is missing.

    See Also
    --------
    explode_documents : With ``joint=True``, one such item a record.
    gapremoval.SentenceTransformerEncoder : Reads such items with a generative model.

    Examples
    --------
    >>> from gapremoval import Joint
    >>> Joint(text="red shoe", image="shoe.jpg").image
    [PosixPath('shoe.jpg')]
    """

    __slots__ = ("image", "text")

    def __init__(self, *, text, image):
        images = list(image) if isinstance(image, list | tuple) else [image]
        images = [Path(x) if isinstance(x, str) else x for x in images]
        if not isinstance(text, str) or not images or not all(map(is_picture, images)):
            raise TypeError(
                "A Joint has a text (str) and one or more pictures (a path, a PIL image or a uint8 "
                f"array of shape (H, W, 3)); got text={text!r:.60} and image={image!r:.60}."
            )
        self.text, self.image = text, images

    def __repr__(self):
        return f"Joint(text={self.text!r}, image={self.image!r})"


class Query:
    """Mark a raw item as a query.

    An encoder tags its row ``query:text`` or ``query:image`` in place of ``text`` or
    ``image``. A query with a text and an image is one row, tagged ``query:image+text``.

    Parameters
    ----------
    item : str, picture, Joint or Tagged, default=None
        A text, a picture (a ``Path``, a PIL image or a uint8 array of shape (height, width, 3)),
        a text and pictures together, or one of these with a modality of its own.
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

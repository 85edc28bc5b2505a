"""Raw items: texts, pictures, both together, and the marks of modalities and queries."""

import numbers
import sys
from collections.abc import Iterable, Mapping, Set
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


def as_picture(item):
    """A picture, with the path that a str is; anything else is returned as it is.

    Raises
    ------
    ValueError
        If the str is the address of a picture, which nothing here downloads.
    """
    if isinstance(item, str) and "://" in item:
        raise ValueError(f"{item[:200]!r} is an address: download the picture, and give its file.")
    return Path(item) if isinstance(item, str) else item


def is_item(item):
    """Whether this is one raw item, not a vector and not several items."""
    return isinstance(item, str | Joint | Tagged | Query) or is_picture(item)


def listed_items(items):
    """Several items as a list, and one item as a list of one."""
    return [items] if is_item(items) or not isinstance(items, Iterable) else list(items)


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
    if parts := combined_parts(item):
        return QUERY + "+".join(sorted({item_modality(part)[len(QUERY) :] for part, _ in parts}))
    return QUERY + "+".join(name for name in ("image", "text") if getattr(item, name) is not None)


def combined_parts(item):
    """The parts of a combined query as plain queries, each with its weight.

    Weights of subtracted parts are negative, and parts of weight 0 are left out. Empty for any
    other item.
    """
    if not isinstance(item, Query) or item.weights is None:
        return []
    if item.add:
        parts = [Query(part) for part in (*item.add, *item.subtract)]
        signs = [1] * len(item.add) + [-1] * len(item.subtract)
        weights = [sign * weight for sign, weight in zip(signs, item.weights)]
    else:
        parts = [Query(**{name: getattr(item, name)}) for name in item.weights]
        weights = item.weights.values()
    return [(part, weight) for part, weight in zip(parts, weights) if weight]


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
    if item.add:
        return [content for part in (*item.add, *item.subtract) for content in contents_of(part)]
    return [x for x in (item.text, as_picture(item.image)) if x is not None]


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
        If the item is none of these, or marked already (`Query`, `Tagged`). `Query(Tagged(...))` is
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
        if not is_item(item) or isinstance(item, Tagged | Query):
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

    def __init__(self, text, image):
        images = list(image) if isinstance(image, list | tuple) else [image]
        images = [*map(as_picture, images)]
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

    A query with weights, or with parts to add and subtract, is a combined query: "this photo,
    but at night". The gap of each part is removed first, with the mean of its own modality, so
    `gapremoval.search` and what calls it take such a query, and an encoder refuses it.

    Parameters
    ----------
    item : str, picture, Joint or Tagged, default=None
        A text, a picture (a ``Path``, a PIL image or a uint8 array of shape (height, width, 3)),
        a text and pictures together, or one of these with a modality of its own.
    text, image : str and picture, default=None
        A text, a picture or both, in place of `item`.
    add : item or list of items, default=None
        The parts that are added in a combined query, each as `item` takes them. A str is a text.
    subtract : item or list of items, default=None
        The parts that are subtracted.
    weights : dict of str to float or sequence of float, default=None
        Weights of the parts, at least 0: a dict such as ``{"text": 0.8, "image": 0.2}`` with the
        names of the parts given, or one weight a part, those of `add` first (1 each by
        default). Only their ratios matter. A part of weight 0 is left out.

    Raises
    ------
    TypeError
        If nothing is given or what is given is missing (None, NaN, ``pandas.NA``), a part is no
        item, or the parameters do not go together.
    ValueError
        If `weights` does not have one weight a part, a weight is negative or not finite, or no
        part that is added has a weight above 0.

    See Also
    --------
    gapremoval.combine_queries : The same for embeddings.

    Examples
    --------
    >>> from gapremoval import Query
    >>> Query("a red bicycle in snow")
    Query('a red bicycle in snow')
    >>> Query(text="the same in blue", image="bicycle.jpg").text
    'the same in blue'
    >>> Query(add=["a bicycle", "snow"], subtract="people")
    Query(add=['a bicycle', 'snow'], subtract=['people'])
    """

    __slots__ = ("add", "image", "item", "subtract", "text", "weights")

    def __init__(self, item=None, *, text=None, image=None, add=None, subtract=None, weights=None):
        item, text, image = (None if is_missing(x) else x for x in (item, text, image))
        names = [name for name, x in (("text", text), ("image", image)) if x is not None]
        add, subtract = _listed_parts("add", add), _listed_parts("subtract", subtract)
        if item is None and not names and not add:
            raise TypeError(
                "The item of a Query is missing: give Query(item), Query(text=...), "
                "Query(image=...) or both keywords, or Query(add=[...]), with subtract= beside it."
            )
        if (item is not None) + bool(names) + bool(add or subtract) > 1:
            raise TypeError(
                "A Query takes one item, or text= and image=, or add= and subtract=, not both. To "
                "subtract from a text or an image, write it into add=."
            )
        if isinstance(item, Query):
            raise TypeError(f"The item of a Query is a Query already: {item!r}.")
        if item is not None and weights is not None:
            raise TypeError("The weights of a Query are for text= and image=, or for add=.")
        if add and weights is None:
            weights = [1.0] * len(add + subtract)
        if weights is not None:
            weights = _checked_weights(weights, names, len(add), len(subtract))
        self.item, self.text, self.image = item, text, image
        self.add, self.subtract, self.weights = add, subtract, weights

    def __setstate__(self, state):
        # A query that was pickled by an older version has nothing to combine.
        for name, value in {"add": [], "subtract": [], "weights": None, **state[1]}.items():
            setattr(self, name, value)

    def __repr__(self):
        if self.item is not None:
            return f"Query({self.item!r})"
        given = {"text": self.text, "image": self.image}
        given |= {"add": self.add or None, "subtract": self.subtract or None}
        is_plain_sum = self.add and set(self.weights) == {1.0}
        given["weights"] = None if is_plain_sum else self.weights
        return f"Query({', '.join(f'{k}={v!r}' for k, v in given.items() if v is not None)})"


def _listed_parts(name, parts):
    """The parts that a combined query adds or subtracts, in a list."""
    parts = [] if parts is None else list(parts) if isinstance(parts, list | tuple) else [parts]
    for part in parts:
        if not is_item(part) or isinstance(part, Query):
            raise TypeError(
                f"{name}= of a Query takes a text, a picture, a Joint, a Tagged or a list of "
                f"these, without Query around them; got {part!r:.60}."
            )
    return parts


def _checked_weights(weights, names, n_added, n_subtracted):
    """The weights of the parts of a combined query: a dict for named parts, else a list."""
    if names:
        if not isinstance(weights, Mapping) or {*weights} != {*names}:
            example = dict.fromkeys(names, 0.5)
            raise ValueError(f"weights must be a dict such as {example}; got {weights!r}.")
        values = [weights[name] for name in names]
    else:
        is_list = np.iterable(weights) and not isinstance(weights, str | Mapping | Set)
        values = weights if is_list else []
        values, n = list(values), n_added + n_subtracted
        if len(values) != n:
            raise ValueError(
                f"weights must be a list of {n} numbers, those of add before those of subtract; "
                f"got {weights!r}."
            )
    for value in values:
        if not isinstance(value, numbers.Real) or not 0 <= value < np.inf:
            raise ValueError(
                f"A weight must be a finite number of at least 0; got {value!r}. Parts that count "
                "against a document go into subtract=."
            )
    values = [float(value) for value in values]
    if not any(values[: n_added or None]):
        raise ValueError("No part that is added has a weight above 0: there is nothing to find.")
    return dict(zip(names, values)) if names else values

"""Raw items: what marks one as a query, and how records become items."""

import numbers
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ._warnings import shown


def is_missing(value):
    """Whether a cell is empty: None, NaN, NaT or ``pandas.NA``."""
    pandas = sys.modules.get("pandas")
    return (
        value is None
        or (isinstance(value, (numbers.Real, np.datetime64)) and value != value)
        or (pandas is not None and (value is pandas.NA or value is pandas.NaT))
    )


def is_picture(item):
    """Whether this is one picture: a Path, a PIL image or a uint8 array (H, W, 3)."""
    if isinstance(item, np.ndarray):
        return item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] == 3
    return isinstance(item, Path) or any(
        kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(item).__mro__
    )


class Query:
    """Marks a raw item as a query: something that asks, not something to be found.

    Encoders tag the row that they make of it ``query:text``, ``query:image``, or
    ``query:image+text`` where both are given.

    Parameters
    ----------
    item : object, default=None
        A text (str) or an image (``Path``, PIL image, uint8 array of shape (H, W, 3)).
    text, image : object, default=None
        In place of `item`: the text, the image, or both, which then make one row.

    Raises
    ------
    TypeError
        If nothing is given or is missing (None, NaN, ``pandas.NA``), or both `item` and a
        keyword are.

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
            raise TypeError("A Query takes either one item or text= and image=, not both.")
        self.item, self.text, self.image = item, text, image

    def __repr__(self):
        if self.item is not None:
            return f"Query({self.item!r})"
        given = {"text": self.text, "image": self.image}
        return f"Query({', '.join(f'{k}={v!r}' for k, v in given.items() if v is not None)})"


def explode_documents(records):
    """Turn records with a text and images into items and ids, one item a row.

    A document with several parts is several rows with the same id; the retriever joins
    them again.

    Parameters
    ----------
    records : DataFrame or iterable of dict
        Each with any of ``text`` (str) and ``image`` (a ``Path`` or a str that is a path,
        a PIL image, a uint8 array of shape (H, W, 3)), or a list, tuple or array of
        several; and ``id``, where it is not given by the DataFrame's index or, for dicts,
        the position. An empty cell (None, NaN, ``pandas.NA``, an empty list, a text of
        blanks only) makes no row. Other columns are ignored.

    Returns
    -------
    items : list
        The texts (str) and images (a str in ``image`` becomes a ``Path``), record by
        record, a record's texts before its images.
    ids : list
        The id of the record of each item.

    Raises
    ------
    ValueError
        If records hold neither a text nor an image (the message names them), have an
        index that repeats, or some have an id and some none.
    TypeError
        If a text is not a str, or `records` is no DataFrame and no iterable of dicts.

    Examples
    --------
    >>> from gapremoval import explode_documents
    >>> items, ids = explode_documents([
    ...     {"id": "p1", "text": "red shoe", "image": ["p1-front.jpg", "p1-back.jpg"]},
    ...     {"id": "p2", "text": "blue hat", "image": None},
    ... ])
    >>> ids
    ['p1', 'p1', 'p1', 'p2']
    >>> items[0], items[1].name, items[3]
    ('red shoe', 'p1-front.jpg', 'blue hat')
    """
    items, ids, empty = [], [], []
    for record_id, record in _with_ids(records):
        texts = _cells(record.get("text"))
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(
                    f"The text of record {record_id!r} is a {type(text).__name__}, not a str: "
                    f"{str(text)[:60]}"
                )
        images = [Path(x) if isinstance(x, str) else x for x in _cells(record.get("image"))]
        if not texts and not images:
            empty.append(record_id)
        items += texts + images
        ids += [record_id] * (len(texts) + len(images))
    if empty:
        raise ValueError(
            f"{len(empty)} record{'s have' if len(empty) > 1 else ' has'} neither a text nor "
            f"an image: {shown(empty, 10)}. "
            "Fill them in or drop them; the columns read are 'text' and 'image'."
        )
    return items, ids


def _with_ids(records):
    """Pairs of an id and a dict for each record."""
    if isinstance(records, Mapping):
        raise TypeError("records is one dict; write [record] for a single record.")
    if hasattr(records, "iterrows"):
        index, repeats = records.index, not records.index.is_unique
        records = records.to_dict("records")
    else:
        records = list(records)
        index, repeats = range(len(records)), False
    for record in records:
        if not isinstance(record, Mapping):
            raise TypeError(
                "records must be a pandas DataFrame or a list of dicts with 'text' and 'image'; "
                f"got a {type(record).__name__}: {str(record)[:60]}"
            )
    named = [not is_missing(record.get("id")) for record in records]
    if any(named) and not all(named):
        raise ValueError(
            f"Record {named.index(False)} has no 'id' while others have one: give one to each, "
            "or to none."
        )
    if repeats and not all(named):
        raise ValueError(
            "The DataFrame's index repeats, so it cannot name the documents: add a column 'id', "
            "or call reset_index(drop=True)."
        )
    return zip((r["id"] for r in records) if all(named) else index, records)


def _cells(cell):
    """The items of a cell: none if it is empty or blank, several if it is a list."""
    # pandas reads the lists of a Parquet file as arrays; a picture is one of numbers.
    if isinstance(cell, np.ndarray) and cell.dtype.kind in "OU":
        cell = cell.tolist()
    cells = cell if isinstance(cell, list | tuple) else [cell]
    return [x for x in cells if not is_missing(x) and not (isinstance(x, str) and not x.strip())]

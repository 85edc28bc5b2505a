"""Records with a text and images as items and ids."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .._items import is_missing
from .._warnings import shown


def explode_documents(records):
    """Turn records with a text and images into items and ids, one item a row.

    A record with several parts gives several items with the same id, which the retriever
    fuses into one document.

    Parameters
    ----------
    records : DataFrame (pandas or polars), Arrow table or iterable of dict
        Columns ``text`` (str) and ``image`` (a ``Path``, a str that is a path, a PIL image or a
        uint8 array of shape (H, W, 3)), at least one of them. A cell may hold a list, tuple or
        array of several. An empty cell (None, NaN, ``pandas.NA``, an empty list, a blank text)
        gives no item. Ids are read from a column ``id``; without it, from the index of a pandas
        DataFrame, or else the position. Other columns are ignored.

    Returns
    -------
    items : list
        Texts (str) and images (a str in ``image`` becomes a ``Path``), record by record, the
        texts of a record before its images.
    ids : list
        For each item the id of its record.

    Raises
    ------
    ValueError
        If records hold neither a text nor an image (the message names them), only some have
        an id, or the index of a DataFrame has duplicates.
    TypeError
        If a text is not a str, or `records` is neither a table nor an iterable of dicts.

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
            f"an image: {shown(empty, 10)}. Fill them in or drop them; the columns read are "
            "'text' and 'image'."
        )
    return items, ids


def _with_ids(records):
    """Pairs of an id and a dict for each record."""
    if isinstance(records, Mapping):
        raise TypeError("records is one dict; write [record] for a single record.")
    index = None
    if hasattr(records, "iterrows"):  # pandas
        index, records = records.index, records.to_dict("records")
    else:  # a frame of polars, a table or array of Arrow, or an iterable
        listed = getattr(records, "to_dicts", getattr(records, "to_pylist", None))
        records = listed() if listed else list(records)
    for record in records:
        if not isinstance(record, Mapping):
            raise TypeError(
                "records must be a DataFrame, an Arrow table or a list of dicts with 'text' and "
                f"'image'; got a {type(record).__name__}: {str(record)[:60]}"
            )
    named = [not is_missing(record.get("id")) for record in records]
    if any(named) and not all(named):
        raise ValueError(
            f"Record {named.index(False)} has no 'id' while others have one: give one to each, "
            "or to none."
        )
    if all(named):
        return zip((record["id"] for record in records), records)
    if index is None:
        return enumerate(records)
    if not index.is_unique:
        raise ValueError(
            "The DataFrame's index repeats, so it cannot name the documents: add a column 'id', "
            "or call reset_index(drop=True)."
        )
    return zip(index, records)


def _cells(cell):
    """The items of a cell: none if it is empty or blank, several if it is a list."""
    # pandas reads the lists of a Parquet file as arrays; a picture is one of numbers.
    if isinstance(cell, np.ndarray) and cell.dtype.kind in "OU":
        cell = cell.tolist()
    cells = cell if isinstance(cell, list | tuple) else [cell]
    return [x for x in cells if not is_missing(x) and not (isinstance(x, str) and not x.strip())]

"""Records with texts and images as items and ids."""

from collections.abc import Mapping

import numpy as np

from .._items import Joint, Tagged, as_picture, is_missing
from .._modality import check_tag, is_query
from .._warnings import did_you_mean, shown


def explode_documents(records, *, text_columns=("text",), joint=False):
    """Turn records with texts and images into items and ids, one item a row.

    A record with several parts gives several items with the same id, which the retriever
    fuses into one document.

    Parameters
    ----------
    records : DataFrame (pandas or polars), Arrow table or iterable of dict
        Columns of texts (str), and ``image`` (a ``Path``, a str that is a path, a PIL image or a
        uint8 array of shape (H, W, 3)), at least one of them. A cell may hold a list, tuple or
        array of several. An empty cell (None, NaN, ``pandas.NA``, an empty list, a blank text)
        gives no item. Ids are read from a column ``id``; without it, from the index of a pandas
        DataFrame, or else the position. Other columns are ignored.
    text_columns : sequence of str, default=("text",)
        Columns of texts. Those of a column other than ``text`` have the column's name as their
        modality: with ``("text", "caption")`` the captions have a mean, an answer share and a
        fusion weight of their own.
    joint : bool, default=False
        Whether the texts in ``text`` and the images of a record become one `Joint` item, for an
        encoder that reads them together. Several texts are joined by line breaks. A record that
        has only one of them gives plain items, and texts of other columns stay items of their
        own.

    Returns
    -------
    items : list
        Texts (str, or `Tagged` with the name of the column) and images (a str in ``image``
        becomes a ``Path``), record by record, the texts of a record before its images. A `Joint`
        stands where its images would.
    ids : list
        For each item the id of its record.

    Raises
    ------
    ValueError
        If records hold neither a text nor an image (the message names them), only some have
        an id, the index of a DataFrame has duplicates, no record has one of `text_columns`, or
        a column cannot be the name of a modality of texts.
    TypeError
        If a text is not a str, or `records` is neither a table nor an iterable of dicts.

    See Also
    --------
    add_texts : Fills a column with texts that are read from the images.

    Examples
    --------
    >>> from gapremoval import explode_documents
    >>> records = [
    ...     {"id": "p1", "text": "red shoe", "image": ["p1-front.jpg", "p1-back.jpg"]},
    ...     {"id": "p2", "text": "blue hat", "caption": "a hat on a table"},
    ... ]
    >>> items, ids = explode_documents(records, text_columns=["text", "caption"])
    >>> ids
    ['p1', 'p1', 'p1', 'p2', 'p2']
    >>> items[0], items[1].name, items[4]
    ('red shoe', 'p1-front.jpg', Tagged('a hat on a table', 'caption'))
    >>> explode_documents(records[:1], joint=True)[0]
    [Joint(text='red shoe', image=[PosixPath('p1-front.jpg'), PosixPath('p1-back.jpg')])]
    """
    text_columns = text_columns if isinstance(text_columns, str) else list(text_columns)
    _check_text_columns(text_columns, joint)
    items, ids, empty, present = [], [], [], set()
    for record_id, record in with_ids(records):
        present.update(record)
        texts = {column: _texts_of(record, column, record_id) for column in text_columns}
        images = images_of(record)
        if joint and texts["text"] and images:
            try:
                images = [Joint(text="\n".join(texts.pop("text")), image=images)]
            except TypeError as error:
                raise TypeError(f"Record {record_id!r}: {error}") from None
        parts = [
            text if column == "text" else Tagged(text, column)
            for column, found in texts.items()
            for text in found
        ] + images
        if not parts:
            empty.append(record_id)
        items += parts
        ids += [record_id] * len(parts)
    # Every record may lack a text, and have an image.
    absent = [column for column in text_columns if column not in present | {"text"}]
    if absent and present:
        raise ValueError(
            f"No record has the text column{'s' if len(absent) > 1 else ''} {shown(absent)}; the "
            f"columns are {shown(sorted(map(str, present)), 20)}."
            f"{did_you_mean(absent[0], map(str, present))}"
        )
    if empty:
        *first, last = map(repr, [*text_columns, "image"])
        raise ValueError(
            f"{len(empty)} record{'s have' if len(empty) > 1 else ' has'} neither a text nor "
            f"an image: {shown(empty, 10)}; the columns read are {', '.join(first)} and {last}. "
            "Give yours these names, fill them in, or drop the records."
        )
    return items, ids


def _check_text_columns(text_columns, joint):
    if isinstance(text_columns, str):
        raise TypeError(f"text_columns is a list of columns: write [{text_columns!r}].")
    for column in text_columns:
        check_text_column(column)
    if joint and "text" not in text_columns:
        raise ValueError("joint=True joins images with the column 'text': add it to text_columns.")


def check_text_column(column):
    """Raise a ValueError unless a column can be the modality of the texts in it."""
    if is_query(check_tag(column)) or column in ("id", "image", "joint"):
        raise ValueError(
            f"A column of texts cannot be named {column!r}: the name becomes the modality of the "
            "texts, such as 'caption'."
        )


def _texts_of(record, column, record_id):
    texts = cells_of(record.get(column))
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(
                f"The {column} of record {record_id!r} is a {type(text).__name__}, not a str: "
                f"{str(text)[:60]}"
            )
    return texts


def images_of(record):
    """The images of a record: paths, PIL images and arrays."""
    return [*map(as_picture, cells_of(record.get("image")))]


def with_ids(records):
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


def cells_of(cell):
    """The items of a cell: none if it is empty or blank, several if it is a list."""
    # pandas reads the lists of a Parquet file as arrays; a picture is one of numbers.
    if isinstance(cell, np.ndarray) and cell.dtype.kind in "OU":
        cell = cell.tolist()
    cells = cell if isinstance(cell, list | tuple) else [cell]
    return [x for x in cells if not is_missing(x) and not (isinstance(x, str) and not x.strip())]

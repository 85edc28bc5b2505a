"""Items given to an encoder as rows: their modality, and the texts and pictures to encode."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._embeddings import EmbeddingArray
from .._items import (
    Joint,
    Query,
    Tagged,
    combined_parts,
    contents_of,
    is_item,
    is_missing,
    is_picture,
    item_modality,
    picture_suffixes,
)
from .._warnings import warn
from ..contents._error import listed
from ..contents._pictures import PICTURE


@dataclass(frozen=True)
class Row:
    """The modality of a row, and its parts.

    A part is a pair ``("text", str)``, ``("image", picture)`` or ``("joint", Joint)``. A row has
    two if it is a query with a text and a picture that are encoded apart.
    """

    modality: str
    parts: list


def read_rows(items, *, taker, warn_of_names=True):
    """Check items before anything is loaded.

    Parameters
    ----------
    items : sequence
        Texts (str), pictures, `Joint` and `Tagged` items, and `Query` objects around them. Arrays
        and columns of pandas, polars and pyarrow are sequences too.
    taker : str
        Name of the estimator, for the messages.
    warn_of_names : bool, default=True
        Whether to warn of texts that end like the name of a picture file.

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
        If `items` is a single item, or not a sequence of items.
    ValueError
        If some rows are neither texts nor pictures, or a text is the name of a picture file
        that exists. The message names all of them by row.
    """
    if isinstance(items, bytes) or is_item(items):
        shown = "picture" if is_picture(items) and not isinstance(items, Path) else repr(items)[:40]
        raise TypeError(
            f"{taker} takes a list of items and got a single {type(items).__name__}: write "
            f"[{shown}]. To search, call gapremoval.search(pipeline, {shown})."
        )
    if isinstance(items, EmbeddingArray):
        raise TypeError(
            f"{taker} takes texts and pictures, and these rows are encoded already: pass them to "
            "the steps behind the encoder, pipe[1:], or to pipe[-1] if their gap was removed."
        )
    is_table = isinstance(items, Mapping | Set) or hasattr(items, "columns")
    if is_table or not hasattr(items, "__len__"):
        raise TypeError(
            f"{taker} takes a list of texts and pictures; got a {type(items).__name__}. Records "
            "and DataFrames become items with gapremoval.explode_documents."
        )
    if hasattr(items, "to_pylist"):  # pyarrow yields scalars of its own
        items = items.to_pylist()
    rows, wrong, like_files, suffixes = [], [], [], picture_suffixes()
    for number, item in enumerate(items):
        try:
            row = _read_row(item)
            for text in (content for content in contents_of(item) if isinstance(content, str)):
                if Path(text).suffix.lower() in suffixes:
                    like_files.append(text)
                    if is_file(text):
                        raise ValueError(f"the text {text!r} names a picture file: wrap it in Path")
            rows.append(row)
        except ValueError as error:
            wrong.append(f"row {number}: {error}")
    if wrong:
        raise ValueError(f"{len(wrong)} of {number + 1} rows are not valid items. {listed(wrong)}")
    if not rows:
        raise ValueError(f"{taker} was given no items (0 samples): at least one is needed.")
    if like_files and warn_of_names:
        warn(
            f"{len(like_files)} texts end like the name of a picture, such as {like_files[0]!r}, "
            "and are read as texts: there is no such file."
        )
    return rows


def _read_row(item):
    """Row of an item, or a ValueError that says why it has none."""
    if combined_parts(item):
        raise ValueError(
            "the parts of a combined query are combined after the correction, so neither fit nor "
            "predict takes it: call gapremoval.search(pipeline, query), or "
            "gapremoval.combine_queries with the corrected rows of the parts"
        )
    content = item
    while isinstance(content, Query | Tagged) and content.item is not None:
        content = content.item
    if not isinstance(content, Query):
        return Row(item_modality(item), [_part(content)])
    names = [name for name in ("text", "image") if getattr(item, name) is not None]
    parts = [_part(content) for content in contents_of(item)]
    for name, (kind, content) in zip(names, parts):
        if kind != name:
            raise ValueError(f"the {name} of {item!r} is a {type(content).__name__}")
    return Row(item_modality(item), parts)


def _part(content):
    """Kind of a text, a picture or both together, and the content itself."""
    if is_picture(content):
        return "image", content
    if isinstance(content, Joint):
        return "joint", content
    if isinstance(content, str):
        return "text", str.__str__(content)
    if content is np.ma.masked or is_missing(content):
        raise ValueError(f"{content!r} is missing: drop it, or use gapremoval.explode_documents")
    if isinstance(content, np.ndarray):
        raise ValueError(f"an array of {content.dtype} and shape {content.shape}: {PICTURE}")
    raise ValueError(f"a {type(content).__name__}: an item is a str or a picture; {PICTURE}")


def never_a_name(text):
    """The same text for the network, and never taken for the name of a picture file."""
    return f"{text}\n"


def is_file(text):
    """Whether a file of this name exists; any text may be asked about."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a null
        return False

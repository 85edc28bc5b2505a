"""Validation of ``y``: the ids of documents and the relevance of queries."""

import numbers
from collections.abc import Hashable, Iterable, Mapping, Set
from contextlib import suppress

import numpy as np

from ._items import is_missing
from ._warnings import shown

# No id: True would be the document 1.
BOOLS = {bool, np.bool_}
SEVERAL = (list, tuple, set, frozenset, np.ndarray, Mapping)


def check_y(y, n_rows, name="y"):
    """Convert `y` to an array with one entry a row.

    Parameters
    ----------
    y : sequence of length n_rows
        A list, array, Series or the like; entries may themselves be lists or dicts.
    n_rows : int
    name : str, default="y"
        What messages call it.

    Returns
    -------
    ndarray of shape (n_rows,)
        Of signed integers if `y` was an array of such, else of objects.

    Raises
    ------
    ValueError
        If `y` is not a sequence, or has not `n_rows` entries.
    """
    if hasattr(y, "__array__") and not hasattr(y, "tolist"):
        y = np.asarray(y)
    kind = y.dtype.kind if isinstance(y, np.ndarray) and y.ndim == 1 else ""
    if kind != "i":
        # numpy makes a 2-D array of lists of equal length, and tolist() restores the lists. Of
        # times in nanoseconds it would make integers.
        y = y.tolist() if hasattr(y, "tolist") and kind not in ("m", "M") else y
        # The letters of a string, keys of a dict and items of a set do not correspond to rows.
        if not isinstance(y, Iterable) or isinstance(y, (str, bytes, Mapping, Set)):
            got = repr(y)[:60]
            hint = f" For one row write [{got}]." if n_rows == 1 else ""
            raise ValueError(f"{name} must be a sequence with an entry a row; got {got}.{hint}")
        y = np.fromiter(y, dtype=object)
    if len(y) != n_rows:
        raise ValueError(f"{name} has {len(y)} entries for {n_rows} rows: give one a row.")
    return y


def check_ids(ids, rows):
    """Validate document ids, and convert them to their common type.

    Floats without a fraction become integers, since pandas stores integers as floats in a
    column with missing values.

    Parameters
    ----------
    ids : ndarray of shape (n,)
        The id of each document row, from `check_y`.
    rows : array of int of shape (n,)
        Their row numbers, for messages.

    Returns
    -------
    ndarray of shape (n,)
        Of int64 if all ids are integers in its range, else of objects: str for strings of any
        class, int for integers, other ids unchanged.

    Raises
    ------
    ValueError
        If an id is missing, a bool, not hashable or a collection, or strings are mixed with ids
        of another type.
    """
    if ids.dtype.kind == "i":
        return ids.astype(np.int64)
    types = set(map(type, ids))
    if types == {str}:  # the common case needs no further look
        return ids
    with suppress(OverflowError):  # beyond int64
        if types == {int}:
            return ids.astype(np.int64)
    is_plain = all(issubclass(x, (str, int, float, np.number)) for x in types)
    if types & BOOLS or not is_plain or (ids != ids).any():
        for x, row in zip(ids, rows):
            is_bad = isinstance(x, SEVERAL) or type(x) in BOOLS or is_missing(x)
            if not isinstance(x, Hashable) or is_bad:
                raise ValueError(
                    f"Row {row} is a document, and its id in y is {x!r}: a document's id is "
                    "hashable, such as a string or a number, and never None, NaN, a bool, a list, "
                    "a tuple, a set or a dict. Relevance belongs to queries: mark their rows by a "
                    "modality such as 'query:text', in an EmbeddingArray or as modality=."
                )
    kind = kind_of_ids(ids)
    if kind == "string":
        return np.fromiter(map(str.__str__, ids), dtype=object)
    if any(issubclass(x, str) for x in types):
        examples = [next(x for x in ids if isinstance(x, str) == wanted) for wanted in (1, 0)]
        raise ValueError(
            f"Document ids mix strings with other types ({' and '.join(map(repr, examples))}): "
            "use one type, since '1' and 1 would be two documents."
        )
    with suppress(OverflowError):  # infinity, or beyond int64
        if kind == "number" and (whole := [*map(int, ids)]) == ids.tolist():
            ids = np.fromiter(whole, dtype=object)
            return ids.astype(np.int64)
    return ids


def kind_of_ids(ids):
    """The kind of validated ids: "number", "string" or "other"."""
    types = {int} if ids.dtype.kind == "i" else set(map(type, ids))
    if all(issubclass(x, str) for x in types):
        return "string"
    # numpy registers timedelta64 as an integer.
    real = all(issubclass(x, numbers.Real) and x is not np.timedelta64 for x in types)
    return "number" if real else "other"


def group_ids(ids):
    """Distinct validated ids, by first row, and the place of each row's id among them."""
    place = dict.fromkeys(ids.tolist())
    if len(place) == len(ids):
        return ids, np.arange(len(ids))
    place = {x: i for i, x in enumerate(place)}
    document = np.fromiter(map(place.__getitem__, ids.tolist()), np.intp, len(ids))
    return np.fromiter(place, ids.dtype, len(place)), document


def check_relevance(y):
    """Convert the relevance of queries to gains by document id.

    Parameters
    ----------
    y : iterable
        For each query an id, a list, tuple, set or array of ids (gain 1 each), or a dict of
        gains by id; None, NaN or ``pandas.NA`` if its relevance is unknown.

    Returns
    -------
    list of (dict of object to float, or None)

    Raises
    ------
    ValueError
        If an id is a bool or not hashable, one in a collection is missing, or a gain is not a
        finite number.
    """
    return [None if is_missing(answer) else _gains(answer, i) for i, answer in enumerate(y)]


def relevant_ids(gains):
    """The ids of the documents that answer one query: none if its gains are None."""
    return [id_ for id_, gain in (gains or {}).items() if gain > 0]


def modality_by_id(ids, modality):
    """The modality of each document, its parts' modalities joined by ``+``.

    Parameters
    ----------
    ids : iterable of length n_rows
        The document of each row.
    modality : iterable of str of length n_rows

    Returns
    -------
    dict of object to str
    """
    parts = {}
    for id_, name in zip(ids, modality):
        parts.setdefault(id_, set()).add(name)
    return {id_: "+".join(sorted(names)) for id_, names in parts.items()}


def modality_of_answers(relevance, modality_of):
    """The modality of the documents that answer each query.

    Parameters
    ----------
    relevance : list of (dict of object to float, or None)
        From `check_relevance`.
    modality_of : dict of object to str
        The modality of each document.

    Returns
    -------
    ndarray of object of shape (n_queries,)
        ``"several"`` where documents of several modalities answer, ``"none"`` where no document
        does or the relevance is unknown.
    """
    found = [{modality_of[x] for x in relevant_ids(gains)} for gains in relevance]
    names = ["several" if len(names) > 1 else next(iter(names), "none") for names in found]
    return np.array(names, dtype=object)


def is_unanswered(answer):
    """Whether the relevance of a query says that nothing answers it: an empty collection."""
    return isinstance(answer, SEVERAL) and not len(answer)


def _gains(answer, query):
    """The gains in the relevance of one query."""
    try:
        ids = answer if isinstance(answer, SEVERAL) else [answer]
        gains = answer if isinstance(answer, Mapping) else dict.fromkeys(ids, 1.0)
    except TypeError:
        raise ValueError(
            f"The relevance of query {query} holds something that is no id: {answer!r}. Give an "
            "id, a flat list of ids, or a dict of gains by id."
        ) from None
    if any(type(x) in BOOLS for x in ids):
        raise ValueError(
            f"The relevance of query {query} holds a bool, which is no id: {repr(answer)[:60]}. "
            "Give the ids of the documents that answer it."
        )
    for document, gain in gains.items():
        if is_missing(document):
            raise ValueError(f"The relevance of query {query} holds a missing id: {answer!r}.")
        if not isinstance(gain, numbers.Real) or not np.isfinite(gain):
            raise ValueError(
                f"The relevance of query {query} gives document {document!r} the gain {gain!r}: "
                "a gain is a finite number, and above 0 for what is relevant."
            )
    return {document: float(gain) for document, gain in gains.items()}


def check_known(ids, known, *, what, advice=""):
    """Raise a ValueError if ids are not in the corpus, or are of another type than its ids.

    Parameters
    ----------
    ids : iterable
        Ids to look up.
    known : ndarray of shape (n_documents,)
        The ids of the corpus.
    what : str
        Where `ids` come from, for the message, such as ``"relevance"``.
    advice : str, default=""
        A sentence for the message about ids that are not there.
    """
    corpus = dict.fromkeys(known.tolist())
    unknown = [x for x in dict.fromkeys(ids) if x not in corpus]
    if not unknown:
        return
    example = next(iter(corpus), None)
    if corpus and all(isinstance(x, str) != isinstance(example, str) for x in unknown):
        types = type(unknown[0]).__name__, type(example).__name__
        raise ValueError(
            f"The {what} names {shown(unknown)}, of type {types[0]}, while the ids of the corpus "
            f"are of type {types[1]} (such as {example!r}): use the same type."
        )
    raise ValueError(
        f"The {what} names {len(unknown)} unknown document{'s' if len(unknown) > 1 else ''}: "
        f"{shown(unknown)}.{' ' * bool(advice)}{advice}"
    )

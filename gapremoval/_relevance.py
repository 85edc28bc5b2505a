"""What ``y`` holds: the ids of documents and the relevance of queries."""

import numbers
from collections.abc import Hashable, Iterable, Mapping, Set
from contextlib import suppress

import numpy as np

from ._items import is_missing
from ._warnings import shown

SEVERAL = (list, tuple, set, frozenset, np.ndarray, Mapping)


def check_y(y, n_rows):
    """`y` as an array with an entry a row, whatever sequence it came in.

    Returns
    -------
    ndarray of shape (n_rows,)
        Signed integers as they are; all else as objects.

    Raises
    ------
    ValueError
        If it is no sequence, or has another length than the rows.
    """
    if hasattr(y, "__array__") and not hasattr(y, "tolist"):
        y = np.asarray(y)
    kind = y.dtype.kind if isinstance(y, np.ndarray) and y.ndim == 1 else ""
    if kind != "i":
        # tolist() undoes what numpy makes of lists of equal length, a 2-D array; but of times
        # in nanoseconds it makes integers.
        y = y.tolist() if hasattr(y, "tolist") and kind not in ("m", "M") else y
        # The letters of a string, the keys of a dict and the order of a set are no entries.
        if not isinstance(y, Iterable) or isinstance(y, (str, bytes, Mapping, Set)):
            raise ValueError(f"y must be a sequence with an entry a row; got {repr(y)[:60]}.")
        y = np.fromiter(y, dtype=object)
    if len(y) != n_rows:
        raise ValueError(f"y has {len(y)} entries for {n_rows} rows: give one a row.")
    return y


def check_ids(ids, rows):
    """Document ids in their common type: an array of int64, or of objects.

    Whole floats are integers: pandas turns integers into them where a column also holds
    missing values.

    Parameters
    ----------
    ids : ndarray of shape (n,)
        One id a document row, from `check_y`.
    rows : array of int of shape (n,)
        Their row numbers, for the messages.

    Returns
    -------
    ndarray of shape (n,)
        int64 where all ids are whole numbers in its range; else object: str for strings of
        any class, int for whole numbers, other ids as they are.

    Raises
    ------
    ValueError
        If an id is missing, unhashable or several (a list, set, dict), or strings are mixed
        with others.
    """
    if ids.dtype.kind == "i":
        return ids.astype(np.int64)
    types = set(map(type, ids))
    if types == {str}:  # the common cases, in which nothing is amiss
        return ids
    with suppress(OverflowError):  # beyond int64
        if types == {int}:
            return ids.astype(np.int64)
    if not all(issubclass(x, (str, int, float, np.number)) for x in types) or (ids != ids).any():
        for x, row in zip(ids, rows):
            if not isinstance(x, Hashable) or isinstance(x, SEVERAL) or is_missing(x):
                raise ValueError(
                    f"Row {row} is a document, and its id in y is {x!r}: a document's id is "
                    "hashable: one string, number or the like, never None, NaN, a list, a tuple, "
                    "a set or a dict. Relevance belongs to queries: mark their rows by a modality "
                    "such as 'query:text', in an EmbeddingArray or as modality=."
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
    with suppress(OverflowError):  # infinite, or beyond int64
        if kind == "number" and (whole := [*map(int, ids)]) == ids.tolist():
            ids = np.fromiter(whole, dtype=object)
            return ids.astype(np.int64)
    return ids


def kind_of_ids(ids):
    """What checked ids are: "number", "string" or "other"."""
    types = {int} if ids.dtype.kind == "i" else set(map(type, ids))
    if all(issubclass(x, str) for x in types):
        return "string"
    # numpy's timedelta64 calls itself an integer.
    real = all(issubclass(x, numbers.Real) and x is not np.timedelta64 for x in types)
    return "number" if real else "other"


def group_ids(ids):
    """Distinct checked ids in the order of their first row, and each row's place among them."""
    place = dict.fromkeys(ids.tolist())
    if len(place) == len(ids):
        return ids, np.arange(len(ids))
    place = {x: i for i, x in enumerate(place)}
    document = np.fromiter(map(place.__getitem__, ids.tolist()), np.intp, len(ids))
    return np.fromiter(place, ids.dtype, len(place)), document


def check_relevance(y):
    """The relevance of queries as a dict id -> gain each, or None where it is unknown.

    Parameters
    ----------
    y : iterable
        For each query an id, a list, tuple, set or array of ids (gain 1 each), a dict
        id -> gain, or None, NaN or ``pandas.NA``.

    Raises
    ------
    ValueError
        If an id in a collection is missing or unhashable, or a gain is no finite number.
    """
    return [None if is_missing(answer) else _gains(answer, i) for i, answer in enumerate(y)]


def _gains(answer, query):
    """The gain of each id in the answer to a query."""
    try:
        ids = answer if isinstance(answer, SEVERAL) else [answer]
        gains = answer if isinstance(answer, Mapping) else dict.fromkeys(ids, 1.0)
    except TypeError:
        raise ValueError(
            f"The relevance of query {query} holds something that is no id: {answer!r}. Give an "
            "id, a flat list of ids, or a dict id -> gain."
        ) from None
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
    """Raise if some of `ids` are not in the corpus, saying how they differ from its own.

    Parameters
    ----------
    ids : iterable
        Ids to look up.
    known : ndarray of shape (n_documents,)
        The ids of the corpus.
    what : str
        What names them, for the message: ``"relevance"``.
    advice : str, default=""
        How to mend it, where they are simply not there.
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

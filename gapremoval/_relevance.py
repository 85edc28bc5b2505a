"""What ``y`` holds: the ids of documents and the relevance of queries."""

import numbers
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress

import numpy as np

from ._items import is_missing

SEVERAL = (list, tuple, set, frozenset, np.ndarray)


def check_y(y, n_rows):
    """`y` as a list with an entry a row, whatever sequence it came in.

    Raises
    ------
    ValueError
        If it is no sequence, or has another length than the rows.
    """
    # tolist() also undoes what numpy makes of lists of equal length: a 2-D array.
    if hasattr(y, "__array__") and not hasattr(y, "tolist"):
        y = np.asarray(y)
    listed = y.tolist() if hasattr(y, "tolist") else y
    # The letters of a string, the keys of a dict and the order of a set are no entries.
    if not isinstance(listed, Iterable) or isinstance(listed, (str, bytes, Mapping, Set)):
        raise ValueError(f"y must be a sequence with an entry a row; got {repr(y)[:60]}.")
    listed = list(listed)
    if len(listed) != n_rows:
        raise ValueError(f"y has {len(listed)} entries for {n_rows} rows: give one a row.")
    return listed


def check_ids(ids, rows):
    """Document ids in their common type: int64, str, or else object.

    Whole floats count as integers: pandas turns integers into them where a column also
    holds missing values.

    Parameters
    ----------
    ids : list
        One id a document row.
    rows : array of int
        Their row numbers, for the messages.

    Raises
    ------
    ValueError
        If an id is missing, is several (a list, set, dict), or strings are mixed with
        others.
    """
    kinds = set()
    for kind in {type(x) for x in ids}:
        if issubclass(kind, (*SEVERAL, Mapping)):
            _refuse_id(ids, rows, lambda x, kind=kind: type(x) is kind)
        elif issubclass(kind, str):
            kinds.add("str")
        else:
            kinds.add("number" if issubclass(kind, numbers.Real) else "object")
    if any(not isinstance(x, str) and is_missing(x) for x in ids):
        _refuse_id(ids, rows, is_missing)
    if "str" in kinds and len(kinds) > 1:
        example = next(x for x in ids if not isinstance(x, str))
        raise ValueError(
            "Document ids mix strings with other types "
            f"({next(x for x in ids if isinstance(x, str))!r} and {example!r}): use one type, "
            "since '1' and 1 would be two documents."
        )
    common = None
    if kinds == {"str"}:
        common = np.array(ids, dtype=object)
    elif kinds == {"number"}:
        with suppress(OverflowError):  # infinite, or beyond int64
            common = np.array([int(x) for x in ids], dtype=np.int64)
    # Equal but for a fraction, and for NULs at a string's end, which numpy drops.
    if common is not None and common.tolist() == ids:
        return common
    boxed = np.empty(len(ids), dtype=object)
    boxed[:] = ids
    return boxed


def group_ids(ids):
    """Distinct ids in the order of their first row, and each row's place among them."""
    if ids.dtype.kind == "i" and (np.diff(ids) > 0).all():
        return ids, np.arange(len(ids))
    place = {}
    document = np.array([place.setdefault(x, len(place)) for x in ids.tolist()], np.intp)
    return ids[np.unique(document, return_index=True)[1]], document


def _refuse_id(ids, rows, is_wrong):
    """Raise for the first id that `is_wrong`."""
    at = next(i for i, x in enumerate(ids) if is_wrong(x))
    raise ValueError(
        f"Row {rows[at]} is a document, and its id in y is {ids[at]!r}: a document has one id, "
        "never None, NaN, a list, a tuple, a set or a dict. Relevance belongs to queries: mark "
        "their rows by a modality such as 'query:text', in an EmbeddingArray or as modality=."
    )


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
    return [_check_answer(answer, row) for row, answer in enumerate(y)]


def _check_answer(answer, row):
    if is_missing(answer):
        return None
    try:
        ids = answer if isinstance(answer, (*SEVERAL, Mapping)) else [answer]
        gains = answer if isinstance(answer, Mapping) else dict.fromkeys(ids, 1.0)
    except TypeError:
        raise ValueError(
            f"The relevance of query {row} holds something that is no id: {answer!r}. Give an "
            "id, a flat list of ids, or a dict id -> gain."
        ) from None
    for document, gain in gains.items():
        if is_missing(document):
            raise ValueError(f"The relevance of query {row} holds a missing id: {answer!r}.")
        if not isinstance(gain, numbers.Real) or not np.isfinite(gain):
            raise ValueError(
                f"The relevance of query {row} gives document {document!r} the gain {gain!r}: "
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
    corpus = known.tolist()
    have = set(corpus)
    unknown = [x for x in dict.fromkeys(ids) if x not in have]
    if not unknown:
        return
    shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
    example = next(iter(corpus), None)
    if corpus and all(isinstance(x, str) != isinstance(example, str) for x in unknown):
        raise ValueError(
            f"The {what} names {shown}, of type {type(unknown[0]).__name__}, while the ids of the "
            f"corpus are of type {type(example).__name__} (such as {example!r}): use the same type."
        )
    raise ValueError(
        f"The {what} names {len(unknown)} unknown document{'s' if len(unknown) > 1 else ''}: "
        f"{shown}.{' ' * bool(advice)}{advice}"
    )

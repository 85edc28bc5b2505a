"""The documents that are named by ids or a mask, as in among=, like= and remove."""

from collections.abc import Mapping

import numpy as np

from .._array_api import is_device_array, to_numpy
from .._items import is_missing
from .._relevance import BOOLS, check_known


def rows_among(index, documents, among):
    """The rows of the documents that ``among=`` selects.

    Parameters
    ----------
    index : Index
        The index of the documents.
    documents : Snapshot
        The whole corpus.
    among : id, collection of ids, mask, or pandas Series of bool indexed by id
        See `MixedModalityRetriever.search`.

    Returns
    -------
    dict of (str, bool) to ndarray of int
        By segment, ascending.

    Raises
    ------
    ValueError
        If an id is not in the corpus, a mask does not have one entry a document, or ids and
        bools are mixed.
    TypeError
        If `among` is no collection of ids, or a single bool.
    """
    chosen = _selected(documents, among, "among=")
    if isinstance(chosen, np.ndarray):
        return documents.rows_where(chosen)
    return documents.rows_at(_positions(index, documents, chosen, "among="))


def ids_to_remove(documents, ids):
    """The ids that are given, known or not, or those of the documents that a mask selects.

    They are read as `rows_among` reads them.

    Returns
    -------
    list
    """
    chosen = _selected(documents, ids, "remove")
    return documents.ids[chosen].tolist() if isinstance(chosen, np.ndarray) else chosen


def positions_like(index, documents, like):
    """The positions of the documents that ``like=`` names, as `rows_among` reads them.

    Returns
    -------
    ndarray of int of shape (n_queries,), at least one
    """
    ids = _listed(like, "like=")
    if not len(ids) or _is_mask(ids):
        raise ValueError(f"like= takes the ids of one or more documents; got {repr(like)[:60]}.")
    return _positions(index, documents, ids, "like=")


def _selected(documents, given, name):
    """The ids that are given, a list, or a mask of all documents in their order, an array."""
    values = _listed(given, name)
    if not _is_mask(values):
        return values
    mask = np.asarray(values, dtype=bool)
    if hasattr(given, "loc"):
        return given.index[mask].tolist()
    if len(mask) != len(documents):
        raise ValueError(
            f"{name} got a mask of {len(mask)} entries for {len(documents)} documents: give one a "
            "document, in the order of ids_, or give ids."
        )
    return mask


def _listed(given, name):
    """The ids as a list, or a mask as a list or an array of bool."""
    if getattr(given, "ndim", None) == 0:
        given = to_numpy(given)[()]
    if type(given) in BOOLS:
        raise TypeError(f"{name} takes an id or a flat collection of ids; {given} is no id.")
    if isinstance(given, str | bytes) or not np.iterable(given):
        return [given]
    if isinstance(given, Mapping) or getattr(given, "ndim", 1) != 1:
        raise TypeError(
            f"{name} takes an id or a flat collection of ids, such as the index or a column of a "
            f"table; got a {type(given).__name__}."
        )
    if str(getattr(given, "dtype", "")) in ("boolean", "bool[pyarrow]"):
        return given.to_numpy(dtype=bool, na_value=False)
    if hasattr(given, "to_pylist"):  # of Arrow
        values = given.to_pylist()
    elif is_device_array(given) or hasattr(given, "__array__"):
        values = to_numpy(given)
        if values.dtype.kind == "b":
            return values
        # Times would become integers.
        values = list(values) if values.dtype.kind in "mM" else values.tolist()
    else:
        return list(given)
    if BOOLS & set(map(type, values)):
        # As in pandas, a missing value does not select.
        return [False if is_missing(x) else x for x in values]
    return values


def _is_mask(values):
    """Whether these are bools, not ids. No id is a bool."""
    if isinstance(values, np.ndarray):
        return True
    types = set(map(type, values))
    if types & BOOLS and types - BOOLS:
        raise ValueError(
            f"{repr(values)[:60]} mixes bools with other values: give ids, or a mask of bools in "
            "the order of ids_."
        )
    return bool(types & BOOLS)


def _positions(index, documents, ids, name):
    """The positions of some ids, all of which must be in the corpus."""
    try:
        positions = index.find(ids, documents)
    except TypeError as error:
        raise TypeError(
            f"{name} takes an id or a flat collection of ids; got {repr(ids)[:60]} ({error})."
        ) from None
    if (positions < 0).any():
        check_known(ids, documents.ids, what=f"argument {name}")
        raise RuntimeError(f"The ids of {name} and the table of the index disagree.")
    return positions

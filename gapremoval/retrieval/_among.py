"""The documents that a search is restricted to (among=), and those that ask (like=)."""

from collections.abc import Mapping

import numpy as np

from .._array_api import is_device_array, to_numpy
from .._items import is_missing
from .._relevance import check_known

BOOLS = {bool, np.bool_}


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
        If `among` is no collection of ids.
    """
    values = _listed(among, "among")
    is_series = hasattr(among, "loc")
    if is_series and (str(among.dtype) == "boolean" or BOOLS & set(map(type, values))):
        # As in pandas, a missing value does not select.
        values = np.array([not is_missing(x) and x for x in values], dtype=bool)
    if not _is_mask(values):
        return documents.rows_at(_positions(index, documents, values, "among"))
    mask = np.asarray(values, dtype=bool)
    if is_series:
        ids = among.index[mask].tolist()
        return documents.rows_at(_positions(index, documents, ids, "among"))
    if len(mask) != len(documents):
        raise ValueError(
            f"among= is a mask of {len(mask)} entries for {len(documents)} documents: give one a "
            "document, in the order of ids_, or give ids."
        )
    return documents.rows_where(mask)


def positions_like(index, documents, like):
    """The positions of the documents that ``like=`` names, as `rows_among` reads them.

    Returns
    -------
    ndarray of int of shape (n_queries,), at least one
    """
    ids = _listed(like, "like")
    if not len(ids) or _is_mask(ids):
        raise ValueError(f"like= takes the ids of one or more documents; got {repr(like)[:60]}.")
    return _positions(index, documents, ids, "like")


def _listed(given, name):
    """The ids as a list, or a mask as a list or an array of bool."""
    if isinstance(given, str | bytes) or not np.iterable(given):
        return [given]
    if isinstance(given, Mapping) or getattr(given, "ndim", 1) != 1:
        raise TypeError(
            f"{name}= takes a flat collection of ids, such as the index or a column of a table; "
            f"got a {type(given).__name__}."
        )
    if hasattr(given, "to_pylist"):  # of Arrow
        return given.to_pylist()
    if is_device_array(given) or hasattr(given, "__array__"):
        given = to_numpy(given)
        if given.dtype.kind == "b":
            return given
        # Times would become integers.
        return list(given) if given.dtype.kind in "mM" else given.tolist()
    return list(given)


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
            f"{name}= takes a flat collection of ids; got {repr(ids)[:60]} ({error})."
        ) from None
    if (positions < 0).any():
        check_known(ids, documents.ids, what=f"argument {name}=")
    return positions

"""Checks of what a search is given besides its queries."""

from numbers import Integral

import numpy as np

from .._warnings import did_you_mean


def check_question(X, like, modality, n_neighbors):
    """Raise if it is unclear what asks, or for how many documents.

    Raises
    ------
    TypeError
        If there are both queries and documents that ask, or neither.
    ValueError
        If `n_neighbors` is no whole number of at least 1, or documents come with a modality.
    """
    if not isinstance(n_neighbors, Integral) or isinstance(n_neighbors, bool) or n_neighbors < 1:
        raise ValueError(f"n_neighbors must be a whole number of at least 1; got {n_neighbors!r}.")
    if (X is None) == (like is None):
        raise TypeError("Give either queries or like=, the ids of documents that ask.")
    if like is not None and modality is not None:
        raise ValueError("modality= is for queries: the modality of documents is known.")


def modalities_named(names, known):
    """The modalities that ``document_modality=`` names, parts in order: a list.

    Parameters
    ----------
    names : str or collection of str
    known : collection of str
        The modalities of all documents.

    Raises
    ------
    ValueError
        If no document has one of them, or none is named.
    """
    names = [names] if isinstance(names, str) or not np.iterable(names) else list(names)
    names = ["+".join(sorted(x.split("+"))) if isinstance(x, str) else x for x in names]
    if not names:
        raise ValueError("document_modality is empty: give a modality, or None for all.")
    known = sorted(known)
    for unknown in [name for name in names if name not in known]:
        raise ValueError(
            f"No document has the modality {unknown!r}; there are {', '.join(map(repr, known))}."
            f"{did_you_mean(str(unknown), known)}"
        )
    return names

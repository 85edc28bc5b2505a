"""Tagged rows as displays take them: before and after a pipeline's steps, and a sample of them."""

from collections.abc import Mapping

import numpy as np
from sklearn.utils import check_random_state

from .._embeddings import EmbeddingArray
from .._search import split_steps, transform_steps
from .._validation import HOW_TO_TAG, check_lengths, read_modality

RAW = "raw embeddings"


def named_rows(X, modality=None):
    """Several versions of the same rows, by name.

    Parameters
    ----------
    X : EmbeddingArray, array or dict of str to these
    modality : str or sequence of str, default=None
        The rows' modalities, where `X` does not carry them.

    Returns
    -------
    dict of str to EmbeddingArray
        On the host.

    Raises
    ------
    ValueError
        If the modalities are not known, or differ between the versions.
    """
    versions = X if isinstance(X, Mapping) else {RAW: X}
    if not versions:
        raise ValueError("X is an empty dict: give at least one EmbeddingArray.")
    versions = {name: _tagged(rows, modality) for name, rows in versions.items()}
    first = next(iter(versions.values())).modality
    for name, rows in versions.items():
        if not np.array_equal(rows.modality, first):
            raise ValueError(f"The modalities of {name!r} differ from those of the first rows.")
    return versions


def before_and_after(estimator, X, modality=None):
    """Rows before and after the steps of a fitted pipeline.

    Parameters
    ----------
    estimator : fitted Pipeline, search object or transformer
        A last step that searches is left out.
    X : EmbeddingArray, array or list of items
        For items the first step is their encoder, and its rows are those before.
    modality : str or sequence of str, default=None

    Returns
    -------
    dict of str to EmbeddingArray
    """
    steps, last = split_steps(estimator)
    steps = steps if hasattr(last, "search") else [*steps, last]
    tags = None
    if isinstance(X, list | tuple) and modality is None:
        X, tags = transform_steps(steps[:1], list(X))
        steps = steps[1:]
    versions = {RAW: _tagged(X, modality if tags is None else tags)}
    if steps:
        Z, tags = transform_steps(steps, *_as_given(X, versions[RAW]))
        names = ", ".join(type(step).__name__ for step in steps)
        versions[f"after {names}"] = _tagged(Z, tags)
    return versions


def _as_given(X, tagged):
    """Rows for the steps: an array stays one, for steps that were fitted on such."""
    return (X, None) if isinstance(X, EmbeddingArray) else (X, tagged._tags)


def _tagged(X, modality):
    tags = read_modality(X, modality)
    if tags is None:
        raise ValueError(f"The modalities of the rows are not known. {HOW_TO_TAG}")
    return EmbeddingArray(X, tags).to_host()


def unit_rows(X, rows):
    """Some rows, scaled to unit length, as float64; rows of zeros stay so.

    Raises
    ------
    ValueError
        If a row holds NaN or infinity.
    """
    values = np.asarray(X.values[rows], dtype=float)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    check_lengths(lengths)
    return values / np.where(lengths > 0, lengths, 1)


def sample_rows(X, max_rows, random_state):
    """Numbers of at most `max_rows` rows of each modality, by its name, ascending.

    Parameters
    ----------
    X : EmbeddingArray
    max_rows : int
    random_state : int, RandomState instance or None

    Returns
    -------
    dict of str to ndarray of int
    """
    random, modality = check_random_state(random_state), X.modality
    found = {}
    for name in X._tags.counts():
        rows = np.flatnonzero(modality == name)
        if len(rows) > max_rows:
            rows = np.sort(random.choice(rows, max_rows, replace=False))
        found[name] = rows
    return found

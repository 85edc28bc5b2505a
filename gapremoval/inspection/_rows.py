"""Tagged rows as displays take them: versions of the same rows, before and after a pipeline."""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

import numpy as np

from .._embeddings import EmbeddingArray
from .._items import is_item
from .._search import split_steps, transform_steps
from .._validation import read_modality
from ..metrics._rows import read

RAW = "raw embeddings"


def read_versions(X, modality=None):
    """Check several versions of the same rows.

    Parameters
    ----------
    X : EmbeddingArray, array or dict of str to these
    modality : str or sequence of str, default=None
        The rows' modalities, where `X` does not carry them.

    Returns
    -------
    versions : dict of str to MeasuredRows
        With the same positions: a row that has length zero in one version is left out of all.
    modality : ndarray of str of shape (n_rows,)

    Raises
    ------
    ValueError
        If the modalities are not known or differ between the versions, or rows hold NaN or
        infinity, or no row is left.
    """
    versions = X if isinstance(X, Mapping) else {RAW: X}
    versions = {name: read(rows, modality) for name, rows in versions.items()}
    if not versions:
        raise ValueError("X is an empty dict: give at least one EmbeddingArray.")
    first = next(iter(versions.values())).tags.to_array()
    for name, rows in versions.items():
        if not np.array_equal(rows.tags.to_array(), first):
            raise ValueError(f"The modalities of {name!r} differ from those of the first rows.")
    common = {}
    for name in next(iter(versions.values())).positions:
        at = reduce(np.intersect1d, (rows.positions.get(name, []) for rows in versions.values()))
        if len(at):
            common[name] = at
    if not common:
        raise ValueError("There is no row to draw: all rows have length zero, or X is empty.")
    return {name: replace(rows, positions=common) for name, rows in versions.items()}, first


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
    dict of str to EmbeddingArray or array
    """
    steps, last = split_steps(estimator)
    steps = steps if hasattr(last, "search") else [*steps, last]
    tags = read_modality(X, modality)
    if isinstance(X, list | tuple) and any(map(is_item, X)):
        X, tags = transform_steps(steps[:1], X)
        steps = steps[1:]
    versions = {RAW: _tagged(X, tags)}
    if steps:
        X, tags = transform_steps(steps, X, None if isinstance(X, EmbeddingArray) else tags)
        names = ", ".join(type(step).__name__ for step in steps)
        versions[f"after {names}"] = _tagged(X, tags)
    return versions


def _tagged(X, tags):
    return X if tags is None else EmbeddingArray(X, tags)

"""Validation of the rows that estimators are given, and of their modalities.

Modalities are given in one of two ways: by an EmbeddingArray, or by ``modality=`` beside a
plain array. Only this module tells them apart.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from ._array_api import (
    array_namespace,
    check_precision,
    is_device_array,
    is_lazy,
    namespace_and_device,
    row_blocks,
    row_lengths,
    take_rows,
    to_numpy,
)
from ._columns import as_rows
from ._embeddings import EmbeddingArray
from ._items import Joint, Query, Tagged
from ._modality import Tags
from ._origin import check_origin
from ._warnings import shown, warn

UNTAGGED = "unknown"

HOW_TO_TAG = (
    "Tag the rows with EmbeddingArray(X, modality); or, where a stock step such as PCA or "
    "Normalizer returns a bare array, pass modality= and call "
    "sklearn.set_config(enable_metadata_routing=True) first."
)

HOW_TO_SAMPLE = (
    "Give a sample of its rows, EmbeddingArray(X[rows].compute(), modality[rows].compute()). "
    "Only calibrators take Dask collections: all in transform, and ModalityGapRemover and others "
    "with partial_fit and merge in fit too."
)


@dataclass(frozen=True)
class Rows:
    """Validated rows: real numbers of shape (n_rows, n_features), and their tags."""

    values: object
    tags: Tags

    @cached_property
    def lengths(self):
        """Euclidean lengths of shape (n_rows,). Raises a ValueError for NaN and infinity."""
        return checked_lengths(self.values)

    def __getitem__(self, at):
        selected = Rows(take_rows(self.values, at), self.tags[at])
        vars(selected)["lengths"] = take_rows(self.lengths, at)
        return selected


def read_modality(X, modality=None):
    """Find the modality of each row or item.

    Parameters
    ----------
    X : EmbeddingArray, array-like or sequence of items
    modality : str or sequence of str, default=None
        The modalities; they take precedence over those of an EmbeddingArray.

    Returns
    -------
    Tags or None
        None if neither `X` nor `modality` tells.

    Raises
    ------
    ValueError
        If a tag is malformed or missing, or the number of tags is not the number of rows.
    """
    if modality is not None:
        tags = Tags.encode(modality, (getattr(X, "shape", None) or [len(X)])[0])
        return tags.of_origin(X._tags.origin) if isinstance(X, EmbeddingArray) else tags
    if isinstance(X, EmbeddingArray):
        return X._tags
    raw = isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype == object)
    if raw and any(isinstance(item, Query) for item in X):
        marked = ["query:item" if isinstance(item, Query) else "item" for item in X]
        return Tags.encode(marked, len(X))
    return None


def is_lazy_rows(X):
    """Whether rows are a Dask collection, tagged or not."""
    return is_lazy(X._values if isinstance(X, EmbeddingArray) else X)


def check_rows(estimator, X, modality=None, *, reset=False, known=(), origin=None):
    """Validate the rows given to an estimator, and find their modalities.

    NaN and infinity are not looked for: a separate pass costs as much as a whole fit. Row
    lengths, which every caller needs, reveal them (see `Rows.lengths`).

    Parameters
    ----------
    estimator : estimator
        Its `n_features_in_` is set or compared.
    X : EmbeddingArray, array-like or array of another library, (n_rows, n_features)
        The rows.
    modality : str or sequence of str, default=None
        Their modalities; they take precedence over those of an EmbeddingArray.
    reset : bool, default=False
        Whether this is a first fit.
    known : collection of str, default=()
        Modalities that the estimator was fitted on; empty during its first fit.
    origin : Origin, default=None
        The origin of the rows that the estimator was fitted on, where it is known.

    Returns
    -------
    Rows

    Warns
    -----
    UserWarning
        If the modalities are not given in a first fit: all rows are then ``"unknown"``.

    Raises
    ------
    ValueError
        If the rows are not a numeric 2-D array with at least one row and the fitted number
        of features, come from another encoder than those that were fitted, or their modalities
        are not given after a fit with several.
    TypeError
        If the rows are a Dask collection.
    """
    if isinstance(X, EmbeddingArray):
        # First, since other weights may give another number of features too.
        check_origin(X._tags.origin, origin, f"this {type(estimator).__name__}")
    values = X._values if isinstance(X, EmbeddingArray) else X
    if is_lazy(values):
        raise TypeError(
            f"{type(estimator).__name__} takes rows in memory here, and got a Dask "
            f"{type(values).__name__}. {HOW_TO_SAMPLE}"
        )
    if reset or not _is_plainly_right(estimator, values):
        if not reset:
            check_is_fitted(estimator)
        if is_device_array(values):
            values = _check_device_array(estimator, values, reset)
        else:
            values = as_rows(values)
            _refuse_items(estimator, values)
            # Integers stay integers here: they are converted block by block.
            values = validate_data(estimator, values, reset=reset, ensure_all_finite=False)
    tags = read_modality(X, modality)
    if tags is None:
        tags = Tags.encode(assumed_modality(estimator, known), values.shape[0])
    return Rows(values, tags)


def _is_plainly_right(estimator, values):
    """Whether `validate_data`, which takes long, would return `values` unchanged."""
    if type(values) is not np.ndarray or values.ndim != 2 or values.dtype.char not in "efd":
        return False
    fits = len(values) > 0 and values.shape[1] == getattr(estimator, "n_features_in_", None)
    return fits and not hasattr(estimator, "feature_names_in_")


def _refuse_items(estimator, values):
    """Raise for raw texts and pictures, which an encoder turns into rows."""
    raw, first = str | bytes | Path | Query | Joint | Tagged, values
    if isinstance(values, list | tuple) or getattr(values, "shape", ()):
        first = next(iter(np.asarray(values[:1], dtype=object).ravel()), None)
    if isinstance(first, raw):
        raise (TypeError if isinstance(values, raw) else ValueError)(
            f"{type(estimator).__name__} takes rows of embeddings, and got raw items such as "
            f"{first!r}: put an encoder before it in the pipeline, and pass a list of items. To "
            "search with one item, call gapremoval.search(pipeline, item)."
        )


def _check_device_array(estimator, values, reset):
    """As `validate_data`, for an array that stays on its device."""
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            "Expected a 2-D array with at least one row and one feature; got shape "
            f"{tuple(values.shape)}."
        )
    check_precision(values)
    validate_data(estimator, values, reset=reset, skip_check_array=True)
    xp = array_namespace(values)
    if xp.isdtype(values.dtype, "complex floating"):
        raise ValueError("Complex data not supported.")
    return values if xp.isdtype(values.dtype, "real floating") else xp.astype(values, xp.float32)


def assumed_modality(estimator, known):
    """The modality of untagged rows."""
    name, known = type(estimator).__name__, list(known)
    if not known:
        warn(
            f"{name} was fitted on an array without modalities: all rows are taken as documents "
            f"of one modality, {UNTAGGED!r}, and no gap is removed. {HOW_TO_TAG}",
        )
        return UNTAGGED
    if len(known) > 1:
        raise ValueError(
            f"{name} was fitted on the modalities {', '.join(map(repr, known))}, and this array "
            f"does not say which its rows have. {HOW_TO_TAG}"
        )
    return known[0]


def check_lengths(lengths, first_row=0):
    """Raise a ValueError if row lengths reveal NaN or infinity, and name the rows.

    Parameters
    ----------
    lengths : array of shape (n_rows,)
        As returned by `unit_rows`.
    first_row : int, default=0
        Number of the first of these rows, for the message.
    """
    lengths = to_numpy(lengths)
    if np.isfinite(lengths).all():
        return
    wrong = first_row + np.flatnonzero(~np.isfinite(lengths))
    kind = "NaN" if np.isnan(lengths).any() else "infinity"
    raise ValueError(
        f"Input X contains {kind} in row {shown(wrong.tolist())}: drop such rows, or encode "
        "their items again."
    )


def compute_dtype(values):
    """The dtype in which rows are computed: float32 for floats of up to 32 bits, else float64."""
    xp = array_namespace(values)
    is_wide = values.dtype == xp.float64 or not xp.isdtype(values.dtype, "real floating")
    return xp.float64 if is_wide else xp.float32


def checked_lengths(values, first_row=0):
    """The Euclidean length of each row, block by block.

    Parameters
    ----------
    values : array of shape (n_rows, n_features)
    first_row : int, default=0
        Number of the first of these rows, for the message.

    Returns
    -------
    array of shape (n_rows,)

    Raises
    ------
    ValueError
        If a row holds NaN or infinity.
    """
    xp, place = namespace_and_device(values)
    dtype = compute_dtype(values)
    lengths = xp.empty(values.shape[0], dtype=dtype, device=place)
    for rows in row_blocks(values):
        lengths[rows] = row_lengths(xp.astype(values[rows, ...], dtype, copy=False))
        check_lengths(lengths[rows], first_row=first_row + rows.start)
    return lengths

"""The gate: every estimator's rows and their modalities come in through here.

The only file that knows the two ways to bring tags: an EmbeddingArray, or a plain array
with ``modality=``.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from ._array_api import (
    array_namespace,
    is_device_array,
    namespace_and_device,
    row_blocks,
    row_lengths,
    take_rows,
    to_numpy,
)
from ._embeddings import EmbeddingArray
from ._items import Query
from ._modality import Tags
from ._warnings import shown, warn

UNTAGGED = "unknown"

HOW_TO_TAG = (
    "Tag the rows with EmbeddingArray(X, modality); or, where a stock step such as PCA or "
    "Normalizer returns a bare array, pass modality= and call "
    "sklearn.set_config(enable_metadata_routing=True) first."
)


@dataclass(frozen=True)
class Rows:
    """Checked rows: real numbers of shape (n_rows, n_features), and their tags."""

    values: object
    tags: Tags

    @cached_property
    def lengths(self):
        """Their Euclidean lengths, shape (n_rows,); raises for NaN and infinity."""
        return checked_lengths(self.values)

    def __getitem__(self, at):
        some = Rows(take_rows(self.values, at), self.tags[at])
        vars(some)["lengths"] = take_rows(self.lengths, at)
        return some


def read_modality(X, modality=None):
    """The tags of rows, items or embeddings, or None where nothing brings them.

    Raises
    ------
    ValueError
        If a tag is malformed or missing, or the tags do not match the rows.
    """
    if modality is not None:
        return Tags.encode(modality, (getattr(X, "shape", None) or [len(X)])[0])
    if isinstance(X, EmbeddingArray):
        return X._tags
    raw = isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype == object)
    if raw and any(isinstance(item, Query) for item in X):
        marked = ["query:item" if isinstance(item, Query) else "item" for item in X]
        return Tags.encode(marked, len(X))
    return None


def check_rows(estimator, X, modality=None, *, reset=False, known=()):
    """Check the rows given to an estimator, and find their modalities.

    Finiteness is not checked here: that costs as much as a whole fit, and the row lengths
    that every caller needs anyway show it (see `Rows.lengths`).

    Parameters
    ----------
    estimator : estimator
        Whose `n_features_in_` is set or compared.
    X : EmbeddingArray, array-like or array of another library, (n_rows, n_features)
        The rows.
    modality : str or sequence of str, default=None
        Their modalities; wins over the tags that `X` carries.
    reset : bool, default=False
        Whether this is a first fit.
    known : collection of str, default=()
        The modalities that the estimator was fitted on; empty while it is being fitted.

    Returns
    -------
    Rows

    Warns
    -----
    UserWarning
        If nothing says the modalities while fitting: all rows are then ``"unknown"``.

    Raises
    ------
    ValueError
        If the rows are not a 2-D numeric array with at least one row and the fitted number
        of features, or nothing says their modalities after a fit with several.
    """
    values = X._values if isinstance(X, EmbeddingArray) else X
    if reset or not _is_plainly_right(estimator, values):
        if not reset:
            check_is_fitted(estimator)
        _refuse_items(estimator, values)
        if is_device_array(values):
            values = _check_device_array(estimator, values, reset)
        else:
            # Integers stay as they are: converting them all at once would take a copy.
            values = validate_data(estimator, values, reset=reset, ensure_all_finite=False)
    tags = read_modality(X, modality)
    if tags is None:
        tags = Tags.encode(_assumed_modality(estimator, known), values.shape[0])
    return Rows(values, tags)


def _is_plainly_right(estimator, values):
    """Whether `validate_data`, which makes a hundred calls, would return `values` as they are."""
    if type(values) is not np.ndarray or values.ndim != 2 or values.dtype.char not in "efd":
        return False
    fits = len(values) > 0 and values.shape[1] == getattr(estimator, "n_features_in_", None)
    return fits and not hasattr(estimator, "feature_names_in_")


def _refuse_items(estimator, values):
    """Raw texts and pictures have a way to go before they are rows."""
    raw, first = str | bytes | Path | Query, [values]
    texts = isinstance(values, np.ndarray) and values.dtype.kind in "OU"
    if isinstance(values, list | tuple) or texts or hasattr(values, "iloc"):
        first = np.asarray(values[:1], dtype=object).ravel()[:1]
    if len(first) and isinstance(first[0], raw):
        raise (TypeError if isinstance(values, raw) else ValueError)(
            f"{type(estimator).__name__} takes rows of embeddings, and got raw items such as "
            f"{first[0]!r}: put an encoder before it, and give that a list. To search with one "
            "item, call gapremoval.search(pipeline, item)."
        )


def _check_device_array(estimator, values, reset):
    """What `validate_data` checks, for an array that must stay where it is."""
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"Expected a 2-D array with a row and a feature at least; got {tuple(values.shape)}."
        )
    validate_data(estimator, values, reset=reset, skip_check_array=True)
    xp = array_namespace(values)
    if xp.isdtype(values.dtype, "complex floating"):
        raise ValueError("Complex data not supported.")
    return values if xp.isdtype(values.dtype, "real floating") else xp.astype(values, xp.float32)


def _assumed_modality(estimator, known):
    """The modality of rows that carry none."""
    name, known = type(estimator).__name__, list(known)
    if not known:
        warn(
            f"{name} was fitted on an array without modalities: all rows count as one "
            f"modality, {UNTAGGED!r}, none as a query, and no gap is removed. {HOW_TO_TAG}",
        )
        return UNTAGGED
    if len(known) > 1:
        raise ValueError(
            f"{name} was fitted on rows of modality {', '.join(map(repr, known))}, and this "
            f"array does not say which its rows have. {HOW_TO_TAG}"
        )
    return known[0]


def check_lengths(lengths, first_row=0):
    """Raise if some row lengths show NaN or infinity in their rows.

    Parameters
    ----------
    lengths : array of shape (n_rows,)
        As returned by `unit_rows`.
    first_row : int, default=0
        The number of the first of these rows, for the message.
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
    """What rows are computed in: float32 for floats up to that, else float64."""
    xp = array_namespace(values)
    is_wide = values.dtype == xp.float64 or not xp.isdtype(values.dtype, "real floating")
    return xp.float64 if is_wide else xp.float32


def checked_lengths(values):
    """The Euclidean length of each row, block by block.

    Parameters
    ----------
    values : array of shape (n_rows, n_features)

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
        check_lengths(lengths[rows], first_row=rows.start)
    return lengths

"""Calibrator, the base of the calibrators: rows are validated, learned from and mapped."""

import numpy as np
from sklearn.base import OneToOneFeatureMixin, _fit_context

from .._array_api import (
    array_namespace,
    full_precision,
    row_blocks,
    take_rows,
    to_numpy,
    unit_rows,
)
from .._base import GapEstimator
from .._embeddings import EmbeddingArray
from .._modality import is_query, meant_modality, parts_of
from .._validation import UNTAGGED, check_lengths, check_rows, compute_dtype, is_lazy_rows
from .._warnings import warn
from ._centers import ROUNDING, fallback_modalities

# Fewer rows than this say little about a mean: a single row is centered to zero.
FEW_ROWS = 16


class Calibrator(OneToOneFeatureMixin, GapEstimator):
    """Base of the calibrators, which map each row by what was learned about its modality.

    A calibrator learns from validated rows in `_take`, which sets `counts_`, and maps unit rows
    of one modality in `_map`.
    """

    _origin = None
    # Whether rows are transformed alike whatever their modality, so that they need no tags.
    _maps_all_alike = False

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, modality=None):
        """Learn from the rows of each modality.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Documents and, if there are any, queries. Calibrators with ``merge`` take Dask arrays
            of rows, and columns of vectors of a Dask DataFrame, too.
        y : object, default=None
            Ignored, except by calibrators that learn from pairs: the ids of documents.
        modality : str or sequence of str of shape (n_rows,), default=None
            The modality of each row; not needed for an EmbeddingArray. Beside lazy rows, a Dask
            array or column.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If rows hold NaN or infinity, modalities are malformed or do not match the rows,
            or a parameter does not fit the rows.
        """
        self._learn(X, y, modality)
        self._warn_of_few_rows()
        return self

    def transform(self, X, *, modality=None):
        """Map each row by what was learned about its modality.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The rows; they may be a Dask array, or a column of vectors of a Dask DataFrame.
        modality : str or sequence of str of shape (n_rows,), default=None
            The modality of each row; not needed for an EmbeddingArray. A Dask array or column
            beside lazy rows.

        Returns
        -------
        EmbeddingArray or array of shape (n_rows, n_features)
            The calibrated rows: the same kind of array as `X`, on the same device and in the
            same dtype. Integers become float64 (float32 in tensors). Dask arrays and columns
            stay lazy.

        Raises
        ------
        ValueError
            If a modality was not fitted and has no fallback, rows hold NaN or infinity, come
            from another encoder than the fitted ones or were transformed before, or a
            parameter was changed since the fit.

        Warns
        -----
        UserWarning
            If rows have length zero (they stay zero), or the center of a query modality comes
            from a prior alone.
        """
        self._refuse_changed_parameters()
        known = list(getattr(self, "counts_", ()))[: 1 if self._maps_all_alike else None]
        if is_lazy_rows(X):
            from ._dask import LazyRows

            rows = LazyRows.of(self, X, modality, known=known, origin=self._origin)
            return _like(X, rows.transformed(self), rows.legend)
        rows = check_rows(self, X, modality, known=known, origin=self._origin)
        calibrated, n_zero = self._map_rows(rows)
        warn_of_zero_rows(n_zero)
        return _like(X, calibrated, rows.tags)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None, *, modality=None):
        """Learn from the rows of each modality, and map them.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Documents and, if there are any, queries.
        y : object, default=None
            As in `fit`.
        modality : str or sequence of str of shape (n_rows,), default=None
            The modality of each row; not needed for an EmbeddingArray.

        Returns
        -------
        EmbeddingArray or array of shape (n_rows, n_features)
            As from `transform`.

        Raises
        ------
        ValueError
            As in `fit` and `transform`.
        """
        if is_lazy_rows(X):
            return self.fit(X, y, modality=modality).transform(X, modality=modality)
        rows, lengths = self._learn(X, y, modality)
        self._warn_of_few_rows()
        return _like(X, self._map_rows(rows, lengths)[0], rows.tags)

    @property
    def encoder_(self):
        """The encoder of the fitted rows, or None."""
        return getattr(self._origin, "encoder", None)

    def _learn(self, X, y, modality, *, again=False):
        """Learn from rows, `again` or for the first time; return them and their lengths."""
        with self._fitting() as copy:
            known, origin = (self.counts_, self._origin) if again else ((), None)
            rows = check_rows(copy, X, modality, reset=not again, known=known, origin=origin)
            if again:
                self._refuse_changed_parameters()
            else:
                copy._fix_parameters()
            copy._origin = origin or rows.tags.origin
            lengths = copy._take(rows, y, again)
        return rows, lengths

    def _take(self, rows, y, again):
        """Learn from `Rows`, `again` or for the first time; return their lengths, or None."""
        raise NotImplementedError

    def _map(self, rows, name):
        """Map rows of the modality `name`, which have unit length (but for several parts)."""
        raise NotImplementedError

    def _map_rows(self, rows, lengths=None):
        """The calibrated rows, and the number of rows of length zero."""
        return map_rows(rows, self._map, self.norm)

    def _fallback(self, name, fitted):
        """The modalities among `fitted` that stand for `name`; an error if there are none."""
        if names := fallback_modalities(name, fitted):
            return names
        known = f"{', '.join(map(repr, self.counts_))}.{meant_modality(name, self.counts_)}"
        or_prior = ", or give a prior for {}" * hasattr(self, "prior")
        if is_query(name):
            raise ValueError(
                f"{name!r} was not fitted and has no fallback: neither such queries nor documents "
                f"of {' and '.join(map(repr, parts_of(name)))} were fitted, only {known} Add "
                f"typical questions to the fitted rows, tagged {name!r} with y None"
                f"{or_prior.format(repr(name))}."
            )
        raise ValueError(
            f"Modality {name!r} was not fitted; fitted were {known} Fit on rows of {name!r} "
            f"too{or_prior.format('it')}."
        )

    def _mean_of(self, values, name):
        """The value of a modality, or the mean of the values that stand for it."""
        names = self._fallback(name, values)
        return values[names[0]] if len(names) == 1 else np.mean([values[k] for k in names], axis=0)

    def _warn_of_few_rows(self):
        prior = getattr(self, "prior", None) or ()
        few = {
            name: n
            for name, n in self.counts_.items()
            if n < FEW_ROWS and not is_query(name) and name not in {UNTAGGED, *prior}
        }
        if few:
            shown = ", ".join(f"{n} of {name!r}" for name, n in few.items())
            or_prior = ", or a prior" * hasattr(self, "prior")
            warn(
                f"Few rows to take a mean from: {shown}. With fewer than {FEW_ROWS} rows the "
                "center is mostly noise (a single row is centered to zero and never found, two "
                f"rows become opposites): give more rows{or_prior}.",
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags


def map_rows(rows, mapping, norm):
    """Map unit rows, block by block and modality by modality.

    Parameters
    ----------
    rows : Rows
        Scaled to unit length before, except for query rows of several parts.
    mapping : callable
        Takes rows of shape (n, n_features), in float32 or float64, and the name of their
        modality, and returns as many.
    norm : {"l2", None}
        Whether the result is scaled to unit length.

    Returns
    -------
    mapped : array of shape (n_rows, n_features)
        In the dtype of the rows, or the dtype they are computed in if that is not floating.
        Rows of length zero stay zero, and rows of which but a rounding error is left become so.
    n_zero : int
        Their number.

    Raises
    ------
    ValueError
        If a row holds NaN or infinity.
    """
    values, tags = rows.values, rows.tags
    xp, dtype = array_namespace(values), compute_dtype(values)
    is_floating = xp.isdtype(values.dtype, "real floating")
    out = xp.empty_like(values, dtype=None if is_floating else dtype)
    keeps_length = np.array([len(parts_of(name)) > 1 for name in tags.names])
    n_zero = 0
    with full_precision(values):
        for at in row_blocks(values):
            block, codes = xp.astype(values[at, ...], dtype, copy=False), tags.codes[at]
            unit, lengths = unit_rows(block)
            check_lengths(lengths, first_row=at.start)
            order, has_length = np.argsort(codes, kind="stable"), to_numpy(lengths) > 0
            pieces = []
            for code in np.unique(codes):
                of_name = order[codes[order] == code]
                piece = take_rows(block if keeps_length[code] else unit, of_name)
                has_rows = has_length[of_name].any()
                pieces.append(mapping(piece, tags.names[code]) if has_rows else piece)
            mapped = take_rows(xp.concat(pieces), np.argsort(order))
            unit, left = unit_rows(mapped)
            has_direction = (lengths > 0) & (left > ROUNDING * xp.finfo(dtype).eps)
            mapped = mapped if norm is None else unit
            mapped = xp.where(has_direction[:, None], mapped, xp.zeros_like(mapped))
            out[at, ...] = xp.astype(mapped, out.dtype, copy=False)
            n_zero += int((~has_length).sum())
    return out, n_zero


def _like(X, values, tags):
    """Calibrated rows as an EmbeddingArray if `X` is one, else as a bare array."""
    if not isinstance(X, EmbeddingArray):
        return values
    origin = tags.origin and tags.origin._replace(is_centered=True)
    return EmbeddingArray(values, tags.of_origin(origin))


def warn_of_zero_rows(n_zero):
    """Warn of rows of length zero, if there are any."""
    if n_zero:
        warn(
            f"{n_zero} row{'s have' if n_zero > 1 else ' has'} length zero: left out of the "
            "means, and zero after the correction. The usual cause is a failed encoding.",
        )

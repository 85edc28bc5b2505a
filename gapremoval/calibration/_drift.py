"""drift: the distance of the means of new rows from the fitted means."""

import numpy as np

from .._array_api import to_numpy
from .._modality import parts_of
from .._validation import check_rows
from ._moments import unit_moments


def drift(remover, X, *, modality=None):
    """Distance between the means of new rows and the fitted means, in standard errors.

    The means of a remover stay as fitted while a corpus grows. The drift tells when to fit
    again: it is about 1 by chance, for any number of rows, and far larger if the new rows come
    from elsewhere.

    Parameters
    ----------
    remover : ModalityGapRemover
        A fitted remover.
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        New rows, before the remover has transformed them.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    dict of str to float
        The drift of each modality among the rows, at least 0. NaN if it cannot be computed: the
        modality was not fitted (a prior or a fallback is not enough), all its rows have length
        zero, or its spread is unknown (one row on either side; one row of several parts).

    Raises
    ------
    NotFittedError
        If the remover is not fitted.
    ValueError
        If rows hold NaN or infinity, have another number of features, or their modalities are
        not known.

    Notes
    -----
    For n new rows with mean m and n' fitted rows with mean m' the drift is ::

        |m - m'| / sqrt(v / n + v' / n'),    v = (q - |m|^2) n / (n - 1)

    where q is the mean squared length of the rows, so v is the trace of their covariance, and
    v' likewise. As in the remover, rows have unit length, so q = 1 and v' follows from the
    fitted mean; rows of length zero are left out. Rows of several parts (``query:image+text``)
    keep their length; v replaces v' for them, and for a single fitted row. For a single new row
    v' replaces v. The expected square is 1 if both samples have the same distribution. The drift
    does not change if rows are scaled or rotated.

    It tells whether the means differ, not how much that costs: with many rows, a small
    difference is many standard errors.

    References
    ----------
    .. [1] Bai and Saranadasa, "Effect of high dimension: by an example of a two sample
       problem", Statistica Sinica 6, 1996: the distance of two means beside its expectation,
       by traces alone; here without a common covariance.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import EmbeddingArray, ModalityGapRemover
    >>> from gapremoval.calibration import drift
    >>> rng = np.random.default_rng(0)
    >>> X = EmbeddingArray(rng.normal(size=(3000, 64)) + 1, "image")
    >>> remover = ModalityGapRemover().fit(X[:2000])
    >>> round(drift(remover, X[2000:])["image"], 1)
    1.1
    >>> elsewhere = EmbeddingArray(X.values[2000:] + np.eye(64)[0], "image")
    >>> round(drift(remover, elsewhere)["image"], 1)
    3.4
    """
    known = getattr(remover, "counts_", ())
    checked = check_rows(remover, X, modality, known=known, origin=remover._origin)
    tags = checked.tags
    is_unit = np.array([len(parts_of(name)) == 1 for name in tags.names])
    counts, means, lengths = unit_moments(checked.values, tags.codes, is_unit)
    squares = np.ones(len(counts))
    if not is_unit.all():
        lengths = to_numpy(checked.lengths if lengths is None else lengths).astype(float)
        sums = np.bincount(tags.codes, lengths**2, minlength=len(counts))
        squares = np.where(is_unit, 1, sums / np.maximum(counts, 1))
    found = {}
    for name in tags.counts():
        at, n_fitted = tags.names.index(name), remover.counts_.get(name, 0)
        if not (counts[at] and n_fitted):
            found[name] = np.nan
            continue
        fitted = remover.means_[name]
        spread = _spread(counts[at], means[at], squares[at])
        of_fitted = _spread(n_fitted, fitted, 1 if is_unit[at] else np.nan)
        spread = of_fitted if np.isnan(spread) else spread
        of_fitted = spread if np.isnan(of_fitted) else of_fitted
        error = np.sqrt(spread / counts[at] + of_fitted / n_fitted)
        found[name] = float(np.linalg.norm(means[at] - fitted) / error)
    return found


def _spread(n_rows, mean, square):
    """The trace of the covariance of rows of mean squared length `square`; NaN if unknown."""
    if n_rows < 2:
        return np.nan
    # At least the rounding error of equal rows.
    return max(square - mean @ mean, 1e-15 * square) * n_rows / (n_rows - 1)

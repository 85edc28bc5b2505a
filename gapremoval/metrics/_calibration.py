"""Calibration of probabilities."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d


def expected_calibration_error(y_true, y_prob, *, n_bins=10, strategy="uniform"):
    """Expected calibration error: mean gap between confidence and accuracy.

    Predictions are binned by their probability. The error is the mean of ``|accuracy - mean
    probability|`` over the bins, weighted by their size.

    Parameters
    ----------
    y_true : array-like of bool of shape (n_predictions,)
        Whether each prediction was right, such as ``found.ids[:, 0] == answers``.
    y_prob : array-like of float of shape (n_predictions,)
        Its probability, in [0, 1], such as ``found.probabilities[:, 0]``.
    n_bins : int, default=10
        Number of bins, at least 1. With few predictions per bin the error is biased upwards.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal size.

    Returns
    -------
    float
        In [0, 1]; 0 is best.

    Raises
    ------
    ValueError
        If there is no prediction, lengths differ, a probability is NaN or outside [0, 1],
        or `y_true` is not boolean.

    References
    ----------
    .. [1] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.

    Examples
    --------
    >>> from gapremoval.metrics import expected_calibration_error
    >>> round(expected_calibration_error([True, True, False, True], [0.9, 0.9, 0.3, 0.6]), 3)
    0.225
    """
    y_true, y_prob = column_or_1d(y_true), column_or_1d(y_prob)
    check_consistent_length(y_true, y_prob)
    if not isinstance(n_bins, Integral) or isinstance(n_bins, bool) or n_bins < 1:
        raise ValueError(f"n_bins must be an integer of at least 1; got {n_bins!r}.")
    if not len(y_prob):
        raise ValueError("There is no prediction.")
    if not np.isin(y_true, (0, 1)).all():
        raise ValueError("y_true says whether each prediction was right: true or false only.")
    y_true, y_prob = y_true.astype(float), y_prob.astype(float)
    if not ((y_prob >= 0) & (y_prob <= 1)).all():
        raise ValueError(
            "y_prob must hold probabilities in [0, 1] and no NaN. A search returns NaN for query "
            "modalities that it has not learned from: leave such queries out."
        )
    if strategy == "uniform":
        # The last bin includes 1.
        bins = np.minimum((y_prob * n_bins).astype(int), n_bins - 1)
    elif strategy == "quantile":
        bins = np.empty(len(y_prob), dtype=int)
        for number, members in enumerate(np.array_split(np.argsort(y_prob, kind="stable"), n_bins)):
            bins[members] = number
    else:
        raise ValueError(f"strategy must be 'uniform' or 'quantile'; got {strategy!r}.")
    off = np.bincount(bins, y_true - y_prob, minlength=n_bins)
    return float(np.abs(off).sum() / len(y_prob))

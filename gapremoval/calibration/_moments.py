"""Streaming, mergeable per-modality statistics: what every calibrator is fitted from."""

import numpy as np

from .._array_api import namespace_and_device, row_blocks, to_double, to_numpy, unit_rows
from .._validation import check_lengths


def unit_moments(values, codes, scaled):
    """Count and mean of the unit-length rows of each modality, in one pass.

    Parameters
    ----------
    values : array of shape (n_rows, n_features), floating
        The rows, of any library; they are read block by block.
    codes : ndarray of int of shape (n_rows,)
        The modality of each row, below ``len(scaled)``.
    scaled : sequence of bool
        For each modality, whether its rows are brought to unit length first.

    Returns
    -------
    counts : ndarray of int of shape (n_modalities,)
        Rows that are not of length zero.
    means : ndarray of float64 of shape (n_modalities, n_features)
        Their means; zero where there are none.
    n_zero : int
        Rows of length zero, which are left out.

    Raises
    ------
    ValueError
        If a row holds NaN or infinity.
    """
    # float64 throughout, so that the result is the same however the rows are cut.
    xp, place = namespace_and_device(to_double(values[:0, ...], values))
    keeps_length = xp.asarray(~np.asarray(scaled, bool), device=place)
    sums = xp.zeros((len(scaled), values.shape[1]), dtype=xp.float64, device=place)
    counts = np.zeros(len(scaled), dtype=np.int64)
    for rows in row_blocks(values):
        block = to_double(values[rows, ...], values)
        code = xp.asarray(codes[rows].astype(np.int64), device=place)
        unit, lengths = unit_rows(block)
        check_lengths(lengths, first_row=rows.start)
        if bool(xp.any(keeps_length)):
            unit = xp.where(xp.take(keeps_length, code)[:, None], block, unit)
        for group in range(len(scaled)):
            members = xp.nonzero((code == group) & (lengths > 0))[0]
            counts[group] += members.shape[0]
            sums[group, ...] += xp.sum(xp.take(unit, members, axis=0), axis=0)
    means = to_numpy(sums) / np.maximum(counts, 1)[:, None]
    return counts, means, int(values.shape[0] - counts.sum())


def pool_means(counts, means, more_counts, more_means):
    """Pool counts and means of two sets of rows, each a dict by modality.

    Returns
    -------
    counts : dict of str to int
    means : dict of str to ndarray of float64 of shape (n_features,)
    """
    counts, means = dict(counts), dict(means)
    for name, n in more_counts.items():
        before = counts.get(name, 0)
        counts[name] = before + n
        if name in means and before + n:
            share = n / (before + n)
            means[name] = means[name] * (1 - share) + more_means[name] * share
        else:
            means[name] = more_means[name]
    return counts, means

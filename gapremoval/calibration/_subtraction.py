"""subtract_means: the equation that closes the modality gap."""

from .._array_api import array_namespace, divide_rows, row_lengths, unit_rows


def subtract_means(rows, codes, means, *, divisors=None, norm="l2", out=None):
    """Subtract from each row the mean of its modality, and bring it to unit length again.

    e' = e - mean, then e' / |e'|: equation of GR-CLIP, arXiv 2507.19054, section 4. Adding
    one vector to all rows of a modality and to its mean changes nothing.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features), floating
        Of any library that follows the array API standard.
    codes : array of int64 of shape (n_rows,)
        The modality of each row, below ``len(means)``.
    means : array of shape (n_modalities, n_features)
        What is subtracted, in the dtype of `rows`.
    divisors : array of shape (n_rows,), default=None
        e is a row divided by this, its length as a rule; 0 for rows of zeros. By default e is
        the row as it is.
    norm : {"l2", None}, default="l2"
        Whether the result has unit length, or keeps what the subtraction leaves.
    out : array of shape (n_rows, n_features), default=None
        Where the result is written, which may be `rows` and of another floating dtype; by
        default a new array.

    Returns
    -------
    array of shape (n_rows, n_features)
        `out`. Rows of length zero stay zero, and rows that equal their mean but for rounding
        become zero: the direction of a rounding error means nothing.
    """
    xp = array_namespace(rows)
    if divisors is None:
        divisors = xp.astype(unit_rows(rows)[1] > 0, rows.dtype)
    out = xp.empty_like(rows) if out is None else out
    # -(e - mean) times the divisor, in one array that stays in the cache.
    residual = xp.take(means, codes, axis=0)
    if not bool(xp.all(divisors == 1)):
        residual *= divisors[:, None]
    residual -= rows
    lengths = row_lengths(residual)
    rounding = 32 * xp.finfo(rows.dtype).eps * row_lengths(means)
    has_direction = lengths > divisors * xp.take(rounding, codes)
    scale = divisors if norm is None else lengths
    divide_rows(residual, xp.where(has_direction, -scale, xp.full_like(scale, xp.inf)), out)
    return out

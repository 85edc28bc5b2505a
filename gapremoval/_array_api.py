"""The differences between array libraries, and the row arithmetic that all share."""

import array_api_compat
import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_numpy_array

# Temporaries hold this many numbers: small enough for a core's cache, and for the promise
# of at most one output and 64 MiB.
BLOCK_SIZE = 2**18


def is_device_array(values):
    """Whether `values` is an array of another library than numpy (torch and others)."""
    return is_array_api_obj(values) and not is_numpy_array(values)


def to_numpy(values):
    """Copy an array of any library to the host, as numpy."""
    if array_api_compat.is_torch_array(values):
        return values.detach().cpu().numpy()
    return np.asarray(values)


def namespace_and_device(values):
    """The array library of `values` and where it lies, to make more arrays beside it."""
    return array_namespace(values), device(values)


def row_blocks(values):
    """Slices that cut the rows of a 2-D array into blocks of about `BLOCK_SIZE` numbers."""
    n_rows, n_features = values.shape
    step = max(BLOCK_SIZE // max(n_features, 1), 1)
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]


def take_rows(values, rows):
    """Index the rows of an array of any library with a slice, mask or index array."""
    forward = isinstance(rows, slice) and (rows.step is None or rows.step > 0)
    if is_numpy_array(values) or forward:
        return values[rows, ...]
    xp, place = namespace_and_device(values)
    positions = np.arange(values.shape[0])[rows]
    return xp.take(values, xp.asarray(positions, device=place), axis=0)


def unit_rows(rows):
    """Scale rows to length one, whatever their size; rows of length zero stay zero.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features), floating
        Of any library that follows the array API standard.

    Returns
    -------
    unit : array of shape (n_rows, n_features)
        New rows of length one, in the dtype of `rows`.
    lengths : array of shape (n_rows,)
        Euclidean lengths; not finite exactly where the row is not, or where its length
        passes the largest number of the dtype.
    """
    xp = array_namespace(rows)
    limits = xp.finfo(rows.dtype)
    small, large = limits.smallest_normal / limits.eps**2, limits.max * limits.eps
    # What overflows, and what is not finite, is dealt with below or told by the lengths.
    with np.errstate(over="ignore", invalid="ignore"):
        squares = xp.vecdot(rows, rows)
        in_range = (squares > small) & (squares < large)
        lengths = xp.sqrt(squares)
        unit = rows / _no_zero(lengths)[:, None]
        if bool(xp.all(in_range)):
            return unit, lengths
        # The square of a very short or long row leaves the dtype's range: scale it first.
        largest = xp.max(xp.abs(rows), axis=1)
        scaled = rows / _no_zero(largest)[:, None]
        relative = xp.sqrt(xp.vecdot(scaled, scaled))
        unit = xp.where(in_range[:, None], unit, scaled / _no_zero(relative)[:, None])
        return unit, xp.where(in_range, lengths, largest * relative)


def _no_zero(divisors):
    """Divisors with ones in place of zeros."""
    xp = array_namespace(divisors)
    return xp.where(divisors == 0, xp.ones_like(divisors), divisors)

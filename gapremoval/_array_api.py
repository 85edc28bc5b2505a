"""The differences between array libraries, and the row arithmetic that all share."""

from contextlib import ExitStack
from functools import cache
from mmap import mmap

import array_api_compat
import array_api_compat.numpy
import numpy as np
from array_api_compat import device, is_array_api_obj, is_numpy_array

# Temporaries hold this many numbers: small enough for the caches and for the promise of at
# most one output and 64 MiB, large enough that Python's steps between them cost little. An
# accelerator wants few and large steps.
BLOCK_SIZE = 2**20
ACCELERATOR_BLOCK_SIZE = 2**24
# What a thread works on at a time, block by block.
SPAN_SIZE = 2**25


def array_namespace(*arrays):
    """As in array_api_compat, which takes longer than much of what is done in a block."""
    for array in arrays:
        if type(array) is not np.ndarray:
            return array_api_compat.array_namespace(*arrays)
    return array_api_compat.numpy


def is_device_array(values):
    """Whether `values` is an array of another library than numpy (torch and others)."""
    return not isinstance(values, np.ndarray) and is_array_api_obj(values)


def check_precision(tensor):
    """Raise a ValueError for floats of 8 bits and less, which most operations do not take."""
    if getattr(tensor.dtype, "itemsize", 4) == 1 and tensor.dtype.is_floating_point:
        raise ValueError(
            f"Tensors of {tensor.dtype} cannot be computed with: convert them by .float() first."
        )


def is_mapped(values):
    """Whether a numpy array lies in a memory-mapped file."""
    while isinstance(values, np.ndarray):
        values = values.base
    return isinstance(values, mmap)


def is_on_accelerator(values):
    """Whether `values` is a tensor that lies elsewhere than in the host's memory."""
    is_torch = type(values) is not np.ndarray and array_api_compat.is_torch_array(values)
    return is_torch and values.device.type != "cpu"


def is_writeable(values):
    """Whether rows can be overwritten: tensors of inference mode and leaves of a graph cannot."""
    if array_api_compat.is_torch_array(values):
        return not (values.is_inference() or (values.requires_grad and values.is_leaf))
    return array_api_compat.is_writeable_array(values)


def to_numpy(values):
    """Take an array of any library to the host, as numpy; bfloat16 becomes float32."""
    if type(values) is np.ndarray:
        return values
    if array_api_compat.is_torch_array(values):
        values = values.detach().cpu()
        return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    return np.asarray(values)


def namespace_and_device(values):
    """The array library of `values` and where it lies, to make more arrays beside it."""
    if type(values) is np.ndarray:
        return array_api_compat.numpy, "cpu"
    return array_namespace(values), device(values)


def beside(values, like, dtype=None):
    """`values` in the library of `like` and on its device; as they are where they lie there."""
    if type(values) is type(like) is np.ndarray:
        return values if dtype is None else values.astype(dtype, copy=False)
    xp, place = namespace_and_device(like)
    return _placed(values, xp, place, dtype)


def to_double(values, like):
    """`values` as float64 in the library of `like`, where that can compute in float64.

    This is the device of `like`, or the host where the device has no float64 (MPS).
    """
    if type(values) is type(like) is np.ndarray:
        return values.astype(np.float64, copy=False)
    xp, place = namespace_and_device(like)
    if array_api_compat.is_torch_array(like) and place.type == "mps":
        place = "cpu"
    return _placed(values, xp, place, xp.float64)


def _placed(values, xp, place, dtype):
    if array_namespace(values) is not xp:
        # A copy, since torch warns of read-only memory and takes no negative strides.
        host = to_numpy(values)
        values = host if array_api_compat.is_numpy_namespace(xp) else xp.asarray(np.array(host))
    # MPS has no float64: leave the device before widening, narrow before going there.
    if dtype is not None and dtype != xp.float64:
        values = xp.astype(values, dtype, copy=False)
    values = array_api_compat.to_device(values, place)
    return values if dtype is None else xp.astype(values, dtype, copy=False)


def full_precision(values):
    """A context without torch's autocast, which multiplies in half precision, and gradients."""
    context = ExitStack()
    if array_api_compat.is_torch_array(values):
        import torch

        context.enter_context(torch.no_grad())
        if torch.amp.is_autocast_available(values.device.type):
            context.enter_context(torch.autocast(values.device.type, enabled=False))
    return context


def row_blocks(values, multiple=1, size=None):
    """Slices that cut the rows of a 2-D array into blocks of about `BLOCK_SIZE` numbers.

    A block has a multiple of so many rows, but for the last.
    """
    if size is None:
        size = ACCELERATOR_BLOCK_SIZE if is_on_accelerator(values) else BLOCK_SIZE
    n_rows, n_features = values.shape
    starts = range(0, n_rows, max(size // max(n_features, 1) // multiple, 1) * multiple)
    return list(map(slice, starts, [*starts[1:], n_rows]))


def row_spans(values, multiple=1):
    """Slices that cut the rows of a 2-D array into pieces of work for threads."""
    return row_blocks(values, multiple, SPAN_SIZE)


def take_rows(values, rows, axis=0):
    """Index the rows of an array of any library with a slice, mask or index array."""
    forward = isinstance(rows, slice) and (rows.step is None or rows.step > 0)
    if is_numpy_array(values) or forward:
        return values[(slice(None),) * axis + (rows, ...)]
    xp, place = namespace_and_device(values)
    # torch takes no negative strides.
    positions = np.ascontiguousarray(np.arange(values.shape[axis])[rows])
    return xp.take(values, xp.asarray(positions, device=place), axis=axis)


def take_columns(values, columns):
    """Index the columns of a 2-D array of any library with whatever numpy takes."""
    if is_numpy_array(values) or not isinstance(columns, slice | list | np.ndarray):
        return values[:, columns]
    return take_rows(values, columns, axis=1)


def as_slice(positions):
    """Positions as a slice, where each is the one before it and one: it takes no copy."""
    n = len(positions)
    if not n or positions[-1] - positions[0] != n - 1 or (positions[1:] <= positions[:-1]).any():
        return positions
    return slice(int(positions[0]), int(positions[0]) + n)


def kth_largest(rows, k):
    """The k-th largest number of each row, shape (n_rows,)."""
    xp = array_namespace(rows)
    if xp is array_api_compat.numpy:
        rows = rows.copy()
        rows.partition(-k)
    elif array_api_compat.is_torch_array(rows):
        return xp.min(rows.topk(k, dim=1, sorted=False).values, axis=1)
    else:
        rows = xp.sort(rows, axis=1)
    return rows[:, -k]


def lexsort(keys):
    """As ``np.lexsort``: the stable order by the last key, among equals by the one before it."""
    xp = array_namespace(*keys)
    if xp is array_api_compat.numpy:
        return np.lexsort(keys)
    order = xp.argsort(keys[0], stable=True)
    for key in keys[1:]:
        order = xp.take(order, xp.argsort(xp.take(key, order), stable=True))
    return order


def row_sums(rows):
    """Sum each row, which is overwritten: always in the same order of additions.

    The sums and matrix products of a library may add in another order for other shapes,
    devices and numbers of threads. Here the second half of a row is added to the first
    until one number is left, so equal rows have equal sums, to the last digit, everywhere.
    """
    width = rows.shape[1]
    while width > 1:
        half = (width + 1) // 2
        first = rows[:, : width - half]
        first += rows[:, half:width]
        width = half
    return rows[:, 0]


def row_products(rows, others):
    """The inner product of each row with another, equal for equal rows: shape (n_rows,)."""
    # torch's vecdot is a matrix product, which CUDA may be told to do in TF32.
    return np.vecdot(rows, others) if is_numpy_array(rows) else row_sums(rows * others)


def row_lengths(rows):
    """The Euclidean length of each row, as from `unit_rows`, without the unit rows."""
    xp = array_namespace(rows)
    # What overflows is dealt with below, and what is not finite is told by the lengths.
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = xp.sqrt(row_products(rows, rows))
        extreme = _is_extreme(lengths, xp)
        if not bool(xp.any(extreme)):
            return lengths
        scaled, largest = _scaled(rows, xp)
        exact = largest * xp.sqrt(row_products(scaled, scaled))
        exact = xp.where(xp.isfinite(largest), exact, largest)
        return xp.where(extreme, exact, lengths)


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
    xp, lengths = array_namespace(rows), row_lengths(rows)
    with np.errstate(invalid="ignore"):
        unit = rows / _no_zero(lengths, xp)[:, None]
        extreme = _is_extreme(lengths, xp)
        if bool(xp.any(extreme)):
            scaled, _ = _scaled(rows, xp)
            scaled /= _no_zero(row_lengths(scaled), xp)[:, None]
            unit = xp.where(extreme[:, None], scaled, unit)
    return unit, lengths


def divisible_rows(rows, kept=None, lengths=None):
    """What rows are to be divided by for unit length, without the pass that divides them.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features), floating
        Of any library that follows the array API standard.
    kept : array of bool of shape (n_rows,), default=None
        The rows that keep their length; none by default.
    lengths : array of shape (n_rows,), default=None
        As from `row_lengths`, where they are known.

    Returns
    -------
    rows : array of shape (n_rows, n_features)
        As given, but that rows whose squares leave the dtype's range are divided here.
    divisors : array of shape (n_rows,)
        The lengths of `rows`, or 1 where they are kept, divided here, or of unit length but
        for rounding; 0 for rows of zeros.
    lengths : array of shape (n_rows,)
        As from `unit_rows`, of the rows given.
    """
    xp = array_namespace(rows)
    lengths = row_lengths(rows) if lengths is None else lengths
    divided = _is_extreme(lengths, xp)
    divided = divided if kept is None else divided & ~kept
    if bool(xp.any(divided)):
        rows = xp.where(divided[:, None], unit_rows(rows)[0], rows)
    done = divided if kept is None else divided | kept
    is_one = (xp.abs(lengths - 1) <= 4 * xp.finfo(rows.dtype).eps) | (done & (lengths > 0))
    return rows, xp.where(is_one, xp.ones_like(lengths), lengths), lengths


def divide_rows(rows, divisors, out):
    """Write each row, divided by a number of its own, into the rows of `out`."""
    if is_numpy_array(rows):
        np.divide(rows, divisors[:, None], out=out, casting="same_kind")
    else:
        out[...] = array_namespace(rows).astype(rows / divisors[:, None], out.dtype, copy=False)


def _is_extreme(lengths, xp):
    """Which squares of lengths leave the dtype's range, or have lost digits at its lower end."""
    shortest, longest = _range_of_lengths(lengths.dtype, xp)
    return (lengths <= shortest) | (lengths >= longest)


@cache
def _range_of_lengths(dtype, xp):
    limits = xp.finfo(dtype)
    eps = float(limits.eps)
    return float(limits.smallest_normal) ** 0.5 / eps, (float(limits.max) * eps) ** 0.5


def _scaled(rows, xp):
    """Rows divided by their largest number, so that their squares stay in range; and that."""
    largest = xp.max(xp.abs(rows), axis=1)
    return rows / _no_zero(largest, xp)[:, None], largest


def _no_zero(divisors, xp):
    """Divisors with ones in place of zeros."""
    return xp.where(divisors == 0, xp.ones_like(divisors), divisors)

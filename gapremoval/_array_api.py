"""The differences between array libraries, and the arithmetic of rows that all share."""

from contextlib import ExitStack
from functools import cache
from mmap import mmap

import array_api_compat
import array_api_compat.numpy
import numpy as np
from array_api_compat import device, is_array_api_obj, is_torch_array

# Number of values in a temporary array. Blocks of this size stay in the caches and keep the
# promise of at most one output and 64 MiB; accelerators want fewer and larger steps.
BLOCK_SIZE = 2**20
ACCELERATOR_BLOCK_SIZE = 2**24
# Number of values in the piece of work of one thread, which it does block by block.
SPAN_SIZE = 2**25


def array_namespace(*arrays):
    """As in array_api_compat, which takes as long as the arithmetic of a small block."""
    for array in arrays:
        if type(array) is not np.ndarray:
            return array_api_compat.array_namespace(*arrays)
    return array_api_compat.numpy


def is_device_array(values):
    """Whether `values` is an array of another library than numpy (torch and others)."""
    return not isinstance(values, np.ndarray) and is_array_api_obj(values)


def is_lazy(values):
    """Whether `values` is a Dask collection: an array, a DataFrame or a column of one."""
    # Arrays of xarray have the methods of Dask's, also where they are in memory.
    return type(values).__module__.startswith("dask.")


def check_precision(values):
    """Raise a ValueError for tensors of 8-bit floats, which most operations do not support."""
    if is_torch_array(values) and values.dtype.is_floating_point and values.dtype.itemsize == 1:
        raise ValueError(f"Tensors of {values.dtype} are not supported: use values.float().")


def is_mapped(values):
    """Whether a numpy array is in a memory-mapped file."""
    while isinstance(values, np.ndarray):
        values = values.base
    return isinstance(values, mmap)


def is_on_accelerator(values):
    """Whether `values` is a tensor on a device with its own memory, such as a GPU."""
    return type(values) is not np.ndarray and is_torch_array(values) and values.device.type != "cpu"


def is_writeable(values):
    """Whether rows can be overwritten: tensors of inference mode and leaves of a graph cannot."""
    if is_torch_array(values):
        return not (values.is_inference() or (values.requires_grad and values.is_leaf))
    return array_api_compat.is_writeable_array(values)


def to_numpy(values):
    """Copy an array of any library to the host, as numpy; bfloat16 becomes float32."""
    if type(values) is not np.ndarray and is_torch_array(values):
        values = values.detach().cpu()
        return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    return np.asarray(values)


def namespace_and_device(values):
    """The library and the device of `values`, to make other arrays there."""
    if type(values) is np.ndarray:
        return array_api_compat.numpy, "cpu"
    return array_namespace(values), device(values)


def beside(values, like, dtype=None):
    """Convert `values` to the library and the device of `like`, without a copy if possible.

    On devices without float64 (MPS), an array of float64 is made on the host instead.
    """
    if type(values) is type(like) is np.ndarray:
        return values if dtype is None else values.astype(dtype, copy=False)
    xp, place = namespace_and_device(like)
    if dtype == xp.float64 and getattr(place, "type", None) == "mps":
        place = "cpu"
    if array_namespace(values) is not xp:
        # A copy, since torch warns of read-only memory and takes no negative strides.
        host = to_numpy(values)
        values = host if array_api_compat.is_numpy_namespace(xp) else xp.asarray(np.array(host))
    # For MPS, narrow before the transfer and widen after it.
    if dtype is not None and dtype != xp.float64:
        values = xp.astype(values, dtype, copy=False)
    values = array_api_compat.to_device(values, place)
    return values if dtype is None else xp.astype(values, dtype, copy=False)


def to_double(values, like):
    """Convert `values` to float64, in the library and on the device of `like`; see `beside`."""
    return beside(values, like, array_namespace(like).float64)


def full_precision(values):
    """A context without gradients and without autocast, which multiplies in half precision."""
    context = ExitStack()
    if is_torch_array(values):
        import torch

        context.enter_context(torch.no_grad())
        if torch.amp.is_autocast_available(values.device.type):
            context.enter_context(torch.autocast(values.device.type, enabled=False))
    return context


def row_blocks(values, multiple=1, size=None):
    """Slices that cut the rows of a 2-D array into blocks of about `size` values.

    The number of rows in a block is divisible by `multiple`, except in the last one.
    """
    if size is None:
        size = ACCELERATOR_BLOCK_SIZE if is_on_accelerator(values) else BLOCK_SIZE
    n_rows, n_features = values.shape
    starts = range(0, n_rows, max(size // max(n_features, 1) // multiple, 1) * multiple)
    return list(map(slice, starts, [*starts[1:], n_rows]))


def row_spans(values, multiple=1):
    """As `row_blocks`, for the pieces of work of threads."""
    return row_blocks(values, multiple, SPAN_SIZE)


def take_rows(values, rows, axis=0):
    """Index the rows of an array of any library with a slice, mask or index array."""
    forward = isinstance(rows, slice) and (rows.step is None or rows.step > 0)
    if isinstance(values, np.ndarray) or forward:
        return values[(slice(None),) * axis + (rows, ...)]
    xp, place = namespace_and_device(values)
    # torch takes no negative strides.
    positions = np.ascontiguousarray(np.arange(values.shape[axis])[rows])
    return xp.take(values, xp.asarray(positions, device=place), axis=axis)


def as_slice(positions):
    """Consecutive positions as a slice, which selects without a copy; others unchanged."""
    n = len(positions)
    if not n or positions[-1] - positions[0] != n - 1 or (positions[1:] <= positions[:-1]).any():
        return positions
    return slice(int(positions[0]), int(positions[0]) + n)


def kth_largest(rows, k):
    """The k-th largest value of each row, shape (n_rows,)."""
    if isinstance(rows, np.ndarray):
        return np.partition(rows, -k, axis=1)[:, -k]
    if is_torch_array(rows):
        return rows.topk(k, dim=1, sorted=False).values.amin(dim=1)
    return array_namespace(rows).sort(rows, axis=1)[:, -k]


def lexsort(keys):
    """As ``np.lexsort``: the stable order by the last key, then by the one before it."""
    xp = array_namespace(*keys)
    if xp is array_api_compat.numpy:
        return np.lexsort(keys)
    order = xp.argsort(keys[0], stable=True)
    for key in keys[1:]:
        order = xp.take(order, xp.argsort(xp.take(key, order), stable=True))
    return order


def row_sums(rows):
    """Sum each row, always in the same order of additions; `rows` is overwritten.

    The sums and matrix products of a library depend on shapes, devices and threads in their
    last digits. Here the second half of a row is added to the first until one value is left,
    so equal rows have equal sums everywhere.
    """
    width = rows.shape[1]
    while width > 1:
        half = (width + 1) // 2
        first = rows[:, : width - half]
        first += rows[:, half:width]
        width = half
    return rows[:, 0]


def row_products(rows, others):
    """Inner products of the rows of two arrays, shape (n_rows,); equal for equal rows."""
    # torch's vecdot is a matrix product, in which CUDA may use TF32.
    return np.vecdot(rows, others) if isinstance(rows, np.ndarray) else row_sums(rows * others)


def row_lengths(rows):
    """Euclidean length of each row, as returned by `unit_rows`."""
    _, lengths, factors = _in_range(rows)
    if factors is None:
        return lengths
    with np.errstate(over="ignore"):
        return lengths * factors


def unit_rows(rows):
    """Scale rows to unit length, whatever their size; rows of length zero stay zero.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features), floating
        Of any library that follows the array API standard.

    Returns
    -------
    unit : array of shape (n_rows, n_features)
        New rows of length one, in the dtype of `rows`.
    lengths : array of shape (n_rows,)
        Euclidean lengths. NaN or infinite if the row has NaN or infinity, or if its length
        exceeds the largest number of the dtype.
    """
    scaled, lengths, factors = _in_range(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        xp = array_namespace(rows)
        unit = scaled / xp.where(lengths == 0, xp.ones_like(lengths), lengths)[:, None]
        return unit, lengths if factors is None else lengths * factors


def divisible_rows(rows, kept=None, lengths=None):
    """Find the divisors that give rows unit length, without a pass that divides them.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features), floating
        Of any library that follows the array API standard.
    kept : array of bool of shape (n_rows,), default=None
        Rows that keep their length; none by default.
    lengths : array of shape (n_rows,), default=None
        Lengths of the rows, as from `row_lengths`, if they are known.

    Returns
    -------
    rows : array of shape (n_rows, n_features)
        The same rows, except that those whose squares leave the range of the dtype are
        already divided.
    divisors : array of shape (n_rows,)
        Their lengths; 1 for rows that keep their length, are already divided, or have unit
        length except for rounding; 0 for rows of zeros.
    lengths : array of shape (n_rows,)
        Lengths of the rows given.
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
    """Divide each row by its divisor, and write the result to `out`."""
    if isinstance(rows, np.ndarray):
        np.divide(rows, divisors[:, None], out=out, casting="same_kind")
    else:
        out[...] = array_namespace(rows).astype(rows / divisors[:, None], out.dtype, copy=False)


def _in_range(rows):
    """Scale rows so that their squares stay in the range of the dtype.

    Returns
    -------
    rows : array of shape (n_rows, n_features)
        Finite rows with extreme lengths are divided by their largest value.
    lengths : array of shape (n_rows,)
        Lengths of the rows returned.
    factors : array of shape (n_rows,) or None
        What the rows were divided by; None if no row is extreme.
    """
    xp = array_namespace(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = xp.sqrt(row_products(rows, rows))
        extreme = _is_extreme(lengths, xp)
        if not bool(xp.any(extreme)):
            return rows, lengths, None
        largest = xp.max(xp.abs(rows), axis=1)
        extreme = extreme & (largest > 0) & xp.isfinite(largest)
        factors = xp.where(extreme, largest, xp.ones_like(largest))
        rows = rows / factors[:, None]
        return rows, xp.sqrt(row_products(rows, rows)), factors


def _is_extreme(lengths, xp):
    """Which lengths have squares that overflow, or that lose digits by underflow."""
    shortest, longest = _range_of_lengths(lengths.dtype, xp)
    return (lengths <= shortest) | (lengths >= longest)


@cache
def _range_of_lengths(dtype, xp):
    limits = xp.finfo(dtype)
    eps = float(limits.eps)
    return float(limits.smallest_normal) ** 0.5 / eps, (float(limits.max) * eps) ** 0.5

"""save_transformed: from rows larger than memory to a file of corrected ones."""

import sys

import numpy as np

from .._array_api import row_spans, to_numpy
from .._embeddings import EmbeddingArray
from .._files import replacing


def save_transformed(transformer, X, path, *, modality=None, verbose=False):
    """Transform rows block by block, straight into a ``.npy`` file.

    No more than a block of rows is in memory. The file is complete or not there: it is
    written beside its place and moved.

    Parameters
    ----------
    transformer : fitted estimator
        Such as a ModalityGapRemover, or a pipeline of transformers. Each block goes through
        its `transform` alone, so it must treat rows one by one, as all calibrators do.
    X : EmbeddingArray, array of shape (n_rows, n_features), or iterable of EmbeddingArray
        The rows: memory-mapped, as from ``np.load(file, mmap_mode="r")``, or in memory; or
        batches of them, of any number and size.
    path : str or Path
        Where to write, exactly: no suffix is added. An older file is replaced.
    modality : str or sequence of str of shape (n_rows,), default=None
        The rows' modalities; not needed for an EmbeddingArray or batches.
    verbose : bool, default=False
        Whether to print on stderr how many rows are done.

    Returns
    -------
    ndarray of shape (n_rows, n_features)
        The transformed rows, memory-mapped from the file, in the dtype that `transform` returns.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If there are no rows, or batches differ in dtype or number of features.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from gapremoval import EmbeddingArray, ModalityGapRemover
    >>> from gapremoval.calibration import save_transformed
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "rows.npy", np.random.default_rng(0).normal(2, 1, (100, 4)))
    >>> X = EmbeddingArray(np.load(folder / "rows.npy", mmap_mode="r"), "image")
    >>> Z = save_transformed(ModalityGapRemover().fit(X), X, folder / "corrected.npy")
    >>> Z.shape, Z.dtype
    ((100, 4), dtype('float64'))
    """
    with replacing(path) as file:
        X = X if modality is None else EmbeddingArray(X, modality)
        batches = (X[rows] for rows in row_spans(X)) if hasattr(X, "shape") else X
        _write(file, transformer, batches, verbose)
    return np.load(path, mmap_mode="r")


def _write(file, transformer, batches, verbose):
    """Write a header, the transformed rows, and the header again with their number."""
    n_rows, first = 0, None
    for number, batch in enumerate(batches):
        Z = transformer.transform(batch)
        rows = to_numpy(Z.values if isinstance(Z, EmbeddingArray) else Z)
        if first is None:
            first = rows[:0]
            _write_header(file, first, 0)
        if (rows.dtype, rows.shape[1:]) != (first.dtype, first.shape[1:]):
            raise ValueError(
                f"Batch {number} became {rows.dtype} of {rows.shape[1]} features, and the first "
                f"{first.dtype} of {first.shape[1]}: one file holds rows of one kind."
            )
        file.write(np.ascontiguousarray(rows).data)
        n_rows += len(rows)
        if verbose:
            print(f"\r{n_rows:,} rows transformed", end="", file=sys.stderr, flush=True)
    if verbose:
        print(file=sys.stderr)
    if first is None:
        raise ValueError("There are no rows to transform: the batches are empty.")
    file.seek(0)
    _write_header(file, first, n_rows)


def _write_header(file, rows, n_rows):
    # numpy leaves room in a header for more rows.
    header = np.lib.format.header_data_from_array_1_0(rows)
    header |= {"shape": (n_rows, *rows.shape[1:]), "fortran_order": False}
    np.lib.format.write_array_header_1_0(file, header)

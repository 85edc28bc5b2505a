"""save_transformed: transform rows larger than memory into a file, or many."""

import sys

import numpy as np

from .._array_api import row_spans, to_numpy
from .._embeddings import EmbeddingArray
from .._files import replacing
from .._validation import is_lazy_rows


def save_transformed(transformer, X, path, *, modality=None, verbose=False):
    """Transform rows block by block into a ``.npy`` file, or those of Dask into Parquet files.

    Only one block of rows is in memory at a time. An interrupted call leaves no file, and an
    older file as it was.

    The chunks of a Dask collection are written by its workers, each into a file of a new
    folder, which they share. Columns are ``embedding`` and, where the modalities are given,
    ``modality``; names follow the order of the rows. `gapremoval.datasets.iter_parquet` and
    ``dask.dataframe.read_parquet`` read them.

    Parameters
    ----------
    transformer : fitted estimator
        A ModalityGapRemover, for example, or a pipeline of transformers. Its ``transform`` must
        treat each row separately, as all calibrators do, because it gets one block at a time.
    X : EmbeddingArray, array of shape (n_rows, n_features), or iterable of EmbeddingArray
        The rows, memory-mapped (``np.load(file, mmap_mode="r")``) or in memory; batches of any
        number and size; or a Dask array, or a column of vectors of a Dask DataFrame.
    path : str or Path
        The file to write; no suffix is added. An older file is replaced. For a Dask collection
        the folder to make, which must not be there yet.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray or batches. A Dask array or
        column beside lazy rows.
    verbose : bool, default=False
        Whether to print the number of transformed rows on stderr. The progress of Dask is shown
        by ``dask.diagnostics.ProgressBar`` or its dashboard instead.

    Returns
    -------
    ndarray of shape (n_rows, n_features)
        The transformed rows, memory-mapped from the file, in the dtype of ``transform``. For a
        Dask collection the folder, a Path.

    Raises
    ------
    FileNotFoundError
        If the folder that is to hold the file does not exist.
    FileExistsError
        If the folder for the rows of a Dask collection exists.
    ValueError
        If there are no rows, batches differ in dtype or number of features, or `path` ends in
        ``.npy`` for a Dask collection.

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
    if is_lazy_rows(X):
        from ._dask import LazyRows

        return LazyRows.of(transformer, X, modality, known=None).save(transformer, path)
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
                f"Batch {number} has dtype {rows.dtype} and {rows.shape[1]} features after the "
                f"transform, the first one {first.dtype} and {first.shape[1]}: all rows of a file "
                "have the same dtype and number of features."
            )
        file.write(np.ascontiguousarray(rows).data)
        n_rows += len(rows)
        if verbose:
            print(f"\r{n_rows:,} rows transformed", end="", file=sys.stderr, flush=True)
    if verbose:
        print(file=sys.stderr)
    if first is None:
        raise ValueError("There are no rows to transform: all batches are empty.")
    file.seek(0)
    _write_header(file, first, n_rows)


def _write_header(file, rows, n_rows):
    # numpy pads headers, so that the number of rows can grow.
    header = np.lib.format.header_data_from_array_1_0(rows)
    header |= {"shape": (n_rows, *rows.shape[1:]), "fortran_order": False}
    np.lib.format.write_array_header_1_0(file, header)

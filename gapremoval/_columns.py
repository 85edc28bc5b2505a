"""Tables and columns of vectors, of pandas, polars and pyarrow, as rows of numbers."""

import numpy as np
from scipy.sparse import issparse

from ._array_api import is_lazy
from ._items import is_missing
from ._warnings import did_you_mean, shown

FROM_FRAME = 'X, ids = EmbeddingArray.from_frame(df, text="text_vec", image="image_vec", id="sku")'


def as_rows(values):
    """Stack a column of vectors, and refuse what cannot become rows of numbers.

    Parameters
    ----------
    values : object
        Rows in any form.

    Returns
    -------
    object
        An array for a column (a Series, an Arrow array): a 2-D one if it holds vectors.
        Anything else unchanged.

    Raises
    ------
    ValueError
        If `values` is a table with columns that are not numbers, a column in which vectors are
        missing or differ in length, or an array with masked entries.
    TypeError
        If `values` is sparse.
    """
    if is_lazy(values):
        raise TypeError(
            "A Dask DataFrame or column is not read into memory here. Give a calibrator its "
            'columns, fit(ddf["embedding"], modality=ddf["modality"]), or read it first: '
            ".compute()."
        )
    if isinstance(values, np.ndarray) and values.dtype != object:
        if np.ma.is_masked(values):
            raise ValueError(
                f"{np.ma.count_masked(values)} numbers of the array are masked, and an embedding "
                "has none missing. Drop such rows: np.ma.compress_rows(values)."
            )
    elif issparse(values):
        raise TypeError("Rows of embeddings are dense; got a sparse array. Use .toarray().")
    elif is_table(values):
        head = np.asarray(values[:20])
        if head.dtype.kind not in "fiub" and any(
            isinstance(x, str) or np.ndim(x) for x in head.flat
        ):
            raise ValueError(
                "This table has columns that are not numbers. Columns of vectors become rows by\n"
                f"    {FROM_FRAME}\n"
                "Texts and pictures go through an encoder first."
            )
    elif hasattr(values, "__array__"):
        cells = np.asarray(values)
        if cells.dtype == object and cells.ndim == 1:
            first = next((cell for cell in cells if not is_missing(cell)), None)
            if np.ndim(first) == 1:  # a text has no dimensions, and a picture has more
                vectors, has_vector = stack_vectors(cells, "column of vectors")
                if not has_vector.all():
                    rows = shown(np.flatnonzero(~has_vector).tolist())
                    raise ValueError(f"The column has no vector in row {rows}: drop such rows.")
                return vectors
            return cells
    return values


def is_table(values):
    """Whether `values` is a table with named columns: of pandas, polars or pyarrow."""
    return hasattr(values, "columns") and hasattr(values, "shape")


def read_table(table, columns, id=None, *, first_row=0, n_features=None):
    """Read the columns of vectors of a table, row by row.

    Parameters
    ----------
    table : DataFrame of pandas or polars, Table or RecordBatch of pyarrow
        One item a row.
    columns : sequence of str
        Names of the columns of vectors.
    id : str, default=None
        Name of the column of ids; by default the id of a row is its number.
    first_row : int, default=0
        Number of the table's first row.
    n_features : int, default=None
        Length of the vectors; by default that of the first.

    Returns
    -------
    values : ndarray of shape (n_vectors, n_features)
        All vectors that are there: those of the first row, in the order of `columns`, and so on.
    codes : ndarray of int of shape (n_vectors,)
        The column of each vector, as a place in `columns`.
    ids : ndarray of shape (n_vectors,)
        The id of each vector's row.

    Raises
    ------
    TypeError
        If `table` is not a table.
    ValueError
        If a column is not there, an id is missing, a row has no vector at all, a cell is no
        vector, or vectors differ in length.
    """
    if is_lazy(table):
        raise TypeError(
            "A Dask DataFrame is not read into memory here. Give a calibrator a column of each "
            'modality: partial_fit(ddf["text_vec"].dropna(), modality="text"), and so on. Or read '
            "a partition at a time: ddf.partitions[0].compute()."
        )
    if not is_table(table):
        raise TypeError(
            "A table is a DataFrame of pandas or polars or a Table of pyarrow; got "
            f"{type(table).__name__}. Records become one by pandas.DataFrame(records)."
        )
    names = list(getattr(table, "column_names", table.columns))
    wanted = [*columns] if id is None else [*columns, id]
    if absent := [name for name in wanted if name not in names]:
        raise ValueError(
            f"There is no column {shown(absent)}; the columns are {shown(names, 50)}."
            f"{did_you_mean(str(absent[0]), map(str, names))}"
        )
    ids = np.arange(first_row, first_row + len(table)) if id is None else np.asarray(table[id])
    if ids.dtype.kind not in "iuU" and any(missing := [is_missing(x) for x in ids]):
        rows = shown((first_row + np.flatnonzero(missing)).tolist())
        raise ValueError(f"column {id!r}: no id in row {rows}.")

    stacked, has_vector = [], np.zeros((len(table), len(columns)), dtype=bool)
    for place, name in enumerate(columns):
        where = f"column {name!r}"
        vectors, has_vector[:, place] = stack_vectors(table[name], where, first_row, n_features)
        stacked.append(vectors)
        n_features = vectors.shape[1] or n_features
    if not (has_one := has_vector.any(axis=1)).all():
        rows = shown((first_row + np.flatnonzero(~has_one)).tolist())
        named = "" if id is None else f" ({id} {shown(ids[~has_one].tolist())})"
        raise ValueError(
            f"column {' and '.join(map(repr, columns))}: no vector in row {rows}{named}. Drop such "
            "rows."
        )
    rows, codes = np.nonzero(has_vector)
    dtypes = [vectors.dtype for vectors in stacked if len(vectors)]
    values = np.empty((len(rows), n_features or 0), np.result_type(*dtypes or [np.float32]))
    for place, vectors in enumerate(stacked):
        if len(vectors):
            values[codes == place] = vectors
    return values, codes, ids[rows]


def stack_vectors(column, name, first_row=0, n_features=None):
    """Stack the vectors of a column into a 2-D array.

    Parameters
    ----------
    column : sequence of length n_rows
        Lists or arrays of numbers. A vector is missing where the cell is None, NaN,
        ``pandas.NA`` or an empty list.
    name : str
        The column's name in messages.
    first_row : int, default=0
        Number of the column's first row in messages.
    n_features : int, default=None
        Length of the vectors; by default that of the first.

    Returns
    -------
    vectors : ndarray of shape (n_vectors, n_features)
        Those that are there; of shape (0, 0) where there are none.
    has_vector : ndarray of bool of shape (n_rows,)
        Which rows have one.

    Raises
    ------
    ValueError
        If a cell holds something else, vectors differ in length, or a number is missing in one.
    """
    cells = np.asarray(column)
    if cells.ndim == 2:  # polars' arrays of fixed size; a missing one is a row of NaN
        cells = np.fromiter(cells, dtype=object)
        if hasattr(column, "is_null"):
            cells[np.asarray(column.is_null())] = None
    lengths = np.fromiter(map(_length, cells), dtype=np.intp)
    rows = np.flatnonzero(lengths)
    if not len(rows):
        return np.empty((0, 0), dtype=np.float32), lengths > 0
    if lengths.min() < 0:
        at = int(lengths.argmin())
        raise ValueError(
            f"{name}: row {first_row + at} holds {repr(cells[at])[:60]}, which is no vector: "
            "expected a list or an array of numbers."
        )
    expected = n_features or lengths[rows[0]]
    if (other := lengths[rows] != expected).any():
        at = rows[other.argmax()]
        raise ValueError(
            f"{name}: row {first_row + at} has {lengths[at]} numbers, and those before it "
            f"{expected}: embeddings of different models do not share a space."
        )
    vectors = np.stack(cells[rows])
    if vectors.dtype.kind not in "fiub" or vectors.ndim != 2:
        raise ValueError(f"{name}: vectors hold something else than numbers ({vectors.dtype}).")
    # None and null among numbers have become NaN.
    if (unknown := np.isnan(vectors.sum(axis=1, dtype=np.float64))).any():
        at = first_row + rows[unknown.argmax()]
        raise ValueError(f"{name}: a number is missing or NaN in the vector of row {at}.")
    return vectors, lengths > 0


def _length(cell):
    """Length of a vector; 0 for a missing one, -1 for what is no vector."""
    if hasattr(cell, "__len__") and not isinstance(cell, str | bytes | dict):
        return len(cell)
    return 0 if is_missing(cell) else -1

"""iter_parquet: embedding columns of Parquet and Arrow files, batch by batch."""

from pathlib import Path

import numpy as np

from .._embeddings import EmbeddingArray
from .._optional import import_optional

ARROW_SUFFIXES = {".arrow", ".feather", ".ipc"}


def iter_parquet(
    path, *, modality=None, modality_column=None, embedding="embedding", id=None, batch_size=65536
):
    """Read the embeddings of Parquet or Arrow files batch by batch.

    The rows come in the order of the files; only some batches are in memory at a time.
    Needs pyarrow: ``pip install 'gapremoval[parquet]'``.

    Parameters
    ----------
    path : str or Path
        A Parquet file, an Arrow IPC file (Feather, version 2) ending in ``.arrow``, ``.ipc`` or
        ``.feather``, or a folder of Parquet files, which are read in the order of their names.
    modality : str, default=None
        The modality of all rows, such as ``"image"``; this or `modality_column`.
    modality_column : str, default=None
        The column that says the modality of each row.
    embedding : str, default="embedding"
        The column of embeddings: lists, or lists of fixed size, of float16, float32 or float64.
    id : str, default=None
        The column of ids; by default a row's id is its number, counted from 0.
    batch_size : int, default=65536
        The most rows in a batch; a batch ends where a file does.

    Yields
    ------
    X : EmbeddingArray of shape (n_rows, n_features)
        In the dtype of the column.
    ids : list of length n_rows

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If a column is missing or of another type, an embedding or an id is missing, or the
        embeddings differ in length; the message names the row.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow, pyarrow.parquet
    >>> from gapremoval import ModalityGapRemover
    >>> from gapremoval.datasets import iter_parquet
    >>> lists = np.random.default_rng(0).normal(2, 1, (100, 4)).tolist()
    >>> table = pyarrow.table({"embedding": lists, "kind": ["text", "image"] * 50})
    >>> remover = ModalityGapRemover()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pyarrow.parquet.write_table(table, f"{folder}/items.parquet")
    ...     for X, ids in iter_parquet(folder, modality_column="kind", batch_size=40):
    ...         _ = remover.partial_fit(X)
    >>> X, ids[:3]
    (EmbeddingArray(20 rows x 4, float64: 10 text, 10 image), [80, 81, 82])
    >>> remover.counts_
    {'text': 50, 'image': 50}
    """
    if (modality is None) == (modality_column is None):
        raise ValueError(
            "iter_parquet takes either modality, one name for all rows such as 'image', or "
            "modality_column, the column that says it for each."
        )
    dataset = import_optional("pyarrow.dataset", extra="parquet", purpose="iter_parquet")
    path = Path(path)
    is_arrow = path.suffix in ARROW_SUFFIXES and not path.is_dir()
    rows = dataset.dataset(path, format="ipc" if is_arrow else "parquet")
    columns = [name for name in (embedding, modality_column, id) if name is not None]
    if absent := [name for name in columns if name not in rows.schema.names]:
        raise ValueError(
            f"{path} has no column {', '.join(map(repr, absent))}; it has "
            f"{', '.join(map(repr, rows.schema.names))}."
        )
    first, n_features = 0, None
    # Without a limit, batches of a gigabyte and more are read ahead.
    batches = rows.to_batches(
        columns=[*dict.fromkeys(columns)],
        batch_size=batch_size,
        batch_readahead=1,
        fragment_readahead=1,
    )
    for batch in batches:
        if not batch.num_rows:
            continue
        values = _to_rows(batch[embedding], n_features, f"{path}, column {embedding!r}", first)
        n_features = values.shape[1]
        tags = modality if modality_column is None else batch[modality_column].to_pylist()
        ids = [*range(first, first + len(values))] if id is None else batch[id].to_pylist()
        if None in ids:
            raise ValueError(f"{path}, column {id!r}: row {first + ids.index(None)} has no id.")
        yield EmbeddingArray(values, tags), ids
        first += len(values)


def _to_rows(column, n_features, where, first):
    """A column of lists of numbers as a 2-D array; `first` is the number of its first row."""
    import pyarrow.types as types
    from pyarrow.compute import list_value_length

    is_list = types.is_list(column.type) or types.is_large_list(column.type)
    if not (is_list or types.is_fixed_size_list(column.type)) or not types.is_floating(
        column.type.value_type
    ):
        raise ValueError(f"{where}: expected lists of floating numbers; got {column.type}.")
    if column.null_count:
        missing = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"{where}: row {first + missing} has no embedding. Drop such rows.")
    lengths = list_value_length(column).to_numpy()
    n_features = n_features or int(lengths[0])
    if not n_features:
        raise ValueError(f"{where}: the embedding of row {first} has no numbers.")
    if (ragged := lengths != n_features).any():
        wrong = int(ragged.argmax())
        raise ValueError(
            f"{where}: the embedding of row {first + wrong} has {lengths[wrong]} numbers, and "
            f"those before it {n_features}: embeddings of different models do not share a space."
        )
    numbers = column.flatten()
    if numbers.null_count:
        wrong = int(numbers.is_null().to_numpy(zero_copy_only=False).argmax()) // n_features
        raise ValueError(f"{where}: a number is missing in the embedding of row {first + wrong}.")
    return numbers.to_numpy(zero_copy_only=False).reshape(-1, n_features)

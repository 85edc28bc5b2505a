"""iter_parquet: columns of vectors in Parquet and Arrow files, batch by batch."""

from numbers import Integral
from pathlib import Path

import numpy as np
from sklearn.utils._param_validation import Interval, validate_params

from .._columns import read_table
from .._embeddings import EmbeddingArray
from .._optional import import_optional
from .._warnings import did_you_mean, shown
from ._parts import KEY, PartHeader, one_encoder

ARROW_SUFFIXES = {".arrow", ".arrows", ".feather", ".ipc"}


@validate_params(
    {"batch_size": [Interval(Integral, 1, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def iter_parquet(
    path,
    *,
    modality=None,
    modality_column=None,
    embedding="embedding",
    id=None,
    batch_size=65536,
    **columns,
):
    """Read the embeddings of Parquet or Arrow files batch by batch.

    Two layouts are read. A long table has one embedding a row and one modality for all rows
    (`modality`) or a column of modalities (`modality_column`). A wide table has one item a row
    and one column of vectors a modality (`columns`); an item may lack some of its vectors.

    Only a few batches are in memory at a time. Needs pyarrow:
    ``pip install 'gapremoval[parquet]'``.

    Parameters
    ----------
    path : str or Path
        A Parquet file; an Arrow IPC file or stream that ends in ``.arrow``, ``.arrows``,
        ``.ipc`` or ``.feather`` (version 2); or a folder, of which all ``.parquet`` files are
        read in the order of their names. The keys of its partitions (``kind=text/0.parquet``)
        are columns.
    modality : str, default=None
        The modality of all rows, such as ``"image"``.
    modality_column : str, default=None
        Name of the column of modalities.
    embedding : str, default="embedding"
        Name of the column of vectors, with `modality` or `modality_column`.
    id : str, default=None
        Name of the column of ids. By default the id of a row is its number, counted from 0.
    batch_size : int, default=65536
        Largest number of table rows in a batch, at least 1.
    **columns : str
        Name of the column of vectors of each modality, such as ``text="text_vec"``; see
        `EmbeddingArray.from_frame`.

    Yields
    ------
    X : EmbeddingArray of shape (n_vectors, n_features)
        In the dtype of the columns. Rows of the parts that `gapremoval.encoders.encode_parts`
        writes know their `encoder`.
    ids : ndarray of shape (n_vectors,)
        The id of each row of `X`, to be used as ``y``.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If not exactly one of `modality`, `modality_column` and `columns` is given, a column is
        not there, an id or a modality is missing, a row has no vector, or vectors differ in
        length; the message names the row. If a folder has parts of several encoders.

    See Also
    --------
    gapremoval.encoders.encode_parts : Writes such files.

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
    (EmbeddingArray(20 rows x 4, float64: 10 text, 10 image), array([80, 81, 82]))
    >>> remover.counts_
    {'text': 50, 'image': 50}
    """
    if [modality is None, modality_column is None, not columns].count(False) != 1:
        raise ValueError(
            "iter_parquet takes either modality, one name for all rows such as 'image', or "
            "modality_column, the column that tells it, or a column of vectors for each modality, "
            "such as text='text_vec'."
        )
    columns = columns or {"item" if modality is None else modality: embedding}
    vectors = [*columns.values()]
    n_rows, n_features = 0, None
    rows = _open(Path(path))
    encoder = _encoder_of(rows, path)
    for batch in _read_batches(rows, path, [*vectors, modality_column, id], batch_size):
        try:
            values, codes, ids = read_table(
                batch, vectors, id, first_row=n_rows, n_features=n_features
            )
        except ValueError as error:
            raise ValueError(f"{path}, {error}") from None
        tags = np.array([*columns])[codes]
        if modality_column is not None:
            tags = batch[modality_column].to_pylist()
            if None in tags:
                row = n_rows + tags.index(None)
                raise ValueError(f"{path}, column {modality_column!r}: row {row} has no modality.")
        yield EmbeddingArray(values, tags, encoder), ids
        n_rows, n_features = n_rows + len(batch), values.shape[1]


def _open(path):
    """A dataset of pyarrow, or a reader of a stream."""
    dataset = import_optional("pyarrow.dataset", extra="parquet", purpose="iter_parquet")
    import pyarrow

    if path.is_dir():
        inside = {file: file.relative_to(path).parts for file in sorted(path.rglob("*.parquet"))}
        # As pyarrow does, skip what other programs hide.
        files = [f for f, parts in inside.items() if not any(p[0] in "._" for p in parts)]
        if not files:
            raise FileNotFoundError(f"There is no .parquet file in the folder {path}.")
        return dataset.dataset([*map(str, files)], format="parquet", partitioning="hive")
    if path.suffix not in ARROW_SUFFIXES:
        return dataset.dataset(path, format="parquet")
    with path.open("rb") as file:
        is_stream = file.read(6) != b"ARROW1"
    if is_stream:
        return pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)))
    return dataset.dataset(path, format="ipc")


def _encoder_of(rows, path):
    """The encoder of the parts of `encode_parts`; None of other files."""
    if KEY not in (rows.schema.metadata or {}):
        return None
    schemas = [fragment.physical_schema for fragment in rows.get_fragments()]
    return one_encoder((PartHeader.from_metadata(x.metadata, path) for x in schemas), path)


def _read_batches(rows, path, columns, batch_size):
    """Yield the batches that have rows, with these columns."""
    names = rows.schema.names
    columns = [name for name in dict.fromkeys(columns) if name is not None]
    if absent := [name for name in columns if name not in names]:
        raise ValueError(
            f"{path} has no column {shown(absent)}; it has {shown(names, 50)}."
            f"{did_you_mean(absent[0], names)}"
        )
    if hasattr(rows, "to_batches"):  # no stream
        # Without a limit, batches of a gigabyte and more are read ahead.
        rows = rows.to_batches(
            columns=columns, batch_size=batch_size, batch_readahead=1, fragment_readahead=1
        )
    for batch in rows:
        for start in range(0, len(batch), batch_size):
            yield batch.select(columns).slice(start, batch_size)

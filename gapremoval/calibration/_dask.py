"""Dask collections of rows: their moments, chunk by chunk, and their lazy transformation.

Imported only where a Dask collection is met.
"""

import shutil
import uuid
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from .._array_api import is_lazy, to_numpy
from .._embeddings import EmbeddingArray
from .._files import replacing
from .._modality import Tags
from .._optional import import_optional
from .._origin import check_origin
from .._validation import assumed_modality, check_rows, checked_lengths, read_modality
from ._moments import GROUP, Moments

# Moments of this many chunks are pooled in one task.
FAN_IN = 8


@dataclass(frozen=True)
class LazyRows:
    """A Dask collection of rows, and the modality of each.

    Attributes
    ----------
    values : Array of shape (n_rows, n_features) or Series of vectors
        An array has one chunk along the features.
    tags : Array or Series of shape (n_rows,) or None
        The tags in chunks like those of `values`: strings, or the codes of `legend`. None if
        `legend` tells all.
    legend : Tags, str or None
        The tags in memory whose codes `tags` are, or the one modality of all rows. None if
        `tags` are strings, or the modalities are not known.
    """

    values: object
    tags: object
    legend: object

    @classmethod
    def of(cls, owner, X, modality=None, *, reset=False, known=(), origin=None):
        """Pair the chunks of rows and tags, without computing any.

        The parameters are those of `check_rows`, except that `known` may be None: then rows
        without a modality are left so.
        """
        is_fitted = not reset and known is not None
        if is_fitted:
            check_is_fitted(owner)
        if isinstance(X, EmbeddingArray):
            check_origin(X._tags.origin, origin, f"this {type(owner).__name__}")
            X, modality = X._values, read_modality(X, modality)
        elif modality is None and known is not None:
            modality = assumed_modality(owner, known)
        values = _checked_values(X)
        if is_fitted and isinstance(values, da.Array):
            validate_data(owner, values, reset=False, skip_check_array=True)
        if modality is None or isinstance(modality, str):
            return cls(values, None, modality)
        if is_lazy(modality):
            return cls(values, _tags_like(values, modality), None)
        if not _has_sizes(values):
            raise ValueError(
                "The number of rows in each chunk is unknown, so that tags in memory cannot be "
                "dealt out: give modality as a Dask collection too, or call "
                "values.compute_chunk_sizes() first."
            )
        tags = Tags.encode(modality, len(values))
        return cls(values, da.from_array(tags.codes, chunks=values.chunks[:1]), tags)

    @property
    def origin(self):
        """The origin of the rows, where it is known."""
        return getattr(self.legend, "origin", None)

    def _short_legend(self):
        """What each chunk needs to know of the legend: names without codes."""
        return self.legend[:0] if isinstance(self.legend, Tags) else self.legend

    def _places(self):
        """The number of the first row of each chunk; or the name of the chunk, for messages."""
        if _has_sizes(self.values):
            return [0, *np.cumsum(self.values.chunks[0][:-1]).tolist()]
        return [f"chunk {number}" for number in range(self.values.npartitions)]

    def _in_groups(self):
        """The same rows, cut only where groups of rows begin that are summed together."""
        if not _has_sizes(self.values):
            return self
        n_rows = len(self.values)
        ends = np.cumsum(self.values.chunks[0]) // GROUP * GROUP
        cuts = {0: tuple(np.diff(np.unique([0, *ends, n_rows])).tolist()) or (0,)}
        tags = self.tags if self.tags is None else self.tags.rechunk(cuts, method="tasks")
        return replace(self, values=self.values.rechunk(cuts, method="tasks"), tags=tags)

    def _chunks(self):
        """The delayed values, the delayed tags and the place of each chunk."""
        values = np.ravel(self.values.to_delayed()).tolist()
        tags = [None] * len(values) if self.tags is None else np.ravel(self.tags.to_delayed())
        return zip(values, tags, self._places())

    def moments(self, calibrator, *, reset):
        """The pooled moments of all chunks, computed in one pass; and the number of zero rows."""
        work, pool = dask.delayed(_chunk_moments), dask.delayed(_pooled)
        how = type(calibrator), calibrator._with_roots, self._short_legend()
        pieces = [work(*chunk, *how) for chunk in self._in_groups()._chunks()]
        while len(pieces) > 1:
            pieces = [pool(pieces[i : i + FAN_IN]) for i in range(0, len(pieces), FAN_IN)]
        (found,) = dask.compute(pool(pieces))
        if not found.n_rows:
            raise ValueError("Found no rows: at least one is needed, and all chunks are empty.")
        validate_data(
            calibrator, np.empty((0, found.n_features)), reset=reset, skip_check_array=True
        )
        return found.moments, found.n_rows - sum(found.moments.counts.values())

    def transformed(self, calibrator):
        """The transformed rows, as lazy as these: an array for an array, a column for a column."""
        names = self.legend.counts() if isinstance(self.legend, Tags) else [self.legend]
        if self.legend is not None:
            # A row of each modality shows at once what would otherwise fail when computed.
            rows = np.eye(1, calibrator.n_features_in_).repeat(len(names), axis=0)
            calibrator.transform(rows, modality=list(names))
        calibrator = copy(calibrator)
        vars(calibrator).pop("_moments", None)  # a transform needs none, and they may be large
        if hasattr(calibrator, "copy"):
            calibrator.copy = True  # chunks belong to Dask
        how = dask.delayed((calibrator, self._short_legend(), self._places()), traverse=False)
        if not isinstance(self.values, da.Array):
            tags = [] if self.tags is None else [self.tags]
            return self.values.map_partitions(
                _transform_column, *tags, how=how, meta=self.values._meta.astype(object)
            )
        tags = [] if self.tags is None else [self.tags[:, None]]
        dtype = self.values.dtype if self.values.dtype.kind == "f" else np.dtype(np.float64)
        return da.map_blocks(
            _transform_chunk, self.values, *tags, how=how, meta=np.empty((0, 0), dtype)
        )

    def save(self, transformer, folder):
        """Write the transformed rows into a new folder, a Parquet file a chunk.

        Returns
        -------
        Path
        """
        import_optional("pyarrow.parquet", extra="parquet", purpose="save_transformed")
        folder = Path(folder)
        if folder.suffix == ".npy":
            raise ValueError(
                f"Rows of a Dask collection are written to a folder of Parquet files, and {folder} "
                "names an array: give a folder. For one .npy file give batches: "
                "(rows.compute() for rows in X.blocks)."
            )
        if folder.exists():
            raise FileExistsError(f"{folder} is there already: give another name, or remove it.")
        if not folder.absolute().parent.is_dir():
            raise FileNotFoundError(f"There is no folder {folder.parent} to save {folder.name} in.")
        # Written beside its place and then moved, so that it is complete or not there.
        partial = folder.absolute().with_name(f".{folder.name[:48]}.{uuid.uuid4().hex[:8]}.part")
        partial.mkdir()
        try:
            work = dask.delayed(_save_chunk)
            how = dask.delayed((transformer, self._short_legend()), traverse=False)
            pieces = [
                work(*chunk, how, partial / f"part-{number:06d}.parquet")
                for number, chunk in enumerate(self._chunks())
            ]
            n_rows = sum(dask.compute(*pieces))
            if not n_rows:
                raise ValueError("There are no rows to transform: all chunks are empty.")
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return folder


@dataclass(frozen=True)
class _Found:
    """What was found in some chunks."""

    moments: Moments
    n_rows: int = 0
    n_features: int | None = None


def _has_sizes(rows):
    """Whether the number of rows in each chunk is known."""
    return isinstance(rows, da.Array) and not np.isnan(rows.shape[0])


def _checked_values(X):
    """An array of numbers with one chunk along the features, or a column of vectors."""
    is_column = hasattr(type(X), "map_partitions") and getattr(X, "ndim", None) == 1
    if not isinstance(X, da.Array) and not is_column:
        raise TypeError(
            "Lazy rows are a Dask array of shape (n_rows, n_features), or a column of vectors of "
            f"a Dask DataFrame; got a Dask {type(X).__name__}. Give the columns, "
            '(ddf["embedding"], modality=ddf["modality"]); columns of numbers become an array by '
            "ddf.to_dask_array()."
        )
    if is_column:
        if str(X.dtype).startswith(("str", "large_str")):
            raise ValueError(
                f"Column {X.name!r} holds strings. Dask turns objects of pandas, such as vectors, "
                "into strings, except with dask.config.set({'dataframe.convert-string': False}) "
                "before the DataFrame is made. Vectors in Parquet files stay vectors."
            )
        return X
    if X.ndim != 2 or np.isnan(X.shape[1]) or not X.shape[1]:
        raise ValueError(
            "Expected a 2-D Dask array with a known number of features, at least one; got shape "
            f"{X.shape}. A column of vectors is given as it is: ddf['embedding']."
        )
    if X.dtype.kind not in "fiub":
        raise ValueError(f"Rows must be real numbers; got a Dask array of dtype {X.dtype}.")
    return X if X.numblocks[1] == 1 else X.rechunk({1: -1}, method="tasks")


def _tags_like(values, tags):
    """Tags in chunks that correspond to those of the values."""
    if getattr(tags, "ndim", None) != 1:
        raise ValueError(
            "modality must be a 1-D Dask array or a column of a Dask DataFrame, with a string a "
            f"row; got a Dask {type(tags).__name__} of {getattr(tags, 'ndim', 0)} dimensions."
        )
    is_array = isinstance(values, da.Array)
    if is_array != isinstance(tags, da.Array):
        raise TypeError(
            "Rows and modality are both Dask arrays, or both columns of a Dask DataFrame; got a "
            f"Dask {type(values).__name__} and a Dask {type(tags).__name__}. A column of tags "
            'becomes an array by ddf["modality"].to_dask_array().'
        )
    if _has_sizes(values) and _has_sizes(tags):
        if len(values) != len(tags):
            raise ValueError(
                f"modality has {len(tags)} tags for {len(values)} rows: give one a row, or one "
                "string for all."
            )
        return tags.rechunk(values.chunks[:1], method="tasks")
    cuts = [x.numblocks[0] if is_array else x.divisions for x in (values, tags)]
    if cuts[0] != cuts[1]:
        raise ValueError(
            "The chunks of rows and modality do not correspond, and their sizes are unknown. Take "
            "both from the same collection, or call compute_chunk_sizes() on both arrays."
        )
    return tags


@contextmanager
def _telling_place(values, place):
    """Let an error about a chunk tell the row's number among all rows, or the chunk's."""
    try:
        yield
    except ValueError as error:
        if isinstance(place, str):
            raise ValueError(f"In {place}: {error}") from error
        if not np.ma.isMaskedArray(values):
            checked_lengths(values, place)
        raise


def _modality(tags, legend):
    """The modality of the rows of a chunk, as an estimator takes it."""
    if isinstance(legend, Tags):
        return replace(legend, codes=tags)
    return legend if tags is None else tags


def _chunk_moments(values, tags, place, kind, with_roots, legend):
    """What a chunk of rows holds."""
    if not len(values):
        return _Found(Moments())
    with _telling_place(values, place):
        rows = check_rows(kind(), values, _modality(tags, legend), reset=True)
        moments, _ = Moments.of(rows, with_roots=with_roots)
    return _Found(moments, *rows.values.shape)


def _pooled(pieces):
    """What several chunks hold together."""
    pieces = [piece for piece in pieces if piece.n_rows]
    if len(widths := sorted({piece.n_features for piece in pieces})) > 1:
        raise ValueError(
            f"Chunks have different numbers of features, {widths}: embeddings of different models "
            "do not share a space."
        )
    moments = Moments()
    for piece in pieces:
        moments = moments.pooled(piece.moments)
    return _Found(moments, sum(piece.n_rows for piece in pieces), *widths)


def _transform_chunk(values, tags=None, *, how, block_id):
    """Transform a chunk of an array."""
    calibrator, legend, places = how
    if not len(values):
        return values.astype(values.dtype if values.dtype.kind == "f" else np.float64)
    with _telling_place(values, places[block_id[0]]):
        tags = None if tags is None else tags[:, 0]
        return calibrator.transform(values, modality=_modality(tags, legend))


def _transform_column(values, tags=None, *, how):
    """Transform a partition of a column of vectors."""
    calibrator, legend, _ = how
    if not len(values):
        return values
    with _telling_place(values, "a partition"):
        rows = calibrator.transform(values, modality=_modality(tags, legend))
    return values._constructor([*rows], index=values.index, name=values.name, dtype=object)


def _save_chunk(values, tags, place, how, file):
    """Write the transformed rows of a chunk to a file; return their number."""
    import pyarrow
    from pyarrow import parquet

    transformer, legend = how
    if not len(values):
        return 0
    with _telling_place(values, place):
        modality = _modality(tags, legend)
        X = values if modality is None else EmbeddingArray(values, modality)
        Z = transformer.transform(X)
    columns = {}
    if isinstance(X, EmbeddingArray):
        columns["modality"] = pyarrow.array(X.modality)
    rows = np.ascontiguousarray(to_numpy(Z.values if isinstance(Z, EmbeddingArray) else Z))
    numbers = pyarrow.array(rows.ravel())
    columns["embedding"] = pyarrow.FixedSizeListArray.from_arrays(numbers, rows.shape[1])
    with replacing(file) as out:
        # Embeddings hardly get smaller, and statistics of their numbers take most of the time.
        few = {"use_dictionary": ["modality"], "write_statistics": ["modality"]}
        parquet.write_table(pyarrow.table(columns), out, compression="none", **few)
    return len(rows)

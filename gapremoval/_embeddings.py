"""EmbeddingArray: embeddings that carry the modality of each row."""

import numpy as np
from array_api_compat import array_namespace
from sklearn.utils import check_array
from sklearn.utils.validation import _num_samples

from ._array_api import check_precision, is_device_array, is_lazy, take_rows, to_numpy
from ._columns import as_rows, read_table
from ._embeddings_html import embeddings_html
from ._files import read_arrays, replacing
from ._modality import Tags
from ._origin import Origin

NUMPY_STACKS = {np.append, np.concatenate, np.stack, np.vstack}


class EmbeddingArray:
    """A 2-D array of embeddings with a modality for each row.

    scikit-learn takes it as an array: slices, masks, index arrays, cross-validation, pickle
    and joblib workers keep the tags with their rows. A step that computes a new array, such
    as ``PCA``, returns a plain one; give the tags to the steps after it as ``modality=``.

    Parameters
    ----------
    values : array-like of shape (n_rows, n_features)
        One embedding a row: a numpy array, a torch tensor, a list, a DataFrame of numbers, or
        a Series or Arrow array of vectors; or a Dask array, which calibrators transform without
        computing it as a whole. Arrays and tensors are not copied. Tensors stay on
        their device; pickles and deep copies hold numpy arrays, in which bfloat16 becomes
        float32.
    modality : str or sequence of str of shape (n_rows,)
        The modality of each row, or one for all rows. A document has a plain name: ``"text"``,
        ``"image"``, ``"audio"`` or any other non-empty string without ``:`` and ``+``. A query
        has the prefix ``query:``, as in ``"query:text"``; one vector made of several parts is
        ``"query:image+text"``. Parts may be given in any order, and are sorted.
    encoder : str, default=None
        Names the encoder of the rows and its weights, as in ``"my-clip @ 3f2a97"``. What
        follows the last ``" @ "``, or the whole string, is compared: what was fitted on rows
        of one encoder refuses those of another. `CLIPEncoder` gives it to its rows. By default
        it is that of `values`, if those are an EmbeddingArray; None is unknown, which is
        compared with nothing. Another name of the same weights does not change whether the gap
        of `values` was removed.

    Attributes
    ----------
    values : array of shape (n_rows, n_features)
        The embeddings without their tags.
    modality : ndarray of str of shape (n_rows,)
        The tags, read-only. To change them, make a new EmbeddingArray.
    encoder : str or None
        The name of the rows' encoder, which stays with them.
    shape, ndim, size, dtype
        Those of `values`.

    Raises
    ------
    ValueError
        If `values` is not 2-D, is not numeric or has masked entries, a tag is malformed or
        missing, the number of tags is not the number of rows, or `encoder` is no name.
    TypeError
        If `values` is sparse.

    See Also
    --------
    EmbeddingArray.from_frame : Rows and ids from a table with a column of vectors a modality.
    explode_documents : Items and ids from records with a text and images, for an encoder.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import EmbeddingArray
    >>> X = EmbeddingArray(np.eye(3), ["text", "image", "query:text"])
    >>> X
    EmbeddingArray(3 rows x 3, float64: 1 text, 1 image, 1 query:text)
    >>> X[1:].modality.tolist()
    ['image', 'query:text']
    >>> EmbeddingArray.concatenate({"text": np.ones((2, 3)), "image": np.ones((4, 3))})
    EmbeddingArray(6 rows x 3, float64: 2 text, 4 image)
    """

    def __init__(self, values, modality, encoder=None):
        origin = None if encoder is None else Origin.of(encoder)
        if isinstance(values, EmbeddingArray):
            known = values._tags.origin
            if origin is None:
                origin = known
            elif known is not None and origin.weights == known.weights:
                origin = origin._replace(is_centered=known.is_centered)
            values = values.values
        if is_device_array(values):
            check_precision(values)
        else:
            values = as_rows(values)
            # scikit-learn reads the nullable numbers of pandas.
            is_frame = hasattr(values, "iloc") and values.ndim == 2 and len(values)
            values = check_array(values, ensure_all_finite=False) if is_frame else values
            values = np.asarray(values)
            if values.dtype.kind not in "fiub":
                raise ValueError(
                    f"values must be numbers; got an array of dtype {values.dtype}. Raw texts and "
                    "pictures go through an encoder first."
                )
        if values.ndim != 2:
            raise ValueError(
                f"values must be 2-D, one embedding a row; got shape {tuple(values.shape)}. "
                "A single vector is written values[None, :]."
            )
        if is_lazy(values) and np.isnan(values.shape[0]):
            raise ValueError(
                "The sizes of the chunks of this Dask array are unknown, and each tag belongs to a "
                "row: call values.compute_chunk_sizes() first; or give a calibrator the tags as a "
                "Dask array, fit(values, modality=tags)."
            )
        self._values = values
        tags = Tags.encode(modality, values.shape[0])
        self._tags = tags if origin is None else tags.of_origin(origin)

    @classmethod
    def from_frame(cls, frame, id=None, **columns):
        """Read a table with one item a row and one column of vectors a modality.

        An item may lack some of its vectors: a product without a picture has one row in the
        result, and a product with a picture and a text has two rows with the same id.

        Parameters
        ----------
        frame : DataFrame of pandas or polars, Table or RecordBatch of pyarrow
            One item a row.
        id : str, default=None
            Name of the column of ids. By default the id of an item is its row number.
        **columns : str
            Name of the column of vectors of each modality, such as ``text="text_vec"``. A cell
            is a list or an array of numbers; None, NaN, ``pandas.NA`` or an empty list where
            the item has no vector. Queries are given by ``**{"query:text": "question_vec"}``.

        Returns
        -------
        X : EmbeddingArray of shape (n_vectors, n_features)
            All vectors, item by item, in the order in which `columns` are given.
        ids : ndarray of shape (n_vectors,)
            The id of each row of `X`, to be used as ``y``.

        Raises
        ------
        ValueError
            If a column is not there, an id is missing, an item has no vector at all, vectors
            differ in length, or a cell holds something else than a vector.
        TypeError
            If `frame` is not a table, or no column of vectors is named.

        See Also
        --------
        gapremoval.datasets.iter_parquet : The same from files, batch by batch.

        Examples
        --------
        >>> import pandas as pd
        >>> from gapremoval import EmbeddingArray
        >>> df = pd.DataFrame({
        ...     "sku": ["cup", "hat"],
        ...     "text_vec": [[1.0, 2.0], [3.0, 4.0]],
        ...     "image_vec": [[5.0, 6.0], None],
        ... })
        >>> X, ids = EmbeddingArray.from_frame(df, text="text_vec", image="image_vec", id="sku")
        >>> X.modality.tolist(), ids.tolist()
        (['text', 'image', 'text'], ['cup', 'cup', 'hat'])
        """
        if not columns:
            raise TypeError(
                "from_frame takes a column of vectors for each modality, such as text='text_vec'."
            )
        values, codes, ids = read_table(frame, [*columns.values()], id)
        return cls(values, np.array([*columns])[codes]), ids

    @classmethod
    def concatenate(cls, arrays):
        """Stack tagged rows.

        Parameters
        ----------
        arrays : dict of str to array-like, or sequence of EmbeddingArray
            The rows of each modality, by its name; or tagged rows. Arrays without rows, even
            empty lists, change neither the number of features nor the dtype.

        Returns
        -------
        EmbeddingArray
            All rows in the order given, with the `encoder` of those that have one.

        Raises
        ------
        ValueError
            If `arrays` is empty, or the arrays differ in their number of features or in their
            encoder.
        TypeError
            If an element of a sequence is not an EmbeddingArray.
        """
        if isinstance(arrays, dict):
            filled = {name: rows for name, rows in arrays.items() if _num_samples(rows)} or arrays
            arrays = [cls(rows, name) for name, rows in filled.items()]
        arrays = list(arrays)
        for array in arrays:
            if not isinstance(array, cls):
                raise TypeError(
                    "concatenate takes a dict of rows by modality or a sequence of "
                    f"EmbeddingArrays; got a {type(array).__name__}, whose modality is unknown."
                )
        if not arrays:
            raise ValueError("concatenate needs at least one array.")
        arrays = [array for array in arrays if len(array)] or arrays[:1]
        widths = sorted({array.shape[1] for array in arrays})
        if len(widths) > 1:
            raise ValueError(
                f"All arrays need the same number of features; got {widths}. Embeddings of "
                "different models do not share a space."
            )
        xp = array_namespace(*(array.values for array in arrays))
        values = xp.concat([array.values for array in arrays], axis=0)
        return cls(values, Tags.concatenate([array._tags for array in arrays]))

    @property
    def values(self):
        """The embeddings without their tags, shape (n_rows, n_features)."""
        return self._values

    @property
    def modality(self):
        """The modality of each row, a read-only array of str of shape (n_rows,)."""
        modality = self._tags.to_array()
        modality.flags.writeable = False
        return modality

    @property
    def encoder(self):
        """The name of the encoder of the rows, or None."""
        return getattr(self._tags.origin, "encoder", None)

    @property
    def shape(self):
        """(n_rows, n_features)."""
        return tuple(self._values.shape)

    @property
    def ndim(self):
        """Always 2."""
        return 2

    @property
    def size(self):
        """Number of values, n_rows * n_features."""
        return self.shape[0] * self.shape[1]

    @property
    def dtype(self):
        """The dtype of the values."""
        return self.values.dtype

    def to_host(self):
        """Copy tensors to the host's memory, as numpy arrays; bfloat16 becomes float32.

        Returns
        -------
        EmbeddingArray
            The same rows and tags; numpy values are not copied.
        """
        return EmbeddingArray(to_numpy(self.values), self._tags)

    def astype(self, dtype):
        """Convert the values to another dtype.

        Parameters
        ----------
        dtype : str or dtype
            A name such as ``"float32"``, or a dtype of the library of `values`.

        Returns
        -------
        EmbeddingArray
            The same tags and a copy of the rows.
        """
        xp = array_namespace(self.values)
        if isinstance(dtype, str):
            dtype = getattr(xp, dtype, dtype)
        return EmbeddingArray(xp.astype(self.values, dtype), self._tags)

    def save(self, path):
        """Write values and tags to one ``.npz`` file, without pickle; bfloat16 as float32.

        The file is written under another name and then moved, so it is never incomplete.

        Parameters
        ----------
        path : str or Path
            Name of the file; no suffix is added. An existing file is replaced.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        names = np.array(self._tags.names, dtype=np.str_)
        origin = {}
        if self._tags.origin is not None:
            encoder, is_centered = self._tags.origin
            origin["origin"] = np.array([encoder, "centered"][: 1 + is_centered], dtype=np.str_)
        with replacing(path) as file:
            np.savez(
                file, values=to_numpy(self.values), codes=self._tags.codes, names=names, **origin
            )

    @classmethod
    def load(cls, path):
        """Read a file written by `save`. Code in the file is never run.

        Parameters
        ----------
        path : str or Path
            Name of the file.

        Returns
        -------
        EmbeddingArray

        Raises
        ------
        ValueError
            If the file was not written by `save`, or is damaged.
        FileNotFoundError
            If the file does not exist.
        """
        try:
            arrays = read_arrays(path, ["values", "codes", "names"], optional=["origin"])
            values, codes, names, origin = arrays
            tags = Tags.decode(names, codes, values)
            if origin is not None:
                encoder, *centered = origin
                tags = tags.of_origin(Origin.of(encoder)._replace(is_centered=bool(centered)))
            return cls(values, tags)
        except (FileNotFoundError, PermissionError, MemoryError):
            raise
        # The parsers of zip files and of array headers raise errors of many types.
        except Exception as error:
            raise ValueError(
                f"{path} is not a complete file of EmbeddingArray.save ({str(error)[:300]}). Read "
                "other .npz files with np.load, and tag the rows with EmbeddingArray.concatenate."
            ) from error

    def __len__(self):
        return len(self._tags.codes)

    def __getitem__(self, key):
        """Select rows, and columns too; the tags stay with the rows.

        A single row, column or number is returned without a tag.
        """
        keys = key if isinstance(key, tuple) else (key,)
        # The tags are on the host, and so must be the keys that select them.
        keys = [to_numpy(key)[()] if is_device_array(key) else key for key in keys]
        rows, *columns = keys or [...]
        if isinstance(rows, (int, np.integer)) and not isinstance(rows, bool):
            row = _select_columns(self.values[int(rows), ...][None, :], columns)
            return row[0] if row.ndim == 1 else row[0, ...]
        if rows is Ellipsis:
            rows = slice(None)
        codes = self._tags.codes[rows]
        by_index = not isinstance(rows, slice) and any(map(np.ndim, columns))
        if codes.ndim != 1 or by_index:
            raise IndexError(
                "Rows are selected by a slice, a mask or a 1-D index array; for rows and "
                "columns by index write X[rows][:, columns]."
            )
        values = _select_columns(take_rows(self.values, rows), columns)
        return values if values.ndim != 2 else EmbeddingArray(values, self._tags[rows])

    def __array__(self, dtype=None, copy=None):
        if is_device_array(self.values):
            raise TypeError(
                f"The values are a {type(self.values).__module__} array. Copy them to the "
                "host with .to_host() first."
            )
        return np.asarray(self.values, dtype=dtype, copy=copy)

    def __array_function__(self, function, types, args, kwargs):
        # Columns may be joined, as by a FeatureUnion.
        if function in NUMPY_STACKS and kwargs.get("axis") != 1:
            raise TypeError(
                f"np.{function.__name__} would drop the modalities of the rows: use "
                "EmbeddingArray.concatenate([A, B]), or stack A.values and B.values."
            )
        # As numpy does for a class without this method.
        return function._implementation(*args, **kwargs)

    def __getstate__(self):
        values = self.values if is_lazy(self.values) else to_numpy(self.values)
        return {"_values": values, "_tags": self._tags}

    def __repr__(self):
        counts = ", ".join(f"{n} {name}" for name, n in self._tags.counts().items())
        dtype = str(self.dtype).split(".")[-1]
        return f"EmbeddingArray({len(self)} rows x {self.shape[1]}, {dtype}: {counts or 'empty'})"

    def _repr_html_(self):
        """The modalities as a table; without jinja2 a notebook shows the text."""
        try:
            return embeddings_html(self.values, self._tags)
        except ImportError:
            return None


def _select_columns(values, columns):
    """Apply the part of a key that follows its first entry, that of the rows."""
    columns = [column for column in columns if column is not Ellipsis]
    if len(columns) == 1 and isinstance(columns[0], slice | list | np.ndarray):
        return take_rows(values, columns[0], axis=1)
    return values[(slice(None), *columns, ...)]

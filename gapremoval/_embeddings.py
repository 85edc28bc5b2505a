"""EmbeddingArray: embeddings that carry the modality of each row."""

import numpy as np
from array_api_compat import array_namespace

from ._array_api import is_device_array, take_columns, take_rows, to_numpy
from ._files import read_arrays, replacing
from ._modality import Tags


class EmbeddingArray:
    """A 2-D array of embeddings with a modality for each row.

    It passes through scikit-learn as an array does (slicing, masks, index arrays,
    cross-validation, pickle, joblib workers), and the tags stay with their rows. A stock
    step that makes a new array of it, such as ``PCA``, returns a bare one: behind such a
    step bring the tags as ``modality=``.

    Parameters
    ----------
    values : array-like of shape (n_rows, n_features)
        One embedding a row: a numpy array, a torch tensor, or anything that numpy makes a
        2-D array of numbers from. It is not copied. Tensors stay on their device; pickles
        and deep copies hold numpy, where bfloat16 becomes float32.
    modality : str or sequence of str of shape (n_rows,)
        The modality of each row; one string stands for all. Documents have a plain name
        (``"text"``, ``"image"``, ``"audio"``, any non-empty string without ``:`` and
        ``+``); queries have one marked by ``query:`` (``"query:text"``), or
        ``"query:image+text"`` for one vector made of several parts.

    Attributes
    ----------
    values : array of shape (n_rows, n_features)
        The embeddings without their tags.
    modality : ndarray of str of shape (n_rows,)
        The tags. They cannot be changed in place: make a new EmbeddingArray.
    shape, ndim, dtype
        As of `values`.

    Raises
    ------
    ValueError
        If `values` is not 2-D or holds no numbers, a tag is malformed or missing, or there
        are not as many tags as rows.

    See Also
    --------
    explode_documents : Items and ids from records with a text and images.

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

    def __init__(self, values, modality):
        if isinstance(values, EmbeddingArray):
            values = values.values
        if not is_device_array(values):
            values = np.asarray(values)
            if values.dtype.kind not in "fiub":
                raise ValueError(
                    f"values must be numbers; got an array of dtype {values.dtype}. Raw "
                    "texts and images go through an encoder first."
                )
        if values.ndim != 2:
            raise ValueError(
                f"values must be 2-D, one embedding a row; got shape {tuple(values.shape)}. "
                "A single vector is written values[None, :]."
            )
        self._values = values
        self._tags = Tags.encode(modality, values.shape[0])

    @classmethod
    def concatenate(cls, arrays):
        """Stack rows; ``np.vstack`` would drop the tags.

        Parameters
        ----------
        arrays : dict of str to array-like, or sequence of EmbeddingArray
            A dict gives the rows of each modality; a sequence gives tagged rows.

        Returns
        -------
        EmbeddingArray
            All rows in the order given.

        Raises
        ------
        ValueError
            If there is nothing to stack, or the numbers of features differ.
        TypeError
            If an element of a sequence is not an EmbeddingArray.
        """
        if isinstance(arrays, dict):
            arrays = [cls(values, modality) for modality, values in arrays.items()]
        arrays = list(arrays)
        for array in arrays:
            if not isinstance(array, cls):
                raise TypeError(
                    "concatenate takes a dict modality -> rows or a sequence of "
                    f"EmbeddingArray; got a {type(array).__name__}, whose modality is unknown."
                )
        if not arrays:
            raise ValueError("concatenate needs at least one array.")
        widths = sorted({array.shape[1] for array in arrays})
        if len(widths) > 1:
            raise ValueError(
                f"All rows need the same number of features; got {widths}. Embeddings of "
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
        """The modality of each row: read-only array of str, shape (n_rows,)."""
        modality = self._tags.to_array()
        modality.flags.writeable = False
        return modality

    @property
    def shape(self):
        """(n_rows, n_features)."""
        return tuple(self._values.shape)

    @property
    def ndim(self):
        """Always 2."""
        return 2

    @property
    def dtype(self):
        """The dtype of the values."""
        return self.values.dtype

    def numpy(self):
        """The same rows and tags on the host, with numpy values; bfloat16 becomes float32.

        Returns
        -------
        EmbeddingArray
        """
        return EmbeddingArray(to_numpy(self.values), self._tags)

    def save(self, path):
        """Write values and tags to one ``.npz`` file, without pickle; bfloat16 as float32.

        The file is complete or not there: it is written beside its place and moved.

        Parameters
        ----------
        path : str or Path
            Where to write, exactly: no suffix is added. An older file is replaced.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        """
        names = np.array(self._tags.names, dtype=np.str_)
        with replacing(path) as file:
            np.savez(file, values=to_numpy(self.values), codes=self._tags.codes, names=names)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. No code in the file is run.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        EmbeddingArray

        Raises
        ------
        ValueError
            If the file was not written by `save`, or is cut off.
        FileNotFoundError
            If there is no such file.
        """
        try:
            values, codes, names = read_arrays(path, ["values", "codes", "names"])
            return cls(values, Tags.decode(names, codes, values))
        except (FileNotFoundError, PermissionError, MemoryError):
            raise
        # Damage shows as anything from EOFError to what the zip and header parsers raise.
        except Exception as error:
            raise ValueError(
                f"{path} is not a complete file of EmbeddingArray.save ({str(error)[:300]}). A "
                ".npz of your own is read with np.load, and tagged with EmbeddingArray.concatenate."
            ) from error

    def __len__(self):
        return len(self._tags.codes)

    def __getitem__(self, key):
        """Select rows, and columns too; the tags go with the rows.

        What is no longer rows of embeddings (one row, one column, one number) is returned
        without a tag.
        """
        keys = key if isinstance(key, tuple) else (key,)
        # The tags lie on the host, and so must the keys that select them.
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
                "host with .numpy() first."
            )
        return np.asarray(self.values, dtype=dtype, copy=copy)

    def __getstate__(self):
        return {"_values": to_numpy(self.values), "_tags": self._tags}

    def __repr__(self):
        counts = ", ".join(f"{n} {name}" for name, n in self._tags.counts().items())
        dtype = str(self.dtype).split(".")[-1]
        return f"EmbeddingArray({len(self)} rows x {self.shape[1]}, {dtype}: {counts or 'empty'})"


def _select_columns(values, columns):
    """What stands behind the rows in an index."""
    columns = [column for column in columns if column is not Ellipsis]
    if len(columns) == 1:
        return take_columns(values, columns[0])
    return values[(slice(None), *columns, ...)]

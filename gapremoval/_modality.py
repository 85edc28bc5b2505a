"""Modality tags: their grammar, and how the tags of many rows are stored."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ._origin import Origin, check_origin
from ._warnings import nearest_name

QUERY = "query:"
# An array of strings with at most this many names is compared with each of them.
FEW_NAMES = 16
# The tags of a file may take this many bytes of memory for each byte of the file.
MEMORY_PER_FILE = 100

GRAMMAR = (
    "A modality is a non-empty string without ':' and '+', such as 'text' or 'image'. Queries "
    "have the prefix 'query:', as in 'query:text'; one vector of several parts is "
    "'query:image+text'."
)


def is_query(name):
    """Whether a tag marks queries."""
    return name.startswith(QUERY)


@lru_cache  # called several times in each search
def as_query(name):
    """The tag of queries of a modality: ``text`` becomes ``query:text``."""
    return check_tag(name if is_query(name) else QUERY + name)


def parts_of(name):
    """The modalities in a tag: ``query:image+text`` becomes ``[image, text]``."""
    return name.removeprefix(QUERY).split("+")


def check_tag(name):
    """Validate a tag, and sort its parts.

    Parameters
    ----------
    name : object

    Returns
    -------
    str
        ``query:image+text`` for ``query:text+image``.

    Raises
    ------
    ValueError
        If `name` is not a string or is malformed.
    """
    if not isinstance(name, str):
        raise ValueError(f"Modality {repr(name)[:60]} is not a string. {GRAMMAR}")
    if "\0" in name:
        raise ValueError(f"Modality {name!r} has a NUL, which numpy strips from strings.")
    parts = parts_of(name)
    if not all(parts) or ":" in name.removeprefix(QUERY):
        reason = ""
    elif len(parts) > 1 and not is_query(name):
        reason = (
            ": each row is an embedding of one modality. Give a document of several parts "
            "several rows with the same id; the retriever fuses them"
        )
    elif len(set(parts)) < len(parts):
        reason = ": it names a part twice"
    else:
        return QUERY * is_query(name) + "+".join(sorted(parts))
    raise ValueError(f"Modality {name!r} is malformed{reason}. {GRAMMAR}")


def meant_modality(name, known):
    """A question that offers the tag that was meant, part by part, or an empty string.

    Parameters
    ----------
    name : str
        A tag with parts that are not known, such as ``query:image+txt``.
    known : collection of str
        Tags whose parts are known.

    Returns
    -------
    str
        ``" Did you mean 'query:image+text'?"``
    """
    parts = sorted({part for each in known for part in parts_of(each)})
    meant = [part if part in parts else nearest_name(part, parts) for part in parts_of(name)]
    if None in meant or meant == parts_of(name):
        return ""
    tag = QUERY * is_query(name) + "+".join(dict.fromkeys(meant))
    return f" Did you mean {check_tag(tag)!r}?"


@dataclass(frozen=True, eq=False)
class Tags:
    """The modality of each row, stored as a tuple of names and a small integer code a row.

    Reading a million strings takes longer than summing their embeddings, so they are read
    once. With them goes the origin of the rows, where it is known.
    """

    names: tuple
    codes: np.ndarray
    origin: Origin | None = None

    @classmethod
    def encode(cls, modality, n_rows):
        """Read the tags of rows.

        Parameters
        ----------
        modality : str, sequence of str or Tags
            One tag for all rows, or one a row.
        n_rows : int

        Returns
        -------
        Tags

        Raises
        ------
        ValueError
            If a tag is malformed or missing, or their number is not `n_rows`.
        """
        tags = modality if isinstance(modality, Tags) else cls._merged(*_read(modality, n_rows))
        if len(tags) != n_rows:
            raise ValueError(
                f"modality has {len(tags)} tags for {n_rows} rows: give one a row, or one "
                "string for all."
            )
        return tags

    @classmethod
    def decode(cls, names, codes, values):
        """Read the tags that a file holds.

        Parameters
        ----------
        names : ndarray of str of shape (n_names,)
        codes : ndarray of int of shape (n_rows,)
        values : ndarray of shape (n_rows, n_features)
            The rows in the same file.

        Returns
        -------
        Tags

        Raises
        ------
        ValueError
            If these are not tags, or a small file would take much memory.
        """
        if names.ndim != 1 or codes.ndim != 1 or codes.dtype.kind not in "ui":
            raise ValueError("tags are a list of names and one integer a row")
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(names):
            raise ValueError(f"codes go from {codes.min()} to {codes.max()} for {len(names)} names")
        n_bytes = names.nbytes + codes.nbytes + values.nbytes
        if names.itemsize * len(codes) > MEMORY_PER_FILE * n_bytes:
            raise ValueError("the names of modalities are too long for so many short rows")
        checked = [*map(check_tag, names.tolist())]
        if len(set(checked)) != len(checked):
            raise ValueError("the names of modalities repeat")
        return cls._merged(checked, codes)

    @classmethod
    def concatenate(cls, arrays):
        """The tags of several arrays, one after the other.

        Raises
        ------
        ValueError
            If two of them come from different encoders.
        """
        origins = [tags.origin for tags in arrays if tags.origin is not None]
        for origin in origins:
            check_origin(origin, origins[0], "the other arrays")
        starts = np.cumsum([0] + [len(tags.names) for tags in arrays], dtype=np.uint32)
        names = [name for tags in arrays for name in tags.names]
        codes = [tags.codes + start for tags, start in zip(arrays, starts)]
        return cls._merged(names, np.concatenate(codes)).of_origin(*origins[:1])

    @classmethod
    def _merged(cls, names, codes):
        """Tags from names that may repeat, with the smallest dtype of codes."""
        place = {name: i for i, name in enumerate(dict.fromkeys(names))}
        dtype = np.min_scalar_type(max(len(place) - 1, 0))
        return cls(tuple(place), np.array([place[name] for name in names], dtype)[codes])

    def as_queries(self):
        """The same rows, marked as queries."""
        if all(map(is_query, self.names)):
            return self
        names = [*map(as_query, self.names)]
        return Tags._merged(names, self.codes).of_origin(self.origin)

    def of_origin(self, origin=None):
        """The same tags, of rows of an origin; None where it is not known."""
        return replace(self, origin=origin)

    def __len__(self):
        return len(self.codes)

    def __getitem__(self, rows):
        return Tags(self.names, self.codes[rows], self.origin)

    def counts(self):
        """Number of rows of each modality that has rows, by its name."""
        counts = np.bincount(self.codes, minlength=len(self.names))
        return {name: n for name, n in zip(self.names, counts.tolist()) if n}

    def to_array(self):
        """The tags as an array of str of shape (n_rows,)."""
        return np.array(self.names or ("",))[self.codes]

    @property
    def is_query(self):
        """Which rows are queries, an array of bool of shape (n_rows,)."""
        return np.array(list(map(is_query, self.names)) or [False])[self.codes]


def _read(modality, n_rows):
    """Validated names, which may repeat, and the code of each row."""
    is_strings = isinstance(modality, np.ndarray) and modality.dtype.kind == "U"
    if is_strings and modality.ndim == 1 and (found := _compare(modality)):
        return found
    if type(modality).__module__.startswith("dask."):
        raise TypeError(
            "modality is a Dask collection, and the rows or their tags are kept in memory here: "
            "give modality.compute(); or give a calibrator both as Dask collections, "
            "fit(values, modality=modality)."
        )
    # np.asarray would turn None and NaN into strings.
    listed = modality.tolist() if hasattr(modality, "tolist") else modality
    if isinstance(listed, str):
        return [check_tag(listed)], np.zeros(n_rows, np.uint8)
    # The keys of a dict and the order of a set do not correspond to rows.
    if not isinstance(listed, Iterable) or isinstance(listed, bytes | Mapping | Set):
        raise ValueError(
            f"modality must be a string or a sequence with a string a row; got "
            f"{type(modality).__name__}: {str(modality)[:60]}. {GRAMMAR}"
        )
    tags = [tag if type(tag) is str else check_tag(tag) for tag in listed]
    code = {name: i for i, name in enumerate(dict.fromkeys(tags))}
    return [*map(check_tag, code)], np.fromiter(map(code.get, tags), np.uint32, len(tags))


def _compare(modality):
    """As `_read`, for an array of strings with few names; None if there are many.

    Comparing the array with each name is many times faster than looking up each string.
    """
    names, codes = [], np.empty(len(modality), np.uint8)
    missing = np.ones(len(modality), bool)
    while missing.any():
        if len(names) == FEW_NAMES:
            return None
        name = str(modality[missing.argmax()])
        names.append(check_tag(name))
        found = modality == name
        codes[found] = len(names) - 1
        missing &= ~found
    return names, codes

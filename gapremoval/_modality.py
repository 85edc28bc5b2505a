"""Modality tags: what a tag may be, and how the tags of many rows are stored."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np

QUERY = "query:"
# Up to so many, an array of strings is compared with each.
FEW_NAMES = 16
# Up to so much an array of the tags of a file may grow: a small file does not fill the memory.
MOST_BYTES_A_STORED_BYTE = 100

GRAMMAR = (
    "A modality is a non-empty string without ':' and '+', such as 'text' or 'image'; "
    "a query's is marked 'query:text', or 'query:image+text' where it has several "
    "parts (sorted, joined by '+')."
)


def is_query(name):
    """Whether a tag marks queries."""
    return name.startswith(QUERY)


@lru_cache  # A search asks for it several times.
def as_query(name):
    """The tag that marks rows of a modality as queries: ``text`` -> ``query:text``."""
    return name if is_query(name) else check_tag(QUERY + name)


def parts_of(name):
    """The modalities that a tag is made of: ``query:image+text`` -> ``[image, text]``."""
    return name.removeprefix(QUERY).split("+")


def check_tag(name):
    """Return `name` if it is a modality tag, else raise a ValueError that says why."""
    if not isinstance(name, str):
        raise ValueError(f"Modality {repr(name)[:60]} is not a string. {GRAMMAR}")
    if "\0" in name:
        raise ValueError(f"Modality {name!r} holds a NUL, which numpy drops from a string's end.")
    parts = parts_of(name)
    if not all(parts) or ":" in name.removeprefix(QUERY):
        reason = f". {GRAMMAR}"
    elif len(parts) > 1 and not is_query(name):
        reason = (
            ": a row is one embedding of one modality. A document of several parts is several "
            f"rows with the same id, and only the retriever fuses them. {GRAMMAR}"
        )
    elif parts != (right := sorted(set(parts))):
        reason = f": its parts are not sorted or not distinct; write {QUERY + '+'.join(right)!r}."
    else:
        # str() of a member of an Enum of strings would be 'Modality.TEXT'.
        return str.__str__(name)
    raise ValueError(f"Modality {name!r} is malformed{reason}")


def _encode(modality, n_rows):
    """Names and codes of tags: one string for all rows, or a sequence of strings."""
    is_strings = isinstance(modality, np.ndarray) and modality.dtype.kind == "U"
    if is_strings and modality.ndim == 1 and (few := _encode_few(modality)):
        return few
    # An array made of a list would turn None and NaN into 'None' and 'nan'.
    listed = modality.tolist() if hasattr(modality, "tolist") else modality
    if isinstance(listed, str):
        return (check_tag(listed),), np.zeros(n_rows, np.uint8)
    # The keys of a dict and the order of a set say nothing about rows.
    if not isinstance(listed, Iterable) or isinstance(listed, (bytes, Mapping, Set)):
        raise ValueError(
            f"modality must be a string or a sequence with a string a row; got "
            f"{type(modality).__name__}: {str(modality)[:60]}. {GRAMMAR}"
        )
    tags = [tag if type(tag) is str else check_tag(tag) for tag in listed]
    code = defaultdict(count().__next__)
    codes = np.fromiter(map(code.__getitem__, tags), np.uint32, len(tags))
    return tuple(map(check_tag, code)), codes.astype(_code_dtype(code))


def _encode_few(modality):
    """As `_encode`, by comparing an array of strings with each name; None if there are many.

    Many times faster than to look each string up.
    """
    names, codes = [], np.empty(len(modality), np.uint8)
    missing = np.ones(len(modality), bool)
    while missing.any():
        if len(names) == FEW_NAMES:
            return None
        names.append(check_tag(str(modality[missing.argmax()])))
        found = modality == names[-1]
        codes[found] = len(names) - 1
        missing &= ~found
    return tuple(names), codes


def _code_dtype(names):
    """The smallest dtype of a code for each of some names."""
    return np.min_scalar_type(max(len(names) - 1, 0))


@dataclass(frozen=True, eq=False)
class Tags:
    """The modality of each row: a tuple of names and a small integer code a row.

    Strings for a million rows take longer to read than the embeddings take to sum, so
    they are read once.
    """

    names: tuple
    codes: np.ndarray

    @classmethod
    def encode(cls, modality, n_rows):
        """Read the tags of `n_rows` rows from one string or a sequence of strings.

        Raises
        ------
        ValueError
            If a tag is malformed or missing, or their number is not `n_rows`.
        """
        tags = modality if isinstance(modality, Tags) else cls(*_encode(modality, n_rows))
        if len(tags.codes) != n_rows:
            raise ValueError(
                f"modality has {len(tags)} tags for {n_rows} rows: give one a row, or one "
                "string for all."
            )
        return tags

    @classmethod
    def decode(cls, names, codes, values):
        """The tags of a file: arrays of distinct names and of the code of each row of `values`.

        Raises
        ------
        ValueError
            If they are no tags, or so long that an array of one a row would fill the memory.
        """
        if names.ndim != 1 or codes.ndim != 1 or codes.dtype.kind not in "ui":
            raise ValueError("tags are a list of names and one integer a row")
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(names):
            raise ValueError(f"codes go from {codes.min()} to {codes.max()} for {len(names)} names")
        n_stored = names.nbytes + codes.nbytes + values.nbytes
        if names.itemsize * len(codes) > MOST_BYTES_A_STORED_BYTE * n_stored:
            raise ValueError("the names of modalities are too long for so many short rows")
        known = tuple(map(check_tag, names.tolist()))
        if len(set(known)) != len(known):
            raise ValueError("the names of modalities repeat")
        return cls(known, codes.astype(_code_dtype(known), copy=False))

    @classmethod
    def concatenate(cls, several):
        """The tags of several sets of rows, one after the other."""
        names = tuple(dict.fromkeys(name for tags in several for name in tags.names))
        code, dtype = dict(zip(names, count())), _code_dtype(names)
        recode = [np.array([code[name] for name in tags.names], dtype) for tags in several]
        return cls(names, np.concatenate([r[t.codes] for r, t in zip(recode, several)]))

    def as_queries(self):
        """The tags that mark the same rows as queries; each name is that of a row."""
        there = np.unique(self.codes)
        marked = [as_query(self.names[code]) for code in there]
        names = tuple(dict.fromkeys(marked))
        if names == self.names:
            return self
        recode = np.zeros(len(self.names), self.codes.dtype)
        recode[there] = [names.index(name) for name in marked]
        return Tags(names, recode[self.codes])

    def __len__(self):
        return len(self.codes)

    def __getitem__(self, rows):
        return Tags(self.names, self.codes[rows])

    def counts(self):
        """The number of rows of each modality that is there: a dict name -> int."""
        counts = np.zeros(len(self.names), dtype=np.int64)
        for start in range(0, len(self.codes), 2**20):  # bincount makes a wide copy
            counts += np.bincount(self.codes[start : start + 2**20], minlength=len(counts))
        return {name: int(n) for name, n in zip(self.names, counts) if n}

    def to_array(self):
        """The tags as an array of strings, shape (n_rows,)."""
        return np.array(self.names or ("",))[self.codes]

    @property
    def is_query(self):
        """Which rows are queries: bool array of shape (n_rows,)."""
        return np.array(list(map(is_query, self.names)) or [False])[self.codes]

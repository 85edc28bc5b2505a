"""Documents: rows that were fused, to make a corpus of or to add to one."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .._array_api import full_precision, is_mapped, take_rows, to_numpy
from .._relevance import group_ids
from .._validation import checked_lengths
from .._warnings import warn
from ._fusion import fuse_rows, modalities_of


@dataclass(frozen=True, eq=False)
class Documents:
    """Fused documents: those of one modality one after the other, without direction last.

    Attributes
    ----------
    ids : ndarray of shape (n_documents,)
        In the order of their first rows.
    names : tuple of str
        Modalities of documents, in the order in which their vectors lie.
    codes : ndarray of int of shape (n_documents,)
        Which of `names` each has.
    vectors : array of shape (n_documents, n_features), float32 or float64
        Of unit length, or zero; of any library. Those that lie in a memory-mapped file may be
        float16, and of unit length but for their rounding.
    number : ndarray of int of shape (n_documents,)
        Which document each vector belongs to; ascending within a modality.
    n_directed : int
        How many are not zero; their vectors come first.
    """

    ids: np.ndarray
    names: tuple
    codes: np.ndarray
    vectors: object
    number: np.ndarray
    n_directed: int

    @classmethod
    def from_rows(cls, values, tags, ids, fusion_weight):
        """Fuse rows that share an id, in the order of each id's first row."""
        lengths = to_numpy(checked_lengths(values))
        return cls.from_grouped(values, lengths, tags, *group_ids(ids), fusion_weight)

    @classmethod
    def from_grouped(cls, values, lengths, tags, ids, document, fusion_weight):
        """Fuse the rows of each document, given as its place among the distinct `ids`."""
        names, codes = modalities_of(tags, document, len(ids))
        if _can_stay(values, lengths, codes, document):
            order = codes[np.r_[True, codes[1:] != codes[:-1]]]
            codes = np.argsort(order)[codes]
            return cls(ids, tuple(names[i] for i in order), codes, values, document, len(ids))
        # They are fused in the order in which they shall lie: sorting vectors takes a copy.
        number = np.argsort(codes, kind="stable")
        place = np.empty(len(ids), np.intp)
        place[number] = np.arange(len(ids))
        with full_precision(values):
            vectors, has_direction = fuse_rows(
                values, tags, place[document], len(ids), fusion_weight
            )
        if not has_direction.all():
            order = np.argsort(~has_direction, kind="stable")
            vectors, number = take_rows(vectors, order), number[order]
        return cls(ids, names, codes, vectors, number, int(has_direction.sum()))

    def __len__(self):
        return len(self.ids)

    @property
    def segments(self):
        """Where the vectors of each modality lie: a dict of slices, only those directed."""
        codes = self.codes[self.number[: self.n_directed]]
        bounds = np.searchsorted(codes, np.arange(len(self.names) + 1)).tolist()
        spans = zip(self.names, pairwise(bounds))
        return {name: slice(start, stop) for name, (start, stop) in spans if stop > start}

    @property
    def undirected(self):
        """The numbers of documents of length zero, ascending."""
        return np.sort(self.number[self.n_directed :])


def _can_stay(values, lengths, codes, document):
    """Whether rows lie in a memory-mapped file just as documents are searched.

    They are one a document, those of a modality one after the other, and of unit length but
    for the rounding of their dtype.
    """
    if not is_mapped(values) or values.dtype.kind != "f" or len(codes) != len(document):
        return False
    n_runs = 1 + np.count_nonzero(codes[1:] != codes[:-1])
    if (document[1:] < document[:-1]).any() or n_runs > len(np.unique(codes)):
        return False
    return bool((np.abs(lengths - 1) <= 4 * np.finfo(values.dtype).eps).all())


def warn_of_unlike_lengths(lengths, tags, document):
    """Parts are not normalised before they are fused, so a longer one drowns a shorter."""
    kinds = np.unique(document * len(tags.names) + tags.codes) // len(tags.names)
    n_modalities = np.bincount(kinds)
    fused = (n_modalities[document] > 1) & (lengths > 0)
    sums = np.bincount(tags.codes[fused], lengths[fused], minlength=len(tags.names))
    counts = np.bincount(tags.codes[fused], minlength=len(tags.names))
    means = {n: s / c for n, s, c in zip(tags.names, sums, counts) if c}
    if means and max(means.values()) > 2 * min(means.values()):
        shown = ", ".join(f"{name!r} {mean:.3g}" for name, mean in means.items())
        warn(
            f"Parts of documents have mean lengths {shown}: the longer drowns the shorter when "
            "they are fused. Bring rows to unit length first, as ModalityGapRemover does.",
        )


def warn_of_zero_length(ids):
    if ids:
        shown = ", ".join(map(repr, ids[:5])) + (", ..." if len(ids) > 5 else "")
        warn(
            f"{len(ids)} document{'s have' if len(ids) > 1 else ' has'} length zero and so no "
            f"direction: {shown}. Such come after all others, with score 0.",
        )

"""Documents: the fused unit vectors of a corpus, with their ids and modalities."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from .._array_api import (
    beside,
    full_precision,
    namespace_and_device,
    row_blocks,
    squared_lengths,
    take_rows,
    to_numpy,
)
from .._relevance import check_known
from .._warnings import warn
from ..score_calibration import ScoreMap
from ._exact import top_k
from ._fusion import fuse_rows


@dataclass(frozen=True, eq=False)
class Documents:
    """A corpus to search; changing it makes a new one.

    Vectors lie in an order of their own: those of one modality one after the other, so that
    each can be searched where it lies, and those of length zero at the end.

    Attributes
    ----------
    ids, modality : ndarray of shape (n_documents,)
    vectors : array of shape (n_documents, n_features), float32 or float64
        Of unit length, or zero: numpy, or of another library and then searched where it
        lies. Pickled as numpy.
    number : ndarray of int of shape (n_documents,)
        Which document each vector belongs to; ascending within a modality.
    n_directed : int
        How many have a direction; their vectors come first.
    """

    ids: np.ndarray
    modality: np.ndarray
    vectors: object
    number: np.ndarray
    n_directed: int

    @classmethod
    def from_rows(cls, values, tags, ids, fusion_weight):
        """Fuse rows that share an id, in the order of each id's first row."""
        ids, document = group_ids(ids)
        with full_precision(values):
            vectors, has_direction, modality = fuse_rows(
                values, tags, document, len(ids), fusion_weight
            )
        return cls._in_order(ids, modality, vectors, np.arange(len(ids)), has_direction)

    @classmethod
    def _in_order(cls, ids, modality, vectors, number, has_direction):
        """Sort vectors by whether they have a direction, modality and number."""
        codes = np.unique(modality, return_inverse=True)[1]
        order = np.lexsort((number, codes[number], ~has_direction))
        if (order[1:] < order[:-1]).any():
            vectors, number = take_rows(vectors, order), number[order]
        return cls(ids, modality, vectors, number, int(has_direction.sum()))

    def __len__(self):
        return len(self.ids)

    @cached_property
    def segments(self):
        """Where the vectors of each modality lie: a dict of slices, only those directed."""
        of_vectors = self.modality[self.number[: self.n_directed]]
        starts = np.flatnonzero(of_vectors[1:] != of_vectors[:-1]) + 1
        bounds = [0, *starts.tolist(), len(of_vectors)] if len(of_vectors) else [0]
        return {str(of_vectors[a]): slice(a, b) for a, b in pairwise(bounds)}

    @property
    def has_direction(self):
        """Which documents are not of length zero: bool array of shape (n_documents,)."""
        has_direction = np.zeros(len(self), dtype=bool)
        has_direction[self.number[: self.n_directed]] = True
        return has_direction

    def extended(self, added):
        """This corpus and then `added`, whose ids must be new and of the same type."""
        if self.ids.dtype.kind != added.ids.dtype.kind and len(self):
            raise ValueError(
                f"The new ids are of another type ({added.ids[0]!r}) than those of the corpus "
                f"({self.ids[0]!r}): use the same type."
            )
        have = set(self.ids.tolist())
        if twice := [x for x in added.ids.tolist() if x in have]:
            shown = ", ".join(map(repr, twice[:5])) + (", ..." if len(twice) > 5 else "")
            raise ValueError(
                f"{len(twice)} of the new documents are already in the corpus: {shown}. Remove "
                "them first; all parts of a document come in one call."
            )
        xp, _ = namespace_and_device(self.vectors)
        new = beside(added.vectors, self.vectors, self.vectors.dtype)
        has_direction = [np.arange(len(x)) < x.n_directed for x in (self, added)]
        return Documents._in_order(
            np.concatenate([self.ids, added.ids]) if len(self) else added.ids,
            np.concatenate([self.modality, added.modality]),
            xp.concat([self.vectors, new], axis=0),
            np.concatenate([self.number, len(self) + added.number]),
            np.concatenate(has_direction),
        )

    def without(self, ids):
        """This corpus without some documents, which must be in it, and which it keeps.

        Returns
        -------
        documents : Documents
        kept : ndarray of int
            The numbers here of the documents there.
        """
        check_known(ids, self.ids, what="call to remove")
        gone = set(ids)
        keep = np.array([x not in gone for x in self.ids.tolist()], dtype=bool)
        keep_vector = keep[self.number]
        smaller = Documents(
            self.ids[keep],
            self.modality[keep],
            take_rows(self.vectors, keep_vector),
            (np.cumsum(keep) - 1)[self.number[keep_vector]],
            int(keep_vector[: self.n_directed].sum()),
        )
        return smaller, np.flatnonzero(keep)

    def unlike(self, others):
        """The ids of `others`, all in this corpus, that were made from other rows here."""
        place = {x: i for i, x in enumerate(self.ids.tolist())}
        vector = np.empty(len(self), np.intp)
        vector[self.number] = np.arange(len(self))
        theirs = others.ids[others.number]
        mine = take_rows(
            self.vectors, vector[np.array([place[x] for x in theirs.tolist()], np.intp)]
        )
        off = mine - beside(others.vectors, mine, mine.dtype)
        # Wide enough for the rounding of any step before, and narrower than any two photos.
        differs = np.zeros(len(others), dtype=bool)
        differs[others.number] = np.sqrt(to_numpy(squared_lengths(off))) > 1e-3
        return others.ids[differs]

    def nearest(self, queries, k, *, modality=None, score_map=None):
        """The best documents for each query.

        Parameters
        ----------
        queries : array of shape (n_queries, n_features)
            Of unit length; of the library of `vectors`.
        k : int
            How many; cut to the documents there are.
        modality : str, default=None
            Search only documents of this modality.
        score_map : ScoreMap, default=None
            What makes scores of cosines.

        Returns
        -------
        scores : ndarray of float64 of shape (n_queries, n_found)
            Descending; then documents of length zero, with 0, or below all others where
            there is a score map.
        positions : ndarray of int of shape (n_queries, n_found)
            Numbers of documents.
        """
        searched = self._directed(modality)
        n_scored = min(k, searched.stop - searched.start)
        scores, positions = np.empty((queries.shape[0], 0)), np.empty((queries.shape[0], 0), int)
        if n_scored:
            best = self._top_k(queries, searched, n_scored, score_map)
            scores, positions = best.scores, best.indices
        rest = self.undirected(modality)[: k - n_scored]
        rest = np.broadcast_to(rest, (len(scores), len(rest)))
        if score_map is None:
            # In single precision the cosine with oneself can come out a little above 1.
            scores, lowest = np.clip(scores, -1, 1), np.zeros(rest.shape)
        else:
            lowest = score_map.offset[rest]
        return np.concatenate([scores, lowest], axis=1), np.concatenate([positions, rest], axis=1)

    def nearest_by_modality(self, queries, k, *, modality=None, score_map=None):
        """The best documents of each modality, with the sums that probabilities need.

        Parameters are those of `nearest`; documents of length zero are left out.

        Returns
        -------
        dict of str to TopK
            With numbers of documents as indices, and log sums where the score map has a
            slope.
        """
        self._directed(modality)
        slope = None if score_map is None else score_map.slope
        return {
            name: self._top_k(
                queries, segment, min(k, segment.stop - segment.start), score_map, slope
            )
            for name, segment in self.segments.items()
            if modality in (None, name)
        }

    def folded(self, score_map):
        """Vectors whose inner product with ``[query, 1]`` is the calibrated score.

        Parameters
        ----------
        score_map : ScoreMap or None
            None leaves cosines as they are.

        Returns
        -------
        ndarray of float32 of shape (n_documents, n_features + 1)
            In the order of `ids`. Documents of length zero get an offset below all scores.
        """
        if score_map is None:
            has_direction = self.has_direction
            score_map = ScoreMap(np.ones(len(self)), np.where(has_direction, 0.0, -2.0))
        folded = np.empty((len(self), self.vectors.shape[1] + 1), dtype=np.float32)
        for rows in row_blocks(self.vectors):
            number = self.number[rows]
            vectors = to_numpy(self.vectors[rows, ...])
            folded[number, :-1] = vectors * score_map.scale[number, None]
        folded[:, -1] = score_map.offset
        return folded

    def undirected(self, modality=None):
        """The numbers of documents of length zero, ascending."""
        numbers = np.sort(self.number[self.n_directed :])
        return numbers if modality is None else numbers[self.modality[numbers] == modality]

    def count(self, modality=None):
        """The number of all documents, or of those of a modality."""
        directed = self._directed(modality)
        return directed.stop - directed.start + len(self.undirected(modality))

    def in_their_order(self, modality=None):
        """The numbers of all documents, or of those of a modality; length zero comes last."""
        directed = np.sort(self.number[self._directed(modality)])
        return np.concatenate([directed, self.undirected(modality)])

    def _directed(self, modality):
        """Where the vectors of a modality, or of all, lie that have a direction.

        Raises
        ------
        ValueError
            If there is no document.
        """
        if not len(self):
            raise ValueError("The corpus is empty: add documents with partial_fit.")
        if modality is None:
            return slice(0, self.n_directed)
        if modality not in self.modality:
            have = ", ".join(map(repr, dict.fromkeys(self.modality.tolist())))
            raise ValueError(f"No document has the modality {modality!r}; there are {have}.")
        return self.segments.get(modality, slice(0, 0))

    def _top_k(self, queries, segment, k, score_map, slope=None):
        number = self.number[segment]
        lines = {}
        if score_map is not None:
            lines = {"scale": score_map.scale[number], "offset": score_map.offset[number]}
        with full_precision(self.vectors):
            return top_k(
                queries, self.vectors[segment, ...], k, numbers=number, slope=slope, **lines
            )

    def __getstate__(self):
        return {**vars(self), "vectors": to_numpy(self.vectors)}


def group_ids(ids):
    """Distinct ids in the order of their first row, and each row's place among them."""
    place = {}
    document = np.array([place.setdefault(x, len(place)) for x in ids.tolist()], np.intp)
    return ids[np.unique(document, return_index=True)[1]], document


def warn_of_unlike_lengths(lengths, tags, ids):
    """Parts are not normalised before they are fused, so a longer one drowns a shorter."""
    ids, document = group_ids(ids)
    kinds = np.unique(document * len(tags.names) + tags.codes) // len(tags.names)
    n_modalities = np.bincount(kinds, minlength=len(ids))
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

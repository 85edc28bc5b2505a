"""Documents: the fused unit vectors of a corpus, with their ids and modalities."""

from dataclasses import dataclass

import numpy as np

from .._array_api import (
    beside,
    full_precision,
    namespace_and_device,
    squared_lengths,
    take_rows,
    to_numpy,
)
from .._relevance import check_known
from .._warnings import warn
from ._exact import top_k
from ._fusion import fuse_rows


@dataclass(frozen=True, eq=False)
class Documents:
    """A corpus to search; changing it makes a new one.

    Attributes
    ----------
    ids, modality : ndarray of shape (n_documents,)
    vectors : array of shape (n_documents, n_features), float32 or float64
        Of unit length, or zero: numpy, or of another library and then searched where it
        lies. Pickled as numpy.
    has_direction : ndarray of bool of shape (n_documents,)
        Which are not zero.
    """

    ids: np.ndarray
    modality: np.ndarray
    vectors: object
    has_direction: np.ndarray

    @classmethod
    def from_rows(cls, values, tags, ids, fusion_weight):
        """Fuse rows that share an id, in the order of each id's first row."""
        ids, document = _grouped(ids)
        with full_precision(values):
            vectors, has_direction, modality = fuse_rows(
                values, tags, document, len(ids), fusion_weight
            )
        return cls(ids, modality, vectors, has_direction)

    def __len__(self):
        return len(self.ids)

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
        return Documents(
            np.concatenate([self.ids, added.ids]) if len(self) else added.ids,
            np.concatenate([self.modality, added.modality]),
            xp.concat([self.vectors, new], axis=0),
            np.concatenate([self.has_direction, added.has_direction]),
        )

    def without(self, ids):
        """This corpus without some documents, which must be in it."""
        check_known(ids, self.ids, what="call to remove")
        gone = set(ids)
        keep = np.array([x not in gone for x in self.ids.tolist()], dtype=bool)
        return Documents(
            self.ids[keep],
            self.modality[keep],
            take_rows(self.vectors, keep),
            self.has_direction[keep],
        )

    def unlike(self, others):
        """The ids of `others`, all in this corpus, that were made from other rows here."""
        place = {x: i for i, x in enumerate(self.ids.tolist())}
        mine = take_rows(self.vectors, np.array([place[x] for x in others.ids.tolist()], np.intp))
        off = mine - beside(others.vectors, mine, mine.dtype)
        # Wide enough for the rounding of any step before, and narrower than any two photos.
        return others.ids[np.sqrt(to_numpy(squared_lengths(off))) > 1e-3]

    def nearest(self, queries, query_has_direction, k, modality=None):
        """The best documents for each query.

        Parameters
        ----------
        queries : array of shape (n_queries, n_features)
            Of unit length, or zero; of the library of `vectors`.
        query_has_direction : ndarray of bool of shape (n_queries,)
            Which are not zero.
        k : int
            How many; cut to the documents there are.
        modality : str, default=None
            Search only documents of this modality.

        Returns
        -------
        scores : ndarray of float64 of shape (n_queries, n_found)
            Cosines, descending; then documents of length zero, with 0.
        positions : ndarray of int of shape (n_queries, n_found)
        """
        wanted = np.ones(len(self), bool) if modality is None else self.modality == modality
        if not wanted.any():
            have = ", ".join(map(repr, dict.fromkeys(self.modality.tolist())))
            raise ValueError(
                f"No document has the modality {modality!r}; there are {have}."
                if len(self)
                else "The corpus is empty: add documents with partial_fit."
            )
        searched = np.flatnonzero(wanted & self.has_direction)
        order = np.concatenate([searched, np.flatnonzero(wanted & ~self.has_direction)])
        k = min(k, len(order))
        # What a query without direction gets, and what follows documents with one.
        scores = np.zeros((queries.shape[0], k))
        positions = np.broadcast_to(order[:k], scores.shape).copy()
        n_scored = min(k, len(searched))
        if n_scored and query_has_direction.any():
            vectors = self.vectors
            with full_precision(vectors):
                if len(searched) < len(self):
                    vectors = take_rows(vectors, searched)
                if not query_has_direction.all():
                    queries = take_rows(queries, query_has_direction)
                best, index = top_k(queries, vectors, n_scored)
            # In single precision the cosine with oneself can come out a little above 1.
            scores[query_has_direction, :n_scored] = np.clip(best, -1, 1)
            positions[query_has_direction, :n_scored] = searched[index]
        return scores, positions

    def __getstate__(self):
        return {**vars(self), "vectors": to_numpy(self.vectors)}


def _grouped(ids):
    """Distinct ids in the order of their first row, and each row's place among them."""
    place = {}
    document = np.array([place.setdefault(x, len(place)) for x in ids.tolist()], np.intp)
    return ids[np.unique(document, return_index=True)[1]], document


def warn_of_unlike_lengths(lengths, tags, ids):
    """Parts are not normalised before they are fused, so a longer one drowns a shorter."""
    ids, document = _grouped(ids)
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

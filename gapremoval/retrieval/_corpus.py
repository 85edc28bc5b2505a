"""Corpus: the documents of an index, which come and go, and the search among them."""

from dataclasses import dataclass

import numpy as np

from .._array_api import (
    beside,
    full_precision,
    is_mapped,
    namespace_and_device,
    put_rows,
    row_blocks,
    squared_lengths,
    take_rows,
    to_numpy,
)
from .._growing import Cut, Growing
from .._validation import compute_dtype
from ..score_calibration import ScoreMap
from ._entries import UNDIRECTED, Entries
from ._top_k import TopK, top_k


@dataclass(frozen=True, eq=False)
class Segment:
    """The documents of one modality that have a direction, in any order.

    Attributes
    ----------
    vectors : Growing of shape (n, n_features)
        Of unit length; see Documents for those in a memory-mapped file.
    number : Growing of int of shape (n,)
        The number of each.
    """

    vectors: Growing
    number: Growing

    def __len__(self):
        return len(self.number)

    def each(self, change, *given):
        """The segment with a method of `Growing` called on both."""
        return Segment(*(getattr(x, change)(*given) for x in (self.vectors, self.number)))


@dataclass(frozen=True, eq=False)
class Corpus:
    """A corpus to search. A change makes a new one and uses this one up.

    Documents with a direction have a row in the segment of their modality, where the last
    fills the place of one that is taken away. So a document comes or goes in the same time,
    however many there are.

    Attributes
    ----------
    entries : Entries
        Which documents there are.
    segments : dict of str to Segment
        By modality; none is empty.
    like : array of shape (0, n_features)
        Of the library, device and dtype of all vectors: float32 or float64.
    """

    entries: Entries
    segments: dict
    like: object

    @classmethod
    def of(cls, documents):
        """The corpus of some documents, whose arrays it takes over."""
        xp, place = namespace_and_device(documents.vectors)
        shape, dtype = (0, documents.vectors.shape[1]), compute_dtype(documents.vectors)
        like = xp.empty(shape, dtype=dtype, device=place)
        return cls(Entries.none(), {}, like).extended(documents)

    def __len__(self):
        return len(self.entries)

    def extended(self, added):
        """This corpus and then some Documents, whose ids must be new: see Entries."""
        numbers = self.entries.next_number + added.number
        rows = np.full(len(added), UNDIRECTED, dtype=np.int64)
        segments = dict(self.segments)
        for name, at in added.segments.items():
            vectors = added.vectors[at, ...]
            stay = is_mapped(vectors)
            if not stay or name in segments:
                vectors = beside(vectors, self.like, self.like.dtype)
            rows[added.number[at]] = len(segments.get(name, ())) + np.arange(at.stop - at.start)
            if name in segments:
                mine = segments[name]
                segments[name] = Segment(
                    mine.vectors.extended(vectors), mine.number.extended(numbers[at])
                )
            else:
                # A file is not ours to write to, even where it can be written.
                held = Growing.of(vectors).shared() if stay else Growing.of(vectors)
                segments[name] = Segment(held, Growing.of(numbers[at]))
        entries = self.entries.extended(added.ids, added.names, added.codes, rows)
        return Corpus(entries, segments, self.like)

    def without(self, gone):
        """This corpus, which must be writeable, without the documents of some entries.

        Returns
        -------
        corpus : Corpus
        cuts : dict of str to Cut
            How rows were taken from the segments.
        """
        entries, cuts = self.entries, {}
        codes, rows = entries.code.rows[gone], entries.row.rows[gone]
        moved, rows_of_moved = [gone[:0]], [rows[:0]]
        for code in np.unique(codes[rows >= 0]).tolist():
            name = entries.names[code]
            mine = self.segments[name]
            cuts[name] = Cut.of(rows[(codes == code) & (rows >= 0)], len(mine))
            moved.append(entries.at(mine.number.rows[cuts[name].movers]))
            rows_of_moved.append(cuts[name].holes)
        moved, rows_of_moved = np.concatenate(moved), np.concatenate(rows_of_moved)
        segments = dict(self.segments)
        for name, cut in cuts.items():
            segments[name] = segments[name].each("without", cut)
        segments = {name: mine for name, mine in segments.items() if len(mine)}
        entries = entries.without(gone, moved, rows_of_moved)
        return Corpus(entries, segments, self.like), cuts

    def writeable(self):
        """The same corpus, whose arrays can be overwritten."""
        return self._each("writeable")

    def trimmed(self):
        """The same corpus without most of the memory that is not in use."""
        return self._each("trimmed")

    def shared(self):
        """The same corpus, for somebody else who may change it."""
        return self._each("shared")

    def _each(self, change):
        segments = {name: mine.each(change) for name, mine in self.segments.items()}
        return Corpus(getattr(self.entries, change)(), segments, self.like)

    def unlike(self, others):
        """The ids of some Documents, all in this corpus, that were made from other rows here."""
        at = self.entries.find(others.ids[others.number].tolist())
        codes, rows = self.entries.code.rows[at], self.entries.row.rows[at]
        theirs = beside(others.vectors, self.like, self.like.dtype)
        mine = namespace_and_device(theirs)[0].zeros_like(theirs)
        for code, name in enumerate(self.entries.names):
            members = np.flatnonzero((codes == code) & (rows != UNDIRECTED))
            if len(members):
                vectors = self.segments[name].vectors.rows
                put_rows(mine, members, take_rows(vectors, rows[members]))
        # Wide enough for the rounding of any step before, and narrower than any two photos.
        differs = np.zeros(len(others), dtype=bool)
        differs[others.number] = np.sqrt(to_numpy(squared_lengths(theirs - mine))) > 1e-3
        return others.ids[differs]

    def nearest(self, queries, k, *, modality=None, score_map=None):
        """The best documents for each query.

        Parameters
        ----------
        queries : array of shape (n_queries, n_features)
            Of unit length; of the library of the vectors.
        k : int
            How many; cut to the documents there are.
        modality : str, default=None
            Search only documents of this modality.
        score_map : CorpusScoreMap, default=None
            What makes scores of cosines.

        Returns
        -------
        scores : ndarray of float64 of shape (n_queries, n_found)
            Descending; then documents of length zero, with 0, or below all others where
            there is a score map.
        numbers : ndarray of int of shape (n_queries, n_found)
            Those of the documents.
        """
        tops = self._top_k(queries, k, modality, score_map, None)
        scores, numbers = merge(tops, k, queries.shape[0])
        rest = self.undirected(modality)[: k - scores.shape[1]]
        rest = np.broadcast_to(rest, (len(scores), len(rest)))
        if score_map is None:
            # In single precision the cosine with oneself can come out a little above 1.
            scores = np.clip(scores, -1, 1)
        lowest = np.full(rest.shape, 0.0 if score_map is None else score_map.lowest)
        return np.concatenate([scores, lowest], axis=1), np.concatenate([numbers, rest], axis=1)

    def nearest_by_modality(self, queries, k, *, modality=None, score_map=None):
        """The best documents of each modality, with the sums that probabilities need.

        Parameters are those of `nearest`; documents of length zero are left out.

        Returns
        -------
        dict of str to TopK
            Sorted by modality, with numbers of documents as indices, and log sums where the
            score map has a slope.
        """
        slope = None if score_map is None else score_map.slope
        return self._top_k(queries, k, modality, score_map, slope)

    def _top_k(self, queries, k, modality, score_map, slope):
        self._check_there(modality)
        tops = {}
        for name in sorted(self.segments):
            if modality in (None, name):
                mine, lines = self.segments[name], {}
                if score_map is not None:
                    of_name = score_map.of[name]
                    lines = {"scale": of_name.scale, "offset": of_name.offset, "slope": slope}
                # Rows that took the place of others are brought into their order.
                order = np.argsort(mine.number.rows)
                vectors = mine.vectors.rows
                if (np.diff(order) < 0).any():
                    vectors = take_rows(vectors, order)
                    lines |= {x: lines[x][order] for x in ("scale", "offset") if x in lines}
                with full_precision(self.like):
                    top = top_k(queries, vectors, min(k, len(mine)), **lines)
                tops[name] = TopK(top.scores, mine.number.rows[order][top.rows], top.log_sums)
        return tops

    def folded(self, score_map):
        """Vectors whose inner product with ``[query, 1]`` is the calibrated score.

        Parameters
        ----------
        score_map : CorpusScoreMap or None
            None leaves cosines as they are.

        Returns
        -------
        ndarray of float32 of shape (n_documents, n_features + 1)
            In the order of the ids. Documents of length zero get an offset below all scores.
        """
        lines = self.in_order(score_map)
        folded = np.zeros((len(self), self.like.shape[1] + 1), dtype=np.float32)
        for mine in self.segments.values():
            place, vectors = self.entries.places_of(mine.number.rows), mine.vectors.rows
            for rows in row_blocks(vectors):
                at = place[rows]
                folded[at, :-1] = to_numpy(vectors[rows, ...]) * lines.scale[at, None]
        folded[:, -1] = lines.offset
        return folded

    def in_order(self, score_map):
        """A CorpusScoreMap, or None, as one ScoreMap of all documents in the order of the ids."""
        lowest = -2.0 if score_map is None else score_map.lowest
        scale, offset = np.ones(len(self)), np.full(len(self), lowest)
        for name, mine in self.segments.items():
            at = self.entries.places_of(mine.number.rows)
            of_name = ScoreMap(1.0, 0.0) if score_map is None else score_map.of[name]
            scale[at], offset[at] = of_name.scale, of_name.offset
        return ScoreMap(scale, offset)

    def undirected(self, modality=None):
        """The numbers of documents of length zero, ascending."""
        numbers = self.entries.number.rows[self.entries.undirected]
        if modality is None or not len(numbers):
            return numbers
        return numbers[self.entries.modality_of(numbers) == modality]

    def count(self, modality=None):
        """The number of all documents, or of those of a modality."""
        self._check_there(modality)
        if modality is None:
            return len(self)
        return len(self.segments.get(modality, ())) + len(self.undirected(modality))

    def in_their_order(self, modality=None):
        """The numbers of all documents, or of those of a modality; length zero comes last."""
        names = self.segments if modality is None else self.segments.keys() & {modality}
        directed = [self.segments[name].number.rows for name in names]
        directed = np.sort(np.concatenate([np.empty(0, np.int64), *directed]))
        return np.concatenate([directed, self.undirected(modality)])

    def _check_there(self, modality):
        """Raise if there is no document, or none of a modality."""
        if not len(self):
            raise ValueError("The corpus is empty: add documents with partial_fit.")
        if modality is None or modality in self.segments or len(self.undirected(modality)):
            return
        have = ", ".join(map(repr, dict.fromkeys(self.entries.modality.tolist())))
        raise ValueError(f"No document has the modality {modality!r}; there are {have}.")

    def __getstate__(self):
        return {**vars(self), "like": to_numpy(self.like)}


def merge(tops, k, n_queries):
    """The `k` best of all modalities.

    Parameters
    ----------
    tops : dict of str to TopK
        The best documents of each modality, at least `k` where it has so many.
    k, n_queries : int

    Returns
    -------
    scores : ndarray of float64 of shape (n_queries, min(k, number of all))
        Descending.
    numbers : ndarray of int of that shape
        Documents; equal scores in ascending order.
    """
    scores = np.concatenate(
        [np.empty((n_queries, 0)), *(top.scores for top in tops.values())], axis=1
    )
    numbers = np.concatenate(
        [np.empty((n_queries, 0), dtype=int), *(top.rows for top in tops.values())], axis=1
    )
    if len(tops) > 1:
        order = np.lexsort((numbers, -scores), axis=1)
        scores, numbers = (np.take_along_axis(x, order, axis=1) for x in (scores, numbers))
    return scores[:, :k], numbers[:, :k]

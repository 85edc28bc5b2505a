"""The documents of a retriever as a search reads them, in a segment for each modality."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .._array_api import array_namespace, full_precision, take_rows, to_numpy
from .._modality import as_query, parts_of
from .._origin import Origin
from ..score_calibration._score_map import mean_score_map
from ._top_k import top_k


@dataclass(frozen=True, eq=False)
class Segment:
    """Documents of one modality, in the order in which they were added.

    Attributes
    ----------
    columns : dict of str to array of shape (n_rows, ...)
        ``vectors``, of unit length (see Documents for those in a memory-mapped file) or zero;
        ``position``, int, ascending; ``id``, int64 or object; ``made_of``, the marks of the
        document's parts; and by query modality the statistics of a score calibration.
    live : ndarray or None
        A mask of the rows whose documents have not been removed, None if all are; in a part of
        the corpus the numbers of its rows, ascending.
    """

    columns: dict
    live: np.ndarray | None = None

    def __len__(self):
        return len(self.columns["position"])

    @cached_property
    def n_live(self):
        """The number of documents."""
        if self.live is None:
            return len(self)
        return int(np.count_nonzero(self.live)) if self.live.dtype == bool else len(self.live)

    def of_live(self, rows):
        """The entries of an array, one for each row, that belong to documents."""
        return rows if self.live is None else rows[self.live]

    def __getstate__(self):
        columns = {name: to_numpy(rows) for name, rows in self.columns.items()}
        return {"columns": columns, "live": self.live}


class Top(NamedTuple):
    """The best documents of a modality: scores and positions (n_queries, k), and log sums."""

    scores: np.ndarray
    positions: np.ndarray
    log_sums: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of an index at one moment, or a part of it. Nothing in it is ever overwritten.

    The position of a document is the number of documents that were added before it, and never
    changes.

    Attributes
    ----------
    like : array of shape (0, n_features)
        Has the library, device and dtype of all vectors: float32 or float64.
    segments : dict of (str, bool) to Segment
        By modality and whether the documents have a direction (a length above zero). No
        segment is empty.
    next_position : int
    calibration : ScoreCalibrator or None
    banks : tuple of dict of str to QueryBank
        The example rows: first those that the calibration learned from, then those that came
        later.
    modalities : tuple of str
        The modalities of all rows so far.
    means : tuple of dict
        The numbers and the means of all rows so far at unit length, by modality.
    n_rows_seen : int or None
        The row number with which ids continue; None where ids were given.
    origin : Origin or None
        Where the rows come from, as far as they tell.
    part_of : Snapshot or None
        The whole corpus, if this is a part of it to search. The scores are those of the whole.
    null_samples : dict of str to NullSample
        By query modality, that of this state or of an earlier one. Not pickled.
    """

    like: object
    segments: dict = field(default_factory=dict)
    next_position: int = 0
    calibration: object = None
    banks: tuple = ()
    modalities: tuple = ()
    means: tuple = ({}, {})
    n_rows_seen: int | None = 0
    origin: Origin | None = None
    part_of: object = None
    null_samples: dict = field(default_factory=dict)

    def __len__(self):
        """The number of documents."""
        return sum(segment.n_live for segment in self.segments.values())

    @property
    def whole(self):
        """The whole corpus."""
        return self if self.part_of is None else self.part_of

    @cached_property
    def directed(self):
        """The segments of documents that have a direction: a dict by modality."""
        return {name: self.segments[name, True] for name, is_so in sorted(self.segments) if is_so}

    @cached_property
    def undirected(self):
        """The positions of the documents that have no direction, ascending."""
        found = [
            segment.of_live(segment.columns["position"])
            for (_, is_so), segment in self.segments.items()
            if not is_so
        ]
        return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *found]))

    def column(self, key, name):
        """A column of the segment of a key, or None if there is none."""
        return self.segments[key].columns.get(name) if key in self.segments else None

    @cached_property
    def cache(self):
        """Results that are kept, such as score maps."""
        return {}

    def score_map(self, query_modality):
        """The CorpusScoreMap for queries of a modality, or None for plain cosines.

        A query of several parts, from whose like nothing was learned, is scored by the mean of
        the score maps of its parts.
        """
        if self.calibration is None:
            return None
        if self.part_of is not None:
            return self.part_of.score_map(query_modality)
        if query_modality not in self.cache:
            found = self.calibration.score_map(query_modality, self)
            parts = parts_of(query_modality)
            if found is None and len(parts) > 1:
                maps = [self.score_map(as_query(part)) for part in parts]
                found = mean_score_map([each for each in maps if each is not None])
            if found is None:  # of which there are as many as names that are mistyped
                return None
            self.cache[query_modality] = found
        return self.cache[query_modality]

    def taught(self, calibration, statistics):
        """The snapshot with a calibration, and statistics of all documents.

        Parameters
        ----------
        calibration : ScoreCalibrator
        statistics : dict of str to ndarray of shape (n_directed, n_statistics)
            By query modality, in the order of `directed`. No document was removed.

        Returns
        -------
        Snapshot
        """
        segments, start = dict(self.segments), 0
        for name, segment in self.directed.items():
            rows = slice(start, start := start + len(segment))
            columns = {query: values[rows] for query, values in statistics.items()}
            segments[name, True] = Segment(segment.columns | columns)
        return replace(self, segments=segments, calibration=calibration, null_samples={})

    # All documents, in the order in which they were added. Read-only, since they are kept.

    @cached_property
    def positions(self):
        """The documents' positions, ascending."""
        return _read_only(np.sort(self._of_all("position")))

    @cached_property
    def ids(self):
        """The documents' ids: int64 or object."""
        return _read_only(self._of_all("id")[np.argsort(self._of_all("position"))])

    @cached_property
    def modality(self):
        """The documents' modalities: ndarray of str."""
        return _read_only(self.column_of("id", self.positions)[1])

    def _of_all(self, name):
        columns = [s.of_live(s.columns[name]) for s in self.segments.values()]
        return np.concatenate(columns or [np.empty(0, dtype=np.int64)])

    # Documents by position.

    def rows_of(self, positions):
        """The numbers of the documents' segments (-1 where there is none), and their rows."""
        number, row = np.full(positions.shape, -1), np.zeros(positions.shape, dtype=np.intp)
        for i, segment in enumerate(self.segments.values()):
            found = _rows_at(segment.columns["position"], positions)
            hit = found >= 0
            number[hit], row[hit] = i, found[hit]
        return number, row

    def holds(self, positions):
        """Whether the documents at some positions are in the corpus: ndarray of bool."""
        found = np.zeros(positions.shape, dtype=bool)
        for segment in self.segments.values():
            rows = _rows_at(segment.columns["position"], positions)
            found |= (rows >= 0) & (segment.live is None or segment.live[rows])
        return found

    def column_of(self, name, positions):
        """A column of the documents at some positions, and their modalities."""
        number, row = self.rows_of(positions)
        columns = [s.columns[name] for s in self.segments.values()] or [np.empty(0, np.int64)]
        found = np.empty(positions.shape + columns[0].shape[1:], np.result_type(*columns))
        for i, column in enumerate(columns):
            inside = number == i
            found[inside] = column[row[inside]]
        return found, np.array([name for name, _ in self.segments] or [""])[number]

    def places_of(self, positions):
        """The indices in `ids` of the documents at some positions."""
        return np.searchsorted(self.positions, positions)

    def vectors_of(self, positions):
        """The vectors of the documents at some positions, an array beside `like`."""
        number, row = self.rows_of(positions)
        order, found = np.argsort(number, kind="stable"), []
        xp = array_namespace(self.like)
        for i, segment in enumerate(self.segments.values()):
            vectors = take_rows(segment.columns["vectors"], row[number == i])
            found.append(xp.astype(vectors, self.like.dtype, copy=False))
        return take_rows(xp.concat(found), np.argsort(order))

    # Parts of the corpus.

    def part(self, modality=None, rows=None):
        """The part of the corpus that a search is restricted to.

        Parameters
        ----------
        modality : collection of str, default=None
            The modalities of its documents.
        rows : dict of (str, bool) to ndarray of int, default=None
            The rows of its documents in each segment, ascending.

        Returns
        -------
        Snapshot
        """
        segments = {
            at: found
            for at, found in self.segments.items()
            if modality is None or at[0] in modality
        }
        if rows is not None:
            segments = {
                at: Segment(segment.columns, rows[at])
                for at, segment in segments.items()
                if len(rows.get(at, ()))
            }
        return replace(self, segments=segments, part_of=self)

    @cached_property
    def places(self):
        """For each segment the index in `ids` of each row; of no use where it is not live."""
        last = len(self) - 1
        return {
            at: np.minimum(self.places_of(segment.columns["position"]), last)
            for at, segment in self.segments.items()
        }

    def rows_where(self, mask):
        """The live rows of each segment that a mask in the order of `ids` selects."""
        rows = {}
        for at, segment in self.segments.items():
            chosen = mask[self.places[at]]
            rows[at] = np.flatnonzero(chosen if segment.live is None else chosen & segment.live)
        return rows

    def rows_at(self, positions):
        """The rows of each segment that hold the documents at some positions."""
        number, row = self.rows_of(positions)
        rows = {at: np.sort(row[number == i]) for i, at in enumerate(self.segments)}
        return {at: some[np.diff(some, prepend=-1) > 0] for at, some in rows.items()}

    # Search.

    def nearest(self, queries, k, *, score_map=None, without=None):
        """The best documents for each query, among the documents with a direction.

        There must be at least one.

        Parameters
        ----------
        queries : array of shape (n_queries, n_features)
            Of any length but zero.
        k : int
            Number of documents; at most those there are.
        score_map : CorpusScoreMap, default=None
            Turns cosines into scores; by default scores are cosines.
        without : ndarray of int of shape (n_queries,), default=None
            The position of a document that each query does not find, or -1. It comes last where
            `k` documents include it.

        Returns
        -------
        scores : ndarray of float64 of shape (n_queries, n_found)
            Descending.
        positions : ndarray of int of shape (n_queries, n_found)
        """
        tops = self.nearest_by_modality(queries, k, score_map=score_map, without=without)
        scores, positions = merge(tops, k)
        # In single precision the cosine of equal rows can come out a little above 1.
        return scores if score_map else np.clip(scores, -1, 1), positions

    def nearest_by_modality(self, queries, k, *, score_map=None, slope=None, without=None):
        """The best documents of each modality, among the documents with a direction.

        Parameters are those of `nearest`, and a `slope`: with it the log sums are computed
        that probabilities need.

        Returns
        -------
        dict of str to Top
            Sorted by modality.
        """
        tops = {}
        with full_precision(self.like):
            for name, segment in self.directed.items():
                scale, offset = (None, None) if score_map is None else score_map.of[name]
                position = segment.columns["position"]
                top = top_k(
                    queries,
                    segment.columns["vectors"],
                    min(k, segment.n_live),
                    live=segment.live,
                    scale=scale,
                    offset=offset,
                    slope=slope,
                    without=None if without is None else _rows_at(position, without),
                )
                tops[name] = Top(top.scores, position[top.rows], top.log_sums)
        return tops

    def __getstate__(self):
        state = {column.name: getattr(self, column.name) for column in fields(self)}
        return {**state, "like": to_numpy(self.like), "null_samples": {}}


def _read_only(array):
    array.flags.writeable = False
    return array


def _rows_at(have, positions):
    """The rows of a column of positions that hold some positions, -1 where none does."""
    at = np.searchsorted(have, positions)
    at[at == len(have)] = 0
    return np.where(have[at] == positions, at, -1)


def merge(tops, k):
    """The `k` best of all modalities.

    Parameters
    ----------
    tops : dict of str to Top
        The best documents of each modality, at least `k` if there are so many.
    k : int

    Returns
    -------
    scores : ndarray of float64 of shape (n_queries, min(k, number of all))
        Descending.
    positions : ndarray of int of that shape
        Of equal scores, the smaller position first.
    """
    scores = np.concatenate([top.scores for top in tops.values()], axis=1)
    positions = np.concatenate([top.positions for top in tops.values()], axis=1)
    if len(tops) > 1:
        order = np.lexsort((positions, -scores), axis=1)[:, :k]
        query = np.arange(len(scores))[:, None]
        scores, positions = scores[query, order], positions[query, order]
    return scores[:, :k], positions[:, :k]

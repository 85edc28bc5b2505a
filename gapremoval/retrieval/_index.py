"""The documents of a retriever: append-only segments, one a modality, read through snapshots."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .._array_api import (
    beside,
    full_precision,
    is_mapped,
    is_writeable,
    namespace_and_device,
    row_blocks,
    take_rows,
    to_numpy,
)
from .._relevance import check_known, kind_of_ids
from ..score_calibration import ScoreMap
from ._top_k import top_k


@dataclass(frozen=True, eq=False)
class Segment:
    """Documents of one modality in the order in which they were added, which is that of rows.

    Attributes
    ----------
    columns : dict of str to array of shape (n_rows, ...)
        ``vectors``, of unit length (see Documents for those in a memory-mapped file) or zero;
        ``position``, int, ascending; ``id``, int64 or object; ``made_of``, the marks of the
        document's rows; and by query modality the statistics of a score calibration.
    live : ndarray of bool of shape (n_rows,) or None
        Which rows are documents still; None where all are.
    """

    columns: dict
    live: np.ndarray | None = None

    def __len__(self):
        return len(self.columns["position"])

    @cached_property
    def n_live(self):
        """The number of documents."""
        return len(self) if self.live is None else int(np.count_nonzero(self.live))

    def of_live(self, rows):
        """What an array with an entry a row holds of documents."""
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
    """An index as it is at one moment. Nothing that it holds is ever overwritten.

    A document keeps its position, the number of documents added before it, for life.

    Attributes
    ----------
    like : array of shape (0, n_features)
        Of the library, device and dtype of all vectors: float32 or float64.
    segments : dict of (str, bool) to Segment
        By modality and whether documents have a direction (a length above zero). None is empty.
    next_position : int
    calibration : ScoreCalibrator or None
    banks : dict of str to QueryBank
        The rows that teach it.
    modalities : tuple of str
        Those met while fitting.
    n_rows_seen : int or None
        From which row numbers go on as ids; None where ids were given.
    """

    like: object
    segments: dict = field(default_factory=dict)
    next_position: int = 0
    calibration: object = None
    banks: dict = field(default_factory=dict)
    modalities: tuple = ()
    n_rows_seen: int | None = 0

    def __len__(self):
        """The number of documents."""
        return sum(segment.n_live for segment in self.segments.values())

    @cached_property
    def directed(self):
        """The segments of documents that have a direction: a dict by modality."""
        return {name: self.segments[name, True] for name, is_so in sorted(self.segments) if is_so}

    @cached_property
    def cache(self):
        """What was computed from this snapshot when it was asked for."""
        return {}

    def score_map(self, query_modality):
        """The CorpusScoreMap for queries of a modality, or None for plain cosines."""
        if self.calibration is None:
            return None
        if query_modality not in self.cache:
            self.cache[query_modality] = self.calibration.score_map(query_modality, self)
        return self.cache[query_modality]

    # All documents, in the order in which they were added.

    @cached_property
    def positions(self):
        """Their positions, ascending."""
        return np.sort(self._of_all("position", np.int64))

    @cached_property
    def ids(self):
        """Their ids: int64 or object."""
        return self._of_all("id", np.int64)[self._order]

    @cached_property
    def modality(self):
        """Their modalities: ndarray of str."""
        names = [name for name, _ in self.segments] or [""]
        counts = [segment.n_live for segment in self.segments.values()] or [0]
        return np.repeat(names, counts)[self._order]

    @property
    def _order(self):
        return np.argsort(self._of_all("position", np.int64), kind="stable")

    def _of_all(self, name, dtype):
        segments = self.segments.values()
        return np.concatenate([np.empty(0, dtype), *(s.of_live(s.columns[name]) for s in segments)])

    # Documents at some positions.

    def rows_of(self, positions):
        """Where documents lie: the numbers of their segments, -1 for none, and their rows."""
        number, row = np.full(positions.shape, -1), np.zeros(positions.shape, dtype=np.intp)
        for i, segment in enumerate(self.segments.values()):
            have = segment.columns["position"]
            at = np.searchsorted(have, positions)
            at[at == len(have)] = 0
            hit = have[at] == positions
            number[hit], row[hit] = i, at[hit]
        return number, row

    def column_of(self, name, positions):
        """A column of documents at positions where there are some; and their modalities."""
        number, row = self.rows_of(positions)
        columns = [segment.columns[name] for segment in self.segments.values()]
        dtype = np.result_type(*(column.dtype for column in columns))
        found = np.empty((*positions.shape, *columns[0].shape[1:]), dtype)
        for i, column in enumerate(columns):
            mine = number == i
            found[mine] = column[row[mine]]
        return found, np.array([name for name, _ in self.segments])[number]

    def places_of(self, positions):
        """The places in `ids` of documents at some positions."""
        return np.searchsorted(self.positions, positions)

    # Search.

    def nearest(self, queries, k, *, modality=None, score_map=None):
        """The best documents for each query.

        Parameters
        ----------
        queries : array of shape (n_queries, n_features)
            Of any length but zero.
        k : int
            Number of documents; at most those there are.
        modality : str, default=None
            Search only documents of this modality.
        score_map : CorpusScoreMap, default=None
            Makes scores of cosines.

        Returns
        -------
        scores : ndarray of float64 of shape (n_queries, n_found)
            Descending; then documents of length zero, with 0, or below all others where
            there is a score map.
        positions : ndarray of int of shape (n_queries, n_found)
        """
        tops = self.nearest_by_modality(queries, k, modality=modality, score_map=score_map)
        scores, positions = merge(tops, k, queries.shape[0])
        if score_map is None:
            # In single precision the cosine with oneself can come out a little above 1.
            scores = np.clip(scores, -1, 1)
        rest = self.undirected(modality)[: k - scores.shape[1]]
        if not len(rest):
            return scores, positions
        rest = np.broadcast_to(rest, (len(scores), len(rest)))
        lowest = np.full(rest.shape, 0.0 if score_map is None else score_map.lowest)
        return np.concatenate([scores, lowest], axis=1), np.concatenate([positions, rest], axis=1)

    def nearest_by_modality(self, queries, k, *, modality=None, score_map=None, slope=None):
        """The best documents of each modality; those of length zero are left out.

        Parameters are those of `nearest`; with a `slope`, float, come the log sums that
        probabilities need.

        Returns
        -------
        dict of str to Top
            Sorted by modality.
        """
        self._check_there(modality)
        tops = {}
        with full_precision(self.like):
            for name, segment in self.directed.items():
                if modality in (None, name):
                    lines = None if score_map is None else score_map.of[name]
                    top = top_k(
                        queries,
                        segment.columns["vectors"],
                        min(k, segment.n_live),
                        live=segment.live,
                        scale=lines and lines.scale,
                        offset=lines and lines.offset,
                        slope=slope,
                    )
                    positions = segment.columns["position"][top.rows]
                    tops[name] = Top(top.scores, positions, top.log_sums)
        return tops

    def undirected(self, modality=None):
        """The positions of documents of length zero, ascending."""
        return self._positions_of(False, modality)

    def in_their_order(self, modality=None):
        """The positions of all documents, or of those of a modality; length zero comes last."""
        return np.concatenate([self._positions_of(True, modality), self.undirected(modality)])

    def count(self, modality=None):
        """The number of all documents, or of those of a modality."""
        self._check_there(modality)
        return sum(s.n_live for (m, _), s in self.segments.items() if modality in (None, m))

    def in_order(self, score_map):
        """A CorpusScoreMap, or None, as one ScoreMap of all documents in the order of `ids`."""
        lowest = -2.0 if score_map is None else score_map.lowest
        scale, offset = np.ones(len(self)), np.full(len(self), lowest)
        for name, segment in self.directed.items():
            at = self.places_of(segment.of_live(segment.columns["position"]))
            ones = np.ones(len(segment))
            lines = ScoreMap(ones, 0 * ones) if score_map is None else score_map.of[name]
            scale[at], offset[at] = segment.of_live(lines.scale), segment.of_live(lines.offset)
        return ScoreMap(scale, offset)

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
        for segment in self.directed.values():
            vectors = segment.columns["vectors"]
            place = np.searchsorted(self.positions, segment.columns["position"])
            for rows in row_blocks(vectors):
                live = slice(None) if segment.live is None else segment.live[rows]
                at = place[rows][live]
                folded[at, :-1] = to_numpy(vectors[rows, ...])[live] * lines.scale[at, None]
        folded[:, -1] = lines.offset
        return folded

    def _positions_of(self, directed, modality):
        found = [
            segment.of_live(segment.columns["position"])
            for (name, is_so), segment in self.segments.items()
            if is_so == directed and modality in (None, name)
        ]
        return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    def _check_there(self, modality):
        """Raise if there is no document, or none of a modality."""
        if not self.segments:
            raise ValueError("The corpus is empty: add documents with partial_fit.")
        if modality is not None and all(modality != name for name, _ in self.segments):
            have = ", ".join(map(repr, dict.fromkeys(self.modality.tolist())))
            raise ValueError(f"No document has the modality {modality!r}; there are {have}.")

    def __getstate__(self):
        state = {column.name: getattr(self, column.name) for column in fields(self)}
        return {**state, "like": to_numpy(self.like)}


class Index:
    """The documents of one retriever, which come and go. One thread at a time changes it.

    A change writes only where no snapshot reads, beyond the rows that they count, and is seen
    all at once, when `now` is replaced. So readers need no lock, and an interrupt or an error
    leaves the snapshot before or the one after.

    Attributes
    ----------
    now : Snapshot
    """

    def __init__(self, now):
        self.now = now
        # By segment and column, an array with room whose first rows are the column.
        self._room = {}
        # By id, the position. It may hold more than there is: `find` compares.
        self._positions = None

    def copy(self):
        """Another index with the same documents. Each is changed without the other's notice."""
        return Index(self.now)

    def __getstate__(self):
        return {"now": self.now}

    def __setstate__(self, state):
        self.__init__(state["now"])

    def add(self, documents, statistics, **state):
        """Add Documents with new ids, and replace what is given of the snapshot's `state`.

        Parameters
        ----------
        documents : Documents
        statistics : dict of str to ndarray of shape (n_directed, n_statistics)
            By query modality, in the order of ``documents.directed``.
        **state : dict of str to object
            Attributes of the snapshot.
        """
        now, start = self.now, 0
        segments = dict(now.segments)
        for key, (number, vectors) in documents.segments.items():
            before = segments.get(key)
            if before is not None or not is_mapped(vectors):
                vectors = beside(vectors, now.like, now.like.dtype)
            more = {
                "vectors": vectors,
                "position": now.next_position + number,
                "id": documents.ids[number],
                "made_of": documents.made_of[number],
            }
            if key[1]:
                rows = slice(start, start + len(number))
                more |= {name: values[rows] for name, values in statistics.items()}
                start = rows.stop
            segments[key] = self._appended(key, before, more)
        if self._positions is not None:
            positions = now.next_position + np.arange(len(documents.ids))
            self._positions.update(zip(documents.ids.tolist(), positions.tolist()))
        next_position = now.next_position + len(documents.ids)
        self.now = replace(now, segments=segments, next_position=next_position, **state)

    def _appended(self, key, before, more):
        """A segment, or None, with more rows."""
        if before is None:
            return Segment(more)
        columns, live = {}, before.live
        for name, rows in more.items():
            columns[name], self._room[key, name] = appended(
                before.columns[name], rows, self._room.get((key, name))
            )
        if live is not None:
            live = np.concatenate([live, np.ones(len(more["position"]), dtype=bool)])
        return Segment(columns, live)

    def remove(self, ids):
        """Take documents away: their rows are passed over, until a quarter of a segment is such.

        Raises
        ------
        ValueError
            If an id is not there.
        """
        ids = list(dict.fromkeys(ids))
        positions = self.find(ids)
        if (positions < 0).any():
            check_known(ids, self.now.ids, what="call to remove")
        number, row = self.now.rows_of(positions)
        segments = dict(self.now.segments)
        for i, (key, segment) in enumerate(self.now.segments.items()):
            if (mine := row[number == i]).size:
                live = np.ones(len(segment), bool) if segment.live is None else segment.live.copy()
                live[mine] = False
                segments[key] = shrunk = Segment(segment.columns, live)
                if 4 * shrunk.n_live < 3 * len(segment):
                    for column in segment.columns:
                        self._room.pop((key, column), None)
                    segments[key] = compacted(shrunk)
                if not shrunk.n_live:
                    del segments[key]
        self.now = replace(self.now, segments=segments)
        for x in ids:
            self._positions.pop(x, None)

    def find(self, ids):
        """The positions of some ids, -1 for those that are not there."""
        if self._positions is None:
            now = self.now
            self._positions = dict(zip(now.ids.tolist(), now.positions.tolist()))
        positions = np.array([self._positions.get(x, -1) for x in ids], dtype=np.int64)
        # An interrupt can leave more in the table than there is.
        number, row = self.now.rows_of(positions)
        for i, segment in enumerate(self.now.segments.values()):
            for at in np.flatnonzero(number == i).tolist():
                there = segment.live is None or segment.live[row[at]]
                if not there or segment.columns["id"][row[at]] != ids[at]:
                    number[at] = -1
        return np.where(number < 0, -1, positions)

    def check_new(self, ids):
        """Raise if documents with some ids cannot be added.

        Raises
        ------
        ValueError
            If they are strings and the others are not, or the other way round, or some are
            there.
        """
        new, have = ids.tolist(), [s.columns["id"][:1] for s in self.now.segments.values()]
        if have and kind_of_ids(have[0]) != kind_of_ids(ids):
            raise ValueError(
                f"The new ids are of another type ({new[0]!r}) than those of the corpus "
                f"({have[0].tolist()[0]!r}): use the same type."
            )
        known = np.flatnonzero(self.find(new) >= 0).tolist()
        if known:
            shown = ", ".join(repr(new[i]) for i in known[:5]) + (", ..." if known[5:] else "")
            raise ValueError(
                f"{len(known)} of the new documents are already in the corpus: {shown}. Remove "
                "them first; all parts of a document come in one call."
            )


def appended(rows, more, room=None):
    """Rows and then more of them, written into the room behind the rows where it is enough.

    Parameters
    ----------
    rows, more : array of shape (n, ...) and (n_more, ...), of one library
    room : array of shape (capacity, ...), default=None
        Begins with `rows`.

    Returns
    -------
    rows : array of shape (n + n_more, ...)
        A view of `room`.
    room : array of shape (capacity, ...)
        That given or, where it is too small or of another dtype, a new one of twice the size.
    """
    n, total, dtype = rows.shape[0], rows.shape[0] + more.shape[0], rows.dtype
    if dtype != more.dtype:
        dtype = np.result_type(dtype, more.dtype)
    fits = room is not None and room.shape[0] >= total and room.dtype == dtype
    if not fits or not is_writeable(room):
        xp, place = namespace_and_device(rows)
        room = xp.empty((2 * total, *rows.shape[1:]), dtype=dtype, device=place)
        room[:n, ...] = rows
    room[n:total, ...] = more
    return room[:total, ...], room


def compacted(segment):
    """A segment without the rows that are no documents."""
    rows = np.flatnonzero(segment.live)
    return Segment({name: take_rows(column, rows) for name, column in segment.columns.items()})


def merge(tops, k, n_queries):
    """The `k` best of all modalities.

    Parameters
    ----------
    tops : dict of str to Top
        The best documents of each modality, at least `k` where it has so many.
    k, n_queries : int

    Returns
    -------
    scores : ndarray of float64 of shape (n_queries, min(k, number of all))
        Descending.
    positions : ndarray of int of that shape
        Equal scores in ascending order.
    """
    if not tops:
        return np.empty((n_queries, 0)), np.empty((n_queries, 0), dtype=np.int64)
    scores = np.concatenate([top.scores for top in tops.values()], axis=1)
    positions = np.concatenate([top.positions for top in tops.values()], axis=1)
    if len(tops) > 1:
        order = np.lexsort((positions, -scores), axis=1)[:, :k]
        query = np.arange(n_queries)[:, None]
        scores, positions = scores[query, order], positions[query, order]
    return scores[:, :k], positions[:, :k]

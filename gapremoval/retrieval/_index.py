"""The documents of a retriever as they come and go: append-only segments."""

from dataclasses import replace

import numpy as np

from .._array_api import beside, is_mapped, is_writeable, namespace_and_device, take_rows
from .._relevance import check_known, kind_of_ids
from .._warnings import shown
from ._snapshot import Segment


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
        """Remove documents: their rows are passed over, until a quarter of a segment is such.

        Raises
        ------
        ValueError
            If an id is not there.
        TypeError
            If something is no id.
        """
        try:
            ids = list(dict.fromkeys(ids))
        except TypeError as error:
            raise TypeError(
                f"remove takes an id or a flat sequence of ids; got {repr(ids)[:60]} ({error})."
            ) from None
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
        known = [new[i] for i in np.flatnonzero(self.find(new) >= 0).tolist()]
        if known:
            raise ValueError(
                f"{len(known)} of the new documents are already in the corpus: {shown(known)}. "
                "Remove them first; all parts of a document come in one call."
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

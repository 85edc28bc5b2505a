"""The documents of a retriever, which are added and removed: append-only segments."""

from dataclasses import replace

import numpy as np

from .._array_api import beside, is_mapped, is_writeable, namespace_and_device, take_rows
from .._relevance import check_known, kind_of_ids
from .._warnings import shown
from ._snapshot import Segment


class Index:
    """The documents of one retriever. One thread at a time adds and removes documents.

    A change makes a new snapshot, and writes only where no snapshot reads, beyond the rows of
    its columns. Searches see it when `publish` replaces `now`. So readers need no lock, and an
    interrupt or an error leaves the snapshot before or the one after.

    Attributes
    ----------
    now : Snapshot
    """

    def __init__(self, now):
        self.now = now
        # By segment and column, the column and an array with room for more that begins with it.
        self._room = {}
        # A snapshot, and the position of each of its ids.
        self._table = None, {}

    def changed(self, documents, statistics, gone=()):
        """The snapshot with new documents and without others, which no search sees yet.

        Parameters
        ----------
        documents : Documents
            Those that come.
        statistics : dict of str to ndarray of shape (n_directed, n_statistics)
            By query modality, in the order of ``documents.directed``.
        gone : ndarray of int, default=()
            Positions of those that go.

        Returns
        -------
        Snapshot
        """
        now, start = self.now, 0
        segments = without(now, gone) if len(gone) else dict(now.segments)
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
        next_position = now.next_position + len(documents.ids)
        null_samples = dict(now.null_samples)
        return replace(
            now, segments=segments, next_position=next_position, null_samples=null_samples
        )

    def _appended(self, key, before, more):
        """A segment, or None, with more rows."""
        if before is None:
            return Segment(more)
        columns, live = {}, before.live
        for name, rows in more.items():
            column, room = self._room.get((key, name), (None, None))
            # After an error or an interrupt the room may be that of a column nobody has seen.
            room = room if column is before.columns[name] else None
            columns[name], room = appended(before.columns[name], rows, room)
            self._room[key, name] = columns[name], room
        if live is not None:
            live = np.concatenate([live, np.ones(len(more["position"]), dtype=bool)])
        return Segment(columns, live)

    def publish(self, now, new=(), gone=()):
        """Replace the snapshot that searches see.

        Parameters
        ----------
        now : Snapshot
        new, gone : sequence of ids
            Of the documents that came, in the order of their positions, and of those that went.
        """
        # An interrupt leaves no table rather than one that disagrees with the snapshot.
        (before, table), self._table = self._table, (None, {})
        is_right, self.now = before is self.now, now
        self._room = {at: room for at, room in self._room.items() if room[0] is now.column(*at)}
        if is_right:
            for x in gone:
                del table[x]
            table.update(zip(new, range(now.next_position - len(new), now.next_position)))
            self._table = now, table

    def remove(self, ids):
        """Remove documents: searches skip their rows until they are a quarter of a segment.

        Raises
        ------
        ValueError
            If an id is not in the corpus.
        TypeError
            If an entry cannot be an id.
        """
        try:
            ids = list(dict.fromkeys(ids))
        except TypeError as error:
            raise TypeError(
                f"remove takes an id or a flat collection of ids; got {repr(ids)[:60]} ({error})."
            ) from None
        positions = self.find(ids)
        if (positions < 0).any():
            check_known(ids, self.now.ids, what="call to remove")
        segments, null_samples = without(self.now, positions), dict(self.now.null_samples)
        self.publish(replace(self.now, segments=segments, null_samples=null_samples), gone=ids)

    def find(self, ids, documents=None):
        """The positions of some ids; -1 for ids that are not in the corpus.

        Any thread may call it while another one changes the index.

        Parameters
        ----------
        ids : sequence of ids
        documents : Snapshot, default=None
            The whole corpus as it was at some moment; by default as it is now.

        Returns
        -------
        ndarray of int64 of shape (n_ids,)
        """
        documents = self.now if documents is None else documents
        found, kept = None, self._table
        if kept[0] is documents:
            found = [kept[1].get(x, -1) for x in ids]
        # A change takes the table away before it writes to it.
        if found is None or self._table is not kept:
            table = dict(zip(documents.ids.tolist(), documents.positions.tolist()))
            found = [table.get(x, -1) for x in ids]
            if documents is self.now:
                self._table = documents, table
        return np.array(found, dtype=np.int64)

    def find_known(self, ids, replace):
        """Those ids of new documents that are in the corpus, and their positions.

        Raises
        ------
        ValueError
            If only the new ids or only those of the corpus are strings, or if some are in the
            corpus and `replace` is False.
        """
        have = [s.columns["id"][:1] for s in self.now.segments.values()]
        if not (have and len(ids)):
            return [], np.empty(0, dtype=np.int64)
        new = ids.tolist()
        if kind_of_ids(have[0]) != kind_of_ids(ids):
            raise ValueError(
                f"The new ids are of another type ({new[0]!r}) than those of the corpus "
                f"({have[0].tolist()[0]!r}): use the same type."
            )
        positions = self.find(new)
        known = [x for x, position in zip(new, positions.tolist()) if position >= 0]
        if known and not replace:
            raise ValueError(
                f"{len(known)} of the new documents are already in the corpus: {shown(known)}. "
                "add_documents(pipe, X, ids, replace=True) replaces them; all parts of a document "
                "come in one call."
            )
        return known, positions[positions >= 0]


def without(snapshot, positions):
    """The segments of a snapshot without the documents at some positions."""
    number, row = snapshot.rows_of(positions)
    segments = dict(snapshot.segments)
    for i, (key, segment) in enumerate(snapshot.segments.items()):
        if (rows := row[number == i]).size:
            live = np.ones(len(segment), bool) if segment.live is None else segment.live.copy()
            live[rows] = False
            segments[key] = shrunk = Segment(segment.columns, live)
            if 4 * shrunk.n_live < 3 * len(segment):
                segments[key] = compacted(shrunk)
            if not shrunk.n_live:
                del segments[key]
    return segments


def appended(rows, more, room=None):
    """Rows and more rows behind them, written into the room behind the rows if it suffices.

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
        The given one or, if it is too small or of another dtype, a new one of twice the size.
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
    """A segment without the rows of removed documents."""
    rows = np.flatnonzero(segment.live)
    return Segment({name: take_rows(column, rows) for name, column in segment.columns.items()})

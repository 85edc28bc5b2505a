"""A cache of encoded rows in a folder, so that the same content is not encoded twice."""

import os
import sqlite3
import threading
import zlib
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np

from .._warnings import warn

FILE = "gapremoval_rows.sqlite"
DAMAGED_FILE = "gapremoval_rows.damaged.sqlite"

KEYS_PER_QUERY = 500  # old builds of SQLite allow 999 variables
# A page of 16 KiB holds 7 rows of 512 numbers; with the usual 4 KiB, half of a page is wasted.
SCHEMA = """
PRAGMA page_size = 16384;
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, row BLOB, checksum INTEGER);
"""

_turns = {}  # for each folder, the lock of the thread that encodes
_connected = threading.RLock()  # held while a connection is open


def _after_fork_in_child():
    _turns.clear()  # their threads are not in this process
    _connected.release()


if hasattr(os, "register_at_fork"):
    # SQLite forbids connections that are open in two processes after a fork.
    os.register_at_fork(
        before=_connected.acquire,
        after_in_parent=_connected.release,
        after_in_child=_after_fork_in_child,
    )


def cached_rows(memory, keys, encode, n_features, n_before=None, *, _busy_seconds=10.0):
    """Read rows from a cache folder, and encode and store the missing ones.

    The cache is a SQLite database in WAL mode, so a killed process leaves no half-written
    row, and processes may share a folder. Threads of one process encode in turn, and each
    distinct row once. Processes do not wait for each other: two that start at the same time
    may both encode a row. The folder must be on a local disk, since WAL mode does not work
    on network file systems.

    Parameters
    ----------
    memory : None, str, Path or joblib.Memory
        Cache folder; created where it does not exist. With None, or a Memory without a
        location, every distinct row is encoded and nothing is stored.
    keys : list of bytes or str, of length n_rows
        One digest per row, of everything that determines its values: the content and the
        network. Rows with equal keys are equal.
    encode : callable
        Called at most once, with the positions to encode: a sorted list of int, the first
        position of each key that is not cached. Must be a generator of pairs ``(positions,
        rows)``, in any order, with rows of shape (n_positions, n_features). Each pair is
        stored when it is yielded. Positions that cannot be encoded are left out.
    n_features : int
        Number of features; cached rows of another length are encoded again.
    n_before : int, default=None
        A second length, below `n_features`, that is also accepted from the cache. The
        features that such rows lack are NaN.

    Returns
    -------
    rows : ndarray of float32 of shape (n_rows, n_features)
        Rows that `encode` left out are NaN.

    Raises
    ------
    TypeError
        If `memory` is neither a folder nor None.
    ValueError
        If `encode` yields rows that are not finite or have another shape, or positions that
        it was not asked for. The pairs before stay stored, as after an error in `encode`.

    Warns
    -----
    UserWarning
        Once per call, if the folder cannot be read or written; the rows are encoded and not
        stored. Once per call, if the database is damaged; it is renamed and a new one is
        started.
    """
    folder = getattr(memory, "location", memory)
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise TypeError(
            f"memory must be a folder (str or Path), a joblib.Memory or None, got {memory!r}."
        )
    keys = [key.encode() if isinstance(key, str) else key for key in keys]
    missing = {}
    first = [missing.setdefault(key, position) for position, key in enumerate(keys)]
    rows = np.full((len(keys), n_features), np.nan, dtype=np.float32)
    database = _Database(folder, _busy_seconds)

    def recall():
        wanted = list(missing)
        for start in range(0, len(wanted), KEYS_PER_QUERY):
            for key, blob in database.read(wanted[start : start + KEYS_PER_QUERY]):
                row = np.frombuffer(blob, dtype="<f4")
                if key in missing and len(row) in (n_features, n_before):
                    rows[missing.pop(key), : len(row)] = row

    recall()
    with database.turn() if missing else nullcontext():
        recall()  # another thread may have stored rows in its turn
        asked = set(missing.values())
        with closing(encode(sorted(asked))) if asked else nullcontext(()) as pairs:
            for positions, values in pairs:
                positions = [int(position) for position in positions]
                values = _checked(positions, values, asked, n_features)
                asked.difference_update(positions)
                rows[positions] = values
                database.write([keys[position] for position in positions], values)
    return rows[first] if len(set(first)) < len(first) else rows


def _checked(positions, values, asked, n_features):
    """The rows that `encode` yielded, in float32."""
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(values, dtype=np.float32)
    if values.shape != (len(positions), n_features):
        raise ValueError(
            f"Expected rows of shape {(len(positions), n_features)}, got {values.shape}."
        )
    if wrong := set(positions) - asked:
        raise ValueError(f"Positions {sorted(wrong)} were not asked for, or yielded twice.")
    if wrong := [p for p, row in zip(positions, values) if not np.isfinite(row).all()]:
        raise ValueError(f"Rows that are not finite cannot be cached: positions {wrong}.")
    return values


class _Database:
    """The database of a folder during one call; after a failure it is not used again."""

    def __init__(self, folder, busy_seconds):
        self.is_usable = folder is not None
        self.folder = Path(folder or ".")
        self.path = self.folder / FILE
        self.busy_seconds = busy_seconds
        self.was_renamed = False

    def turn(self):
        """A lock shared with the other threads that use the folder."""
        if not self.is_usable:
            return nullcontext()
        return _turns.setdefault(os.path.abspath(self.folder), threading.Lock())

    def read(self, keys):
        """Pairs of a key and the bytes of its row, for the keys that are stored."""
        if not os.path.exists(self.path):
            return []
        query = (  # casts, because damage may turn anything into a text that is not UTF-8
            "SELECT key, CAST(row AS BLOB), CAST(checksum AS INTEGER) FROM rows "
            f"WHERE row IS NOT NULL AND key IN ({','.join('?' * len(keys))})"
        )
        # WAL mode needs files beside the database, which a read-only folder cannot have.
        read_only = not os.access(self.folder, os.W_OK)
        stored = self._transact(lambda rows: rows.execute(query, keys).fetchall(), read_only) or []
        return [(key, row) for key, row, checksum in stored if checksum == _checksum(key, row)]

    def write(self, keys, values):
        """Store rows, all or none of them."""
        blobs = [row.tobytes() for row in values.astype("<f4", copy=False)]
        rows = [(key, blob, _checksum(key, blob)) for key, blob in zip(keys, blobs)]
        insert = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)"
        self._transact(lambda connection: connection.executemany(insert, rows))

    def _transact(self, work, read_only=False):
        while self.is_usable:
            try:
                # Closed at once: no connection may be open when the encoder forks.
                with _connected, closing(self._connect(read_only)) as connection, connection:
                    if not read_only:
                        connection.executescript(SCHEMA)
                    return work(connection)
            # Python cannot decode the name of a column whose definition is damaged.
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                if _is_damage(error) and self._rename(error):
                    continue
                self.is_usable = False
                warn(
                    f"The cache in {self.folder} cannot be used ({error}): rows are encoded and "
                    "not stored."
                )

    def _connect(self, read_only):
        if read_only:
            return sqlite3.connect(f"{self.path.absolute().as_uri()}?immutable=1", uri=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(self.path, timeout=self.busy_seconds)

    def _rename(self, damage):
        """Whether the damaged file could be renamed, which is done once."""
        if self.was_renamed:
            return False
        try:
            os.replace(self.path, self.folder / DAMAGED_FILE)
        except OSError:
            return False
        self.was_renamed = True
        warn(
            f"The cached rows in {self.path} are damaged ({damage}): the file was renamed to "
            f"{DAMAGED_FILE} and a new one is started."
        )
        return True


def _is_damage(error):
    """Whether an error is about the file itself, not about the disk or other processes."""
    if isinstance(error, sqlite3.OperationalError):
        code = getattr(error, "sqlite_errorcode", None)
        return code == sqlite3.SQLITE_ERROR  # a database with other tables
    return not isinstance(error, OSError)


def _checksum(key, row):
    # Of the key as well, since in a damaged file a key may lead to the row of another.
    return zlib.crc32(row, zlib.crc32(key))

"""Encoded rows kept in a folder: each distinct content is encoded once, whoever asks for it."""

import os
import sqlite3
import zlib
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from .._optional import import_optional
from .._warnings import warn

FILE = "gapremoval_rows.sqlite"
DAMAGED_FILE = "gapremoval_rows.damaged.sqlite"
LOCK_FILE = "gapremoval_rows.lock"

# Below the 999 variables that old builds of sqlite allow.
KEYS_A_QUERY = 500
# Pages of 16 KiB hold 7 rows of 512 numbers; in the usual 4 KiB a row wastes half a page.
LAYOUT = """
PRAGMA page_size = 16384;
CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, row BLOB, checksum INTEGER);
"""
BUSY_SECONDS = 10

# What sqlite says of a file that is wrong in itself; all else is said of the disk, the
# permissions or another process, and the file may be good.
DAMAGE = {
    sqlite3.SQLITE_ERROR,  # sound, but with other tables than ours
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_TOOBIG,
}


def cached_rows(memory, keys, encode, n_features=None, n_before=None):
    """Rows for the keys: those found in the folder, and the others encoded and kept there.

    A file stays right whatever becomes of the process that writes it, and is checked row by
    row when it is read. Processes and threads that share a folder encode in turn, so that no
    row is encoded twice: a call with a row to encode waits for the one that encodes, however
    long that takes; a call that finds all its rows waits for nobody. The turn is an operating
    system's lock, which ends with its process. On network file systems these locks, and
    sqlite's own, may not hold: keep the folder on a local disk.

    Parameters
    ----------
    memory : None, str, Path or joblib.Memory
        Folder, made where it is absent. With None, or a Memory without a location, each
        distinct row is encoded and nothing is kept.
    keys : list of bytes or str, of length n_rows
        Digests. Equal keys mean equal rows, so whatever decides on a row's values (its
        content, the model and its weights) is part of its key.
    encode : callable
        Called once at most, with the positions in `keys` (a list of ascending int, the first
        one of each key that was not found). A generator of chunks: pairs of positions, in any
        order, and their rows, array of shape (n_positions, n_features). Each chunk is kept as
        soon as it comes. What it cannot encode it leaves out.
    n_features : int, default=None
        Length of a row; rows of other lengths are not read. None takes the first row's.
    n_before : int, default=None
        Length of rows that are read too, with NaN for the numbers that they lack at their end:
        earlier versions kept such.

    Returns
    -------
    ndarray of float32 of shape (n_rows, n_features)
        Rows that `encode` left out are NaN.

    Raises
    ------
    TypeError
        If `memory` is something else.
    ValueError
        If `encode` gives rows that are not finite or not of one length, or other positions
        than it was asked for. As after an error of `encode` itself, the chunks before are
        kept.

    Warns
    -----
    UserWarning
        Once a call, if the folder cannot be read or written: the rows are encoded all the
        same, and not kept. Once a call, if the file was damaged: it is set aside under
        another name and begun anew.
    """
    folder = _folder(memory)
    rows = _Rows(keys, n_features, n_before)
    with ExitStack() as turn:
        file = None
        if folder is not None and rows.missing:
            file = _RowFile(folder)
            file.read_into(rows)
            if rows.missing and file.is_usable:
                file.take_turn(turn)
                file.read_into(rows)
        if rows.missing:
            with closing(encode(list(rows.missing.values()))) as chunks:
                for positions, values in chunks:
                    chunk_keys, values = rows.put(positions, values)
                    if file is not None:
                        file.keep(chunk_keys, values)
    return rows.finished()


def _folder(memory):
    """Path of the folder, or None."""
    if hasattr(memory, "location"):
        memory = memory.location
    if memory is None:
        return None
    if not isinstance(memory, (str, os.PathLike)):
        raise TypeError(
            f"memory is a folder (str or Path), a joblib.Memory or None, not {memory!r}"
        )
    return Path(memory)


class _Rows:
    """The rows of a call, and which of them are still missing."""

    def __init__(self, keys, n_features, n_before):
        self.keys = [key.encode() if isinstance(key, str) else key for key in keys]
        self.n_features, self.n_before = n_features, n_before
        self.values = None
        self.missing = {}
        first = [self.missing.setdefault(key, row) for row, key in enumerate(self.keys)]
        self.first = np.array(first, dtype=np.intp)

    def put(self, positions, values):
        """Take a chunk of `encode`; return its keys and its rows in float32, checked."""
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(values, dtype=np.float32)
        positions = [int(position) for position in positions]
        n_features = self.n_features
        if values.ndim != 2 or len(values) != len(positions):
            raise ValueError(f"{len(positions)} positions came with rows of shape {values.shape}")
        if n_features is not None and values.shape[1] != n_features:
            raise ValueError(f"rows have {values.shape[1]} features, others {n_features}")
        broken = [p for p, good in zip(positions, np.isfinite(values).all(axis=1)) if not good]
        if broken:
            raise ValueError(f"rows that are not finite are not kept: positions {broken}")
        keys = []
        for position in positions:
            key = self.keys[position] if 0 <= position < len(self.keys) else None
            if self.missing.pop(key, None) != position:
                raise ValueError(f"position {position} was not asked for, or came twice")
            keys.append(key)
        self._place(positions, values)
        return keys, values

    def put_stored(self, key, blob, checksum):
        """Take a row out of the file, unless it is damaged or has another length."""
        if key not in self.missing or not isinstance(blob, bytes) or len(blob) % 4:
            return
        row = np.frombuffer(blob, dtype="<f4")
        if len(row) == self.n_before:
            row = np.pad(row, (0, self.n_features - len(row)), constant_values=np.nan)
        if checksum == _checksum(key, blob) and self.n_features in (None, len(row)):
            self._place(self.missing.pop(key), row)

    def _place(self, position, values):
        if self.values is None:
            self.n_features = values.shape[-1]
            self.values = np.empty((len(self.keys), self.n_features), dtype=np.float32)
        self.values[position] = values

    def finished(self):
        """All rows, repeated ones as well; those that are still missing are NaN."""
        if self.values is None:
            return np.full((len(self.keys), self.n_features or 0), np.nan, dtype=np.float32)
        self.values[list(self.missing.values())] = np.nan
        repeated = np.flatnonzero(self.first != np.arange(len(self.first)))
        self.values[repeated] = self.values[self.first[repeated]]
        return self.values


class _RowFile:
    """The file of one folder, for one call.

    A connection lives as long as one reading or writing, so that none is open when the
    encoder forks.
    """

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / FILE
        self.has_turn = False
        self.was_set_aside = False
        self.is_usable = True

    def take_turn(self, turn):
        """Wait until nobody else encodes for this folder; it is our turn until `turn` closes."""
        filelock = import_optional("filelock", extra="clip", purpose="Keeping rows (memory=)")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            turn.enter_context(filelock.FileLock(self.folder / LOCK_FILE))
        except OSError as error:
            self._give_up(error)
        else:
            self.has_turn = True

    def read_into(self, rows):
        """Put the missing rows that are found."""
        # The second look is at what others stored while we waited for our turn.
        if os.path.exists(self.path):
            self._work(_read, rows)

    def keep(self, keys, values):
        """Store rows, all or none of them."""
        if self.has_turn:
            self._work(_write, keys, values)

    def _work(self, work, *args):
        """Call ``work(connection, *args)`` in a transaction, if the file is fit for it."""
        while self.is_usable:
            try:
                if self.has_turn:
                    self.folder.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS)) as connection:
                    connection.text_factory = bytes  # damage may turn a blob into bad text
                    if self.has_turn:
                        connection.executescript(LAYOUT)
                    with connection:
                        return work(connection, *args)
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                # Python cannot read the name of a column whose definition is damaged.
                damaged = code in DAMAGE or isinstance(error, UnicodeDecodeError)
                if damaged and not self.has_turn:
                    return None  # another may be mending it: look again in our turn
                if not damaged or self.was_set_aside or not self._set_aside(error):
                    self._give_up(error)
        return None

    def _set_aside(self, damage):
        """Rename the damaged file, so that the next connection begins a new one."""
        try:
            os.replace(self.path, self.folder / DAMAGED_FILE)
        except OSError:
            return False
        self.was_set_aside = True
        warn(
            f"the cached rows in {self.path} are damaged ({damage}): the file was renamed to "
            f"{DAMAGED_FILE} and a new one is begun"
        )
        return True

    def _give_up(self, error):
        """Leave the folder alone for the rest of the call, and say so."""
        self.is_usable = self.has_turn = False
        warn(f"the cache in {self.folder} cannot be used ({error}): rows are encoded and not kept")


def _read(connection, rows):
    wanted = list(rows.missing)
    for start in range(0, len(wanted), KEYS_A_QUERY):
        keys = wanted[start : start + KEYS_A_QUERY]
        query = f"SELECT key, row, checksum FROM rows WHERE key IN ({','.join('?' * len(keys))})"
        for stored in connection.execute(query, keys).fetchall():
            rows.put_stored(*stored)


def _write(connection, keys, values):
    blobs = [row.tobytes() for row in values.astype("<f4", copy=False)]
    connection.executemany(
        "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)",
        [(key, blob, _checksum(key, blob)) for key, blob in zip(keys, blobs)],
    )


def _checksum(key, blob):
    """Of the key as well: in a damaged file a key may lead to another row."""
    return zlib.crc32(blob, zlib.crc32(key))

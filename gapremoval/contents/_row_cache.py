"""A cache of rows and texts in a folder, so that the same content is not encoded twice."""

import os
import sqlite3
import threading
import zlib
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import numpy as np

from .._warnings import warn
from ._locks import process_lock

FILE = "gapremoval_rows.sqlite"
DAMAGED_FILE = "gapremoval_rows.damaged.sqlite"

# A page of 16 KiB holds 7 rows of 512 numbers; with the usual 4 KiB, half of a page is wasted.
SCHEMA = """
PRAGMA page_size = 16384;
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, row BLOB, checksum INTEGER);
"""
# Damage may turn any value into a text, and Python raises for one that is not UTF-8.
SELECT = "SELECT CAST(row AS BLOB), CAST(checksum AS INTEGER) FROM rows WHERE key = ?"
INSERT = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)"

# SQLite forbids a connection that is open in two processes after a fork.
_connected = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_connected.acquire,
        after_in_parent=_connected.release,
        after_in_child=_connected.release,
    )


def cached_rows(memory, keys, encode, n_features, *, _busy_seconds=10.0):
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
    keys : list of bytes, str or None, of length n_rows
        One digest per row, of everything that determines its values: the content and the
        network. Rows with equal keys are equal. With None there is no row.
    encode : callable
        Called at most once, with the positions to encode: a sorted list of int, the first
        position of each key that is not cached. Must be a generator of pairs ``(positions,
        rows)``, in any order, with rows of shape (n_positions, n_features). Each pair is
        stored when it is yielded. Positions that cannot be encoded are left out.
    n_features : int
        Number of features; cached rows of another length are encoded again.

    Returns
    -------
    rows : ndarray of float32 of shape (n_rows, n_features)
        Rows without a key, and those that `encode` left out, are NaN.

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
    rows = np.full((len(keys), n_features), np.nan, dtype=np.float32)

    def take(position, blob):
        if is_row := len(blob) == 4 * n_features:
            rows[position] = np.frombuffer(blob, dtype="<f4")
        return is_row

    def make(asked):
        left = set(asked)
        with closing(encode(asked)) as pairs:
            for positions, values in pairs:
                positions = [int(position) for position in positions]
                with np.errstate(over="ignore"):
                    values = np.asarray(values).astype("<f4")
                shape = (len(positions), n_features)
                is_finite = np.isfinite(values).all()
                if values.shape != shape or not (is_finite and left.issuperset(positions)):
                    raise ValueError(
                        f"Expected finite rows of shape {shape}, at most one for each of the "
                        f"positions {sorted(left)[:20]}; got shape {values.shape}, "
                        f"{'' if is_finite else 'not '}finite, for {positions}."
                    )
                left.difference_update(positions)
                yield positions, [row.tobytes() for row in values]

    first = _fill(memory, keys, make, take, "rows", _busy_seconds)
    return rows[first] if len(set(first)) < len(first) else rows


def cached_texts(memory, keys, read):
    """Read texts from a cache folder, and make and store the missing ones.

    They are in the same database as rows, and all that is said of `cached_rows` is true of them.

    Parameters
    ----------
    memory : None, str, Path or joblib.Memory
        Cache folder.
    keys : list of bytes, str or None, of length n_texts
        One digest per text, of everything that determines it. With None there is no text.
    read : callable
        As `encode` of `cached_rows`: a generator of pairs ``(positions, texts)``.

    Returns
    -------
    list of str
        None for those without a key, and those that `read` left out.
    """
    texts = [None] * len(keys)

    def take(position, blob):
        texts[position] = blob.decode(errors="surrogatepass")
        return True

    def make(asked):
        with closing(read(asked)) as pairs:
            for positions, made in pairs:
                yield positions, [text.encode(errors="surrogatepass") for text in made]

    return [texts[position] for position in _fill(memory, keys, make, take, "texts")]


def _fill(memory, keys, make, take, kind, busy_seconds=10.0):
    """Pass the bytes of each distinct key on, from the cache or made, and store what was made.

    ``take(position, blob)`` returns whether it can use the bytes. Texts wait for texts and rows
    for rows, since what reads a text may encode. Returns the first position of each key.
    """
    folder = getattr(memory, "location", memory)
    if not isinstance(folder, str | os.PathLike | None):
        raise TypeError(
            f"memory must be a folder (str or Path), a joblib.Memory or None, got {memory!r}."
        )
    keys = [key.encode() if isinstance(key, str) else key for key in keys]
    missing = {}
    first = [missing.setdefault(key, position) for position, key in enumerate(keys)]
    missing.pop(None, None)
    database = _Database(folder, busy_seconds)

    def read(connection):
        for key, position in list(missing.items()):
            for blob, checksum in connection.execute(SELECT, (key,)):
                is_good = blob is not None and checksum == _checksum(key, blob)
                if is_good and take(position, blob):
                    missing.pop(key, None)

    database.read(read)
    with process_lock(kind, os.path.abspath(folder)) if folder and missing else nullcontext():
        database.read(read)  # another thread may have stored rows in its turn
        with closing(make(sorted(missing.values()))) if missing else nullcontext(()) as pairs:
            for positions, blobs in pairs:
                for position, blob in zip(positions, blobs):
                    take(position, blob)
                database.write(dict(zip([keys[position] for position in positions], blobs)))
    return first


class _Database:
    """The database of a folder during one call; after a failure it is not used again."""

    def __init__(self, folder, busy_seconds):
        self.is_usable, self.was_damaged = folder is not None, False
        self.folder = Path(folder or ".")
        self.path = self.folder / FILE
        self.busy_seconds = busy_seconds

    def read(self, work):
        """Call ``work(connection)`` if there is something to read."""
        if os.path.exists(self.path):
            # WAL mode needs files beside the database, which a read-only folder cannot have.
            self._transact(work, read_only=not os.access(self.folder, os.W_OK))

    def write(self, rows):
        """Store the bytes of rows by their keys, all or none of them."""
        stored = [(key, blob, _checksum(key, blob)) for key, blob in rows.items()]
        self._transact(lambda connection: connection.executemany(INSERT, stored))

    def _transact(self, work, read_only=False):
        path, options = self.path, {"timeout": self.busy_seconds}
        if read_only:
            path, options = f"{self.path.absolute().as_uri()}?immutable=1", {"uri": True}
        while self.is_usable:
            try:
                if not read_only:
                    self.folder.mkdir(parents=True, exist_ok=True)
                # Closed at once: no connection may be open when the encoder forks.
                with _connected, closing(sqlite3.connect(path, **options)) as connection:
                    if not read_only:
                        connection.executescript(SCHEMA)
                    with connection:
                        return work(connection)
            # Python cannot decode the name of a column whose definition is damaged.
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                if _is_damage(error) and not self.was_damaged:
                    self.was_damaged = True
                    with suppress(OSError):
                        os.replace(self.path, self.folder / DAMAGED_FILE)
                        warn(
                            f"The cached rows in {self.path} are damaged ({error}): the file was "
                            f"renamed to {DAMAGED_FILE} and a new one is started."
                        )
                else:
                    self.is_usable = False
                    warn(
                        f"The cache in {self.folder} cannot be used ({error}): rows are encoded "
                        "and not stored."
                    )


def _is_damage(error):
    """Whether an error is about the file itself, not about the disk or other processes."""
    if isinstance(error, sqlite3.OperationalError):
        code = getattr(error, "sqlite_errorcode", None)
        return code == sqlite3.SQLITE_ERROR  # a database with other tables
    return not isinstance(error, OSError)


def _checksum(key, blob):
    # Of the key as well, since in a damaged file a key may lead to the row of another.
    return zlib.crc32(blob, zlib.crc32(key))

"""Files that are complete or not there, and arrays read from untrusted files."""

import glob
import math
import os
import shutil
import uuid
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows, which neither moves nor removes an open file
    fcntl = None

LONGEST_HEADER = 1000  # of an array in a file; numpy writes 118 characters


@contextmanager
def replacing(path):
    """Write a file beside its place, and move it there once it is complete.

    An error or an interrupt leaves the older file as it was. A killed process leaves a hidden
    file ``.NAME....part``, which the next writer of the same file removes. The file of a
    writer that is still running is locked, and stays.

    Parameters
    ----------
    path : str or Path
        The exact name: no suffix is added. An older file is replaced and its permissions are
        kept. If `path` is a link, its target is replaced.

    Yields
    ------
    binary file

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    OSError
        If the file cannot be written; `path` is its ``filename``.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to save {path.name} in.")
    # Cut, because the whole name may be as long as a name can be; the checksum tells apart
    # names that begin alike.
    prefix = f".{path.name[:48]}.{zlib.crc32(os.fsencode(path.name)):08x}."
    _remove_abandoned(path.parent, prefix)
    partial = None
    try:
        partial, file = _open_locked(path.parent, prefix)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # so that a crash of the system leaves one of the two
            if path.exists():
                shutil.copymode(path, partial)
            if fcntl is None:
                file.close()
            os.replace(partial, path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _open_locked(folder, prefix):
    """A new partial file, opened for writing; its lock ends with this process at the latest."""
    while True:
        partial = folder / f"{prefix}{uuid.uuid4().hex[:8]}.part"
        file = open(partial, "xb")  # noqa: SIM115 -- closed by `replacing`
        with suppress(OSError):  # a file system without locks: nothing is ever removed there
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
        if partial.exists():
            return partial, file
        file.close()  # another writer removed it before it was locked


def _remove_abandoned(folder, prefix):
    """Remove the partial files that no running writer holds locked."""
    for partial in folder.glob(f"{glob.escape(prefix)}{'[0-9a-f]' * 8}.part"):
        with suppress(OSError):  # locked, or removed by another writer meanwhile
            if fcntl is None:
                partial.unlink()
            else:
                with open(partial, "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    partial.unlink()


@contextmanager
def locked(path):
    """Hold the lock of a file until the context ends, once its holder lets it go.

    The file is made if necessary, and stays. Without locks in the file system nobody waits.
    """
    with open(path, "ab") as file:
        with suppress(OSError):
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_arrays(path, names, optional=()):
    """Read the arrays of an uncompressed ``.npz`` file, without pickle.

    Checksums are compared, and no more memory is taken than the file has bytes.

    Parameters
    ----------
    path : str or Path
        The file.
    names, optional : list of str
        The arrays that it holds, those that it may hold, and no others.

    Returns
    -------
    list of ndarray or None
        The arrays in the order of `names` and `optional`; None for those that are not there.

    Raises
    ------
    OSError
        If the file cannot be opened.
    Exception
        Of many kinds (the parsers of the zip and of its arrays raise their own), if it is not
        what ``np.savez`` writes for arrays of these names.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would wait for its writer
        raise ValueError("it is not a regular file")
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        absent = [name for name in optional if name not in members]
        wanted = [name for name in [*names, *optional] if name not in absent]
        if sorted(wanted) != sorted(members) or len(wanted) != len(archive.infolist()):
            raise ValueError(f"it holds {sorted(members)} and not {sorted(names)}")
        for info in members.values():
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise ValueError(f"{info.filename} is compressed, which save never does")
        if sum(info.file_size for info in members.values()) > os.fstat(file.fileno()).st_size:
            raise ValueError("its arrays are said to be larger than the file")
        arrays = {name: _read_array(archive, members[name]) for name in wanted}
        return [arrays.get(name) for name in [*names, *optional]]


def _read_array(archive, info):
    """The array of a member that is exactly as long as the array's header says."""
    with archive.open(info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{info.filename} is in a format that save never writes")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member, LONGEST_HEADER)
        n_bytes = info.file_size - member.tell()
        if not dtype.itemsize or math.prod(shape) * dtype.itemsize != n_bytes:
            raise ValueError(f"{info.filename} has {n_bytes} bytes for {shape} of {dtype}")
    # Opened again, since a seek may end the comparison of the checksum, which comes at the end.
    with archive.open(info) as member:
        return np.lib.format.read_array(member, max_header_size=LONGEST_HEADER)


def file_states(paths):
    """What a change of files changes, to be compared with the same of later.

    Parameters
    ----------
    paths : iterable of Path

    Returns
    -------
    tuple of tuple or None
        For each file its name, its number on the disk, its size and the time of its last change.
        None for a path without a file.
    """
    states = []
    for path in paths:
        try:
            status = path.stat()
        except (OSError, ValueError):
            states.append(None)
        else:
            states.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(states)

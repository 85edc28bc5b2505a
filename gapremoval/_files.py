"""Files that are complete or not there, and arrays read from files that nobody vouches for."""

import math
import os
import shutil
import uuid
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

LONGEST_HEADER = 1000  # of an array in a file; numpy writes 118 characters


@contextmanager
def replacing(path):
    """Open a file beside its place, and move it there once it is written.

    An error, or an interrupt, leaves what was there before.

    Parameters
    ----------
    path : str or Path
        Where it is to lie, exactly: no suffix is added. An older file is replaced, and its
        permissions are kept; of a link, what it leads to is replaced.

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
    partial = path.with_name(f"{partial_prefix(path)}{uuid.uuid4().hex[:8]}.part")
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # so that a crash of the system leaves one of the two
        if path.exists():
            shutil.copymode(path, partial)
        os.replace(partial, path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def partial_prefix(path):
    """How the name begins of what is not yet the file: a killed process leaves it."""
    # A whole name may be as long as a name can be.
    return f".{os.path.basename(path)[:60]}."


def read_arrays(path, names):
    """Read the arrays of an uncompressed ``.npz`` file, without pickle.

    Checksums are compared, and no more memory is taken than the file has bytes.

    Parameters
    ----------
    path : str or Path
        The file.
    names : list of str
        The arrays that it holds, and no others.

    Returns
    -------
    list of ndarray
        The arrays in the order of `names`.

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
        if sorted(names) != sorted(members) or len(names) != len(archive.infolist()):
            raise ValueError(f"it holds {sorted(members)} and not {sorted(names)}")
        for info in members.values():
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise ValueError(f"{info.filename} is compressed, which save never does")
        if sum(info.file_size for info in members.values()) > os.fstat(file.fileno()).st_size:
            raise ValueError("its arrays are said to be larger than the file")
        return [_read_array(archive, members[name]) for name in names]


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

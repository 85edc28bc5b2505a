"""Files that are complete or not there."""

import os
import uuid
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path):
    """Open a file beside its place, and move it there once it is written.

    An error, or an interrupt, leaves what was there before.

    Parameters
    ----------
    path : str or Path
        Where it is to lie, exactly: no suffix is added. An older file is replaced.

    Yields
    ------
    binary file

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to save {path.name} in.")
    partial = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # so that a crash of the system leaves one of the two
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)

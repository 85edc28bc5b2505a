"""Files that are complete or not there."""

import os
import shutil
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

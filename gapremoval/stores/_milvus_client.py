"""The connection to Milvus, and its filter expressions."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .._optional import import_optional

# Milvus refuses requests of 64 MB and answers of about 100 MB.
BYTES_A_REQUEST = 16 * 2**20
COLLECTION_NOT_FOUND, UNAVAILABLE = 100, 2
BUILD = re.compile(r"_([0-9a-f]{8})_[0-9a-f]{8}(_settings)?$")  # ends the name of a collection
PAUSES = 0.1, 0.3, 1, 3, 10  # seconds until a server that is away is tried again
INT64 = np.iinfo(np.int64)
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


def pymilvus():
    """The module, or an ImportError that names the extra."""
    return import_optional("pymilvus", extra="milvus", purpose="MilvusStore")


def is_local(uri):
    """Whether a uri is a file of Milvus Lite."""
    return str(uri).endswith(".db")


def connect(uri):
    """A MilvusClient for a file that ends in ``.db``, or for a server.

    The token of a server is read from the environment variable ``MILVUS_TOKEN``.

    Raises
    ------
    ImportError
        If pymilvus is not installed.
    ValueError
        If `uri` is neither a local file nor the address of a server, or holds a password.
    RuntimeError
        If another process holds the file, or the file cannot be opened.
    ConnectionError
        If no server answers, or the server refuses the token.
    """
    milvus, uri = pymilvus(), str(uri)
    if is_local(uri):
        return _open_file(milvus, uri)
    if not re.match(r"(https?|tcp)://|unix:", uri):
        raise ValueError(
            f"uri={uri!r} is neither a file that ends in '.db' nor the address of a server, "
            "such as 'http://localhost:19530'."
        )
    if masked(uri) != uri:
        raise ValueError(
            f"uri={masked(uri)!r} holds a user or a password, and would be pickled with them. "
            "Put 'user:password' into the environment variable MILVUS_TOKEN."
        )
    try:
        return milvus.MilvusClient(uri, token=os.environ.get("MILVUS_TOKEN", ""))
    except milvus.MilvusException as error:
        raise ConnectionError(
            f"No connection to Milvus at {uri}: {error.message}. Is the server running, and the "
            "environment variable MILVUS_TOKEN set if it asks for a token?"
        ) from error


def _open_file(milvus, uri):
    path = Path(uri).absolute()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to hold {uri}.")
    if path.is_file():
        raise RuntimeError(
            f"{uri} is not of Milvus Lite 3, which keeps a folder of that name. It may be of an "
            "older one: choose another name, and build the store anew."
        )
    lite = import_optional("milvus_lite", extra="milvus", purpose="A local file of Milvus")
    try:
        return milvus.MilvusClient(uri)
    except milvus.MilvusException as error:
        # pymilvus does not say why; opening the file itself does.
        try:
            lite.MilvusLite(uri).close()
        except lite.exceptions.DataDirLockedError:
            raise RuntimeError(
                f"{uri} is in use by another process, and Milvus Lite serves one at a time. End "
                "that process or call close() on its store; to share the documents, run a Milvus "
                "server and pass its address as uri."
            ) from error
        except Exception as reason:
            raise RuntimeError(f"Milvus Lite cannot open {uri}: {reason}") from error
        raise


def ask(client, method, collection, **asked):
    """Call a method of a client that may be called twice, such as an upsert.

    pymilvus itself repeats a call when a server limits the rate or drops the connection, but
    gives up where it cannot connect anew at once.

    Raises
    ------
    LookupError
        If the collection is gone. The message tells what to do.
    """
    for pause in (*PAUSES, None):
        try:
            return getattr(client, method)(collection, **asked)
        except pymilvus().MilvusException as error:
            if error.code == COLLECTION_NOT_FOUND:
                raise LookupError(
                    f"Another build has replaced the collection {alias_of(collection)!r}: open the "
                    "store again, by open() of its retriever or with a new MilvusStore."
                ) from error
            if error.code != UNAVAILABLE or pause is None:
                raise
            time.sleep(pause)


def alias_of(name):
    """The name by which a user knows a collection."""
    return BUILD.sub("", name)


def release(uri):
    """Let other processes open a local file."""
    manager = import_optional(
        "milvus_lite.server_manager", extra="milvus", purpose="A local file of Milvus"
    )
    manager.server_manager_instance.release_server(str(uri))


def masked(uri):
    """A uri without the user and the password that it may hold."""
    return re.sub(r"(?<=//)[^/@]*@", "", str(uri))


def literal(value):
    """An integer or a string in a filter expression."""
    return f'"{value.translate(_ESCAPES)}"' if isinstance(value, str) else str(value)


def is_in(field, values, *, negate=False):
    """The condition that a field is one of some values."""
    values = ", ".join(map(literal, values))
    return f"{field} {'not in' if negate else 'in'} [{values}]"


def all_of(*conditions):
    """The conjunction of the conditions that are not empty."""
    conditions = [one for one in conditions if one]
    return conditions[0] if len(conditions) == 1 else " and ".join(f"({c})" for c in conditions)


def as_ids(ids):
    """Ids as a list of Python's int and str.

    Raises
    ------
    TypeError
        If an id is neither an integer of 64 bits nor a string, or they are mixed.
    """
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise TypeError(f"A sequence of ids is needed, not {ids!r}.")
    plain = [name.item() if isinstance(name, np.generic) else name for name in ids]
    for name in plain:
        held = isinstance(name, str) or (type(name) is int and INT64.min <= name <= INT64.max)
        if not held or type(name) is not type(plain[0]):
            raise TypeError(
                f"Milvus holds ids that are all strings, or all integers of 64 bits. {name!r} is "
                f"{'another kind than ' + repr(plain[0]) if held else 'neither'}. Give the "
                "documents strings as ids, such as str(id)."
            )
    return plain


def in_batches(records, sizes, limit=BYTES_A_REQUEST):
    """Yield consecutive records of at most `limit` bytes together, at least one at a time."""
    start, used = 0, 0
    for i, size in enumerate(sizes):
        if i > start and used + size > limit:
            yield records[start:i]
            start, used = i, 0
        used += size
    if start < len(records):
        yield records[start:]

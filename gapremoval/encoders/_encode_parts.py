"""encode_parts: a large source, encoded part by part, on one machine or on many."""

import dataclasses
import hashlib
import json
import os
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from .._array_api import to_numpy
from .._files import replacing
from .._optional import import_optional
from ..datasets._folder import LeftOut
from ..datasets._parts import NAME, PartHeader, find_parts, read_header
from ._encoder import Encoder
from ._error import EncodingError
from ._rows import never_a_name
from ._sources import open_source


class EncodedParts(NamedTuple):
    """What a call of `encode_parts` leaves behind.

    Attributes
    ----------
    paths : list of Path
        The parts of the shard.
    written : list of Path
        Those that were encoded by this call; the others were there.
    left_out : list of (str, str)
        Items that are in none of the parts of the shard: what they are called, and why.
    """

    paths: list
    written: list
    left_out: list


@validate_params(
    {
        "encoder": [Encoder],
        "part_size": [Interval(Integral, 1, None, closed="left")],
        "dtype": [StrOptions({"float32", "float16"})],
    },
    prefer_skip_nested_validation=True,
)
def encode_parts(encoder, source, folder, *, shard=(0, 1), part_size=4096, dtype="float32"):
    """Encode one shard of a source into Parquet files that are complete or not there.

    The items of a source are cut into ranges of `part_size`, which do not depend on who encodes
    them. Shard ``i`` of ``n`` encodes ranges i, i + n, i + 2n and so on, each into a file
    ``part-XXXXXXXX.parquet`` of `folder`. The names of the files sort in the order of the items.

    A part that is there and fits the source is skipped, so any scheduler can run a shard again,
    in whole or after it was killed. A part whose items were changed (in name, size or time of the
    last change) is encoded again, and one past the end of the source is removed. When all shards
    are done, the parts hold each item of the source once.

    `iter_parquet` and ``gapremoval index`` read the parts. Needs pyarrow:
    ``pip install 'gapremoval[parquet]'``.

    Parameters
    ----------
    encoder : CLIPEncoder or SentenceTransformerEncoder
        Encodes the items.
    source : str or Path
        One of

        - a folder of pictures and texts, read as by `read_folder`;
        - a list of files: a text file with one path a line, relative to its own folder or
          absolute;
        - a Parquet file, or a folder of them, with the columns ``text``, ``image`` or both and
          perhaps ``id``, read as by `explode_documents`. An image is a path, relative to the
          folder of its Parquet file, the bytes of a file, or ``{"bytes": ..., "path": ...}``
          as datasets of Hugging Face have it;
        - a tar file, or a folder of them, with pictures and texts as in a webdataset. Each tar
          file is one range.

        Pictures in a folder go before its Parquet files, these before tar files and texts.
    folder : str or Path
        Where the parts are; made if it is not there.
    shard : pair of int, default=(0, 1)
        Number of the shard, from 0, and of shards. It may differ between calls.
    part_size : int, default=4096
        Number of files or table rows of a part, at least 1.
    dtype : {"float32", "float16"}, default="float32"
        Of the stored embeddings.

    Returns
    -------
    EncodedParts
        The parts of the shard (``paths``), those of them that this call encoded (``written``), and
        the items that cannot be read or encoded (``left_out``). These are noted in their parts,
        and not tried again until the part is deleted or its items change.

    Raises
    ------
    FileNotFoundError
        If there is no such source.
    ValueError
        If `shard` is not a pair ``(i, n)`` with ``0 <= i < n``, the source holds nothing, or
        `folder` has parts of another source, another model, or with another `part_size` or
        `dtype`.

    See Also
    --------
    gapremoval.datasets.iter_parquet : Reads the parts, batch by batch.

    Notes
    -----
    The columns of a part are ``id`` (the id of the document, as `read_folder` and
    `explode_documents` give it), ``modality``, ``embedding`` (a list of fixed size) and ``name``
    (the path of a file below the source, as bytes; null for rows of a table).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from gapremoval import CLIPEncoder
    >>> from gapremoval.datasets import iter_parquet
    >>> from gapremoval.encoders import encode_parts
    >>> with TemporaryDirectory() as home:  # doctest: +SKIP
    ...     for i in range(10):
    ...         _ = Path(home, f"note {i}.txt").write_text("a red disc at the left edge")
    ...     for i in range(2):  # on two machines
    ...         encoder = CLIPEncoder("pocket")
    ...         done = encode_parts(encoder, home, Path(home, "parts"), shard=(i, 2), part_size=4)
    ...         print([path.name for path in done.written])
    ...     rows = [X for X, ids in iter_parquet(Path(home, "parts"), modality_column="modality")]
    ['part-00000000.parquet', 'part-00000002.parquet']
    ['part-00000001.parquet']
    """
    number, n_shards = _check_shard(shard)
    parquet = import_optional("pyarrow.parquet", extra="parquet", purpose="encode_parts")
    folder = Path(os.path.abspath(folder))
    found = open_source(source, part_size, except_for={os.path.realpath(folder)})
    made_by = {
        "model": encoder._lasting_name(),
        "fingerprint": encoder._load()[0].fingerprint,
        "part_size": int(part_size),
        "dtype": dtype,
    }
    folder.mkdir(parents=True, exist_ok=True)
    old = find_parts(folder)
    for path in list(old.values())[:1]:  # of whichever shard
        _check_fits(path, found, made_by)
    done = EncodedParts([], [], [])
    firsts = [items.first for items in found.ranges] + [""]
    for part in range(number, len(found.ranges), n_shards):
        path, items = folder / NAME.format(part), found.ranges[part]
        state = json.dumps([items.first, items.state()]).encode()
        header = PartHeader(
            source=found.path,
            folder=found.folder,
            items=hashlib.sha256(state).hexdigest(),
            first=items.first,
            next=firsts[part + 1],
            **made_by,
        )
        there = _check_fits(path, found, made_by) if path.exists() else None
        if there is None or not there.fits(header):
            table, header = _encode(encoder, items, header, found.has_numbers)
            with replacing(path) as file:
                parquet.write_table(table, file, use_dictionary=["modality"])
            done.written.append(path)
            there = header
        done.paths.append(path)
        done.left_out.extend(there.left_out)
    for part, path in old.items():
        if part >= len(found.ranges) and part % n_shards == number:
            _check_fits(path, found, made_by)
            path.unlink(missing_ok=True)
    return done


def _check_shard(shard):
    number, n_shards = shard
    if not all(isinstance(x, Integral) for x in shard) or not 0 <= number < n_shards:
        raise ValueError(
            f"Shards are numbered from 0: the last of {n_shards} is ({n_shards} - 1, {n_shards}); "
            f"got {shard!r}."
        )
    return number, n_shards


def _check_fits(path, source, made_by):
    """The header of a part that is there; refused if it is something else's."""
    header = read_header(path)
    if header is None:
        raise ValueError(
            f"{path} is no part of this library, or damaged: delete it, or encode into another "
            "folder."
        )
    is_same = header.source == source.path or (
        os.path.exists(header.source) and os.path.samefile(header.source, source.path)
    )
    if not is_same:
        raise ValueError(
            f"{path.parent} has parts of {header.source}, not of {source.path}: encode each source "
            "into a folder of its own. For a source that was moved, leave a link at its old place, "
            "and name that."
        )
    if header.fingerprint != made_by["fingerprint"]:
        raise ValueError(
            f"{path.parent} has parts that were encoded by {header.model!r} with other weights "
            f"than {made_by['model']!r} has: encode into another folder, or delete them."
        )
    for name in ("part_size", "dtype"):
        if getattr(header, name) != made_by[name]:
            raise ValueError(
                f"The parts in {path.parent} have {name}={getattr(header, name)!r}, not "
                f"{made_by[name]!r}: all shards are encoded with the same. Delete them, or encode "
                "into another folder."
            )
    return header


def _encode(encoder, items, header, has_numbers):
    """A part as an Arrow table, and its header."""
    import pyarrow

    entries = list(items.entries())
    left_out = [LeftOut(entry.label, entry.reason) for entry in entries if entry.reason]
    entries = [entry for entry in entries if not entry.reason]
    values, modality = np.empty((0, encoder._n_features_out), header.dtype), []
    if entries:
        contents = (entry.item for entry in entries)
        contents = [never_a_name(x) if isinstance(x, str) else x for x in contents]
        try:
            rows = encoder.transform(contents)
        except EncodingError as error:
            rows = error.embeddings
            left_out += [LeftOut(entries[i].label, why) for i, why in error.reasons.items()]
            entries = [entries[i] for i in error.rows]
        values = to_numpy(rows.values).astype(header.dtype)
        modality = rows.modality.tolist()
    header = dataclasses.replace(header, left_out=left_out)
    ids = [entry.id if has_numbers else _text(entry.id) for entry in entries]
    names = [None if entry.name is None else os.fsencode(entry.name) for entry in entries]
    columns = {
        "id": pyarrow.array(ids, pyarrow.int64() if has_numbers else pyarrow.string()),
        "modality": pyarrow.array(modality, pyarrow.string()),
        "embedding": pyarrow.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1]),
        "name": pyarrow.array(names, pyarrow.binary()),
    }
    return pyarrow.table(columns).replace_schema_metadata(header.to_metadata()), header


def _text(name):
    """A name for a column of texts; ``\\xe9`` for a byte that is not UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")

"""Parts: Parquet files with the embeddings of a range of items, and what tells them apart."""

import dataclasses
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np

from .._embeddings import EmbeddingArray
from .._optional import import_optional
from .._version import __version__
from .._warnings import shown
from ._folder import LeftOut

VERSION = 1
KEY = b"gapremoval"  # of the header in the metadata of a Parquet file
NAME = "part-{:08d}.parquet"
# What a file name cannot hold on some system, and what would begin or end a folder.
UNSAFE = str.maketrans({c: f"%{ord(c):02X}" for c in "%/\\:\0"})


@dataclasses.dataclass(frozen=True)
class PartHeader:
    """What a part was made of, and by what.

    Attributes
    ----------
    source, folder : str
        Absolute paths of the source, and of the folder that names of files are relative to.
    items : str
        Digest of what a change of the items changes.
    first, next : str
        The first item of this part and of the part after it, "" at the end of the source. They
        tell whether parts of one folder were made of the same source.
    model : str
        The model, as `make_encoder` takes it.
    fingerprint : str
        Fingerprint of its weights.
    part_size : int
        Number of items of a part.
    dtype : str
        Of the embeddings.
    left_out : list of (str, str)
        Items without an embedding: the name, and why.
    version : str
        Version of gapremoval that wrote the part.
    """

    source: str
    folder: str
    items: str
    first: str
    next: str
    model: str
    fingerprint: str
    part_size: int
    dtype: str
    left_out: list = dataclasses.field(default_factory=list)
    version: str = __version__

    @property
    def encoder(self):
        """The name of the rows' encoder, as in an EmbeddingArray."""
        return f"{self.model} @ {self.fingerprint[:16]}"

    def fits(self, other):
        """Whether parts with these headers were made of the same items of the same source."""
        return (self.items, self.next) == (other.items, other.next)

    def to_metadata(self):
        """Metadata of an Arrow schema."""
        header = {"format_version": VERSION, **dataclasses.asdict(self)}
        return {KEY: json.dumps(header).encode()}

    @classmethod
    def from_metadata(cls, metadata, path):
        """The header in the metadata of a schema, or None.

        Raises
        ------
        ValueError
            If it was written by a later version.
        """
        if KEY not in (metadata or {}):
            return None
        header = json.loads(metadata[KEY])
        if header.pop("format_version") != VERSION:
            raise ValueError(
                f"{path} was made by gapremoval {header['version']} in a format that {__version__} "
                "does not know: encode into another folder, or install that version."
            )
        header["left_out"] = [LeftOut(*entry) for entry in header["left_out"]]
        return cls(**header)


def find_parts(folder):
    """The files of the parts in a folder, by their numbers, in order."""
    paths = sorted(Path(folder).glob("part-*.parquet"))
    found = ((re.fullmatch(r"part-(\d{8})\.parquet", path.name), path) for path in paths)
    return {int(match[1]): path for match, path in found if match}


def read_header(path):
    """The `PartHeader` of a file; None if it is another file than a part."""
    parquet = import_optional("pyarrow.parquet", extra="parquet", purpose="A part")
    import pyarrow

    try:
        metadata = parquet.read_schema(path).metadata
    except pyarrow.ArrowInvalid:  # no Parquet file, or damaged
        return None
    return PartHeader.from_metadata(metadata, path)


def holds_parts(folder):
    """Whether the first file that is called as a part is one."""
    first = next(iter(find_parts(folder).values()), None)
    return first is not None and read_header(first) is not None


def one_encoder(headers, folder):
    """Refuse parts that different models made.

    Parameters
    ----------
    headers : iterable of PartHeader or None
    folder : str or Path
        Where they lie, for the message.

    Returns
    -------
    str or None
        The name of the encoder of all of them.
    """
    names = {header.fingerprint: header.encoder for header in headers if header is not None}
    if len(names) > 1:
        raise ValueError(
            f"{folder} holds parts of {len(names)} encoders: {shown(sorted(names.values()))}. "
            "Their embeddings do not share a space: encode each into a folder of its own."
        )
    return next(iter(names.values()), None)


def read_parts(folder):
    """Read all parts of a folder.

    Returns
    -------
    header : PartHeader
        Of all of them, with all that is left out.
    names : list of str
        For each row the path of the file below ``header.folder``. For a row of a table it is
        made of its id and modality, with a number where they repeat.
    rows : EmbeddingArray of float32 of shape (n_rows, n_features)

    Raises
    ------
    ValueError
        If a part is missing or no part, or if different models made them.
    """
    parquet = import_optional("pyarrow.parquet", extra="parquet", purpose="A folder of parts")
    paths = find_parts(folder)
    headers = {number: read_header(path) for number, path in paths.items()}
    if foreign := [paths[number].name for number, header in headers.items() if header is None]:
        raise ValueError(
            f"{shown(foreign)} in {folder} is no part of 'gapremoval encode', or damaged: delete "
            "it, and encode again."
        )
    encoder = one_encoder(headers.values(), folder)
    for number in range(max(headers) + 1 + bool(headers[max(headers)].next)):
        if number not in headers:
            raise ValueError(
                f"There is no {NAME.format(number)} in {folder}: some shard was not encoded to its "
                "end. Run 'gapremoval encode' again for all shards."
            )
        if number and headers[number - 1].next != headers[number].first:
            raise ValueError(
                f"{NAME.format(number)} in {folder} does not begin where the part before it ends: "
                "the source changed between the shards. Run 'gapremoval encode' again for all."
            )
    tables = [parquet.read_table(path) for path in paths.values()]
    modality = [tag for table in tables for tag in table["modality"].to_pylist()]
    values = np.concatenate([_values(table["embedding"]) for table in tables])
    seen, names = Counter(), []
    for table in tables:
        for name, id_, tag in zip(*(table[x].to_pylist() for x in ("name", "id", "modality"))):
            if name is None:
                seen[id_, tag] += 1
                name = _name(id_, tag, seen[id_, tag])
            names.append(name if isinstance(name, str) else os.fsdecode(name))
    left_out = [LeftOut(*entry) for header in headers.values() for entry in header.left_out]
    header = dataclasses.replace(headers[0], left_out=left_out)
    return header, names, EmbeddingArray(values, modality, encoder)


def _values(column):
    """Fixed-size lists as rows of float32."""
    width = column.type.list_size
    lists = column.combine_chunks()
    return np.asarray(lists.flatten(), dtype=np.float32).reshape(-1, width)


def _name(id_, modality, n):
    """A file name for a row without one; its stem is the id."""
    stem = str(id_).translate(UNSAFE)
    stem = f"%2E{stem[1:]}" if stem.startswith(".") else stem or "%"
    return f"{stem}.{modality}{n if n > 1 else ''}"

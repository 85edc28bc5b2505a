"""Sources of items to encode: folders, lists of files, tables and tar files, range by range.

The ranges depend on the source and their size alone, not on who reads them.
"""

import os
import posixpath
import tarfile
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._items import picture_suffixes
from .._optional import import_optional
from .._warnings import shown
from ..contents._pictures import UnreadablePicture, open_picture
from ..datasets._folder import (
    PLUGINS,
    TEXTS,
    decode_text,
    document_id,
    known_suffixes,
    read_text,
    suffix_of,
    walk,
)
from ..datasets._records import cells_of, explode_documents

COLUMNS = ("id", "text", "image")


class Entry(NamedTuple):
    """An item, or why there is none.

    Attributes
    ----------
    label : str
        What it is called in messages.
    id : str or int
        Id of its document.
    item : str, Path, PIL image or None
        A text or a picture that is not decoded yet.
    name : str or None
        Its path below the folder of the source, if it is a file.
    reason : str or None
        Why there is no item.
    """

    label: str
    id: object
    item: object
    name: str | None = None
    reason: str | None = None


class Source(NamedTuple):
    """What is encoded.

    Attributes
    ----------
    path, folder : str
        Absolute paths: its own, and that of the folder that names of files are relative to.
    has_numbers : bool
        Whether ids are integers.
    ranges : list of FileRange, RowRange or TarRange
    """

    path: str
    folder: str
    has_numbers: bool
    ranges: list


def open_source(path, part_size, except_for=()):
    """List what a source holds; nothing is read yet.

    Parameters
    ----------
    path : str or Path
        A folder of pictures and texts, as for `read_folder`; a file with a path of a picture or
        a text in each line; a Parquet file, a tar file, or a folder of either.
    part_size : int
        Number of files or rows of a range; a tar file is a range of its own.
    except_for : collection of str
        Real paths of folders to pass over.

    Returns
    -------
    Source

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it holds nothing to encode, or a list names files otherwise than it should.
    """
    path = Path(os.path.abspath(path))
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    root, names, left_out = path.parent, [path.name], []
    if path.is_dir():
        root, names = path, [name for name, _ in walk(path, False, except_for, left_out)]
        names = sorted(names + [entry.name for entry in left_out])
    suffixes = [suffix_of(name) for name in names]
    tables, tars, known = (
        [name for name, suffix in zip(names, suffixes) if suffix in wanted]
        for wanted in ({".parquet"}, {".tar"}, known_suffixes())
    )
    closed = [name for name in names if name.endswith("/")]
    if path.is_file() or all(suffix_of(name) in TEXTS for name in known):
        if (tables or tars) and closed:
            raise PermissionError(f"These folders in {path} cannot be entered: {shown(closed)}.")
        if tables:
            return _open_tables(path, root, tables, part_size)
        if tars:
            return Source(str(path), str(root), False, [TarRange(root, name) for name in tars])
    if path.is_file():
        root, known = _read_list(path)
    if not known:
        raise ValueError(
            f"There is nothing to encode in {path}: no picture, text (.txt, .md), .parquet or .tar "
            "file."
        )
    known = sorted(known + closed) if closed else known  # named as what cannot be read
    cuts = range(0, len(known), part_size)
    ranges = [FileRange(root, known[start : start + part_size]) for start in cuts]
    return Source(str(path), str(root), False, ranges)


def _read_list(path):
    """The folder and the names of the files in a list, each once, in their order."""
    files = [Path(os.fsdecode(line)) for line in path.read_bytes().splitlines() if line.strip()]
    root = Path(files[0].anchor or path.parent) if files else path.parent
    wrong = [
        str(file)
        for file in files
        if not file.suffix or ".." in file.parts or file.anchor != files[0].anchor
    ]
    if wrong:
        raise ValueError(
            f"{path} is read as a list of files, one path a line: with suffixes, without '..', and "
            f"all absolute or all relative to {path.parent}. These are not: {shown(wrong)}."
        )
    names = [(root / file).relative_to(root).as_posix() for file in files]
    return root, list(dict.fromkeys(names))


@dataclass(frozen=True)
class FileRange:
    """Pictures and texts in files."""

    root: Path
    names: list

    @property
    def first(self):
        return self.names[0]

    def state(self):
        """What a change of the items changes."""
        return [_state(self.root, name) for name in self.names]

    def entries(self):
        """Yield each item, or why there is none."""
        pictures = picture_suffixes()
        for name in self.names:
            item, reason = self.root / name, None
            if (suffix := suffix_of(name)) in TEXTS:
                item, reason = read_text(item)
            elif suffix in PLUGINS and suffix not in pictures:
                item, reason = None, PLUGINS[suffix]
            yield Entry(name, document_id(name), item, name, reason)


@dataclass(frozen=True)
class TarRange:
    """Pictures and texts in a tar file, such as a shard of a webdataset."""

    root: Path
    file: str

    @property
    def first(self):
        return self.file

    def state(self):
        return _state(self.root, self.file)

    def entries(self):
        known, seen = known_suffixes(), set()
        with tarfile.open(self.root / self.file) as archive:
            for member in archive:
                inside = posixpath.normpath(member.name)
                if not member.isfile() or (suffix := suffix_of(inside)) not in known:
                    continue
                name, item, reason = f"{self.file}/{inside.lstrip('/')}", None, None
                if name in seen or inside.startswith("../"):
                    reason = "twice in the tar file" if name in seen else "outside of the tar file"
                elif suffix in TEXTS:
                    item, reason = decode_text(archive.extractfile(member))
                else:
                    item, reason = _opened(archive.extractfile(member).read())
                seen.add(name)
                yield Entry(name, document_id(name), item, name, reason)


@dataclass(frozen=True)
class RowRange:
    """Rows of a Parquet file: records with a text, images or both, as for `explode_documents`."""

    root: Path
    file: str
    start: int
    stop: int
    first_row: int  # of the file, among all rows of the source

    @property
    def first(self):
        return f"{self.file} row {self.start}"

    def state(self):
        return [*_state(self.root, self.file), self.start, self.stop, self.first_row]

    def entries(self):
        for row, record in enumerate(self._records(), self.start):
            id_ = record.get("id", self.first_row + row)
            label = f"{self.file} row {row} ({id_})"
            if id_ is None or id_ == "":
                yield Entry(label, None, None, None, "it has no id")
                continue
            pictures, reasons = [], []
            for cell in cells_of(record.pop("image", None)):
                picture, reason = self._picture(cell)
                pictures += [] if picture is None else [picture]
                reasons += [] if reason is None else [reason]
            items = []
            try:
                if pictures or cells_of(record.get("text")):
                    items, _ = explode_documents([{**record, "id": id_, "image": pictures}])
                elif not reasons:
                    reasons = ["it has neither a text nor an image"]
            except (TypeError, ValueError) as error:
                reasons.append(str(error))
            yield from (Entry(label, id_, item) for item in items)
            yield from (Entry(label, id_, None, None, reason) for reason in reasons)

    def _records(self):
        """Read the rows, of no more groups of rows than hold them."""
        parquet = _parquet()
        with parquet.ParquetFile(self.root / self.file) as file:
            columns = [name for name in COLUMNS if name in file.schema_arrow.names]
            ends = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            ends = np.cumsum(ends)
            groups = range(
                np.searchsorted(ends, self.start, side="right"),
                np.searchsorted(ends, self.stop) + 1,
            )
            row = 0 if groups[0] == 0 else int(ends[groups[0] - 1])
            for batch in file.iter_batches(1024, [*groups], columns):
                first, last = max(self.start - row, 0), min(self.stop - row, len(batch))
                if first < last:
                    yield from batch.slice(first, last - first).to_pylist()
                row += len(batch)

    def _picture(self, cell):
        """The picture of a cell and None, or None and why there is none."""
        path = None
        if isinstance(cell, dict):  # as datasets of Hugging Face have it
            cell, path = cell.get("bytes"), cell.get("path")
        if isinstance(cell, bytes):
            return _opened(cell)
        cell = cell or path
        if cell is None:
            return None, None
        if not isinstance(cell, str):
            return None, f"an image is a path or the bytes of a file, not a {type(cell).__name__}"
        # An address is refused where records are read.
        return cell if "://" in cell else self.root / Path(self.file).parent / cell, None


def _open_tables(path, root, files, part_size):
    parquet = _parquet()
    ranges, n_rows, id_types = [], 0, set()
    for file in files:
        with parquet.ParquetFile(root / file) as opened:
            schema, n = opened.schema_arrow, opened.metadata.num_rows
        if not {"text", "image"} & {*schema.names}:
            raise ValueError(
                f"{root / file} has no column 'text' or 'image'; it has {shown(schema.names, 50)}."
            )
        id_types.add(schema.field("id").type if "id" in schema.names else None)
        cuts = range(0, n, part_size)
        ranges += [RowRange(root, file, x, min(x + part_size, n), n_rows) for x in cuts]
        n_rows += n
    are_numbers = {_are_numbers(id_type) for id_type in id_types}
    if len(are_numbers) > 1 or None in are_numbers or (None in id_types and len(id_types) > 1):
        raise ValueError(
            f"The ids in {path} are {shown(sorted(map(str, id_types)))}: expected a column 'id' of "
            "strings in all files, of integers in all, or in none."
        )
    if not n_rows:
        raise ValueError(f"{path} has no rows.")
    return Source(str(path), str(path), are_numbers.pop(), ranges)


def _are_numbers(id_type):
    """Whether ids of an Arrow type are integers, or else strings; None for other types."""
    types = import_optional("pyarrow.types", extra="parquet", purpose="A source of Parquet files")
    if id_type is None:  # without ids, rows are numbered
        return True
    if types.is_dictionary(id_type):
        id_type = id_type.value_type
    if types.is_string(id_type) or types.is_large_string(id_type):
        return False
    return True if types.is_integer(id_type) else None


def _state(root, name):
    """Name, size and time of the last change of a file, the same on all machines."""
    try:
        status = os.stat(root / name)
    except (OSError, ValueError):
        return [name, None, None]
    return [name, status.st_size, status.st_mtime_ns]


def _opened(content):
    """A picture in bytes, not decoded, and None; or None and why it is none."""
    try:
        return open_picture(BytesIO(content)), None
    except UnreadablePicture as error:
        return None, str(error)
    except Exception as error:  # of any kind, from the parsers of damaged headers
        return None, f"cannot be decoded ({error})"


_parquet = partial(
    import_optional, "pyarrow.parquet", extra="parquet", purpose="A source of Parquet files"
)

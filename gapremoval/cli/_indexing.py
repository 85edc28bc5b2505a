"""A folder becomes an index: what is encoded, what is left out, what earlier runs learned."""

import os
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from .._items import Query
from ..datasets import load_ordinary_captions
from ..datasets._folder import BLANK, LeftOut, list_folder, summary
from ..datasets._parts import read_parts
from ..encoders import EncodingError, make_encoder
from ..encoders._rows import never_a_name
from ._index_file import IndexFile, cache_folder
from ._output import counted, tell

DEFAULT_MODEL = "ViT-B-32/laion2b_s34b_b79k"
LONGEST_WAIT = 600  # seconds, for another process, which only reads and writes an index

# Two texts tell more of what questions are like than captions from elsewhere do
# (benchmarks/few_notes.py).
FEW_TEXTS = 2
FEW_FILES = 16  # of a modality, for its mean


def make_index(folder, model, out, *, hidden):
    """Encode the photos and notes of a folder, and write the index.

    Parameters
    ----------
    folder, out : Path
        What to index, and the file to write.
    model : str or None
        As `make_encoder` takes it; None is the model of the older index, or the default.
    hidden : bool
        Whether to index hidden files too.

    Returns
    -------
    bool
        Whether all photos and notes could be read.

    Raises
    ------
    ValueError, OSError, ImportError
        If nothing can be indexed or written. An older index stays as it was.
    """
    own = {os.path.realpath(out), os.path.realpath(cache_folder(out))}
    files, left_out = list_folder(folder, hidden=hidden, except_for=own)
    with updating(out):  # also tells at once whether the cache can be used
        older = _older_index(out, folder)
    model = model or (older.model if older else DEFAULT_MODEL)
    encoder, model, fingerprint = _load(model, out)
    _check_learned(older, fingerprint, out)

    items = [x.item if isinstance(x.item, Path) else never_a_name(x.item) for x in files]
    captions = _captions(sum(isinstance(item, str) for item in items))
    rows, broken = range(len(items)), {}
    try:
        embeddings = encoder.transform(items + [Query(caption) for caption in captions])
    except EncodingError as error:
        if (last := max(error.reasons)) >= len(items):
            reason = error.reasons[last]
            raise ValueError(f"{model!r} cannot encode an ordinary caption: {reason}.") from error
        rows = [row for row in error.rows.tolist() if row < len(items)]
        embeddings, broken = error.embeddings, error.reasons
    left_out += [LeftOut(files[row].name, reason) for row, reason in broken.items()]
    if not rows:
        raise ValueError(f"None of the {len(files)} files can be read. {summary(left_out)}")
    names = [files[row].name for row in rows]
    encoded, asked = embeddings[: len(rows)], embeddings[len(rows) :]
    index = IndexFile(model, fingerprint, os.path.abspath(folder), names, encoded, asked, asked[:0])
    _save(index, out)
    return _report(index, left_out, [entry for entry in left_out if entry.is_loss], out)


def index_parts(folder, model, out):
    """Write the index of the parts that ``gapremoval encode`` wrote into a folder.

    Parameters, result and errors are those of `make_index`. The index is that of the source of the
    parts.
    """
    header, names, rows = read_parts(folder)
    with updating(out):
        older = _older_index(out, header.folder)
    encoder, model, fingerprint = _load(model or header.model, out)
    if fingerprint != header.fingerprint:
        raise ValueError(
            f"The parts in {folder} were encoded by {header.model!r} with other weights than "
            f"{model!r} has: leave out --model, or encode them again."
        )
    _check_learned(older, fingerprint, out)
    if not len(rows):
        raise ValueError(f"There is no row in {folder}. {summary(header.left_out)}")
    captions = [Query(caption) for caption in _captions(rows.modality.tolist().count("text"))]
    asked = encoder.transform(captions) if captions else rows[:0]
    index = IndexFile(model, fingerprint, header.folder, names, rows, asked, asked[:0])
    _save(index, out)
    lost = [entry for entry in header.left_out if entry.reason != BLANK]
    return _report(index, header.left_out, lost, out)


def _save(index, out):
    with updating(out):
        older = _older_index(out, index.folder)  # which may have learned meanwhile
        _check_learned(older, index.fingerprint, out)
        (index if older is None else index.with_learned(older.learned)).save(out)


def learn_question(path, question):
    """Add query rows to the past questions of an index, whatever else writes it."""
    with updating(path):
        IndexFile.load(path).with_learned(question).save(path)


def updating(path):
    """A context in which no other process reads an index to write it again; they wait.

    Its lock is that of an empty SQLite database, which ends with the process at the latest.
    """
    folder = Path(cache_folder(path))
    try:
        folder.mkdir(exist_ok=True)
        lock = sqlite3.connect(folder / "index.lock", timeout=LONGEST_WAIT, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except (OSError, sqlite3.Error) as error:
        raise OSError(
            f"{folder}, the folder where encoded rows are kept, cannot be used ({error}): delete "
            "it, or name another --out."
        ) from error
    return closing(lock)


def check_writable(path, what, begins=b""):
    """Refuse at once what could not, or should not, be written at the end of a long run.

    A file that exists has to begin with `begins`.
    """
    if path.exists() and not path.is_file():
        found = "a folder" if path.is_dir() else "no regular file"
        raise FileExistsError(f"{path} is {found}: name a file for {what}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {what} in.")
    if not all(os.access(x, os.W_OK) for x in (path.parent, path) if x.exists()):
        raise PermissionError(f"{what} cannot be written: {path} or its folder is read-only.")
    if begins and path.exists() and not path.read_bytes().startswith(begins):
        raise FileExistsError(
            f"{path} is something else than {what} and is not overwritten: name another."
        )


def _older_index(out, folder):
    """The index that the new one replaces, or None; any other file is refused."""
    if not out.exists():
        return None
    try:
        older = IndexFile.load(out)
    except ValueError as error:
        raise ValueError(f"{error} It is not overwritten: name another --out.") from error
    if os.path.isdir(older.folder) and not os.path.samefile(older.folder, folder):
        raise ValueError(
            f"{out} is the index of {older.folder}: name another --out, or delete it first."
        )
    return older


def _check_learned(older, fingerprint, out):
    if older is not None and len(older.learned) and older.fingerprint != fingerprint:
        raise ValueError(
            f"{out} holds {len(older.learned)} past questions, encoded by {older.model!r}; they "
            "mean nothing to another model and would be lost. Name another --out, or move that "
            "file away."
        )


def _load(model, out):
    """The encoder of a model, its lasting name, and the fingerprint of its weights."""
    encoder = make_encoder(model, memory=cache_folder(out), verbose=sys.stderr.isatty())
    name = encoder._lasting_name()
    try:
        return encoder, name, encoder._load()[0].fingerprint
    except OSError as error:
        if model != DEFAULT_MODEL:
            raise
        hint = "'--model pocket' tries the command on drawn scenes, without a download."
        raise OSError(f"{error} {hint}") from error


def _captions(n_texts):
    """Ordinary captions, where the texts of the folder do not tell what questions are like."""
    if n_texts >= FEW_TEXTS:
        return []
    captions = load_ordinary_captions()
    tell(
        f"{n_texts or 'no'} text{'s' * (n_texts != 1)} in the folder: {len(captions)} ordinary "
        "captions are encoded too, to learn what questions look like."
    )
    return captions


def _report(index, left_out, losses, out):
    """Say what was indexed and what was not; return whether nothing is missing."""
    broken = [entry for entry in losses if not entry.needs_plugin]
    for entry in broken:
        tell(f"{entry.name}: {entry.reason}", kind="left out")
    if others := [entry for entry in left_out if entry not in broken]:
        tell(summary(others))
    counts = Counter(index.files.modality.tolist())
    for name, n in counts.items():
        if n == 1 and len(index.names) > 1:
            tell(f"a single {name} is its own mean: --only {name} finds it.", kind="warning")
        elif n < FEW_FILES:
            tell(f"{n} {name} files are few to estimate their mean from.", kind="warning")
    tell(f"{counted(counts, 'files')} in {out}")
    return not losses

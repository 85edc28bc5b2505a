"""A folder becomes an index: what is encoded, what is left out, what was learnt before."""

import contextlib
import os
import sys
from pathlib import Path

from .._folder import BLANK, NEEDS, LeftOut, list_folder, summary
from .._items import Query
from .._optional import import_optional
from ..datasets import load_ordinary_captions
from ..encoders import CLIPEncoder, EncodingError
from ..encoders._model_names import check_model_name
from ..encoders._models import load_model
from ._index_file import IndexFile, cache_folder
from ._output import counted, tell
from ._searching import fitted

# Two texts tell more of what questions are like than captions from elsewhere do
# (benchmarks/few_notes.py).
FEW_TEXTS = 2


def make_index(folder, model, out, *, hidden):
    """Encode the photos and notes of a folder, and write the index.

    Parameters
    ----------
    folder, out : Path
        What to index, and the file to write.
    model : str
        As `CLIPEncoder` takes it.
    hidden : bool
        Whether hidden files are taken too.

    Returns
    -------
    list of LeftOut
        The photos and notes that could not be read.

    Raises
    ------
    ValueError, OSError, ImportError
        If nothing can be indexed or written; an older index is then as it was.
    """
    before = _older_index(out)
    own = {os.path.realpath(out), os.path.realpath(cache_folder(out))}
    files, left_out = list_folder(folder, hidden=hidden, except_for=own)
    model = _wherever_started(model)
    fingerprint = load_model(model).fingerprint
    _check_learnt(before, fingerprint, out)
    # A text that ends in a blank is never taken for the name of a picture.
    items = [x.item if isinstance(x.item, Path) else f"{x.item}\n" for x in files]
    n_texts = sum(isinstance(item, str) for item in items)
    captions = load_ordinary_captions() if n_texts < FEW_TEXTS else []
    if captions:
        tell(
            f"{n_texts or 'no'} text{'s' * (n_texts != 1)} in the folder: {len(captions)} ordinary "
            "captions are encoded too, to learn what questions look like."
        )
    rows, embeddings, broken = _encode(items, captions, model, cache_folder(out))
    left_out += [LeftOut(files[row].name, reason) for row, reason in broken.items()]
    if not rows:
        raise ValueError(f"None of the {len(files)} files can be read. {summary(left_out)}")
    index = IndexFile(
        model,
        fingerprint,
        os.path.abspath(folder),
        [files[row].name for row in rows],
        embeddings[: len(rows)],
        embeddings[len(rows) :],
        embeddings[:0],
    )
    fitted(index)  # warns of what is too few, before anything is written
    with updating(out):
        now = _older_index(out)
        _check_learnt(now, fingerprint, out)
        (index if now is None else index.with_learnt(now.learnt)).save(out)
    return _report(index, left_out, out)


def learn_question(path, question):
    """Add query rows to the past questions of an index, whoever else writes it."""
    with updating(path):
        IndexFile.load(path).with_learnt(question).save(path)


@contextlib.contextmanager
def updating(path):
    """Let one process at a time read an index and write it again."""
    filelock = import_optional("filelock", extra="cli", purpose="The command line")
    folder = Path(cache_folder(path))
    folder.mkdir(exist_ok=True)
    with filelock.FileLock(folder / "index.lock"):
        yield


def check_writable(path, what):
    """Refuse at once what could not be written at the end of a long run."""
    folder = path.parent
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file for {what}.")
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} to write {what} in.")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{what} cannot be written: {folder} is read-only.")


def _older_index(out):
    """The index that lies where the new one is to lie, or None; another file is refused."""
    check_writable(out, "the index")
    if not out.exists():
        return None
    try:
        return IndexFile.load(out)
    except ValueError as error:
        raise ValueError(f"{error} It is not overwritten: name another --out.") from error


def _check_learnt(before, fingerprint, out):
    if before is not None and len(before.learnt) and before.fingerprint != fingerprint:
        raise ValueError(
            f"{out} holds {len(before.learnt)} past questions, encoded by "
            f"{before.model!r}; they mean nothing to another model and would be lost. Name "
            "another --out, or move that file away."
        )


def _wherever_started(model):
    """The model's name, with the whole path of what lies on this machine."""
    name = check_model_name(model)
    if name.form == "file":
        return f"{name.architecture}/{os.path.abspath(name.rest)}"
    if model.startswith("local-dir:"):
        return f"local-dir:{os.path.abspath(name.rest)}"
    return model


def _encode(items, captions, model, memory):
    """The rows of the items that can be encoded, their embeddings and the captions', and why
    the others cannot."""
    encoder = CLIPEncoder(model, memory=memory, verbose=sys.stderr.isatty())
    try:
        embeddings = encoder.transform(items + [Query(caption) for caption in captions])
    except EncodingError as error:
        rows = [row for row in error.rows.tolist() if row < len(items)]
        return rows, error.embeddings, error.reasons
    return list(range(len(items))), embeddings, {}


def _report(index, left_out, out):
    """Say what was indexed and what was not; return the photos and notes that are missing."""
    missing = [entry for entry in left_out if entry.reason and entry.reason != BLANK]
    broken = [entry for entry in missing if entry.reason not in NEEDS.values()]
    for entry in broken:
        tell(f"{entry.name}: {entry.reason}", kind="left out")
    if others := [entry for entry in left_out if entry not in broken]:
        tell(summary(others))
    tell(f"{counted(index.files._tags.counts(), 'files')} in {out}")
    return missing

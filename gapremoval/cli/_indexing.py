"""A folder becomes an index: what is encoded, what is left out, what was learnt before."""

import glob
import os
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .._files import partial_prefix
from .._items import Query
from .._optional import import_optional
from ..datasets import load_ordinary_captions
from ..datasets._folder import LeftOut, list_folder, summary
from ..encoders import CLIPEncoder, EncodingError
from ..encoders._model_names import check_model_name
from ..encoders._models import load_model
from ..encoders._rows import never_a_name
from ._index_file import IndexFile, cache_folder
from ._output import counted, tell

DEFAULT_MODEL = "ViT-B-32/laion2b_s34b_b79k"

# Two texts tell more of what questions are like than captions from elsewhere do
# (benchmarks/few_notes.py).
FEW_TEXTS = 2
FEW_FILES = 16  # of a kind, to take their mean from


def make_index(folder, model, out, *, hidden):
    """Encode the photos and notes of a folder, and write the index.

    Parameters
    ----------
    folder, out : Path
        What to index, and the file to write.
    model : str or None
        As `CLIPEncoder` takes it; None is the model of the older index, or the default.
    hidden : bool
        Whether hidden files are taken too.

    Returns
    -------
    bool
        Whether all photos and notes could be read.

    Raises
    ------
    ValueError, OSError, ImportError
        If nothing can be indexed or written; an older index is then as it was.
    """
    own = {os.path.realpath(out), os.path.realpath(cache_folder(out))}
    files, left_out = list_folder(folder, hidden=hidden, except_for=own)
    with updating(out):
        before = _older_index(out, folder)
    model, fingerprint = _known_model(model or (before.model if before else DEFAULT_MODEL))
    _check_learnt(before, fingerprint, out)

    items = [x.item if isinstance(x.item, Path) else never_a_name(x.item) for x in files]
    captions = _captions(sum(isinstance(item, str) for item in items))
    rows, embeddings, broken = _encode(items, captions, model, cache_folder(out))
    left_out += [LeftOut(files[row].name, reason) for row, reason in broken.items()]
    if not rows:
        raise ValueError(f"None of the {len(files)} files can be read. {summary(left_out)}")
    names = [files[row].name for row in rows]
    encoded, asked = embeddings[: len(rows)], embeddings[len(rows) :]
    index = IndexFile(model, fingerprint, os.path.abspath(folder), names, encoded, asked, asked[:0])
    with updating(out):
        now = _older_index(out, folder)
        _check_learnt(now, fingerprint, out)
        (index if now is None else index.with_learnt(now.learnt)).save(out)
    return _report(index, left_out, out)


def learn_question(path, question):
    """Add query rows to the past questions of an index, whoever else writes it."""
    with updating(path):
        IndexFile.load(path).with_learnt(question).save(path)


@contextmanager
def updating(path):
    """Let one process at a time read an index and write it again."""
    filelock = import_optional("filelock", extra="cli", purpose="The command line")
    folder = Path(cache_folder(path))
    with ExitStack() as stack:
        try:
            folder.mkdir(exist_ok=True)
            stack.enter_context(filelock.FileLock(folder / "index.lock"))
        except OSError as error:
            raise OSError(
                f"{folder}, the folder where encoded rows are kept, cannot be used "
                f"({error.strerror}): delete it, or name another --out."
            ) from error
        for partial in path.parent.glob(f"{glob.escape(partial_prefix(path))}*.part"):
            partial.unlink(missing_ok=True)  # of a run that was killed
        yield


def check_writable(path, what, begins=None):
    """Refuse at once what could not, or should not, be written at the end of a long run.

    With `begins`, a file that is there has to begin with these bytes.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file for {what}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {what} in.")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is no regular file: name another for {what}.")
    if not all(os.access(x, os.W_OK) for x in (path.parent, path) if x.exists()):
        raise PermissionError(f"{what} cannot be written: {path} or its folder is read-only.")
    if begins and path.exists():
        with open(path, "rb") as file:
            if not file.read(len(begins)).startswith(begins):
                raise FileExistsError(
                    f"{path} is something else than {what} and is not overwritten: name another."
                )


def _older_index(out, folder):
    """The index that lies where the new one is to lie, or None; another file is refused."""
    if not out.exists():
        return None
    try:
        before = IndexFile.load(out)
    except ValueError as error:
        raise ValueError(f"{error} It is not overwritten: name another --out.") from error
    if os.path.isdir(before.folder) and not os.path.samefile(before.folder, folder):
        raise ValueError(
            f"{out} is the index of {before.folder}: name another --out, or delete it first."
        )
    return before


def _check_learnt(before, fingerprint, out):
    if before is not None and len(before.learnt) and before.fingerprint != fingerprint:
        raise ValueError(
            f"{out} holds {len(before.learnt)} past questions, encoded by {before.model!r}; they "
            "mean nothing to another model and would be lost. Name another --out, or move that "
            "file away."
        )


def _known_model(model):
    """The model's name, with the whole path of what lies on this machine, and its weights'
    fingerprint."""
    name = check_model_name(model)
    try:
        fingerprint = load_model(model).fingerprint
    except OSError as error:
        if model != DEFAULT_MODEL:
            raise
        hint = "'--model pocket' tries the command on drawn scenes, without a download."
        raise OSError(f"{error} {hint}") from error
    if name.form == "file":
        return f"{name.architecture}/{os.path.abspath(name.rest)}", fingerprint
    if model.startswith("local-dir:"):
        return f"local-dir:{os.path.abspath(name.rest)}", fingerprint
    return model, fingerprint


def _captions(n_texts):
    """Ordinary captions, where the folder itself does not tell what questions are like."""
    if n_texts >= FEW_TEXTS:
        return []
    captions = load_ordinary_captions()
    tell(
        f"{n_texts or 'no'} text{'s' * (n_texts != 1)} in the folder: {len(captions)} ordinary "
        "captions are encoded too, to learn what questions look like."
    )
    return captions


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
    """Say what was indexed and what was not; return whether nothing is missing."""
    losses = [entry for entry in left_out if entry.is_loss]
    broken = [entry for entry in losses if not entry.needs_plugin]
    for entry in broken:
        tell(f"{entry.name}: {entry.reason}", kind="left out")
    if others := [entry for entry in left_out if entry not in broken]:
        tell(summary(others))
    counts = index.files._tags.counts()
    for name, n in counts.items():
        if n == 1 and len(index.names) > 1:
            tell(f"a lone {name} is its own mean: --only {name} finds it.", kind="warning")
        elif n < FEW_FILES:
            tell(f"{n} files are few to take the mean of {name}s from.", kind="warning")
    tell(f"{counted(counts, 'files')} in {out}")
    return not losses

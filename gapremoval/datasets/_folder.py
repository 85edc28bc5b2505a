"""A folder of pictures and text files as items and ids."""

import codecs
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .._optional import import_pillow
from .._warnings import warn

TEXTS = frozenset({".txt", ".md"})
# fmt: off
PICTURES = frozenset({
    ".apng", ".bmp", ".dib", ".gif", ".icns", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg",
    ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi",
    ".tga", ".tif", ".tiff", ".webp",
})
# fmt: on
# Pillow reads these only with a plugin or where it was built with the codec.
NEEDS = {".avif": "pip install -U pillow"}
NEEDS |= dict.fromkeys((".heic", ".heif", ".hif"), "pip install pillow-heif")
KINDS = PICTURES | TEXTS | NEEDS.keys()
BLANK = "blank"
MOST_BYTES = 2**17  # of a text: many times what a network reads
# Kept beside people's files by Windows, macOS, network storage and package managers.
SYSTEM = frozenset(
    {
        "#recycle",
        "$recycle.bin",
        "@eadir",
        "@recycle",
        "__macosx",
        "desktop.ini",
        "node_modules",
        "system volume information",
        "thumbs.db",
    }
)


class FolderFile(NamedTuple):
    """A picture or a text in a folder.

    Attributes
    ----------
    name : str
        Its path below the folder, with ``/`` on all systems.
    item : Path or str
        The picture, which is not opened yet, or the text.
    """

    name: str
    item: object

    @property
    def id(self):
        """What names its document: the name without the suffix."""
        return os.path.splitext(self.name)[0]


class LeftOut(NamedTuple):
    """A file or folder that was not taken.

    Attributes
    ----------
    name : str
        Its path below the folder.
    reason : str or None
        What is wrong with it, or what it takes to read it; None where it is neither a
        picture nor a text.
    """

    name: str
    reason: str | None

    @property
    def needs_plugin(self):
        """Whether it is a picture that Pillow would open with a plugin."""
        return self.reason in NEEDS.values()

    @property
    def is_loss(self):
        """Whether a picture or a text, or a folder that may hold some, is missing."""
        wanted = self.name.endswith("/") or suffix_of(self.name) in KINDS
        return wanted and self.reason not in (None, BLANK)

    @property
    def label(self):
        """What it is counted as: its suffix, and the reason."""
        if self.name.endswith("/"):
            return f"folder ({self.reason})"
        suffix = suffix_of(self.name)
        # What follows the last dot of "Dr. Who to call" is no suffix.
        if not (suffix[1:].isalnum() and len(suffix) <= 12):
            suffix = "other"
        return f"{suffix} ({self.reason})" if self.reason else suffix


def read_folder(path, *, hidden=False):
    """Turn a folder of pictures and text files into items and ids.

    Sub-folders are read too. A document is named by its path without the suffix, so a
    picture and a text of one name in one folder are two parts of one document, and equal
    names in two folders are two documents.

    Taken are the pictures that Pillow opens (``.heic`` where pillow-heif is installed) and
    ``.txt`` and ``.md`` files in UTF-8 (their first 128 KiB), whatever the case of the suffix;
    pictures are not opened yet. Links are followed, but no file is taken twice and no link to
    a folder that holds the link or `path`.

    Parameters
    ----------
    path : str or Path
        The folder; its own name may begin with a dot.
    hidden : bool, default=False
        Whether names are taken that begin with a dot, and what systems keep beside people's
        files (``@eaDir``, ``Thumbs.db``, ``node_modules`` and the like).

    Returns
    -------
    items : list of Path and str
        The pictures, as `path` and the rest of the way, and the texts, sorted by their
        paths below `path`.
    ids : list of str
        For each item its path below `path` without the suffix, with ``/`` on all systems.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, PermissionError
        If `path` does not exist, is no folder, or cannot be opened.
    ValueError
        If there is neither a picture nor a text in it.

    Warns
    -----
    UserWarning
        Once, if there are files or folders that were not taken: how many of each suffix.

    See Also
    --------
    explode_documents : Items and ids from records with a text and images.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from gapremoval import read_folder
    >>> with TemporaryDirectory() as folder:
    ...     (Path(folder) / "trip").mkdir()
    ...     _ = (Path(folder) / "trip" / "bicycle.JPG").write_bytes(b"...")
    ...     _ = (Path(folder) / "trip" / "bicycle.txt").write_text("red, in snow")
    ...     items, ids = read_folder(folder)
    >>> ids
    ['trip/bicycle', 'trip/bicycle']
    >>> items[0].name, items[1]
    ('bicycle.JPG', 'red, in snow')
    """
    files, left_out = list_folder(path, hidden=hidden)
    if left_out:
        warn(summary(left_out))
    return [file.item for file in files], [file.id for file in files]


def list_folder(path, *, hidden=False, except_for=()):
    """The pictures and texts of a folder, and what else lies there.

    Parameters
    ----------
    path, hidden
        As `read_folder` takes them.
    except_for : collection of str
        Real paths of files and folders that are passed over.

    Returns
    -------
    files : list of FolderFile
        Sorted by name; never empty.
    left_out : list of LeftOut

    Raises
    ------
    FileNotFoundError, NotADirectoryError, PermissionError, ValueError
        As `read_folder`.
    """
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"There is no folder {root}.")
    if not root.is_dir():
        raise NotADirectoryError(
            f"{root} is a file. Give the folder it lies in, or make the items yourself: "
            "[Path(...)] for a picture, [text] for a text."
        )
    pictures = PICTURES | _suffixes_of_pillow()
    files, left_out = [], []
    for name, file in sorted(_files(root, hidden, except_for, left_out)):
        kind = suffix_of(name)
        if kind in pictures:
            files.append(FolderFile(name, file))
        elif kind not in TEXTS:
            left_out.append(LeftOut(name, NEEDS.get(kind)))
        else:
            text, reason = read_text(file)
            if reason:
                left_out.append(LeftOut(name, reason))
            else:
                files.append(FolderFile(name, text))
    if not files:
        known = f"Taken are {', '.join(sorted(pictures | TEXTS))}."
        found = summary(left_out) if left_out else "It holds nothing that is not hidden."
        raise ValueError(f"There is neither a picture nor a text in {root}. {found} {known}")
    return files, left_out


def _files(root, hidden, except_for, left_out):
    """Pairs of a file's path below a folder and the file, each file once.

    What cannot be entered or is no file is added to `left_out`.
    """
    top = os.path.realpath(root)
    seen, folders, links = {top, *except_for}, [("", top)], []
    while folders:
        prefix, folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                entries = [entry for entry in entries if hidden or not _is_hidden(entry.name)]
        except OSError as error:
            if folder == top:
                raise
            left_out.append(LeftOut(prefix, error.strerror.lower()))
            entries = []
        for entry in entries:
            name = prefix + entry.name
            if entry.is_symlink():
                links.append((name, entry.path))
            elif entry.is_dir():
                # Not always the path itself: a junction of Windows is no link to Python.
                real = os.path.realpath(entry.path)
                if real not in seen:
                    seen.add(real)
                    folders.append((f"{name}/", real))
            elif not entry.is_file():
                left_out.append(LeftOut(name, "not a regular file"))
            elif entry.path not in seen:
                seen.add(entry.path)
                yield name, root / name
        # Links come last, so that a file is named by its own place wherever it has one.
        links.sort(reverse=True)
        while links and not folders:
            name, link = links.pop()
            real = os.path.realpath(link)
            if real in seen or _holds(real, link) or _holds(real, top):
                continue
            seen.add(real)
            if os.path.isdir(real):
                folders.append((f"{name}/", real))
            elif os.path.isfile(real):
                yield name, root / name
            else:
                left_out.append(LeftOut(name, "broken link"))


def _holds(folder, path):
    return path.startswith(os.path.join(folder, ""))


def _is_hidden(name):
    return name.startswith(".") or name.lower() in SYSTEM


def _suffixes_of_pillow():
    """Those of the suffixes in NEEDS that can be read here and now."""
    try:
        Image = import_pillow()
    except ImportError:
        return set()
    return NEEDS.keys() & Image.registered_extensions().keys()


def suffix_of(name):
    """What a file's kind is told by: ``.jpg`` of ``IMG_1.JPG``."""
    return os.path.splitext(name)[1].lower()


def read_text(path):
    """The beginning of a file's text and None, or None and the reason why there is none."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        if not path.is_file():
            return None, "not a regular file" if path.exists() else "no such file"
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES)
        # A letter that is cut in two at the end is left out.
        text = decoder.decode(content, final=len(content) < MOST_BYTES)
    except UnicodeDecodeError:
        return None, "not UTF-8"
    except OSError as error:
        return None, error.strerror.lower()
    # UTF-16 without a mark passes for UTF-8 with a null beside each letter.
    if "\0" in text:
        return None, "not UTF-8"
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return (text, None) if text.strip() else (None, BLANK)


def summary(left_out):
    """One sentence with the counts, the most frequent first."""
    counted = Counter(entry.label for entry in left_out)
    counts = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    listed = ", ".join(f"{n} {label}" for label, n in counts[:12])
    rest = sum(n for _, n in counts[12:])
    return (
        f"{len(left_out)} file{'s were' if len(left_out) > 1 else ' was'} not taken: {listed}"
        f"{f' and {rest} of other suffixes' if rest else ''}."
    )

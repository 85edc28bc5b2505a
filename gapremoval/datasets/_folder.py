"""A folder of pictures and text files as items and ids."""

import codecs
import os
import unicodedata
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .._items import picture_suffixes
from .._warnings import shown, warn

TEXTS = frozenset({".txt", ".md"})
COMMON_PICTURES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
# Suffixes that Pillow opens with a plugin or a newer version, and what installs it.
PLUGINS = {".avif": "pip install -U pillow"}
PLUGINS |= dict.fromkeys((".heic", ".heif", ".hif"), "pip install pillow-heif")
BLANK = "blank"
MOST_BYTES = 2**17  # of a text: many times what a network reads
# What Windows, macOS, network storage and package managers keep beside people's files.
WINDOWS = {"$recycle.bin", "desktop.ini", "system volume information", "thumbs.db"}
SYSTEM = WINDOWS | {"__macosx", "#recycle", "@eadir", "@recycle", "node_modules"}


class FolderFile(NamedTuple):
    """A picture or a text in a folder.

    Attributes
    ----------
    name : str
        Path below the folder, with ``/`` on all systems.
    item : Path or str
        The picture file, not opened yet, or the text.
    """

    name: str
    item: object


class LeftOut(NamedTuple):
    """A file or folder that is not an item.

    Attributes
    ----------
    name : str
        Path below the folder; that of a folder ends in ``/``.
    reason : str or None
        What is wrong with it, or the command that makes it readable; None for files that are
        neither pictures nor texts.
    """

    name: str
    reason: str | None

    @property
    def needs_plugin(self):
        """Whether Pillow would open this picture with a plugin."""
        return self.reason in PLUGINS.values()

    @property
    def is_loss(self):
        """Whether a picture, a text, or a folder that may hold some is missing."""
        known = suffix_of(self.name) in known_suffixes()
        return self.reason not in (None, BLANK) and (known or self.name.endswith("/"))

    @property
    def label(self):
        """Suffix and reason, by which it is counted."""
        kind = "folder" if self.name.endswith("/") else suffix_of(self.name)
        # What follows the last dot of "Dr. Who to call" is no suffix.
        if not (kind.strip(".").isalnum() and len(kind) <= 12):
            kind = "other"
        return f"{kind} ({self.reason})" if self.reason else kind


def read_folder(path, *, hidden=False):
    """Turn a folder of pictures and text files into items and ids.

    Subfolders are read too. The id of a document is its path without the suffix, so a
    picture and a text of the same name in the same folder are two parts of one document.
    Files of the same name in two folders are two documents.

    Pictures are all files that Pillow opens by their suffix (``.heic`` where pillow-heif is
    installed); texts are ``.txt`` and ``.md`` files in UTF-8, of which the first 128 KiB are
    read. The case of a suffix does not matter. Pictures are not opened yet. Links are followed,
    but no file is taken twice, and no link to a folder that holds the link or `path`.

    Parameters
    ----------
    path : str or Path
        The folder; its own name may begin with a dot.
    hidden : bool, default=False
        Whether to take names that begin with a dot, and what systems keep beside people's
        files (``@eaDir``, ``Thumbs.db``, ``node_modules`` and the like).

    Returns
    -------
    items : list of Path and str
        Pictures (`path` joined with their path below it) and texts, sorted by their paths
        below `path`.
    ids : list of str
        For each item its path below `path` without the suffix, with ``/`` on all systems and
        in Unicode's composed form (NFC): systems write ``é`` as one character or as two.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, PermissionError
        If `path` does not exist, is not a folder, or cannot be opened.
    ValueError
        If the folder holds neither a picture nor a text.

    Warns
    -----
    UserWarning
        If files or folders were left out, once, with the number of each suffix. If names
        differ in their Unicode form alone: these files are parts of one document.

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
    return [file.item for file in files], [document_id(file.name) for file in files]


def document_id(name):
    """Id of the document that a file belongs to: its name without the suffix, composed."""
    return unicodedata.normalize("NFC", os.path.splitext(name)[0])


def list_folder(path, *, hidden=False, except_for=()):
    """List the pictures and texts of a folder, and what else lies there.

    Parameters
    ----------
    path, hidden
        As for `read_folder`.
    except_for : collection of str
        Real paths of files and folders to pass over.

    Returns
    -------
    files : list of FolderFile
        Sorted by name; never empty.
    left_out : list of LeftOut

    Raises
    ------
    FileNotFoundError, NotADirectoryError, PermissionError, ValueError
        As `read_folder`.

    Warns
    -----
    UserWarning
        If names differ in their Unicode form alone.
    """
    root = Path(path)
    if not os.path.exists(path):  # Path("") would be the current folder
        raise FileNotFoundError(f"There is no folder {str(path)!r}.")
    if not root.is_dir():
        raise NotADirectoryError(
            f"{root} is a file. Give the folder it lies in, or make the items yourself: "
            "[Path(...)] for a picture, [text] for a text."
        )
    pictures = _readable()
    files, left_out = [], []
    for name, file in sorted(walk(root, hidden, except_for, left_out)):
        suffix = suffix_of(name)
        if suffix in pictures:
            item, reason = file, None
        elif suffix in TEXTS:
            item, reason = read_text(file)
        else:
            item, reason = None, PLUGINS.get(suffix)
        if item is None:
            left_out.append(LeftOut(name, reason))
        else:
            files.append(FolderFile(name, item))
    if not files:
        found = summary(left_out) if left_out else "It holds nothing that is not hidden."
        known = f"Suffixes that are read: {', '.join(sorted(pictures | TEXTS))}."
        raise ValueError(f"There is neither a picture nor a text in {root}. {found} {known}")
    composed = Counter(unicodedata.normalize("NFC", file.name) for file in files)
    if alike := [name for name, n in composed.items() if n > 1]:
        warn(
            f"Names that differ in their Unicode form alone are one document: {shown(alike)}. "
            "Rename one of the files if they are two."
        )
    return files, left_out


def _readable():
    """Suffixes of pictures that can be opened; without Pillow, of those that it always opens."""
    try:
        return picture_suffixes()
    except ImportError:
        return COMMON_PICTURES


def known_suffixes():
    """Suffixes of texts, and of pictures, readable here or not."""
    return _readable() | TEXTS | PLUGINS.keys()


def walk(root, hidden, except_for, left_out):
    """Yield each file once, as pairs of its path below the folder and the file.

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
                # Not always the path itself: Python does not see a Windows junction as a link.
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


def suffix_of(name):
    """The lower-case suffix: ``.jpg`` of ``IMG_1.JPG``."""
    return os.path.splitext(name)[1].lower()


def read_text(path):
    """Read the beginning of a file: the text and None, or None and why there is none."""
    try:
        if not path.is_file():
            return None, "not a regular file" if path.exists() else "no such file"
        with open(path, "rb") as file:
            return decode_text(file)
    except OSError as error:
        return None, error.strerror.lower()


def decode_text(file):
    """Read the beginning of an open binary file, as `read_text`."""
    content = file.read(MOST_BYTES)
    try:
        # A letter that the limit cuts in two is dropped.
        decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        text = decode(content, final=len(content) < MOST_BYTES)
    except UnicodeDecodeError:
        return None, "not UTF-8"
    # UTF-16 without a byte order mark is valid UTF-8, with a null beside each letter.
    if "\0" in text:
        return None, "not UTF-8"
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return (text, None) if text.strip() else (None, BLANK)


def summary(left_out):
    """One sentence with the number of files of each suffix, the most frequent first."""
    counts = Counter(sorted(entry.label for entry in left_out)).most_common()
    listed = ", ".join(f"{n} {label}" for label, n in counts[:12])
    rest = sum(n for _, n in counts[12:])
    return (
        f"{len(left_out)} file{'s were' if len(left_out) > 1 else ' was'} left out: {listed}"
        f"{f' and {rest} of other suffixes' if rest else ''}."
    )

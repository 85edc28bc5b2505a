"""A folder of pictures and text files as items and ids."""

import os
from collections import Counter
from pathlib import Path

from ._warnings import warn

TEXTS = frozenset({".txt", ".md"})
# fmt: off
PICTURES = frozenset({
    ".apng", ".bmp", ".dib", ".gif", ".icns", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg",
    ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi",
    ".tga", ".tif", ".tiff", ".webp",
})
# fmt: on
# Pillow reads these only with a plugin or where it was built with the codec.
HEIF = "pip install pillow-heif, and call its register_heif_opener()"
NEEDS = {".avif": "pip install -U pillow", ".heic": HEIF, ".heif": HEIF, ".hif": HEIF}
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


def read_folder(path):
    """Turn a folder of pictures and text files into items and ids.

    Sub-folders are read too. A document is named by its path without the suffix, so a
    picture and a text of one name in one folder are two parts of one document, and equal
    names in two folders are two documents.

    Taken are the pictures that Pillow opens (``.heic`` once
    ``pillow_heif.register_heif_opener()`` was called) and ``.txt`` and ``.md`` files in
    UTF-8, whatever the case of the suffix; pictures are not opened yet. Names that begin
    with a dot, and what systems keep beside people's files (``@eaDir``, ``Thumbs.db``,
    ``node_modules`` and the like), are passed over. Links are followed, but no file is
    taken twice and no link to a folder that holds the link or `path`.

    Parameters
    ----------
    path : str or Path
        The folder; its own name may begin with a dot.

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
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"There is no folder {root}.")
    if not root.is_dir():
        raise NotADirectoryError(
            f"{root} is a file. Give the folder it lies in, or make the items yourself: "
            "[Path(...)] for a picture, [text] for a text."
        )
    pictures = PICTURES | _suffixes_of_pillow()
    not_taken = Counter()
    taken = []
    for name, file in sorted(_files(root, not_taken)):
        stem, suffix = os.path.splitext(name)
        kind = suffix.lower()
        if kind in pictures:
            taken.append((file, stem))
        elif kind not in TEXTS:
            not_taken[_label(name, NEEDS.get(kind))] += 1
        else:
            text, reason = _read_text(file)
            if reason:
                not_taken[_label(name, reason)] += 1
            else:
                taken.append((text, stem))
    if not taken:
        known = f"Taken are {', '.join(sorted(pictures | TEXTS))}."
        found = _summary(not_taken) if not_taken else "It holds nothing that is not hidden."
        raise ValueError(f"There is neither a picture nor a text in {root}. {found} {known}")
    if not_taken:
        warn(_summary(not_taken))
    items, ids = zip(*taken)
    return list(items), list(ids)


def _files(root, not_taken):
    """Pairs of a file's path below a folder and the file, each file once.

    What cannot be entered or is no file is counted in `not_taken`.
    """
    top = os.path.realpath(root)
    seen, folders, links = {top}, [("", top)], []
    while folders:
        prefix, folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                entries = [entry for entry in entries if not _is_passed_over(entry.name)]
        except OSError as error:
            if folder == top:
                raise
            not_taken[f"folder ({error.strerror.lower()})"] += 1
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
                not_taken[_label(name, "not a regular file")] += 1
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
                not_taken[_label(name, "broken link")] += 1


def _holds(folder, path):
    return path.startswith(os.path.join(folder, ""))


def _is_passed_over(name):
    return name.startswith(".") or name.lower() in SYSTEM


def _suffixes_of_pillow():
    """Those of the suffixes in NEEDS that can be read here and now."""
    try:
        from PIL import Image
    except ImportError:
        return set()
    return NEEDS.keys() & Image.registered_extensions().keys()


def _read_text(file):
    """A file's text and None, or None and the reason why there is none."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None, "not UTF-8"
    except OSError as error:
        return None, error.strerror.lower()
    # UTF-16 without a mark passes for UTF-8 with a null beside each letter.
    if "\0" in text:
        return None, "not UTF-8"
    return (text, None) if text.strip() else (None, "blank")


def _label(name, reason=None):
    """What a file is counted as: its suffix, and why it was not taken."""
    suffix = os.path.splitext(name)[1].lower()
    # What follows the last dot of "Dr. Who to call" is no suffix.
    if not (suffix[1:].isalnum() and len(suffix) <= 12):
        suffix = "other"
    return f"{suffix} ({reason})" if reason else suffix


def _summary(not_taken):
    """One sentence with the counts, the most frequent first."""
    counts = sorted(not_taken.items(), key=lambda entry: (-entry[1], entry[0]))
    listed = ", ".join(f"{n} {label}" for label, n in counts[:12])
    rest = sum(n for _, n in counts[12:])
    total = not_taken.total()
    return (
        f"{total} file{'s were' if total > 1 else ' was'} not taken: {listed}"
        f"{f' and {rest} of other suffixes' if rest else ''}."
    )

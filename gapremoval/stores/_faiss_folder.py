"""What a FaissStore holds, and how it is kept in a folder.

The folder holds a file of faiss for each modality and a JSON file, which names them and holds all
else. Files of faiss are never changed: a new one is written under a new name, and the JSON file is
replaced in one step.
"""

import base64
import json
import uuid
from dataclasses import dataclass, field

import numpy as np

from .._files import file_states, locked, replacing
from ._faiss_segment import Segment, check_kind, import_faiss


@dataclass
class Contents:
    """What a store holds: a segment for each modality, and what was said when it was built."""

    n_features: int | None = None
    factory: str = "Flat"
    search_params: dict | None = None
    settings: bytes | None = None
    segments: dict = field(default_factory=dict)
    build: str | None = None  # names what `build` made, and no later one

    @property
    def no_ids(self):
        """An empty array of the type of the ids."""
        return next((part.ids[:0] for part in self.segments.values()), np.zeros(0, np.int64))


def folder_state(folder):
    """What any change of the folder changes; None if no store was written there."""
    return file_states([folder / "store.json"])[0]


def read_folder(folder):
    """The Contents of a folder.

    Raises
    ------
    FileNotFoundError
        If a file is missing, as it may be while a writer replaces it.
    ValueError
        If a file is damaged or was not written by `write_folder`.
    """
    try:
        kept = json.loads((folder / "store.json").read_bytes())
        if kept["format"] != 1:
            raise ValueError(f"its format is {kept['format']!r}, and this version reads 1")
        settings = kept["settings"] and base64.b64decode(kept["settings"], validate=True)
        said = (kept[name] for name in ("n_features", "factory", "search_params"))
        contents = Contents(*said, settings, build=kept["build"])
        for name, part in kept["segments"].items():
            contents.segments[name] = _read_segment(folder, part, contents.n_features)
    except (ImportError, OSError):
        raise
    except Exception as error:  # of many kinds: any of them is a damaged file
        raise ValueError(f"{folder} does not hold a readable FaissStore: {error}") from error
    return contents


def _read_segment(folder, part, n_features):
    if "/" in part["file"] or "\\" in part["file"]:
        raise ValueError(f"{part['file']!r} lies elsewhere")
    with open(folder / part["file"], "rb") as file:
        index = import_faiss().read_index(import_faiss().PyCallbackIOReader(file.read))
    check_kind(index, part["file"])
    ids = np.array(part["ids"], object if isinstance(part["ids"][0], str) else np.int64)
    if (index.d, index.ntotal) != (n_features, len(ids)):
        raise ValueError(
            f"{part['file']} has {index.ntotal} rows of {index.d} features, for {len(ids)} ids "
            f"and {n_features} features"
        )
    live = np.ones(len(ids), bool)
    live[np.array(part["deleted"], int)] = False
    return Segment(index, ids, live, part["file"])


def write_folder(folder, contents, seen):
    """Write Contents, completely or not at all; files of segments that did not change stay.

    Parameters
    ----------
    folder : Path
    contents : Contents
    seen : tuple or None
        The `folder_state` that was changed.

    Returns
    -------
    tuple
        The new `folder_state`.

    Raises
    ------
    RuntimeError
        If another process changed the folder in the meantime. Nothing is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        if folder_state(folder) != seen:
            raise RuntimeError(
                f"Another process changed {folder} while it was to be changed here: nothing was "
                "written. The next call sees the new state; repeat the change."
            )
        for segment in contents.segments.values():
            if segment.file is None:
                name = f"{uuid.uuid4().hex}.faiss"
                with replacing(folder / name) as file:
                    faiss = import_faiss()
                    faiss.write_index(segment.index, faiss.PyCallbackIOWriter(file.write))
                segment.file = name
        with replacing(folder / "store.json") as file:
            file.write(json.dumps(_as_json(contents)).encode())
        named = {segment.file for segment in contents.segments.values()}
        for file in [*folder.glob("*.faiss"), *folder.glob(".*.part")]:
            if file.name not in named:  # replaced, or begun by a writer that was killed
                file.unlink(missing_ok=True)
        return folder_state(folder)


def _as_json(contents):
    settings = contents.settings
    return {
        "format": 1,
        "build": contents.build,
        "n_features": contents.n_features,
        "factory": contents.factory,
        "search_params": contents.search_params,
        "settings": settings if settings is None else base64.b64encode(settings).decode(),
        "segments": {
            name: {
                "file": segment.file,
                "ids": segment.ids.tolist(),
                "deleted": np.flatnonzero(~segment.live).tolist(),
            }
            for name, segment in contents.segments.items()
        },
    }

"""IndexFile: what ``gapremoval index`` writes; arrays and JSON, so opening it runs no code."""

import dataclasses
import json
import os

import numpy as np

from .._embeddings import EmbeddingArray
from .._files import replacing
from .._version import __version__
from ..retrieval._query_banks import MOST_ROWS

FORMAT = "gapremoval index"
VERSION = 1
NAMED = ("model", "fingerprint", "folder", "names")
MOST_LEARNT = MOST_ROWS  # a score calibration reads no more


class _Later(Exception):  # noqa: N818 -- never seen outside
    """The version that wrote a format of later."""


@dataclasses.dataclass(frozen=True, eq=False)
class IndexFile:
    """The encoded files of a folder, and questions that teach the search.

    Attributes
    ----------
    model : str
        What made the embeddings, as `CLIPEncoder` takes it.
    fingerprint : str
        Of its weights, preprocessing and tokenizer.
    folder : str
        The absolute path of the folder.
    names : list of str
        The path of each file below the folder, with ``/`` on all systems.
    files : EmbeddingArray of float32 of shape (n_files, n_features)
        Their embeddings, tagged text or image.
    captions : EmbeddingArray of float32 of shape (n_captions, n_features)
        Ordinary captions, as queries, where the folder has too few texts.
    learnt : EmbeddingArray of float32 of shape (n_learnt, n_features)
        Past queries that the user had kept, without what answered them.
    version : str
        The version of gapremoval that wrote it.
    """

    model: str
    fingerprint: str
    folder: str
    names: list
    files: EmbeddingArray
    captions: EmbeddingArray
    learnt: EmbeddingArray
    version: str = __version__

    def with_learnt(self, rows):
        """This index with more past queries; the oldest are dropped beyond `MOST_LEARNT`."""
        learnt = EmbeddingArray.concatenate([self.learnt, rows])[-MOST_LEARNT:]
        return dataclasses.replace(self, learnt=learnt)

    def save(self, path):
        """Write the file, complete or not at all; an older one is replaced."""
        rows = EmbeddingArray.concatenate([self.files, self.captions, self.learnt])
        header = {"format": FORMAT, "format_version": VERSION, "version": __version__}
        header |= {name: getattr(self, name) for name in NAMED}
        header["n_captions"] = len(self.captions)
        with replacing(path) as file:
            np.savez(
                file,
                header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
                values=rows.values,
                codes=rows._tags.codes,
                modalities=np.array(rows._tags.names, dtype=np.str_),
            )

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError, PermissionError
            If the file is not there, or may not be read.
        ValueError
            If it is no index, is damaged, or was written by a later version.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                header = json.loads(arrays["header"].tobytes())
                if header["format"] == FORMAT and header["format_version"] != VERSION:
                    raise _Later(header["version"])
                modality = arrays["modalities"][arrays["codes"]]
                rows = EmbeddingArray(arrays["values"], modality)
            n_files = len(header["names"])
            n_known = n_files + header["n_captions"]
            if header["format"] != FORMAT or n_known > len(rows):
                raise ValueError
        except FileNotFoundError:
            raise FileNotFoundError(
                f"There is no index {path}. 'gapremoval index' makes one."
            ) from None
        except (PermissionError, IsADirectoryError, MemoryError):
            raise
        except _Later as version:
            raise ValueError(
                f"{path} was made by gapremoval {version} in a format that {__version__} does not "
                "know: make it again, or install that version."
            ) from None
        # Damage shows as anything from EOFError to what the zip and header parsers raise.
        except Exception as error:
            raise ValueError(
                f"{path} is no index of gapremoval, or is damaged. 'gapremoval index' makes one."
            ) from error
        return cls(
            *(header[name] for name in NAMED),
            rows[:n_files],
            rows[n_files:n_known],
            rows[n_known:],
            header["version"],
        )

    def documents(self):
        """The row numbers of each document's files: those whose names differ in the suffix."""
        rows_of = {}
        for row, name in enumerate(self.names):
            rows_of.setdefault(os.path.splitext(name)[0], []).append(row)
        return list(rows_of.values())

    def path(self, row):
        """Where a file lies."""
        return os.path.join(self.folder, *self.names[row].split("/"))


def cache_folder(path):
    """Where the rows of an index are kept between runs, beside it."""
    return f"{os.fspath(path)}.cache"

"""IndexFile: what ``gapremoval index`` writes; arrays and JSON, so opening it runs no code."""

import dataclasses
import json
import os
import re
from functools import cached_property

import numpy as np

from .._embeddings import EmbeddingArray
from .._files import read_arrays, replacing
from .._modality import Tags, is_query
from .._version import __version__
from ..datasets._folder import KINDS, suffix_of
from ..retrieval._query_banks import MOST_ROWS

FORMAT = "gapremoval index"
VERSION = 1
# Of all formats: with another array this version could not tell which one wrote the file.
ARRAYS = ["header", "values", "codes", "modalities"]
NAMED = ("model", "fingerprint", "folder", "names")
MOST_LEARNT = MOST_ROWS  # a score calibration reads no more


class LaterFormat(ValueError):  # noqa: N818 -- says what is wrong already
    """An index in a format that this version does not know."""


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

    @cached_property
    def documents(self):
        """The row numbers of each document's files: those whose names differ in the suffix."""
        rows_of = {}
        for row, name in enumerate(self.names):
            rows_of.setdefault(os.path.splitext(name)[0], []).append(row)
        return list(rows_of.values())

    def path(self, row):
        """Where a file lies."""
        return os.path.join(self.folder, *self.names[row].split("/"))

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
        """Read what `save` wrote, and check all of it.

        Raises
        ------
        FileNotFoundError, PermissionError
            If the file is not there, or may not be read.
        ValueError
            If it is no index, is damaged, or was written by a later version.
        """
        try:
            header, values, codes, names = read_arrays(path, ARRAYS)
            header = json.loads(header.tobytes())
            _check_header(header, path)
            rows = EmbeddingArray(values, Tags.decode(names, codes, values))
            n_files, n_known = len(header["names"]), len(header["names"]) + header["n_captions"]
            files, asked = rows[:n_files], rows[n_files:]
            _check_rows(files, asked, n_files, header["n_captions"])
        except FileNotFoundError:
            raise FileNotFoundError(
                f"There is no index {path}. 'gapremoval index' makes one."
            ) from None
        except (PermissionError, MemoryError, LaterFormat):
            raise
        # Damage shows as anything from EOFError to what the zip and header parsers raise.
        except Exception as error:
            raise ValueError(
                f"{path} is no index of gapremoval, or is damaged. 'gapremoval index' makes one."
            ) from error
        named = (header[name] for name in NAMED)
        return cls(*named, files, rows[n_files:n_known], rows[n_known:], header["version"])


def _check_header(header, path):
    """Refuse what `save` never writes; above all names that lead out of the folder."""
    os.fsencode(header["version"])  # lone surrogates cannot be shown
    if header["format"] == FORMAT and header["format_version"] != VERSION:
        raise LaterFormat(
            f"{path} was made by gapremoval {header['version']} in a format that {__version__} "
            "does not know: make it again, or install that version."
        )
    names = header["names"]
    texts = [header[name] for name in ("model", "fingerprint", "folder", "version")]
    if not (
        header["format"] == FORMAT
        and isinstance(names, list)
        and all(isinstance(text, str) and "\0" not in text for text in [*texts, *names])
        and os.path.isabs(header["folder"])
        and names
        and len(set(names)) == len(names)
        and all(map(_is_name, names))
        and type(header["n_captions"]) is int
        and header["n_captions"] >= 0
    ):
        raise ValueError
    os.fsencode("".join([*texts, *names]))  # lone surrogates are not from a file system


def _is_name(name):
    """Whether this is the path of a photo or note below a folder."""
    parts = name.split("/")
    leads_out = {"", ".", ".."} & set(parts) or (os.name == "nt" and re.search(r"[\\:]", name))
    return not leads_out and suffix_of(name) in KINDS


def _check_rows(files, asked, n_files, n_captions):
    values = files.values
    if not (
        len(files) == n_files
        and len(asked) >= n_captions
        and values.dtype == np.float32
        and np.isfinite(values).all()
        and np.isfinite(asked.values).all()
        and {*files._tags.counts()} <= {"image", "text"}
        and all(map(is_query, asked._tags.counts()))
    ):
        raise ValueError


def cache_folder(path):
    """Where the rows of an index are kept between runs, beside it."""
    return f"{os.fspath(path)}.cache"

"""IndexFile: what ``gapremoval index`` writes; arrays and JSON, so opening it runs no code."""

import dataclasses
import json
import os
import re
from functools import cached_property

import numpy as np

from .._array_api import unit_rows
from .._embeddings import EmbeddingArray
from .._files import read_arrays, replacing
from .._modality import Tags, is_query
from .._repetitions import group_rows
from .._version import __version__
from ..datasets._folder import document_id, suffix_of
from ..retrieval._query_banks import MOST_ROWS

FORMAT = "gapremoval index"
VERSION = 1
# The same in all versions of the format: an unknown array would hide which one it is.
ARRAYS = ["header", "values", "codes", "modalities"]
NAMED = ("model", "fingerprint", "folder", "names")
MOST_LEARNED = MOST_ROWS  # a score calibration reads no more


class LaterFormat(ValueError):  # noqa: N818 -- says what is wrong already
    """An index in a format that this version does not know."""


@dataclasses.dataclass(frozen=True, eq=False)
class IndexFile:
    """The encoded files of a folder, and queries that the score calibration learns from.

    Attributes
    ----------
    model : str
        The model of the embeddings, as `make_encoder` takes it.
    fingerprint : str
        Fingerprint of its weights, preprocessing and tokenizer.
    folder : str
        Absolute path of the folder.
    names : list of str
        Path of each file below the folder, with ``/`` on all systems.
    files : EmbeddingArray of float32 of shape (n_files, n_features)
        Embeddings of the files, tagged text or image.
    captions : EmbeddingArray of float32 of shape (n_captions, n_features)
        Ordinary captions as queries; empty where the folder has enough texts.
    learned : EmbeddingArray of float32 of shape (n_learned, n_features)
        Past queries that the user asked to keep, without what answered them.
    version : str
        Version of gapremoval that wrote the file.
    """

    model: str
    fingerprint: str
    folder: str
    names: list
    files: EmbeddingArray
    captions: EmbeddingArray
    learned: EmbeddingArray
    version: str = __version__

    @cached_property
    def documents(self):
        """Row numbers of the files of each document, by its id.

        Files whose names differ in the suffix alone are one document.
        """
        rows_of = {}
        for row, name in enumerate(self.names):
            rows_of.setdefault(document_id(name), []).append(row)
        return rows_of

    def path(self, row):
        """Absolute path of a file."""
        return os.path.join(self.folder, *self.names[row].split("/"))

    def with_learned(self, rows):
        """This index with more past queries, each once: the newest, at most `MOST_LEARNED`."""
        learned = EmbeddingArray.concatenate([self.learned, rows])[::-1]
        unit, _ = unit_rows(learned.values)
        newest, *_ = group_rows(np.column_stack([unit, learned._tags.codes]))
        return dataclasses.replace(self, learned=learned[newest[:MOST_LEARNED][::-1]])

    def save(self, path):
        """Write the file, complete or not at all, in place of an older one."""
        rows = EmbeddingArray.concatenate([self.files, self.captions, self.learned])
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
            If the file does not exist, or may not be read.
        ValueError
            If it is not an index, is damaged, or was written by a later version.
        """
        try:
            header, values, codes, modalities = read_arrays(path, ARRAYS)
            header = json.loads(header.tobytes())
            os.fsencode(header["version"])  # lone surrogates cannot be shown
            if header["format"] == FORMAT and header["format_version"] != VERSION:
                raise LaterFormat(
                    f"{path} was made by gapremoval {header['version']} in a format that "
                    f"{__version__} does not know: make it again, or install that version."
                )
            rows = EmbeddingArray(values, Tags.decode(modalities, codes, values))
            files, asked = rows[: len(header["names"])], rows[len(header["names"]) :]
            if not _is_sound(header, files, asked):
                raise ValueError
            captions, learned = asked[: header["n_captions"]], asked[header["n_captions"] :]
            named = (header[name] for name in NAMED)
            return cls(*named, files, captions, learned, header["version"])
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


def _is_sound(header, files, asked):
    """Whether `save` may have written this; above all, whether names stay in the folder."""
    names = header["names"]
    texts = [header[name] for name in ("model", "fingerprint", "folder", "version")] + names
    os.fsencode("".join(texts))  # lone surrogates do not come from a file system
    return (
        header["format"] == FORMAT
        and type(header["n_captions"]) is int
        and 0 <= header["n_captions"] <= len(asked)
        and not any("\0" in text for text in texts)
        and os.path.isabs(header["folder"])
        and 0 < len(set(names)) == len(names) == len(files)
        and all(map(_is_name, names))
        and files.dtype == np.float32
        and np.isfinite(files.values).all()
        and np.isfinite(asked.values).all()
        and set(files.modality.tolist()) <= {"image", "text"}
        and all(map(is_query, asked.modality.tolist()))
    )


def _is_name(name):
    """Whether this is the path of a file with a suffix below a folder."""
    leads_out = {"", ".", ".."} & set(name.split("/"))
    leads_out = leads_out or (os.name == "nt" and re.search(r"[\\:]", name))
    return not leads_out and suffix_of(name)


def cache_folder(path):
    """Folder beside an index that keeps encoded rows between runs."""
    return f"{os.fspath(path)}.cache"

"""What the commands print: a table or JSON on stdout, all else on stderr."""

import dataclasses
import json
import math
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from .._files import replacing
from .._folder import read_text
from ..inspection import results_page


def tell(message, kind=None):
    """Say something on stderr, in one line."""
    said = printable(str(message))
    print(f"gapremoval: {f'{kind}: ' if kind else ''}{said}", file=sys.stderr)


def show(text):
    """Write to stdout, now: a pipe that was closed is found out here and not at the exit."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def printable(path):
    """A path, or a message with one, as one line that a terminal does not take for commands.

    Bytes that are not UTF-8 are written ``\\\\xe9``, line breaks and other control characters
    ``\\\\n`` and the like.
    """
    written = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in written)


def nearby(path):
    """A path as it is shortest here: from the current folder, if it lies in that."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def to_table(found, documents, index, question):
    """Results as lines: rank, score, probability, modality, files."""
    lines = ["rank   score  probability  modality    file"]
    for rank, (rows, score, probability, modality) in enumerate(_results(found, documents), 1):
        shown = "           -" if probability is None else f"{probability:12.1%}"
        files = " + ".join(printable(nearby(index.path(row))) for row in rows)
        lines.append(f"{rank:>4}  {score:6.3f} {shown}  {modality:<10}  {files}")
    return "\n".join(lines)


def to_json(found, documents, index, question):
    """Results as JSON in ASCII.

    A file's ``path`` is for reading where its name is not UTF-8 (then it is escaped as in the
    table); its ``uri`` leads back to it whatever its name.
    """
    results = [
        {
            "rank": rank,
            "score": score,
            "probability": probability,
            "modality": modality,
            "files": [_file(index.path(row)) for row in rows],
        }
        for rank, (rows, score, probability, modality) in enumerate(_results(found, documents), 1)
    ]
    evidence = None if found.evidence is None else _number(found.evidence[0])
    parts = (question.text, question.image, question.item)
    text = next((part for part in parts if isinstance(part, str)), None)
    image = next((_file(os.path.abspath(part)) for part in parts if isinstance(part, Path)), None)
    asked = {"text": text, "image": image}
    return json.dumps({"query": asked, "evidence": evidence, "results": results}, indent=1)


def describe(index, path):
    """What is in an index, as lines."""
    modality = index.files.modality
    kinds = Counter("+".join(sorted(set(modality[rows]))) for rows in index.documents())
    features = index.files.shape[1]
    questions = f"{len(index.captions)} ordinary captions, {len(index.learnt)} learnt"
    told = {
        "folder": printable(index.folder),
        "files": counted(index.files._tags.counts()),
        "documents": counted(kinds),
        "questions": questions,
        "model": printable(index.model),
        "fingerprint": index.fingerprint,
        "embeddings": f"{features} features, {index.files.dtype}",
        "size": f"{os.path.getsize(path):,} bytes",
        "made by": f"gapremoval {index.version}",
    }
    return "\n".join(f"{name:<12} {value}" for name, value in told.items())


def write_page(path, found, documents, index, question):
    """Write the results as one HTML page with thumbnails and the beginnings of texts."""
    names = [" + ".join(index.names[row] for row in rows) for rows in documents]
    ids = np.array([names], dtype=object)
    contents = {
        name: [_content(index, row) for row in rows] for name, rows in zip(names, documents)
    }
    page = results_page([question], dataclasses.replace(found, ids=ids), contents)
    with replacing(path) as file:
        file.write(page.encode())


def _content(index, row):
    """A picture's path, or what a text says now."""
    path = Path(index.path(row))
    if index.files.modality[row] == "image":
        return path
    text, reason = read_text(path)
    return f"({reason})" if reason else text


def counted(counts, noun=""):
    """A total and what it is made of."""
    each = ", ".join(f"{n} {name}" for name, n in counts.items())
    return f"{sum(counts.values())} {noun}".rstrip() + f" ({each})"


def _results(found, documents):
    probabilities = found.probabilities
    for place, rows in enumerate(documents):
        probability = None if probabilities is None else _number(probabilities[0, place])
        yield rows, float(found.scores[0, place]), probability, str(found.modalities[0, place])


def _number(value):
    return None if math.isnan(value) else float(value)


def _file(path):
    try:
        path.encode()
    except UnicodeEncodeError:
        return {"path": printable(path), "uri": Path(path).as_uri()}
    return {"path": path, "uri": Path(path).as_uri()}

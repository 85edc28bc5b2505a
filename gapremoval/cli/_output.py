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
from ..datasets._folder import TEXTS, read_text, suffix_of
from ..inspection import results_page
from ._searching import drift_of_questions


def tell(message, kind=None):
    """Say something on stderr, in one line."""
    print(f"gapremoval: {f'{kind}: ' if kind else ''}{printable(str(message))}", file=sys.stderr)


def show(text):
    """Write to stdout, now: a pipe that was closed is found out here and not at the exit."""
    print(text, flush=True)


def printable(path):
    """A path, or a message with one, as one line that a terminal does not take for commands.

    Bytes that are not UTF-8 are written ``\\\\xe9``, line breaks and other control characters
    ``\\\\n`` and the like.
    """
    written = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in written)


def counted(counts, noun=""):
    """A total and what it is made of."""
    each = ", ".join(f"{n} {name}" for name, n in counts.items())
    return f"{sum(counts.values())} {noun}".rstrip() + f" ({each})"


def to_table(index, found):
    """Results as lines: rank, score, probability, modality, files."""
    lines = ["rank   score  probability  modality    file"]
    for rank, (rows, score, probability, modality) in enumerate(_results(index, found), 1):
        shown = "           -" if probability is None else f"{probability:12.1%}"
        files = " + ".join(printable(_nearby(index.path(row))) for row in rows)
        lines.append(f"{rank:>4}  {score:6.3f} {shown}  {modality:<10}  {files}")
    return "\n".join(lines)


def to_json(index, found, text, image):
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
        for rank, (rows, score, probability, modality) in enumerate(_results(index, found), 1)
    ]
    evidence = None if found.evidence is None else _number(found.evidence[0])
    asked = {"text": text, "image": None if image is None else _file(os.path.abspath(image))}
    return json.dumps({"query": asked, "evidence": evidence, "results": results}, indent=1)


def write_page(path, index, found, question):
    """Write the results as one HTML page with thumbnails and the beginnings of texts."""
    contents = {}
    for number in found.ids[0].tolist():
        rows = index.documents[number]
        # No name holds two slashes, so each document has a title of its own.
        title = " // ".join(index.names[row] for row in rows)
        contents[title] = [_content(index, row) for row in rows]
    titles = np.array([list(contents)], dtype=object)
    page = results_page([question], dataclasses.replace(found, ids=titles), contents)
    with replacing(path) as file:
        file.write(page.encode())


def describe(index, path):
    """What is in an index, as lines."""
    modality = index.files.modality
    kinds = Counter("+".join(sorted(set(modality[rows]))) for rows in index.documents)
    told = {
        "folder": index.folder,
        "files": counted(index.files._tags.counts()),
        "documents": counted(kinds),
        "questions": f"{len(index.captions)} ordinary captions, {len(index.learnt)} learnt",
        "drift": _drift(index),
        "model": index.model,
        "fingerprint": index.fingerprint,
        "embeddings": f"{index.files.shape[1]} features, {index.files.dtype}",
        "size": f"{os.path.getsize(path):,} bytes",
        "made by": f"gapremoval {index.version}",
    }
    return "\n".join(f"{name:<12} {printable(value)}" for name, value in told.items())


def _drift(index):
    drift, kind = drift_of_questions(index)
    return "-" if math.isnan(drift) else f"learnt questions {drift:.1f} standard errors off {kind}"


def _content(index, row):
    """A picture's path, or what a text says now."""
    path = Path(index.path(row))
    if suffix_of(path) not in TEXTS:
        return path
    text, reason = read_text(path)
    return f"({reason})" if reason else text


def _nearby(path):
    """A path as it is shortest here: from the current folder, if it lies in that."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def _results(index, found):
    probabilities = found.probabilities
    for place, number in enumerate(found.ids[0].tolist()):
        probability = None if probabilities is None else _number(probabilities[0, place])
        score, modality = float(found.scores[0, place]), str(found.modalities[0, place])
        yield index.documents[number], score, probability, modality


def _number(value):
    return None if math.isnan(value) else float(value)


def _file(path):
    try:
        path.encode()
    except UnicodeEncodeError:
        return {"path": printable(path), "uri": Path(path).as_uri()}
    return {"path": path, "uri": Path(path).as_uri()}

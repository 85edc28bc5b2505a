"""What the commands print: a table or JSON on stdout, everything else on stderr."""

import json
import math
import os
import sys
from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from .._files import replacing
from .._html import percent, writable
from ..inspection import results_page
from ._searching import drift_of_questions

WIDEST = 10**6  # columns, so that no line is wrapped where there is no terminal


def tell(message, kind=None):
    """Print one line on stderr."""
    print(f"gapremoval: {f'{kind}: ' if kind else ''}{printable(message)}", file=sys.stderr)


def show(text):
    """Print to stdout at once, so that a closed pipe is noticed here and not at the exit."""
    print(text, flush=True)


def printable(value):
    """Text of a path or message as one line that a terminal does not take for commands.

    Bytes that are not UTF-8 become ``\\xe9``; line breaks, other controls and invisible
    characters, such as those that turn the direction of reading, ``\\n`` and the like.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in writable(value)
    )


def show_results(index, found):
    """Print results as a table: rank, score, probability, modality, files."""
    if not found.n_found[0]:
        tell(
            "probably nothing in the folder answers this: of the questions that nothing answers, "
            f"{percent(found.false_alarm[0])} look at least as well answered. A larger "
            "--max-false-alarm shows the nearest."
        )
        return
    rows = []
    for record in found.to_records():
        probability = record["probability"]
        paths = (index.path(row) for row in index.documents[record["id"]])
        rows.append(
            (
                str(record["rank"]),
                f"{record['score']:.3f}",
                "-" if probability is None else percent(probability),
                record["modality"],
                " + ".join(printable(_relative(path)) for path in paths),
            )
        )
    numbers = [Column(name, justify="right") for name in ("rank", "score", "probability")]
    columns = [*numbers, Column("modality", min_width=10), Column("file", overflow="fold")]
    _print_table(columns, rows, show_header=True)


def show_info(index, path):
    """Print what is in an index."""
    modality = index.files.modality
    of_documents = Counter(
        "+".join(sorted(set(modality[rows]))) for rows in index.documents.values()
    )
    drift = drift_of_questions(index)
    compared = "captions" if len(index.captions) else "texts"
    told = {
        "folder": index.folder,
        "files": counted(Counter(modality.tolist())),
        "documents": counted(of_documents),
        "questions": f"{len(index.captions)} ordinary captions, {len(index.learned)} learned",
        "drift": f"learned questions {drift:.1f} standard errors off {compared}",
        "model": index.model,
        "fingerprint": index.fingerprint,
        "embeddings": f"{index.files.shape[1]} features, {index.files.dtype}",
        "size": f"{os.path.getsize(path):,} bytes",
        "made by": f"gapremoval {index.version}",
    }
    if math.isnan(drift):
        told["drift"] = "-"
    rows = [(name, printable(value)) for name, value in told.items()]
    _print_table([Column(), Column(overflow="fold")], rows, show_header=False)


def counted(counts, noun=""):
    """A total and its summands: ``3 files (1 image, 2 text)``."""
    each = ", ".join(f"{n} {name}" for name, n in counts.items())
    return f"{sum(counts.values())} {noun}".rstrip() + f" ({each})"


def to_json(index, found, text, image):
    """Results as JSON in ASCII.

    The ``uri`` of a file leads back to it whatever its name; bytes of a name that are not
    UTF-8 are escaped in its ``path``.
    """
    asked = {"text": text, "image": None if image is None else _file(os.path.abspath(image))}
    results = [
        {name: record[name] for name in ("rank", "score", "probability", "modality")}
        | {"files": [_file(index.path(row)) for row in index.documents[record["id"]]]}
        for record in found.to_records()
    ]
    of_query = {name: getattr(found, name).item() for name in ("evidence", "false_alarm")}
    known = {name: None if math.isnan(value) else value for name, value in of_query.items()}
    return json.dumps({"query": asked, **known, "results": results}, indent=1)


def write_page(path, index, found, question):
    """Write results as one HTML page with thumbnails and the beginnings of texts."""
    contents = {
        id_: [Path(index.path(row)) for row in index.documents[id_]]
        for id_ in found[0].ids[0].tolist()
    }
    page = results_page([question], found, contents, folder=os.path.dirname(path))
    with replacing(path) as file:
        file.write(page.encode())


def _print_table(columns, rows, show_header):
    """Print a table, fitted to a terminal; elsewhere without lines, and one line a row."""
    if sys.stdout.isatty():
        console, lines = Console(), box.SIMPLE_HEAD if show_header else None
    else:
        console = Console(force_terminal=False, color_system=None, width=WIDEST)
        lines = None
    table = Table(*columns, box=lines, pad_edge=False, show_header=show_header)
    for row in rows:
        table.add_row(*map(Text, row))
    with console.capture() as captured:
        console.print(table)
    show("\n".join(line.rstrip() for line in captured.get().rstrip().split("\n")))


def _relative(path):
    """A path, relative where it lies in the current folder."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def _file(path):
    shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return {"path": shown, "uri": Path(path).as_uri()}

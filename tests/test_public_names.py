"""The package's names: all there, all found where they live, none imported before it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gapremoval

HEAVY = ["numpy", "scipy", "sklearn", "torch", "open_clip", "PIL", "matplotlib", "pandas"]


def test_importing_the_package_imports_nothing_heavy():
    code = f"import sys, gapremoval; print(*({HEAVY!r} & sys.modules.keys()))"
    code = code.replace(repr(HEAVY), repr(set(HEAVY)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_name_is_there_and_stays_the_same():
    for name in gapremoval.__all__:
        assert getattr(gapremoval, name) is getattr(gapremoval, name)
        assert name in dir(gapremoval)
    for name in gapremoval._ROOMS:
        assert getattr(gapremoval, name) is sys.modules[f"gapremoval.{name}"]


def test_what_type_checkers_read_is_what_is_imported():
    tree = ast.parse(Path(gapremoval.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    read = {name.name: node.module for node in block.body for name in node.names}
    assert read == gapremoval._HOME
    assert {*gapremoval._HOME, "__version__"} == set(gapremoval.__all__)


def test_rooms_are_the_packages_that_users_import_from():
    folders = Path(gapremoval.__file__).parent.glob("*/__init__.py")
    assert {file.parent.name for file in folders} - {"cli"} == gapremoval._ROOMS


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'gapremoval' has no attribute 'absent'"):
        _ = gapremoval.absent

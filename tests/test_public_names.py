"""The package's names: all there, all found where they live, nothing heavy imported."""

import subprocess
import sys
from pathlib import Path

import gapremoval

HEAVY = {"torch", "open_clip", "PIL", "matplotlib", "pandas", "pyarrow", "typer", "transformers"}


def test_importing_the_package_imports_nothing_heavy():
    # scikit-learn itself imports some of them, where they are installed.
    code = (
        "import sys, sklearn.pipeline; had = set(sys.modules); import gapremoval;"
        f"print(*({HEAVY!r} & (sys.modules.keys() - had)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_public_name_is_there():
    for name in gapremoval.__all__:
        assert hasattr(gapremoval, name)
    assert gapremoval.__all__ == sorted(gapremoval.__all__)


def test_rooms_are_the_packages_that_users_import_from():
    folders = Path(gapremoval.__file__).parent.glob("*/__init__.py")
    rooms = {file.parent.name for file in folders} - {"cli"}
    assert rooms <= set(gapremoval.__all__)
    for name in rooms:
        assert getattr(gapremoval, name) is sys.modules[f"gapremoval.{name}"]

"""Puts tests/ on the path: benchmarks measure on the corpora that the tests read."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))

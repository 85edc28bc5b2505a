"""The benchmark on MixBench, run whole on drawn scenes."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

OURS = "GR + posterior odds"
SCRIPT = Path(__file__).parent.parent / "benchmarks" / "mixbench.py"

needs_clip = pytest.mark.skipif(not find_spec("open_clip"), reason="needs the extra clip")


@needs_clip
def test_the_miniature_goes_through_all_settings(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--miniature", "--out", tmp_path / "out"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tables, title = {}, None  # by title and pipeline, the first number of each cell
    for line in done.stdout.splitlines():
        if ", with pocket" in line:
            title = line.strip("*").split(", with")[0]
            tables[title] = {}
        elif re.match(r"\| (raw|GR[^|]*) ", line):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            tables[title][name] = [float(x.split()[0]) for x in cells if x[:1].isdigit()]
    subsets = ["Scenes", "Scenes_asked_with_images"]
    for subset in subsets:
        for setting in ("setting 3: the shipped mix", "setting 1", "setting 2"):
            assert list(tables[f"{subset}, {setting}"]) == ["raw", "GR", OURS]
    assert f"Mean over {', '.join(subsets)}, setting 3" in tables
    assert "beir, setting 1" in tables
    mix = {name: row[0] for name, row in tables["Scenes, setting 3: the shipped mix"].items()}
    assert mix["raw"] + 0.05 < mix["GR"] < mix[OURS] + 0.02
    sag = {name: row[-1] for name, row in tables["Scenes, setting 1"].items()}
    assert sag["raw"] > 0.2
    assert max(sag["GR"], sag[OURS]) < 0.1
    assert (tmp_path / "out" / "mixbench_pocket.png").read_bytes().startswith(b"\x89PNG")

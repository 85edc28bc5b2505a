"""The pictures of the benchmarks, which are drawn from the tables of their page."""

import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

import draw_tables
import matplotlib
import matplotlib.pyplot as plt

HOME = Path(__file__).parent.parent


def test_every_picture_is_drawn_from_the_tables_and_shown_on_the_page(tmp_path):
    figures = plt.get_fignums()
    draw_tables.main(tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    page = (HOME / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert drawn == set(re.findall(r"\(\.\./docs/images/benchmarks/(\w+\.svg)\)", page))
    assert plt.get_fignums() == figures
    for name in drawn:
        kept, made = (
            (folder / name).read_text(encoding="utf-8")
            for folder in (HOME / "docs" / "images" / "benchmarks", tmp_path)
        )
        # Another version of matplotlib places some marks elsewhere.
        if f"Matplotlib v{matplotlib.__version__}," in kept:
            assert made == kept, f"{name} is older than its table: run benchmarks/draw_tables.py"


def test_a_table_is_read_by_its_heading_and_the_bold_line_above_it(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(
        "# Benchmarks\n\n## Is it good?\n\n**By method**\n\n| | a | b |\n|---|---|---|\n"
        "| raw | 0.5 ± 0.1 | 1,000 |\n\nText.\n\n| k | c |\n|---|---|\n| 1 | +2 |\n"
    )
    tables = draw_tables.read_tables(page)
    row = tables["Is it good?", "By method"]["raw"]
    assert [draw_tables.number(row["a"]), draw_tables.half(row["a"])] == [0.5, 0.1]
    assert draw_tables.number(row["b"]) == 1000
    assert tables["Is it good?", "2"] == {"1": {"k": "1", "c": "+2"}}

"""The first screen of the site shows what the search really finds."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytest.importorskip("open_clip")

HOME = Path(__file__).parent.parent


def test_the_first_screen_is_what_its_script_writes(tmp_path, monkeypatch, capsys):
    spec = spec_from_file_location("first_screen", HOME / "examples" / "first_screen.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", ["first_screen.py", str(tmp_path / "page.html")])
    script.main()
    kept = (HOME / "docs" / "images" / "first_screen.html").read_text(encoding="utf-8")
    made = (tmp_path / "page.html").read_text(encoding="utf-8")
    pictures = re.compile(r"base64,[^\"]+")  # another encoder of pictures writes other bytes
    assert pictures.sub("", made) == pictures.sub("", kept)
    before, after = capsys.readouterr().out.splitlines()
    assert before.startswith("Before: 0%")
    assert after.startswith("After: 100%")

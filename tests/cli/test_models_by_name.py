"""An index made with a model of sentence-transformers."""

import shutil

import pytest

pytest.importorskip("sentence_transformers")

from sentence_models import save_clip


@pytest.fixture
def model(tmp_path):
    (tmp_path / "tiny").mkdir()
    save_clip(tmp_path / "tiny")
    return "st:tiny"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_index_of_such_a_model_is_made_searched_and_told(run, photos, model, tmp_path):
    done = run("index", photos, "--model", model)
    assert done.code == 0
    assert "53 files" in done.err or "files" in done.err
    assert f"st:{tmp_path / 'tiny'}" in run("info", "index.gap").out
    found = run("search", "index.gap", "a red circle", "--json")
    assert found.code == 0
    assert '"rank": 1' in found.out
    assert run("index", photos).code == 0  # which keeps its model

    shutil.move(tmp_path / "tiny", tmp_path / "moved")
    lost = run("search", "index.gap", "a red circle")
    assert lost.code == 1
    assert "No folder at" in lost.err
    assert run("search", "index.gap", "a red circle", "--model", "st:moved").code == 0
    other = run("search", "index.gap", "a red circle", "--model", "pocket")
    assert (other.code, "other weights" in other.err) == (1, True)


def test_a_wrong_name_is_one_line(run, photos):
    done = run("index", photos, "--model", "st:./nothing")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "No folder at" in done.err

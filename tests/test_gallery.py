"""The scripts of the gallery, run to their end: each shows what it claims."""

import ast
import re
import runpy
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

SCRIPTS = sorted((Path(__file__).parent.parent / "examples").glob("plot_*.py"))

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def numbers(pattern, out):
    """The figures in the one line that fits, where ``#`` stands for a figure."""
    parts = [re.escape(part) for part in re.sub(" +", " ", pattern).split("#")]
    (found,) = re.finditer(r"([\d.e+-]*\d)".join(parts), re.sub(" +", " ", out))
    return [float(number) for number in found.groups()]


def the_recommended_search_beats_the_raw_one_across_the_gap(out):
    raw_texts, raw_images = numbers("raw NDCG@10 of text queries #, of image queries #", out)
    texts, images = numbers("recommended NDCG@10 of text queries #, of image queries #", out)
    assert texts > max(0.9, raw_texts + 0.2)
    assert images > max(0.9, raw_images + 0.5)


def the_weight_to_start_with_is_near_the_best_and_copies_are_found(out):
    _, raw = numbers("raw best weight # with NDCG@10 #", out)
    weight, removed = numbers("gap removed best weight # with NDCG@10 #", out)
    least_gain, _ = numbers("removing the gap gains # to #", out)
    assert 0.4 <= weight <= 0.6
    assert removed > raw + 0.1
    assert least_gain > 0.05  # at every weight
    assert numbers("pages of a note: the copy finds # first", out) == [1]
    _, in_ten = numbers("pages of both: # first, # among the first ten", out)
    assert in_ten > 0.9


def the_gap_closes_and_posterior_odds_find_more_images(out):
    raw, removed = numbers("distance of the centroids: raw #, gap removed #", out)
    assert raw > 0.7
    assert removed < 0.1
    first = {
        name: numbers(f"{name}: the right answer is first, image #, text #", out)
        for name in ("raw", "gap removed", "posterior odds")
    }
    image, text = zip(*first.values())
    assert image[0] < 0.1
    assert image[0] < image[1] < image[2]
    assert min(text) > 0.9


def a_loaded_search_gives_the_same_answers_without_the_network_in_its_file(out):
    n_same, n_asked, apart = numbers("same answers for # of # queries, scores at most # apart", out)
    assert n_same == n_asked > 0
    assert apart < 1e-4
    n_same, n_asked = numbers("fitted again: same answers for # of # queries", out)
    assert n_same == n_asked
    assert numbers("clipencoder # kB", out)[0] < 2
    assert "values: float32" in out


def with_memory_each_distinct_content_is_encoded_once(out):
    n_items, n_distinct = numbers("# items, # distinct contents", out)
    (no_memory, _), (first_time, _), (again, _) = (
        numbers(f"{name} # rows encoded in # s", out)
        for name in ("no memory", "memory, first time", "memory, again")
    )
    assert n_distinct < n_items
    assert no_memory == 7 * n_items  # three candidates in two folds, and the best once more
    assert first_time == n_distinct
    assert again == 0
    n_new, _, encoded = numbers("# new images among # items: # rows encoded", out)
    assert encoded == n_new > 0


def captions_help_as_much_as_they_tell_and_removing_the_gap_helps_more(out):
    line = "# with no captions, # with careful captions, # with hasty captions"
    raw, removed, odds = (
        numbers(f"{name} {line}", out) for name in ("raw", "gap removed", "posterior odds")
    )
    assert raw[0] < 0.1
    assert raw[2] > raw[0] + 0.1
    assert raw[1] > raw[2] + 0.4
    assert removed[0] > raw[1]  # no captions are needed to see the images
    assert removed[2] < removed[0] < removed[1]
    assert all(after > before for before, after in zip(removed, odds))
    page = Path(__file__).parent.parent / "docs" / "guide" / "captions.md"
    for name, found in (("raw", raw), ("gap removed", removed), ("posterior odds", odds)):
        (row,) = re.findall(rf"^\| {name} \|(.*)\|$", page.read_text("utf-8"), re.MULTILINE)
        assert [float(x) for x in row.split("|")] == pytest.approx(found, abs=0.01)
    tuned = "captions: NDCG@10 # with weight 0, # with weight 1, # with #, the best"
    none, equal, best, weight = numbers(f"careful {tuned}", out)
    assert best >= equal > none
    assert weight == 1
    none, equal, best, weight = numbers(f"hasty {tuned}", out)
    assert equal < none <= best
    assert weight < 1


CLAIMS = {
    "plot_captions": captions_help_as_much_as_they_tell_and_removing_the_gap_helps_more,
    "plot_encoder_cache": with_memory_each_distinct_content_is_encoded_once,
    "plot_image_text_documents": the_weight_to_start_with_is_near_the_best_and_copies_are_found,
    "plot_modality_gap": the_gap_closes_and_posterior_odds_find_more_images,
    "plot_save_and_load": a_loaded_search_gives_the_same_answers_without_the_network_in_its_file,
    "plot_search_scenes_and_notes": the_recommended_search_beats_the_raw_one_across_the_gap,
}


def test_every_script_of_the_gallery_has_a_claim_that_is_checked():
    assert [script.stem for script in SCRIPTS] == sorted(CLAIMS)


# In one process, as Sphinx builds the gallery: torch is imported once.
@pytest.mark.skipif(not find_spec("open_clip"), reason="needs the extra clip")
@each_script
def test_a_script_runs_without_a_warning_leaves_no_file_and_shows_what_it_claims(
    script, tmp_path, monkeypatch, capfd
):
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("PYTHONWARNINGS", "error")  # of the processes that it starts
    plt.switch_backend("Agg")
    # Without a window plt.show() has nothing to do, and on some systems says so.
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        plt.close("all")
    out, err = capfd.readouterr()
    assert err == ""
    assert list(here.iterdir()) == []
    assert list(temporary.glob("tmp*")) == []  # torch leaves a folder of its own
    CLAIMS[script.stem](out)


@each_script
def test_a_script_has_a_title_an_introduction_and_blocks(script):
    source = script.read_text(encoding="utf-8")
    title, line, blank, *introduction = ast.get_docstring(ast.parse(source)).splitlines()
    assert title
    assert line == "=" * len(title)
    assert not blank
    assert len(" ".join(introduction).split()) > 30
    assert len(re.findall("^# %%$", source, re.MULTILINE)) >= 3

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
from scipy.stats import spearmanr

HOME = Path(__file__).parent.parent
SCRIPTS = sorted((HOME / "examples").rglob("plot_*.py"), key=lambda script: script.stem)

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
    page = HOME / "docs" / "guide" / "captions.md"
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


def the_test_tells_a_gap_from_topics_where_it_is_given_pairs(out):
    line = "distance #, effect #, p #, correct: "
    for corpus, data, advice in (
        ("a gap", "all rows", True),
        ("a gap", "pairs", True),
        ("no gap", "all rows", False),
        ("no gap", "pairs", False),
        ("two topics", "all rows", True),
        ("two topics", "pairs", False),
    ):
        _, effect, p = numbers(f"{corpus}, {data}: {line}{advice}", out)
        assert (effect > 0.01 and p < 0.05) == advice
    gain = {}
    for corpus in ("a gap", "no gap", "two topics"):
        raw, removed = numbers(f"{corpus}: NDCG@10 raw #, gap removed #", out)
        gain[corpus] = removed - raw
    assert gain["a gap"] > 0.2
    assert abs(gain["no gap"]) < 0.03
    assert gain["two topics"] < -0.02


def the_report_advises_to_correct_a_gap_and_to_leave_other_rows_alone(out):
    assert re.findall("^advice: (.*)$", out, re.MULTILINE) == ["correct", "do not correct"]
    raw, removed, recommended = numbers(
        "Where the right answer is image, it is #, # and #.", " ".join(out.split())
    )
    assert raw < 0.5 < removed - 0.3
    assert recommended >= removed


def texts_fill_the_top_until_the_gap_is_removed_and_scores_are_comparable(out):
    line = "#: # of the top, # of the corpus, ratio #, NDCG@10 of its answers #"
    image, text = {}, {}
    for name, shown in zip(("raw", "gap removed", "odds"), out.split(" image: ")[1:]):
        (_, of_corpus, *_, image[name]), (*_, text[name]) = (
            numbers(line.replace("#:", f"{m}:", 1), f"image: {shown}") for m in ("image", "text")
        )
        top = numbers("image: # of the top", f"image: {shown}")[0]
        assert top < 0.01 if name == "raw" else top > 0.05
        assert name != "odds" or abs(top / of_corpus - 1) < 0.3
    assert image["raw"] < 0.05
    assert image["raw"] + 0.2 < image["gap removed"] < image["odds"] - 0.2
    assert text["odds"] > 0.75


def the_curve_sags_deeply_raw_and_hardly_with_posterior_odds(out):
    raw, removed, odds = (
        numbers(f"{name}: sags by #", out)[0] for name in ("raw", "gap removed", "posterior odds")
    )
    assert raw > 0.5
    assert odds < removed / 2 < 0.2


def the_best_weight_is_in_the_middle_and_the_gap_costs_more_than_any_weight(out):
    line = "best weight #, NDCG@10 # with a spread of # over the folds"
    (_, raw, _), (weight, removed, spread) = (
        numbers(f"{name}: {line}", out) for name in ("raw", "gap removed")
    )
    assert 0.3 <= weight <= 0.7
    assert removed > raw + 0.2
    assert 0 < spread < 0.05


def medians_do_what_means_do_and_dropped_features_less(out):
    gain = {
        name: numbers(f"{name}: # [#, #]", out)
        for name in ("raw", "GR", "GR + posterior odds", "medians", "features dropped")
    }
    assert gain["GR"] == [0, 0, 0]
    assert gain["GR + posterior odds"][1] > 0
    assert abs(gain["medians"][0]) < 0.01
    assert gain["raw"][0] < gain["features dropped"][0]
    assert gain["features dropped"][2] < -0.1


def gains_over_the_removed_gap(out):
    """The mean gain of each method of the comparison, and its interval."""
    rows = re.findall(r"^(\S.*?) +([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]$", out, re.MULTILINE)
    return {name: [float(x) for x in numbers] for name, *numbers in rows}


def fifteen_methods_rank_as_on_real_rows(out):
    gain = gains_over_the_removed_gap(out)
    assert len(gain) == 15
    assert max(gain, key=lambda name: gain[name][0]) == "GR + posterior odds"
    assert min(gain, key=lambda name: gain[name][0]) == "raw"
    assert gain["GR + posterior odds"][1] > 0
    # The table of real rows is that of the benchmarks, and both agree.
    page = (HOME / "benchmarks" / "README.md").read_text("utf-8")
    page = page[page.index("**NDCG@10 in the six settings**") :]
    script = (HOME / "examples" / "compare" / "plot_compare_methods.py").read_text("utf-8")
    real = re.findall(r"^# (\S.*?)  +([+-][\d.]+)  ([\d.]+)$", script, re.MULTILINE)
    assert {name for name, *_ in real} == gain.keys() - {"GR"}
    for name, mean, spread in real:
        (row,) = re.findall(
            rf"^\| {re.escape(name)} \|(.*)\|$", page.split("\n\n")[1], re.MULTILINE
        )
        shown = [float(x) for x in row.split("|")[-2].split("±")]
        assert shown == pytest.approx([float(mean), float(spread)], abs=5.1e-4)
    means = [(float(mean), gain[name][0]) for name, mean, _ in real]
    assert spearmanr(*zip(*means)).statistic > 0.75
    assert all(abs(on_real - drawn) < 0.08 for on_real, drawn in means)


def photos_are_found_once_the_gap_is_gone(out):
    line = "the right photo is first for #, photos are # of the top"
    (first_raw, top_raw), (first, top) = (
        numbers(f"{name}: {line}", out) for name in ("raw", "recommended")
    )
    assert first_raw < 0.05
    assert top_raw < 0.05
    assert first > 0.8
    assert 0.3 < top < 0.8


def a_change_of_color_finds_captions_only_without_the_gap(out):
    found = {
        (name, m): numbers(f"{name}: # of the {m}s", out)[0]
        for name in ("raw", "recommended")
        for m in ("picture", "caption")
    }
    assert found["raw", "caption"] < 0.05
    assert found["recommended", "caption"] > 0.7
    assert found["recommended", "picture"] > found["raw", "picture"] - 0.1


def the_mean_probability_is_near_the_share_of_right_answers(out):
    for mix in ("1:1:1", "7:2:1", "1:8:1"):
        right, said, error = numbers(
            f"{mix}: right #, mean probability #, expected calibration error #", out
        )
        assert said == pytest.approx(right, abs=0.07)
        assert error < 0.12


def few_questions_without_an_answer_pass_and_many_with_one(out):
    for most in (0.05, 0.1, 0.2):
        without, with_one = numbers(f"at {most}: # without an answer, # with an answer", out)
        assert without < most + 0.05
        assert with_one > 0.3 + most
    without, with_one = numbers("at least 0.5: # without an answer, # with an answer", out)
    assert 0.3 < without < with_one  # a probability does not say that nothing answers


def queries_teach_what_is_asked_for_and_clicks_teach_it_faster(out):
    line = "NDCG@10 # after 0, # after 4, # after 128"
    (start, few, many), (_, few_clicks, many_clicks) = (
        numbers(f"{name}: {line}", out) for name in ("queries", "queries and clicks")
    )
    (photos,) = numbers("queries and clicks: share of answers that are photos #", out)
    assert few_clicks > max(start, few) + 0.03
    assert min(many, many_clicks) > start + 0.05
    assert photos > 0.9


def drift_leaves_one_where_documents_change_and_a_new_fit_gains(out):
    image, text = (numbers(f"{m}: drift #, #, #, #, #, #", out) for m in ("image", "text"))
    assert max(text) < 1.6
    assert max(image[:3]) < 1.6
    assert image[5] > image[4] > 2
    kept, again = numbers("NDCG@10 of late questions: as fitted #, fitted again #", out)
    assert again > kept + 0.005


def a_store_that_knows_nothing_of_modalities_gives_the_same_answers(out):
    same, apart = numbers("same answers: #, scores at most # apart", out)
    assert same > 0.999
    assert apart < 1e-4
    line = "the right answer is first, image #, others #"
    (raw_image, raw_others), (image, others) = (
        numbers(f"{name}: {line}", out) for name in ("raw", "exported")
    )
    assert raw_image < 0.05
    assert image > 0.5
    assert others > raw_others


CLAIMS = {
    "plot_captions": captions_help_as_much_as_they_tell_and_removing_the_gap_helps_more,
    "plot_clicks": queries_teach_what_is_asked_for_and_clicks_teach_it_faster,
    "plot_combined_queries": a_change_of_color_finds_captions_only_without_the_gap,
    "plot_compare_methods": fifteen_methods_rank_as_on_real_rows,
    "plot_drift": drift_leaves_one_where_documents_change_and_a_new_fit_gains,
    "plot_encoder_cache": with_memory_each_distinct_content_is_encoded_once,
    "plot_export": a_store_that_knows_nothing_of_modalities_gives_the_same_answers,
    "plot_fusion_weight": the_best_weight_is_in_the_middle_and_the_gap_costs_more_than_any_weight,
    "plot_gap_report": the_report_advises_to_correct_a_gap_and_to_leave_other_rows_alone,
    "plot_image_share": the_curve_sags_deeply_raw_and_hardly_with_posterior_odds,
    "plot_image_text_documents": the_weight_to_start_with_is_near_the_best_and_copies_are_found,
    "plot_is_there_a_gap": the_test_tells_a_gap_from_topics_where_it_is_given_pairs,
    "plot_modality_gap": the_gap_closes_and_posterior_odds_find_more_images,
    "plot_nothing_here": few_questions_without_an_answer_pass_and_many_with_one,
    "plot_own_method": medians_do_what_means_do_and_dropped_features_less,
    "plot_ranking_bias": texts_fill_the_top_until_the_gap_is_removed_and_scores_are_comparable,
    "plot_reliability": the_mean_probability_is_near_the_share_of_right_answers,
    "plot_results_strip": photos_are_found_once_the_gap_is_gone,
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
    monkeypatch.delenv("GAPREMOVAL_DATA", raising=False)
    plt.switch_backend("Agg")
    # Without a window plt.show() has nothing to do, and on some systems says so.
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        plt.close("all")
    out, err = capfd.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 100  # so that the site shows it whole
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

import numpy as np
import pytest

from gapremoval import MixedModalityRetriever
from gapremoval.datasets import make_mixed_modality
from gapremoval.evaluation import Comparison, ComparisonDisplay, compare, sweep_fusion_weight

plt = pytest.importorskip("matplotlib.pyplot")
PIPELINES = {"raw": MixedModalityRetriever(), "images": MixedModalityRetriever(fusion_weight=0)}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def corpora():
    return {f"seed {i}": make_mixed_modality(30, random_state=i) for i in range(3)}


def test_pipelines_are_dots_by_corpus(corpora):
    comparison = compare(PIPELINES, corpora)
    display = ComparisonDisplay(comparison).plot()
    names, labels = display.ax_.get_legend_handles_labels()[::-1]
    assert names == ["raw", "images"]
    assert [x.get_text() for x in display.ax_.get_yticklabels()] == list(corpora)
    for name, container in zip(names, labels):
        some = comparison[(comparison.pipeline == name) & (comparison.answer_modality == "all")]
        np.testing.assert_allclose(container[0].get_xdata().astype(float), some["mean"])


@pytest.mark.parametrize("answer_modality", ["all", "text", "image"])
def test_from_comparison_draws_at_once_what_plot_draws(corpora, answer_modality):
    comparison = compare(PIPELINES, corpora)
    _, (one, other) = plt.subplots(1, 2)
    display = ComparisonDisplay.from_comparison(comparison, answer_modality=answer_modality, ax=one)
    assert display.ax_ is one
    ComparisonDisplay(comparison, answer_modality).plot(other)
    assert len(one.lines) == len(other.lines) > 0
    for line, wanted in zip(one.lines, other.lines):
        np.testing.assert_array_equal(line.get_xydata(), wanted.get_xydata())
    with pytest.raises(ValueError, match="No query has an answer of modality 'audio'"):
        ComparisonDisplay.from_comparison(comparison, answer_modality="audio")


def test_numbers_make_curves_with_bands():
    text, image = np.random.default_rng(0).normal(size=(2, 20, 8))
    curve = sweep_fusion_weight(
        {"raw": MixedModalityRetriever()}, text, image, questions=text, fusion_weights=[1, 0, 0.5]
    )
    _, ax = plt.subplots()
    display = ComparisonDisplay(curve, answer_modality="image+text").plot(ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert ax.get_xlabel() == "fusion weight"
    assert ax.lines[0].get_xdata().tolist() == [0, 0.5, 1]
    assert len(ax.collections) == 1


def test_one_corpus_needs_no_axis(corpora):
    comparison = compare(PIPELINES, {"one": corpora["seed 0"]})
    assert len(ComparisonDisplay(comparison, answer_modality="text").plot().ax_.lines) > 0


def test_what_cannot_be_drawn_is_refused(corpora):
    comparison = compare(PIPELINES, corpora, fusion_weights=[0, 1])
    with pytest.raises(ValueError, match="varies in fusion_weight, corpus"):
        ComparisonDisplay(comparison).plot()
    with pytest.raises(ValueError, match="No query has an answer of modality 'audio'"):
        ComparisonDisplay(comparison, answer_modality="audio").plot()


def test_many_pipelines_have_lines_in_the_order_of_their_marked_means(corpora):
    weights = {f"a pipeline with {w} as its weight": w for w in (0, 0.2, 0.5, 0.8, 1)}
    pipelines = {name: MixedModalityRetriever(fusion_weight=w) for name, w in weights.items()}
    comparison = compare(pipelines, corpora)
    display = ComparisonDisplay(comparison).plot()
    means = comparison.over_corpora()
    means = means[means.answer_modality == "all"].set_index("pipeline")["mean"]
    means = means.sort_values(ascending=False, kind="stable")
    lines = [x.get_text() for x in display.ax_.get_yticklabels()]
    assert lines == means.index.tolist()
    (marks,) = (x for x in display.ax_.collections if x.get_label() == "mean")
    np.testing.assert_allclose(marks.get_offsets(), [*zip(means, range(5))])
    bars, names = display.ax_.get_legend_handles_labels()
    assert names == ["mean", *corpora]
    markers = {bar[0].get_marker() for bar in bars[1:]}
    assert len(markers) == len(corpora)
    for corpus, bar in zip(corpora, bars[1:]):
        found = comparison[(comparison.corpus == corpus) & (comparison.answer_modality == "all")]
        places = bar[0].get_ydata().astype(float).round().astype(int)
        drawn = dict(zip([lines[i] for i in places], bar[0].get_xdata().astype(float)))
        assert drawn == pytest.approx(dict(zip(found.pipeline, found["mean"])))


def test_paired_differences_are_drawn_around_zero(corpora):
    gain = compare(PIPELINES, corpora).difference_to("raw")
    ax = ComparisonDisplay(gain).plot().ax_
    assert ax.get_xlabel() == "ndcg@10 minus that of raw"
    assert any(
        np.all(np.asarray(line.get_xdata()) == 0) for line in ax.lines if len(line.get_xdata()) == 2
    )


def test_scores_near_zero_are_no_differences():
    values = {"pipeline": ["a"] * 4 + ["b"] * 4, "draw": 0, "query": [*range(4)] * 2}
    values |= {"group": values["query"], "answer_modality": "text"}
    values["value"] = [0.01, 0.02, 0.01, 0.02, 0.9, 0.8, 0.9, 0.8]
    ax = ComparisonDisplay.from_comparison(Comparison.from_queries(values)).ax_
    assert not any(np.all(np.asarray(line.get_xdata()) == 0) for line in ax.lines)


def test_several_curves_have_markers_of_their_own():
    text, image = np.random.default_rng(0).normal(size=(2, 20, 8))
    curves = sweep_fusion_weight(PIPELINES, text, image, questions=text, fusion_weights=[0, 1])
    lines = ComparisonDisplay(curves).plot().ax_.lines
    assert len({line.get_marker() for line in lines}) == len(lines) == 2

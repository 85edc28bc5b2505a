import numpy as np
import pytest

from gapremoval import MixedModalityRetriever
from gapremoval.datasets import make_mixed_modality
from gapremoval.evaluation import ComparisonDisplay, compare, sweep_fusion_weight

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

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gapremoval import MixedModalityRetriever, make_search_pipeline
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import RankingBiasDisplay
from gapremoval.metrics import ranking_bias


@pytest.fixture(scope="module")
def searched():
    """Two fitted pipelines, queries, and their relevance."""
    X, y = make_mixed_modality(90, random_state=0)
    is_query = X.modality == "query:text"
    pipelines = {"raw": MixedModalityRetriever(), "recommended": make_search_pipeline()}
    for pipe in pipelines.values():
        pipe.fit(X[~is_query], y[~is_query])
    return pipelines, X[is_query], y[is_query]


def heights(axes):
    """The heights of bars by label and modality."""
    names = [x.get_text() for x in axes.get_xticklabels()]
    return {
        bars.get_label(): {
            names[round(bar.get_x() + bar.get_width() / 2)]: bar.get_height() for bar in bars
        }
        for bars in axes.containers
    }


def test_bars_are_the_shares_of_the_top_and_the_ndcg_of_each_estimator(searched):
    pipelines, queries, relevance = searched
    display = RankingBiasDisplay.from_estimator(pipelines, queries, relevance, k=5)
    biases = {name: ranking_bias(x, queries, relevance, k=5) for name, x in pipelines.items()}
    shares, ndcg = map(heights, display.axes_)
    for name, bias in biases.items():
        assert shares["share of the corpus"] == pytest.approx(bias.share_of_corpus)
        assert shares[name] == pytest.approx(bias.share_of_top)
        assert ndcg[name] == pytest.approx(bias.ndcg)
    assert shares["raw"]["image"] < shares["share of the corpus"]["image"]
    assert [axes.get_title() for axes in display.axes_] == ["share of the top 5", "NDCG@5"]


def test_bars_do_not_overlap_and_differ_without_colors_too(searched):
    display = RankingBiasDisplay.from_estimator(*searched)
    for axes in display.axes_:
        edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches)
        assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(edges))
        looks = {(bars[0].get_facecolor(), bars[0].get_hatch()) for bars in axes.containers}
        assert len(looks) == len(axes.containers)


def test_without_relevance_one_estimator_has_one_panel(searched):
    pipelines, queries, _ = searched
    _, ax = plt.subplots()
    display = RankingBiasDisplay.from_estimator(pipelines["raw"], queries, ax=ax)
    assert display.axes_.tolist() == [ax]
    names = [x.get_text() for x in ax.get_legend().get_texts()]
    assert names == ["share of the corpus", "top 10"]
    found = pipelines["raw"].search(queries, 10)
    share = heights(ax)["top 10"]["text"]
    assert share == pytest.approx(np.mean(found.modalities == "text"))


def test_bare_vectors_need_a_modality_and_a_dict_an_estimator(searched):
    pipelines, queries, _ = searched
    tagged = RankingBiasDisplay.from_estimator(pipelines["raw"], queries)
    bare = RankingBiasDisplay.from_estimator(pipelines["raw"], queries.values, modality="text")
    assert heights(bare.axes_[0]) == heights(tagged.axes_[0])
    with pytest.raises(ValueError, match="empty dict"):
        RankingBiasDisplay.from_estimator({}, queries)

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from gapremoval import (
    FusionWeightSearchCV,
    MixedModalityRetriever,
    ModalityGapRemover,
    QueryKFold,
    make_ranking_scorer,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import FusionWeightDisplay

WEIGHTS = [1, 0, 0.5]


@pytest.fixture(scope="module")
def rows():
    return make_mixed_modality(60, random_state=0)


@pytest.fixture(scope="module")
def searched(rows):
    return FusionWeightSearchCV(MixedModalityRetriever(), WEIGHTS, cv=3).fit(*rows)


def test_the_curve_is_the_mean_over_the_folds_with_its_spread(searched):
    display = FusionWeightDisplay.from_estimator(searched, name="raw", color="#123456")
    folds = np.array([searched.cv_results_[f"split{i}_test_score"] for i in range(3)])[:, [1, 2, 0]]
    assert display.line_.get_xdata().tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(display.line_.get_ydata(), folds.mean(axis=0))
    assert display.line_.get_color() == "#123456"
    (band,) = display.ax_.collections
    edges = np.concatenate(
        [folds.mean(axis=0) - folds.std(axis=0), folds.mean(axis=0) + folds.std(axis=0)]
    )
    assert set(edges.round(9)) <= set(band.get_paths()[0].vertices[:, 1].round(9))
    assert display.ax_.get_ylabel() == "NDCG@10, mean of the folds"


def test_the_best_weight_is_marked(searched):
    display = FusionWeightDisplay.from_estimator(searched)
    best = searched.best_params_["fusion_weight"], searched.best_score_
    assert (display.best_line_.get_xdata()[0], display.best_line_.get_ydata()[0]) == best
    (note,) = display.ax_.texts
    assert note.get_text() == f"{best[1]:.2f} at {best[0]:g}"


@given(st.floats(-1e3, 1e3), st.floats(0, 10), st.floats(0, 1), st.integers(0, 4))
@settings(max_examples=15)
def test_the_label_of_the_best_weight_stays_below_the_title(start, slope, spread, best):
    weights = np.linspace(0, 1, 5)
    mean = start - slope * abs(weights - weights[best])
    _, ax = plt.subplots(figsize=(5, 2.2), layout="constrained")
    display = FusionWeightDisplay(weights, mean, np.full(5, spread), best).plot(ax)
    display.figure_.canvas.draw()
    (note,) = ax.texts
    assert note.get_window_extent().y1 <= ax.get_window_extent().y1
    plt.close(display.figure_)


def test_a_grid_search_draws_the_same_curve(rows, searched):
    grid = {"mixedmodalityretriever__fusion_weight": WEIGHTS}
    stock = GridSearchCV(make_pipeline(MixedModalityRetriever()), grid, cv=QueryKFold(3)).fit(*rows)
    lines = [FusionWeightDisplay.from_estimator(x).line_ for x in (stock, searched)]
    np.testing.assert_allclose(lines[0].get_ydata(), lines[1].get_ydata())


def test_several_curves_share_axes_and_differ_in_color_and_marker(rows, searched):
    removed = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    removed = FusionWeightSearchCV(removed, WEIGHTS, scoring=make_ranking_scorer("recall@5"))
    first = FusionWeightDisplay.from_estimator(searched, name="raw")
    second = FusionWeightDisplay.from_estimator(removed.fit(*rows), name="removed", ax=first.ax_)
    assert second.ax_ is first.ax_
    names = [x.get_text() for x in first.ax_.get_legend().get_texts()]
    assert names == ["raw", "removed"]
    assert first.line_.get_color() != second.line_.get_color()
    assert first.line_.get_marker() != second.line_.get_marker()
    assert second.metric == "recall@5"


def test_what_is_no_search_over_the_weight_is_refused(rows):
    grid = {"n_neighbors": [5, 10]}
    other = GridSearchCV(MixedModalityRetriever(), grid, cv=QueryKFold(2))
    with pytest.raises(NotFittedError):
        FusionWeightDisplay.from_estimator(other)
    with pytest.raises(ValueError, match="this one is over n_neighbors"):
        FusionWeightDisplay.from_estimator(other.fit(*rows))
    both = GridSearchCV(
        MixedModalityRetriever(), grid | {"fusion_weight": [0.5]}, cv=QueryKFold(2)
    ).fit(*rows)
    with pytest.raises(ValueError, match="this one is over fusion_weight, n_neighbors"):
        FusionWeightDisplay.from_estimator(both)
    dicts = FusionWeightSearchCV(
        MixedModalityRetriever(), [{"text": 1, "image": 1, "image+text": 1}], cv=2
    )
    with pytest.raises(ValueError, match="Weights that are dicts have no place on an axis"):
        FusionWeightDisplay.from_estimator(dicts.fit(*rows))
    scores = {name: make_ranking_scorer(name) for name in ("recall@5", "ndcg@5")}
    several = GridSearchCV(
        MixedModalityRetriever(),
        {"fusion_weight": [0.5]},
        cv=QueryKFold(2),
        scoring=scores,
        refit="ndcg@5",
    )
    with pytest.raises(ValueError, match="several scores"):
        FusionWeightDisplay.from_estimator(several.fit(*rows))

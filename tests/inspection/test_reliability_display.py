import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve

from gapremoval import MixedModalityRetriever, make_search_pipeline, search
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import ReliabilityDisplay
from gapremoval.metrics import expected_calibration_error


@pytest.fixture(scope="module")
def searched():
    """A fitted pipeline, queries, and their relevance."""
    X, y = make_mixed_modality(90, random_state=0)
    is_query = X.modality == "query:text"
    pipe = make_search_pipeline().fit(X[~is_query], y[~is_query])
    return pipe, X[is_query], y[is_query]


@settings(max_examples=5)  # each draws a figure
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1))
def test_the_curve_is_that_of_scikit_learn(predictions):
    y_true, y_prob = map(np.array, zip(*predictions))
    display = ReliabilityDisplay.from_predictions(
        y_true, y_prob, n_bins=4, strategy="uniform", ax=Figure().subplots()
    )
    share, mean = calibration_curve(y_true.astype(int), y_prob, pos_label=1, n_bins=4)
    np.testing.assert_allclose(display.line_.get_xdata(), mean)
    np.testing.assert_allclose(display.line_.get_ydata(), share)


def test_a_search_is_judged_by_its_top_documents(searched):
    pipe, queries, relevance = searched
    display = ReliabilityDisplay.from_estimator(pipe, queries, relevance, name="odds")
    found = search(pipe, queries, 1)
    is_right, probability = found.ids[:, 0] == relevance, found.probabilities[:, 0]
    share, mean = calibration_curve(is_right, probability, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(display.line_.get_xdata(), mean)
    np.testing.assert_allclose(display.line_.get_ydata(), share)
    error = expected_calibration_error(is_right, probability, strategy="quantile")
    assert display.line_.get_label() == f"odds (ECE {error:.2f})"
    assert display.ax_.get_xlabel() == "probability of the top document"
    assert display.ax_.lines[0].get_label() == "Perfectly calibrated"


def test_queries_of_unknown_relevance_are_left_out(searched):
    pipe, queries, relevance = searched
    some = [answer if i % 3 else None for i, answer in enumerate(relevance)]
    one = ReliabilityDisplay.from_estimator(pipe, queries, some)
    judged = np.arange(len(queries)) % 3 > 0
    two = ReliabilityDisplay.from_estimator(pipe, queries[judged], relevance[judged])
    np.testing.assert_array_equal(one.line_.get_xydata(), two.line_.get_xydata())
    gains = [{answer: 2.0, "other": 0} for answer in relevance]
    full, graded = (
        ReliabilityDisplay.from_estimator(pipe, queries, x).line_ for x in (relevance, gains)
    )
    np.testing.assert_array_equal(full.get_xydata(), graded.get_xydata())


def test_several_curves_share_axes_and_one_diagonal(searched):
    first = ReliabilityDisplay.from_estimator(*searched, name="one")
    second = ReliabilityDisplay.from_estimator(*searched, name="two", ax=first.ax_, n_bins=3)
    assert second.ax_ is first.ax_
    assert len(first.ax_.lines) == 3
    assert second.plot(name="three").line_.get_label().startswith("three (ECE")


def test_probabilities_that_are_missing_are_an_error_that_says_why(searched):
    pipe, queries, relevance = searched
    raw = MixedModalityRetriever().fit(*make_mixed_modality(90, random_state=0))
    with pytest.raises(ValueError, match="gives no probabilities: its retriever needs a score"):
        ReliabilityDisplay.from_estimator(raw, queries, relevance)
    with pytest.raises(ValueError, match="returns NaN for query modalities that it has not"):
        ReliabilityDisplay.from_predictions([True, False], [0.3, np.nan])
    with pytest.raises(ValueError, match="No query has a known relevance"):
        ReliabilityDisplay.from_estimator(pipe, queries, [None] * len(queries))
    with pytest.raises(ValueError, match="relevance has 2 entries"):
        ReliabilityDisplay.from_estimator(pipe, queries, relevance[:2])

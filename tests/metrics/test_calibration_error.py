"""The expected calibration error, against scikit-learn's calibration curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from gapremoval.metrics import expected_calibration_error

predictions = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60)


@given(predictions, st.integers(1, 12), st.sampled_from(["uniform", "quantile"]))
def test_it_lies_between_the_bias_and_one(pairs, n_bins, strategy):
    right, said = map(np.array, zip(*pairs))
    error = expected_calibration_error(right, said, n_bins=n_bins, strategy=strategy)
    assert abs(right.mean() - said.mean()) - 1e-12 <= error <= 1
    one_bin = expected_calibration_error(right, said, n_bins=1, strategy=strategy)
    assert one_bin == pytest.approx(abs(right.mean() - said.mean()))


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 15))
def test_bins_of_equal_width_are_those_of_scikit_learn(seed, n, n_bins):
    rng = np.random.default_rng(seed)
    said = rng.random(n)
    right = rng.random(n) < said
    share, mean = calibration_curve(right, said, n_bins=n_bins)
    edges = np.linspace(0, 1, n_bins + 1)
    sizes = np.histogram(said, edges)[0]
    want = (np.abs(share - mean) * sizes[sizes > 0]).sum() / n
    assert expected_calibration_error(right, said, n_bins=n_bins) == pytest.approx(want)


def test_bins_of_equal_size_take_the_predictions_in_their_order():
    said = np.linspace(0, 1, 20)
    right = np.arange(20) % 3 == 0
    parts = np.array_split(np.arange(20), 3)
    want = sum(abs(said[p].mean() - right[p].mean()) * len(p) for p in parts) / 20
    got = expected_calibration_error(right, said, n_bins=3, strategy="quantile")
    assert got == pytest.approx(want)


def test_true_probabilities_have_a_small_error_and_boasts_a_large_one():
    rng = np.random.default_rng(0)
    said = rng.random(20_000)
    right = rng.random(20_000) < said
    assert expected_calibration_error(right, said) < 0.02
    assert expected_calibration_error(right, np.sqrt(said)) > 0.1


@pytest.mark.parametrize(
    ("right", "said", "message"),
    [
        ([], [], "no prediction"),
        ([True], [0.1, 0.2], "inconsistent"),
        ([True], [np.nan], "no NaN"),
        ([True], [1.1], r"in \[0, 1\]"),
        ([2], [0.5], "true or false only"),
    ],
)
def test_bad_input_is_refused(right, said, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(right, said)


def test_bad_bins_are_refused():
    with pytest.raises(ValueError, match="n_bins"):
        expected_calibration_error([True], [0.5], n_bins=0)
    with pytest.raises(ValueError, match="'uniform' or 'quantile'"):
        expected_calibration_error([True], [0.5], strategy="kmeans")

"""Statistics of few rows, less what chance explains."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapremoval.score_calibration._shrinkage import (
    certain_center,
    certain_mean,
    credibility,
    query_centers,
)

counts = st.floats(1e-3, 1e3)
positive = st.floats(1e-12, 1e3)


@given(hnp.arrays(float, st.integers(1, 30), elements=positive), st.data())
def test_credibility_is_a_share_and_grows_with_rows(variance, data):
    noise = data.draw(hnp.arrays(float, len(variance), elements=st.floats(0, 1e3)))
    weights = data.draw(hnp.arrays(float, st.integers(1, 30), elements=st.floats(1e-6, 1e3)))
    prior_count = data.draw(counts)
    n = data.draw(counts)
    believed = credibility(variance, noise, n, weights, prior_count)
    assert 0 <= believed <= 1
    more = credibility(variance, noise, 3 * n, np.tile(weights, 3), prior_count)
    assert more >= believed - 1e-12


def test_documents_that_differ_by_chance_alone_are_not_believed_to():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 4000))
    noise = ((rows - rows.mean(0)) ** 2 - rows.var(0)) ** 2
    assert credibility(rows.var(0), noise.mean(0), 50, np.empty(0), 16) < 0.15
    rows *= np.repeat([1, 3], 2000)
    noise = ((rows - rows.mean(0)) ** 2 - rows.var(0)) ** 2
    assert credibility(rows.var(0), noise.mean(0), 50, np.empty(0), 16) > 0.6


@given(hnp.arrays(float, (7, 3), elements=st.floats(-1, 1)))
def test_a_certain_mean_lies_between_zero_and_the_mean(values):
    mean, certain = values.mean(axis=0), certain_mean(values, np.ones(len(values)))
    assert (abs(certain) <= abs(mean) + 1e-15).all()
    assert (certain * mean >= 0).all()


def test_a_mean_within_chance_is_zero_and_a_clear_one_stays():
    values = np.array([[1.0, 5.0], [-1.1, 5.1], [1.2, 4.9], [-1.0, 5.0]])
    np.testing.assert_allclose(certain_mean(values, np.ones(len(values))), [0, 5], atol=0.01)


@given(st.integers(2, 9), st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_repetitions_that_share_a_weight_move_no_center(n, seed, times):
    rng = np.random.default_rng(seed)
    rows, offset = rng.normal(size=(n, 5)), rng.normal(size=5)
    once = certain_center(rows + offset, np.ones(n))
    again = certain_center(np.tile(rows + offset, (times, 1)), np.full(n * times, 1 / times))
    np.testing.assert_allclose(once, again, atol=1e-12)


def test_one_question_asked_often_shows_no_center():
    rows = np.tile(np.arange(4.0), (1000, 1))
    np.testing.assert_array_equal(certain_center(rows, np.full(1000, 1e-3)), 0)
    np.testing.assert_array_equal(certain_mean(rows, np.full(1000, 1e-3)), 0)


def test_few_queries_have_the_center_of_the_fallback_queries():
    rng = np.random.default_rng(0)
    queries, fallback = rng.normal(size=(200, 8)) + 5, rng.normal(size=(200, 8)) + 3
    for n, low, high in ((2, 3, 3.6), (200, 4.6, 5)):
        of_queries, of_fallback = query_centers(queries[:n], np.ones(n), fallback, 16)
        np.testing.assert_allclose(of_fallback, 3, atol=0.3)
        assert low < of_queries.mean() <= high + 0.1
    alone, _ = query_centers(queries, np.ones(200), fallback[:0], 16)
    np.testing.assert_allclose(alone, 5, atol=0.3)
    none, _ = query_centers(queries[:0], np.ones(0), fallback[:0], 16)
    np.testing.assert_array_equal(none, 0)

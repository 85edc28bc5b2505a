"""How the shares of answers are learned, as pure functions of arrays."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

from gapremoval.score_calibration._answer_shares import (
    MATCH_DEVIATION,
    MATCH_MEAN,
    BestScores,
    RightScore,
    beliefs,
    fit_shares,
    learn_shares,
    prior_shares,
    right_score,
    sample_null,
)

NO_PAIRS = right_score(np.empty(0), 16.0)
counts = st.floats(1e-3, 1e3)
positive = st.floats(1e-12, 1e3)


def best_scores(first, second, wrong=None, right=None, right_is_first=None, weights=None):
    """BestScores without fallback queries and judgements, unless they are given."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    n, n_modalities = first.shape
    return BestScores(
        first,
        second,
        np.empty((0, n_modalities)) if wrong is None else np.asarray(wrong, float),
        np.full(n, -1) if right is None else np.asarray(right),
        np.zeros(n, bool) if right_is_first is None else np.asarray(right_is_first),
        np.ones(n) if weights is None else np.asarray(weights, float),
    )


def shares_of(best, prior_count=16.0, shares=None):
    """One fit: the shares, the tails and the right score."""
    prior = prior_shares(np.ones(best.first.shape[1]))
    wrong = best.sure_wrong[np.isfinite(best.sure_wrong).all(axis=1)]
    best = replace(best, sure_wrong=wrong)
    fits = fit_shares(best, prior, NO_PAIRS, prior_count, shares=shares)
    return fits.shares[0], fits.tails[0], RightScore(fits.mean[0], fits.deviation[0], 0)


def learned(best, prior_count=16.0, own=0, moves=(0.0,), shares=None):
    """The mean over all explanations."""
    n_modalities = best.first.shape[1]
    prior, own = prior_shares(np.ones(n_modalities)), np.arange(n_modalities) == own
    moves = [np.full(n_modalities, move) for move in moves]
    return learn_shares(best, prior, NO_PAIRS, prior_count, own=own, moves=moves, shares=shares)


FINITE = st.floats(-1e6, 1e6)


@st.composite
def any_best_scores(draw, sizes=FINITE):
    n, n_modalities = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    n_wrong = draw(st.integers(0, 4))
    # Rounded to few values there are equal rows and columns.
    elements = sizes if draw(st.booleans()) else st.sampled_from([-1.0, 0.0, 3.0])
    two = draw(hnp.arrays(float, (2, n, n_modalities), elements=elements))
    wrong = draw(hnp.arrays(float, (n_wrong, n_modalities), elements=elements))
    if draw(st.booleans()):
        wrong[:1] = -np.inf  # a fallback query that met no document but its own
    right = draw(hnp.arrays(int, n, elements=st.integers(-2, n_modalities - 1)))
    is_first = draw(hnp.arrays(bool, n))
    weights = draw(st.sampled_from([np.ones(n), np.linspace(0.3, 1, n)]))
    return best_scores(two.max(axis=0), two.min(axis=0), wrong, right, is_first, weights)


@given(any_best_scores(), counts)
def test_shares_are_above_zero_and_add_up_to_one_whatever_the_scores(best, prior_count):
    shares, tails, match = shares_of(best, prior_count)
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()
    assert np.isfinite(tails).all()
    assert (tails > 0).all()
    assert np.isfinite([match.mean, match.deviation]).all()
    assert match.deviation > 0


@given(any_best_scores(), counts, st.data())
def test_known_shares_stay(best, prior_count, data):
    n_modalities = best.first.shape[1]
    known = data.draw(hnp.arrays(float, n_modalities, elements=st.floats(1e-6, 1)))
    known /= known.sum()
    shares, tails, match = shares_of(best, prior_count, known)
    np.testing.assert_array_equal(shares, known)
    assert np.isfinite([*tails, match.mean, match.deviation]).all()


@given(any_best_scores(), counts, st.sampled_from([(), (0.0,), (0.1, -2.0)]))
def test_the_mean_over_all_explanations_is_as_sound(best, prior_count, moves):
    shares, slope, tail, match = learned(best, prior_count, moves=moves)
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()
    assert np.isfinite([slope, tail, match.mean, match.deviation]).all()
    assert min(slope, tail, match.deviation) > 0


@given(any_best_scores(st.floats(-5, 9)), st.integers(2, 5), st.data())
def test_a_query_repeated_with_a_part_of_its_weight_each_time_changes_nothing(best, times, data):
    n = len(best.weights)
    counts_of_each = data.draw(hnp.arrays(int, n, elements=st.integers(1, times)))
    repeated = np.repeat(np.arange(n), counts_of_each)
    weights = best.weights / counts_of_each
    columns = (best.first, best.second, best.right, best.right_is_first, weights)
    first, second, right, is_first, weights = (column[repeated] for column in columns)
    other = BestScores(first, second, best.sure_wrong, right, is_first, weights)
    one, two = learned(best), learned(other)
    np.testing.assert_allclose(one.shares, two.shares, rtol=1e-6)
    assert (one.slope, one.tail) == pytest.approx((two.slope, two.tail), rel=1e-6)


@given(any_best_scores(st.floats(-5, 9)), st.randoms(use_true_random=False))
def test_the_order_of_queries_and_of_modalities_does_not_matter(best, random):
    n, n_modalities = best.first.shape
    rows, columns = [*range(n)], [*range(n_modalities)]
    random.shuffle(rows)
    random.shuffle(columns)
    place = np.append(np.argsort(columns), [-2, -1])  # -2 and -1 stay
    other = BestScores(
        best.first[rows][:, columns],
        best.second[rows][:, columns],
        best.sure_wrong[:, columns],
        place[best.right[rows]],
        best.right_is_first[rows],
        best.weights[rows],
    )
    one, two = shares_of(best), shares_of(other)
    np.testing.assert_allclose(one[0][columns], two[0], rtol=1e-6)
    np.testing.assert_allclose(one[1][columns], two[1], rtol=1e-6)
    assert one[2].mean == pytest.approx(two[2].mean)


def draw_best(shares, n, n_documents=60, mean=4.5, deviation=0.85, tail=0.5, seed=0):
    """Best scores as the model says that they come about, and which modality answers."""
    rng = np.random.default_rng(seed)
    wrong = rng.exponential(tail, (n, len(shares), n_documents))
    answers = rng.choice(len(shares), n, p=shares)
    wrong[np.arange(n), answers, 0] = rng.normal(mean, deviation, n)
    ordered = np.sort(wrong, axis=2)
    is_first = wrong[np.arange(n), answers, 0] == ordered[np.arange(n), answers, -1]
    sure_wrong = rng.exponential(tail, (40, len(shares), n_documents)).max(axis=2)
    return ordered[:, :, -1], ordered[:, :, -2], sure_wrong, answers, is_first


@pytest.mark.parametrize("shares", [[1.0], [0.7, 0.3], [0.6, 0.3, 0.1], [0.4, 0.3, 0.2, 0.1]])
def test_shares_tails_and_right_scores_are_found_without_labels(shares):
    first, second, wrong, *_ = draw_best(shares, 1000)
    got, tails, match = shares_of(best_scores(first, second, wrong))
    np.testing.assert_allclose(got, shares, atol=0.05)
    np.testing.assert_allclose(tails, 0.5, atol=0.1)
    assert match.mean == pytest.approx(4.5, abs=0.25)
    assert match.deviation == pytest.approx(0.85, abs=0.2)


def test_judged_queries_fix_their_own_part():
    shares = [0.2, 0.8]
    first, second, wrong, answers, is_first = draw_best(shares, 300, mean=3.0)
    frequencies = np.bincount(answers) / len(answers)
    best = best_scores(first, second, wrong, answers, is_first)
    judged, _, match = shares_of(best)
    # One query a modality is the prior.
    np.testing.assert_allclose(judged, (frequencies * 300 + 1) / 302, atol=1e-12)
    assert match.mean == pytest.approx(3.0, abs=0.25)
    # Judgements against what the scores say win.
    wrongly, *_ = shares_of(best_scores(first, second, wrong, np.zeros(300, int), is_first))
    assert wrongly[0] == pytest.approx(301 / 302)


def test_some_judged_queries_help_the_others():
    shares = np.array([0.15, 0.85])
    first, second, wrong, answers, is_first = draw_best(shares, 60, mean=2.5)
    some = np.where(np.arange(60) % 2 == 0, answers, -1)
    frequencies = np.bincount(answers) / 60
    unjudged, *_ = shares_of(best_scores(first, second, wrong))
    judged, *_ = shares_of(best_scores(first, second, wrong, some, is_first))
    assert abs(judged - frequencies).max() < abs(unjudged - frequencies).max()


def test_queries_that_nothing_answers_say_nothing_about_shares_or_right_scores():
    first, second, wrong, _answers, is_first = draw_best([0.5, 0.5], 20)
    nothing = np.full(20, -2)
    shares, _, match = shares_of(best_scores(first, second, wrong, nothing, is_first))
    np.testing.assert_allclose(shares, 0.5)
    assert (match.mean, match.deviation) == pytest.approx((MATCH_MEAN, MATCH_DEVIATION))


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=50))
def test_prior_shares_add_up_to_one_and_grow_slowly_with_the_documents(counts):
    shares = prior_shares(counts)
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()
    order = np.argsort(counts)
    assert (np.diff(shares[order]) >= 0).all()
    np.testing.assert_allclose(shares / shares[0], (np.array(counts) / counts[0]) ** 0.25)


@given(hnp.arrays(float, st.integers(0, 30), elements=st.floats(-1e3, 1e3)), counts)
def test_the_right_score_lies_between_the_standard_and_the_pairs(pairs, prior_count):
    match = right_score(pairs, prior_count)
    around = [MATCH_MEAN, *([pairs.mean()] if len(pairs) else [])]
    assert min(around) - 1e-9 <= match.mean <= max(around) + 1e-9
    assert match.deviation > 0
    assert match.n_known == prior_count + len(pairs)


def test_without_pairs_the_right_score_is_the_standard():
    assert (NO_PAIRS.mean, NO_PAIRS.deviation) == pytest.approx((MATCH_MEAN, MATCH_DEVIATION))
    many = right_score(np.random.default_rng(0).normal(5, 1.5, 5000), 16)
    assert (many.mean, many.deviation) == pytest.approx((5, 1.5), abs=0.05)


def test_where_one_modality_answers_all_the_fits_by_one_alone_are_believed():
    # Most queries have near copies in their own modality, which look like answers.
    rng = np.random.default_rng(0)
    first, second, wrong, *_ = draw_best([0, 1], 300, mean=3.0)
    copies = rng.normal(3.0, 0.5, 300) * (rng.random(300) < 0.7)
    first[:, 0] = np.maximum(first[:, 0], copies)
    wrong[:, 0] = np.maximum(wrong[:, 0], rng.normal(3.0, 0.5, 40) * (rng.random(40) < 0.7))
    best = best_scores(first, second, wrong)
    assert learned(best).shares[1] > max(0.8, shares_of(best)[0][1] + 0.05)


def test_a_sample_of_wrong_scores_that_explains_nothing_is_not_believed():
    first, second, wrong, *_ = draw_best([0.5, 0.5], 300)
    best = best_scores(first, second, wrong + 3)
    np.testing.assert_allclose(learned(best).shares, 0.5, atol=0.05)


def test_a_smoothed_sample_is_a_distribution():
    wrong = np.random.default_rng(0).gumbel(2, 0.5, (200, 1))
    at = np.linspace(-5, 60, 20001)[:, None]
    null = sample_null(at, wrong, np.ones(1, bool), 16.0)
    density, below = np.exp(null.log_density[:, 0]), null.distribution[:, 0]
    np.testing.assert_allclose(np.gradient(below, at[:, 0]), density, atol=0.01)
    assert below[0] == pytest.approx(0, abs=1e-6)
    assert below[-1] == pytest.approx(1)
    exact = np.exp(-np.exp(-(at[:, 0] - 2) / 0.5))
    np.testing.assert_allclose(below, exact, atol=0.09)


def test_beliefs_add_up_to_one_and_sampling_errors_draw_them_together():
    rng = np.random.default_rng(0)
    sure = np.array([np.zeros(50), np.full(50, -0.2)])
    unsure = sure + np.array([np.zeros(50), rng.normal(0, 3, 50)])
    unsure[1] += sure[1].sum() / 50 - unsure[1].mean()
    one, other = (beliefs(x, [0, 0], np.ones(50)) for x in (sure, unsure))
    assert one.sum() == pytest.approx(1)
    assert one[1] == pytest.approx(1 / (1 + np.exp(10)))
    assert one[1] < other[1] < 0.5
    # About the chance that the difference has the other sign.
    assert other[1] == pytest.approx(norm.cdf(-10 / (3 * np.sqrt(50))), abs=0.03)

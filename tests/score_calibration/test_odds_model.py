"""The model behind posterior odds, as pure functions of arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapremoval.score_calibration._odds_model import (
    MATCH_DEVIATION,
    MATCH_MEAN,
    BestScores,
    certain_mean,
    credibility,
    fit_shares,
    prior_shares,
    right_score,
)

NO_PAIRS = right_score(np.empty(0), 16.0)
counts = st.floats(1e-3, 1e3)
positive = st.floats(1e-12, 1e3)


def best_scores(first, second, wrong=None, right=None, right_is_first=None):
    """BestScores without fallback queries and judgements, unless they are given."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    n, n_modalities = first.shape
    return BestScores(
        first,
        second,
        np.empty((0, n_modalities)) if wrong is None else np.asarray(wrong, float),
        np.full(n, -1) if right is None else np.asarray(right),
        np.zeros(n, bool) if right_is_first is None else np.asarray(right_is_first),
    )


def shares_of(best, prior_count=16.0, shares=None):
    prior = prior_shares(np.ones(best.first.shape[1]))
    return fit_shares(best, prior, NO_PAIRS, prior_count, shares)


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
    return best_scores(two.max(axis=0), two.min(axis=0), wrong, right, is_first)


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


@given(hnp.arrays(float, st.integers(1, 30), elements=positive), st.data())
def test_credibility_is_a_share_and_grows_with_rows(variance, data):
    noise = data.draw(hnp.arrays(float, len(variance), elements=st.floats(0, 1e3)))
    weights = data.draw(hnp.arrays(float, st.integers(1, 30), elements=st.floats(1e-6, 1e3)))
    prior_count = data.draw(counts)
    believed = credibility(variance, noise, weights, prior_count)
    assert 0 <= believed <= 1
    more = credibility(variance, noise, np.tile(weights, 3), prior_count)
    assert more >= believed - 1e-12


def test_documents_that_differ_by_chance_alone_are_not_believed_to():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 4000))
    noise = ((rows - rows.mean(0)) ** 2 - rows.var(0)) ** 2
    weights = np.ones(50)
    assert credibility(rows.var(0), noise.mean(0), weights, 16) < 0.15
    rows *= np.repeat([1, 3], 2000)
    noise = ((rows - rows.mean(0)) ** 2 - rows.var(0)) ** 2
    assert credibility(rows.var(0), noise.mean(0), weights, 16) > 0.6


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=50))
def test_prior_shares_add_up_to_one_and_grow_slowly_with_the_documents(counts):
    shares = prior_shares(counts)
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()
    order = np.argsort(counts)
    assert (np.diff(shares[order]) >= 0).all()
    np.testing.assert_allclose(shares / shares[0], (np.array(counts) / counts[0]) ** 0.25)


@given(hnp.arrays(float, (7, 3), elements=st.floats(-1, 1)))
def test_a_certain_mean_lies_between_zero_and_the_mean(values):
    mean, certain = values.mean(axis=0), certain_mean(values)
    assert (abs(certain) <= abs(mean) + 1e-15).all()
    assert (certain * mean >= 0).all()


def test_a_mean_within_chance_is_zero_and_a_clear_one_stays():
    values = np.array([[1.0, 5.0], [-1.1, 5.1], [1.2, 4.9], [-1.0, 5.0]])
    np.testing.assert_allclose(certain_mean(values), [0, 5], atol=0.01)


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

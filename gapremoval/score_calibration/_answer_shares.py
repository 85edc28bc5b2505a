"""Answer shares: how often each modality answers, from the best scores of queries.

Several explanations of these scores are fitted. They differ in what the best wrong scores are
like and in which modalities answer. The shares are the mean over the fits, weighted by how well
each explains the scores.

Scores are in units of a document's spread. Wrong scores have an exponential upper tail, so the
best of many has a Gumbel distribution. The right score has a normal distribution, which is the
same in every modality.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

# Priors of the right score (mean, standard deviation) and of the tail of the wrong ones, each
# with the weight of `prior_count` queries.
MATCH_MEAN, MATCH_DEVIATION, TAIL = 3.5, 0.85, 0.5

# Best scores that are all equal show no tail. Real ones are longer than a tenth of the prior.
SHORTEST_TAIL = TAIL / 10

N_ITERATIONS = 50

# The penalty of an explanation by one modality alone, in nats for a query of `prior_count`.
DOUBT = 6.0

# The part of the prior right score that holds across the gap: encoders differ in how well they
# match images with texts, hardly in how well they match texts with texts.
ACROSS_THE_GAP = 0.25

# Values of the density and the distribution function that no logarithm overflows on.
SMALLEST = 1e-300

# Queries times fallback queries times modalities that are compared at once.
BLOCK_SIZE = 2**20


@dataclass(frozen=True)
class RightScore:
    """Right scores: Normal(mean, deviation), with the weight of `n_known` queries."""

    mean: float
    deviation: float
    n_known: float


@dataclass(frozen=True)
class BestScores:
    """Each query's best scores in every modality, and the modality of its judged answer.

    Attributes
    ----------
    first, second : ndarray of shape (n_queries, n_modalities)
    sure_wrong : ndarray of shape (n_fallback, n_modalities)
        The best scores of fallback queries, which no document answers. -inf where a fallback
        query met no document but its own.
    right : ndarray of int of shape (n_queries,)
        The modality of the right document; -1 where it is unknown, -2 where no document
        answers.
    right_is_first : ndarray of bool of shape (n_queries,)
        Whether the right document, where it is known, is the best of its modality.
    weights : ndarray of shape (n_queries,)
        In [0, 1]; their sum is the effective number of queries.
    """

    first: np.ndarray
    second: np.ndarray
    sure_wrong: np.ndarray
    right: np.ndarray
    right_is_first: np.ndarray
    weights: np.ndarray


class Null(NamedTuple):
    """The distribution of the best wrong scores, where it is known.

    Attributes
    ----------
    is_known : ndarray of bool of shape (n_modalities,)
        The modalities in which it is known. In the others a Gumbel distribution is fitted.
    log_density, distribution : ndarray of shape (n_queries, n_modalities)
        At the best score of each query.
    tails : ndarray of shape (n_modalities,)
        The scales of the exponential tails.
    """

    is_known: np.ndarray
    log_density: np.ndarray
    distribution: np.ndarray
    tails: np.ndarray


class Fits(NamedTuple):
    """Explanations of the best scores, one for each entry of the first axis.

    Attributes
    ----------
    shares : ndarray of shape (n_fits, n_modalities)
        The share of queries that each modality answers.
    tails : ndarray of shape (n_fits, n_modalities)
        The scale of the tail of wrong scores in each modality.
    mean, deviation : ndarray of shape (n_fits,)
        Of the right scores.
    log_likelihood : ndarray of shape (n_fits, n_queries)
    """

    shares: np.ndarray
    tails: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    log_likelihood: np.ndarray


class Learned(NamedTuple):
    """The means over all explanations."""

    shares: np.ndarray
    slope: float
    tail: float
    match: RightScore


def prior_shares(counts):
    """Prior shares of the answers, in proportion to the fourth root of the document counts.

    That lies between equal modalities and equal documents.
    """
    weights = np.asarray(counts, float) ** 0.25
    return weights / weights.sum()


def right_score(pairs, prior_count):
    """The distribution of right scores by the prior and by natural pairs.

    Parameters
    ----------
    pairs : ndarray of shape (n_pairs,)
        Scores between the parts of a document, in units of spread.
    prior_count : float
        Weight of the prior, in pseudo-queries.

    Returns
    -------
    RightScore
    """
    known = prior_count + len(pairs)
    mean = (prior_count * MATCH_MEAN + pairs.sum()) / known
    square = prior_count * MATCH_DEVIATION**2 + np.square(pairs - mean).sum()
    return RightScore(mean, np.sqrt(square / known), known)


def learn_shares(best, prior, match, prior_count, *, own, moves, shares=None):
    """Learn the shares of the modalities and the slope by evidence.

    Parameters
    ----------
    best : BestScores
        The best scores of at least one query.
    prior : ndarray of shape (n_modalities,)
        Prior shares, with the weight of one query for each modality.
    match : RightScore
        Prior of the right score.
    prior_count : float
        Weight of all fallback queries together, or without them of the prior tail, in
        pseudo-queries.
    own : ndarray of bool of shape (n_modalities,)
        The modalities that hold the queries' own: text and image+text for texts.
    moves : sequence of ndarray of shape (n_modalities,)
        For each sample of best wrong scores that the fallback queries may give, how much
        higher it lies than theirs.
    shares : ndarray of shape (n_modalities,), default=None
        Known shares, which are kept.

    Returns
    -------
    Learned
    """
    n, n_modalities = best.weights.sum(), len(prior)
    answered = max(best.weights[best.right != -2].sum(), 1)
    wrong = best.sure_wrong[np.isfinite(best.sure_wrong).all(axis=1)]
    best = replace(best, sure_wrong=wrong)
    nulls, answering = [None], [None]
    if n_modalities > 1 and shares is None:
        answering += range(n_modalities)
        if len(wrong) > 2 and own.any():
            nulls += [sample_null(best.first, wrong + move, own, prior_count) for move in moves]
    cases = [(null, alone) for null in nulls for alone in answering]
    fits = fit_shares(best, prior, match, prior_count, cases=cases, shares=shares)
    square = match.deviation**2 + (fits.mean - match.mean) ** 2
    divergence = np.log(fits.deviation / match.deviation) + square / (2 * fits.deviation**2) - 0.5
    across = np.array([alone is not None and not own[alone] for _, alone in cases])
    known = match.n_known - across * (1 - ACROSS_THE_GAP) * prior_count
    n_fitted = np.array([n_modalities if null is None else (~own).sum() for null, _ in cases])
    doubts = (n_modalities - 1) / 2 * np.log(answered), DOUBT * prior_count / answered
    doubt = np.array([doubts[alone is not None] for _, alone in cases])
    log_prior = -known * divergence - n_fitted * np.log1p(n / prior_count) - doubt
    belief = beliefs(fits.log_likelihood, log_prior, best.weights)
    tails = (fits.shares * fits.tails).sum(axis=1)
    return Learned(
        belief @ fits.shares,
        float(belief @ (1 / fits.deviation + 1 / tails)),
        float(belief @ tails),
        RightScore(float(belief @ fits.mean), float(belief @ fits.deviation), match.n_known),
    )


def beliefs(log_likelihood, log_prior, weights):
    """How far each explanation is believed.

    Parameters
    ----------
    log_likelihood : ndarray of shape (n_fits, n_queries)
    log_prior : ndarray of shape (n_fits,)
    weights : ndarray of shape (n_queries,)

    Returns
    -------
    ndarray of shape (n_fits,)
        They add up to 1. Differences to the best explanation that lie within their own sampling
        error decide little: they are drawn towards 0 (the probit approximation).
    """
    evidence, n = log_likelihood @ weights + log_prior, weights.sum()
    best = evidence.argmax()
    ahead = log_likelihood - log_likelihood[best]
    mean = ahead @ weights / n
    chance = np.square(ahead - mean[:, None]) @ weights
    belief = np.exp((evidence - evidence[best]) / np.sqrt(1 + np.pi * chance / 8))
    return belief / belief.sum()


def sample_null(first, wrong, own, prior_count):
    """The distribution of best wrong scores by a smoothed sample.

    A Gumbel distribution of the same moments has the weight of `prior_count` of the sample,
    for scores beyond it.

    Parameters
    ----------
    first : ndarray of shape (n_queries, n_modalities)
        Where to evaluate it.
    wrong : ndarray of shape (n_sample, n_modalities)
    own : ndarray of bool of shape (n_modalities,)
        The modalities in which to use it.
    prior_count : float

    Returns
    -------
    Null
    """
    n, mean, deviation = len(wrong), wrong.mean(axis=0), np.maximum(wrong.std(axis=0), 1e-2)
    low, high = np.quantile(wrong, [0.25, 0.75], axis=0)
    # Silverman's width.
    width = 0.9 * np.maximum(np.minimum(deviation, (high - low) / 1.34), 1e-2) * n**-0.2
    density, below = np.zeros((2, *first.shape))
    step = max(BLOCK_SIZE // wrong.size, 1)
    for start in range(0, len(first), step):
        rows = slice(start, start + step)
        for m in np.flatnonzero(own):
            u = (first[rows, None, m] - wrong[:, m]) / width[m]
            density[rows, m] = np.exp(-u * u / 2).sum(axis=1) / (np.sqrt(2 * np.pi) * width[m])
            below[rows, m] = ndtr(u).sum(axis=1)
    tails = np.maximum(deviation * np.sqrt(6) / np.pi, SHORTEST_TAIL)
    y = np.exp(np.clip((mean - np.euler_gamma * tails - first) / tails, -50, 50))
    density = (density + prior_count * y * np.exp(-y) / tails) / (n + prior_count)
    below = (below + prior_count * np.exp(-y)) / (n + prior_count)
    return Null(own, np.log(np.maximum(density, SMALLEST)), np.maximum(below, SMALLEST), tails)


def fit_shares(best, prior, match, prior_count, *, cases=((None, None),), shares=None):
    """Fit the shares of the modalities, the tails of wrong scores and the right score by EM.

    Parameters
    ----------
    best, prior, match, prior_count, shares
        As for `learn_shares`; every score is finite.
    cases : sequence of tuple of (Null or None, int or None)
        For each fit the distribution of best wrong scores where it is known, None for nowhere,
        and the one modality that answers, None for all. The others then have their prior share,
        with the weight of one query for each modality.

    Returns
    -------
    Fits
    """
    # Arrays have the shape (n_fits, n_queries, n_modalities), or 1 in place of a size.
    first, second, weights = best.first[None], best.second[None], best.weights[None, :, None]
    n, n_modalities = weights.sum(), first.shape[2]
    answered = weights[0, best.right != -2].sum()
    pi = np.repeat(prior[None, None], len(cases), axis=0)
    is_fixed = np.array([alone is not None for _, alone in cases])[:, None, None]
    for of_fit, (_, alone) in zip(pi[:, 0], cases):
        if alone is not None:
            of_fit *= n_modalities / (answered + n_modalities)
            of_fit[alone] += 1 - of_fit.sum()
    if shares is not None:
        pi, is_fixed = pi * 0 + shares, is_fixed | True
    is_known, tails, log_density, log_distribution = _stacked([null for null, _ in cases], first)
    known_odds = np.exp(np.minimum(log_distribution - log_density, 50))
    mu, tau = match.mean, match.deviation
    level = (weights * second).sum(axis=1, keepdims=True) / n
    wrong = best.sure_wrong
    n_wrong, wrong_mean, wrong_variance = min(len(wrong), prior_count), 0.0, 0.0
    if len(wrong):
        wrong_mean, wrong_variance = wrong.mean(axis=0), wrong.var(axis=0)
    known = answered + match.n_known
    judged, query = best.right != -1, np.flatnonzero(best.right >= 0)
    right, is_first = (slice(None), query, best.right[query]), best.right_is_first[query]
    for iteration in range(N_ITERATIONS + 1):
        # E step. If a modality answers, its best score is that of the right document (on top)
        # or of a wrong one above it (hidden). The odds are those of the best wrong score below
        # this one to the best wrong score at it.
        y = np.exp(np.clip((level - first) / tails, -50, 50))
        odds = np.where(is_known, known_odds, tails / y)
        d = (first - mu) / tau
        density, below = np.exp(-d * d / 2) / np.sqrt(2 * np.pi), np.maximum(ndtr(d), SMALLEST)
        on_top, hidden = pi * density / tau * odds, pi * below
        # Judged queries are known to be one of the two cases, or neither.
        of_right = [np.maximum(x[right], SMALLEST) for x in (on_top, hidden)]
        on_top[:, judged], hidden[:, judged] = 0, 0
        on_top[right], hidden[right] = of_right[0] * is_first, of_right[1] * ~is_first
        total = (on_top + hidden).sum(axis=2, keepdims=True)
        total[:, best.right == -2] = 1
        if iteration == N_ITERATIONS:
            log_wrong = np.where(is_known, log_density, np.log(y) - y - np.log(tails))
            log_likelihood = log_wrong.sum(axis=2) + np.log(total[:, :, 0])
            return Fits(pi[:, 0], tails[:, 0], mu[:, 0, 0], tau[:, 0, 0], log_likelihood)
        on_top, hidden = on_top / total, hidden / total
        # Mean and variance of a right score below the best one (a truncated normal).
        hazard = np.where(d > -8, density / below, -d)
        hidden_mean = mu - tau * hazard
        hidden_variance = tau**2 * np.clip(1 - d * hazard - hazard**2, 1e-3, 1)
        # M step. The best wrong score is the first, or the second below a right one on top.
        on_top, hidden, is_wrong = weights * on_top, weights * hidden, weights * (1 - on_top)
        fitted = (on_top + hidden).sum(axis=1, keepdims=True) + n_modalities * prior
        pi = np.where(is_fixed, pi, fitted / (answered + n_modalities))
        sums = (is_wrong * first + on_top * second).sum(axis=1, keepdims=True)
        mean = (sums + n_wrong * wrong_mean) / (n + n_wrong)
        squares = is_wrong * (first - mean) ** 2 + on_top * (second - mean) ** 2
        variance = squares.sum(axis=1, keepdims=True)
        variance += n_wrong * (wrong_variance + (wrong_mean - mean) ** 2)
        if not n_wrong:
            prior_variance = (TAIL * np.pi) ** 2 / 6
            variance = (variance + prior_count * prior_variance) * n / (n + prior_count)
        fitted = np.maximum(np.sqrt(6 * variance / (n + n_wrong)) / np.pi, SHORTEST_TAIL)
        tails = np.where(is_known, tails, fitted)
        level = mean - np.euler_gamma * tails
        sums = (on_top * first + hidden * hidden_mean).sum(axis=(1, 2), keepdims=True)
        mu = (sums + match.n_known * match.mean) / known
        squares = on_top * (first - mu) ** 2 + hidden * (hidden_variance + (hidden_mean - mu) ** 2)
        squares = squares.sum(axis=(1, 2), keepdims=True) + match.n_known * match.deviation**2
        tau = np.sqrt(squares / known)


def _stacked(nulls, first):
    """The entries of some Null or None, stacked; the logarithm of the distribution function."""
    nowhere, zeros = np.zeros((1, first.shape[2]), bool), np.zeros(first.shape[1:])
    none = Null(nowhere, zeros, np.ones_like(zeros), np.full(first.shape[2], TAIL))
    is_known, log_density, distribution, tails = (
        np.stack([np.atleast_2d(entry) for entry in entries])
        for entries in zip(*(none if null is None else null for null in nulls))
    )
    return is_known, np.where(is_known, tails, TAIL), log_density, np.log(distribution)

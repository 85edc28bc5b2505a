"""The model behind posterior odds: spreads of documents, and an EM over the best scores.

Scores are in units of a document's spread. Wrong scores have an exponential upper tail, so the
best of many has a Gumbel distribution. The right score has a normal distribution, which is the
same in every modality.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

# Priors of the right score (mean, standard deviation) and of the tail of the wrong ones, each
# with the weight of `prior_count` queries.
MATCH_MEAN, MATCH_DEVIATION, TAIL = 3.5, 0.85, 0.5

# Best scores that are all equal show no tail. Real ones are longer than a tenth of the prior.
SHORTEST_TAIL = TAIL / 10

N_ITERATIONS = 30


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
        The best scores of fallback queries, which no document answers.
    right : ndarray of int of shape (n_queries,)
        The modality of the right document; -1 where it is unknown, -2 where no document
        answers.
    right_is_first : ndarray of bool of shape (n_queries,)
        Whether the right document, where it is known, is the best of its modality.
    """

    first: np.ndarray
    second: np.ndarray
    sure_wrong: np.ndarray
    right: np.ndarray
    right_is_first: np.ndarray


def credibility(variance, noise, weights, prior_count):
    """The credibility of documents' own variances, in [0, 1] (Buehlmann).

    It is the part of their variation that is no sampling noise, and it grows with the number of
    rows.

    Parameters
    ----------
    variance, noise : ndarray of shape (n_documents,)
        As `TeachingScores.spreads` has them.
    weights : ndarray of shape (n_rows,)
        Weights of the rows.
    prior_count : float
        The number of queries at which it reaches half of its limit.

    Returns
    -------
    float
    """
    n_rows = weights.sum() ** 2 / (weights**2).sum()
    sampling = noise.mean() / max(n_rows - 1, 1e-9)
    between = np.square(variance - variance.mean()).mean()
    real = max(0, 1 - sampling / max(between, 1e-30))
    return real * weights.sum() / (weights.sum() + prior_count)


def certain_mean(values):
    """The mean of each column, shrunken by the part of its square that chance explains."""
    mean = values.mean(axis=0)
    chance = values.var(axis=0, ddof=1) / len(values)
    return mean * np.maximum(0, 1 - chance / np.maximum(mean**2, 1e-30))


def certain_center(rows):
    """The mean of vectors, shrunken by the part of its square that chance explains.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)

    Returns
    -------
    ndarray of float64 of shape (n_features,)
        Zero for fewer than two rows.
    """
    if len(rows) < 2:
        return np.zeros(rows.shape[1])
    mean = rows.mean(axis=0, dtype=float)
    # The variance from the squares: a copy of the rows less their mean takes several times longer.
    square = np.vecdot(rows, rows).sum(dtype=float) / len(rows)
    chance = max(square - mean @ mean, 0) / (len(rows) - 1)
    return mean * max(0, 1 - chance / max(mean @ mean, 1e-30))


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


def fit_shares(best, prior, match, prior_count, shares=None):
    """Fit the shares of the modalities, the tails of wrong scores and the right score by EM.

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
    shares : ndarray of shape (n_modalities,), default=None
        Known shares, which are kept.

    Returns
    -------
    shares : ndarray of shape (n_modalities,)
        The share of queries that each modality answers.
    tails : ndarray of shape (n_modalities,)
        The scale of the tail of wrong scores in each modality.
    match : RightScore
    """
    first, second = best.first, best.second
    n, n_modalities = first.shape
    answered = (best.right != -2).sum()
    pi = prior if shares is None else shares
    mu, tau, tails = match.mean, match.deviation, np.full(n_modalities, TAIL)
    level = second.mean(axis=0)
    wrong = best.sure_wrong[np.isfinite(best.sure_wrong).all(axis=1)]
    n_wrong, wrong_mean, wrong_variance = min(len(wrong), prior_count), 0.0, 0.0
    if len(wrong):
        wrong_mean, wrong_variance = wrong.mean(axis=0), wrong.var(axis=0)
    judged, query = best.right != -1, np.flatnonzero(best.right >= 0)
    right, is_first = (query, best.right[query]), best.right_is_first[query]
    for _ in range(N_ITERATIONS):
        # E step. If a modality answers, its best score is that of the right document (on top)
        # or of a wrong one above it (hidden). Likelihood ratios against a modality that does
        # not answer are exact for a Gumbel distribution.
        d = (first - mu) / tau
        density, below = np.exp(-d * d / 2) / np.sqrt(2 * np.pi), np.maximum(ndtr(d), 1e-300)
        intensity = np.exp(np.minimum((first - level) / tails, 50)) * tails
        on_top, hidden = pi * density / tau * intensity, pi * below
        total = (on_top + hidden).sum(axis=1, keepdims=True)
        on_top, hidden = on_top / total, hidden / total
        # Judged queries are known to be one of the two cases.
        on_top[judged], hidden[judged] = 0, 0
        on_top[right], hidden[right] = is_first, ~is_first
        # Mean and variance of a right score below the best one (a truncated normal).
        hazard = np.where(d > -8, density / below, -d)
        hidden_mean = mu - tau * hazard
        hidden_variance = tau**2 * np.clip(1 - d * hazard - hazard**2, 1e-3, 1)
        # M step. The best wrong score is the first, or the second below a right one on top.
        if shares is None:
            pi = ((on_top + hidden).sum(axis=0) + n_modalities * prior) / (answered + n_modalities)
        sums = ((1 - on_top) * first + on_top * second).sum(axis=0)
        mean = (sums + n_wrong * wrong_mean) / (n + n_wrong)
        squares = (1 - on_top) * (first - mean) ** 2 + on_top * (second - mean) ** 2
        variance = squares.sum(axis=0) + n_wrong * (wrong_variance + (wrong_mean - mean) ** 2)
        if not n_wrong:
            prior_variance = (TAIL * np.pi) ** 2 / 6
            variance = (variance + prior_count * prior_variance) * n / (n + prior_count)
        tails = np.maximum(np.sqrt(6 * variance / (n + n_wrong)) / np.pi, SHORTEST_TAIL)
        level = mean - np.euler_gamma * tails
        known = answered + match.n_known
        mu = ((on_top * first + hidden * hidden_mean).sum() + match.n_known * match.mean) / known
        squares = on_top * (first - mu) ** 2
        squares += hidden * (hidden_variance + (hidden_mean - mu) ** 2)
        tau = np.sqrt((squares.sum() + match.n_known * match.deviation**2) / known)
    return pi, tails, RightScore(mu, tau, known)

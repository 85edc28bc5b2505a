"""The model behind posterior odds: spreads of documents, and an EM over the best scores.

All in units of a document's spread: wrong scores have an exponential upper tail, so the best
of many is Gumbel; the right score is Normal, and the same in every modality.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

# A standard right score (mean, deviation) and a standard tail of the wrong ones: priors that
# count as much as `strength` queries.
MATCH_MEAN, MATCH_DEVIATION, TAIL = 3.5, 0.85, 0.5

# Best scores that are all equal show no tail; a tenth of the standard one is never seen.
SHORTEST_TAIL = TAIL / 10

N_ITERATIONS = 30


@dataclass(frozen=True)
class RightScore:
    """Right scores: Normal(mean, deviation), known as well as from `n_known` queries."""

    mean: float
    deviation: float
    n_known: float


@dataclass(frozen=True)
class BestScores:
    """Each query's best scores in every modality, and what judgements say about them.

    Attributes
    ----------
    first, second : ndarray of shape (n_queries, n_modalities)
    sure_wrong : ndarray of shape (n_stand_ins, n_modalities)
        The best scores of stand-ins, which no document answers.
    right : ndarray of int of shape (n_queries,)
        The modality of the right document where it is known, else -1; -2 where nothing
        answers.
    right_is_first : ndarray of bool of shape (n_queries,)
        Whether the right document, where known, is the best of its modality.
    """

    first: np.ndarray
    second: np.ndarray
    sure_wrong: np.ndarray
    right: np.ndarray
    right_is_first: np.ndarray


def credibility(variance, noise, weights, strength):
    """How far documents of a modality differ in spread for real (Buehlmann), in [0, 1].

    Parameters
    ----------
    variance, noise : ndarray of shape (n_documents,)
        As `TeachingScores.spreads` has them.
    weights : ndarray of shape (n_rows,)
        Of the rows that they were taken over.
    strength : float
        The number of queries at which half of it is believed.
    """
    n_rows = weights.sum() ** 2 / (weights**2).sum()
    sampling = noise.mean() / max(n_rows - 1, 1e-9)
    between = np.square(variance - variance.mean()).mean()
    real = max(0, 1 - sampling / max(between, 1e-30))
    return real * weights.sum() / (weights.sum() + strength)


def certain_mean(values):
    """A mean drawn to zero by as much of its square as chance explains, per column."""
    mean = values.mean(axis=0)
    chance = values.var(axis=0, ddof=1) / len(values)
    return mean * np.maximum(0, 1 - chance / np.maximum(mean**2, 1e-30))


def certain_center(rows):
    """The mean of vectors, drawn to zero by as much of its square as chance explains.

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
    """Shares of the answers before any query: between 'modalities alike' and 'documents alike'."""
    weights = np.asarray(counts, float) ** 0.25
    return weights / weights.sum()


def right_score(pairs, strength):
    """The right score as standard, and as natural pairs show it.

    Parameters
    ----------
    pairs : ndarray of shape (n_pairs,)
        Right scores, in units of spread.
    strength : float
        How many queries the standard counts for.
    """
    known = strength + len(pairs)
    mean = (strength * MATCH_MEAN + pairs.sum()) / known
    square = strength * MATCH_DEVIATION**2 + np.square(pairs - mean).sum()
    return RightScore(mean, np.sqrt(square / known), known)


def fit_shares(best, prior, match, strength, shares=None):
    """EM: which modalities answer, what right scores and tails of wrong ones look like.

    Parameters
    ----------
    best : BestScores
        Of at least one query.
    prior : ndarray of shape (n_modalities,)
        Shares that count as one query a modality.
    match : RightScore
        What is known of right scores beforehand.
    strength : float
        How many queries the stand-ins count for in all, or the standard tail without them.
    shares : ndarray of shape (n_modalities,), default=None
        Known shares, which then stay.

    Returns
    -------
    shares, tails : ndarray of shape (n_modalities,)
    match : RightScore
    """
    first, second = best.first, best.second
    n, n_modalities = first.shape
    answered = (best.right != -2).sum()
    pi = prior if shares is None else shares
    mu, tau, tails = match.mean, match.deviation, np.full(n_modalities, TAIL)
    level = second.mean(axis=0)
    wrong = best.sure_wrong[np.isfinite(best.sure_wrong).all(axis=1)]
    n_wrong, wrong_mean, wrong_variance = min(len(wrong), strength), 0.0, 0.0
    if len(wrong):
        wrong_mean, wrong_variance = wrong.mean(axis=0), wrong.var(axis=0)
    judged, query = best.right != -1, np.flatnonzero(best.right >= 0)
    right, is_first = (query, best.right[query]), best.right_is_first[query]
    for _ in range(N_ITERATIONS):
        # E. If a modality answers, its best score is the right document's (on top) or that of
        # a wrong one above it (hidden). Ratios to 'does not answer' are exact for a Gumbel.
        d = (first - mu) / tau
        density, below = np.exp(-d * d / 2) / np.sqrt(2 * np.pi), np.maximum(ndtr(d), 1e-300)
        intensity = np.exp(np.minimum((first - level) / tails, 50)) * tails
        on_top, hidden = pi * density / tau * intensity, pi * below
        total = (on_top + hidden).sum(axis=1, keepdims=True)
        on_top, hidden = on_top / total, hidden / total
        # Judgements fix the two cases' shares of theirs.
        on_top[judged], hidden[judged] = 0, 0
        on_top[right], hidden[right] = is_first, ~is_first
        # Mean and variance of a right score that is known to lie below the best one.
        hazard = np.where(d > -8, density / below, -d)
        hidden_mean = mu - tau * hazard
        hidden_variance = tau**2 * np.clip(1 - d * hazard - hazard**2, 1e-3, 1)
        # M. The best wrong score is the first, or the second where the right one is on top.
        if shares is None:
            pi = ((on_top + hidden).sum(axis=0) + n_modalities * prior) / (answered + n_modalities)
        sums = ((1 - on_top) * first + on_top * second).sum(axis=0)
        mean = (sums + n_wrong * wrong_mean) / (n + n_wrong)
        squares = (1 - on_top) * (first - mean) ** 2 + on_top * (second - mean) ** 2
        variance = squares.sum(axis=0) + n_wrong * (wrong_variance + (wrong_mean - mean) ** 2)
        if not n_wrong:
            variance = (variance + strength * (TAIL * np.pi) ** 2 / 6) * n / (n + strength)
        tails = np.maximum(np.sqrt(6 * variance / (n + n_wrong)) / np.pi, SHORTEST_TAIL)
        level = mean - np.euler_gamma * tails
        known = answered + match.n_known
        mu = ((on_top * first + hidden * hidden_mean).sum() + match.n_known * match.mean) / known
        squares = on_top * (first - mu) ** 2
        squares += hidden * (hidden_variance + (hidden_mean - mu) ** 2)
        tau = np.sqrt((squares.sum() + match.n_known * match.deviation**2) / known)
    return pi, tails, RightScore(mu, tau, known)

"""Statistics of few rows, less what chance explains."""

import numpy as np

# One question that was asked often has a weight of one, up to rounding.
TWO = 1 + 1e-6


def credibility(variance, noise, n_queries, fallback_weights, prior_count):
    """The credibility of documents' own variances, in [0, 1] (Buehlmann).

    It is the part of their variation that is no sampling noise, and it grows with the number of
    rows.

    Parameters
    ----------
    variance, noise : ndarray of shape (n_documents,)
        As `TeachingScores.spreads` has them.
    n_queries : float
        The effective number of queries.
    fallback_weights : ndarray of shape (n_fallback,)
        Weights of the fallback queries.
    prior_count : float
        The number of queries at which it reaches half of its limit.

    Returns
    -------
    float
    """
    weight = n_queries + fallback_weights.sum()
    n_rows = weight**2 / (n_queries + np.square(fallback_weights).sum())
    sampling = noise.mean() / max(n_rows - 1, 1e-9)
    between = np.square(variance - variance.mean()).mean()
    real = max(0, 1 - sampling / max(between, 1e-30))
    return real * weight / (weight + prior_count)


def certain_mean(rows, weights):
    """The weighted mean of each column, less the part of its square that chance explains.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
    weights : ndarray of shape (n_rows,)
        Their sum is the effective number of rows.

    Returns
    -------
    ndarray of float64 of shape (n_columns,)
        Zero for fewer than two rows.
    """
    n = weights.sum()
    if n < TWO:
        return np.zeros(rows.shape[1])
    mean = weights @ rows / n
    chance = weights @ np.square(rows - mean) / n / (n - 1)
    return mean * np.maximum(0, 1 - chance / np.maximum(mean**2, 1e-30))


def certain_center(rows, weights):
    """The weighted mean of vectors, less the part of its square that chance explains.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
    weights : ndarray of shape (n_rows,)
        Their sum is the effective number of rows.

    Returns
    -------
    ndarray of float64 of shape (n_features,)
        Zero for fewer than two rows.
    """
    n = weights.sum()
    if n < TWO:
        return np.zeros(rows.shape[1])
    mean = weights @ rows.astype(float) / n
    # The variance from the squares: a copy of the rows less their mean takes several times longer.
    square = weights @ np.vecdot(rows, rows) / n
    chance = max(square - mean @ mean, 0) / (n - 1)
    return mean * max(0, 1 - chance / max(mean @ mean, 1e-30))


def shrunken_centers(queries, weights, fallback, prior_count):
    """The means of queries and of fallback queries beyond chance, the former shrunken.

    Few queries cannot tell an offset of all queries from what they ask about. If the removed
    means came from elsewhere, the fallback queries show a similar offset, so the mean of the
    queries is shrunken towards theirs.

    Parameters
    ----------
    queries, fallback : ndarray of shape (n, n_features) and (n_fallback, n_features)
    weights : ndarray of shape (n,)
        Weights of the queries.
    prior_count : float
        Weight of the fallback queries' mean, in pseudo-queries.

    Returns
    -------
    of_queries, of_fallback : ndarray of float64 of shape (n_features,)
    """
    n, of_fallback = weights.sum(), certain_center(fallback, np.ones(len(fallback)))
    of_queries = certain_center(queries, weights)
    if len(fallback):
        of_queries = (n * of_queries + prior_count * of_fallback) / (n + prior_count)
    return of_queries, of_fallback

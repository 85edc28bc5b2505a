"""Weights of queries, under which repetitions of a question count once."""

import numpy as np

from ._shrinkage import shrunken_centers

# Weight of the fallback queries in the center of the queries.
PSEUDO_QUERIES = 16.0

# A query that lies at the center has no direction.
SHORTEST = 1e-6


def similarity_kernel(rows, others):
    """How far two rows are one question: 1 for equal rows, 0 from a cosine of 1/2 down.

    Parameters
    ----------
    rows, others : ndarray of shape (n, n_features) and (n_others, n_features)
        Of unit length.

    Returns
    -------
    ndarray of shape (n, n_others)
        ``max(0, 1 - distance**2)**2``, the biweight kernel of a radius of 1. At this distance
        two unit rows have a cosine of 1/2. Centered embeddings of unrelated texts have a
        cosine around 0, and those of one text with a typing error of .8 and more.
    """
    return np.square(np.clip(2 * (rows @ others.T) - 1, 0, 1))


def question_weights(queries, fallback, is_judged):
    """Weights of queries: one over the mass of a query's neighbors, itself included.

    A question that was asked `n` times has `n` rows of weight ``1 / n``, so that it has the
    weight of a question that was asked once. Rows that resemble each other without being one
    question lose little. The sum of the weights is the effective number of queries.

    Where a judged query and unjudged ones are one question, the judged one has the weight.

    Parameters
    ----------
    queries, fallback : ndarray of shape (n, n_features) and (n_fallback, n_features)
        Of unit length. What their means have in common is no resemblance and is subtracted.
    is_judged : ndarray of bool of shape (n,)

    Returns
    -------
    ndarray of float64 of shape (n,)
        In [0, 1].
    """
    first = _weights(queries, is_judged)
    center = shrunken_centers(queries, first, fallback, PSEUDO_QUERIES)[0].astype(queries.dtype)
    centered = queries - center
    lengths = np.linalg.norm(centered, axis=1, keepdims=True)
    return _weights(centered / np.maximum(lengths, SHORTEST), is_judged)


def _weights(rows, is_judged):
    weights, judged, rest = np.empty(len(rows)), rows[is_judged], rows[~is_judged]
    weights[is_judged] = 1 / _mass(judged, judged)
    weights[~is_judged] = np.maximum(1 - _mass(rest, judged), 0) / _mass(rest, rest)
    return weights


def _mass(rows, others):
    """The mass of each row's neighbors; at least 1 among the rows themselves."""
    mass = similarity_kernel(rows, others).sum(axis=1, dtype=float)
    return np.maximum(mass, 1) if rows is others else mass

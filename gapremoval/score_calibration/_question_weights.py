"""Weights of queries, under which repetitions of a question count once."""

import numpy as np


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


def question_weights(rows, is_judged):
    """Weights of queries: one over the mass of a query's neighbors, itself included.

    A question that was asked `n` times has `n` rows of weight ``1 / n``, so that it has the
    weight of a question that was asked once. Rows that resemble each other without being one
    question lose little. The sum of the weights is the effective number of queries.

    Where a judged query and unjudged ones are one question, the judged one has the weight.

    Parameters
    ----------
    rows : ndarray of shape (n_queries, n_features)
        Of unit length.
    is_judged : ndarray of bool of shape (n_queries,)

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In [0, 1].
    """
    weights, judged = np.empty(len(rows)), rows[is_judged]
    weights[is_judged] = 1 / _mass(judged, judged)
    rest = rows[~is_judged]
    taken = _mass(rest, judged)
    weights[~is_judged] = np.maximum(1 - taken, 0) / _mass(rest, rest)
    return weights


def _mass(rows, others):
    """The mass of each row's neighbors; at least 1 among the rows themselves."""
    mass = similarity_kernel(rows, others).sum(axis=1, dtype=float)
    return np.maximum(mass, 1) if rows is others else mass

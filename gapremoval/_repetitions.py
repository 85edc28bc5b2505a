"""Repetitions of a question, up to the rounding of an encoder or a few other letters."""

import numpy as np

from ._array_api import row_blocks

# Rows are compared by their coordinates along a few random directions, on a grid. Batches of an
# encoder move a row by some 1e-6; another question is further away than 1e-2.
N_DIRECTIONS = 8
GRID = 1e-3

# A row that lies at the center of all rows has no direction.
SHORTEST = 1e-6


def group_rows(rows):
    """Group the rows that are equal up to rounding.

    Rows of different groups may be equal where rounding moves one of them over a line of the
    grid, which is rare.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Of unit length.

    Returns
    -------
    first : ndarray of int of shape (n_groups,)
        The first row of each group, ascending.
    group : ndarray of int of shape (n_rows,)
        The number of each row's group.
    lot : ndarray of float64 of shape (n_groups,)
        A number in [0, 1) as if drawn by chance, which depends on the rows of the group alone.
        The groups with the smallest ones are a random sample, whatever the order of the rows,
        and a sample of samples is one of all rows.
    """
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(rows.shape[1], N_DIRECTIONS)) / GRID
    blocks = [rows[block].astype(float) @ directions for block in row_blocks(rows)]
    coordinates = np.concatenate([np.empty((0, N_DIRECTIONS)), *blocks])
    # A sum modulo 2**64 tells cells apart as their eight coordinates do, and sorts faster.
    cells = np.rint(coordinates).astype(np.int64) @ rng.integers(2**62, size=N_DIRECTIONS)
    _, first, group = np.unique(cells, return_index=True, return_inverse=True)
    order = np.argsort(first)
    first = first[order]
    return first, np.argsort(order)[group], coordinates[first, 0] % 1


def similarity_kernel(rows, others):
    """How far two rows are one question: 1 for equal rows, 0 from a cosine of 1/2 down.

    Parameters
    ----------
    rows, others : ndarray of shape (n, n_features) and (n_others, n_features)
        Of unit length.

    Returns
    -------
    ndarray of shape (n, n_others)
        ``max(0, 1 - distance**2)**2``, the biweight kernel of radius 1. At this distance two
        unit rows have a cosine of 1/2. Centered embeddings of unrelated texts have cosines
        around 0, those of a text with and without a typing error .8 and more.
    """
    return np.square(np.clip(2 * (rows @ others.T) - 1, 0, 1))


def question_weights(rows, center, is_judged=None):
    """Weights of queries: one over the mass of a query's neighbors, itself included.

    A question that was asked `n` times has `n` rows of weight ``1 / n``, so that together they
    have the weight of a question that was asked once. Rows that resemble each other without
    being one question lose little. The sum of the weights is the effective number of queries.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Of any length.
    center : ndarray of shape (n_features,)
        What all rows have in common, which is no resemblance.
    is_judged : ndarray of bool of shape (n,), default=None
        Where a judged query and unjudged ones are one question, the judged one has the weight.

    Returns
    -------
    ndarray of float64 of shape (n,)
        In [0, 1].
    """
    centered = rows - center.astype(rows.dtype)
    centered /= np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), SHORTEST)
    if is_judged is None or not is_judged.any():
        return 1 / np.maximum(_mass(centered, centered), 1)
    weights, judged, rest = np.empty(len(rows)), centered[is_judged], centered[~is_judged]
    weights[is_judged] = 1 / np.maximum(_mass(judged, judged), 1)
    left = np.maximum(1 - _mass(rest, judged), 0)
    weights[~is_judged] = left / np.maximum(_mass(rest, rest), 1)
    return weights


def _mass(rows, others):
    return similarity_kernel(rows, others).sum(axis=1, dtype=float)

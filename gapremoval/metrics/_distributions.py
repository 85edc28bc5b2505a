"""Distances of two distributions: Frechet distance, maximum mean discrepancy."""

import numpy as np
from scipy.linalg import eigh, svdvals
from sklearn.metrics.pairwise import euclidean_distances

from ._rows import read


def frechet_distance(X, between=None, *, max_rows=10_000, random_state=0, modality=None):
    """Squared Frechet distance of the Gaussians with the moments of two modalities."""
    rows = read(X, modality)
    one, other = rows.sample(rows.between(between, least=2), max_rows, random_state)
    mean, scale, directions = frechet_parts(one, other)
    return mean + scale + directions


def frechet_parts(one, other):
    """Parts of the squared Frechet distance: of means, of scales, of directions."""
    apart = one.mean(axis=0) - other.mean(axis=0)
    roots = [covariance_root(x) for x in (one, other)]
    scales = [float(np.linalg.norm(root)) for root in roots]
    product = scales[0] * scales[1]
    # tr((A B)^(1/2)) is the sum of the singular values of A^(1/2) B^(1/2).
    shared = min(float(svdvals(roots[0] @ roots[1]).sum()), product)
    return float(apart @ apart), (scales[0] - scales[1]) ** 2, 2 * (product - shared)


def covariance_root(rows):
    """The symmetric root of the covariance of rows, shape (n_features, n_features)."""
    centered = rows - rows.mean(axis=0)
    values, vectors = eigh(centered.T @ centered / (len(rows) - 1))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def maximum_mean_discrepancy(X, between=None, *, max_rows=2000, random_state=0, modality=None):
    """Maximum mean discrepancy of two modalities, with a Gaussian kernel (Gretton 2012)."""
    rows = read(X, modality)
    one, other = rows.sample(rows.between(between, least=2), max_rows, random_state)
    both = np.concatenate([one, other])
    squares = euclidean_distances(both, squared=True)
    median = np.median(squares[np.triu_indices(len(both), 1)])
    kernel = np.exp(-squares / (median if median > 0 else 1.0))
    weights = np.repeat([1 / len(one), -1 / len(other)], [len(one), len(other)])
    return float(np.sqrt(max(weights @ kernel @ weights, 0)))

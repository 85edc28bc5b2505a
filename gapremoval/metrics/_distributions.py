"""Distances of two distributions: Frechet distance, maximum mean discrepancy."""

import numpy as np
from scipy.linalg import eigh, svdvals
from sklearn.metrics.pairwise import euclidean_distances

from ._rows import read


def frechet_distance(X, between=None, *, max_rows=5000, random_state=0, modality=None):
    """Squared Frechet distance of two modalities, each taken as a normal distribution.

    It compares means and covariances; generated images are judged by it (FID).
    `gap_components` divides it into its parts.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    between : sequence of two str, default=None
        The two modalities; by default the two that the documents have.
    max_rows : int, default=5000
        Of a modality with more rows, a sample of this size is taken; None takes all.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    float
        At least 0; 0 where means and covariances are equal. Fewer rows make it larger, so compare
        values of as many rows only.

    Raises
    ------
    ValueError
        As in `centroid_distance`.

    Notes
    -----
    With means m, m' and covariances C, C' it is
    ``|m - m'|^2 + tr(C) + tr(C') - 2 tr((C C')^(1/2))``.

    References
    ----------
    .. [1] Dowson and Landau, "The Frechet distance between multivariate normal distributions",
       Journal of Multivariate Analysis 12, 1982.
    .. [2] Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
       Equilibrium", NeurIPS 2017.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import frechet_distance
    >>> X, y = make_mixed_modality(random_state=0)
    >>> round(frechet_distance(X), 1)
    1.2
    """
    rows = read(X, modality)
    return sum(frechet_parts(*rows.sample(rows.between(between), max_rows, random_state)))


def frechet_parts(one, other):
    """The parts of the squared Frechet distance of the means, the scales and the directions.

    Parameters
    ----------
    one, other : ndarray of float64 of shape (n_rows, n_features)

    Returns
    -------
    mean, scale, directions : float
    """
    apart = one.mean(axis=0) - other.mean(axis=0)
    roots = [_covariance_root(x) for x in (one, other)]
    scales = [float(np.linalg.norm(root)) for root in roots]
    # tr((C C')^(1/2)) is the sum of the singular values of C^(1/2) C'^(1/2).
    largest = scales[0] * scales[1]
    shared = min(float(svdvals(roots[0] @ roots[1]).sum()), largest)
    return float(apart @ apart), (scales[0] - scales[1]) ** 2, 2 * (largest - shared)


def _covariance_root(rows):
    """The symmetric root of the covariance of rows, shape (n_features, n_features)."""
    centered = rows - rows.mean(axis=0)
    values, vectors = eigh(centered.T @ centered / (len(rows) - 1))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def maximum_mean_discrepancy(X, between=None, *, max_rows=1000, random_state=0, modality=None):
    """Maximum mean discrepancy (MMD) of two modalities, with a Gaussian kernel.

    It sees every difference of two distributions, also where means and covariances are equal.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    between : sequence of two str, default=None
        The two modalities; by default the two that the documents have.
    max_rows : int, default=1000
        Of a modality with more rows, a sample of this size is taken; None takes all. Time and
        memory grow with its square.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    float
        In [0, sqrt(2)]; 0 for equal samples. For n rows a modality that are drawn alike it is
        about ``1 / sqrt(n)``, not 0.

    Raises
    ------
    ValueError
        As in `centroid_distance`.

    Notes
    -----
    The biased estimate, ``MMD_b`` of the reference. The width of the kernel
    ``exp(-|x - y|^2 / w)`` is the median ``w`` of all squared distances.

    References
    ----------
    .. [1] Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012, equation 5.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import maximum_mean_discrepancy
    >>> X, y = make_mixed_modality(random_state=0)
    >>> round(maximum_mean_discrepancy(X), 2)
    0.64
    """
    rows = read(X, modality)
    one, other = rows.sample(rows.between(between), max_rows, random_state)
    both = np.concatenate([one, other])
    squares = euclidean_distances(both, squared=True)
    width = np.median(squares[np.triu_indices(len(both), 1)])
    kernel = np.exp(-squares / (width if width > 0 else 1))
    signs = np.repeat([1 / len(one), -1 / len(other)], [len(one), len(other)])
    return float(np.sqrt(max(signs @ kernel @ signs, 0)))

"""Covariances of each modality from roots of their scatter, and their powers."""

import numpy as np
from scipy.linalg import eigh

# A variance below this share of the largest is a rounding error.
ROUNDING = 1e-10


def spectrum(root, n):
    """The variances along the principal directions, without those that vanish.

    Costs the cube of the smaller dimension of the root: few rows are cheap.

    Parameters
    ----------
    root : ndarray of shape (n_root, n_features)
        ``root.T @ root`` is the scatter of the rows, as in `Moments.roots`.
    n : int
        The number of rows.

    Returns
    -------
    variances : ndarray of shape (rank,)
        Ascending, with divisor `n`.
    directions : ndarray of shape (rank, n_features)
        Orthonormal.
    """
    is_thin = len(root) < root.shape[1]
    gram = (root @ root.T if is_thin else root.T @ root) / max(n, 1)
    variances, vectors = eigh(gram, driver="evd")
    kept = variances > ROUNDING * max(variances.max(initial=0), np.finfo(float).tiny)
    variances, directions = variances[kept], vectors[:, kept].T
    if is_thin:
        directions = directions @ root / np.sqrt(variances * n)[:, None]
    return variances, directions


def ledoit_wolf(variances, n, n_features, fourth):
    """The Ledoit-Wolf shrinkage of a covariance.

    Parameters
    ----------
    variances : ndarray
        From `spectrum`.
    n, n_features : int
        The number of rows and their features.
    fourth : float
        The mean fourth power of the distances of the rows to their mean.

    Returns
    -------
    float
        In [0, 1]: the weight of the isotropic covariance of the same trace.

    References
    ----------
    .. [1] Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", Journal of Multivariate Analysis 88, 2004.
    """
    squares = variances @ variances
    error = (fourth - squares) / n
    distance = squares - variances.sum() ** 2 / n_features
    return float(np.clip(error / distance, 0, 1)) if distance > 0 else 1.0


def shrunken_power(variances, directions, shrinkage, power):
    """A power of the shrunken covariance, ``((1 - s) C + s tr(C) / d I) ** power``.

    Parameters
    ----------
    variances, directions : ndarray
        From `spectrum`.
    shrinkage : float in [0, 1]
    power : float
        -1/2 whitens, 1/2 colors.

    Returns
    -------
    ndarray of shape (n_features, n_features)
        Directions without any variance are left as they are, since nothing is known of them.
    """
    n_features = directions.shape[1]
    floor = shrinkage * variances.sum() / n_features
    outside = floor**power if floor > 0 else 1.0
    inside = ((1 - shrinkage) * variances + floor) ** power
    return outside * np.eye(n_features) + directions.T * (inside - outside) @ directions


def power_of_unit_rows(root, n, mean, power):
    """A power of the Ledoit-Wolf covariance of unit rows, from their moments.

    For unit rows the fourth power in `ledoit_wolf` is ``(1 - |m|^2)^2 + 4 m' C m``: it follows
    from the mean `m` and the covariance `C`, so that batches can be pooled.
    """
    variances, directions = spectrum(root, n)
    fourth = (1 - mean @ mean) ** 2 + 4 * variances @ (directions @ mean) ** 2
    shrinkage = ledoit_wolf(variances, n, len(mean), fourth)
    return shrunken_power(variances, directions, shrinkage, power)

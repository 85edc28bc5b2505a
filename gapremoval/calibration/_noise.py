"""add_noise: noisy rows for training, which make a network robust to the remaining gap (C3)."""

from numbers import Real

from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from .._array_api import beside, to_numpy, unit_rows
from .._embeddings import EmbeddingArray
from ._gap_remover import ModalityGapRemover


@validate_params(
    {"scale": [Interval(Real, 0, None, closed="left")], "random_state": ["random_state"]},
    prefer_skip_nested_validation=True,
)
def add_noise(X, scale, *, random_state=None, modality=None):
    """Center each modality, add Gaussian noise, and scale rows to unit length (C3).

    For training alone: a network that is trained on noisy rows of one modality bears the
    difference that centering leaves to another. Rows to search are calibrated without noise.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        The rows to train on.
    scale : float
        Standard deviation of the noise in each feature of a unit row, at least 0. The length
        of the noise is about ``scale * sqrt(n_features)``.
    random_state : int, RandomState instance or None, default=None
        Seed of the noise.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    EmbeddingArray or array of shape (n_rows, n_features)
        New rows: the same kind of array as `X`, in the same dtype. Rows of length zero stay
        zero.

    Raises
    ------
    ValueError
        If `scale` is negative or not a number, or as in `gapremoval.ModalityGapRemover.fit`.

    See Also
    --------
    gapremoval.ModalityGapRemover : Centers rows as here (with ``shrinkage=0``), without noise.

    Notes
    -----
    This is a function because a transformer must return the same rows from ``fit_transform``
    and ``transform``.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt: Learning Cross-Modal Tasks with Uni-Modal
       Data" (C3), ICLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.calibration import add_noise
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> Z = add_noise(X, 0.02, random_state=0)
    >>> bool(np.allclose(np.linalg.norm(Z.values, axis=1), 1))
    True
    """
    centered = ModalityGapRemover(norm=None, shrinkage=0).fit_transform(X, modality=modality)
    values = centered.values if isinstance(X, EmbeddingArray) else centered
    noise = check_random_state(random_state).normal(scale=scale, size=tuple(values.shape))
    # Rows of length zero have no direction, and shall not get one from noise.
    _, lengths = unit_rows(values)
    noise[to_numpy(lengths) == 0] = 0
    noisy, _ = unit_rows(values + beside(noise, values, values.dtype))
    return EmbeddingArray(noisy, centered._tags) if isinstance(X, EmbeddingArray) else noisy

"""GapSubspaceEraser: project out what tells the modalities apart (LEACE)."""

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from .._array_api import namespace_and_device
from ._covariance import spectrum
from ._moment_calibrator import Mergeable, MomentCalibrator

# Two centers are equal if they differ by less than this share of the largest difference.
EQUAL = 1e-7


class GapSubspaceEraser(Mergeable, MomentCalibrator):
    """Erase the directions that tell the modalities apart, from rows of any modality (LEACE).

    One affine map for all rows, which needs no modality in `transform`: among all maps after
    which no linear classifier can tell the modalities better than a constant, the one that
    changes the rows least. It projects along the differences of the means, obliquely: in the
    metric in which all rows together are white.

    Parameters
    ----------
    center : bool, default=False
        Whether to subtract the mean of all rows as well. The paper keeps this mean. Subtracting
        it improves search, because cosines with a common part hardly differ.
    norm : {"l2", None}, default="l2"
        Whether to scale rows to unit length afterwards; this brings a little of the gap back.
    shrinkage : float, default=16.0
        Pseudo-count of the prior mean of queries, from 0 to ``np.inf``, as in
        `gapremoval.ModalityGapRemover`. With 0 fitted queries cannot be told apart either.

    Attributes
    ----------
    mean_ : ndarray of float64 of shape (n_features,)
        The mean of all fitted rows. It stays where it is, unless `center`.
    left_, right_ : ndarray of float64 of shape (n_features, rank)
        A row `x` becomes ``x - (x - mean_) @ right_ @ left_.T``. The rank is at most the number
        of modalities less one.
    centers_ : dict of str to ndarray of float64 of shape (n_features,)
        The means of the modalities, those of queries shrunk.
    means_ : dict of str to ndarray of float64 of shape (n_features,)
        Mean of the fitted unit rows of each modality.
    counts_ : dict of str to int
        Number of fitted rows of each modality, without rows of length zero.
    encoder_ : str or None
        The encoder of the fitted rows, where they name it; rows of another are refused.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    gapremoval.ModalityGapRemover : Erases as exactly, if the modality of each row is known.

    Notes
    -----
    `transform` takes plain arrays. Rows that do come with modalities are refused where these
    were not fitted and have no fallback. `fit` needs the modality of each row.

    Queries are modalities of their own: with questions among the rows, the direction from
    documents to questions is erased too.

    References
    ----------
    .. [1] Belrose et al., "LEACE: Perfect linear concept erasure in closed form", NeurIPS 2023,
       theorem 4.2.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from gapremoval.calibration import GapSubspaceEraser
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, queries={}, random_state=0)
    >>> def accuracy(rows):
    ...     return LogisticRegression().fit(rows, X.modality).score(rows, X.modality)
    >>> eraser = GapSubspaceEraser(norm=None).fit(X)
    >>> accuracy(X.values), accuracy(eraser.transform(X.values))  # untagged
    (1.0, 0.5)
    """

    _parameter_constraints = {
        "center": ["boolean"],
        "norm": [StrOptions({"l2"}), None],
        "shrinkage": [Interval(Real, 0, None, closed="both")],
    }
    _fixed_in_fit = ("center", "norm", "shrinkage")
    _with_roots = True
    _maps_all_alike = True

    def __init__(self, *, center=False, norm="l2", shrinkage=16.0):
        self.center = center
        self.norm = norm
        self.shrinkage = shrinkage

    def _solve(self):
        super()._solve()
        names = [name for name, n in self.counts_.items() if n]
        counts = np.array([self.counts_[name] for name in names])
        means = np.array([self.means_[name] for name in names]).reshape(-1, self.n_features_in_)
        self.mean_ = counts @ means / max(counts.sum(), 1)
        between = np.sqrt(counts)[:, None] * (means - self.mean_)
        root = np.concatenate([*(self._moments.roots[name] for name in names), between])
        centers = np.array([self.centers_[name] for name in names]).reshape(means.shape)
        differences = centers - counts @ centers / max(counts.sum(), 1)
        self.left_, self.right_ = oblique_projection(differences, root, counts.sum())

    def _map(self, rows, name):
        self._fallback(name, self.centers_)  # refuses what was not fitted
        xp, place = namespace_and_device(rows)
        mean, left, right = (
            xp.asarray(x, dtype=rows.dtype, device=place)
            for x in (self.mean_, self.left_.T, self.right_)
        )
        erased = rows - (rows - mean) @ right @ left
        return erased - mean if self.center else erased


def oblique_projection(differences, root, n):
    """The projection onto some vectors that is orthogonal in the whitened metric.

    Parameters
    ----------
    differences : ndarray of shape (n_vectors, n_features)
        In the row space of `root`.
    root : ndarray of shape (n_root, n_features)
        ``root.T @ root / n`` is the covariance C.
    n : int

    Returns
    -------
    left, right : ndarray of shape (n_features, rank)
        ``left @ right.T`` is ``B (B' C^+ B)^-1 B' C^+``, with a basis B of the vectors.
    """
    _, sizes, basis = np.linalg.svd(differences, full_matrices=False)
    basis = basis[sizes > max(EQUAL * sizes.max(initial=0), np.finfo(float).eps)].T
    variances, directions = spectrum(root, n)
    right = (directions.T / variances) @ (directions @ basis)
    return basis @ np.linalg.pinv(basis.T @ right, hermitian=True), right

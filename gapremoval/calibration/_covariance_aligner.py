"""CovarianceAligner: give each modality the covariance of another one."""

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from .._array_api import namespace_and_device
from ._centers import aligned, clouds, residual, target_cloud
from ._covariance import power_of_unit_rows
from ._moment_calibrator import Mergeable, MomentCalibrator


class CovarianceAligner(Mergeable, MomentCalibrator):
    """Center each modality, and give it the covariance of a target modality (CORAL).

    Equal means leave the second moments different: images and texts spread along different
    directions. Here each modality is whitened by its own covariance and colored by that of the
    target, so that the second moments nearly agree. They do not become equal, since both
    covariances are shrunk (Ledoit-Wolf): a corpus often has fewer rows than features.

    Parameters
    ----------
    target : str, default="text"
        The modality whose covariance all take. It is needed only if several modalities are
        fitted. With `partial_fit`, rows of the target must come before those of a second
        modality.
    norm : {"l2", None}, default="l2"
        Whether to scale rows to unit length afterwards.
    shrinkage : float, default=16.0
        Pseudo-count of the prior mean of queries, from 0 to ``np.inf``, as in
        `gapremoval.ModalityGapRemover`.

    Attributes
    ----------
    centers_ : dict of str to ndarray of float64 of shape (n_features,)
        The vectors that are subtracted.
    maps_ : dict of str to ndarray of float64 of shape (n_features, n_features)
        What centered rows of each modality are multiplied by, from the right.
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
    ByModality : With `ShrunkWhitener`, whitens each modality and colors none.

    Notes
    -----
    Queries have a mean of their own, and the map of their fallback modality: ``query:text``
    that of ``text``, a query of several parts the mean of their maps. Few queries estimate a
    covariance poorly.

    The moments of batches are pooled exactly, the shrinkage included: for unit rows it follows
    from the first two moments.

    References
    ----------
    .. [1] Sun, Feng and Saenko, "Return of Frustratingly Easy Domain Adaptation", AAAI 2016,
       algorithm 1; there the identity is added to each covariance instead.
    .. [2] Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", Journal of Multivariate Analysis 88, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import EmbeddingArray
    >>> from gapremoval.calibration import CovarianceAligner
    >>> rng = np.random.default_rng(0)
    >>> wide, narrow = rng.normal(size=(2, 5000, 4)) + [[[9, 0, 0, 0]], [[0, 9, 0, 0]]]
    >>> X = EmbeddingArray.concatenate({"text": wide, "image": narrow * [1, 1, 1, 3]})
    >>> Z = CovarianceAligner(target="text", norm=None).fit_transform(X)
    >>> text, image = (np.cov(Z.values[Z.modality == m].T) for m in ("text", "image"))
    >>> bool(np.abs(text - image).max() < 0.01 * np.abs(text).max())
    True
    """

    _parameter_constraints = {
        "target": [str],
        "norm": [StrOptions({"l2"}), None],
        "shrinkage": [Interval(Real, 0, None, closed="both")],
    }
    _fixed_in_fit = ("target", "norm", "shrinkage")
    _with_roots = True

    def __init__(self, *, target="text", norm="l2", shrinkage=16.0):
        self.target = target
        self.norm = norm
        self.shrinkage = shrinkage

    def _solve(self):
        super()._solve()
        identity = np.eye(self.n_features_in_)
        self.maps_ = dict.fromkeys(clouds(self.counts_), identity)
        names = aligned(self.maps_)
        if len(names) > 1:
            target = target_cloud(self.target, names)
            color = self._covariance(target, 0.5)
            for name in (name for name in names if name != target):
                self.maps_[name] = self._covariance(name, -0.5) @ color

    def _covariance(self, name, power):
        n, mean = self.counts_[name], self.means_[name]
        return power_of_unit_rows(self._moments.roots[name], n, mean, power)

    def _map(self, rows, name):
        xp, place = namespace_and_device(rows)
        aligning = xp.asarray(self._mean_of(self.maps_, name), dtype=rows.dtype, device=place)
        return residual(rows, self._center(name)) @ aligning

"""AnchorAndScale: equal means and total variances on the sphere (ReAlign)."""

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from .._array_api import namespace_and_device, unit_rows
from .._validation import Rows
from ._calibrator import map_rows
from ._centers import aligned, clouds, residual, shrunken_centers, target_cloud
from ._moment_calibrator import MomentCalibrator
from ._moments import Moments


class AnchorAndScale(MomentCalibrator):
    """Anchor and scale each modality like a target modality, and center it (ReAlign).

    The rows of each modality are moved to the mean of the target, and scaled about it to the
    target's total variance. They are then put back on the unit sphere, which moves their means
    apart again, and centered there.

    Parameters
    ----------
    target : str, default="text"
        The modality whose mean and total variance all take. It is needed only if several
        modalities are fitted.
    norm : {"l2", None}, default="l2"
        Whether to scale rows to unit length at the end.
    shrinkage : float, default=16.0
        Pseudo-count of the prior mean of queries, from 0 to ``np.inf``, as in
        `gapremoval.ModalityGapRemover`; for both means of queries.

    Attributes
    ----------
    centers_ : dict of str to ndarray of float64 of shape (n_features,)
        The means of the fitted rows, those of queries shrunk.
    scales_ : dict of str to float
        The factor of each modality.
    anchor_ : ndarray of float64 of shape (n_features,)
        The mean of the target.
    anchored_centers_ : dict of str to ndarray of float64 of shape (n_features,)
        As `centers_`, after the rows were anchored, scaled and put on the sphere.
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
    gapremoval.ModalityGapRemover : Centers once, and scales nothing.

    Notes
    -----
    In the paper texts stand in for images when a network is trained, and take the mean of the
    images again at the end. A search needs no common mean, so here all stay centered.

    Scaling matters only through the sphere: about the origin, rows of unit length would forget
    it. The total variance of unit rows with mean m is ``1 - |m|^2``.

    Queries have means of their own, and the factor of their fallback modality (``query:text``
    that of ``text``). The second means are those of mapped rows, so that `fit` needs all rows
    at once: there is no ``partial_fit``.

    References
    ----------
    .. [1] Yu et al., "Modality Gap-Driven Subspace Alignment Training Paradigm For Multimodal
       Large Language Models" (ReAlign), arXiv 2602.07026, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.calibration import AnchorAndScale
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> Z = AnchorAndScale(norm=None).fit_transform(X)
    >>> text, image = (Z.values[Z.modality == m] for m in ("text", "image"))
    >>> bool(np.allclose(text.mean(axis=0), image.mean(axis=0), atol=1e-6))
    True
    """

    _parameter_constraints = {
        "target": [str],
        "norm": [StrOptions({"l2"}), None],
        "shrinkage": [Interval(Real, 0, None, closed="both")],
    }
    _fixed_in_fit = ("target", "norm", "shrinkage")

    def __init__(self, *, target="text", norm="l2", shrinkage=16.0):
        self.target = target
        self.norm = norm
        self.shrinkage = shrinkage

    def _take(self, rows, y, again):
        lengths = super()._take(rows, y, again)
        anchored, _ = map_rows(rows, self._anchored, "l2")
        moments, _ = Moments.of(Rows(anchored, rows.tags))
        self.anchored_centers_, _ = shrunken_centers(
            moments.counts, moments.means, {}, self.shrinkage, moments.questions
        )
        return lengths

    def _solve(self):
        super()._solve()
        self.scales_ = dict.fromkeys(clouds(self.counts_), 1.0)
        names = aligned(self.scales_)
        variances = {name: 1 - self.means_[name] @ self.means_[name] for name in names}
        target = target_cloud(self.target, names) if names else self.target
        self.anchor_ = self.means_.get(target, np.zeros(self.n_features_in_))
        for name in names:
            self.scales_[name] = matching_scale(variances[name], variances[target])

    def _anchored(self, rows, name):
        xp, place = namespace_and_device(rows)
        anchor = xp.asarray(self.anchor_, dtype=rows.dtype, device=place)
        scale = float(self._mean_of(self.scales_, name))
        return anchor + scale * residual(rows, self._center(name))

    def _map(self, rows, name):
        anchored, _ = unit_rows(self._anchored(rows, name))
        return residual(anchored, self._mean_of(self.anchored_centers_, name))


def matching_scale(variance, target_variance):
    """The factor that brings a total variance to that of the target; 1 if one of them is zero."""
    rounding = 1e-12
    has_both = min(variance, target_variance) > rounding
    return np.sqrt(target_variance / variance) if has_both else 1.0

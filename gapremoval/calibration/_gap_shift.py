"""GapShift: move the clouds of the modalities towards each other."""

from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions

from .._array_api import namespace_and_device
from ._centers import clouds
from ._moment_calibrator import Mergeable, MomentCalibrator


class GapShift(Mergeable, MomentCalibrator):
    """Move the modalities towards their common midpoint, by a fraction of the way.

    Liang et al. found the modality gap, and moved two clouds along the difference of their
    means to see what the gap does. Here all document modalities move towards the midpoint of
    their means. Unlike `gapremoval.ModalityGapRemover`, this leaves what the modalities have in
    common.

    Parameters
    ----------
    amount : float, default=1.0
        Fraction of the way. 0 changes nothing but the length of rows, and 1 closes the gap;
        more opens it on the other side, a negative one widens it. The paper's ``lambda`` is
        half of it, since each of two clouds moves half of the way.
    norm : {"l2", None}, default="l2"
        Whether to scale rows to unit length after the shift, as in the paper.

    Attributes
    ----------
    shifts_ : dict of str to ndarray of float64 of shape (n_features,)
        The vector that is added to the unit rows of each modality.
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
    gapremoval.ModalityGapRemover : Removes the whole mean of each modality, which searches better.

    Notes
    -----
    Queries move with the documents of their modality, so that they stay where they are among
    them: ``query:text`` with ``text``, and a query of several parts by the mean of their
    shifts. In a corpus without such documents (images, asked by texts) the queries are the
    other cloud.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap: Understanding the Modality Gap in Multi-modal
       Contrastive Representation Learning", NeurIPS 2022, section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.calibration import GapShift
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> def gap(X):
    ...     text, image = (X.values[X.modality == m].mean(axis=0) for m in ("text", "image"))
    ...     return float(np.linalg.norm(text - image))
    >>> [round(gap(GapShift(amount=a, norm=None).fit_transform(X)), 2) for a in (0, 0.5, 1)]
    [0.85, 0.43, 0.0]
    """

    _parameter_constraints = {
        "amount": [Interval(Real, None, None, closed="neither")],
        "norm": [StrOptions({"l2"}), None],
    }
    _fixed_in_fit = ("amount", "norm")

    def __init__(self, *, amount=1.0, norm="l2"):
        self.amount = amount
        self.norm = norm

    def _solve(self):
        self.shifts_ = gap_shifts({k: self.means_[k] for k in clouds(self.counts_)}, self.amount)

    def _map(self, rows, name):
        xp, place = namespace_and_device(rows)
        shift = self._mean_of(self.shifts_, name)
        return rows + xp.asarray(shift, dtype=rows.dtype, device=place)


def gap_shifts(means, amount):
    """The shift of each modality towards the midpoint of all means.

    Parameters
    ----------
    means : dict of str to ndarray of shape (n_features,)
    amount : float
        Fraction of the way.

    Returns
    -------
    dict of str to ndarray of shape (n_features,)
    """
    midpoint = sum(means.values()) / max(len(means), 1)
    return {name: amount * (midpoint - mean) for name, mean in means.items()}

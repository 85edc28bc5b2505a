"""OrthogonalAligner: rotate each modality onto another, by pairs (Procrustes)."""

from numbers import Real

import numpy as np
from scipy.linalg import qr, svd
from sklearn.utils._param_validation import Interval, StrOptions

from .._array_api import namespace_and_device, to_double, to_numpy, unit_rows
from .._modality import is_query, parts_of
from .._relevance import check_ids, check_y, group_ids
from ._centers import aligned, clouds, residual, target_cloud
from ._moment_calibrator import MomentCalibrator


class OrthogonalAligner(MomentCalibrator):
    """Center each modality, and rotate it onto a target modality by pairs (Procrustes).

    A pair is a document with rows of both modalities: rows with equal ids in `y`. Each
    modality is turned as a whole, by the rotation that brings its rows closest to those of the
    target that they are paired with. A rotation keeps all similarities within a modality.

    Parameters
    ----------
    target : str, default="text"
        The modality that stays. It is needed only if several modalities are fitted.
    prior_count : float, default=512.0
        Strength of the identity, in pseudo-pairs that need no rotation. Few pairs say little
        about a rotation in many dimensions. 0 is the paper's method.
    norm : {"l2", None}, default="l2"
        Whether to scale rows to unit length afterwards.
    shrinkage : float, default=16.0
        Pseudo-count of the prior mean of queries, from 0 to ``np.inf``, as in
        `gapremoval.ModalityGapRemover`.

    Attributes
    ----------
    rotations_ : dict of str to ndarray of float64 of shape (n_features, n_features)
        What centered rows of each modality are multiplied by, from the right. Orthogonal.
    n_pairs_ : dict of str to int
        The number of pairs of each modality with the target.
    centers_ : dict of str to ndarray of float64 of shape (n_features,)
        The vectors that are subtracted.
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
    CovarianceAligner : Aligns without pairs.

    Notes
    -----
    For paired rows A of a modality and B of the target, centered and of unit length, the
    rotation maximizes the trace of ``R.T @ (A.T @ B + prior_count / n_features * I)``. Several
    rows of one modality in a document are averaged first. Directions that no pair spans stay.

    Queries have a mean of their own, and the rotation of their fallback modality (``query:text``
    that of ``text``); they make no pairs. Pairs of two batches may share a document, so
    there is no ``partial_fit``.

    References
    ----------
    .. [1] Maystre et al., "When Embedding Models Meet: Procrustes Bounds and Applications",
       arXiv 2510.13406.
    .. [2] Schönemann, "A generalized solution of the orthogonal Procrustes problem",
       Psychometrika 31, 1966.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import EmbeddingArray
    >>> from gapremoval.calibration import OrthogonalAligner
    >>> rng = np.random.default_rng(0)
    >>> text = rng.normal(size=(100, 3))
    >>> X = EmbeddingArray.concatenate({"text": text, "image": text[:, [1, 2, 0]]})
    >>> ids = [*range(100), *range(100)]
    >>> aligner = OrthogonalAligner(prior_count=0).fit(X, ids)
    >>> aligner.rotations_["image"].round(6) + 0
    array([[0., 1., 0.],
           [0., 0., 1.],
           [1., 0., 0.]])
    """

    _parameter_constraints = {
        "target": [str],
        "prior_count": [Interval(Real, 0, None, closed="left")],
        "norm": [StrOptions({"l2"}), None],
        "shrinkage": [Interval(Real, 0, None, closed="both")],
    }
    _fixed_in_fit = ("target", "prior_count", "norm", "shrinkage")

    def __init__(self, *, target="text", prior_count=512.0, norm="l2", shrinkage=16.0):
        self.target = target
        self.prior_count = prior_count
        self.norm = norm
        self.shrinkage = shrinkage

    def _take(self, rows, y, again):
        lengths = super()._take(rows, y, again)
        self.n_pairs_ = {}
        self.rotations_ = dict.fromkeys(clouds(self.counts_), np.eye(self.n_features_in_))
        names = aligned(self.rotations_)
        if len(names) > 1:
            target = target_cloud(self.target, names)
            centered = self._centered_documents(rows, y)
            for name in (name for name in names if name != target):
                pairs = _pairs(centered.get(name, {}), centered.get(target, {}))
                if not len(pairs[0]):
                    raise ValueError(
                        f"No {name!r} row has a pair among the {target!r} rows. Pairs are rows "
                        "with equal ids in y: give a document of both modalities a row of each, "
                        "with the same id, or align without pairs (CovarianceAligner)."
                    )
                self.n_pairs_[name] = len(pairs[0])
                self.rotations_[name] = shrunken_rotation(*pairs, self.prior_count)
        return lengths

    def _centered_documents(self, rows, y):
        """By modality, the mean centered unit row of each document id."""
        if y is None:
            return {}
        tags, y = rows.tags, check_y(y, len(rows.tags))
        documents = np.flatnonzero(~tags.is_query)
        ids = check_ids(y[documents], documents)
        centered = {}
        for name in filter(lambda name: not is_query(name), tags.counts()):
            at = tags.codes[documents] == tags.names.index(name)
            values = to_numpy(to_double(rows[documents[at]].values, rows.values))
            unit, lengths = unit_rows(values)
            kept = lengths > 0
            unit, _ = unit_rows(residual(unit[kept], self.centers_[name]))
            distinct, document = group_ids(ids[at][kept])
            sums = np.zeros((len(distinct), unit.shape[1]))
            np.add.at(sums, document, unit)
            centered[name] = dict(zip(distinct.tolist(), unit_rows(sums)[0]))
        return centered

    def _map(self, rows, name):
        xp, place = namespace_and_device(rows)
        rotation = self._mean_of(self.rotations_, name)
        if len(parts_of(name)) > 1:  # the mean of rotations is none
            left, _, right = svd(rotation)
            rotation = left @ right
        rotation = xp.asarray(rotation, dtype=rows.dtype, device=place)
        return residual(rows, self._center(name)) @ rotation


def _pairs(rows, target_rows):
    """The rows of the documents in both, two arrays of shape (n_pairs, n_features)."""
    common = [x for x in rows if x in target_rows]
    return np.array([rows[x] for x in common]), np.array([target_rows[x] for x in common])


def shrunken_rotation(rows, target_rows, prior_count):
    """The orthogonal matrix closest to turning rows into target rows, drawn to the identity.

    Parameters
    ----------
    rows, target_rows : ndarray of shape (n_pairs, n_features)
    prior_count : float
        Pseudo-count of pairs that need no rotation.

    Returns
    -------
    ndarray of shape (n_features, n_features)
        The orthogonal polar factor of
        ``rows.T @ target_rows + prior_count / n_features * I``; the identity outside of the
        span of both, so that few pairs are cheap.
    """
    n_features = rows.shape[1]
    basis = np.eye(n_features)
    if 2 * len(rows) < n_features:
        basis = qr(np.concatenate([rows, target_rows]).T, mode="economic")[0]
    products = (rows @ basis).T @ (target_rows @ basis)
    left, _, right = svd(products + prior_count / n_features * np.eye(basis.shape[1]))
    return np.eye(n_features) + basis @ (left @ right - np.eye(basis.shape[1])) @ basis.T

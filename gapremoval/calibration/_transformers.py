"""Two plain transformers that scikit-learn lacks, for the rows of one modality."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from .._base import ReferenceLink
from ._centers import residual
from ._covariance import ledoit_wolf, shrunken_power, spectrum


class _CenteringTransformer(ReferenceLink, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Subtract the mean, then do what `_learn` and `_map` say to the centered rows."""

    _parameter_constraints = {}

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn from rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            The rows.
        y : object, default=None
            Ignored.

        Returns
        -------
        self
        """
        X = validate_data(self, X, dtype=np.float64)
        self.mean_ = X.mean(axis=0)
        self._learn(residual(X, self.mean_))
        return self

    def transform(self, X):
        """Map rows by what was learned.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_rows, n_features)
            In the dtype of `X`, if that is float32 or float64.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self._map(residual(X, self.mean_))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class ShrunkWhitener(_CenteringTransformer):
    """Whiten rows by a shrunken covariance (ZCA, Ledoit-Wolf).

    Afterwards all directions spread about alike. The covariance is shrunk, since a corpus often
    has fewer rows than features; the symmetric root is taken, which changes rows least, so that
    whitened modalities can still be compared: see `ByModality`.

    Attributes
    ----------
    mean_ : ndarray of float64 of shape (n_features,)
        The mean of the fitted rows.
    whitening_ : ndarray of float64 of shape (n_features, n_features)
        The inverse square root of the shrunken covariance. Equal rows, which have none, leave
        the identity.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    sklearn.covariance.LedoitWolf : The covariance.
    sklearn.decomposition.PCA : With ``whiten=True``, whitens without shrinkage, and rotates.

    References
    ----------
    .. [1] Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", Journal of Multivariate Analysis 88, 2004.
    .. [2] Kessy, Lewin and Strimmer, "Optimal whitening and decorrelation", The American
       Statistician 72, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.calibration import ShrunkWhitener
    >>> X = np.random.default_rng(0).normal(3, [1, 5], size=(1000, 2))
    >>> ShrunkWhitener().fit_transform(X).std(axis=0).round(1)
    array([1., 1.])
    """

    def _learn(self, centered):
        n, n_features = centered.shape
        variances, directions = spectrum(centered, n)
        fourth = np.mean(np.vecdot(centered, centered) ** 2)
        shrinkage = ledoit_wolf(variances, n, n_features, fourth)
        self.whitening_ = shrunken_power(variances, directions, shrinkage, -0.5)

    def _map(self, centered):
        return centered @ self.whitening_.astype(centered.dtype)


class TopComponentsRemover(_CenteringTransformer):
    """Subtract the mean and the first principal components (all-but-the-top).

    The few directions along which embeddings spread most are shared by many rows, and say
    little about what they mean. See `ByModality`.

    Parameters
    ----------
    n_components : int, default=3
        Number of components to remove, at least 0. The authors suggest a hundredth of the
        number of features. Rows are zero if no component is left.

    Attributes
    ----------
    mean_ : ndarray of float64 of shape (n_features,)
        The mean of the fitted rows.
    components_ : ndarray of float64 of shape (at most n_components, n_features)
        The removed components, those of the largest variance last.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    sklearn.decomposition.PCA : Keeps the first components instead.

    References
    ----------
    .. [1] Mu and Viswanath, "All-but-the-Top: Simple and Effective Postprocessing for Word
       Representations", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.calibration import TopComponentsRemover
    >>> X = np.random.default_rng(0).normal(3, [1, 5], size=(1000, 2))
    >>> TopComponentsRemover(1).fit_transform(X).std(axis=0).round(1)
    array([1., 0.])
    """

    _parameter_constraints = {"n_components": [Interval(Integral, 0, None, closed="left")]}

    def __init__(self, n_components=3):
        self.n_components = n_components

    def _learn(self, centered):
        _, directions = spectrum(centered, len(centered))
        self.components_ = directions[max(len(directions) - self.n_components, 0) :]

    def _map(self, centered):
        components = self.components_.astype(centered.dtype)
        return centered - centered @ components.T @ components

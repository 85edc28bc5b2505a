"""MomentCalibrator, the base of the calibrators that need no more than moments; Mergeable."""

from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted

from .._modality import is_query
from .._origin import check_origin
from .._validation import is_lazy_rows
from .._warnings import warn
from ._calibrator import Calibrator, warn_of_zero_rows
from ._centers import shrunken_centers
from ._moments import Moments


class MomentCalibrator(Calibrator):
    """Base of the calibrators that need the moments of each modality, from one pass."""

    # Whether second moments are needed too.
    _with_roots = False

    def _take(self, rows, y, again):
        moments, lengths = Moments.of(rows, with_roots=self._with_roots)
        warn_of_zero_rows(len(rows.tags) - sum(moments.counts.values()))
        self._set_moments(self._moments.pooled(moments) if again else moments)
        return lengths

    def _set_moments(self, moments):
        """Set the moments and what follows from them."""
        self._moments, self.counts_, self.means_ = moments, moments.counts, moments.means
        self._solve()

    def _solve(self):
        """Set what follows from the moments: the centers, by default."""
        self.centers_, self._from_prior = shrunken_centers(
            self.counts_,
            self.means_,
            self._checked_prior(),
            self.shrinkage,
            self._moments.questions,
        )

    def _checked_prior(self):
        """The prior means as float64 on the host; there are none by default."""
        return {}

    def _center(self, name):
        """The center of a modality, fitted or by its fallback."""
        names = self._fallback(name, self.centers_)
        if is_query(name) and not self._from_prior.isdisjoint(names):
            warn(
                f"The center of {name!r} comes from the prior alone. A prior from another domain "
                "ruins the search: add typical questions to the fitted rows, tagged "
                f"{name!r} with y None.",
            )
        return self._mean_of(self.centers_, name)


class Mergeable:
    """What a calibrator can do that needs nothing but pooled moments.

    It adds batches, merges fits, and learns from the chunks of Dask collections.
    """

    def _learn(self, X, y, modality, *, again=False):
        if not is_lazy_rows(X):
            return super()._learn(X, y, modality, again=again)
        from ._dask import LazyRows

        with self._fitting() as copy:
            known, origin = (self.counts_, self._origin) if again else ((), None)
            if again:
                self._refuse_changed_parameters()
            else:
                copy._fix_parameters()
            rows = LazyRows.of(copy, X, modality, reset=not again, known=known, origin=origin)
            moments, n_zero = rows.moments(copy, reset=not again)
            warn_of_zero_rows(n_zero)
            copy._origin = origin or rows.origin
            copy._set_moments(self._moments.pooled(moments) if again else moments)
        return rows, None

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, *, modality=None):
        """Add rows to those already seen, in any order and in batches of any size.

        Few rows cause no warning here, since more may come.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Documents and, if there are any, queries; Dask collections as in `fit`.
        y : object, default=None
            Ignored.
        modality : str or sequence of str of shape (n_rows,), default=None
            The modality of each row; not needed for an EmbeddingArray.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in `fit`, and if the rows come from another encoder, or a parameter (but `copy`)
            was changed since the rows before were fitted.
        """
        self._learn(X, y, modality, again=hasattr(self, "counts_"))
        return self

    def merge(self, other):
        """Add the rows that another calibrator of the same class has seen.

        The result equals a fit on the rows of both.

        Parameters
        ----------
        other : calibrator of the same class
            Fitted on rows with the same number of features. It is not changed, and its
            parameters are not used.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `other` is of another class.
        ValueError
            If the numbers of features or the encoders differ, or a parameter (but `copy`) was
            changed since the fit.
        """
        name = type(self).__name__
        if not isinstance(other, type(self)):
            raise TypeError(f"merge takes another {name}; got {type(other).__name__}.")
        check_is_fitted(self)
        check_is_fitted(other)
        self._refuse_changed_parameters()
        check_origin(other._origin, self._origin, f"this {name}")
        if self.n_features_in_ != other.n_features_in_:
            raise ValueError(
                f"Cannot merge means of {other.n_features_in_} features into means of "
                f"{self.n_features_in_}: they belong to different models."
            )
        with self._fitting() as copy:
            copy._set_moments(self._moments.pooled(other._moments))
            copy._origin = self._origin or other._origin
        return self

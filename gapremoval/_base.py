"""GapEstimator: the base of all estimators here."""

from contextlib import contextmanager

from sklearn.base import BaseEstimator, TransformerMixin

from ._version import __version__
from ._warnings import warn


class GapEstimator(TransformerMixin, BaseEstimator):
    """Base of the estimators: metadata requests for `modality`, and the version in pickles.

    There is no ``set_output``, since a DataFrame has no place for the modalities.
    """

    # With metadata routing enabled, `modality=` needs no set_fit_request() from the user.
    __metadata_request__fit = {"modality": True}
    __metadata_request__partial_fit = {"modality": True}
    __metadata_request__transform = {"modality": True}

    def __init_subclass__(cls, **kwargs):
        # As a keyword of this class it would not reach the subclasses.
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)

    def fit_transform(self, X, y=None, *, modality=None):
        """Fit to the rows and transform them.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The rows.
        y : sequence of length n_rows, default=None
            Passed to ``fit``.
        modality : str or sequence of str of shape (n_rows,), default=None
            The modality of each row; not needed for an EmbeddingArray.

        Returns
        -------
        object
            The result of ``transform``.
        """
        # The method of TransformerMixin does not pass `modality` on to transform.
        return self.fit(X, y, modality=modality).transform(X, modality=modality)

    @contextmanager
    def _fitting(self):
        """Yield a copy to fit; its state replaces this estimator's in a single step or not at all.

        An error or an interrupt while the copy is fitted leaves this estimator as it was.
        """
        copy = object.__new__(type(self))
        copy.__dict__ = vars(self).copy()
        yield copy
        self.__dict__ = copy.__dict__

    def __getstate__(self):
        return {**super().__getstate__(), "_gapremoval_version": __version__}

    def __setstate__(self, state):
        written = state.pop("_gapremoval_version", "an unknown version")
        if written != __version__:
            warn(
                f"This {type(self).__name__} was pickled by gapremoval {written} and is loaded "
                f"by {__version__}, which may give other results: fit it again, or install "
                "that version."
            )
        super().__setstate__(state)

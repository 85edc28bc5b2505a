"""What the estimators share: metadata requests, fit_transform, the version in pickles."""

from contextlib import contextmanager

from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from ._version import __version__
from ._warnings import warn


class PlainTransformer(TransformerMixin, BaseEstimator):
    """Base of everything that transforms: no ``set_output``, the version in its pickles.

    A DataFrame has no place for the tags.
    """

    def __init_subclass__(cls, **kwargs):
        # As a keyword of the class it would hold for this class alone.
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)

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


class ModalityEstimator(PlainTransformer):
    """Base of what takes rows and their modalities."""

    # With routing on, `modality=` then needs no set_fit_request() from the user.
    __metadata_request__fit = {"modality": True}
    __metadata_request__partial_fit = {"modality": True}
    __metadata_request__transform = {"modality": True}

    def fit_transform(self, X, y=None, *, modality=None):
        """Fit to the rows and transform them.

        scikit-learn's own version does not hand `modality` on to ``transform``.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The rows.
        y : sequence of length n_rows, default=None
            As ``fit`` takes it.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        object
            What ``transform`` returns.
        """
        return self.fit(X, y, modality=modality).transform(X, modality=modality)

    @contextmanager
    def _fitting(self):
        """Yield a twin to fit, whose state becomes this one's in a single step or not at all."""
        twin = object.__new__(type(self))
        twin.__dict__ = vars(self).copy()
        yield twin
        self.__dict__ = twin.__dict__


class Calibrator(OneToOneFeatureMixin, ModalityEstimator):
    """Base of the calibrators: as many rows and features out as in, in the same order."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags

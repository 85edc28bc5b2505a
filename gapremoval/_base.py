"""What the estimators share: metadata requests, fit_transform, the version in a pickle."""

import warnings

from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from ._version import __version__


class VersionStamped:
    """Writes the package's version into pickles, and compares it when they are loaded."""

    def __getstate__(self):
        return {**super().__getstate__(), "_gapremoval_version": __version__}

    def __setstate__(self, state):
        written = state.pop("_gapremoval_version", "an unknown version")
        if written != __version__:
            warnings.warn(
                f"This {type(self).__name__} was pickled by gapremoval {written} and is loaded "
                f"by {__version__}, which may give other results: fit it again, or install "
                "that version.",
                UserWarning,
                stacklevel=2,
            )
        super().__setstate__(state)


class ModalityTransformer(
    VersionStamped,
    OneToOneFeatureMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,
):
    """Base of the calibrators: rows and their modalities in, as many rows out.

    ``set_output`` is not supported: a DataFrame has no place for the tags.
    """

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
        y : ignored
        modality : str or sequence of str of shape (n_rows,), default=None
            Their modalities; not needed for an EmbeddingArray.

        Returns
        -------
        EmbeddingArray or array of shape (n_rows, n_features)
        """
        return self.fit(X, y, modality=modality).transform(X, modality=modality)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags

"""GapEstimator: the base of most estimators here; ReferenceLink, which all of them have."""

from collections.abc import Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, metadata
from textwrap import shorten

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone

from ._array_api import to_numpy
from ._version import __version__
from ._warnings import warn

# What the API reference has under the name of the package; all else is under that of its room.
FIRST_CHOICES = {
    "CLIPEncoder",
    "FusionWeightSearchCV",
    "MixedModalityRetriever",
    "ModalityGapRemover",
    "PosteriorOdds",
    "SentenceTransformerEncoder",
    "StoreRetriever",
}


class ReferenceLink:
    """The link from an estimator's diagram in a notebook to its page of the API reference.

    The address of the site is the one that the metadata of the installed package name as its
    ``Documentation`` (``[project.urls]``). Where they name none there is no link.
    """

    _doc_link_module = "gapremoval"

    @property
    def _doc_link_template(self):
        address = _documentation_address()
        return f"{address.rstrip('/')}/api/{{page}}.html" if address else ""

    def _doc_link_url_param_generator(self):
        name, module = type(self).__name__, type(self).__module__.split(".")
        place = module[: 1 if name in FIRST_CHOICES else 2]
        return {"page": ".".join([*place, name])}


def _documentation_address():
    """The address of the documentation in the package's metadata, or an empty string."""
    try:
        urls = metadata("gapremoval").get_all("Project-URL", [])
    except PackageNotFoundError:  # run from a checkout
        return ""
    labeled = (url.partition(",") for url in urls)
    return next((url.strip() for label, _, url in labeled if label == "Documentation"), "")


class GapEstimator(ReferenceLink, TransformerMixin, BaseEstimator):
    """Base of the estimators: metadata requests for `modality`, and the version in pickles.

    There is no ``set_output``, since a DataFrame has no place for the modalities.
    """

    # With metadata routing enabled, `modality=` needs no set_fit_request() from the user.
    __metadata_request__fit = {"modality": True}
    __metadata_request__partial_fit = {"modality": True}
    __metadata_request__transform = {"modality": True}

    # Parameters whose values in `fit` hold until the next one.
    _fixed_in_fit = ()
    _fitted_parameters = {}

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

    def _fix_parameters(self):
        """Remember the values of the parameters that may not change after a fit."""
        values = {name: getattr(self, name) for name in self._fixed_in_fit}
        self._fitted_parameters = clone(values, safe=False)

    def _refuse_changed_parameters(self):
        """Raise a ValueError if a parameter was changed after the fit that it belongs to."""
        for name, fitted in self._fitted_parameters.items():
            if not same_value(fitted, new := getattr(self, name)):
                fitted, new = (shorten(repr(value), 80) for value in (fitted, new))
                raise ValueError(
                    f"{name} was {fitted} when this {type(self).__name__} was fitted, and is {new} "
                    "now, which would mix rows of both: fit again, or set it back."
                )

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


def same_value(a, b):
    """Whether two values of a parameter are equal."""
    if isinstance(a, BaseEstimator):
        return type(a) is type(b) and same_value(a.get_params(), b.get_params())
    if isinstance(a, Mapping):
        same_keys = isinstance(b, Mapping) and a.keys() == b.keys()
        return same_keys and all(same_value(a[key], b[key]) for key in a)
    return a is b or np.array_equal(to_numpy(a), to_numpy(b))

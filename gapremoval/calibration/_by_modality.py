"""ByModality: a clone of any transformer for each modality."""

from copy import deepcopy

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metaestimators import available_if

from .._array_api import beside, to_numpy
from .._modality import is_query, parts_of
from ._calibrator import FEW_ROWS, Calibrator, warn_of_zero_rows
from ._centers import fallback_modalities
from ._moment_calibrator import Mergeable
from ._question_means import unit_blocks


class ByModality(Calibrator):
    """Fit a clone of a transformer for each modality, and transform its rows with it.

    Each modality gets its own fitted clone. A transformer that centers, such as
    ``StandardScaler``, removes the gap.

    Parameters
    ----------
    transformer : transformer
        An unfitted estimator that returns as many features as it takes, with the same meaning
        in each modality (a rotation of its own, as by ``PCA``, would make rows of different
        modalities incomparable). ``StandardScaler()`` standardizes each modality (DrML, I0T),
        `ShrunkWhitener` whitens it, `TopComponentsRemover` takes its first principal components
        away.
    norm : {"l2", None}, default="l2"
        Whether to scale rows to unit length afterwards.

    Attributes
    ----------
    transformers_ : dict of str to transformer
        The fitted clone of each modality.
    counts_ : dict of str to int
        Number of fitted rows of each modality, without rows of length zero.
    encoder_ : str or None
        The encoder of the fitted rows, where they name it; rows of another are refused.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    gapremoval.ModalityGapRemover : Centers, and needs few rows for it.
    CovarianceAligner : Whitens each modality, and gives it the covariance of another one.

    Notes
    -----
    Rows are scaled to unit length first. Queries of a modality have a clone of their own if 16
    of them were fitted; fewer are transformed like the documents of the modality, if there are
    any. Without either, queries of several parts get the mean of what their parts would.

    `partial_fit` exists if the transformer has one, and updates the fitted clones.

    References
    ----------
    .. [1] Zhang et al., "Diagnosing and Rectifying Vision Models using Language" (DrML),
       ICLR 2023: each modality standardized.
    .. [2] An et al., "I0T: Embedding Standardization Method Towards Zero Modality Gap",
       ACL 2025.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.calibration import ByModality
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_pipeline(ByModality(StandardScaler()), MixedModalityRetriever()).fit(X, y)
    >>> sorted(pipe[0].transformers_)
    ['image', 'query:text', 'text']
    """

    _parameter_constraints = {
        "transformer": [HasMethods(["fit", "transform"])],
        "norm": [StrOptions({"l2"}), None],
    }
    _fixed_in_fit = ("transformer", "norm")

    def __init__(self, transformer, *, norm="l2"):
        self.transformer = transformer
        self.norm = norm

    partial_fit = available_if(lambda self: hasattr(self.transformer, "partial_fit"))(
        Mergeable.partial_fit
    )

    def _take(self, rows, y, again):
        tags, lengths = rows.tags, to_numpy(rows.lengths)
        warn_of_zero_rows(int((lengths == 0).sum()))
        states = (self.counts_, self.transformers_, self._waiting) if again else ({}, {}, {})
        self.counts_, self.transformers_, self._waiting = map(dict, states)
        # Documents first, since few queries use their transformers.
        for name in sorted(tags.counts(), key=is_query):
            at = np.flatnonzero(tags.codes == tags.names.index(name))
            unit = np.concatenate([*unit_blocks(rows.values, at, len(parts_of(name)) > 1)])
            self.counts_[name] = self.counts_.get(name, 0) + len(unit)
            if name in self._waiting:
                unit = np.concatenate([self._waiting.pop(name), unit])
            self._fit_one(name, unit)
        return lengths

    def _fit_one(self, name, unit):
        """Fit the transformer of a modality, or let its queries wait until they are enough."""
        earlier = self.transformers_.get(name)
        can_wait = is_query(name) and fallback_modalities(name, self.transformers_)
        if earlier is None and len(unit) < FEW_ROWS and can_wait:
            self._waiting[name] = unit
        elif earlier is not None and len(unit):
            # A copy, since this fit may fail yet.
            self.transformers_[name] = deepcopy(earlier).partial_fit(unit)
        elif len(unit):
            with config_context(skip_parameter_validation=False):
                self.transformers_[name] = clone(self.transformer).fit(unit)

    def _map(self, rows, name):
        enough = [k for k in self.transformers_ if not is_query(k) or self.counts_[k] >= FEW_ROWS]
        names = fallback_modalities(name, enough) or self._fallback(name, self.transformers_)
        host = to_numpy(rows)
        mapped = [np.asarray(self.transformers_[k].transform(host)) for k in names]
        if mapped[0].shape != host.shape:
            raise ValueError(
                f"{self.transformer} turned rows of shape {host.shape} into {mapped[0].shape}. "
                "Rows of different modalities are compared, so they keep their features: a "
                "common PCA, for example, is a step of the pipeline before this one."
            )
        if not np.isfinite(mapped).all():
            raise ValueError(f"{self.transformer} turned rows of {name!r} into NaN or infinity.")
        return beside(np.mean(mapped, axis=0), rows, rows.dtype)

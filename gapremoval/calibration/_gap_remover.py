"""ModalityGapRemover: subtract from each row the mean of its own modality."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from array_api_compat import is_numpy_array
from sklearn.base import OneToOneFeatureMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._array_api import (
    divisible_rows,
    is_writeable,
    namespace_and_device,
    row_blocks,
    row_spans,
    to_numpy,
)
from .._base import GapEstimator
from .._embeddings import EmbeddingArray
from .._modality import check_tag, is_query, parts_of
from .._threads import threaded_map
from .._validation import UNTAGGED, check_lengths, check_rows, compute_dtype
from .._warnings import warn
from ._centers import shrunk_centers, standing_for
from ._moments import pool_means, unit_moments
from ._subtraction import subtract_means

# Fewer rows than this say little about a mean: one row centres to zero and is never found.
FEW_ROWS = 16


class ModalityGapRemover(OneToOneFeatureMixin, GapEstimator):
    """Remove the modality gap: subtract each modality's own mean.

    CLIP-like encoders put images and texts into two separate clouds. Subtracting from
    every row the mean of its modality lays the clouds over each other, without training;
    queries have a mean of their own, because short questions and long documents sit in
    different places.

    Rows are brought to unit length first, so their scale does not matter; only rows tagged
    as queries of several parts (``query:image+text``), which are plain means of unit
    vectors, are taken as they are.

    Parameters
    ----------
    strength : float, default=1.0
        The share of the mean that is subtracted, at least 0; 1 removes the gap.
    norm : {"l2", None}, default="l2"
        Whether rows have unit length afterwards, as vector stores expect, or keep the
        length that the subtraction leaves. Renormalising puts a little of the gap back.
    shrinkage : float, default=16.0
        How many rows the mean behind a fitted one counts for, from 0 to ``np.inf``. Behind
        a query modality stands the corpus's own center of the modality that asks
        (``text`` behind ``query:text``, for several parts the mean of their centers), then
        the prior's for these queries, then the prior's for documents. Behind a document
        modality stands the prior's mean. 0 takes fitted means as they are, as in the paper;
        ``np.inf`` takes the prior's wherever it has one, so that nothing is learnt from the
        rows for it.
    prior : dict of str to array of shape (n_features,), default=None
        A mean of unit rows for each modality, such as the `centers_` of a remover that was
        fitted on many rows of a similar corpus.
    copy : bool, default=True
        With False, `transform` writes into the rows it is given where they are writeable
        and of a floating dtype.

    Attributes
    ----------
    means_ : dict of str to ndarray of float64 of shape (n_features,)
        The mean of the fitted unit rows of each modality.
    counts_ : dict of str to int
        The number of rows behind each; rows of length zero are not counted.
    centers_ : dict of str to ndarray of float64 of shape (n_features,)
        What `transform` subtracts (times `strength`): the means drawn towards what stands
        behind them.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    MixedModalityRetriever : Searches what this returns.

    Notes
    -----
    The centroids of the fitted document modalities are zero afterwards with
    ``strength=1, norm=None`` and no prior. Rows with equal means cannot be told apart by
    any linear classifier better than by a constant (Belrose 2023).

    A mean needs rows: `fit` warns of a document modality with fewer than 16. Queries whose
    mean is only the prior's are warned of in `transform`, because a query mean from another
    domain does more harm than the gap.

    References
    ----------
    .. [1] "Closing the Modality Gap for Mixed Modality Search" (GR-CLIP), arXiv 2507.19054.
    .. [2] Zhang et al., "Diagnosing and Rectifying Vision Models using Language" (DrML),
       ICLR 2023.
    .. [3] Zhang et al., "Connect, Collapse, Corrupt" (C3), ICLR 2024.
    .. [4] "I0T: Embedding Standardization Method Towards Zero Modality Gap", Dec 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> Z = ModalityGapRemover().fit_transform(X)
    >>> def gap(X):
    ...     text, image = (X.values[X.modality == m].mean(axis=0) for m in ("text", "image"))
    ...     return float(np.linalg.norm(text - image))
    >>> round(gap(X), 2), round(gap(Z), 2)
    (0.85, 0.0)
    """

    _parameter_constraints = {
        "strength": [Interval(Real, 0, None, closed="left")],
        "norm": [StrOptions({"l2"}), None],
        "shrinkage": [Interval(Real, 0, None, closed="both")],
        "prior": [Mapping, None],
        "copy": ["boolean"],
    }

    def __init__(self, *, strength=1.0, norm="l2", shrinkage=16.0, prior=None, copy=True):
        self.strength = strength
        self.norm = norm
        self.shrinkage = shrinkage
        self.prior = prior
        self.copy = copy

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, modality=None):
        """Take the mean of each modality, in one pass.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Documents and, where there are any, queries.
        y : object, default=None
            Ignored.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If rows hold NaN or infinity, tags are malformed or do not match the rows, or
            the prior does not fit them.
        """
        self._learn(X, modality)
        self._warn_of_few_rows()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, *, modality=None):
        """Add rows to those already seen; the order and the chunks do not matter.

        Nothing is said about few rows, since more may come.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Documents and, where there are any, queries.
        y : object, default=None
            Ignored.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`.
        """
        self._learn(X, modality, getattr(self, "counts_", ()), getattr(self, "means_", ()))
        return self

    def merge(self, other):
        """Add the rows that another remover has seen, as if they had been fitted here.

        Parameters
        ----------
        other : ModalityGapRemover
            Fitted, with as many features. It is not changed; its parameters do not matter.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `other` is no ModalityGapRemover.
        ValueError
            If the numbers of features differ.
        """
        if not isinstance(other, ModalityGapRemover):
            raise TypeError(f"merge takes another ModalityGapRemover; got {type(other).__name__}.")
        check_is_fitted(self)
        check_is_fitted(other)
        if self.n_features_in_ != other.n_features_in_:
            raise ValueError(
                f"Cannot merge means of {other.n_features_in_} features into means of "
                f"{self.n_features_in_}: they belong to different models."
            )
        with self._fitting() as twin:
            twin._set_means(*pool_means(self.counts_, self.means_, other.counts_, other.means_))
        return self

    def transform(self, X, *, modality=None):
        """Subtract from each row the center of its modality.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The rows.
        modality : str or sequence of str of shape (n_rows,), default=None
            Their modalities; not needed for an EmbeddingArray.

        Returns
        -------
        EmbeddingArray or array of shape (n_rows, n_features)
            What was given, corrected: the same kind of array, dtype and device. Integers
            become float64 (float32 as tensors).

        Raises
        ------
        ValueError
            If a modality was not fitted and nothing stands behind it, or rows hold NaN or
            infinity.

        Warns
        -----
        UserWarning
            If rows have length zero (they stay zero), or the queries' center is the
            prior's alone.
        """
        rows = check_rows(self, X, modality, known=getattr(self, "counts_", ()))
        corrected, n_zero = self._subtract(rows)
        _warn_of_zero_rows(n_zero)
        return _as_given(X, corrected, rows.tags)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None, *, modality=None):
        """Fit to the rows and transform them.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Documents and, where there are any, queries.
        y : object, default=None
            Ignored.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        EmbeddingArray or array of shape (n_rows, n_features)
            As from `transform`.

        Raises
        ------
        ValueError
            As `fit` and `transform`.
        """
        rows, lengths = self._learn(X, modality)
        self._warn_of_few_rows()
        # Rows of length zero have been told of.
        return _as_given(X, self._subtract(rows, lengths)[0], rows.tags)

    def _learn(self, X, modality, counts=(), means=()):
        """Take the mean of each modality, together with those taken before.

        Returns
        -------
        rows : Rows
        lengths : array of shape (n_rows,) or None
            Their lengths, where they were kept.
        """
        with self._fitting() as twin:
            rows = check_rows(twin, X, modality, reset=not counts, known=counts)
            values, tags = rows.values, rows.tags
            scaled = [len(parts_of(name)) == 1 for name in tags.names]
            new_counts, new_means, lengths = unit_moments(values, tags.codes, scaled)
            _warn_of_zero_rows(len(tags) - int(new_counts.sum()))
            at = {name: tags.names.index(name) for name in tags.counts()}
            new_counts = {name: int(new_counts[i]) for name, i in at.items()}
            new_means = {name: new_means[i] for name, i in at.items()}
            twin._set_means(*pool_means(counts, means, new_counts, new_means))
        return rows, lengths

    def _set_means(self, counts, means):
        prior = self._checked_prior()
        self.centers_, self._borrowed = shrunk_centers(counts, means, prior, self.shrinkage)
        self.counts_, self.means_ = counts, means

    def _subtract(self, rows, lengths=None):
        """The corrected rows, and how many have length zero."""
        values, tags = rows.values, rows.tags
        xp, place = namespace_and_device(values)
        dtype = compute_dtype(values)
        centers = np.zeros((len(tags.names), self.n_features_in_))
        for name in tags.counts():
            centers[tags.names.index(name)] = self.strength * self._center(name)
        centers = xp.asarray(centers, dtype=dtype, device=place)
        kept = [len(parts_of(name)) > 1 for name in tags.names]
        kept = xp.asarray(kept, device=place) if any(kept) else None
        is_floating = xp.isdtype(values.dtype, "real floating")
        in_place = not self.copy and is_floating and is_writeable(values)
        if in_place:  # All rows are checked before the first is overwritten.
            out, lengths = values, rows.lengths if lengths is None else lengths
        else:
            out = xp.empty_like(values, dtype=None if is_floating else dtype)

        def correct(span):
            """Correct the rows of a span; returns how many have length zero."""
            n_zero = 0
            for block in row_blocks(values[span, ...]):
                at = slice(span.start + block.start, span.start + block.stop)
                codes = xp.asarray(tags.codes[at].astype(np.int64), device=place)
                taken, divisors, found = divisible_rows(
                    xp.astype(values[at, ...], dtype, copy=False),
                    None if kept is None else xp.take(kept, codes),
                    None if lengths is None else lengths[at],
                )
                if lengths is None:
                    check_lengths(found, first_row=at.start)
                n_zero += int(xp.count_nonzero(found == 0))
                subtract_means(
                    taken, codes, centers, divisors=divisors, norm=self.norm, out=out[at, ...]
                )
            return n_zero

        spans = row_spans(values)
        each = threaded_map if len(spans) > 1 and is_numpy_array(values) else map
        return out, sum(each(correct, spans))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags

    def _checked_prior(self):
        """The prior as float64 on the host."""
        prior = {}
        for name, mean in (self.prior or {}).items():
            prior[check_tag(name)] = mean = np.asarray(to_numpy(mean), dtype=np.float64)
            if mean.shape != (self.n_features_in_,) or not np.isfinite(mean).all():
                raise ValueError(
                    f"The prior's mean of {name!r} must be a finite vector of shape "
                    f"({self.n_features_in_},), as the rows'; got shape {mean.shape}."
                )
            if (length := np.linalg.norm(mean)) > 1 + 1e-3:
                raise ValueError(
                    f"The prior's mean of {name!r} has length {length:.3g}, and a mean of rows of "
                    "unit length has at most 1: normalise the rows before taking it, or take "
                    "another remover's centers_."
                )
        return prior

    def _center(self, name):
        """The center of a modality that need not have been fitted itself."""
        names = standing_for(name, self.centers_)
        if not names and is_query(name):
            raise ValueError(
                f"No mean stands behind {name!r}: neither such queries nor documents of "
                f"{' and '.join(map(repr, parts_of(name)))} were fitted (only "
                f"{', '.join(map(repr, self.counts_))}). Add typical questions to the fitted "
                f"rows, tagged {name!r} with y None, or give a prior for {name!r}."
            )
        if not names:
            raise ValueError(
                f"Modality {name!r} was not fitted; fitted were "
                f"{', '.join(map(repr, self.counts_))}. Fit on rows of {name!r} too, or give a "
                "prior for it."
            )
        if is_query(name) and not self._borrowed.isdisjoint(names):
            warn(
                f"The mean of {name!r} is the prior's alone. From another domain it ruins the "
                f"search: add typical questions to the fitted rows, tagged {name!r} with y "
                "None.",
            )
        return np.mean([self.centers_[k] for k in names], axis=0)

    def _warn_of_few_rows(self):
        few = {
            name: n
            for name, n in self.counts_.items()
            if n < FEW_ROWS and not is_query(name) and name not in {UNTAGGED, *(self.prior or ())}
        }
        if few:
            shown = ", ".join(f"{n} of {name!r}" for name, n in few.items())
            warn(
                f"Few rows to take a mean from: {shown}. Fewer than {FEW_ROWS} say little "
                "(one row centres to zero and is never found, two become opposites): give "
                "more rows, or a prior.",
            )


def _as_given(X, values, tags):
    """Rows in the form in which others were given: tagged or bare."""
    return EmbeddingArray(values, tags) if isinstance(X, EmbeddingArray) else values


def _warn_of_zero_rows(n_zero):
    if n_zero:
        warn(
            f"{n_zero} row{'s have' if n_zero > 1 else ' has'} length zero: left out of the "
            "means, and zero after the correction. Often a failed encoding.",
        )

"""ModalityGapRemover: subtract from each row the mean of its own modality."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from array_api_compat import is_numpy_array
from sklearn.base import OneToOneFeatureMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._array_api import (
    array_namespace,
    divide_rows,
    divisible_rows,
    is_writeable,
    namespace_and_device,
    row_blocks,
    row_lengths,
    row_spans,
    to_numpy,
    unit_rows,
)
from .._base import GapEstimator
from .._embeddings import EmbeddingArray
from .._modality import QUERY, check_tag, is_query, parts_of
from .._threads import threaded_map
from .._validation import UNTAGGED, check_lengths, check_rows, compute_dtype
from .._warnings import did_you_mean, warn
from ._moments import pool_means, unit_moments
from ._question_means import merge_questions, question_mean, sample_questions

# Fewer rows than this say little about a mean: a single row is centered to zero.
FEW_ROWS = 16


def subtract_means(rows, codes, means, *, divisors=None, norm="l2", out=None):
    """Subtract from each row the mean of its modality, and scale it to unit length again.

    ``e' = e - mean``, then ``e' / |e'|`` (GR-CLIP, arXiv 2507.19054, section 4).

    Parameters
    ----------
    rows : array of shape (n_rows, n_features), floating
        An array of any library that follows the array API standard.
    codes : array of int64 of shape (n_rows,)
        The modality of each row, as an index into `means`.
    means : array of shape (n_modalities, n_features)
        The vectors to subtract, in the dtype of `rows`.
    divisors : array of shape (n_rows,), default=None
        Each row is divided by its divisor before the subtraction, usually by its length; 0
        marks rows of zeros. By default rows are not divided.
    norm : {"l2", None}, default="l2"
        Whether the result has unit length, or the length of the residual.
    out : array of shape (n_rows, n_features), default=None
        The output array, which may be `rows` and have another floating dtype; by default a
        new array.

    Returns
    -------
    array of shape (n_rows, n_features)
        `out`. Rows of length zero stay zero. Rows that equal their mean up to rounding become
        zero, because the direction of a rounding error carries no information.
    """
    xp = array_namespace(rows)
    if divisors is None:
        divisors = xp.astype(unit_rows(rows)[1] > 0, rows.dtype)
    out = xp.empty_like(rows) if out is None else out
    # -(e - mean) times the divisor, in one array that stays in the cache.
    residual = xp.take(means, codes, axis=0)
    if not bool(xp.all(divisors == 1)):
        residual *= divisors[:, None]
    residual -= rows
    lengths = row_lengths(residual)
    rounding = 32 * xp.finfo(rows.dtype).eps * row_lengths(means)
    has_direction = lengths > divisors * xp.take(rounding, codes)
    scale = divisors if norm is None else lengths
    divide_rows(residual, xp.where(has_direction, -scale, xp.full_like(scale, xp.inf)), out)
    return out


def fallback_modalities(name, centers):
    """The modalities whose average center serves as the center of `name`.

    Parameters
    ----------
    name : str
        A modality.
    centers : collection of str
        The modalities that have a center.

    Returns
    -------
    list of str
        `name` itself, if it has a center; else, for a query modality, the modalities of its
        parts (``["text"]`` for ``query:text``, ``["query:text", "image"]`` for
        ``query:image+text``). Empty if one of them has no center either.
    """
    if name in centers or not is_query(name):
        return [name] if name in centers else []
    parts = parts_of(name)
    if len(parts) == 1:
        return [parts[0]] if parts[0] in centers else []
    found = [fallback_modalities(QUERY + part, centers) for part in parts]
    return [names[0] for names in found] if all(found) else []


def shrunken_centers(counts, means, prior, shrinkage, questions):
    """Shrink fitted means towards their prior means.

    A center is ``(n * mean + shrinkage * prior_mean) / (n + shrinkage)``. The prior mean of a
    document modality comes from `prior`. That of a query modality is the corpus's own center
    of the same modality, else the query mean in `prior`, else the document mean in `prior`.

    Parameters
    ----------
    counts : dict of str to int
        The number of fitted rows of each modality.
    means, prior : dict of str to ndarray of shape (n_features,)
        Fitted and prior means by modality.
    shrinkage : float in [0, inf]
        The pseudo-count of the prior mean. With ``inf`` every center is the prior's, where
        `prior` has one. With 0 every center is the fitted mean.
    questions : dict of str to ndarray of shape (n_questions, n_features)
        By query modality, a sample of the questions asked. Its mean takes the place of the
        fitted one, so that repetitions have no more weight than one question.

    Returns
    -------
    centers : dict of str to ndarray of float64 of shape (n_features,)
        For all modalities in `counts` or `prior`.
    from_prior : set of str
        The modalities whose center comes from `prior` alone.
    """
    centers, from_prior = {}, set()
    # Documents first, then queries, then queries of several parts: each may fall back on the
    # centers before it.
    for name in sorted({*counts, *prior}, key=lambda x: (is_query(x), len(parts_of(x)), x)):
        fitted = {k: c for k, c in centers.items() if counts.get(k) and k not in from_prior}
        own = fitted if is_query(name) else {}
        sources = [own, prior] if shrinkage < np.inf else [prior, own]
        n, mean, prior_mean, uses_prior = counts.get(name, 0), means.get(name), None, False
        for source in (*sources, {**prior, **own}):
            if names := fallback_modalities(name, source):
                prior_mean = np.mean([source[k] for k in names], axis=0)
                uses_prior = any(source[k] is prior.get(k) for k in names)
                break
        if n and name in questions and shrinkage > 0:
            n, mean = question_mean(questions[name], prior_mean)
        if prior_mean is None:
            centers[name] = mean
        elif n == 0 or shrinkage == np.inf:
            centers[name] = prior_mean
            if uses_prior:
                from_prior.add(name)
        else:
            centers[name] = (n * mean + shrinkage * prior_mean) / (n + shrinkage)
    return centers, from_prior


class ModalityGapRemover(OneToOneFeatureMixin, GapEstimator):
    """Remove the modality gap by centering each modality on its own mean.

    CLIP-like encoders place images and texts in two separate clouds. Subtracting the mean of
    each modality moves the clouds onto each other, without any training. Queries are centered
    on a mean of their own, because short questions and long documents are distributed
    differently.

    Rows are scaled to unit length first, so their scale does not matter. Only query rows of
    several parts (``query:image+text``), which are plain means of unit vectors, keep their
    length.

    Parameters
    ----------
    strength : float, default=1.0
        Fraction of the mean to subtract, at least 0. With 1 the gap is removed completely.
    norm : {"l2", None}, default="l2"
        Whether to scale rows to unit length after centering. Vector databases usually expect
        unit rows; scaling brings a little of the gap back. ``None`` keeps the length of the
        residual, as in the paper.
    shrinkage : float, default=16.0
        Pseudo-count of the prior mean, from 0 to ``np.inf``: a modality with `n` rows and
        mean `x` is centered on ``(n * x + shrinkage * prior_mean) / (n + shrinkage)``. The
        prior mean of ``query:text`` is the corpus's own center of ``text``; for a query of
        several parts it is the average of the parts' centers. Where the corpus has no such
        rows, and for document modalities, it comes from `prior`. With 0 the fitted means are
        used as they are, as in the paper; with ``np.inf`` the means in `prior` are, wherever
        they exist.
    prior : dict of str to array of shape (n_features,), default=None
        Prior means of unit rows by modality, such as `centers_` of a remover that was fitted
        on a larger, similar corpus.
    copy : bool, default=True
        If False, `transform` overwrites its input where that is writeable and floating.

    Attributes
    ----------
    means_ : dict of str to ndarray of float64 of shape (n_features,)
        Mean of the fitted unit rows of each modality.
    counts_ : dict of str to int
        Number of fitted rows of each modality, without rows of length zero.
    centers_ : dict of str to ndarray of float64 of shape (n_features,)
        The vectors that `transform` subtracts (times `strength`): `means_`, shrunk towards
        the prior means.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    MixedModalityRetriever : Searches the centered rows.
    gapremoval.calibration.drift : Tells when to fit again.

    Notes
    -----
    With ``strength=1``, ``norm=None`` and no prior the centroid of every fitted document
    modality is zero afterwards. No linear classifier can then tell the modalities apart
    better than a constant (Belrose 2023).

    A mean needs rows: `fit` warns if a document modality has fewer than 16. `transform` warns
    if the center of a query modality comes from `prior` alone, because a query mean from
    another domain does more harm than the gap.

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
        """Compute the mean of each modality, in one pass.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Documents and, if there are any, queries.
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
            If rows hold NaN or infinity, modalities are malformed or do not match the rows,
            or the prior does not fit the rows.
        """
        self._learn(X, modality)
        self._warn_of_few_rows()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, *, modality=None):
        """Add rows to those already seen, in any order and in batches of any size.

        Few rows cause no warning here, since more may come.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Documents and, if there are any, queries.
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
            As in `fit`.
        """
        seen = (getattr(self, name, {}) for name in ("counts_", "means_", "_questions"))
        self._learn(X, modality, *seen)
        return self

    def merge(self, other):
        """Add the rows that another remover has seen.

        The result equals a fit on the rows of both.

        Parameters
        ----------
        other : ModalityGapRemover
            Fitted on rows with the same number of features. It is not changed, and its
            parameters are not used.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `other` is not a ModalityGapRemover.
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
        with self._fitting() as copy:
            questions = dict(self._questions)
            for name, rows in other._questions.items():
                questions[name] = merge_questions([questions.get(name, rows[:0]), rows])
            pooled = pool_means(self.counts_, self.means_, other.counts_, other.means_)
            copy._set_means(*pooled, questions)
        return self

    def transform(self, X, *, modality=None):
        """Subtract from each row the center of its modality.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The rows.
        modality : str or sequence of str of shape (n_rows,), default=None
            The modality of each row; not needed for an EmbeddingArray.

        Returns
        -------
        EmbeddingArray or array of shape (n_rows, n_features)
            The centered rows: the same kind of array as `X`, on the same device and in the
            same dtype. Integers become float64 (float32 in tensors).

        Raises
        ------
        ValueError
            If a modality has neither a center nor a fallback, or rows hold NaN or infinity.

        Warns
        -----
        UserWarning
            If rows have length zero (they stay zero), or the center of a query modality comes
            from the prior alone.
        """
        rows = check_rows(self, X, modality, known=getattr(self, "counts_", ()))
        centered, n_zero = self._subtract(rows)
        _warn_of_zero_rows(n_zero)
        return _like(X, centered, rows.tags)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None, *, modality=None):
        """Compute the mean of each modality and subtract it.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Documents and, if there are any, queries.
        y : object, default=None
            Ignored.
        modality : str or sequence of str of shape (n_rows,), default=None
            The modality of each row; not needed for an EmbeddingArray.

        Returns
        -------
        EmbeddingArray or array of shape (n_rows, n_features)
            As from `transform`.

        Raises
        ------
        ValueError
            As in `fit` and `transform`.
        """
        rows, lengths = self._learn(X, modality)
        self._warn_of_few_rows()
        return _like(X, self._subtract(rows, lengths)[0], rows.tags)

    def _learn(self, X, modality, counts=(), means=(), questions=()):
        """Compute the means, pooled with earlier ones; return the rows and their lengths."""
        with self._fitting() as copy:
            rows = check_rows(copy, X, modality, reset=not counts, known=counts)
            tags = rows.tags
            scaled = [len(parts_of(name)) == 1 for name in tags.names]
            new_counts, new_means, lengths = unit_moments(rows.values, tags.codes, scaled)
            _warn_of_zero_rows(len(tags) - int(new_counts.sum()))
            at = {name: tags.names.index(name) for name in tags.counts()}
            new_counts = {name: int(new_counts[i]) for name, i in at.items()}
            new_means = {name: new_means[i] for name, i in at.items()}
            questions = dict(questions)
            for name in filter(is_query, at):
                of_name = np.flatnonzero(tags.codes == at[name])
                questions[name] = sample_questions(
                    rows.values, of_name, not scaled[at[name]], questions.get(name)
                )
            copy._set_means(*pool_means(counts, means, new_counts, new_means), questions)
        return rows, lengths

    def _set_means(self, counts, means, questions):
        prior = self._checked_prior()
        centers = shrunken_centers(counts, means, prior, self.shrinkage, questions)
        self.centers_, self._from_prior = centers
        self.counts_, self.means_, self._questions = counts, means, questions

    def _subtract(self, rows, lengths=None):
        """The centered rows, and the number of rows of length zero."""
        values, tags = rows.values, rows.tags
        xp, place = namespace_and_device(values)
        dtype = compute_dtype(values)
        centers = np.zeros((len(tags.names), self.n_features_in_))
        for name in tags.counts():
            centers[tags.names.index(name)] = self.strength * self._center(name)
        centers = xp.asarray(centers, dtype=dtype, device=place)
        keeps_length = [len(parts_of(name)) > 1 for name in tags.names]
        keeps_length = xp.asarray(keeps_length, device=place) if any(keeps_length) else None
        is_floating = xp.isdtype(values.dtype, "real floating")
        if not self.copy and is_floating and is_writeable(values):
            # All rows are checked before the first is overwritten.
            out, lengths = values, rows.lengths if lengths is None else lengths
        else:
            out = xp.empty_like(values, dtype=None if is_floating else dtype)

        def center(span):
            """Center the rows of a span; return the number of rows of length zero."""
            n_zero = 0
            for block in row_blocks(values[span, ...]):
                at = slice(span.start + block.start, span.start + block.stop)
                codes = xp.asarray(tags.codes[at].astype(np.int64), device=place)
                block, divisors, found = divisible_rows(
                    xp.astype(values[at, ...], dtype, copy=False),
                    None if keeps_length is None else xp.take(keeps_length, codes),
                    None if lengths is None else lengths[at],
                )
                if lengths is None:
                    check_lengths(found, first_row=at.start)
                n_zero += int(xp.count_nonzero(found == 0))
                subtract_means(
                    block, codes, centers, divisors=divisors, norm=self.norm, out=out[at, ...]
                )
            return n_zero

        each = threaded_map if is_numpy_array(values) else map
        return out, sum(each(center, row_spans(values)))

    def _checked_prior(self):
        """The prior means as float64 on the host."""
        prior = {}
        for name, mean in (self.prior or {}).items():
            prior[check_tag(name)] = mean = np.asarray(to_numpy(mean), dtype=np.float64)
            if mean.shape != (self.n_features_in_,) or not np.isfinite(mean).all():
                raise ValueError(
                    f"The prior mean of {name!r} must be a finite vector of shape "
                    f"({self.n_features_in_},), like the rows; got shape {mean.shape}."
                )
            if (length := np.linalg.norm(mean)) > 1 + 1e-3:
                raise ValueError(
                    f"The prior mean of {name!r} has length {length:.3g}; a mean of unit rows has "
                    "at most length 1. Normalize the rows before averaging them, or use the "
                    "centers_ of another remover."
                )
        return prior

    def _center(self, name):
        """The center of a modality, fitted or by its fallback."""
        names = fallback_modalities(name, self.centers_)
        if not names:
            fitted = f"{', '.join(map(repr, self.counts_))}.{did_you_mean(name, self.counts_)}"
            if is_query(name):
                raise ValueError(
                    f"{name!r} has no center and no fallback: neither such queries nor documents "
                    f"of {' and '.join(map(repr, parts_of(name)))} were fitted, only {fitted} Add "
                    f"typical questions to the fitted rows, tagged {name!r} with y None, or give "
                    f"a prior for {name!r}."
                )
            raise ValueError(
                f"Modality {name!r} was not fitted; fitted were {fitted} Fit on rows of {name!r} "
                "too, or give a prior for it."
            )
        if is_query(name) and not self._from_prior.isdisjoint(names):
            warn(
                f"The center of {name!r} comes from the prior alone. A prior from another domain "
                "ruins the search: add typical questions to the fitted rows, tagged "
                f"{name!r} with y None.",
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
                f"Few rows to take a mean from: {shown}. With fewer than {FEW_ROWS} rows the "
                "center is mostly noise (a single row is centered to zero and never found, two "
                "rows become opposites): give more rows, or a prior.",
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags


def _like(X, values, tags):
    """Rows as an EmbeddingArray if `X` is one, else as a bare array."""
    return EmbeddingArray(values, tags) if isinstance(X, EmbeddingArray) else values


def _warn_of_zero_rows(n_zero):
    if n_zero:
        warn(
            f"{n_zero} row{'s have' if n_zero > 1 else ' has'} length zero: left out of the "
            "means, and zero after the correction. The usual cause is a failed encoding.",
        )

"""ModalityGapRemover: subtract from each row the mean of its own modality."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from array_api_compat import is_numpy_array
from sklearn.utils._param_validation import Interval, StrOptions

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
from .._modality import check_tag, parts_of
from .._threads import threaded_map
from .._validation import check_lengths, compute_dtype
from ._moment_calibrator import Mergeable, MomentCalibrator


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


class ModalityGapRemover(Mergeable, MomentCalibrator):
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
        mean `x` is centered on ``(n * x + shrinkage * prior_mean) / (n + shrinkage)``. Of
        queries, `n` is the effective number: repetitions of a question count once. The
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
        the prior means; for queries the mean of the questions, each counted once.
    encoder_ : str or None
        The encoder of the fitted rows, where they name it; rows of another are refused.
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

    Parameters that were changed after a fit, other than `copy`, are refused until the next
    one: rows that are indexed and those that ask would be centered differently.

    In the mean of queries every question has the same weight, however often it was asked and
    up to slight changes in its words: a query's weight is one over the mass of its neighbors
    (biweight kernel of the centered rows). The mean is taken over a sample of at most 1,024
    questions, which are kept. With ``shrinkage=0`` it is the mean of all rows.

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
    _fixed_in_fit = ("strength", "norm", "shrinkage", "prior")

    def __init__(self, *, strength=1.0, norm="l2", shrinkage=16.0, prior=None, copy=True):
        self.strength = strength
        self.norm = norm
        self.shrinkage = shrinkage
        self.prior = prior
        self.copy = copy

    def _map_rows(self, rows, lengths=None):
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

"""The shape of each modality's cloud: its cone, its dimensions, the spread of its scores."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from sklearn.utils import check_random_state, check_scalar

from ._rows import draw, read


class ModalityStatistics(NamedTuple):
    """Statistics of the unit rows of one modality.

    Attributes
    ----------
    n_rows : int
        Number of rows, without those of length zero.
    mean_length : float
        Length of their mean, in [0, 1]: 1 where all are equal. Its square is the mean cosine of
        the rows, each with itself included.
    spread : float
        Root of the mean squared distance from the mean, ``sqrt(1 - mean_length ** 2)``.
    cone_angle : float
        Mean angle between the rows and their mean, in degrees.
    effective_dimension : float
        See `effective_dimension`.
    """

    n_rows: int
    mean_length: float
    spread: float
    cone_angle: float
    effective_dimension: float


def modality_statistics(X, *, max_rows=5000, random_state=0, modality=None):
    """Size, cone and dimension of the cloud of each modality.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    max_rows : int, default=5000
        For the angle and the dimension, of a modality with more rows a sample of this size is
        taken; None takes all.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    dict of str to ModalityStatistics
        For each modality, those of queries included.

    Raises
    ------
    ValueError
        If modalities are not known, or rows hold NaN or infinity.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap: Understanding the Modality Gap in Multi-modal Contrastive
       Representation Learning", NeurIPS 2022, section 2: the cone effect.
    .. [2] Mardia and Jupp, "Directional Statistics", 2000, section 9.2: the mean resultant length.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import modality_statistics
    >>> X, y = make_mixed_modality(random_state=0)
    >>> texts = modality_statistics(X)["text"]
    >>> texts.n_rows, round(texts.mean_length, 2), round(texts.cone_angle)
    (200, 0.72, 44)

    As a table:

    >>> import pandas as pd
    >>> statistics = modality_statistics(X)
    >>> pd.DataFrame(statistics.values(), index=statistics).round(2)
                n_rows  mean_length  spread  cone_angle  effective_dimension
    image          200         0.72    0.69       43.72                36.20
    text           200         0.72    0.69       43.71                35.60
    query:text     300         0.72    0.69       43.80                38.14
    """
    rows, found = read(X, modality), {}
    for name, at in rows.positions.items():
        (unit,) = rows.sample([name], max_rows, random_state)
        length = min(float(np.linalg.norm(rows.means[name])), 1.0)
        cosines = np.clip(unit @ rows.means[name] / (length or 1), -1, 1)
        found[name] = ModalityStatistics(
            n_rows=len(at),
            mean_length=length,
            spread=float(np.sqrt(1 - length**2)),
            cone_angle=float(np.degrees(np.arccos(cosines)).mean()),
            effective_dimension=_participation_ratio(unit),
        )
    return found


def effective_dimension(X, *, max_rows=5000, random_state=0, modality=None):
    """Number of dimensions in which the rows of each modality vary.

    The participation ratio of the covariance C, ``tr(C)^2 / tr(C^2)``: k where the rows vary
    equally in k directions.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    max_rows : int, default=5000
        Of a modality with more rows, a sample of this size is taken; None takes all.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    dict of str to float
        In [1, n_features] for each modality, and at most its number of rows less 1, so few rows
        give too little; 0 where all rows are equal.

    Raises
    ------
    ValueError
        If modalities are not known, or rows hold NaN or infinity.

    References
    ----------
    .. [1] Gao et al., "A theory of multineuronal dimensionality, dynamics and measurement",
       bioRxiv 214262, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import EmbeddingArray
    >>> from gapremoval.metrics import effective_dimension
    >>> X = EmbeddingArray(np.vstack([np.eye(4), -np.eye(4)]), "image")
    >>> round(effective_dimension(X)["image"], 6)
    4.0
    """
    rows, found = read(X, modality), {}
    for name in rows.positions:
        (unit,) = rows.sample([name], max_rows, random_state)
        found[name] = _participation_ratio(unit)
    return found


def _participation_ratio(rows):
    """The squared trace of the covariance over the trace of its square."""
    centered = rows - rows.mean(axis=0)
    # The smaller of the two matrices that have the same eigenvalues.
    centered = centered if len(rows) > rows.shape[1] else centered.T
    scatter = centered.T @ centered
    trace = np.trace(scatter)
    return float(trace**2 / np.sum(scatter**2)) if trace > 1e-12 * len(rows) else 0.0


def subspace_overlap(
    X, between=None, *, n_components=10, max_rows=5000, random_state=0, modality=None
):
    """How far two modalities vary in the same directions.

    The mean squared cosine of the principal angles between the spaces of the first principal
    components of both modalities.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    between : sequence of two str, default=None
        The two modalities; by default the two that the documents have.
    n_components : int, default=10
        Dimension of the two spaces, at least 1; at most `n_features` and the number of rows of a
        modality less 1.
    max_rows : int, default=5000
        Of a modality with more rows, a sample of this size is taken; None takes all.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    float
        In [0, 1]: 1 for the same space, 0 for orthogonal ones, ``n_components / n_features`` by
        chance.

    Raises
    ------
    ValueError
        If `n_components` is less than 1; also as in `centroid_distance`.

    References
    ----------
    .. [1] Krzanowski, "Between-Groups Comparison of Principal Components", Journal of the American
       Statistical Association 74, 1979.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import subspace_overlap
    >>> X, y = make_mixed_modality(random_state=0)
    >>> round(subspace_overlap(X), 2)
    0.01
    >>> round(subspace_overlap(X, between=("text", "query:text")), 2)
    0.56
    """
    check_scalar(n_components, "n_components", Integral, min_val=1)
    rows = read(X, modality)
    both = rows.sample(rows.between(between), max_rows, random_state)
    n = min(n_components, *(min(len(x) - 1, x.shape[1]) for x in both))
    one, other = (_main_directions(x, n) for x in both)
    return float(np.sum((one.T @ other) ** 2) / n)


def _main_directions(rows, n):
    """The first principal components of rows, shape (n_features, n)."""
    centered, n_features = rows - rows.mean(axis=0), rows.shape[1]
    return eigh(centered.T @ centered, subset_by_index=[n_features - n, n_features - 1])[1]


def score_scale(X, y=None, between=None, *, max_rows=2000, random_state=0, modality=None):
    """How much more cosines vary within a modality than across modalities.

    The standard deviation of the cosines of rows of the same modality, over that of rows of
    different modalities. Centering does not make it 1: the best of many wrong documents then
    still has the query's own modality. Score calibrations such as `PosteriorOdds` divide by it.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    y : sequence of length n_rows, default=None
        The id of each document row and the relevance of each query row, as for a fit. Cosines of
        rows that share an id are left out, since only those of wrong documents are meant.
    between : sequence of two str, default=None
        The two modalities; by default the two that the documents have.
    max_rows : int, default=2000
        Of a modality with more rows, a sample of this size is taken; None takes all. Time and
        memory grow with its square.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    float
        At least 0; 1 where scores vary alike. NaN where cosines across do not vary at all.

    Raises
    ------
    ValueError
        As in `centroid_distance`; each modality needs at least three rows.

    Examples
    --------
    >>> from gapremoval import ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import score_scale
    >>> X, y = make_mixed_modality(random_state=0)
    >>> round(score_scale(ModalityGapRemover().fit_transform(X), y), 2)
    1.73
    """
    rows, rng = read(X, modality), check_random_state(random_state)
    names = rows.between(between, least=3)
    at = [draw(rows.positions[name], max_rows, rng) for name in names]
    units, ids = [*map(rows.unit, at)], [None, None]
    if y is not None:
        has_id = rows.id_matrix(y, names)
        ids = [has_id[drawn] for drawn in at]
    within = [_deviation(unit, unit, own, own) for unit, own in zip(units, ids)]
    across = _deviation(*units, *ids)
    return float(np.mean(within) / across) if across > 1e-12 else np.nan


def _deviation(one, other, ids, other_ids):
    """Standard deviation of the cosines of different rows that share no id."""
    counted = np.tri(len(one), len(other), -1 if one is other else len(other), dtype=bool)
    if ids is not None:
        counted[(ids @ other_ids.T).nonzero()] = False
    cosines = (one @ other.T)[counted]
    return cosines.std() if len(cosines) else np.nan

"""Where the gap lies: in which moments, in which dimensions, in which part of the corpus."""

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.utils import check_random_state

from .._items import is_missing
from .._relevance import check_y, group_ids
from .._warnings import shown
from ._distributions import frechet_parts
from ._gap_test import effect_size
from ._rows import draw, read

N_SHOWN = 3  # dimensions in a repr


class GapComponents(NamedTuple):
    """Parts of the squared Frechet distance; the first three sum to it.

    Attributes
    ----------
    mean : float
        Squared distance of the means: what `ModalityGapRemover` removes.
    scale : float
        Squared difference of the spreads: what `AnchorAndScale` removes besides.
    directions : float
        What is left where means and spreads are equal: the modalities vary in different
        directions. `CovarianceAligner` removes it.
    directions_by_chance : float
        What `directions` is if as many rows are drawn alike. It is large where rows are few.
    """

    mean: float
    scale: float
    directions: float
    directions_by_chance: float


class GapDimensions(NamedTuple):
    """Dimensions, those that carry most of the gap first.

    Attributes
    ----------
    dimensions : ndarray of int of shape (n_features,)
    shares : ndarray of float64 of shape (n_features,)
        Their shares of the squared distance of the means, descending; the sum is 1.
    """

    dimensions: np.ndarray
    shares: np.ndarray

    def __repr__(self):
        n_more = len(self.dimensions) - N_SHOWN
        more = f", and {n_more:,} more" if n_more > 0 else ""
        first = (shown(values[:N_SHOWN].round(3).tolist()) + more for values in self)
        return "GapDimensions(dimensions=[{}], shares=[{}])".format(*first)


class GroupGap(NamedTuple):
    """The gap within one group of documents.

    Attributes
    ----------
    n_rows : dict of str to int
        Number of rows of each modality that were compared.
    distance : float
        Distance of the means; NaN where a modality has no row in the group.
    effect_size : float
        As in `ModalityGapTest`; NaN where the group has fewer than three rows, or none of a
        modality.
    """

    n_rows: dict
    distance: float
    effect_size: float


def gap_components(X, between=None, *, max_rows=5000, random_state=0, modality=None):
    """How much of the gap lies in the mean, in the scale and in the directions.

    The squared `frechet_distance` of two modalities is the sum of three parts, and each has a
    calibrator that removes it. The first is what is called the modality gap.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    between : sequence of two str, default=None
        The two modalities; by default the two that the documents have.
    max_rows : int, default=5000
        Of a modality with more rows, a sample of this size is taken; None takes all.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample, and of the rows that `directions_by_chance` is measured on.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    GapComponents
        `mean`, `scale` and `directions`, each at least 0, and `directions_by_chance`.

    Raises
    ------
    ValueError
        As in `centroid_distance`.

    Notes
    -----
    With means m and m', covariances C and C', and spreads ``s = sqrt(tr(C))`` and s' the parts are
    ``|m - m'|^2``, ``(s - s')^2`` and ``2 s s' (1 - F)``. F is the fidelity
    ``tr((C C')^(1/2)) / (s s')``, in [0, 1], and 1 where the covariances differ by a factor only.
    By chance: that of a random division of all rows, centered and with the same spread.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import gap_components
    >>> X, y = make_mixed_modality(random_state=0)
    >>> [round(part, 2) for part in gap_components(X)]
    [0.72, 0.0, 0.48, 0.08]
    """
    rows, rng = read(X, modality), check_random_state(random_state)
    one, other = rows.sample(rows.between(between), max_rows, rng)
    parts = frechet_parts(one, other)
    centered = [x - x.mean(axis=0) for x in (one, other)]
    spreads = [np.linalg.norm(x) / np.sqrt(len(x) - 1) for x in centered]
    alike = [x / spread if spread > 1e-12 else x for x, spread in zip(centered, spreads)]
    alike = rng.permutation(np.concatenate(alike))
    *_, by_chance = frechet_parts(alike[: len(one)], alike[len(one) :])
    return GapComponents(*parts, float(by_chance * spreads[0] * spreads[1]))


def gap_dimensions(X, between=None, *, modality=None):
    """The dimensions in which the means of two modalities differ most.

    Encoders have a few rogue dimensions: in CLIP ViT-B/32 and B/16 three of 512 carry more than
    half of the squared distance.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    between : sequence of two str, default=None
        The two modalities; by default the two that the documents have.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    GapDimensions
        `dimensions` and `shares`; shares are 0 where the means are equal.

    Raises
    ------
    ValueError
        As in `centroid_distance`.

    References
    ----------
    .. [1] Schrodi et al., "Two Effects, One Trigger: On the Modality Gap, Object Bias, and
       Information Imbalance in Contrastive Vision-Language Models", ICLR 2025, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import EmbeddingArray
    >>> from gapremoval.metrics import gap_dimensions
    >>> text, image = np.array([[2.0, 0, 1], [2, 0, -1]]), np.array([[0, 1.0, 2], [0, 1, -2]])
    >>> found = gap_dimensions(EmbeddingArray.concatenate({"text": text, "image": image}))
    >>> found
    GapDimensions(dimensions=[0, 1, 2], shares=[0.8, 0.2, 0.0])
    """
    rows = read(X, modality)
    one, other = rows.between(between)
    squares = (rows.means[one] - rows.means[other]) ** 2
    order = np.argsort(-squares, kind="stable")
    return GapDimensions(order, squares[order] / (squares.sum() or 1))


def gap_by_group(
    X, groups=None, between=None, *, n_clusters=8, max_rows=5000, random_state=0, modality=None
):
    """The gap within each group of documents, such as a domain or a cluster.

    One mean per modality removes the gap that all groups have in common. Where it differs, part
    of it is left within the groups: measure the corrected rows.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    groups : sequence of length n_rows, default=None
        The group of each row, such as its domain. By default the rows of both modalities, each
        without the mean of its modality, are clustered by k-means.
    between : sequence of two str, default=None
        The two modalities; by default the two that the documents have.
    n_clusters : int, default=8
        Number of clusters where `groups` is None, at least 1.
    max_rows : int, default=5000
        Of a modality with more rows, a sample of this size is taken; None takes all.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample and of the clusters.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    dict of object to GroupGap
        For each group `n_rows`, `distance` and `effect_size`, the largest group first.

    Raises
    ------
    ValueError
        If `groups` has another length than `X` or lacks the group of a row; also as in
        `centroid_distance`.

    Examples
    --------
    >>> from gapremoval import ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import gap_by_group
    >>> X, y = make_mixed_modality(random_state=0)
    >>> for group, gap in gap_by_group(X, n_clusters=2).items():
    ...     print(gap.n_rows, round(gap.distance, 1))
    {'image': 107, 'text': 107} 0.9
    {'image': 93, 'text': 93} 0.9
    """
    rows, rng = read(X, modality), check_random_state(random_state)
    names = rows.between(between)
    at = [draw(rows.positions[name], max_rows, rng) for name in names]
    both = [*map(rows.unit, at)]
    if groups is None:
        centered = np.concatenate([x - x.mean(axis=0) for x in both])
        labels = KMeans(min(n_clusters, len(centered)), random_state=rng).fit_predict(centered)
    else:
        labels = check_y(groups, len(rows.tags), "groups")[np.concatenate(at)]
        if any(map(is_missing, labels)):
            raise ValueError("groups holds None or NaN: give each row a group, such as 'other'.")
    groups, codes = group_ids(labels)
    codes = codes[: len(at[0])], codes[len(at[0]) :]
    found = {
        group: _gap_within(names, [x[code == i] for x, code in zip(both, codes)])
        for i, group in enumerate(groups.tolist())
    }
    by_size = sorted(found.items(), key=lambda item: -sum(item[1].n_rows.values()))
    return dict(by_size)


def _gap_within(names, both):
    """The gap between the rows of two modalities in one group."""
    sizes = [*map(len, both)]
    distance = effect = np.nan
    if all(sizes):
        distance = float(np.linalg.norm(both[0].mean(axis=0) - both[1].mean(axis=0)))
        effect = effect_size(*both) if sum(sizes) > 2 else np.nan
    return GroupGap(dict(zip(names, sizes)), distance, effect)

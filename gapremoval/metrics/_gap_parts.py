"""Where the gap lies: in moments, in dimensions, in parts of the corpus."""

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.utils import check_random_state

from .._relevance import check_y
from ._distributions import frechet_parts
from ._gap_test import effect_size
from ._rows import draw, read


class GapComponents(NamedTuple):
    """Parts of the squared Frechet distance of two modalities."""

    mean: float
    scale: float
    directions: float
    directions_by_chance: float


class GapDimensions(NamedTuple):
    """Dimensions by their share of the squared centroid distance, descending."""

    dimensions: np.ndarray
    shares: np.ndarray


class GroupGap(NamedTuple):
    """The gap within one group of documents."""

    n_rows: dict
    distance: float
    effect_size: float


def gap_components(X, between=None, *, max_rows=10_000, random_state=0, modality=None):
    """How much of the gap lies in the mean, in the scale, in the directions of covariance."""
    rows, rng = read(X, modality), check_random_state(random_state)
    one, other = rows.sample(rows.between(between, least=2), max_rows, rng)
    parts = frechet_parts(one, other)
    centered = [x - x.mean(axis=0) for x in (one, other)]
    pooled = np.concatenate([x / max(np.linalg.norm(x), 1e-12) * len(x) ** 0.5 for x in centered])
    pooled = rng.permutation(pooled)
    by_chance = frechet_parts(pooled[: len(one)], pooled[len(one) :])[2]
    scales = [np.linalg.norm(x) / (len(x) - 1) ** 0.5 for x in centered]
    return GapComponents(*parts, float(by_chance * scales[0] * scales[1]))


def gap_dimensions(X, between=None, *, modality=None):
    """The dimensions that carry the distance of the centroids."""
    rows = read(X, modality)
    one, other = rows.between(between)
    squares = (rows.means[one] - rows.means[other]) ** 2
    order = np.argsort(-squares, kind="stable")
    total = squares.sum()
    return GapDimensions(order, squares[order] / (total if total > 0 else 1))


def gap_by_group(
    X,
    groups=None,
    between=None,
    *,
    n_clusters=8,
    max_rows=10_000,
    random_state=0,
    modality=None,
):
    """The gap within each group of documents: a domain, or a cluster."""
    rows, rng = read(X, modality), check_random_state(random_state)
    names = rows.between(between, least=2)
    at = [draw(rows.at[name], max_rows, rng) for name in names]
    both = [*map(rows.unit, at)]
    if groups is None:
        centered = np.concatenate([x - x.mean(axis=0) for x in both])
        n_clusters = min(n_clusters, len(centered))
        clusters = KMeans(n_clusters, random_state=rng, n_init=1).fit_predict(centered)
        labels = clusters[: len(at[0])], clusters[len(at[0]) :]
    else:
        groups = check_y(groups, len(rows.tags), "groups")
        labels = groups[at[0]], groups[at[1]]
    found = {}
    for group in dict.fromkeys(np.concatenate(labels).tolist()):
        parts = [x[label == group] for x, label in zip(both, labels)]
        distance = effect = np.nan
        if all(map(len, parts)):
            distance = float(np.linalg.norm(parts[0].mean(axis=0) - parts[1].mean(axis=0)))
            if sum(map(len, parts)) > 2:
                effect = effect_size(*parts)
        found[group] = GroupGap(dict(zip(names, map(len, parts))), distance, effect)
    return found

"""How far two modalities are apart, and whether a line tells them apart."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from ._rows import read


def centroid_distance(X, between=None, *, modality=None):
    """Distance of the mean unit rows of two modalities (Liang et al. 2022)."""
    rows = read(X, modality)
    one, other = rows.between(between)
    return float(np.linalg.norm(rows.means[one] - rows.means[other]))


def relative_modality_gap(X, y, between=None, *, modality=None):
    """Relative modality gap of pairs (Schrodi et al. 2025)."""
    rows = read(X, modality)
    names = rows.between(between, least=2)
    one, other = map(rows.unit, rows.pairs(y, names))
    of_pairs = 1 - np.vecdot(one, other).mean()
    n = len(one)
    if n < 2:
        raise ValueError("Only one id has rows of both modalities, and two pairs are needed.")
    sums = np.stack([one.sum(axis=0), other.sum(axis=0)])
    within = 1 - np.mean((np.vecdot(sums, sums) - n) / (n * (n - 1)))
    total = of_pairs + within
    return float(of_pairs / total) if total > 1e-12 else 0.0


def linear_separability(X, between=None, *, max_rows=1000, random_state=0, modality=None):
    """Held-out balanced accuracy of a linear classifier of the modality."""
    rows = read(X, modality)
    names = rows.between(between, least=2)
    both = rows.sample(names, max_rows, random_state)
    labels = np.repeat([0, 1], [*map(len, both)])
    classifier = LogisticRegression(class_weight="balanced")
    n_splits = min(5, *map(len, both))
    scored = cross_val_score(
        classifier, np.concatenate(both), labels, cv=n_splits, scoring="balanced_accuracy"
    )
    return float(scored.mean())

"""The shape of each modality's cloud: its cone, its dimensions, the spread of its scores."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import svd

from ._rows import read


class ModalityStatistics(NamedTuple):
    """Statistics of the unit rows of one modality."""

    n_rows: int
    mean_length: float
    spread: float
    cone_angle: float
    effective_dimension: float


def modality_statistics(X, *, max_rows=10_000, random_state=0, modality=None):
    """Rows, length of the mean, spread, cone angle and effective dimension by modality."""
    rows = read(X, modality)
    found = {}
    for name, at in rows.at.items():
        (unit,) = rows.sample([name], max_rows, random_state)
        length = min(float(np.linalg.norm(rows.means[name])), 1.0)
        cosines = unit @ rows.means[name] / (length or 1)
        found[name] = ModalityStatistics(
            n_rows=len(at),
            mean_length=length,
            spread=float(np.sqrt(1 - length**2)),
            cone_angle=float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).mean()),
            effective_dimension=_participation_ratio(unit),
        )
    return found


def effective_dimension(X, *, max_rows=10_000, random_state=0, modality=None):
    """Participation ratio of the covariance of each modality."""
    statistics = modality_statistics(
        X, max_rows=max_rows, random_state=random_state, modality=modality
    )
    return {name: each.effective_dimension for name, each in statistics.items()}


def _participation_ratio(rows):
    """The squared trace of the covariance over the trace of its square."""
    centered = rows - rows.mean(axis=0)
    centered = centered if len(rows) > rows.shape[1] else centered.T
    scatter = centered.T @ centered
    squares = np.sum(scatter**2)
    return float(np.trace(scatter) ** 2 / squares) if squares > 0 else 0.0


def subspace_overlap(
    X, between=None, *, n_components=10, max_rows=10_000, random_state=0, modality=None
):
    """Mean squared cosine of the principal angles between the main directions."""
    rows = read(X, modality)
    both = rows.sample(rows.between(between, least=2), max_rows, random_state)
    n = min(n_components, *(min(len(x) - 1, x.shape[1]) for x in both))
    one, other = (svd(x - x.mean(axis=0), full_matrices=False)[2][:n] for x in both)
    return float(np.sum((one @ other.T) ** 2) / n)


def score_scale(X, between=None, *, max_rows=2000, random_state=0, modality=None):
    """Standard deviation of cosines within modalities, over that of cosines across."""
    rows = read(X, modality)
    one, other = rows.sample(rows.between(between, least=3), max_rows, random_state)
    within = [(x @ x.T)[np.triu_indices(len(x), 1)].std() for x in (one, other)]
    return float(np.mean(within) / (one @ other.T).std())

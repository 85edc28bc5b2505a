"""Alignment and uniformity of embeddings on the sphere."""

import numpy as np
from scipy.special import logsumexp

from ._rows import read


def alignment(X, y, between=None, *, modality=None):
    """Mean squared distance of the two rows of a pair (Wang and Isola 2020)."""
    rows = read(X, modality)
    one, other = map(rows.unit, rows.pairs(y, rows.between(between)))
    return float(np.mean(np.sum((one - other) ** 2, axis=1)))


def uniformity(X, *, max_rows=2000, random_state=0, modality=None):
    """Uniformity of each modality: log mean Gaussian potential (Wang and Isola 2020)."""
    rows = read(X, modality)
    found = {}
    for name in rows.at:
        (unit,) = rows.sample([name], max_rows, random_state)
        cosines = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
        found[name] = float(logsumexp(4 * cosines - 4) - np.log(len(cosines)))
    return found

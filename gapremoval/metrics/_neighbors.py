"""Which rows are the nearest to others: modality of neighbors, hubs."""

from typing import NamedTuple

import numpy as np
from scipy.stats import skew
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state

from .._modality import is_query
from ._rows import draw, read


class NeighborShare(NamedTuple):
    """Share of neighbors of the same modality, and what it is by chance."""

    share: float
    chance: float


class Hubness(NamedTuple):
    """How unequally often documents are among the nearest: skewness and Gini coefficient."""

    skewness: float
    gini: float


def same_modality_neighbors(X, n_neighbors=10, *, max_rows=5000, random_state=0, modality=None):
    """Share of the nearest documents that have the row's own modality."""
    rows = read(X, modality)
    names = rows.documents("same_modality_neighbors")
    at = np.sort(np.concatenate([rows.at[name] for name in names]))
    at = draw(at, max_rows, check_random_state(random_state))
    codes = rows.tags.codes[at]
    nearest = _nearest(rows.unit(at), None, n_neighbors)
    is_same = codes[nearest] == codes[:, None]
    found = {}
    for name in names:
        mine = codes == rows.tags.names.index(name)
        if mine.any():
            found[name] = NeighborShare(
                float(is_same[mine].mean()), float((mine.sum() - 1) / (len(at) - 1))
            )
    return found


def hubness(X, n_neighbors=10, *, max_rows=5000, random_state=0, modality=None):
    """Skewness and Gini coefficient of how often each document is found."""
    rows = read(X, modality)
    rng = check_random_state(random_state)
    documents = [rows.at[name] for name in rows.documents("hubness")]
    documents = draw(np.sort(np.concatenate(documents)), max_rows, rng)
    asking = [at for name, at in rows.at.items() if is_query(name)]
    queries = rows.unit(draw(np.sort(np.concatenate(asking)), max_rows, rng)) if asking else None
    nearest = _nearest(rows.unit(documents), queries, n_neighbors)
    counts = np.sort(np.bincount(nearest.ravel(), minlength=len(documents)))
    ranks = np.arange(1, len(counts) + 1)
    gini = 2 * (ranks @ counts) / (len(counts) * counts.sum()) - (len(counts) + 1) / len(counts)
    is_equal = counts[0] == counts[-1]
    return Hubness(0.0 if is_equal else float(skew(counts)), float(gini))


def _nearest(documents, queries, n_neighbors):
    """The nearest documents of each query, or of each document without itself."""
    n_others = len(documents) - (queries is None)
    if n_others < 1:
        raise ValueError("There is one document, which has no neighbor.")
    search = NearestNeighbors(n_neighbors=min(n_neighbors, n_others), algorithm="brute")
    return search.fit(documents).kneighbors(queries, return_distance=False)

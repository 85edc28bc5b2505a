"""The nearest documents: their modality, and hubs among them."""

from typing import NamedTuple

import numpy as np
from scipy.stats import skew
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state

from .._modality import is_query
from ._rows import check_max_rows, draw, read


class NeighborShare(NamedTuple):
    """How many of the nearest documents have the same modality.

    Attributes
    ----------
    share : float
        In [0, 1].
    chance : float
        The share if neighbors were drawn at random.
    """

    share: float
    chance: float


class Hubness(NamedTuple):
    """How unequally often documents are found.

    Attributes
    ----------
    skewness : float
        Of the numbers of times that documents are found; 0 where all are found equally often.
    gini : float
        Their Gini coefficient, in [0, 1): 0 where all are found equally often, near 1 where a few
        are found always.
    """

    skewness: float
    gini: float


def same_modality_neighbors(X, n_neighbors=10, *, max_rows=5000, random_state=0, modality=None):
    """Share of the nearest documents that have the row's own modality.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning,
        and queries without one.
    n_neighbors : int, default=10
        Number of neighbors of each row, at least 1; at most all other rows.
    max_rows : int, default=5000
        Of more document rows, a sample of about this size is taken, with the same shares of
        modalities; None takes all. Time and memory grow with its square.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    dict of str to NeighborShare
        For each document modality ``share`` and ``chance``.

    Raises
    ------
    ValueError
        If modalities are not known, the documents have fewer than two, or rows hold NaN or
        infinity.

    References
    ----------
    .. [1] Schilling, "Multivariate Two-Sample Tests Based on Nearest Neighbors", Journal of the
       American Statistical Association 81, 1986.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import same_modality_neighbors
    >>> X, y = make_mixed_modality(random_state=0)
    >>> same_modality_neighbors(X)["image"].share
    1.0
    """
    rows, rng = read(X, modality), check_random_state(random_state)
    names = rows.documents
    if len(names) < 2:
        raise ValueError(
            "Neighbors are compared by modality, and the documents have "
            f"{'one' if names else 'none'}: {names}."
        )
    check_max_rows(max_rows)
    if max_rows is not None:
        total = sum(len(rows.positions[name]) for name in names)
        sizes = {
            name: max(2, round(max_rows * len(rows.positions[name]) / total)) for name in names
        }
    at = [draw(rows.positions[name], max_rows and sizes[name], rng) for name in names]
    codes = np.repeat(np.arange(len(names)), [*map(len, at)])
    nearest = _nearest(rows.unit(np.concatenate(at)), None, n_neighbors)
    is_same = (codes[nearest] == codes[:, None]).mean(axis=1)
    return {
        name: NeighborShare(
            float(is_same[codes == code].mean()), (len(at[code]) - 1) / (len(codes) - 1)
        )
        for code, name in enumerate(names)
    }


def hubness(X, n_neighbors=10, *, max_rows=5000, random_state=0, modality=None):
    """How unequally often document rows are among the nearest of queries.

    In spaces of many dimensions a few rows, the hubs, are near to everything.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. If there are query rows, these ask; otherwise
        each document row asks, and does not find itself. Rows of length zero are left out with a
        warning.
    n_neighbors : int, default=10
        Number of documents found by each query, at least 1; at most all.
    max_rows : int, default=5000
        Of more document rows, or of more query rows, a sample of this size is taken; None takes
        all.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    Hubness
        ``skewness`` and ``gini``.

    Raises
    ------
    ValueError
        If modalities are not known, there is no document row, there is a single row, or rows hold
        NaN or infinity.

    References
    ----------
    .. [1] Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space: Popular Nearest Neighbors in
       High-Dimensional Data", JMLR 11, 2010, section 3.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import hubness
    >>> X, y = make_mixed_modality(random_state=0)
    >>> round(hubness(X).gini, 1)
    0.6
    """
    rows, rng = read(X, modality), check_random_state(random_state)
    if not rows.documents:
        raise ValueError("All rows are queries, and there is no document to find.")
    documents = [rows.positions[name] for name in rows.documents]
    documents = draw(np.sort(np.concatenate(documents)), max_rows, rng)
    queries = [at for name, at in rows.positions.items() if is_query(name)]
    queries = draw(np.sort(np.concatenate(queries)), max_rows, rng) if queries else None
    asking = None if queries is None else rows.unit(queries)
    nearest = _nearest(rows.unit(documents), asking, n_neighbors)
    counts = np.sort(np.bincount(nearest.ravel(), minlength=len(documents)))
    n, ranks = len(counts), np.arange(1, len(counts) + 1)
    gini = 2 * (ranks @ counts) / (n * counts.sum()) - (n + 1) / n
    return Hubness(0.0 if counts[0] == counts[-1] else float(skew(counts)), float(gini))


def _nearest(documents, queries, n_neighbors):
    """The nearest documents of each query; without queries, of each document without itself."""
    n_others = len(documents) - (queries is None)
    if n_others < 1:
        raise ValueError("There is a single document row, which has no neighbor.")
    search = NearestNeighbors(n_neighbors=min(n_neighbors, n_others), algorithm="brute")
    return search.fit(documents).kneighbors(queries, return_distance=False)

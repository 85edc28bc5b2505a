"""Rank documents for queries of any modality, with probabilities where they can be had."""

from functools import partial
from typing import NamedTuple

import numpy as np

from .._array_api import take_rows, to_numpy
from .._modality import as_query
from .._warnings import warn
from ._snapshot import merge

# How many of the next best documents a lead is taken over.
N_NEXT = 10


class Ranking(NamedTuple):
    """The best documents for each query.

    Attributes
    ----------
    scores : ndarray of float64 of shape (n_queries, n_found)
    positions : ndarray of int of shape (n_queries, n_found)
        Those of the documents.
    probabilities : ndarray of float64 of shape (n_queries, n_found)
        NaN where there are none.
    evidence : ndarray of float64 of shape (n_queries,)
        NaN where there is none.
    """

    scores: np.ndarray
    positions: np.ndarray
    probabilities: np.ndarray
    evidence: np.ndarray


def rank(documents, queries, k, *, modality=None, with_odds=False):
    """Rank documents for queries, each by the score calibration of its own modality.

    Parameters
    ----------
    documents : Snapshot
    queries : Rows
        Those of length zero get the corpus in its own order, with score 0, and a warning.
    k : int
        How many documents; cut to those there are.
    modality : collection of str, default=None
        Search only documents of these modalities.
    with_odds : bool, default=False
        Whether probabilities and evidence are wanted, which cost another pass.

    Returns
    -------
    Ranking
    """
    values, tags, lengths = queries.values, queries.tags, to_numpy(queries.lengths)
    n_documents, rest = documents.count(modality), documents.positions_of(False, modality)
    n_found, n_best = min(k, n_documents), min(k, n_documents - len(rest))
    scores, positions = np.zeros((len(tags), n_found)), np.empty((len(tags), n_found), np.int64)
    probabilities, evidence = np.full(scores.shape, np.nan), np.full(len(tags), np.nan)
    if n_zero := int(np.count_nonzero(lengths == 0)):
        warn(
            f"{n_zero} quer{'ies have' if n_zero > 1 else 'y has'} length zero and so no "
            "direction: the answer is the corpus in its own order, with score 0.",
        )
        in_order = np.concatenate([documents.positions_of(True, modality), rest])
        positions[lengths == 0] = in_order[:k]
    asking = {}
    for code in np.unique(tags.codes[lengths > 0]).tolist():
        rows = np.flatnonzero((tags.codes == code) & (lengths > 0))
        asking.setdefault(as_query(tags.names[code]), []).append(rows)
    for name, rows in asking.items():
        rows = np.sort(np.concatenate(rows))
        some = values if len(rows) == len(tags) else take_rows(values, rows)
        lines, best = documents.score_map(name), (rows, slice(n_best))
        scores[rows, n_best:] = 0 if lines is None else lines.lowest
        positions[rows, n_best:] = rest[: n_found - n_best]
        if with_odds and lines is not None and lines.slope is not None:
            probabilities[rows], evidence[rows] = 0, -np.inf
            if n_best:
                found = _nearest_with_odds(documents, some, k, lines, modality)
                scores[best], positions[best], probabilities[best], evidence[rows] = found
        elif n_best:
            nearest = documents.nearest
            if lines is not None:
                nearest = partial(documents.calibration.nearest, documents, query_modality=name)
            scores[best], positions[best] = nearest(some, k, modality=modality)
    return Ranking(scores, positions, probabilities, evidence)


def _nearest_with_odds(documents, queries, k, lines, modality):
    """The Ranking of documents with a direction, of which there is one, by lines with a slope."""
    tops = documents.nearest_by_modality(
        queries, max(k, N_NEXT + 1), modality=modality, score_map=lines, slope=lines.slope
    )
    scores, positions = merge(tops, max(k, N_NEXT + 1))
    found = evidence(scores, tops, lines.slope)
    scores, positions = scores[:, :k], positions[:, :k]
    return Ranking(scores, positions, probabilities(scores, tops, lines.slope), found)


def probabilities(scores, tops, slope):
    """The probability that a document answers, given that one of those searched does.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_found)
    tops : dict of str to Top
        With log sums, which together are over all documents searched.
    slope : float
        Log odds a unit of score.

    Returns
    -------
    ndarray of float64 of shape (n_queries, n_found)
    """
    total = np.logaddexp.reduce([top.log_sums for top in tops.values()])
    return np.minimum(np.exp(slope * scores - total[:, None]), 1)


def evidence(scores, tops, slope):
    """How strongly a query is answered at all, in nats.

    The mean of three figures of the best document: its log odds, their lead over the next
    ten documents, and their lead over the next ten of its own modality. The log odds alone
    are high for any query that resembles much of the corpus; the leads are not.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_found)
        The best of all modalities, at least eleven where there are so many.
    tops : dict of str to Top
        Those of each modality, likewise.
    slope : float
        Log odds a unit of score.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        Higher where the corpus holds an answer. Where no document is left for a lead, it is
        taken over a score of 0.
    """
    best = np.stack([top.scores[:, 0] for top in tops.values()])
    in_modality = np.stack([_mean_of_next(top.scores) for top in tops.values()])
    own = in_modality[best.argmax(axis=0), np.arange(best.shape[1])]
    first = scores[:, 0]
    return slope * (first + (first - _mean_of_next(scores)) + (first - own)) / 3


def _mean_of_next(scores):
    """The mean score of the next ten after the best."""
    following = scores[:, 1 : N_NEXT + 1]
    return following.mean(axis=1) if following.shape[1] else np.zeros(len(scores))

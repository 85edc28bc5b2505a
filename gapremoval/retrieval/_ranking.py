"""Rank documents for queries of any modality, with probabilities where they can be had."""

from typing import NamedTuple

import numpy as np

from .._array_api import take_rows, to_numpy
from .._modality import as_query
from .._warnings import warn
from ._index import merge

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
    modality : str, default=None
        Search only documents of this modality.
    with_odds : bool, default=False
        Whether probabilities and evidence are wanted, which cost another pass.

    Returns
    -------
    Ranking
    """
    values, tags = queries.values, queries.tags
    directed = to_numpy(queries.lengths) > 0
    shape = (len(directed), min(k, documents.count(modality)))
    scores, positions = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    probabilities, evidence = np.full(shape, np.nan), np.full(len(directed), np.nan)
    if n_zero := int(np.count_nonzero(~directed)):
        warn(
            f"{n_zero} quer{'ies have' if n_zero > 1 else 'y has'} length zero and so no "
            "direction: the answer is the corpus in its own order, with score 0.",
        )
        positions[~directed] = documents.in_their_order(modality)[:k]
    asks = [as_query(name) for name in tags.names]
    for name in dict.fromkeys(asks):
        codes = [code for code, other in enumerate(asks) if other == name]
        rows = np.flatnonzero(np.isin(tags.codes, codes) & directed)
        if not len(rows):
            continue
        some = values if len(rows) == len(directed) else take_rows(values, rows)
        lines = documents.score_map(name)
        if lines is None:
            scores[rows], positions[rows] = documents.nearest(some, k, modality=modality)
        elif with_odds and lines.slope is not None:
            found = _nearest_with_odds(documents, some, k, lines, modality)
            scores[rows], positions[rows], probabilities[rows], evidence[rows] = found
        else:
            found = documents.calibration.nearest(documents, some, k, name, modality=modality)
            scores[rows], positions[rows] = found
    return Ranking(scores, positions, probabilities, evidence)


def _nearest_with_odds(documents, queries, k, lines, modality):
    """A Ranking of queries of one modality, by a ScoreMap with a slope."""
    tops = documents.nearest_by_modality(
        queries, max(k, N_NEXT + 1), modality=modality, score_map=lines, slope=lines.slope
    )
    n_queries = queries.shape[0]
    rest = documents.undirected(modality)
    if not tops:
        found = Ranking(*np.empty((3, n_queries, 0)), np.full(n_queries, -np.inf))
    else:
        scores, positions = merge(tops, k, n_queries)
        odds = probabilities(scores, tops, lines.slope)
        found = Ranking(scores, positions, odds, evidence(tops, lines.slope))
    if not len(rest):
        return found
    rest = np.broadcast_to(rest, (n_queries, len(rest)))[:, : k - found.scores.shape[1]]
    return Ranking(
        np.concatenate([found.scores, np.full(rest.shape, lines.lowest)], axis=1),
        np.concatenate([found.positions, rest], axis=1).astype(np.int64),
        np.concatenate([found.probabilities, np.zeros(rest.shape)], axis=1),
        found.evidence,
    )


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


def evidence(tops, slope):
    """How strongly a query is answered at all, in nats.

    The mean of three figures of the best document: its log odds, their lead over the next
    ten documents, and their lead over the next ten of its own modality. The log odds alone
    are high for any query that resembles much of the corpus; the leads are not.

    Parameters
    ----------
    tops : dict of str to Top
        At least eleven of each modality where it has so many.
    slope : float
        Log odds a unit of score.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        Higher where the corpus holds an answer. Where no document is left for a lead, it is
        taken over a score of 0.
    """
    best = np.stack([top.scores[:, 0] for top in tops.values()])
    scores, _ = merge(tops, N_NEXT + 1, best.shape[1])
    in_modality = np.stack([_mean_of_next(top.scores) for top in tops.values()])
    own = in_modality[best.argmax(axis=0), np.arange(best.shape[1])]
    first = scores[:, 0]
    return slope * (first + (first - _mean_of_next(scores)) + (first - own)) / 3


def _mean_of_next(scores):
    """The mean score of the next ten after the best."""
    following = scores[:, 1 : N_NEXT + 1]
    return following.mean(axis=1) if following.shape[1] else np.zeros(len(scores))

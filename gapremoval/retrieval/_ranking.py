"""Rank documents for queries of any modality, with probabilities if scores are log odds."""

from functools import partial
from typing import NamedTuple

import numpy as np

from .._array_api import take_rows, to_numpy
from .._modality import QUERY, as_query
from .._warnings import did_you_mean, warn
from ._false_alarms import N_NEXT, false_alarms, leads
from ._snapshot import merge

# Of a log sum in double precision.
ROUNDING = 1e-11


class Ranking(NamedTuple):
    """The best documents for each query.

    Attributes
    ----------
    scores : ndarray of float64 of shape (n_queries, n_found)
        -inf where a query found no more documents.
    positions : ndarray of int of shape (n_queries, n_found)
        The positions of the documents.
    probabilities : ndarray of float64 of shape (n_queries, n_found)
        NaN for queries whose scores are no log odds.
    evidence, false_alarm : ndarray of float64 of shape (n_queries,)
        NaN for queries whose scores are no log odds.
    """

    scores: np.ndarray
    positions: np.ndarray
    probabilities: np.ndarray
    evidence: np.ndarray
    false_alarm: np.ndarray


def rank(documents, queries, k, *, without=None, with_odds=False):
    """Rank documents for queries, each by the calibrated scores of its own modality.

    Parameters
    ----------
    documents : Snapshot
        The documents to search.
    queries : Rows
        For queries of length zero the result is the corpus in its own order, with score 0, and
        there is a warning.
    k : int
        Number of documents; at most those that are searched.
    without : ndarray of int of shape (n_queries,), default=None
        The position of a document that each query does not find, or -1.
    with_odds : bool, default=False
        Whether to compute probabilities, evidence and false alarms, which takes another pass.

    Returns
    -------
    Ranking

    Raises
    ------
    ValueError
        If the whole corpus is empty.
    """
    if not documents.whole.segments:
        raise ValueError("The corpus is empty: add documents with partial_fit.")
    if without is not None:
        k += 1
    values, n_queries = queries.values, len(queries.tags)
    n_documents, rest = len(documents), documents.undirected
    n_found, n_best = min(k, n_documents), min(k, n_documents - len(rest))
    scores, positions = np.zeros((n_queries, n_found)), np.empty((n_queries, n_found), np.int64)
    odds = np.full(scores.shape, np.nan), np.full(n_queries, np.nan), np.full(n_queries, np.nan)
    found = Ranking(scores, positions, *odds)
    groups = rows_by_modality(queries)
    if len(zero := groups.pop(None, ())):
        warn(
            f"{len(zero)} quer{'ies have' if len(zero) > 1 else 'y has'} length zero and so no "
            "direction: the result is the corpus in its own order, with score 0.",
        )
        directed = np.setdiff1d(documents.positions, rest, assume_unique=True)
        positions[zero] = np.concatenate([directed, rest])[:k]
    plain = []
    for name, rows in groups.items():
        some = values if len(rows) == n_queries else take_rows(values, rows)
        own = None if without is None else without[rows]
        score_map, best = documents.score_map(name), (rows, slice(n_best))
        scores[rows, n_best:] = 0 if score_map is None else score_map.lowest
        positions[rows, n_best:] = rest[: n_found - n_best]
        if with_odds and score_map is not None and score_map.slope is not None:
            found.probabilities[rows], found.evidence[rows] = 0, -np.inf
            if n_best:
                nearest = _nearest_with_odds(documents, some, k, name, own)
                scores[best], positions[best], found.probabilities[best] = nearest[:3]
                found.evidence[rows], found.false_alarm[rows] = nearest[3:]
        elif n_best:
            nearest = documents.nearest
            plain += [name] * (score_map is None)
            if score_map is not None:
                nearest = partial(documents.calibration.nearest, documents, query_modality=name)
            scores[best], positions[best] = nearest(some, k, without=own)
    if plain and documents.calibration is not None:
        _warn_of_plain_cosines(documents.calibration, plain)
    return found if without is None else _without(found, without, k - 1)


def _without(found, without, k):
    """A Ranking of at most `k` documents in which each query lacks a document."""
    is_left_out = found.positions == without[:, None]
    found.scores[is_left_out] = -np.inf
    query, order = np.arange(len(without))[:, None], np.argsort(is_left_out, axis=1, kind="stable")
    best = (x[query, order[:, :k]] for x in found[:3])
    return Ranking(*best, *found[3:])


def _warn_of_plain_cosines(calibration, plain):
    """Warn about query modalities from which a score calibration has learned nothing."""
    known = calibration.query_modalities_
    hint = did_you_mean(plain[0].removeprefix(QUERY), [x.removeprefix(QUERY) for x in known])
    warn(
        f"{type(calibration).__name__} learned nothing about "
        f"{', '.join(map(repr, sorted(plain)))}, so such queries are ranked by plain cosines, "
        "without probabilities or cut-offs. It learned about "
        f"{', '.join(map(repr, known)) or 'no query modality'}.{hint}"
    )


def rows_by_modality(queries):
    """Row numbers by query modality; by None those of queries of length zero.

    Parameters
    ----------
    queries : Rows

    Returns
    -------
    dict of str or None to ndarray of int
    """
    tags, directed = queries.tags, to_numpy(queries.lengths) > 0
    names = [as_query(name) for name in tags.names]
    if len(names) == 1 and directed.all():
        return {names[0]: np.arange(len(directed))}
    name_of = np.array(names)[tags.codes]
    masks = {name: directed & (name_of == name) for name in names} | {None: ~directed}
    return {name: np.flatnonzero(mask) for name, mask in masks.items() if mask.any()}


def _nearest_with_odds(documents, queries, k, query_modality, without):
    """The entries of a Ranking, by scores that are log odds.

    There must be a document with a direction.
    """
    score_map = documents.score_map(query_modality)
    k_more, slope = max(k, N_NEXT + 1), score_map.slope
    tops = documents.nearest_by_modality(
        queries, k_more, score_map=score_map, slope=slope, without=without
    )
    scores, positions = merge(tops, k_more)
    best = scores[:, :k]
    found = leads([top.scores for top in tops.values()], scores)
    n_searched = len(documents) - len(documents.undirected)
    odds = probabilities(scores, tops, slope, n_searched)
    strength = evidence(scores[:, 0], found, slope)
    alarms = np.full(len(scores), np.nan)
    if query_modality in documents.calibration.query_modalities_:
        alarms = false_alarms(documents, query_modality, found)
    return best, positions[:, :k], odds[:, :k], strength, alarms


def probabilities(scores, tops, slope, n_searched):
    """The probability that a document answers, given that one of those searched answers.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_found)
    tops : dict of str to Top
        With log sums, which together cover all documents that were searched.
    slope : float
        Log odds per unit of score.
    n_searched : int
        The number of documents searched.

    Returns
    -------
    ndarray of float64 of shape (n_queries, n_found)
        They add up to 1 if all documents were found.
    """
    log_odds, n_first = slope * scores, N_NEXT + 1
    # The log sums may be those of single precision. The first scores are there for every k.
    rough = np.logaddexp.reduce([top.log_sums for top in tops.values()])
    total = np.maximum(rough, np.logaddexp.reduce(log_odds[:, :n_first], axis=1))
    if scores.shape[1] == n_searched:
        exact = np.logaddexp.reduce(log_odds, axis=1)
        # In double precision a probability does not depend on k.
        is_off = (np.abs(exact - total) > ROUNDING) | (n_searched <= n_first)
        total = np.where(is_off, exact, total)
    return np.minimum(np.exp(log_odds - total[:, None]), 1)


def evidence(first, found, slope):
    """How strong the evidence is that the corpus answers a query at all, in nats.

    The mean of three statistics of the best document: its log odds, their lead over the next
    ten documents, and their lead over the next ten of its own modality. The log odds alone are
    high for every query that resembles much of the corpus; the leads are not.

    Parameters
    ----------
    first : ndarray of shape (n_queries,)
        The best scores.
    found : Leads
    slope : float
        Log odds per unit of score.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        Higher if the corpus holds an answer. Where there is no next document, the lead is that
        over a score of 0.
    """
    return slope * (first + found.lead.sum(axis=0)) / 3

"""Ranking metrics from relevance, as trec_eval defines them."""

from collections.abc import Mapping, Set
from numbers import Integral
from typing import NamedTuple

import numpy as np

from ._relevance import check_relevance


def ndcg_at_k(relevance, ranking, k=10):
    """Normalized discounted cumulative gain of the top `k`.

    The sum of ``gain / log2(rank + 1)`` over that of the best possible ranking. The best
    ranking holds all relevant documents, found or not; scikit-learn's ``ndcg_score`` knows
    only those that were scored, and averages ties.

    Parameters
    ----------
    relevance : sequence of length n_queries
        The relevant documents of each query: an id, a collection of ids (gain 1 each) or a
        dict id -> gain, where a gain of 0 or less means not relevant. None, NaN or
        ``pandas.NA`` means unknown.
    ranking : array or sequence of sequences of length n_queries
        The ids found for each query, best first, without repetitions or padding.
    k : int, default=10
        Length of the ranking to evaluate, at least 1. Shorter rankings are taken as they are.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In [0, 1]; NaN where the relevance is unknown, 0 where nothing is relevant.

    Raises
    ------
    ValueError
        If the lengths differ, a ranking holds an id twice or is not a sequence of ids, the ids
        of `relevance` and `ranking` have different types, a gain is not a finite number, or `k`
        is not an integer of at least 1.

    References
    ----------
    .. [1] Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques",
       2002; trec_eval's ``ndcg_cut``.

    Examples
    --------
    >>> from gapremoval.metrics import ndcg_at_k
    >>> ndcg_at_k(["a", {"b": 2, "c": 1}], [["a", "b"], ["c", "b"]])
    array([1.       , 0.8597187])
    """
    return _ndcg(gains_of(relevance, ranking, k), k)


def recall_at_k(relevance, ranking, k=10):
    """Share of the relevant documents among the top `k`.

    Only the sign of a gain counts. The same as trec_eval's ``recall``.

    Parameters
    ----------
    relevance : sequence of length n_queries
        The relevant documents of each query: an id, a collection of ids (gain 1 each) or a
        dict id -> gain, where a gain of 0 or less means not relevant. None, NaN or
        ``pandas.NA`` means unknown.
    ranking : array or sequence of sequences of length n_queries
        The ids found for each query, best first, without repetitions or padding.
    k : int, default=10
        Length of the ranking to evaluate, at least 1. Shorter rankings are taken as they are.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In [0, 1]; NaN where the relevance is unknown, 0 where nothing is relevant.

    Raises
    ------
    ValueError
        As in `ndcg_at_k`.

    Examples
    --------
    >>> from gapremoval.metrics import recall_at_k
    >>> recall_at_k([["a", "z"]], [["a", "b"]])
    array([0.5])
    """
    return _recall(gains_of(relevance, ranking, k), k)


def reciprocal_rank_at_k(relevance, ranking, k=10):
    """Reciprocal rank of the first relevant document in the top `k`, or 0 if there is none.

    Its mean over queries is the mean reciprocal rank (MRR). Only the sign of a gain counts.
    The same as trec_eval's ``recip_rank`` on the top `k`.

    Parameters
    ----------
    relevance : sequence of length n_queries
        The relevant documents of each query: an id, a collection of ids (gain 1 each) or a
        dict id -> gain, where a gain of 0 or less means not relevant. None, NaN or
        ``pandas.NA`` means unknown.
    ranking : array or sequence of sequences of length n_queries
        The ids found for each query, best first, without repetitions or padding.
    k : int, default=10
        Length of the ranking to evaluate, at least 1. Shorter rankings are taken as they are.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In [0, 1]; NaN where the relevance is unknown, 0 where nothing is relevant.

    Raises
    ------
    ValueError
        As in `ndcg_at_k`.

    Examples
    --------
    >>> from gapremoval.metrics import reciprocal_rank_at_k
    >>> reciprocal_rank_at_k(["b", "z"], [["a", "b"], ["a", "b"]])
    array([0.5, 0. ])
    """
    return _reciprocal_rank(gains_of(relevance, ranking, k), k)


def precision_at_k(relevance, ranking, k=10):
    """Share of the top `k` that is relevant; shorter rankings are still divided by `k`.

    Only the sign of a gain counts. The same as trec_eval's ``P``.

    Parameters
    ----------
    relevance : sequence of length n_queries
        The relevant documents of each query: an id, a collection of ids (gain 1 each) or a
        dict id -> gain, where a gain of 0 or less means not relevant. None, NaN or
        ``pandas.NA`` means unknown.
    ranking : array or sequence of sequences of length n_queries
        The ids found for each query, best first, without repetitions or padding.
    k : int, default=10
        Length of the ranking to evaluate, at least 1. Shorter rankings are taken as they are.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In [0, 1]; NaN where the relevance is unknown, 0 where nothing is relevant.

    Raises
    ------
    ValueError
        As in `ndcg_at_k`.

    Examples
    --------
    >>> from gapremoval.metrics import precision_at_k
    >>> precision_at_k([["a", "b"]], [["a", "b", "c", "d"]], k=4)
    array([0.5])
    """
    return _precision(gains_of(relevance, ranking, k), k)


def _ndcg(gains, k):
    discount = 1 / np.log2(np.arange(2, gains.found.shape[1] + 2))
    best = gains.ideal @ discount
    return gains.n_relevant * 0 + gains.found @ discount / np.where(best > 0, best, 1)


def _recall(gains, k):
    return gains.n_relevant * 0 + (gains.found > 0).sum(axis=1) / np.fmax(gains.n_relevant, 1)


def _reciprocal_rank(gains, k):
    ranks = np.arange(1, gains.found.shape[1] + 1)
    return gains.n_relevant * 0 + ((gains.found > 0) / ranks).max(axis=1)


def _precision(gains, k):
    return gains.n_relevant * 0 + (gains.found > 0).sum(axis=1) / k


METRICS = {
    "ndcg": _ndcg,
    "recall": _recall,
    "mrr": _reciprocal_rank,
    "precision": _precision,
}


def get_ranking_metric(name):
    """The metric and the cutoff of a name such as ``"ndcg@10"``.

    Returns
    -------
    metric : callable
        ``metric(gains, k)`` computes a value for each query from `Gains`.
    k : int

    Raises
    ------
    ValueError
        If the name is not a known metric, ``@`` and an integer of at least 1.
    """
    metric, _, k = str(name).partition("@")
    if metric not in METRICS or not k.isascii() or not k.isdigit() or int(k) < 1:
        raise ValueError(
            f"{name!r} is not a ranking metric: write one of {', '.join(METRICS)}, then @ and the "
            "length of the ranking, such as 'ndcg@10'."
        )
    return METRICS[metric], int(k)


class Gains(NamedTuple):
    """Gains of found and of relevant documents, from which all metrics follow.

    Attributes
    ----------
    found : ndarray of shape (n_queries, width)
        The gains of the ranked documents, 0 where not relevant; `width` is at most `k`.
    ideal : ndarray of shape (n_queries, width)
        The largest gains of all relevant documents, descending.
    n_relevant : ndarray of shape (n_queries,)
        The number of relevant documents; NaN where the relevance is unknown.
    """

    found: np.ndarray
    ideal: np.ndarray
    n_relevant: np.ndarray

    @classmethod
    def before_a_search(cls, relevance, k, n_found):
        """The gains before anything is found, with room for `n_found` documents per query."""
        wanted = [
            sorted((g for g in (gains or {}).values() if g > 0), reverse=True)
            for gains in relevance
        ]
        width = max(1, n_found, *(len(best[:k]) for best in wanted)) if wanted else 1
        found, ideal = np.zeros((2, len(wanted), width))
        n_relevant = np.full(len(wanted), np.nan)
        for query, (gains, best) in enumerate(zip(relevance, wanted)):
            if gains is not None:
                ideal[query, : len(best[:k])] = best[:k]
                n_relevant[query] = len(best)
        return cls(found, ideal, n_relevant)


def gains_of(relevance, ranking, k):
    """The `Gains` of a ranking; parameters and errors as in `ndcg_at_k`."""
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise ValueError(f"k must be an integer of at least 1; got {k!r}.")
    if isinstance(relevance, Mapping) or isinstance(ranking, Mapping):
        raise ValueError(
            "relevance and ranking must be sequences with one entry per query; got a dict. Pass "
            "its values in the order of the queries."
        )
    relevance = check_relevance(relevance)
    ranking = ranking.tolist() if hasattr(ranking, "tolist") else list(ranking)
    if len(relevance) != len(ranking):
        raise ValueError(
            f"There are {len(relevance)} relevances and {len(ranking)} rankings: give one of each "
            "per query."
        )
    tops = [_top(ranked, k, query) for query, ranked in enumerate(ranking)]
    _check_types(relevance, tops)
    gains = Gains.before_a_search(relevance, k, max(map(len, tops), default=0))
    for query, (answers, top) in enumerate(zip(relevance, tops)):
        if answers is not None:
            gains.found[query, : len(top)] = [max(answers.get(x, 0), 0) for x in top]
    return gains


def _top(ranked, k, query):
    """The first k ids of a ranking."""
    # A string would be ranked letter by letter, a dict or set in an order of no meaning.
    if isinstance(ranked, str | Mapping | Set) or not np.iterable(ranked):
        raise ValueError(
            f"The ranking of query {query} must be a sequence of ids, best first; got {ranked!r}."
        )
    top = list(ranked)[:k]
    if len(set(top)) < len(top):
        twice = next(x for x in top if top.count(x) > 1)
        padding = " faiss pads short rankings with -1: leave those out." if twice == -1 else ""
        raise ValueError(f"The ranking of query {query} holds {twice!r} more than once.{padding}")
    return top


def _check_types(relevance, tops):
    """Raise if the ids are strings on one side only: ``"3"`` and ``3`` never match."""
    relevant = [x for gains in relevance for x in gains or ()]
    found = [x for top in tops for x in top]
    types = [{isinstance(x, str) for x in ids} for ids in (relevant, found)]
    if relevant and found and types[0].isdisjoint(types[1]):
        examples = (f"{ids[0]!r} ({type(ids[0]).__name__})" for ids in (relevant, found))
        raise ValueError(
            f"The ids have different types: {' in relevance, '.join(examples)} in ranking, so none "
            "of them match. Convert one side."
        )

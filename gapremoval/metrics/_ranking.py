"""Ranking metrics from relevance, as trec_eval defines them."""

from collections.abc import Mapping, Set
from numbers import Integral
from typing import NamedTuple

import numpy as np

from .._relevance import check_relevance


def ndcg_at_k(relevance, ranking, k=10):
    """Normalised discounted cumulative gain of the top `k`.

    The sum of gain / log2(rank + 1) over that of the best possible ranking, which is made
    of ALL relevant documents, found or not. scikit-learn's ``ndcg_score`` knows only those
    that were scored, and averages ties.

    Parameters
    ----------
    relevance : sequence of length n_queries
        What answers each query: an id, a collection of ids (gain 1 each) or a dict
        id -> gain, where a gain of 0 or less means not relevant. None, NaN or
        ``pandas.NA`` means unknown.
    ranking : array or sequence of sequences of length n_queries
        The ids found for each query, best first, none twice.
    k : int, default=10
        How many of them count, at least 1. A shorter ranking is taken as it is.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In [0, 1]; NaN where the relevance is unknown, 0 where nothing is relevant.

    Raises
    ------
    ValueError
        If the lengths differ, an id is ranked twice, a ranking is no sequence of ids, a gain
        is no finite number, or `k` is no whole number of at least 1.

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
    """Share of the relevant documents that are among the top `k`.

    The gains' sizes do not matter. trec_eval's ``recall``.

    Parameters
    ----------
    relevance : sequence of length n_queries
        What answers each query: an id, a collection of ids or a dict id -> gain, where a
        gain of 0 or less means not relevant. None, NaN or ``pandas.NA`` means unknown.
    ranking : array or sequence of sequences of length n_queries
        The ids found for each query, best first, none twice.
    k : int, default=10
        How many of them count, at least 1.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In [0, 1]; NaN where the relevance is unknown, 0 where nothing is relevant.

    Raises
    ------
    ValueError
        As `ndcg_at_k`.

    Examples
    --------
    >>> from gapremoval.metrics import recall_at_k
    >>> recall_at_k([["a", "z"]], [["a", "b"]])
    array([0.5])
    """
    return _recall(gains_of(relevance, ranking, k), k)


def mrr_at_k(relevance, ranking, k=10):
    """Reciprocal rank of the first relevant document among the top `k`, else 0.

    The gains' sizes do not matter. trec_eval's ``recip_rank`` on the top `k`.

    Parameters
    ----------
    relevance : sequence of length n_queries
        What answers each query: an id, a collection of ids or a dict id -> gain, where a
        gain of 0 or less means not relevant. None, NaN or ``pandas.NA`` means unknown.
    ranking : array or sequence of sequences of length n_queries
        The ids found for each query, best first, none twice.
    k : int, default=10
        How many of them count, at least 1.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In [0, 1]; NaN where the relevance is unknown, 0 where nothing is relevant.

    Raises
    ------
    ValueError
        As `ndcg_at_k`.

    Examples
    --------
    >>> from gapremoval.metrics import mrr_at_k
    >>> mrr_at_k(["b", "z"], [["a", "b"], ["a", "b"]])
    array([0.5, 0. ])
    """
    return _mrr(gains_of(relevance, ranking, k), k)


def precision_at_k(relevance, ranking, k=10):
    """Share of the top `k` that is relevant; a shorter ranking is still divided by `k`.

    The gains' sizes do not matter. trec_eval's ``P``.

    Parameters
    ----------
    relevance : sequence of length n_queries
        What answers each query: an id, a collection of ids or a dict id -> gain, where a
        gain of 0 or less means not relevant. None, NaN or ``pandas.NA`` means unknown.
    ranking : array or sequence of sequences of length n_queries
        The ids found for each query, best first, none twice.
    k : int, default=10
        How many of them count, at least 1.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In [0, 1]; NaN where the relevance is unknown, 0 where nothing is relevant.

    Raises
    ------
    ValueError
        As `ndcg_at_k`.

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


def _mrr(gains, k):
    ranks = np.arange(1, gains.found.shape[1] + 1)
    return gains.n_relevant * 0 + ((gains.found > 0) / ranks).max(axis=1)


def _precision(gains, k):
    return gains.n_relevant * 0 + (gains.found > 0).sum(axis=1) / k


METRICS = {"ndcg": _ndcg, "recall": _recall, "mrr": _mrr, "precision": _precision}


def get_ranking_metric(name):
    """The metric and the cut-off that a name such as ``"ndcg@10"`` stands for.

    Returns
    -------
    metric : callable
        ``metric(gains, k)`` gives a value a query, from `Gains`.
    k : int

    Raises
    ------
    ValueError
        If the name is not a known metric, ``@`` and a whole number of at least 1.
    """
    metric, _, k = str(name).partition("@")
    if metric not in METRICS or not k.isascii() or not k.isdigit() or int(k) < 1:
        raise ValueError(
            f"{name!r} is no ranking metric: write one of {', '.join(METRICS)}, then @ and how "
            "many ranks count, such as 'ndcg@10'."
        )
    return METRICS[metric], int(k)


class Gains(NamedTuple):
    """What the metrics are made of.

    Attributes
    ----------
    found : ndarray of shape (n_queries, width)
        The gains of the documents ranked, 0 for what is not relevant; `width` is at most `k`.
    ideal : ndarray of shape (n_queries, width)
        The largest gains of all relevant documents, descending.
    n_relevant : ndarray of shape (n_queries,)
        How many are relevant; NaN where that is unknown.
    """

    found: np.ndarray
    ideal: np.ndarray
    n_relevant: np.ndarray

    @classmethod
    def before_a_search(cls, relevance, k, n_found):
        """Those of queries that found nothing yet, and will find `n_found` documents at most."""
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
    if not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1; got {k!r}.")
    if isinstance(relevance, Mapping) or isinstance(ranking, Mapping):
        raise ValueError(
            "relevance and ranking must be sequences with an entry a query; got a dict. Its "
            "values in the order of the queries are such a sequence."
        )
    relevance = check_relevance(relevance)
    ranking = ranking.tolist() if hasattr(ranking, "tolist") else list(ranking)
    if len(relevance) != len(ranking):
        raise ValueError(
            f"There are {len(relevance)} relevances and {len(ranking)} rankings: give one of each "
            "a query."
        )
    tops = [_top(ranked, k, query) for query, ranked in enumerate(ranking)]
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
        raise ValueError(f"The ranking of query {query} holds an id twice: {top!r}.")
    return top

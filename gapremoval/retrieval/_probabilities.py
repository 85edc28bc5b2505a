"""From the best documents of each modality to one ranking, probabilities and evidence."""

import numpy as np

# How many of the next best documents a lead is taken over.
N_NEXT = 10


def nearest_with_odds(documents, queries, k, score_map, *, modality=None):
    """The best documents with their probabilities, and each query's evidence.

    Parameters
    ----------
    documents : Documents
    queries : array of shape (n_queries, n_features)
        Of unit length.
    k : int
        How many; cut to the documents there are.
    score_map : ScoreMap
        With a slope.
    modality : str, default=None
        Search only documents of this modality.

    Returns
    -------
    scores, numbers, probabilities : ndarray of shape (n_queries, n_found)
    evidence : ndarray of shape (n_queries,)
    """
    tops = documents.nearest_by_modality(
        queries, max(k, N_NEXT + 1), modality=modality, score_map=score_map
    )
    n_queries, slope = queries.shape[0], score_map.slope
    scores, numbers = np.empty((n_queries, 0)), np.empty((n_queries, 0), int)
    odds, answered = np.empty((n_queries, 0)), np.full(n_queries, -np.inf)
    if tops:
        scores, numbers = merge(tops, k)
        odds, answered = probabilities(scores, tops, slope), evidence(tops, slope)
    rest = documents.undirected(modality)[: k - scores.shape[1]]
    rest = np.broadcast_to(rest, (n_queries, len(rest)))
    return (
        np.concatenate([scores, score_map.offset[rest]], axis=1),
        np.concatenate([numbers, rest], axis=1),
        np.concatenate([odds, np.zeros(rest.shape)], axis=1),
        answered,
    )


def merge(tops, k):
    """The `k` best of all modalities.

    Parameters
    ----------
    tops : dict of str to TopK
        The best documents of each modality, at least `k` where it has so many.

    Returns
    -------
    scores : ndarray of float64 of shape (n_queries, min(k, number of all))
        Descending.
    numbers : ndarray of int of that shape
        Documents; equal scores in ascending order.
    """
    scores = np.concatenate([top.scores for top in tops.values()], axis=1)
    numbers = np.concatenate([top.indices for top in tops.values()], axis=1)
    order = np.lexsort((numbers, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(numbers, order, axis=1)


def probabilities(scores, tops, slope):
    """The probability that a document answers, given that one of those searched does.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_found)
    tops : dict of str to TopK
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
    tops : dict of str to TopK
        At least eleven of each modality where it has so many.
    slope : float
        Log odds a unit of score.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        Higher where the corpus holds an answer. Where no document is left for a lead, it is
        taken over a score of 0.
    """
    scores, _ = merge(tops, N_NEXT + 1)
    best = np.stack([top.scores[:, 0] for top in tops.values()])
    in_modality = np.stack([_mean_of_next(top.scores) for top in tops.values()])
    own = in_modality[best.argmax(axis=0), np.arange(best.shape[1])]
    first = scores[:, 0]
    return slope * (first + (first - _mean_of_next(scores)) + (first - own)) / 3


def _mean_of_next(scores):
    """The mean score of the next ten after the best."""
    following = scores[:, 1 : N_NEXT + 1]
    return following.mean(axis=1) if following.shape[1] else np.zeros(len(scores))

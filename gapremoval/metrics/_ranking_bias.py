"""ranking_bias: which modality fills the top of the rankings?"""

from typing import NamedTuple

import numpy as np

from .._ranking_metrics import ndcg_at_k
from .._relevance import check_relevance, check_y, modality_of_answers, relevant_ids
from .._search import search, split_steps
from .._warnings import shown


class RankingBias(NamedTuple):
    """Which modality fills the top, and how well answers of each modality are found.

    Modalities are those of documents: ``"image+text"`` for one with both parts.

    Attributes
    ----------
    share_of_top : dict of str to float
        Share of each modality among the documents found; the sum is 1.
    share_of_corpus : dict of str to float
        Share of each modality among all documents; the sum is 1.
    ratio : dict of str to float
        The first over the second: 1 without a preference, 0 where a modality is never found.
    ndcg : dict of str to float, or None
        Mean NDCG of the queries whose right answer has the modality; ``"several"`` where right
        answers have several. None without relevance.
    n_queries : dict of str to int, or None
        Number of queries behind each value of `ndcg`.
    """

    share_of_top: dict
    share_of_corpus: dict
    ratio: dict
    ndcg: dict | None
    n_queries: dict | None


def ranking_bias(estimator, queries, relevance=None, *, k=10, modality=None):
    """Which modality fills the top `k`, against its share of the corpus.

    This is what the gap does to a search: a text query finds texts, whatever they say.

    Parameters
    ----------
    estimator : fitted Pipeline, search object such as GridSearchCV, or retriever
        As `gapremoval.search` takes it.
    queries : object
        The queries, as `gapremoval.search` takes them.
    relevance : sequence of length n_queries, default=None
        The relevance of each query: an id, a collection of ids, a dict id -> gain, or None where
        it is unknown.
    k : int, default=10
        Length of the rankings, at least 1.
    modality : str or sequence of str, default=None
        Modality of vectors without tags, as for `gapremoval.search`.

    Returns
    -------
    RankingBias
        `share_of_top`, `share_of_corpus`, `ratio`, `ndcg` and `n_queries`, each by modality.

    Raises
    ------
    ValueError
        If `relevance` has another length than the queries or names a document that is not
        indexed, or `gapremoval.search` would refuse the queries.
    TypeError
        If the last step of `estimator` is neither a `MixedModalityRetriever` nor a
        `StoreRetriever`.

    Notes
    -----
    A ratio of 1 is no aim in itself: where images answer most of the questions, they should fill
    the top. NDCG by the modality of the right answer shows what the preference costs.

    References
    ----------
    .. [1] Li et al., "Closing the Modality Gap for Mixed Modality Search", arXiv 2507.19054,
       section 3.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever, make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import ranking_bias
    >>> X, y = make_mixed_modality(random_state=0)
    >>> is_query = X.modality == "query:text"
    >>> for estimator in (MixedModalityRetriever(), make_search_pipeline()):
    ...     bias = ranking_bias(estimator.fit(X, y), X[is_query], y[is_query])
    ...     print(round(bias.ratio["text"], 1), round(bias.ndcg["image"], 2))
    2.9 0.0
    0.9 0.83
    """
    retriever = split_steps(estimator)[1]
    found = search(estimator, queries, k, modality=modality)
    counts, modalities_of = _corpus(retriever)
    n_documents = sum(counts.values())
    of_corpus = {name: n / n_documents for name, n in counts.items()}
    of_top = {name: float(np.mean(found.modalities == name)) for name in counts}
    ratio = {name: of_top[name] / of_corpus[name] for name in counts}
    ndcg = n_queries = None
    if relevance is not None:
        gains = check_relevance(check_y(relevance, len(found.ids), "relevance"))
        answers = dict.fromkeys(x for each in gains for x in relevant_ids(each))
        modality = modality_of_answers(gains, modalities_of([*answers]))
        scores = ndcg_at_k(gains, found.ids, k)
        by_answer = {name: scores[modality == name] for name in (*counts, "several")}
        ndcg = {name: float(x.mean()) for name, x in by_answer.items() if len(x)}
        n_queries = {name: len(by_answer[name]) for name in ndcg}
    return RankingBias(of_top, of_corpus, ratio, ndcg, n_queries)


def _corpus(retriever):
    """Number of documents by modality, and a function from ids to a dict of modalities by id."""
    if hasattr(retriever, "document_modality_"):
        names = np.asarray(retriever.document_modality_)
        by_id = dict(zip(retriever.ids_.tolist(), names.tolist()))

        def modalities_of(ids):
            absent = [x for x in ids if x not in by_id]
            if absent:
                raise ValueError(
                    f"{len(absent)} document(s) in relevance are not indexed: {shown(absent)}. "
                    "Drop them from the relevance, or add them to the corpus."
                )
            return by_id

        names, counts = np.unique(names, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist())), modalities_of
    if hasattr(retriever, "store_"):
        counts = {name: n for name, n in sorted(retriever._head.counts.items()) if n}

        def modalities_of(ids):
            ids = retriever._ids(ids, "relevance")
            return dict(zip(ids, retriever.store_.fetch(ids).modalities.tolist()))

        return counts, modalities_of
    raise TypeError(
        f"{type(retriever).__name__} does not tell the modalities of its documents: the last step "
        "must be a MixedModalityRetriever or a StoreRetriever."
    )

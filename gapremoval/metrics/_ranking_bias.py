"""ranking_bias: which modality fills the top of the rankings?"""

from typing import NamedTuple

import numpy as np

from .._ranking_metrics import ndcg_at_k
from .._relevance import check_relevance
from .._search import search, split_steps


class RankingBias(NamedTuple):
    """Shares of the top and of the corpus by modality; NDCG by modality of the answer."""

    share_of_top: dict
    share_of_corpus: dict
    ratio: dict
    ndcg: dict | None


def ranking_bias(estimator, queries, relevance=None, *, k=10, modality=None):
    """Which modality fills the top `k`, against its share of the corpus."""
    found = search(estimator, queries, k, modality=modality)
    retriever = split_steps(estimator)[1]
    of_documents = np.asarray(retriever.document_modality_)
    names, counts = np.unique(of_documents, return_counts=True)
    of_corpus = dict(zip(names.tolist(), (counts / counts.sum()).tolist()))
    top = np.asarray(found.modalities)
    of_top = {name: float(np.mean(top == name)) for name in of_corpus}
    ratio = {name: of_top[name] / of_corpus[name] for name in of_corpus}
    ndcg = None
    if relevance is not None:
        gains = check_relevance(relevance)
        scores = ndcg_at_k(gains, found.ids, k)
        modality_of = dict(zip(np.asarray(retriever.ids_).tolist(), of_documents.tolist()))
        answers = np.array([_answer_modality(x, modality_of) for x in gains])
        ndcg = {
            name: float(scores[answers == name].mean())
            for name in [*of_corpus, "several"]
            if (answers == name).any()
        }
    return RankingBias(of_top, of_corpus, ratio, ndcg)


def _answer_modality(gains, modality_of):
    """The modality of the documents that answer a query: one, several or none."""
    names = {modality_of.get(x) for x, gain in (gains or {}).items() if gain > 0} - {None}
    return "several" if len(names) > 1 else names.pop() if names else "none"

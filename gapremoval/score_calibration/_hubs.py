"""Score calibrations against hubs: documents that are close to many queries."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval

from .._array_api import take_rows
from ._base import ScoreCalibrator


class NearestNeighborNormalization(ScoreCalibrator):
    """Subtract a share of a document's mean score with its nearest queries (NNN).

    A calibrated score is ``cosine - share * H_d``, where H_d is the mean of the document's
    best scores over the example queries.

    Parameters
    ----------
    share : float, default=0.75
        The share of H_d to subtract, at least 0 (alpha in the paper).
    top : float in (0, 1], default=1/12
        The part of the example queries over which the mean is taken: the nearest ones, their
        number rounded down and at least one.

    Attributes
    ----------
    query_modalities_ : tuple of str
        The query modalities that were learned from. Other queries get plain cosines.
    document_modalities_ : tuple of str
        The modalities of the documents that were learned about.

    See Also
    --------
    CSLS : The same with a fixed share and a fixed number of queries.

    Notes
    -----
    Learns from the query rows; their relevance is not needed. Without query rows it learns
    from the documents' own rows of the query modality, leaving each row's own document out. At
    least two rows are needed.

    `MixedModalityRetriever.export_vectors` gives vectors that rank in the same way.

    References
    ----------
    .. [1] Chowdhury et al., "Nearest Neighbor Normalization Improves Multimodal Retrieval",
       EMNLP 2024, arXiv 2410.24114.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import NearestNeighborNormalization
    >>> rows, tags = [[1, 0], [0, 1], [1, 0], [4, 3]], ["image"] * 2 + ["query:text"] * 2
    >>> hub = NearestNeighborNormalization(share=0.5, top=1.0)
    >>> retriever = MixedModalityRetriever(score_calibration=hub).fit(rows, modality=tags)
    >>> retriever.search([[0.6, 0.8]], modality="query:text").scores.round(2)
    array([[0.65, 0.15]])
    """

    _parameter_constraints = {
        "share": [Interval(Real, 0, None, closed="left")],
        "top": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(self, *, share=0.75, top=1 / 12):
        self.share = share
        self.top = top

    def _document_statistics(self, scores):
        scores = scores.asked()
        # A product such as 0.29 * 100 comes out a little below the whole number.
        k = max(int(self.top * scores.n_rows + 1e-9), 1)
        return top_means(scores, k)[:, None]

    def _score_map(self, query_modality, modality, statistics):
        return np.ones(len(statistics)), -self.share * statistics[:, 0]


class CSLS(ScoreCalibrator):
    """Cross-domain similarity local scaling: subtract how close a document's queries are.

    A calibrated score is ``2 * cosine - r_d``, where r_d is the mean score of the document
    with its nearest example queries.

    Parameters
    ----------
    n_neighbors : int, default=10
        Number of nearest queries in the mean, at least 1. With fewer example queries all of
        them are used.

    Attributes
    ----------
    query_modalities_ : tuple of str
        The query modalities that were learned from. Other queries get plain cosines.
    document_modalities_ : tuple of str
        The modalities of the documents that were learned about.

    See Also
    --------
    NearestNeighborNormalization : With a variable share and a part of the queries.

    Notes
    -----
    The query's own term, its mean score with its nearest documents, is left out: it is the
    same for all documents and changes no ranking.

    Learns from the query rows; their relevance is not needed. Without query rows it learns
    from the documents' own rows of the query modality, leaving each row's own document out. At
    least two rows are needed.

    `MixedModalityRetriever.export_vectors` gives vectors that rank in the same way.

    References
    ----------
    .. [1] Lample et al., "Word translation without parallel data", ICLR 2018, arXiv
       1710.04087.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import CSLS
    >>> rows, tags = [[1, 0], [0, 1], [1, 0], [4, 3]], ["image"] * 2 + ["query:text"] * 2
    >>> retriever = MixedModalityRetriever(score_calibration=CSLS()).fit(rows, modality=tags)
    >>> retriever.search([[0.6, 0.8]], modality="query:text").scores.round(2)
    array([[1.3, 0.3]])
    """

    _parameter_constraints = {"n_neighbors": [Interval(Integral, 1, None, closed="left")]}

    def __init__(self, n_neighbors=10):
        self.n_neighbors = n_neighbors

    def _document_statistics(self, scores):
        return top_means(scores.asked(), self.n_neighbors)[:, None]

    def _score_map(self, query_modality, modality, statistics):
        return np.full(len(statistics), 2.0), -statistics[:, 0]


class QBNorm(ScoreCalibrator):
    """Querybank normalization: an inverted softmax for queries that find a hub.

    A calibrated score is the logarithm of the inverted softmax, divided by `beta`::

        log(exp(beta * cosine) / mean(exp(beta * cosines of d with the bank))) / beta

    The bank are the example queries. The activation set are the documents that are the best of
    at least one row of the bank. Only queries whose best document is in the activation set are
    calibrated; all others keep plain cosines.

    Parameters
    ----------
    beta : float, default=20.0
        Inverse temperature of the softmax, above 0.

    Attributes
    ----------
    query_modalities_ : tuple of str
        The query modalities that were learned from. Other queries get plain cosines.
    document_modalities_ : tuple of str
        The modalities of the documents that were learned about.
    bank_ : dict of str to ndarray of shape (n_rows, n_features)
        The bank of each query modality, unit rows.
    own_ : dict of str to ndarray of int of shape (n_rows,)
        The position of the document that each row of a bank is a part of; -1 for queries.

    See Also
    --------
    CSLS : Subtracts a mean, for every query.

    Notes
    -----
    The query decides how it is ranked, so `MixedModalityRetriever.export_vectors` raises. The
    scores of one query are comparable with each other, but not with those of another query.

    The paper divides by the sum over the bank; the mean differs by a constant and changes no
    ranking. The activation set follows the corpus when documents are added or removed. It is
    that of the whole corpus even where only one modality is searched.

    Learns from the query rows; their relevance is not needed. Without query rows it learns
    from the documents' own rows of the query modality, leaving each row's own document out. At
    least two rows are needed.

    References
    ----------
    .. [1] Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation", CVPR 2022,
       arXiv 2112.12777: the dynamic inverted softmax.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import QBNorm
    >>> rows, tags = [[1, 0], [0, 1], [1, 0], [4, 3]], ["image"] * 2 + ["query:text"] * 2
    >>> retriever = MixedModalityRetriever(score_calibration=QBNorm()).fit(rows, modality=tags)

    The first document is the best of both example queries, the second of none.

    >>> retriever.search([[0.8, 0.6], [0.6, 0.8]], modality="query:text").scores.round(2)
    array([[ 0.03, -0.17],
           [ 0.8 ,  0.6 ]])
    """

    _parameter_constraints = {"beta": [Interval(Real, 0, None, closed="neither")]}

    _learned = ("bank_", "own_")

    def __init__(self, *, beta=20.0):
        self.beta = beta

    def nearest(self, documents, queries, k, query_modality, *, without=None):
        found = documents.nearest(queries, k, without=without)
        if query_modality not in self.query_modalities_:
            return found
        # By the whole corpus, so that the ranking of a part of it is a part of the whole one.
        whole = documents.whole
        _, best = found if whole is documents else whole.nearest(queries, 1, without=without)
        rows = np.flatnonzero(np.isin(best[:, 0], self._activated(query_modality, whole)))
        if len(rows):
            scores, positions = found
            own = None if without is None else without[rows]
            scores[rows], positions[rows] = super().nearest(
                documents, take_rows(queries, rows), k, query_modality, without=own
            )
        return found

    def _activated(self, query_modality, documents):
        """The positions of the documents that are the best of some row of the bank."""
        key = "activated", query_modality
        if key not in documents.cache:
            own = self.own_[query_modality]
            _, best = documents.nearest(self.bank_[query_modality], 2)
            # A row of a document would be the best of itself.
            first = np.where(best[:, 0] == own, best[:, -1], best[:, 0])
            documents.cache[key] = np.unique(first[first != own])
        return documents.cache[key]

    def _document_statistics(self, scores):
        """The logarithm of the mean over the bank, divided by `beta`; 0 without other rows."""
        scores = scores.asked()
        means = np.zeros(scores.n_documents)
        for _, documents, block, own in scores.blocks():
            block[own] = -np.inf
            others = np.isfinite(block).sum(axis=1)
            largest = np.where(others > 0, block.max(axis=1), 0)
            block -= largest[:, None]
            block *= self.beta
            sums = np.exp(block, out=block).sum(axis=1, dtype=float)
            sums[others == 0] = 1
            means[documents] = largest + np.log(sums / np.maximum(others, 1)) / self.beta
        return means[:, None]

    def _learn(self, scores, statistics):
        scores = scores.asked()
        own = np.where(scores.own < 0, -1, scores.position[scores.own])
        return {"bank_": scores.rows, "own_": own}

    def _score_map(self, query_modality, modality, statistics):
        return np.ones(len(statistics)), -statistics[:, 0]


def top_means(scores, k):
    """The mean of each document's `k` best scores with rows other than its own.

    Parameters
    ----------
    scores : TeachingScores
    k : int
        At least 1. With fewer rows all of them are used.

    Returns
    -------
    ndarray of float64 of shape (n_documents,)
        0 where there is no other row.
    """
    means = np.zeros(scores.n_documents)
    k = min(k, scores.n_rows)
    for _, documents, block, own in scores.blocks():
        block[own] = -2  # below all cosines
        best = np.partition(block, -k, axis=1)[:, -k:]
        is_other = best > -1.5
        sums = best.sum(axis=1, dtype=float, where=is_other)
        means[documents] = sums / np.maximum(is_other.sum(axis=1), 1)
    return means

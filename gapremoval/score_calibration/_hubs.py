"""Score calibrations against hubs: documents that are close to many queries."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval

from .._array_api import take_rows
from ._base import ScoreCalibrator
from ._score_map import ScoreMap


class NearestNeighborNormalization(ScoreCalibrator):
    """Subtract from a document's score a share of its best scores over the queries (NNN).

    A calibrated score is ``cosine - share * H_d``, with H_d the mean of the document's best
    scores over the queries that teach.

    Parameters
    ----------
    share : float, default=0.75
        How much of H_d is subtracted, at least 0 (the paper's alpha).
    top : float in (0, 1], default=1/12
        Over which part of the queries the mean is taken: the best, rounded down and at least
        one.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality; a document's H_d is all there is to learn.

    See Also
    --------
    CSLS : The same with a fixed share and a fixed number of queries.

    Notes
    -----
    It folds: `MixedModalityRetriever.fold` gives vectors that rank the same.

    It is taught by the queries that were fitted, without their answers; where there are
    none, by the corpus's own rows of the query's modality, each without its own document.
    With fewer than two such rows, and for query modalities that were not taught, scores are
    the plain cosines.

    References
    ----------
    .. [1] Chowdhury et al., "Nearest Neighbor Normalization Improves Multimodal Retrieval",
       EMNLP 2024, arXiv 2410.24114.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import NearestNeighborNormalization
    >>> rows, kind = [[1, 0], [0, 1], [1, 0], [4, 3]], ["image"] * 2 + ["query:text"] * 2
    >>> hub = NearestNeighborNormalization(share=0.5, top=1.0)
    >>> retriever = MixedModalityRetriever(score_calibration=hub).fit(rows, modality=kind)
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
        return scores.asked().hubness(self.top)[:, None]

    def _score_map(self, learnt, statistics, modality, n_documents):
        return ScoreMap(np.ones(len(statistics)), -self.share * statistics[:, 0])


class CSLS(ScoreCalibrator):
    """Cross-domain similarity local scaling: subtract how close a document's queries are.

    A calibrated score is ``2 * cosine - r_d``, with r_d the mean score of the document with
    its nearest queries among those that teach.

    Parameters
    ----------
    n_neighbors : int, default=10
        Over how many queries the mean is taken, if there are so many.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality; a document's r_d is all there is to learn.

    See Also
    --------
    NearestNeighborNormalization : With a share and a part of the queries.

    Notes
    -----
    It folds: `MixedModalityRetriever.fold` gives vectors that rank the same.

    The query's own term, its mean score with its nearest documents, is left out: it is the
    same for all documents and changes no ranking.

    It is taught by the queries that were fitted, without their answers; where there are
    none, by the corpus's own rows of the query's modality, each without its own document.
    With fewer than two such rows, and for query modalities that were not taught, scores are
    the plain cosines.

    References
    ----------
    .. [1] Lample et al., "Word translation without parallel data", ICLR 2018, arXiv
       1710.04087.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import CSLS
    >>> rows, kind = [[1, 0], [0, 1], [1, 0], [4, 3]], ["image"] * 2 + ["query:text"] * 2
    >>> retriever = MixedModalityRetriever(score_calibration=CSLS()).fit(rows, modality=kind)
    >>> retriever.search([[0.6, 0.8]], modality="query:text").scores.round(2)
    array([[1.3, 0.3]])
    """

    _parameter_constraints = {"n_neighbors": [Interval(Integral, 1, None, closed="left")]}

    def __init__(self, n_neighbors=10):
        self.n_neighbors = n_neighbors

    def _document_statistics(self, scores):
        return scores.asked().top_means(self.n_neighbors)[:, None]

    def _score_map(self, learnt, statistics, modality, n_documents):
        return ScoreMap(np.full(len(statistics), 2.0), -statistics[:, 0])


class QBNorm(ScoreCalibrator):
    """Querybank normalisation: a softmax over the queries, for queries that find a hub.

    A calibrated score is the logarithm of the inverted softmax, divided by `beta`::

        log(exp(beta * cosine) / mean(exp(beta * cosines of the bank with d))) / beta

    where the bank are the queries that teach. Only a query whose best document by cosine is
    in the activation set is ranked so: the documents that are the best of some query of the
    bank. Any other query keeps the plain cosines.

    Parameters
    ----------
    beta : float, default=20.0
        The inverse temperature, above 0.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality: ``bank``, the rows that teach, and ``own``, the position of the
        document that each is a row of, or -1.

    See Also
    --------
    CSLS : Subtracts a mean, for every query.

    Notes
    -----
    It does not fold: the query decides how it is ranked, so `MixedModalityRetriever.fold`
    raises. Scores of a query are comparable with each other, not with those of another.

    The paper divides by the sum over the bank; the mean differs by a constant and changes no
    ranking. The activation set follows the corpus when documents are added or removed. It is
    of the whole corpus also where one modality is searched.

    It is taught by the queries that were fitted, without their answers; where there are
    none, by the corpus's own rows of the query's modality, each without its own document.
    With fewer than two such rows, and for query modalities that were not taught, scores are
    the plain cosines.

    References
    ----------
    .. [1] Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation", CVPR 2022,
       arXiv 2112.12777: the dynamic inverted softmax.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import QBNorm
    >>> rows, kind = [[1, 0], [0, 1], [1, 0], [4, 3]], ["image"] * 2 + ["query:text"] * 2
    >>> retriever = MixedModalityRetriever(score_calibration=QBNorm()).fit(rows, modality=kind)

    The first document is the best of both queries, the second of none.

    >>> retriever.search([[0.8, 0.6], [0.6, 0.8]], modality="query:text").scores.round(2)
    array([[ 0.03, -0.17],
           [ 0.8 ,  0.6 ]])
    """

    folds = False

    _parameter_constraints = {"beta": [Interval(Real, 0, None, closed="neither")]}

    def __init__(self, *, beta=20.0):
        self.beta = beta

    def nearest(self, documents, queries, k, query_modality, *, modality=None):
        found = documents.nearest(queries, k, modality=modality)
        if query_modality not in self.learnt_:
            return found
        # By the whole corpus, so that what one modality holds is a part of the whole list.
        _, best = found if modality is None else documents.nearest(queries, 1)
        rows = np.flatnonzero(np.isin(best[:, 0], self._activated(query_modality, documents)))
        if len(rows):
            scores, positions = found
            scores[rows], positions[rows] = super().nearest(
                documents, take_rows(queries, rows), k, query_modality, modality=modality
            )
        return found

    def _activated(self, query_modality, documents):
        """The positions of the documents that are the best of some row of the bank."""
        key = "activated", query_modality
        if key not in documents.cache:
            bank, own = (self.learnt_[query_modality][name] for name in ("bank", "own"))
            _, best = documents.nearest(bank, 2)
            # A row of a document would be the best of itself.
            first = np.where(best[:, 0] == own, best[:, -1], best[:, 0])
            documents.cache[key] = np.unique(first[first != own])
        return documents.cache[key]

    def _document_statistics(self, scores):
        return scores.asked().soft_means(self.beta)[:, None]

    def _learn(self, scores, statistics):
        asked = scores.asked()
        own = np.full(len(asked.queries) + len(asked.stand_ins), -1)
        own[len(asked.queries) :] = np.where(asked.own < 0, -1, scores.position[asked.own])
        bank = asked.queries if len(asked.queries) else asked.stand_ins
        return {**super()._learn(scores, statistics), "bank": bank, "own": own}

    def _score_map(self, learnt, statistics, modality, n_documents):
        return ScoreMap(np.ones(len(statistics)), -statistics[:, 0])

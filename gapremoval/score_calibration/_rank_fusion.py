"""ReciprocalRankFusion: rank the documents of each modality apart and interleave the lists."""

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from ._base import ScoreCalibrator
from ._score_map import CorpusScoreMap


class ReciprocalRankFusion(ScoreCalibrator):
    """Rank the documents of each modality apart, and fuse the lists by rank.

    A calibrated score is ``1 / (constant + rank)``, with the document's rank among the
    documents of its own modality, from 1. Documents of equal rank are ordered by cosine, then
    by the order in which they were added.

    Parameters
    ----------
    constant : float, default=60
        Added to every rank, at least 0. It changes the scores but no ranking, because each
        document is in one list only.

    Attributes
    ----------
    query_modalities_ : tuple of str
        The query modalities that were seen. All others are ranked in the same way.
    document_modalities_ : tuple of str
        The modalities of the documents that were seen.

    See Also
    --------
    gapremoval.PosteriorOdds : Compares the scores of the modalities instead of the ranks.

    Notes
    -----
    A rank depends on the other documents, so `MixedModalityRetriever.fold` raises.

    Nothing is learned and no example queries are needed. All modalities are taken to be
    equally likely to answer. Documents of length zero come last, with score 0.

    References
    ----------
    .. [1] Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and
       individual rank learning methods", SIGIR 2009.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import ReciprocalRankFusion
    >>> rows, tags = [[1, 0], [4, 3], [0, 1]], ["text", "text", "image"]
    >>> fused = MixedModalityRetriever(score_calibration=ReciprocalRankFusion())
    >>> fused = fused.fit(rows, ["note", "memo", "photo"], modality=tags)
    >>> found = fused.search([[1, 0]], modality="query:text")
    >>> found.ids
    array([['note', 'photo', 'memo']], dtype=object)
    >>> (1 / found.scores).round()
    array([[61., 61., 62.]])
    """

    _parameter_constraints = {"constant": [Interval(Real, 0, None, closed="left")]}

    def __init__(self, *, constant=60):
        self.constant = constant

    def score_map(self, query_modality, documents):
        """Plain cosines with 0 as the lowest score, for every query modality.

        Parameters
        ----------
        query_modality : str
            The modality of the queries.
        documents : Snapshot
            The documents to search.

        Returns
        -------
        CorpusScoreMap
            Without scales and offsets.
        """
        return CorpusScoreMap({}, 0.0)

    def nearest(self, documents, queries, k, query_modality, *, without=None):
        """The best documents by reciprocal rank.

        Parameters
        ----------
        documents : Snapshot
            The documents to search, the corpus or a part of it.
        queries : array of shape (n_queries, n_features)
            The queries, of any length but zero.
        k : int
            Number of documents.
        query_modality : str
            The modality of the queries.
        without : ndarray of int of shape (n_queries,), default=None
            The position of a document that each query does not find, or -1.

        Returns
        -------
        scores : ndarray of float64 of shape (n_queries, n_found)
            Best first.
        positions : ndarray of int of shape (n_queries, n_found)
            The positions of the documents found.
        """
        tops = documents.nearest_by_modality(queries, k, without=without).values()
        cosines = np.concatenate([top.scores for top in tops], axis=1)
        positions = np.concatenate([top.positions for top in tops], axis=1)
        rank = np.concatenate([1 + np.arange(top.scores.shape[1]) for top in tops])
        rank = np.where(cosines > -np.inf, rank, np.inf)  # a document that is left out
        order = np.lexsort((positions, -cosines, rank), axis=1)[:, :k]
        scores = 1 / (self.constant + np.take_along_axis(rank, order, axis=1))
        return scores, np.take_along_axis(positions, order, axis=1)

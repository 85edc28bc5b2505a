"""ReciprocalRankFusion: rank each modality apart and interleave the lists."""

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from ._base import ScoreCalibrator
from ._score_map import CorpusScoreMap, ScoreMap


class ReciprocalRankFusion(ScoreCalibrator):
    """Rank the documents of each modality apart, and fuse the lists by rank.

    A calibrated score is ``1 / (constant + rank)``, with the document's rank among those of
    its own modality, from 1. Documents of equal rank come in the order of their cosines, then
    in that in which they were added.

    Parameters
    ----------
    constant : float, default=60
        At least 0. A document is in one list only, so it changes scores and no ranking.

    Attributes
    ----------
    learnt_ : dict of str to dict
        Nothing is learnt.

    See Also
    --------
    gapremoval.PosteriorOdds : Compares the scores of the modalities, not the ranks.

    Notes
    -----
    It does not fold: a rank depends on the other documents, so `MixedModalityRetriever.fold`
    raises.

    It needs no queries and ranks those of every modality so. All modalities count as equally
    likely to answer. Documents of length zero come last, with score 0.

    References
    ----------
    .. [1] Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and
       individual rank learning methods", SIGIR 2009.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import ReciprocalRankFusion
    >>> rows, kind = [[1, 0], [4, 3], [0, 1]], ["text", "text", "image"]
    >>> fused = MixedModalityRetriever(score_calibration=ReciprocalRankFusion())
    >>> fused = fused.fit(rows, modality=kind)
    >>> found = fused.search([[1, 0]], modality="query:text")
    >>> found.modalities
    array([['text', 'image', 'text']], dtype='<U5')
    >>> (1 / found.scores).round()
    array([[61., 61., 62.]])
    """

    folds = False

    _parameter_constraints = {"constant": [Interval(Real, 0, None, closed="left")]}

    def __init__(self, *, constant=60):
        self.constant = constant

    def score_map(self, query_modality, documents):
        """Cosines as they are, for every query modality: ranks need no teaching.

        Parameters
        ----------
        query_modality : str
            That of the queries.
        documents : Snapshot
            Those that are searched.

        Returns
        -------
        CorpusScoreMap
            With scale 1 and offset 0.
        """
        ones = {m: np.ones(len(segment)) for m, segment in documents.directed.items()}
        return CorpusScoreMap({m: ScoreMap(one, 0 * one) for m, one in ones.items()}, 0.0)

    def nearest(self, documents, queries, k, query_modality, *, modality=None):
        """The best documents by reciprocal rank.

        Parameters
        ----------
        documents : Snapshot
            Those that are searched.
        queries : array of shape (n_queries, n_features)
            Of any length but zero.
        k : int
            How many documents.
        query_modality : str
            That of the queries.
        modality : str, default=None
            Search only documents of this modality.

        Returns
        -------
        scores : ndarray of float64 of shape (n_queries, n_found)
            Best first.
        positions : ndarray of int of shape (n_queries, n_found)
            Those of the documents.
        """
        tops = documents.nearest_by_modality(queries, k, modality=modality).values()
        cosines = np.concatenate([top.scores for top in tops], axis=1)
        positions = np.concatenate([top.positions for top in tops], axis=1)
        rank = np.concatenate([1 + np.arange(top.scores.shape[1]) for top in tops])
        rank = np.broadcast_to(rank, cosines.shape)
        order = np.lexsort((positions, -cosines, rank), axis=1)[:, :k]
        scores = 1 / (self.constant + np.take_along_axis(rank, order, axis=1))
        return scores, np.take_along_axis(positions, order, axis=1)

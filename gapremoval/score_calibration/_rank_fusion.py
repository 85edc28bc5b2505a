"""ReciprocalRankFusion: rank the documents of each modality apart and interleave the lists."""

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from ._list_fusion import ListFusion


class ReciprocalRankFusion(ListFusion):
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
    DistributionBasedScoreFusion : Fuses the lists by score.
    RelativeScoreFusion : Fuses the lists by score.

    Notes
    -----
    A rank depends on the other documents, so `MixedModalityRetriever.export_vectors` raises.

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

    def _list_scores(self, cosines):
        rank = 1 + np.arange(cosines.shape[1])
        return np.where(cosines > -np.inf, 1 / (self.constant + rank), 0)

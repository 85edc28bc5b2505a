"""Score fusion: search each modality apart, bring the scores of each list to one range, merge."""

from numbers import Integral

import numpy as np
from sklearn.utils._param_validation import Interval

from ._list_fusion import ListFusion
from ._teaching import SMALLEST_DEVIATION


class _ScoreFusion(ListFusion):
    """Base class of the fusions that map a range of cosines to [0, 1], list by list."""

    _parameter_constraints = {"list_length": [Interval(Integral, 1, None, closed="left")]}

    # The score of documents whose cosines do not differ.
    _score_of_equals = None

    def _list_scores(self, cosines):
        listed = cosines[:, : self.list_length]
        found = listed > -np.inf
        low, high = (limit[:, None] for limit in self._limits(listed, found))
        spread = high - low
        is_equal = spread <= SMALLEST_DEVIATION
        scores = (listed - low) / np.where(is_equal, 1, spread)
        scores = np.where(is_equal, self._score_of_equals, scores)
        # Rounded, so that scores that are equal by the formula are equal.
        scores = np.where(found, np.maximum(scores, 0), 0).round(12)
        return np.pad(scores, ((0, 0), (0, cosines.shape[1] - listed.shape[1])))

    def _limits(self, cosines, found):
        """The cosines that become 0 and 1, of each query; `found` is a mask of the documents."""
        raise NotImplementedError


class DistributionBasedScoreFusion(_ScoreFusion):
    """Search each modality apart, and standardize the scores of each list (DBSF).

    A calibrated score is ``(cosine - (mean - 3 * sd)) / (6 * sd)``, where the mean and the
    standard deviation are those of the best documents of the same modality for the same query.
    This is how Qdrant merges the results of several searches.

    Parameters
    ----------
    list_length : int, default=10
        Number of documents in the list of each modality, at least 1: the ``limit`` of a
        prefetch in Qdrant, and its default.

    Attributes
    ----------
    query_modalities_ : tuple of str
        The query modalities that were seen. All others are ranked in the same way.
    document_modalities_ : tuple of str
        The modalities of the documents that were seen.

    See Also
    --------
    RelativeScoreFusion : The same with the lowest and the highest score as limits.
    ReciprocalRankFusion : Fuses the lists by rank.
    gapremoval.PosteriorOdds : Compares the scores of the modalities.

    Notes
    -----
    As in Qdrant, the standard deviation is that of a sample (``ddof=1``), a list of one
    document or of equal scores gets .5, and a score more than three standard deviations above
    the mean is above 1. A score further below the mean than that is 0. Documents
    beyond the list, which Qdrant does not return, also score 0 and are ordered by cosine. Equal
    scores are ordered by cosine, then by the order in which the documents were added.

    A score depends on the other documents, so `MixedModalityRetriever.export_vectors` raises.
    Nothing is learned and no example queries are needed. All modalities are taken to be equally
    likely to answer. Documents of length zero come last, with score 0.

    References
    ----------
    .. [1] Mazzeschi, "Distribution-based score fusion (DBSF), a new approach to vector search
       ranking", 2023.
    .. [2] Qdrant, `Hybrid queries <https://qdrant.tech/documentation/search/hybrid-queries/>`_,
       and ``distr_norm`` in ``lib/segment/src/common/score_fusion.rs``.

    Examples
    --------
    The cosines of the texts are 1, .8 and .6, with mean .8 and standard deviation .2, so that
    .2 becomes 0 and 1.4 becomes 1. The only image gets .5.

    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import DistributionBasedScoreFusion
    >>> rows, tags = [[1, 0], [4, 3], [3, 4], [0, 1]], ["text", "text", "text", "image"]
    >>> fused = MixedModalityRetriever(score_calibration=DistributionBasedScoreFusion())
    >>> fused = fused.fit(rows, ["note", "memo", "letter", "photo"], modality=tags)
    >>> found = fused.search([[1, 0]], modality="query:text")
    >>> found.ids
    array([['note', 'memo', 'photo', 'letter']], dtype=object)
    >>> found.scores.round(3)
    array([[0.667, 0.5  , 0.5  , 0.333]])
    """

    _score_of_equals = 0.5

    def __init__(self, *, list_length=10):
        self.list_length = list_length

    def _limits(self, cosines, found):
        n = np.maximum(found.sum(axis=1), 1)
        mean = cosines.sum(axis=1, where=found) / n
        squares = np.square(cosines - mean[:, None], where=found, out=np.zeros(cosines.shape))
        deviation = np.sqrt(squares.sum(axis=1) / np.maximum(n - 1, 1))
        return mean - 3 * deviation, mean + 3 * deviation


class RelativeScoreFusion(_ScoreFusion):
    """Search each modality apart, and bring the scores of each list to [0, 1].

    A calibrated score is ``(cosine - lowest) / (highest - lowest)``, where the lowest and the
    highest cosine are those among the best documents of the same modality for the same query.
    This is how Weaviate merges the results of several searches.

    Parameters
    ----------
    list_length : int, default=100
        Number of documents in the list of each modality, at least 1. The lists of Weaviate
        have 100 documents, or as many as are asked for if that is more.

    Attributes
    ----------
    query_modalities_ : tuple of str
        The query modalities that were seen. All others are ranked in the same way.
    document_modalities_ : tuple of str
        The modalities of the documents that were seen.

    See Also
    --------
    DistributionBasedScoreFusion : The same with limits that an outlier moves less.
    ReciprocalRankFusion : Fuses the lists by rank.
    gapremoval.PosteriorOdds : Compares the scores of the modalities.

    Notes
    -----
    The best document of every modality has score 1. As in Weaviate, so has a list of one
    document or of equal scores, and equal scores are ordered by cosine, then by the order in
    which the documents were added. Documents beyond the list, which Weaviate does not return,
    have score 0.

    A score depends on the other documents, so `MixedModalityRetriever.export_vectors` raises.
    Nothing is learned and no example queries are needed. All modalities are taken to be equally
    likely to answer. Documents of length zero come last, with score 0.

    References
    ----------
    .. [1] Weaviate, `Hybrid search
       <https://docs.weaviate.io/weaviate/concepts/search/hybrid-search>`_, and
       ``FusionRelativeScore`` in ``usecases/traverser/hybrid/hybrid_fusion.go``.

    Examples
    --------
    The cosines of the texts are 1, .8 and .6, those of the images .28 and 0.

    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import RelativeScoreFusion
    >>> rows = [[1, 0], [4, 3], [3, 4], [7, 24], [0, 1]]
    >>> tags = ["text", "text", "text", "image", "image"]
    >>> fused = MixedModalityRetriever(score_calibration=RelativeScoreFusion())
    >>> fused = fused.fit(rows, ["note", "memo", "letter", "photo", "map"], modality=tags)
    >>> found = fused.search([[1, 0]], modality="query:text")
    >>> found.ids
    array([['note', 'photo', 'memo', 'letter', 'map']], dtype=object)
    >>> found.scores.round(3)
    array([[1. , 1. , 0.5, 0. , 0. ]])
    """

    _score_of_equals = 1

    def __init__(self, *, list_length=100):
        self.list_length = list_length

    def _limits(self, cosines, found):
        return np.min(cosines, axis=1, where=found, initial=1), cosines[:, 0]

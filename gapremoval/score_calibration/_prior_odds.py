"""PriorOdds: the first form of posterior odds."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from ._posterior_odds import PosteriorOdds
from ._score_map import ScoreMap


class PriorOdds(PosteriorOdds):
    """Rank by score in units of a modality's deviation, and by how often it answers.

    The first form of `PosteriorOdds`, with constants in place of what that learns::

        (cosine - H_d / 4) / (sigma_m^0.7 * sigma^0.3) + 0.3 * log(pi_m / N_m)

    with H_d the mean of a document's best twelfth of scores over the queries (rounded down,
    at least one), sigma_m the standard deviation of the scores with documents of modality m,
    sigma the mean of the sigma_m, N_m the number of documents, and pi_m the share of queries
    that the modality answers, as `PosteriorOdds` learns it.

    Parameters
    ----------
    strength : float, default=16.0
        How many queries the stand-ins and the priors count for in the shares, above 0.
    answer_share : dict of str to float, default=None
        For each document modality the share of queries that it answers, above 0; brought to a
        sum of 1. By default it is learnt.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality what `PosteriorOdds` learns, and ``deviation``, sigma; in
        ``modalities`` also the ``deviation``, sigma_m, of each document modality.

    See Also
    --------
    gapremoval.PosteriorOdds : Learns what is constant here, and gives probabilities.

    Notes
    -----
    It folds: `MixedModalityRetriever.fold` gives vectors that rank the same.

    H_d and sigma_m come from the queries that were fitted, without their answers; where there
    are none, from the corpus's own rows of the query's modality, each without its own
    document. With fewer than two such rows, and for query modalities that were not taught,
    scores are the plain cosines.

    References
    ----------
    .. [1] Chowdhury et al., "Nearest Neighbor Normalization Improves Multimodal Retrieval",
       EMNLP 2024, arXiv 2410.24114: the term of H_d. The rest is this library's own.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.score_calibration import PriorOdds
    >>> X, y = make_mixed_modality(random_state=0)
    >>> retriever = MixedModalityRetriever(score_calibration=PriorOdds()).fit(X, y)
    >>> modalities = retriever.score_calibration_.learnt_["query:text"]["modalities"]
    >>> round(sum(modality["share"] for modality in modalities.values()), 2)
    1.0
    """

    gives_odds = False

    # The shares are those of the default PosteriorOdds.
    hubness, recenter = PosteriorOdds().hubness, PosteriorOdds().recenter

    _parameter_constraints = {
        "strength": [Interval(Real, 0, None, closed="neither")],
        "answer_share": [Mapping, None],
    }

    def __init__(self, *, strength=16.0, answer_share=None):
        self.strength = strength
        self.answer_share = answer_share

    def _document_statistics(self, scores):
        hubness = scores.asked().hubness(1 / 12)
        return np.column_stack([super()._document_statistics(scores), hubness])

    def _learn(self, scores, statistics):
        learnt = super()._learn(scores, statistics[:, :-1])
        _, deviations = scores.asked().moments()
        for name, deviation in zip(scores.vectors, deviations):
            learnt["modalities"][name]["deviation"] = float(deviation)
        return {**learnt, "deviation": float(deviations.mean())}

    def _score_map(self, learnt, statistics, modality, n_documents):
        mine = learnt["modalities"][modality]
        spread = mine["deviation"] ** 0.7 * learnt["deviation"] ** 0.3
        offset = 0.3 * np.log(mine["share"] / n_documents) - statistics[:, -1] / 4 / spread
        return ScoreMap(np.full(len(statistics), 1 / spread), offset)

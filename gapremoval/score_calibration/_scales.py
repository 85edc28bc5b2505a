"""Score calibrations by a mean and a deviation for each modality of documents."""

import numpy as np

from ._base import ScoreCalibrator
from ._score_map import ScoreMap


class ScoreScale(ScoreCalibrator):
    """Divide scores by their standard deviation in the document's modality.

    A calibrated score is ``cosine / sigma_m``, with sigma_m the standard deviation of the
    scores of all queries with all documents of modality m.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality: ``modalities``, a dict with ``mean`` and ``deviation`` of the
        scores with each document modality.

    See Also
    --------
    ScoreZ : Subtracts the mean as well.
    gapremoval.PosteriorOdds : Weighs a modality also by how often it answers.

    Notes
    -----
    It folds: `MixedModalityRetriever.fold` gives vectors that rank the same.

    It is taught by the queries that were fitted, without their answers; where there are
    none, by the corpus's own rows of the query's modality, each without its own document.
    With fewer than two such rows, and for query modalities that were not taught, scores are
    the plain cosines.

    After a `ModalityGapRemover` the mean is close to 0, so that this and `ScoreZ` hardly
    differ. Where a modality's scores do not differ, they stay as they are.

    References
    ----------
    .. [1] Montague and Aslam, "Relevance score normalization for metasearch", CIKM 2001: zero
       mean and unit variance.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.score_calibration import ScoreScale
    >>> X, y = make_mixed_modality(random_state=0)
    >>> retriever = MixedModalityRetriever(score_calibration=ScoreScale()).fit(X, y)
    >>> sorted(retriever.score_calibration_.learnt_["query:text"]["modalities"])
    ['image', 'image+text', 'text']
    """

    def _learn(self, scores, statistics):
        return _moments(scores, *scores.asked().moments())

    def _score_map(self, learnt, statistics, modality, n_documents):
        scale = np.full(len(statistics), 1 / learnt["modalities"][modality]["deviation"])
        return ScoreMap(scale, np.zeros(len(statistics)))


class ScoreZ(ScoreScale):
    """Standardize scores in the document's modality.

    A calibrated score is ``(cosine - mu_m) / sigma_m``, with mu_m and sigma_m the mean and
    the standard deviation of the scores of all queries with all documents of modality m.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality: ``modalities``, a dict with ``mean`` and ``deviation`` of the
        scores with each document modality.

    See Also
    --------
    ScoreScale : Divides only.
    PseudoPositiveZ : Takes both from each query's best score.

    Notes
    -----
    It folds: `MixedModalityRetriever.fold` gives vectors that rank the same.

    It is taught by the queries that were fitted, without their answers; where there are
    none, by the corpus's own rows of the query's modality, each without its own document.
    With fewer than two such rows, and for query modalities that were not taught, scores are
    the plain cosines.

    All modalities count as equally likely to answer, however many documents they have, so
    it loses where one is large and seldom answers. Where a modality's scores do not differ,
    they are not divided.

    References
    ----------
    .. [1] Montague and Aslam, "Relevance score normalization for metasearch", CIKM 2001: zero
       mean and unit variance.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.score_calibration import ScoreZ
    >>> X, y = make_mixed_modality(random_state=0)
    >>> retriever = MixedModalityRetriever(score_calibration=ScoreZ()).fit(X, y)
    >>> sorted(retriever.score_calibration_.learnt_["query:text"]["modalities"])
    ['image', 'image+text', 'text']
    """

    def _score_map(self, learnt, statistics, modality, n_documents):
        lines = super()._score_map(learnt, statistics, modality, n_documents)
        return ScoreMap(lines.scale, -lines.scale * learnt["modalities"][modality]["mean"])


class PseudoPositiveZ(ScoreZ):
    """Standardize scores by each query's best score in the document's modality.

    A calibrated score is ``(cosine - mu_m) / sigma_m``, with mu_m and sigma_m the mean and
    the standard deviation, over the queries, of a query's best score with documents of
    modality m: the best document counts as if it were the right one.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality: ``modalities``, a dict with ``mean`` and ``deviation`` of the best
        scores with each document modality.

    See Also
    --------
    ScoreZ : Takes both from all scores.

    Notes
    -----
    It folds: `MixedModalityRetriever.fold` gives vectors that rank the same.

    It is taught by the queries that were fitted, without their answers; where there are
    none, by the corpus's own rows of the query's modality, each without its own document.
    With fewer than two such rows, and for query modalities that were not taught, scores are
    the plain cosines.

    It expects each modality to answer every query; where one seldom does, the best score in
    it is a wrong one and counts too much. Where a modality's best scores do not differ, as
    with one query, they are not divided.

    References
    ----------
    .. [1] Yamashita et al., "Bridging the Modality Gap by Similarity Standardization with
       Pseudo-Positive Samples", arXiv 2511.22141.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.score_calibration import PseudoPositiveZ
    >>> X, y = make_mixed_modality(random_state=0)
    >>> retriever = MixedModalityRetriever(score_calibration=PseudoPositiveZ()).fit(X, y)
    >>> sorted(retriever.score_calibration_.learnt_["query:text"]["modalities"])
    ['image', 'image+text', 'text']
    """

    def _learn(self, scores, statistics):
        return _moments(scores, *scores.asked().best_moments())


def _moments(scores, mean, deviation):
    return {
        "modalities": {
            name: {"mean": float(mean[m]), "deviation": float(deviation[m])}
            for m, name in enumerate(scores.vectors)
        }
    }

"""Score calibrations by the mean and the standard deviation of each modality's scores."""

import numpy as np

from ._base import ScoreCalibrator
from ._teaching import SMALLEST_DEVIATION


class ScoreScale(ScoreCalibrator):
    """Divide scores by their standard deviation in the document's modality.

    A calibrated score is ``cosine / sigma_m``, where sigma_m is the standard deviation of the
    scores of all example queries with all documents of modality m.

    Attributes
    ----------
    mean_ : dict of str to dict of str to float
        The mean cosine, by query modality and document modality.
    deviation_ : dict of str to dict of str to float
        The standard deviation of the cosines, by query modality and document modality; 1
        where they do not differ.
    query_modalities_ : tuple of str
        The query modalities that were learned from. Other queries get plain cosines.
    document_modalities_ : tuple of str
        The modalities of the documents that were learned about.

    See Also
    --------
    ScoreZ : Subtracts the mean as well.
    gapremoval.PosteriorOdds : Also considers how often a modality answers.

    Notes
    -----
    After a `ModalityGapRemover` the mean is close to 0, so this and `ScoreZ` hardly differ.

    Learns from the query rows; their relevance is not needed. Without query rows it learns
    from the documents' own rows of the query modality, leaving each row's own document out. At
    least two rows are needed.

    `MixedModalityRetriever.export_vectors` gives vectors that rank in the same way.

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
    >>> sorted(retriever.score_calibration_.deviation_["query:text"])
    ['image', 'image+text', 'text']
    """

    _learned = ("mean_", "deviation_")

    def _learn(self, scores, statistics):
        mean, deviation = self._moments(scores.asked())
        deviation = np.where(deviation < SMALLEST_DEVIATION, 1, deviation)
        values = {"mean_": mean, "deviation_": deviation}
        return {name: dict(zip(scores.vectors, x.tolist())) for name, x in values.items()}

    def _moments(self, scores):
        """The mean and the deviation of the scores with each modality, two arrays."""
        mean, variance, _ = scores.spreads(np.ones(scores.n_rows))
        of_modality = [(mean[rows], variance[rows]) for rows in scores.segments.values()]
        total = [variance.mean() + mean.var() for mean, variance in of_modality]
        return np.array([mean.mean() for mean, _ in of_modality]), np.sqrt(total)

    def _score_map(self, query_modality, modality, statistics):
        scale = np.full(len(statistics), 1 / self.deviation_[query_modality][modality])
        return scale, np.zeros(len(statistics))


class ScoreZ(ScoreScale):
    """Standardize scores in the document's modality.

    A calibrated score is ``(cosine - mu_m) / sigma_m``, where mu_m and sigma_m are the mean
    and the standard deviation of the scores of all example queries with all documents of
    modality m.

    Attributes
    ----------
    mean_ : dict of str to dict of str to float
        The mean cosine, by query modality and document modality.
    deviation_ : dict of str to dict of str to float
        The standard deviation of the cosines, by query modality and document modality; 1
        where they do not differ.
    query_modalities_ : tuple of str
        The query modalities that were learned from. Other queries get plain cosines.
    document_modalities_ : tuple of str
        The modalities of the documents that were learned about.

    See Also
    --------
    ScoreScale : Divides only.
    PseudoPositiveZ : Takes both from each query's best score.

    Notes
    -----
    All modalities are taken to be equally likely to answer, however many documents they have,
    so it loses where one is large and seldom answers.

    Learns from the query rows; their relevance is not needed. Without query rows it learns
    from the documents' own rows of the query modality, leaving each row's own document out. At
    least two rows are needed.

    `MixedModalityRetriever.export_vectors` gives vectors that rank in the same way.

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
    >>> sorted(retriever.score_calibration_.mean_["query:text"])
    ['image', 'image+text', 'text']
    """

    def _score_map(self, query_modality, modality, statistics):
        scale, _ = super()._score_map(query_modality, modality, statistics)
        return scale, -scale * self.mean_[query_modality][modality]


class PseudoPositiveZ(ScoreZ):
    """Standardize scores by each query's best score in the document's modality.

    A calibrated score is ``(cosine - mu_m) / sigma_m``, where mu_m and sigma_m are the mean
    and the standard deviation, over the example queries, of a query's best score with
    documents of modality m: the best document is treated as the right one.

    Attributes
    ----------
    mean_ : dict of str to dict of str to float
        The mean of the best cosines, by query modality and document modality.
    deviation_ : dict of str to dict of str to float
        The standard deviation of the best cosines, by query modality and document modality; 1
        where they do not differ, as with one query.
    query_modalities_ : tuple of str
        The query modalities that were learned from. Other queries get plain cosines.
    document_modalities_ : tuple of str
        The modalities of the documents that were learned about.

    See Also
    --------
    ScoreZ : Takes both from all scores.

    Notes
    -----
    It expects each modality to answer every query. Where a modality seldom answers, its best
    scores are those of wrong documents, and their scores come out too high.

    Learns from the query rows; their relevance is not needed. Without query rows it learns
    from the documents' own rows of the query modality, leaving each row's own document out. At
    least two rows are needed.

    `MixedModalityRetriever.export_vectors` gives vectors that rank in the same way.

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
    >>> sorted(retriever.score_calibration_.mean_["query:text"])
    ['image', 'image+text', 'text']
    """

    def _moments(self, scores):
        (first,) = scores.best(1, np.ones(scores.n_documents), np.zeros(len(scores.segments)))
        # A row may have met no document but its own.
        best = [row[np.isfinite(row)] for row in first]
        best = [row if len(row) else np.zeros(1) for row in best]
        return np.array([row.mean() for row in best]), np.array([row.std() for row in best])

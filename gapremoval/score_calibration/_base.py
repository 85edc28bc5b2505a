"""ScoreCalibrator: the base class of the score calibrations."""

import numpy as np
from sklearn.base import BaseEstimator

from .._base import ReferenceLink
from ._score_map import CorpusScoreMap, ScoreMap
from ._shrinkage import TWO


class ScoreCalibrator(ReferenceLink, BaseEstimator):
    """Base class of the score calibrations.

    A retriever lets a clone `learn` from its documents and from example queries, and keeps the
    statistics of each document that the clone returns. Documents that come later get their
    statistics from `document_statistics`. When queries come, `score_map` turns statistics into
    a scale and an offset for each document.

    Attributes
    ----------
    query_modalities_ : tuple of str
        The query modalities that were learned from. Other queries get plain cosines.
    document_modalities_ : tuple of str
        The modalities of the documents that were learned about.

    See Also
    --------
    gapremoval.PosteriorOdds : The recommended score calibration.

    Notes
    -----
    A subclass overrides up to four methods. Their argument `scores` stands for the cosines of
    the example queries with the documents, which are never held all at once: it has ``rows``,
    an array of shape (n_rows, n_features) of unit rows, of which the first ``n_queries`` are
    queries and the others fallback queries, ``vectors``, a dict of arrays of shape
    (n_documents, n_features) by document modality, and ``blocks()``, which yields the cosines
    block by block.

    ``_document_statistics(scores)``
        An array of shape (n_documents, n_statistics). By default it has no column.
    ``_learn(scores, statistics)``
        What holds for whole modalities: a dict with a value for each name in the class
        attribute ``_learned``. The values become fitted attributes, dicts by query modality.
        One of the name ``slope_`` holds the log odds per unit of score, and lets results have
        probabilities.
    ``_score_map(query_modality, modality, statistics)``
        The scale and the offset of each document of a modality, two arrays. By default they
        are 1 and 0.
    ``_shared_offset(query_modality, modality, n_documents)``
        What is added to the offsets of all documents of a modality, and may depend on their
        number. By default it is 0.

    A subclass whose ranking is not linear in the cosines overrides `nearest` instead.

    Examples
    --------
    Subtract the mean cosine of each document:

    >>> import numpy as np
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.score_calibration import ScoreCalibrator
    >>> class Unbiased(ScoreCalibrator):
    ...     def _document_statistics(self, scores):
    ...         means = [block.mean(axis=1) for _, _, block, _ in scores.blocks()]
    ...         return np.concatenate(means)[:, None]
    ...
    ...     def _score_map(self, query_modality, modality, statistics):
    ...         return np.ones(len(statistics)), -statistics[:, 0]
    >>> rows, tags = [[1, 0], [0, 1], [1, 0], [0.8, 0.6]], ["image"] * 2 + ["query:text"] * 2
    >>> retriever = MixedModalityRetriever(score_calibration=Unbiased()).fit(rows, modality=tags)
    >>> retriever.search([[1, 0]], modality="query:text").scores.round(2)
    array([[ 0.1, -0.3]])
    """

    _parameter_constraints = {}

    # The names of the fitted attributes for which `_learn` has values.
    _learned = ()

    def learn(self, teaching):
        """Learn from the scores of example queries, forgetting what was learned before.

        Nothing is learned from a single row, whose scores have no spread.

        Parameters
        ----------
        teaching : dict of str to scores
            By query modality, the scores of example queries with all documents.

        Returns
        -------
        dict of str to ndarray of float64 of shape (n_documents, n_statistics)
            The statistics of all documents, by query modality that was learned from.

        Raises
        ------
        ValueError
            If a parameter is invalid.
        """
        self._validate_params()
        for attribute in self._learned:
            setattr(self, attribute, {})
        statistics, documents = {}, {}
        for name, scores in teaching.items():
            if scores.n_effective > TWO and scores.n_documents:
                statistics[name], documents = self._document_statistics(scores), scores.vectors
                for attribute, value in self._learn(scores, statistics[name]).items():
                    getattr(self, attribute)[name] = value
        self.query_modalities_, self.document_modalities_ = tuple(statistics), tuple(documents)
        return statistics

    def document_statistics(self, teaching):
        """The statistics of documents that come after the learning.

        Parameters
        ----------
        teaching : dict of str to scores
            By query modality, the scores of the same example queries with the new documents.

        Returns
        -------
        dict of str to ndarray of float64 of shape (n_documents, n_statistics)
            By query modality that was learned from.
        """
        return {name: self._document_statistics(teaching[name]) for name in self.query_modalities_}

    def score_map(self, query_modality, documents):
        """The scale and the offset that turn cosines into calibrated scores.

        Parameters
        ----------
        query_modality : str
            The modality of the queries, such as ``"query:text"``.
        documents : Snapshot
            The documents with their statistics.

        Returns
        -------
        CorpusScoreMap or None
            None for a query modality that was not learned from.
        """
        if query_modality not in self.query_modalities_:
            return None
        maps, own, shared, lowest = {}, {}, {}, 0.0
        for m, segment in documents.directed.items():
            scale, own[m] = self._score_map(query_modality, m, segment.columns[query_modality])
            shared[m] = float(self._shared_offset(query_modality, m, segment.n_live))
            maps[m] = ScoreMap(scale, own[m] + shared[m] if shared[m] else own[m])
            scale, offset = map(segment.of_live, maps[m])
            lowest = np.min(offset - scale, initial=lowest)
        slope = getattr(self, "slope_", {}).get(query_modality)
        return CorpusScoreMap(maps, own, shared, float(lowest) - 1, slope)

    def nearest(self, documents, queries, k, query_modality, *, without=None):
        """The documents with the best calibrated scores.

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
        score_map = documents.score_map(query_modality)
        return documents.nearest(queries, k, score_map=score_map, without=without)

    @property
    def is_linear(self):
        """Whether a scale and an offset for each document give the ranking."""
        return type(self).nearest is ScoreCalibrator.nearest

    def _document_statistics(self, scores):
        return np.empty((scores.n_documents, 0))

    def _learn(self, scores, statistics):
        return {}

    def _score_map(self, query_modality, modality, statistics):
        return np.ones(len(statistics)), np.zeros(len(statistics))

    def _shared_offset(self, query_modality, modality, n_documents):
        return 0.0

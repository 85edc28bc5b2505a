"""ScoreCalibrator: the base of all that makes scores of different modalities comparable."""

import numpy as np
from sklearn.base import BaseEstimator

from ._score_map import CorpusScoreMap, ScoreMap


class ScoreCalibrator(BaseEstimator):
    """Base of the score calibrators.

    A retriever has a clone of one learn from its documents and from the rows that teach each
    query modality, and keeps the statistics of each document that the clone returns. Documents
    that are added later get statistics of their own; what was learned stays.

    A subclass computes statistics of each document (`_document_statistics`), learns from
    them what holds for whole modalities (`_learn`), and makes a scale and an offset for each
    document of both (`_score_map`). One whose ranking is no such line sets ``folds = False`` and
    overrides `nearest`.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality, what was learned: at least ``modalities``, a dict by document
        modality.
    """

    # Whether a scale and an offset for each document say it all, so that any index for inner
    # products can serve it.
    folds = True

    # Whether probabilities can be had, by a ``slope`` that is learned beside ``modalities``.
    gives_odds = False

    _parameter_constraints = {}

    def learn(self, teaching):
        """Learn from the scores of each query modality, or about documents that are added.

        The first call decides about which query modalities something is learned, and what.
        Later ones learn only about document modalities that were not there before.

        Parameters
        ----------
        teaching : dict of str to TeachingScores
            By query modality; all over the same documents.

        Returns
        -------
        dict of str to ndarray of float64 of shape (n_documents, n_statistics)
            By query modality, the statistics of these documents.
        """
        self._validate_params()
        is_first = not hasattr(self, "learnt_")
        before = {} if is_first else self.learnt_
        learnt, statistics = {}, {}
        for name, scores in teaching.items():
            # One row has no spread.
            if name not in before and not (is_first and scores.n_documents and scores.n_rows > 1):
                continue
            statistics[name] = mine = self._document_statistics(scores)
            if name not in before:
                learnt[name] = self._learn(scores, mine)
            elif scores.vectors.keys() - before[name]["modalities"].keys():
                learnt[name] = self._with_new_modalities(before[name], scores, mine)
            else:
                learnt[name] = before[name]
        self.learnt_ = learnt
        return statistics

    def score_map(self, query_modality, documents):
        """What makes scores of a query modality comparable, or None if it was not taught.

        Parameters
        ----------
        query_modality : str
            That of the queries.
        documents : Snapshot
            With the statistics of each document.

        Returns
        -------
        CorpusScoreMap or None
        """
        if query_modality not in self.learnt_:
            return None
        learnt, maps, lowest = self.learnt_[query_modality], {}, 0.0
        for m, segment in documents.directed.items():
            statistics = segment.columns[query_modality]
            maps[m] = lines = self._score_map(learnt, statistics, m, segment.n_live)
            offset, scale = (segment.of_live(x) for x in (lines.offset, lines.scale))
            lowest = np.min(offset - scale, initial=lowest)
        slope = learnt["slope"] if self.gives_odds else None
        return CorpusScoreMap(maps, float(lowest) - 1, slope)

    def nearest(self, documents, queries, k, query_modality, *, modality=None):
        """The best documents by calibrated scores.

        Parameters
        ----------
        documents : Snapshot
            Those that are searched.
        queries : array of shape (n_queries, n_features)
            Of any length but zero.
        k : int
            Number of documents.
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
        score_map = documents.score_map(query_modality)
        return documents.nearest(queries, k, modality=modality, score_map=score_map)

    def _document_statistics(self, scores):
        """Statistics of each document: an array of shape (n_documents, n_statistics)."""
        return np.empty((scores.n_documents, 0))

    def _learn(self, scores, statistics):
        """What holds for whole modalities: a dict with ``modalities``, itself a dict."""
        return {"modalities": {name: {} for name in scores.vectors}}

    def _score_map(self, learnt, statistics, modality, n_documents):
        """The ScoreMap of a modality's rows, of which `n_documents` are documents still.

        Here plain cosines.
        """
        return ScoreMap(np.ones(len(statistics)), np.zeros(len(statistics)))

    def _with_new_modalities(self, learnt, scores, statistics):
        """What was learned, with modalities that were not there before from their documents."""
        new = self._learn(scores, statistics)["modalities"]
        return {**learnt, "modalities": {**new, **learnt["modalities"]}}

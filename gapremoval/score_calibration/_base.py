"""ScoreCalibrator: the base of all that makes scores of different modalities comparable."""

import copy

import numpy as np
from sklearn.base import BaseEstimator

from .._growing import Growing
from ._score_map import CorpusScoreMap, ScoreMap


class ScoreCalibrator(BaseEstimator):
    """Base of the score calibrators.

    A retriever fits one on its corpus and on what teaches each query modality. What is
    learnt stays; documents that come later get statistics of their own, and the number of
    documents of a modality follows the corpus.

    A subclass computes statistics of each document (`_document_statistics`), learns from
    them what holds for whole modalities (`_learn`), and makes a line a document of both
    (`_score_map`). One whose ranking is no such line sets ``folds = False`` and overrides
    `nearest`.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality, what was learnt: at least ``modalities``, a dict by document
        modality.
    """

    # Whether a scale and an offset for each document say it all, so that any index for inner
    # products can serve it.
    folds = True

    # Whether probabilities can be had, by a ``slope`` that is learnt beside ``modalities``.
    gives_odds = False

    _parameter_constraints = {}

    def fit(self, teaching):
        """Learn from the scores of each query modality.

        Parameters
        ----------
        teaching : dict of str to TeachingScores
            By query modality; all over the same documents.

        Returns
        -------
        self
        """
        self._validate_params()
        self.learnt_, self._statistics, self._maps = {}, {}, {}
        for name, scores in teaching.items():
            # One row has no spread.
            if scores.n_documents and len(scores.queries) + len(scores.stand_ins) > 1:
                statistics = self._document_statistics(scores)
                self.learnt_[name] = self._learn(scores, statistics)
                self._statistics[name] = {
                    m: Growing.of(statistics[at]) for m, at in scores.segments.items()
                }
        return self

    def extended(self, teaching):
        """A copy for a corpus to which documents are added.

        Parameters
        ----------
        teaching : dict of str to TeachingScores
            By query modality, of the new documents and the rows that taught at `fit`.

        Returns
        -------
        ScoreCalibrator
            What was learnt is the same but for modalities that are new.
        """
        learnt, statistics = dict(self.learnt_), {}
        for name, learnt_before in self.learnt_.items():
            scores = teaching[name]
            added = self._document_statistics(scores)
            if scores.segments.keys() - learnt_before["modalities"].keys():
                learnt[name] = self._with_new_modalities(learnt_before, scores, added)
            statistics[name] = mine = dict(self._statistics[name])
            for m, at in scores.segments.items():
                mine[m] = mine[m].extended(added[at]) if m in mine else Growing.of(added[at])
        return self._copied(learnt, statistics)

    def restricted(self, cuts):
        """A copy for a corpus of which documents are taken; this must be writeable.

        Parameters
        ----------
        cuts : dict of str to Cut
            How the rows of each modality are taken away.

        Returns
        -------
        ScoreCalibrator
            What was learnt is the same.
        """
        return self._with_each(lambda m, rows: rows.without(cuts[m]) if m in cuts else rows)

    def writeable(self):
        """A copy whose statistics can be overwritten.

        Returns
        -------
        ScoreCalibrator
            What was learnt is the same.
        """
        return self._with_each(lambda _, rows: rows.writeable())

    def trimmed(self):
        """A copy without most of the memory that is not in use.

        Returns
        -------
        ScoreCalibrator
            What was learnt is the same.
        """
        return self._with_each(lambda _, rows: rows.trimmed())

    def shared(self):
        """A copy for somebody else who may change it.

        Returns
        -------
        ScoreCalibrator
            What was learnt is the same.
        """
        return self._with_each(lambda _, rows: rows.shared())

    def _with_each(self, change):
        changed = {
            name: {m: change(m, rows) for m, rows in of_modality.items()}
            for name, of_modality in self._statistics.items()
        }
        return self._copied(self.learnt_, changed)

    def _copied(self, learnt, statistics):
        other = copy.copy(self)
        other.learnt_, other._statistics, other._maps = learnt, statistics, {}
        return other

    def score_map(self, query_modality, documents):
        """What makes scores of a query modality comparable, or None if it was not taught.

        Parameters
        ----------
        query_modality : str
            What asks.
        documents : Corpus
            That was fitted, extended and restricted.

        Returns
        -------
        CorpusScoreMap or None
        """
        if query_modality not in self.learnt_:
            return None
        if query_modality not in self._maps:
            learnt, statistics = self.learnt_[query_modality], self._statistics[query_modality]
            maps = {m: self._score_map(learnt, statistics[m].rows, m) for m in documents.segments}
            lowest = min([0.0, *(np.min(lines.offset - lines.scale) for lines in maps.values())])
            slope = learnt["slope"] if self.gives_odds else None
            self._maps[query_modality] = CorpusScoreMap(maps, float(lowest) - 1, slope)
        return self._maps[query_modality]

    def nearest(self, documents, queries, k, query_modality, *, modality=None):
        """The best documents by calibrated scores.

        Parameters
        ----------
        documents : Corpus
            That was fitted, extended and restricted.
        queries : array of shape (n_queries, n_features)
            Of unit length, of the library that holds the documents.
        k : int
            How many documents.
        query_modality : str
            What asks.
        modality : str, default=None
            Search only documents of this modality.

        Returns
        -------
        scores : ndarray of float64 of shape (n_queries, n_found)
            Best first.
        numbers : ndarray of int of shape (n_queries, n_found)
            Those of the documents in the corpus.
        """
        score_map = self.score_map(query_modality, documents)
        return documents.nearest(queries, k, modality=modality, score_map=score_map)

    def _document_statistics(self, scores):
        """Statistics of each document: an array of shape (n_documents, n_statistics)."""
        return np.empty((scores.n_documents, 0))

    def _learn(self, scores, statistics):
        """What holds for whole modalities: a dict with ``modalities``, itself a dict."""
        return {"modalities": {name: {} for name in scores.segments}}

    def _score_map(self, learnt, statistics, modality):
        """The ScoreMap of all documents of a modality; here plain cosines."""
        n_documents = len(statistics)
        return ScoreMap(np.ones(n_documents), np.zeros(n_documents))

    def _with_new_modalities(self, learnt, scores, statistics):
        """What was learnt, with modalities that were not there before from their documents."""
        new = self._learn(scores, statistics)["modalities"]
        return {**learnt, "modalities": {**new, **learnt["modalities"]}}

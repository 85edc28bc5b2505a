"""ScoreCalibrator: the base of all that makes scores of different modalities comparable."""

import copy

import numpy as np
from sklearn.base import BaseEstimator

from ._score_map import ScoreMap


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

    # Whether probabilities can be had.
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
                self._statistics[name] = scores.in_corpus_order(statistics)
        return self

    def extended(self, teaching):
        """A copy for a corpus to which the documents of `teaching` are added at the end.

        Parameters
        ----------
        teaching : dict of str to TeachingScores
            By query modality, of the new documents and the rows that taught at `fit`.

        Returns
        -------
        ScoreCalibrator
            What was learnt is the same but for modalities that are new.
        """
        learnt_before = self.learnt_
        longer = self._copied(dict(learnt_before), {})
        for name, learnt in learnt_before.items():
            scores = teaching[name]
            statistics = self._document_statistics(scores)
            if scores.segments.keys() - learnt["modalities"].keys():
                longer.learnt_[name] = self._with_new_modalities(learnt, scores, statistics)
            added = scores.in_corpus_order(statistics)
            longer._statistics[name] = np.concatenate([self._statistics[name], added])
        return longer

    def restricted(self, documents):
        """A copy for a corpus that keeps only some of its documents.

        Parameters
        ----------
        documents : ndarray of int of shape (n_kept,)
            The numbers of those that stay.

        Returns
        -------
        ScoreCalibrator
            What was learnt is the same.
        """
        kept = {name: rows[documents] for name, rows in self._statistics.items()}
        return self._copied(self.learnt_, kept)

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
        documents : Documents
            The corpus that was fitted, extended and restricted.

        Returns
        -------
        ScoreMap or None
            Documents of length zero get an offset below all scores of others.
        """
        if query_modality not in self.learnt_:
            return None
        if query_modality not in self._maps:
            directed = np.sort(documents.number[: documents.n_directed])
            names, codes = np.unique(documents.modality[directed], return_inverse=True)
            lines = self._score_map(
                self.learnt_[query_modality],
                self._statistics[query_modality][directed],
                names.tolist(),
                codes,
            )
            scale = np.ones(len(documents))
            offset = np.full(len(documents), np.min(lines.offset - lines.scale, initial=0) - 1)
            scale[directed], offset[directed] = lines.scale, lines.offset
            self._maps[query_modality] = ScoreMap(scale, offset, lines.slope)
        return self._maps[query_modality]

    def nearest(self, documents, queries, k, query_modality, *, modality=None):
        """The best documents by calibrated scores.

        Parameters
        ----------
        documents : Documents
            The corpus that was fitted, extended and restricted.
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
        positions : ndarray of int of shape (n_queries, n_found)
            Numbers of the documents in the corpus.
        """
        score_map = self.score_map(query_modality, documents)
        return documents.nearest(queries, k, modality=modality, score_map=score_map)

    def _document_statistics(self, scores):
        """Statistics of each document: an array of shape (n_documents, n_statistics)."""
        return np.empty((scores.n_documents, 0))

    def _learn(self, scores, statistics):
        """What holds for whole modalities: a dict with ``modalities``, itself a dict."""
        return {"modalities": {name: {} for name in scores.segments}}

    def _score_map(self, learnt, statistics, names, codes):
        """The ScoreMap of documents, of modality ``names[code]`` each; here plain cosines."""
        return ScoreMap(np.ones(len(codes)), np.zeros(len(codes)))

    def _with_new_modalities(self, learnt, scores, statistics):
        """What was learnt, with modalities that were not there before from their documents."""
        new = self._learn(scores, statistics)["modalities"]
        return {**learnt, "modalities": {**new, **learnt["modalities"]}}


def by_modality(learnt, key, names, codes):
    """A number of each modality, for each document."""
    return np.array([learnt["modalities"][name][key] for name in names])[codes]

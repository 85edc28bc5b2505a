"""ListFusion: rank the documents of each modality apart, and merge the lists."""

import numpy as np

from ._base import ScoreCalibrator
from ._score_map import CorpusScoreMap


class ListFusion(ScoreCalibrator):
    """Base class of the score calibrations that merge a ranked list for each modality.

    A subclass overrides `_list_scores`, which scores the documents of one list.
    """

    # The number of documents that `_list_scores` needs of each modality.
    list_length = 1

    def score_map(self, query_modality, documents):
        """Plain cosines with 0 as the lowest score, for every query modality.

        Parameters
        ----------
        query_modality : str
            The modality of the queries.
        documents : Snapshot
            The documents to search.

        Returns
        -------
        CorpusScoreMap
            Without scales and offsets.
        """
        return CorpusScoreMap({}, {}, {}, 0.0)

    def nearest(self, documents, queries, k, query_modality, *, without=None):
        """The best documents of the merged lists.

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
        n_listed = max(k, self.list_length)
        tops = documents.nearest_by_modality(queries, n_listed, without=without).values()
        cosines = np.concatenate([top.scores for top in tops], axis=1)
        positions = np.concatenate([top.positions for top in tops], axis=1)
        scores = np.concatenate([self._list_scores(top.scores) for top in tops], axis=1)
        order = np.lexsort((positions, -cosines, -scores), axis=1)[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(positions, order, 1)

    def _list_scores(self, cosines):
        """The scores of the documents of one modality.

        Parameters
        ----------
        cosines : ndarray of float64 of shape (n_queries, n_listed)
            Descending; -inf for a document that a query does not find.

        Returns
        -------
        ndarray of float64 of shape (n_queries, n_listed)
            Descending and at least 0; 0 for a document that is not found.
        """
        raise NotImplementedError

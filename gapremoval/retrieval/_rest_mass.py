"""The odds of the documents that a store did not return, as example queries have them."""

from typing import NamedTuple

import numpy as np

from .._array_api import take_rows, to_numpy
from ._query_banks import scattered

MOST_DOCUMENTS, MOST_ROWS, N_POINTS = 2**14, 256, 129


class RestMass(NamedTuple):
    """The sum of ``exp(slope * score)`` over the documents below a score, by that score.

    Attributes
    ----------
    scores : ndarray of float64 of shape (n_points,)
        Ascending.
    log_mass : ndarray of float64 of shape (n_points,)
        Logarithms of the sums, which are means over example queries.
    n_documents : int
        The size of the corpus.
    """

    scores: np.ndarray
    log_mass: np.ndarray
    n_documents: int

    def below(self, scores, slope, n_documents):
        """Logarithms of the sums below some scores, in a corpus of any size.

        As a corpus grows, the posterior odds of each document shrink: the sums stay.
        """
        moved = np.log(n_documents / self.n_documents) / slope
        return np.interp(scores + moved, self.scores, self.log_mass)


def rest_mass(documents, query_modality):
    """The RestMass of a corpus, from samples of its documents and of the example queries.

    Parameters
    ----------
    documents : Snapshot
    query_modality : str
        Its scores are log odds.

    Returns
    -------
    RestMass or None
        None if there is no example query of this modality, or no document.
    """
    score_map = documents.score_map(query_modality)
    banks = [bank[query_modality] for bank in documents.banks if query_modality in bank]
    if not (banks and len(documents.directed)):
        return None
    rows = np.concatenate([bank.rows for bank in banks])
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, MOST_ROWS).astype(int))]
    sampled = documents.positions
    sampled = sampled[np.argsort(scattered(sampled), kind="stable")[:MOST_DOCUMENTS]]
    found = []
    for name, segment in documents.directed.items():
        at = np.flatnonzero(np.isin(segment.columns["position"], sampled))
        vectors = to_numpy(take_rows(segment.columns["vectors"], at)).astype(rows.dtype)
        scale, offset = (x[at, None] for x in score_map.of[name])
        found.append((scale * (vectors @ rows.T) + offset).ravel())
    scores = np.sort(np.concatenate(found))
    each = score_map.slope * scores + np.log(len(documents) / len(sampled) / len(rows))
    log_mass = np.logaddexp.accumulate(each)
    points = np.linspace(scores[0], scores[-1], N_POINTS)
    at = np.searchsorted(scores, points, side="right") - 1
    return RestMass(points, log_mass[at], len(documents))

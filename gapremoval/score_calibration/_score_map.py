"""Score maps: the calibrated score of a document is a linear function of its cosine."""

from typing import NamedTuple

import numpy as np


class ScoreMap(NamedTuple):
    """The calibrated scores of the documents of one modality: ``scale * cosine + offset``.

    Attributes
    ----------
    scale : ndarray of float64 of shape (n_documents,)
        Above 0, so that the best queries of a document stay the best.
    offset : ndarray of float64 of shape (n_documents,)
    """

    scale: np.ndarray
    offset: np.ndarray


class CorpusScoreMap(NamedTuple):
    """The score maps of a whole corpus, for the queries of one modality.

    Attributes
    ----------
    of : dict of str to ScoreMap
        By modality, of the documents with a direction, in the order of their rows.
    lowest : float
        The score of documents of length zero, below that of all others.
    slope : float or None
        Log odds per unit of score: the probability that a document answers is proportional to
        ``exp(slope * score)``. None where the scores are no log odds.
    """

    of: dict
    lowest: float
    slope: float | None = None


def mean_score_map(maps):
    """The score map whose log odds, or scores where they are none, are the mean of several.

    Parameters
    ----------
    maps : sequence of CorpusScoreMap

    Returns
    -------
    CorpusScoreMap or None
        None if there is none.
    """
    if len(maps) < 2:
        return maps[0] if maps else None
    slopes = [each.slope for each in maps]
    has_odds = None not in slopes
    weights = np.array(slopes) / sum(slopes) if has_odds else np.full(len(maps), 1 / len(maps))
    of = {
        name: ScoreMap(*(weights @ columns for columns in zip(*(each.of[name] for each in maps))))
        for name in maps[0].of
    }
    lowest = float(weights @ [each.lowest for each in maps])
    return CorpusScoreMap(of, lowest, float(np.mean(slopes)) if has_odds else None)

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
    own : dict of str to ndarray of float64 of shape (n_documents,)
        The part of the offsets that does not change as other documents come and go.
    shared : dict of str to float
        The other part, which is the same for all documents of a modality.
    lowest : float
        The score of documents of length zero, below that of all others.
    slope : float or None
        Log odds per unit of score: the probability that a document answers is proportional to
        ``exp(slope * score)``. None where the scores are no log odds.
    """

    of: dict
    own: dict
    shared: dict
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
    has_odds, weights = None not in slopes, mean_weights(slopes)
    names = maps[0].of
    of = {
        name: ScoreMap(*(weights @ columns for columns in zip(*(each.of[name] for each in maps))))
        for name in names
    }
    own = {name: weights @ [each.own[name] for each in maps] for name in names}
    shared = {name: float(weights @ [each.shared[name] for each in maps]) for name in names}
    lowest = float(weights @ [each.lowest for each in maps])
    return CorpusScoreMap(of, own, shared, lowest, float(np.mean(slopes)) if has_odds else None)


def mean_weights(slopes):
    """The weights of score maps in their mean, by their slopes: ndarray that adds up to 1."""
    if None in slopes:
        return np.full(len(slopes), 1 / len(slopes))
    return np.array(slopes) / sum(slopes)

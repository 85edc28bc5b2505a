"""Score maps: what makes the scores of documents comparable, as one line a document."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScoreMap:
    """A calibrated score is ``scale * cosine + offset``, of the document it belongs to.

    Attributes
    ----------
    scale : ndarray of float64 of shape (n_documents,)
        Above 0, so that the order for one document and many queries stays.
    offset : ndarray of float64 of shape (n_documents,)
    """

    scale: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class CorpusScoreMap:
    """The score maps of a whole corpus.

    Attributes
    ----------
    of : dict of str to ScoreMap
        By modality, of the documents with a direction, in the order in which they lie.
    lowest : float
        The score of documents of length zero, below that of all others.
    slope : float or None
        ``exp(slope * calibrated score)`` is in proportion to the probability that a document
        answers. None where the scores mean no such thing.
    """

    of: dict
    lowest: float
    slope: float | None = None

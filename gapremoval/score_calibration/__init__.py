"""Score calibrations: what makes the scores of documents of several modalities comparable."""

from ._base import ScoreCalibrator
from ._posterior_odds import PosteriorOdds
from ._score_map import ScoreMap
from ._teaching import TeachingScores

__all__ = ["PosteriorOdds", "ScoreCalibrator", "ScoreMap", "TeachingScores"]

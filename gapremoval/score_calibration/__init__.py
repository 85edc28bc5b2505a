"""Score calibrations: what makes the scores of documents of several modalities comparable."""

from ._base import ScoreCalibrator
from ._hubs import CSLS, NearestNeighborNormalization, QBNorm
from ._posterior_odds import PosteriorOdds
from ._prior_odds import PriorOdds
from ._rank_fusion import ReciprocalRankFusion
from ._scales import PseudoPositiveZ, ScoreScale, ScoreZ
from ._score_map import CorpusScoreMap, ScoreMap
from ._teaching import TeachingScores

__all__ = [
    "CSLS",
    "CorpusScoreMap",
    "NearestNeighborNormalization",
    "PosteriorOdds",
    "PriorOdds",
    "PseudoPositiveZ",
    "QBNorm",
    "ReciprocalRankFusion",
    "ScoreCalibrator",
    "ScoreMap",
    "ScoreScale",
    "ScoreZ",
    "TeachingScores",
]

"""Score calibrations: they make scores of documents of different modalities comparable."""

from ._base import ScoreCalibrator
from ._hubs import CSLS, NearestNeighborNormalization, QBNorm
from ._posterior_odds import PosteriorOdds
from ._rank_fusion import ReciprocalRankFusion
from ._scales import PseudoPositiveZ, ScoreScale, ScoreZ
from ._score_fusion import DistributionBasedScoreFusion, RelativeScoreFusion

__all__ = [
    "CSLS",
    "DistributionBasedScoreFusion",
    "NearestNeighborNormalization",
    "PosteriorOdds",
    "PseudoPositiveZ",
    "QBNorm",
    "ReciprocalRankFusion",
    "RelativeScoreFusion",
    "ScoreCalibrator",
    "ScoreScale",
    "ScoreZ",
]

"""Measures of the modality gap, of rankings, and of the calibration of probabilities."""

from .._ranking_metrics import ndcg_at_k, precision_at_k, recall_at_k, reciprocal_rank_at_k
from ..calibration import drift
from ._alignment import alignment, uniformity
from ._calibration import expected_calibration_error
from ._distributions import frechet_distance, maximum_mean_discrepancy
from ._gap import centroid_distance, linear_separability, relative_modality_gap
from ._gap_parts import (
    GapComponents,
    GapDimensions,
    GroupGap,
    gap_by_group,
    gap_components,
    gap_dimensions,
)
from ._gap_test import ModalityGapTest, modality_gap_test
from ._neighbors import Hubness, NeighborShare, hubness, same_modality_neighbors
from ._ranking_bias import RankingBias, ranking_bias
from ._shape import (
    ModalityStatistics,
    effective_dimension,
    modality_statistics,
    score_scale,
    subspace_overlap,
)

__all__ = [
    "GapComponents",
    "GapDimensions",
    "GroupGap",
    "Hubness",
    "ModalityGapTest",
    "ModalityStatistics",
    "NeighborShare",
    "RankingBias",
    "alignment",
    "centroid_distance",
    "drift",
    "effective_dimension",
    "expected_calibration_error",
    "frechet_distance",
    "gap_by_group",
    "gap_components",
    "gap_dimensions",
    "hubness",
    "linear_separability",
    "maximum_mean_discrepancy",
    "modality_gap_test",
    "modality_statistics",
    "ndcg_at_k",
    "precision_at_k",
    "ranking_bias",
    "recall_at_k",
    "reciprocal_rank_at_k",
    "relative_modality_gap",
    "same_modality_neighbors",
    "score_scale",
    "subspace_overlap",
    "uniformity",
]

"""Look at a gap, at a search and at what it found: displays, and pages for people."""

from ._cosine_display import CosineDisplay
from ._drift_display import DriftDisplay
from ._embedding_map_display import EmbeddingMapDisplay
from ._fusion_weight_display import FusionWeightDisplay
from ._gap_report import GapReport
from ._ranking_bias_display import RankingBiasDisplay
from ._reliability_display import ReliabilityDisplay
from ._results_page import results_page
from ._search_result_display import SearchResultDisplay

__all__ = [
    "CosineDisplay",
    "DriftDisplay",
    "EmbeddingMapDisplay",
    "FusionWeightDisplay",
    "GapReport",
    "RankingBiasDisplay",
    "ReliabilityDisplay",
    "SearchResultDisplay",
    "results_page",
]

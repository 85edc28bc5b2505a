"""Look at a gap, at a search and at what it found: displays, and pages for people."""

from ._cosine_display import CosineDisplay
from ._drift_display import DriftDisplay
from ._embedding_map_display import EmbeddingMapDisplay
from ._fusion_weight_display import FusionWeightDisplay
from ._reliability_display import ReliabilityDisplay
from ._results_page import results_page

__all__ = [
    "CosineDisplay",
    "DriftDisplay",
    "EmbeddingMapDisplay",
    "FusionWeightDisplay",
    "ReliabilityDisplay",
    "results_page",
]

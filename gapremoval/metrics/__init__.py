"""Metrics of rankings, and of the calibration of probabilities."""

from .._ranking_metrics import ndcg_at_k, precision_at_k, recall_at_k, reciprocal_rank_at_k
from ._calibration import expected_calibration_error

__all__ = [
    "expected_calibration_error",
    "ndcg_at_k",
    "precision_at_k",
    "recall_at_k",
    "reciprocal_rank_at_k",
]

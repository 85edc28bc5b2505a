"""How good a ranking is, and whether probabilities are true."""

from ._calibration import expected_calibration_error
from ._ranking import mrr_at_k, ndcg_at_k, precision_at_k, recall_at_k

__all__ = [
    "expected_calibration_error",
    "mrr_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "recall_at_k",
]

"""How good a ranking is."""

from ._ranking import mrr_at_k, ndcg_at_k, precision_at_k, recall_at_k

__all__ = ["mrr_at_k", "ndcg_at_k", "precision_at_k", "recall_at_k"]

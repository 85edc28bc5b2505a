"""Tuning: folds over queries and scorers by ranking metrics."""

from ._scorer import make_ranking_scorer
from ._split import QueryKFold

__all__ = ["QueryKFold", "make_ranking_scorer"]

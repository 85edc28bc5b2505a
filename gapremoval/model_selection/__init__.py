"""Tuning: a search over the fusion weight, folds over queries, and ranking scorers."""

from ._fusion_weight_search import FusionWeightSearchCV
from ._scorer import make_ranking_scorer
from ._split import QueryKFold

__all__ = ["FusionWeightSearchCV", "QueryKFold", "make_ranking_scorer"]

"""Scorers for cross-validation by any ranking metric."""

from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from .._modality import Tags
from .._search import split_steps, transform_steps
from ..metrics._ranking import get_ranking_metric


class _RankingScorer(BaseEstimator):
    """A scorer that ranks as many documents as its metric asks for."""

    # make_scorer would route no metadata to the pipeline; a plain function gets none.
    __metadata_request__score = {"modality": True, "estimator": UNUSED}

    def __init__(self, metric):
        self.metric = metric

    # scikit-learn reads the request only where there is a method of this name.
    def score(self, estimator, X, y, sample_weight=None, *, modality=None):
        steps, retriever = split_steps(estimator)
        tags = None if modality is None else Tags.encode(modality, len(X))
        X, tags = transform_steps(steps, X, tags)
        return retriever._score_queries(X, y, sample_weight, modality=tags, metric=self.metric)

    __call__ = score


def make_ranking_scorer(metric):
    """A scorer for ``scoring=`` of GridSearchCV, cross_validate and the like.

    It takes whole pipelines and asks the retriever for as many documents as the metric
    counts, whatever its `n_neighbors`. Use it with ``cv=QueryKFold()``.

    Parameters
    ----------
    metric : str
        ``"ndcg"``, ``"recall"``, ``"mrr"`` or ``"precision"``, then ``@`` and how many
        ranks count: ``"recall@5"``.

    Returns
    -------
    callable
        ``scorer(estimator, X, y, sample_weight=None, *, modality=None)`` gives the mean
        over the judged queries.

    Raises
    ------
    ValueError
        If the metric is not known.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever, make_ranking_scorer
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(100, random_state=0)
    >>> retriever = MixedModalityRetriever().fit(X, y)
    >>> scorer = make_ranking_scorer("recall@100")
    >>> scorer(retriever, X, y)
    1.0
    """
    get_ranking_metric(metric)
    return _RankingScorer(metric)

"""make_ranking_scorer: scorers for cross-validation by any ranking metric."""

from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from .._modality import Tags
from .._ranking_metrics import get_ranking_metric
from .._search import split_steps, transform_steps


class _RankingScorer(BaseEstimator):
    """A scorer that ranks as many documents as its metric needs."""

    # Scorers made by make_scorer route no metadata to predict, and plain functions get none.
    __metadata_request__score = {"modality": True, "estimator": UNUSED}

    def __init__(self, metric):
        self.metric = metric

    # scikit-learn reads the metadata request only if there is a method of this name.
    def score(self, estimator, X, y, sample_weight=None, *, modality=None):
        steps, retriever = split_steps(estimator)
        tags = None if modality is None else Tags.encode(modality, len(X))
        X, tags = transform_steps(steps, X, tags)
        return retriever._score_queries(X, y, sample_weight, modality=tags, metric=self.metric)

    __call__ = score


def make_ranking_scorer(metric):
    """A scorer for the parameter ``scoring`` of GridSearchCV, cross_validate and others.

    It scores whole pipelines, with as many documents per query as the metric needs, whatever
    the `n_neighbors` of the retriever. Use it with ``cv=QueryKFold()``.

    Parameters
    ----------
    metric : str
        ``"ndcg"``, ``"recall"``, ``"mrr"`` (mean reciprocal rank) or ``"precision"``, then ``@``
        and the length of the ranking: ``"recall@5"``.

    Returns
    -------
    callable
        ``scorer(estimator, X, y, sample_weight=None, *, modality=None)`` returns the mean
        over the judged queries.

    Raises
    ------
    ValueError
        If the metric is unknown.

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

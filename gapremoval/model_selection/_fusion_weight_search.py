"""FusionWeightSearchCV: tune how the parts of documents are weighed."""

import time
from itertools import chain
from numbers import Integral

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.model_selection import cross_validate
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import indexable
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping

from .._array_api import take_rows, to_double, to_numpy, unit_rows
from .._relevance import check_y
from .._validation import check_rows, read_modality
from ..metrics._ranking import Gains, get_ranking_metric
from ..retrieval import MixedModalityRetriever
from ..retrieval._fusion import check_fusion_weight
from ..retrieval._scoring import judged_queries, score_queries
from ._parts import Parts
from ._scorer import _RankingScorer
from ._split import QueryKFold


class FusionWeightSearchCV(BaseSearchCV):
    """Search over the fusion weight by cross-validation, many times faster than a grid.

    It takes a whole pipeline, gives the scores of ``GridSearchCV`` and is used like it. The
    steps before the retriever are fitted once a fold, not once a fold and weight, and one
    product of the queries with the documents' parts serves all weights.

    Parameters
    ----------
    estimator : Pipeline or MixedModalityRetriever
        Ends in a `MixedModalityRetriever`. It is cloned, never fitted.
    fusion_weights : sequence of float in [0, 1] or dict of str to float
        The candidates; see `MixedModalityRetriever`.
    cv : int, splitter or iterable of (train, test), default=None
        None is ``QueryKFold()``, and an int the number of its folds. Every document must be
        in every training set.
    scoring : callable, default=None
        Made by `make_ranking_scorer`; None is the retriever's own, NDCG@10.
    refit : bool, default=True
        Whether `estimator` is fitted to all rows with the best weight.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As of ``GridSearchCV``, a row a weight: ``params``, ``param_<name>``,
        ``split<i>_test_score``, ``mean_test_score``, ``std_test_score``,
        ``rank_test_score``. Times are not in it, since the weights share the work.
    best_index_ : int
        The best row; the first of several with the same mean.
    best_params_ : dict
        The best weight under its name, for ``estimator.set_params(**best_params_)``.
    best_score_ : float
        Its mean score.
    best_estimator_ : estimator
        What was fitted to all rows. Only with ``refit=True``.
    refit_time_ : float
        Seconds that took. Only with ``refit=True``.
    scorer_ : callable
        What scored.
    n_splits_ : int
        Number of folds.
    n_features_in_ : int
        Number of features. Only with ``refit=True``.

    See Also
    --------
    QueryKFold : The folds.
    make_ranking_scorer : Other metrics.
    sklearn.model_selection.GridSearchCV : Searches over other parameters as well.

    Notes
    -----
    Ranks are those of an exact search, near-ties included, so the scores equal those of
    ``GridSearchCV`` with the same folds. With a score calibration, and where a fold tests on
    document rows as well, the retriever is fitted once a fold and weight, to rows that the
    steps before it have transformed once. An error is raised, never turned into NaN.

    The products are made in numpy, on the host, whatever the rows are.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from gapremoval import FusionWeightSearchCV, MixedModalityRetriever, ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    >>> best = FusionWeightSearchCV(pipe, [0.0, 0.5, 1.0]).fit(X, y)
    >>> best.best_params_
    {'mixedmodalityretriever__fusion_weight': 0.5}
    """

    multimetric_ = False

    _parameter_constraints = {
        "estimator": [HasMethods(["fit"])],
        "fusion_weights": ["array-like"],
        "cv": ["cv_object"],
        "scoring": [callable, None],
        "refit": ["boolean"],
    }

    def __init__(self, estimator, fusion_weights, *, cv=None, scoring=None, refit=True):
        self.estimator = estimator
        self.fusion_weights = fusion_weights
        self.cv = cv
        self.scoring = scoring
        self.refit = refit

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
        """Score every weight in every fold, and fit with the best.

        Parameters
        ----------
        X : EmbeddingArray, list of items or array of shape (n_rows, n_features)
            Documents and judged queries, as the estimator takes them.
        y : sequence of length n_rows
            The ids of documents, the relevance of queries.
        **params : dict of str to object
            What is routed to the estimator, the folds and the scorer, such as `modality`
            and `sample_weight`; needs ``enable_metadata_routing=True``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `fusion_weights` is empty or holds what is no weight, `scoring` is no ranking
            scorer, or a fold cannot be fitted or scored.
        TypeError
            If `estimator` does not end in a `MixedModalityRetriever`.
        """
        weights = [check_fusion_weight(weight) for weight in self.fusion_weights]
        if not weights:
            raise ValueError("fusion_weights is empty: give at least one, such as [0.3, 0.5, 0.7].")
        if not isinstance(self.scoring, _RankingScorer | None):
            raise ValueError(
                f"scoring={self.scoring!r} must be None or come from make_ranking_scorer, such as "
                "make_ranking_scorer('recall@5'). GridSearchCV takes any other."
            )
        if y is None:
            raise ValueError("The search needs y: the ids of documents, the relevance of queries.")
        path, retriever = _split_path(self.estimator)
        fold = stand_in = _EveryWeight(retriever, weights)
        if path:
            fold = clone(self.estimator).set_params(**{"__".join(path): stand_in})
        X, y = indexable(X, y)
        fit_params = self._get_routed_params_for_fit(params).estimator.fit
        folds = cross_validate(
            fold,
            X,
            y,
            cv=self._splitter(),
            scoring=self.scoring,
            params=params,
            error_score="raise",
        )
        name = "__".join([*path, "fusion_weight"])
        scores = np.array([folds[f"test_{i}"] for i in range(len(weights))])
        self.cv_results_ = _results(name, weights, scores)
        self.n_splits_ = scores.shape[1]
        self.scorer_, _ = self._get_scorers()
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_score_ = self.cv_results_["mean_test_score"][self.best_index_]
        if self.refit:
            start = time.time()
            best = clone(self.estimator).set_params(**self.best_params_)
            self.best_estimator_ = best.fit(X, y, **fit_params)
            self.refit_time_ = time.time() - start
        return self

    def get_metadata_routing(self):
        """Where metadata goes: to the estimator, the scorer and the folds.

        Returns
        -------
        MetadataRouter
        """
        to_fit, to_split = (
            MethodMapping().add(caller="fit", callee=callee) for callee in ("fit", "split")
        )
        to_score = MethodMapping().add(caller="fit", callee="score")
        return (
            MetadataRouter(owner=self)
            .add(estimator=self.estimator, method_mapping=to_fit)
            .add(
                scorer=self._get_scorers()[0],
                method_mapping=to_score.add(caller="score", callee="score"),
            )
            .add(splitter=self._splitter(), method_mapping=to_split)
        )

    def _splitter(self):
        if self.cv is None:
            return QueryKFold()
        return QueryKFold(self.cv) if isinstance(self.cv, Integral) else self.cv


class _EveryWeight(BaseEstimator):
    """Stands in for a retriever in a fold, and has a score for each of many weights."""

    def __init__(self, retriever, fusion_weights):
        self.retriever = retriever
        self.fusion_weights = fusion_weights

    def get_metadata_routing(self):
        return self.retriever.get_metadata_routing()

    def fit(self, X, y=None, *, modality=None):
        self._rows = {"X": X, "y": y, "modality": modality}
        self.retriever_ = self._fitted(self.fusion_weights[0])
        return self

    def score(self, X, y, sample_weight=None, *, modality=None):
        return self._score_queries(X, y, sample_weight, modality=modality)

    def _score_queries(self, X, y, sample_weight=None, *, modality=None, metric="ndcg@10"):
        """The mean metric of each weight: a dict from its place to a float."""
        options = {"modality": modality, "metric": metric}
        tags = read_modality(X, modality)
        only_asks = tags is not None and tags.is_query.all()
        if only_asks and self.retriever.score_calibration is None:
            scores = self._from_parts(X, y, sample_weight, **options)
        else:
            others = map(self._fitted, self.fusion_weights[1:])
            scores = (
                score_queries(retriever, X, y, sample_weight, **options)
                for retriever in chain([self.retriever_], others)
            )
        return dict(enumerate(scores))

    def _fitted(self, fusion_weight):
        return clone(self.retriever).set_params(fusion_weight=fusion_weight).fit(**self._rows)

    def _from_parts(self, X, y, sample_weight, *, modality, metric):
        """Yield the mean metric of each weight."""
        metric, k = get_ranking_metric(metric)
        documents = self.retriever_._index.now
        rows = check_rows(self.retriever_, X, modality, known=documents.modalities)
        judged = judged_queries(rows, y, sample_weight, documents)
        queries = unit_rows(to_double(judged.queries.values, documents.like))[0]
        place = {x: number for number, x in enumerate(self.retriever_.ids_.tolist())}
        answers = [
            (query, place[x], gain)
            for query, gains in enumerate(judged.relevance)
            for x, gain in gains.items()
            if gain > 0
        ]
        query, document, gain = np.array(answers).reshape(-1, 3).T
        query, document = query.astype(int), document.astype(int)
        ranks = self._parts().ranks(to_numpy(queries), query, document, self.fusion_weights, k)
        gains = Gains.before_a_search(judged.relevance, k, min(k, len(place)))
        for rank in ranks:
            found, seen = np.zeros_like(gains.found), rank < k
            found[query[seen], rank[seen]] = gain[seen]
            yield judged.mean(metric, gains._replace(found=found), k)

    def _parts(self):
        """The parts of the documents among the rows that were fitted."""
        X, y, modality = self._rows.values()
        rows = check_rows(self.retriever_, X, modality, known=self.retriever_.modalities_)
        at = np.flatnonzero(~rows.tags.is_query)
        ids = self.retriever_._document_ids(check_y(y, len(rows.tags)), at, 0)
        return Parts(take_rows(rows.values, at), rows.tags[at], ids)


def _split_path(estimator):
    """The names of the last steps, one within the other, and the retriever there."""
    path = []
    while isinstance(estimator, Pipeline):
        name, estimator = estimator.steps[-1]
        path.append(name)
    if not isinstance(estimator, MixedModalityRetriever):
        raise TypeError(
            "FusionWeightSearchCV tunes a MixedModalityRetriever or a pipeline that ends in one; "
            f"this ends in {estimator!r}."
        )
    return path, estimator


def _results(name, weights, scores):
    """`cv_results_` from scores of shape (n_weights, n_splits)."""
    means = scores.mean(axis=1)
    return {
        f"param_{name}": np.ma.array(weights),
        "params": [{name: weight} for weight in weights],
        **{f"split{i}_test_score": column for i, column in enumerate(scores.T)},
        "mean_test_score": means,
        "std_test_score": scores.std(axis=1),
        "rank_test_score": rankdata(-means, method="min").astype(np.int32),
    }

"""FusionWeightSearchCV: tune the weights of the parts of documents."""

import time
from numbers import Integral

import numpy as np
from scipy.stats import rankdata
from sklearn import get_config
from sklearn.base import _fit_context, clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metadata_routing import MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from .._base import ReferenceLink
from .._modality import Tags
from .._search import split_steps, transform_steps
from ..retrieval import MixedModalityRetriever
from ..retrieval._fusion import check_fusion_weight
from ._scorer import _RankingScorer
from ._split import QueryKFold
from ._weight_scores import weight_scores


class FusionWeightSearchCV(ReferenceLink, GridSearchCV):
    """Cross-validated search over the fusion weight, many times faster than a grid search.

    Takes a whole pipeline, returns the scores of ``GridSearchCV`` and is used like it. The
    steps before the retriever are fitted once per fold, and one matrix product of the queries
    with the parts of the documents serves all weights.

    Parameters
    ----------
    estimator : Pipeline or MixedModalityRetriever
        A `MixedModalityRetriever`, or a pipeline that ends in one. It is cloned, not fitted.
    fusion_weights : sequence of float in [0, 1] or dict of str to float
        The candidates; see `MixedModalityRetriever`.
    cv : int, splitter or iterable of (train, test), default=None
        None is ``QueryKFold()``; an int is its number of folds. Every document must be in
        every training set.
    scoring : callable, default=None
        A scorer made by `make_ranking_scorer`; None is NDCG@10.
    refit : bool, default=True
        Whether to fit a clone of `estimator` on all rows with the best weight.
    n_jobs : int, default=None
        Number of folds that are scored in parallel. None is one; -1 is the number of
        processors.
    verbose : int, default=0
        Above 0, a line is printed for each fold.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As in ``GridSearchCV``, with an entry per weight: ``params``, ``param_<name>``,
        ``split<i>_test_score``, ``mean_test_score``, ``std_test_score``,
        ``rank_test_score``. It has no times, because the weights share the work.
    best_index_ : int
        Index of the best weight; the first one if several have the same mean score.
    best_params_ : dict
        The best weight under its name, for ``estimator.set_params(**best_params_)``.
    best_score_ : float
        Mean score of the best weight.
    best_estimator_ : estimator
        The estimator fitted on all rows. Only with ``refit=True``.
    refit_time_ : float
        Seconds to fit it. Only with ``refit=True``.
    scorer_ : callable
        The scorer.
    n_splits_ : int
        Number of folds.
    n_features_in_ : int
        Number of features. Only with ``refit=True``.

    See Also
    --------
    QueryKFold : The default folds.
    make_ranking_scorer : Other metrics.
    sklearn.model_selection.GridSearchCV : Searches over other parameters as well.

    Notes
    -----
    Rankings are exact, ties included, so the scores equal those of ``GridSearchCV`` with the
    same folds. A score calibration is learned anew for each weight, from scores of the same
    matrix product; where it depends on scores that differ by rounding only, it may differ
    from that of a grid search by as much.

    In three cases the retriever is fitted once per fold and weight instead: the ranking of the
    score calibration is not a scale and an offset per document (see
    `MixedModalityRetriever.export_vectors`), a fold tests on document rows as well, or the
    products with the rows that the score calibration learns from would take more than 1 GiB.
    Errors are always raised, never turned into NaN.

    The products are computed in numpy, on the host. Weights are scored in as many threads as
    ``OMP_NUM_THREADS`` and the processors allow, at most four.

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
    error_score = "raise"

    _parameter_constraints = {
        "estimator": [HasMethods(["fit"])],
        "fusion_weights": ["array-like"],
        "cv": ["cv_object"],
        "scoring": [callable, None],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator,
        fusion_weights,
        *,
        cv=None,
        scoring=None,
        refit=True,
        n_jobs=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.fusion_weights = fusion_weights
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
        """Score every weight in every fold, and fit with the best one.

        Parameters
        ----------
        X : EmbeddingArray, list of items or array of shape (n_rows, n_features)
            Documents and judged queries, as the estimator takes them.
        y : sequence of length n_rows
            The ids of documents and the relevance of queries.
        **params : dict of str to object
            Metadata for the estimator, the folds and the scorer, such as `modality` and
            `sample_weight`. Needs ``enable_metadata_routing=True``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `fusion_weights` is empty or malformed, `scoring` is not a ranking scorer, or a
            fold cannot be fitted or scored.
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
            raise ValueError("fit needs y: the ids of documents and the relevance of queries.")
        path = _path_to_retriever(self.estimator)
        if params and not get_config()["enable_metadata_routing"]:
            raise ValueError(
                f"{', '.join(params)} can be passed to fit only with metadata routing: call "
                "sklearn.set_config(enable_metadata_routing=True) first."
            )
        X, y = indexable(X, y)
        routed = process_routing(self, "fit", **params)
        fit_params = routed["estimator"]["fit"]
        folds = list(check_cv(self._splitter()).split(X, y, **routed["splitter"]["split"]))
        scores = Parallel(n_jobs=self.n_jobs)(
            delayed(_score_fold)(
                self.estimator,
                path,
                weights,
                self.scoring,
                X,
                y,
                fold,
                fit_params,
                routed["scorer"]["score"],
                self.verbose and f"fold {i} of {len(folds)}",
            )
            for i, fold in enumerate(folds, start=1)
        )
        scores = np.array(scores).T
        self.cv_results_ = _results("__".join([*path, "fusion_weight"]), weights, scores)
        self.n_splits_ = scores.shape[1]
        self.scorer_ = check_scoring(self.estimator, self.scoring)
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
        """Metadata routing to the estimator, the scorer and the folds.

        Returns
        -------
        MetadataRouter
        """
        to_split = MethodMapping().add(caller="fit", callee="split")
        router = super().get_metadata_routing()
        return router.add(splitter=self._splitter(), method_mapping=to_split)

    def _splitter(self):
        if self.cv is None:
            return QueryKFold()
        return QueryKFold(self.cv) if isinstance(self.cv, Integral) else self.cv


def _path_to_retriever(estimator):
    """The names of the last steps of nested pipelines, down to the retriever."""
    path = []
    while isinstance(estimator, Pipeline):
        name, estimator = estimator.steps[-1]
        path.append(name)
    if not isinstance(estimator, MixedModalityRetriever):
        raise TypeError(
            "FusionWeightSearchCV tunes a MixedModalityRetriever, or a pipeline that ends in one; "
            f"got one that ends in {estimator!r}."
        )
    return path


def _score_fold(estimator, path, weights, scoring, X, y, fold, fit_params, score_params, named):
    """The score of each weight in one fold."""
    start, (train, test) = time.perf_counter(), fold
    fit_params = _check_method_params(X, fit_params, train)
    score_params = _check_method_params(X, score_params, test)
    X, X_test, y, y_test = (_safe_indexing(part, at) for part in (X, y) for at in fold)
    modality = _routed(estimator, path, "fit", fit_params).get("modality")
    if scoring is None:
        score_params = _routed(estimator, path, "score", score_params)
    tags = score_params.get("modality")
    tags = None if tags is None else Tags.encode(tags, len(y_test))
    if path:
        before = clone(estimator).set_params(**{"__".join(path): "passthrough"})
        known = before.get_metadata_routing().consumes("fit_transform", fit_params)
        X = before.fit_transform(X, y, **{name: fit_params[name] for name in known})
        X_test, tags = transform_steps(split_steps(before)[0], X_test, tags)
    scores = weight_scores(
        split_steps(estimator)[1],
        weights,
        {"X": X, "y": y, "modality": modality},
        {
            "X": X_test,
            "y": y_test,
            "modality": tags,
            "sample_weight": score_params.get("sample_weight"),
        },
        "ndcg@10" if scoring is None else scoring.metric,
    )
    if named:
        best = int(np.argmax(scores))
        print(
            f"[FusionWeightSearchCV] {named}: {len(weights)} weights in "
            f"{time.perf_counter() - start:.1f} s, best {weights[best]!r} with {scores[best]:.4f}"
        )
    return scores


def _routed(estimator, path, method, params):
    """The part of some metadata that reaches the retriever at the end of nested pipelines."""
    for name in path:
        params = process_routing(estimator, method, **params)[name][method]
        estimator = estimator.named_steps[name]
    return params


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

"""Stock scikit-learn searches over whole pipelines, both ways of tagging."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    LeaveOneOut,
    ParameterGrid,
    RandomizedSearchCV,
    ShuffleSplit,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    QueryKFold,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_mixed_modality

WEIGHTS = {"mixedmodalityretriever__fusion_weight": [0, 0.5, 1]}
# One search over parameters of both estimators, one after the other.
GRIDS = [
    {"mixedmodalityretriever__fusion_weight": [0, 0.5]},
    {"modalitygapremover__strength": [0, 0.5]},
    {"modalitygapremover__shrinkage": [0, np.inf]},
]
STOCK_STEPS = [PCA(32, svd_solver="covariance_eigh"), Normalizer()]


def make_search(*steps):
    return make_pipeline(*steps, ModalityGapRemover(), MixedModalityRetriever())


@pytest.fixture(scope="module")
def corpus():
    return make_mixed_modality(60, n_features=96, random_state=0)


def is_query(X):
    return X.modality == "query:text"


def scores_by_hand(X, y, params, step=None):
    """NDCG@10 of each fold, without a pipeline, a search or a score of ours."""
    for train, test in QueryKFold(3).split(X):
        rows, asked = X.values[train], X.values[test]
        if step is not None:
            stock = clone(step).fit(rows)
            rows, asked = stock.transform(rows), stock.transform(asked)
        remover = ModalityGapRemover(**params.get("modalitygapremover", {}))
        rows = remover.fit_transform(rows, modality=X.modality[train])
        asked = remover.transform(asked, modality=X.modality[test])
        retriever = MixedModalityRetriever(**params.get("mixedmodalityretriever", {}))
        retriever.fit(rows, y[train], modality=X.modality[train])
        found = retriever.predict(asked, modality=X.modality[test])
        hits = found == y[test].astype(str)[:, None]
        yield (hits / np.log2(np.arange(2, 12))).sum(axis=1).mean()


def split_scores(grid):
    """The test scores of shape (n_candidates, n_folds)."""
    return np.column_stack([grid.cv_results_[f"split{i}_test_score"] for i in range(3)])


def want_scores(X, y, step=None):
    want = []
    for params in ParameterGrid(GRIDS):
        ((name, value),) = params.items()
        step_name, parameter = name.split("__")
        want.append([*scores_by_hand(X, y, {step_name: {parameter: value}}, step)])
    return want


def test_a_grid_over_tagged_rows_gives_the_scores_of_a_loop_over_the_folds(corpus):
    X, y = corpus
    grid = GridSearchCV(
        make_search(), GRIDS, cv=QueryKFold(3), n_jobs=2, error_score="raise", refit=True
    ).fit(X, y)
    want = want_scores(X, y)
    np.testing.assert_allclose(split_scores(grid), want, atol=1e-9)
    assert grid.best_index_ == np.mean(want, axis=1).argmax()
    assert (np.abs(np.diff(np.mean(want, axis=1)))[::2] > 0.001).all()


@pytest.mark.parametrize("step", STOCK_STEPS, ids=lambda step: type(step).__name__)
def test_a_grid_behind_a_stock_step_is_routed_the_modality(corpus, step):
    X, y = corpus
    with sklearn.config_context(enable_metadata_routing=True):
        grid = GridSearchCV(make_search(step), GRIDS, cv=QueryKFold(3), error_score="raise")
        grid.fit(X.values, y, modality=X.modality)
        whole = grid.score(X.values, y, modality=X.modality)
        best = grid.best_estimator_.score(X.values, y, modality=X.modality)
    want = want_scores(X, y, step)
    np.testing.assert_allclose(split_scores(grid), want, atol=1e-9)
    assert whole == best > 0.5


def test_routing_gives_tagged_rows_the_same_scores(corpus):
    X, y = corpus
    options = {"cv": QueryKFold(3), "error_score": "raise"}
    without = GridSearchCV(make_search(), WEIGHTS, **options).fit(X, y)
    with sklearn.config_context(enable_metadata_routing=True):
        tagged = GridSearchCV(make_search(), WEIGHTS, **options).fit(X, y)
        routed = GridSearchCV(make_search(), WEIGHTS, **options).fit(
            X.values, y, modality=list(X.modality)
        )
    np.testing.assert_array_equal(split_scores(tagged), split_scores(without))
    np.testing.assert_array_equal(split_scores(routed), split_scores(without))


def test_other_searches_take_query_folds_too(corpus):
    X, y = corpus
    randomized = RandomizedSearchCV(
        make_search(), WEIGHTS, n_iter=2, cv=QueryKFold(3), random_state=0, error_score="raise"
    ).fit(X, y)
    for params, score in zip(randomized.cv_results_["params"], split_scores(randomized)):
        weight = {"mixedmodalityretriever": {"fusion_weight": next(iter(params.values()))}}
        np.testing.assert_allclose(score, [*scores_by_hand(X, y, weight)], atol=1e-9)


@pytest.fixture(scope="module")
def tuned(corpus):
    X, y = corpus
    return GridSearchCV(make_search(), WEIGHTS, cv=QueryKFold(3), error_score="raise").fit(X, y)


def test_the_refit_indexes_the_documents_and_no_query(corpus, tuned):
    X, y = corpus
    retriever = tuned.best_estimator_[-1]
    documents = dict.fromkeys(y[~is_query(X)])
    assert retriever.ids_.tolist() == list(documents)
    assert retriever.n_documents_ == 60
    assert set(retriever.document_modality_) == {"text", "image", "image+text"}
    assert tuned.best_estimator_[0].counts_["query:text"] == 60


def test_what_was_selected_survives_pickle(corpus, tuned):
    X, _ = corpus
    want = tuned.predict(X[is_query(X)])
    best = pickle.loads(pickle.dumps(tuned.best_estimator_))
    np.testing.assert_array_equal(best.predict(X[is_query(X)]), want)
    found = search(pickle.loads(pickle.dumps(tuned)), X[is_query(X)], 3)
    np.testing.assert_array_equal(found.ids, want[:, :3])


def test_the_search_object_answers(corpus, tuned):
    X, y = corpus
    queries = X[is_query(X)]
    found = search(tuned, queries)
    np.testing.assert_array_equal(found.ids, tuned.predict(queries))
    np.testing.assert_array_equal(search(tuned, queries.values).ids, found.ids)
    assert tuned.score(X, y) == tuned.score(queries, y[is_query(X)]) > 0.8


@pytest.mark.parametrize("step", STOCK_STEPS, ids=lambda step: type(step).__name__)
def test_behind_a_stock_step_the_search_object_answers_without_routing(corpus, step):
    X, y = corpus
    queries = X[is_query(X)]
    with sklearn.config_context(enable_metadata_routing=True):
        grid = GridSearchCV(make_search(step), WEIGHTS, cv=QueryKFold(2), error_score="raise")
        grid.fit(X.values, y, modality=X.modality)
        want = grid.best_estimator_.predict(queries.values, modality=queries.modality)
    np.testing.assert_array_equal(search(grid, queries).ids, want)
    np.testing.assert_array_equal(search(grid, queries.values).ids, want)
    as_texts = EmbeddingArray(queries.values, "text")
    np.testing.assert_array_equal(search(grid, as_texts).ids, want)


def quietly(task):
    """What a task returns, and the texts of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = task()
    return result, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("cv", [None, 3, KFold(4, shuffle=True, random_state=0), ShuffleSplit(3)])
def test_the_usual_folds_give_nan_and_name_the_right_ones(corpus, routed, cv):
    X, y = corpus
    grid = GridSearchCV(make_search(), WEIGHTS, cv=cv)
    with sklearn.config_context(enable_metadata_routing=routed):
        if routed:
            _, said = quietly(lambda: grid.fit(X.values, y, modality=X.modality))
        else:
            _, said = quietly(lambda: grid.fit(X, y))
    assert np.isnan(grid.cv_results_["mean_test_score"]).all()
    assert np.isnan(grid.best_score_)
    failures = [text for text in said if "Scoring failed" in text]
    assert failures
    assert all("cross-validate with cv=QueryKFold()" in text for text in failures)
    assert any("test scores are non-finite" in text for text in said)


def test_the_usual_folds_are_an_error_where_errors_are_asked_for(corpus):
    grid = GridSearchCV(make_search(), WEIGHTS, error_score="raise")
    with pytest.raises(ValueError, match=r"documents.*cross-validate with cv=QueryKFold\(\)"):
        grid.fit(*corpus)


@given(st.permutations(range(28)), st.integers(2, 7))
def test_a_fold_that_holds_out_documents_or_parts_never_gives_a_number(order, n_splits):
    # Two texts, two images and six documents of both; six of them are asked for twice.
    modality = np.repeat(["text", "image", "query:text"], [8, 8, 12])
    y = np.array([f"d{i}" for i in [*range(8), *range(2, 10), *range(6), *range(6)]], object)
    X, y = EmbeddingArray(np.eye(28), modality)[order], y[order]
    cv = KFold(n_splits)
    scores, said = quietly(lambda: cross_val_score(MixedModalityRetriever(), X, y, cv=cv))
    holds_out = [not is_query(X)[test].all() for _, test in cv.split(X)]
    np.testing.assert_array_equal(np.isnan(scores), holds_out)
    assert len(said) == sum(holds_out) > 0
    assert all("cv=QueryKFold()" in text for text in said)


def test_modalities_one_after_the_other_give_no_number_where_only_parts_are_held_out():
    # Every document is an image and a text, and a fold holds out all texts and no image.
    X, y = make_mixed_modality(40, n_features=96, random_state=0)
    both = np.isin(y, [i for i in np.unique(y) if (y == i).sum() == 3])
    X, y = X[both], y[both]
    order = np.concatenate(
        [np.flatnonzero(X.modality == m) for m in ("text", "query:text", "image")]
    )
    X, y = X[order], y[order]
    scores, said = quietly(lambda: cross_val_score(MixedModalityRetriever(), X, y, cv=2))
    assert np.isnan(scores).all()
    assert sum("indexed from other rows than those given here" in text for text in said) == 2


def test_one_row_out_gives_no_number(corpus):
    X, y = corpus
    X, y = X[50:90], y[50:90]
    scores, _ = quietly(lambda: cross_val_score(make_search(), X, y, cv=LeaveOneOut()))
    assert np.isnan(scores[~is_query(X)]).all()


def test_halving_over_the_rows_is_an_error_that_says_that_it_leaves_documents_out(corpus):
    grid = HalvingGridSearchCV(
        make_search(), WEIGHTS, cv=QueryKFold(3), error_score="raise", random_state=0
    )
    with (
        pytest.raises(ValueError, match="HalvingGridSearchCV over n_samples, leaves documents"),
        warnings.catch_warnings(action="ignore"),
    ):
        grid.fit(*corpus)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_score_calibration_whose_documents_are_held_out_names_the_right_folds(corpus):
    with pytest.raises(ValueError, match=r"learns from .*cv=QueryKFold\(\)"):
        cross_val_score(make_search_pipeline(), *corpus, cv=KFold(3), error_score="raise")


CANNOT_WORK = {"mixedmodalityretriever__fusion_weight": [{"text": 1}, 0.5]}


def test_a_candidate_that_cannot_work_is_an_error_where_errors_are_asked_for(corpus):
    grid = GridSearchCV(make_search(), CANNOT_WORK, cv=QueryKFold(2), error_score="raise")
    with pytest.raises(ValueError, match="fusion_weight has no weight for 'image'"):
        grid.fit(*corpus)


def test_a_candidate_that_cannot_work_is_never_the_best(corpus):
    grid = GridSearchCV(make_search(), CANNOT_WORK, cv=QueryKFold(2))
    with (
        pytest.warns(FitFailedWarning, match="fusion_weight has no weight for 'image'"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        grid.fit(*corpus)
    assert np.isnan(grid.cv_results_["mean_test_score"]).tolist() == [True, False]
    assert grid.best_params_ == {"mixedmodalityretriever__fusion_weight": 0.5}


class TestWithoutRouting:
    """What is said when ``modality=`` is passed with scikit-learn's default settings."""

    @pytest.fixture
    def pipe(self, corpus):
        return make_search().fit(*corpus)

    def test_a_pipeline_says_that_it_takes_no_such_parameter(self, corpus):
        X, y = corpus
        with pytest.raises(ValueError, match=r"Pipeline\.fit does not accept the modality"):
            make_search(Normalizer()).fit(X.values, y, modality=X.modality)

    @pytest.mark.parametrize("ask", ["score", "predict", "transform"])
    def test_a_pipeline_that_drops_it_gets_our_error_with_the_switch(self, corpus, pipe, ask):
        X, y = corpus
        y = [y] if ask == "score" else []
        with pytest.raises(ValueError, match="enable_metadata_routing=True"):
            getattr(pipe, ask)(X.values, *y, modality=X.modality)

    def test_a_search_gets_our_error_with_the_switch(self, corpus):
        X, y = corpus
        grid = GridSearchCV(make_search(Normalizer()), WEIGHTS, cv=QueryKFold(2))
        with pytest.raises(
            ValueError, match=r"QueryKFold.*set_config\(enable_metadata_routing=True"
        ):
            grid.fit(X.values, y, modality=X.modality)
        with pytest.raises(
            ValueError, match=r"QueryKFold.*set_config\(enable_metadata_routing=True"
        ):
            cross_val_score(
                make_search(), X.values, y, cv=QueryKFold(2), params={"modality": X.modality}
            )

    def test_a_search_says_that_scoring_needs_the_switch(self, corpus, tuned):
        X, y = corpus
        with pytest.raises(ValueError, match="enable_metadata_routing=True"):
            tuned.score(X.values, y, modality=X.modality)

    def test_a_search_never_takes_it_in_predict(self, corpus, tuned):
        X, _ = corpus
        for routed in (False, True):
            with (
                sklearn.config_context(enable_metadata_routing=routed),
                pytest.raises(TypeError, match="modality"),
            ):
                tuned.predict(X.values, modality=X.modality)


def test_a_plain_function_as_scoring_gets_no_modality_and_fails(corpus):
    X, y = corpus

    def first_is_right(estimator, X, y):
        return np.mean(estimator.predict(X)[:, 0] == y)

    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="does not say which its rows have"),
    ):
        cross_val_score(
            make_search(),
            X.values,
            y,
            cv=QueryKFold(2),
            scoring=first_is_right,
            params={"modality": X.modality},
            error_score="raise",
        )


def test_a_retriever_told_to_take_no_modality_says_that_it_has_none(corpus):
    X, y = corpus
    with sklearn.config_context(enable_metadata_routing=True):
        retriever = MixedModalityRetriever().set_fit_request(modality=False)
        pipe = make_pipeline(Normalizer(), ModalityGapRemover(), retriever)
        with pytest.warns(UserWarning, match="MixedModalityRetriever was fitted .* without modal"):
            pipe.fit(X.values, y, modality=X.modality)


class TestSampleWeight:
    @pytest.fixture
    def weights(self, corpus):
        X, _ = corpus
        return np.random.default_rng(0).integers(0, 4, len(X)).astype(float)

    def test_a_weight_counts_as_so_many_equal_queries(self, corpus, tuned, weights):
        X, y = corpus
        pipe, at = tuned.best_estimator_, np.flatnonzero(is_query(X))
        often = np.repeat(at, weights[at].astype(int))
        want = pipe.score(X[often], y[often])
        assert pipe.score(X, y, sample_weight=weights) == pytest.approx(want)
        assert pipe.score(X[at], y[at], sample_weight=weights[at]) == pytest.approx(want)
        assert abs(want - pipe.score(X, y)) > 1e-4

    def test_weights_of_documents_and_unjudged_queries_are_not_read(self, corpus, tuned, weights):
        X, y = corpus
        at = np.flatnonzero(is_query(X))
        want = tuned.best_estimator_.score(X[at[1:]], y[at[1:]], sample_weight=weights[at[1:]])
        y, weights = y.copy(), weights.copy()
        weights[~is_query(X)] = np.nan
        y[at[0]], weights[at[0]] = None, -1
        found = tuned.best_estimator_.score(X, y, sample_weight=weights)
        assert found == pytest.approx(want)

    def test_it_is_routed_where_it_is_requested(self, corpus, weights):
        X, y = corpus
        want = [
            make_search()
            .fit(X[train], y[train])
            .score(X[test], y[test], sample_weight=weights[test])
            for train, test in QueryKFold(3).split(X)
        ]
        with sklearn.config_context(enable_metadata_routing=True):
            retriever = MixedModalityRetriever().set_score_request(sample_weight=True)
            found = cross_val_score(
                make_pipeline(ModalityGapRemover(), retriever),
                X.values,
                y,
                cv=QueryKFold(3),
                params={"modality": X.modality, "sample_weight": weights},
                error_score="raise",
            )
        np.testing.assert_allclose(found, want, atol=1e-12)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (lambda w: w[:-1], r"sample_weight has shape \(139,\) for 140 rows"),
            (lambda w: w[:, None], r"sample_weight has shape \(140, 1\) for 140 rows"),
            (lambda w: -w, "sample_weight must be finite and at least 0"),
            (lambda w: w * np.nan, "sample_weight must be finite"),
            (lambda w: w * np.inf, "sample_weight must be finite"),
            (lambda w: w * 0, "above 0 for one"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:invalid value encountered in multiply:RuntimeWarning")
    def test_weights_that_make_no_mean_are_refused(self, corpus, tuned, weights, wrong, message):
        with pytest.raises(ValueError, match=message):
            tuned.best_estimator_.score(*corpus, sample_weight=wrong(weights))

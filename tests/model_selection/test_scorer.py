import pickle

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    QueryKFold,
    make_ranking_scorer,
    search,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.metrics import ndcg_at_k, precision_at_k, recall_at_k, reciprocal_rank_at_k

METRICS = {
    "ndcg": ndcg_at_k,
    "recall": recall_at_k,
    "mrr": reciprocal_rank_at_k,
    "precision": precision_at_k,
}


@pytest.fixture(scope="module")
def corpus():
    return make_mixed_modality(60, n_features=96, random_state=0)


@pytest.fixture(scope="module")
def pipe(corpus):
    return make_pipeline(ModalityGapRemover(), MixedModalityRetriever(3)).fit(*corpus)


def queries_of(corpus):
    X, y = corpus
    at = X.modality == "query:text"
    return X[at], y[at]


@given(st.sampled_from(sorted(METRICS)), st.integers(1, 80))
def test_it_is_the_mean_of_the_metric_over_the_queries(corpus, pipe, name, k):
    Q, answers = queries_of(corpus)
    found = search(pipe, Q, k).ids
    want = METRICS[name](answers, found, k).mean()
    scorer = make_ranking_scorer(f"{name}@{k}")
    assert scorer(pipe, Q, answers) == pytest.approx(want)
    assert scorer(pipe, *corpus) == pytest.approx(want)  # documents are skipped


def test_a_modality_that_is_given_wins_over_the_rows_own_tags(corpus, pipe):
    Q, answers = queries_of(corpus)
    scorer, mistagged = make_ranking_scorer("ndcg@10"), EmbeddingArray(Q.values, "query:image")
    assert scorer(pipe, mistagged, answers) != scorer(pipe, Q, answers)
    given_tags = scorer(pipe, mistagged, answers, modality=Q.modality)
    assert given_tags == scorer(pipe, Q, answers)


def test_ndcg_at_10_is_what_score_gives(corpus, pipe):
    scorer = make_ranking_scorer("ndcg@10")
    assert scorer(pipe, *corpus) == pipe.score(*corpus)
    graded = [{answer: 2.5, "item0": 1, "item1": 0} for answer in queries_of(corpus)[1]]
    X, y = corpus
    y = [*y[: -len(graded)], *graded]
    assert scorer(pipe, X, y) == pipe.score(X, y) < 1


def test_it_asks_for_more_documents_than_the_retriever_would_find(corpus, pipe):
    assert pipe[-1].n_neighbors == 3
    scores = [make_ranking_scorer(f"recall@{k}")(pipe, *corpus) for k in (3, 20, 60, 1000)]
    assert scores == sorted(scores)
    assert scores[0] < scores[1]
    assert scores[2:] == [1, 1]
    assert pipe.predict(queries_of(corpus)[0]).shape[1] == 3


@pytest.mark.parametrize("metric", ["recall@5", "mrr@20", "precision@1", "ndcg@10"])
def test_it_scores_folds_with_routing_on_and_off(corpus, metric):
    X, y = corpus
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever(2))
    scorer = make_ranking_scorer(metric)
    want = [
        scorer(clone(pipe).fit(X[train], y[train]), X[test], y[test])
        for train, test in QueryKFold(3).split(X)
    ]
    options = {"cv": QueryKFold(3), "scoring": scorer, "error_score": "raise"}
    np.testing.assert_array_equal(cross_val_score(pipe, X, y, **options), want)
    with sklearn.config_context(enable_metadata_routing=True):
        params = {"modality": X.modality}
        np.testing.assert_array_equal(cross_val_score(pipe, X, y, **options), want)
        np.testing.assert_array_equal(
            cross_val_score(pipe, X.values, y, params=params, **options), want
        )


@pytest.mark.parametrize("routed", [False, True])
def test_several_metrics_are_taken_at_once(corpus, routed):
    X, y = corpus
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever(2))
    scoring = {"found": make_ranking_scorer("recall@20"), "ndcg": make_ranking_scorer("ndcg@10")}
    grid = GridSearchCV(
        pipe,
        {"mixedmodalityretriever__fusion_weight": [0, 0.5]},
        cv=QueryKFold(2),
        scoring=scoring,
        refit="ndcg",
        error_score="raise",
    )
    with sklearn.config_context(enable_metadata_routing=routed):
        rows = (X.values, {"modality": X.modality}) if routed else (X, {})
        grid.fit(rows[0], y, **rows[1])
        whole = grid.score(rows[0], y, **rows[1])
        both = cross_validate(
            grid.best_estimator_,
            rows[0],
            y,
            cv=QueryKFold(2),
            scoring=scoring,
            params=rows[1],
            error_score="raise",
        )
    assert whole == make_ranking_scorer("ndcg@10")(grid.best_estimator_, X, y)
    for name, scorer in scoring.items():
        want = cross_val_score(
            grid.best_estimator_, X, y, cv=QueryKFold(2), scoring=scorer, error_score="raise"
        )
        np.testing.assert_array_equal(both[f"test_{name}"], want)
        assert grid.cv_results_[f"mean_test_{name}"][grid.best_index_] == pytest.approx(want.mean())


def test_behind_a_stock_step_it_takes_the_modality_with_routing_on_and_off(corpus):
    X, y = corpus
    scorer = make_ranking_scorer("recall@5")
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(PCA(32), ModalityGapRemover(), MixedModalityRetriever())
        pipe.fit(X.values, y, modality=X.modality)
        want = scorer(pipe, X.values, y, modality=X.modality)
        assert scorer(pipe, X, y) == want
    assert scorer(pipe, X, y) == want
    assert scorer(pipe, X.values, y, modality=X.modality) == want
    assert want == recall_at_k(y, search(pipe, X, 5).ids, 5)[X.modality == "query:text"].mean()


def test_it_takes_a_retriever_and_what_a_search_selected(corpus, pipe):
    X, y = corpus
    scorer = make_ranking_scorer("mrr@7")
    rows = pipe[:-1].transform(X)
    assert scorer(pipe[-1], rows, y) == scorer(pipe, X, y)
    grid = GridSearchCV(pipe, {"modalitygapremover__strength": [1]}, cv=QueryKFold(2)).fit(X, y)
    assert scorer(grid, X, y) == scorer(pipe, X, y)
    assert check_scoring(pipe, scoring=scorer) is scorer


def test_queries_without_known_answer_are_left_out(corpus, pipe):
    Q, answers = queries_of(corpus)
    scorer = make_ranking_scorer("precision@3")
    some = answers.copy()
    some[::3] = None
    some[1] = np.nan
    known = np.flatnonzero([isinstance(answer, str) for answer in some])
    assert scorer(pipe, Q, some) == scorer(pipe, Q[known], answers[known])
    with pytest.raises(ValueError, match="no judged query among the 60 rows"):
        scorer(pipe, Q, [None] * 60)


def test_weights_weigh_the_queries(corpus, pipe):
    Q, answers = queries_of(corpus)
    scorer = make_ranking_scorer("mrr@10")
    values = reciprocal_rank_at_k(answers, search(pipe, Q, 10).ids, 10)
    weights = np.random.default_rng(0).random(60)
    want = np.average(values, weights=weights)
    assert scorer(pipe, Q, answers, sample_weight=weights) == pytest.approx(want)
    assert scorer(pipe, Q, answers, weights) == pytest.approx(want)


def test_weights_are_routed_where_they_are_requested(corpus):
    X, y = corpus
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    weights = np.random.default_rng(0).random(len(X))
    scorer = make_ranking_scorer("mrr@10")
    want = [
        scorer(clone(pipe).fit(X[train], y[train]), X[test], y[test], sample_weight=weights[test])
        for train, test in QueryKFold(3).split(X)
    ]
    with sklearn.config_context(enable_metadata_routing=True):
        found = cross_val_score(
            pipe,
            X.values,
            y,
            cv=QueryKFold(3),
            scoring=make_ranking_scorer("mrr@10").set_score_request(sample_weight=True),
            params={"modality": X.modality, "sample_weight": weights},
            error_score="raise",
        )
    np.testing.assert_array_equal(found, want)


def test_it_raises_where_score_does(corpus, pipe):
    X, y = corpus
    scorer = make_ranking_scorer("ndcg@10")
    elsewhere = y.copy()
    elsewhere[0] = "of another corpus"
    lost = y.copy()
    lost[-1] = "nobody"
    for rows, answers, message in (
        (X, elsewhere, "'of another corpus'.*QueryKFold"),
        (X, lost, "relevance names 1 unknown document: 'nobody'"),
        (X[X.modality == "text"], y[X.modality == "text"], "no judged query.*QueryKFold"),
        (X, y[1:], "y has 139 entries for 140 rows"),
        (X, None, "score needs y"),
        (X.values, y, "does not say which"),
    ):
        with pytest.raises(ValueError, match=message):
            scorer(pipe, rows, answers)


def test_a_part_that_was_not_indexed_is_an_error(corpus, pipe):
    X, y = corpus
    image = pipe[-1].ids_[pipe[-1].document_modality_ == "image"][0]
    mistagged = np.where(y == image, "text", X.modality)
    with pytest.raises(ValueError, match=f"1 document was indexed from other rows .* '{image}'"):
        make_ranking_scorer("ndcg@10")(pipe, EmbeddingArray(X.values, mistagged), y)


UNKNOWN = "ndcg ndcg@ ndcg@0 ndcg@-1 ndcg@+5 ndcg@1.5 ndcg@ten ndcg@² NDCG@10 map@10 @10 recall@5@6"


@pytest.mark.parametrize("metric", [*UNKNOWN.split(), "", "recall@5 ", None, 10, ("ndcg@10",)])
def test_an_unknown_name_is_an_error_that_lists_the_known(metric):
    with pytest.raises(ValueError, match="ndcg, recall, mrr, precision, then @"):
        make_ranking_scorer(metric)


def test_it_clones_pickles_and_prints(corpus, pipe):
    scorer = make_ranking_scorer("recall@5")
    want = scorer(pipe, *corpus)
    for again in (clone(scorer), pickle.loads(pickle.dumps(scorer))):
        assert again is not scorer
        assert again(pipe, *corpus) == want
        assert again.metric == "recall@5"
    assert "recall@5" in repr(scorer)

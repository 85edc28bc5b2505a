import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    QueryKFold,
)
from gapremoval.datasets import make_mixed_modality

tags = st.lists(
    st.sampled_from(["text", "image", "query:text", "query:image+text"]), min_size=4
).filter(lambda modality: sum(map(is_query, modality)) >= 2)


def is_query(name):
    return name.startswith("query:")


def rows(modality):
    return EmbeddingArray(np.ones((len(modality), 2)), modality)


def folds_of(splitter, *args, **modality):
    return [(list(train), list(test)) for train, test in splitter.split(*args, **modality)]


@given(tags, st.data())
def test_every_query_is_tested_once_and_every_document_is_always_there(modality, data):
    asks = np.array(list(map(is_query, modality)))
    n_splits = data.draw(st.integers(2, int(asks.sum())))
    shuffle = data.draw(st.booleans())
    splitter = QueryKFold(n_splits, shuffle=shuffle, random_state=0 if shuffle else None)
    folds = list(splitter.split(rows(modality)))
    assert len(folds) == n_splits == splitter.get_n_splits(rows(modality))
    assert sorted(np.concatenate([test for _, test in folds])) == list(np.flatnonzero(asks))
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    for train, test in folds:
        assert set(np.flatnonzero(~asks)) <= set(train)
        assert sorted([*train, *test]) == list(range(len(modality)))
        assert asks[test].all()


@given(tags)
def test_all_ways_of_tagging_give_the_same_folds(modality):
    X = rows(modality)
    want = folds_of(QueryKFold(2), X)
    items = [Query("who asks") if is_query(name) else "a document" for name in modality]
    assert folds_of(QueryKFold(2), X.values, modality=X.modality) == want
    assert folds_of(QueryKFold(2), X.values, modality=modality) == want
    assert folds_of(QueryKFold(2), X.values.tolist(), modality=modality) == want
    assert folds_of(QueryKFold(2), items) == want
    assert folds_of(QueryKFold(2), tuple(items)) == want
    assert folds_of(QueryKFold(2), np.array(items, dtype=object)) == want


@given(tags)
def test_an_explicit_modality_wins_over_the_tags(modality):
    mistagged = EmbeddingArray(np.ones((len(modality), 2)), "text")
    want = folds_of(QueryKFold(2), rows(modality))
    assert folds_of(QueryKFold(2), mistagged, modality=modality) == want


@given(tags, st.integers(0, 2**32 - 1))
def test_a_seed_gives_the_same_folds_every_time(modality, seed):
    first, again = (QueryKFold(2, shuffle=True, random_state=seed) for _ in range(2))
    X = rows(modality)
    assert folds_of(first, X) == folds_of(first, X) == folds_of(again, X)


def test_without_shuffling_the_queries_are_dealt_out_in_their_order():
    X = rows(["query:text", "text"] * 6)
    tests = [test for _, test in folds_of(QueryKFold(3), X)]
    assert tests == [[0, 2], [4, 6], [8, 10]]


def test_shuffling_deals_them_out_in_another_order():
    X = rows(["text"] * 5 + ["query:text"] * 40)
    seeds = [folds_of(QueryKFold(2, shuffle=True, random_state=seed), X) for seed in (0, 1)]
    assert seeds[0] != seeds[1]
    assert folds_of(QueryKFold(2), X) not in seeds
    rng = np.random.RandomState(0)
    passing = QueryKFold(2, shuffle=True, random_state=rng)
    assert folds_of(passing, X) != folds_of(passing, X)


def test_answers_and_groups_change_nothing():
    X = rows(["text", "query:text", "query:text"])
    want = folds_of(QueryKFold(2), X)
    assert folds_of(QueryKFold(2), X, ["a", "b", None], [0, 0, 0]) == want


def test_a_corpus_without_queries_is_refused():
    with pytest.raises(ValueError, match="no query among the rows") as error:
        next(QueryKFold().split(EmbeddingArray(np.eye(3), "text")))
    assert "set_config" not in str(error.value)
    with pytest.raises(ValueError, match="no query among the rows"):
        next(QueryKFold().split(np.eye(3), modality="image"))


@pytest.mark.parametrize("X", [np.eye(9), np.eye(9).tolist(), ["a note"] * 9])
def test_rows_without_tags_are_refused_with_both_ways_to_tag(X):
    with pytest.raises(ValueError, match=r"no query among .*wrap the items in Query") as error:
        next(QueryKFold(3).split(X))
    assert "EmbeddingArray(X, modality)" in str(error.value)
    assert "sklearn.set_config(enable_metadata_routing=True)" in str(error.value)


@pytest.mark.parametrize("n_splits", [-1, 0, 1, 5, 100])
def test_folds_are_at_least_two_and_no_more_than_queries(n_splits):
    X = rows(["text"] * 10 + ["query:text"] * 4)
    with pytest.raises(ValueError, match=rf"n_splits={n_splits} must be .*queries, 4"):
        next(QueryKFold(n_splits).split(X))


@pytest.mark.parametrize("n_splits", [2.5, "3", None])
def test_the_number_of_folds_is_whole(n_splits):
    X = rows(["text"] * 10 + ["query:text"] * 4)
    with pytest.raises(ValueError, match="must be an integer"):
        next(QueryKFold(n_splits).split(X))


def test_a_seed_without_shuffling_is_an_error():
    X = rows(["text", "query:text", "query:text"])
    with pytest.raises(ValueError, match="random_state"):
        next(QueryKFold(2, random_state=0).split(X))


def test_wrong_tags_are_refused():
    with pytest.raises(ValueError, match="2 tags for 3 rows"):
        next(QueryKFold(2).split(np.eye(3), modality=["text", "query:text"]))
    with pytest.raises(ValueError, match="Query:text"):
        next(QueryKFold(2).split(np.eye(3), modality=["text", "Query:text", "query:text"]))


def test_it_prints_its_parameters_and_leaves_them_as_given():
    splitter = QueryKFold(3, shuffle=True, random_state=7)
    assert repr(splitter) == "QueryKFold(n_splits=3, random_state=7, shuffle=True)"
    next(splitter.split(rows(["text", *["query:text"] * 3])))
    assert vars(splitter) == {"n_splits": 3, "shuffle": True, "random_state": 7}


def test_it_folds_for_every_cross_validation():
    X, y = make_mixed_modality(60, n_features=96, random_state=0)
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    want = [
        clone(pipe).fit(X[train], y[train]).score(X[test], y[test])
        for train, test in QueryKFold(3).split(X)
    ]
    options = {"cv": QueryKFold(3), "error_score": "raise"}
    np.testing.assert_array_equal(cross_val_score(pipe, X, y, **options), want)
    found = cross_validate(pipe, X, y, return_indices=True, return_train_score=True, **options)
    np.testing.assert_array_equal(found["test_score"], want)
    assert (found["train_score"] > 0.5).all()
    for (train, test), *indices in zip(QueryKFold(3).split(X), *found["indices"].values()):
        np.testing.assert_array_equal(train, indices[0])
        np.testing.assert_array_equal(test, indices[1])
    grid = GridSearchCV(pipe, {"modalitygapremover__strength": [1]}, **options).fit(X, y)
    assert grid.n_splits_ == 3
    assert grid.best_score_ == pytest.approx(np.mean(want))


@pytest.mark.parametrize("nested", [False, True])
def test_it_is_routed_the_modality_of_plain_arrays(nested):
    X, y = make_mixed_modality(60, n_features=96, random_state=0)
    estimator = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    if nested:
        grid = {"mixedmodalityretriever__fusion_weight": [0.3, 0.7]}
        estimator = GridSearchCV(estimator, grid, cv=QueryKFold(2), error_score="raise")
    options = {"cv": QueryKFold(3, shuffle=True, random_state=0), "error_score": "raise"}
    want = cross_val_score(estimator, X, y, **options)
    with sklearn.config_context(enable_metadata_routing=True):
        params = {"modality": X.modality}
        found = cross_val_score(estimator, X.values, y, params=params, **options)
    np.testing.assert_allclose(found, want, atol=1e-12)

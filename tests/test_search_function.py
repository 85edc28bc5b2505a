"""Searching a fitted pipeline, and changing its corpus."""

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    QueryKFold,
    add_documents,
    make_search_pipeline,
    remove_documents,
    search,
)
from gapremoval.datasets import make_mixed_modality


@pytest.fixture(scope="module")
def corpus():
    X, y = make_mixed_modality(120, random_state=0)
    return X, y


@pytest.fixture
def pipe(corpus):
    X, y = corpus
    return make_search_pipeline().fit(X, y)


def new_documents(n=10):
    X, ids = make_mixed_modality(n, queries={}, random_state=1)
    return X, [f"new-{i}" for i in ids]


def assert_same(found, want):
    assert found.ids.tolist() == want.ids.tolist()
    np.testing.assert_allclose(found.scores, want.scores, rtol=1e-12)


@pytest.mark.parametrize(
    "column",
    [
        lambda rows: rows.tolist(),
        pd.DataFrame,
        lambda rows: pd.Series(list(rows)),
        lambda rows: pl.Series(rows.tolist()),
        lambda rows: pa.array(rows.tolist()),
        lambda rows: pa.chunked_array([rows[:1].tolist(), rows[1:].tolist()]),
    ],
)
def test_vectors_may_come_in_any_column(corpus, pipe, column):
    rows = corpus[0].values[-3:].astype(float)
    want = search(pipe, rows, 5, modality="text")
    assert_same(search(pipe, column(rows), 5, modality="text"), want)


@pytest.mark.parametrize("column", [pd.Series, pl.Series, pa.array, np.array, tuple])
def test_one_vector_may_be_a_column_of_numbers(corpus, pipe, column):
    row = corpus[0].values[-1].astype(float)
    want = search(pipe, row, 5, modality="text")
    assert_same(search(pipe, column(row), 5, modality="text"), want)


def test_a_modality_with_a_typing_error_is_told_the_nearest_name(corpus, pipe):
    row = corpus[0].values[-1]
    with pytest.raises(ValueError, match="'query:txt' was not fitted.*Did you mean 'query:text'"):
        search(pipe, row, modality="txt")


def test_documents_are_added_as_the_pipeline_would_have_fitted_them(pipe):
    new, ids = new_documents()
    centered = joblib.hash(pipe[:-1].transform(new).values)
    assert add_documents(pipe, new, ids) is None
    assert pipe[-1].n_documents_ == 130
    assert set(ids) <= set(pipe[-1].ids_)
    assert joblib.hash(pipe[:-1].transform(new).values) == centered
    as_query = EmbeddingArray(new.values, "query:text")
    assert np.mean([i in row for i, row in zip(ids, search(pipe, as_query, 3).ids)]) > 0.5


def test_documents_are_added_to_search_objects_and_bare_retrievers(corpus):
    X, y = corpus
    new, ids = new_documents()
    grid = GridSearchCV(
        make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
        {"mixedmodalityretriever__fusion_weight": [0.4, 0.6]},
        cv=QueryKFold(3),
        error_score="raise",
    ).fit(X, y)
    for estimator in (grid, MixedModalityRetriever().fit(X, y)):
        add_documents(estimator, new, ids)
        assert set(ids) <= {*search(estimator, X[-1:], 1000).ids[0]}
        remove_documents(estimator, ids)
        assert set(ids).isdisjoint(search(estimator, X[-1:], 1000).ids[0])


def test_modality_reaches_the_steps_that_ask_for_it(corpus):
    X, y = corpus
    new, ids = new_documents()
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(ModalityGapRemover(), PCA(20), MixedModalityRetriever())
        pipe.fit(X.values, y, modality=X.modality)
        add_documents(pipe, new.values, ids, modality=new.modality)
        found = search(pipe, X.values[-1], 1000, modality="text")
    assert set(ids) <= {*found.ids[0]}
    modality_of = dict(zip(found.ids[0], found.modalities[0]))
    assert modality_of[ids[0]] in {"text", "image", "image+text"}


def test_a_document_that_is_there_already_is_an_error_or_is_replaced(pipe):
    new, _ = new_documents()
    new = new[new.modality == "text"]
    ids = [f"item{i}" for i in range(len(new))]
    before = search(pipe, new, 5)
    with pytest.raises(ValueError, match="item0"):
        add_documents(pipe, new, ids)
    assert_same(search(pipe, new, 5), before)
    add_documents(pipe, new, ids, replace=True)
    assert pipe[-1].n_documents_ == 120
    found = search(pipe, EmbeddingArray(new.values, "text"), 1)
    assert np.mean(found.ids[:, 0] == ids) > 0.9


def test_a_replacement_that_fails_leaves_the_corpus_as_it_was(corpus, pipe):
    X, _ = corpus
    before = search(pipe, X[-3:], 20)
    bad = EmbeddingArray(np.full((2, X.shape[1]), np.nan), "text")
    with pytest.raises(ValueError, match="NaN"):
        add_documents(pipe, bad, ["item0", "item1"], replace=True)
    assert_same(search(pipe, X[-3:], 20), before)


def test_removing_takes_one_id_or_several_and_refuses_unknown_ones(pipe):
    remove_documents(pipe, "item0")
    remove_documents(pipe, ["item1", "item2"])
    assert pipe[-1].n_documents_ == 117
    with pytest.raises(ValueError, match="item0"):
        remove_documents(pipe, ["item3", "item0"])
    assert pipe[-1].n_documents_ == 117


@pytest.mark.parametrize(
    ("change", "method"),
    [
        (lambda e: search(e, np.ones((1, 4)), modality="text"), "search"),
        (lambda e: add_documents(e, np.ones((1, 4)), ["a"], modality="text"), "partial_fit"),
        (lambda e: remove_documents(e, "a"), "remove"),
    ],
)
def test_a_last_step_that_cannot_is_named(change, method):
    with pytest.raises(TypeError, match=f"PCA has no {method} method"):
        change(make_pipeline(PCA(2)).fit(np.eye(4)))


def test_several_encoders_side_by_side_are_asked_as_one():
    pytest.importorskip("open_clip")
    from gapremoval import CLIPEncoder, Query
    from gapremoval.datasets import make_scenes

    scenes = make_scenes(30, random_state=0)
    items = [captions[0] for captions in scenes.captions[:20]] + list(scenes.images[10:])
    encoders = make_union(CLIPEncoder("pocket"), CLIPEncoder("pocket"))
    pipe = make_pipeline(encoders, ModalityGapRemover(), MixedModalityRetriever())
    with sklearn.config_context(enable_metadata_routing=True):
        pipe.fit(items, range(40), modality=["text"] * 20 + ["image"] * 20)
    add_documents(pipe, [scenes.captions[25][0]], [99])
    assert search(pipe, scenes.captions[25][0], 1).ids[0, 0] == 99
    assert (
        search(pipe, [scenes.images[12], Query(text="a", image=scenes.images[1])]).ids.shape[0] == 2
    )

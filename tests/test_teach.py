"""Queries teach a fitted pipeline whenever they come: teach, partial_fit, add_documents."""

import copy
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_cases import assert_same_results, learned_by
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    Query,
    add_documents,
    make_search_pipeline,
    search,
    teach,
)
from gapremoval.datasets import make_mixed_modality

X, Y = make_mixed_modality(60, random_state=0)
X = EmbeddingArray(X.values.astype(float), X.modality)
IS_QUERY = X.modality == "query:text"
DOCUMENTS, IDS = X[~IS_QUERY], Y[~IS_QUERY]
QUERIES, ANSWERS = X[IS_QUERY], Y[IS_QUERY]
FITTED = make_search_pipeline().fit(DOCUMENTS, IDS)


@pytest.fixture
def pipe():
    """The recommended pipeline, which met no query."""
    return copy.deepcopy(FITTED)


def assert_equal(one, other):
    """Whether two pipelines answer alike, whatever is asked."""
    assert_same_results(search(one, QUERIES, 60), search(other, QUERIES, 60), 1e-9)


def taught(queries, relevance=None, modality=None):
    """A copy of the pipeline that learned from queries."""
    pipe = copy.deepcopy(FITTED)
    assert teach(pipe, queries, relevance, modality=modality) is None
    return pipe


relevances = st.none() | st.sampled_from([*IDS[:5], [], [IDS[3], IDS[4]], {IDS[0]: 2, IDS[1]: 1}])


@settings(max_examples=15)
@given(st.lists(relevances, min_size=20, max_size=20), st.integers(1, 19))
def test_queries_teach_the_same_by_whichever_way_and_in_however_many_calls(relevance, cut):
    first, rest = slice(0, cut), slice(cut, 20)
    ways = [copy.deepcopy(FITTED) for _ in range(3)]
    teach(ways[0], QUERIES[:20], relevance)
    teach(ways[1], QUERIES[first], relevance[first])
    add_documents(ways[1], QUERIES[rest], relevance[rest])
    ways[2][-1].partial_fit(ways[2][:-1].transform(QUERIES[:20]), relevance)
    # Fitted at once, behind the same means.
    remover = FITTED[0]
    rows = EmbeddingArray.concatenate([remover.transform(x) for x in (DOCUMENTS, QUERIES[:20])])
    whole = make_pipeline(remover, MixedModalityRetriever(score_calibration=PosteriorOdds()))
    whole[-1].fit(rows, [*IDS, *relevance])
    for way in ways:
        assert_equal(way, whole)


def test_documents_and_queries_may_come_in_one_call(pipe):
    new, ids = make_mixed_modality(10, queries={}, random_state=1)
    ids = [f"new-{i}" for i in ids]
    new = EmbeddingArray(new.values.astype(float), new.modality)
    both = EmbeddingArray.concatenate([new, QUERIES[:4]])
    relevance = [ids[0], [ids[1], IDS[0]], None, []]
    add_documents(pipe, both, [*ids, *relevance])
    assert pipe[-1].n_documents_ == 70
    one_by_one = copy.deepcopy(FITTED)
    add_documents(one_by_one, new, ids)
    teach(one_by_one, QUERIES[:4], relevance)
    assert_equal(pipe, one_by_one)


ROWS = QUERIES.values[:6]


@pytest.mark.parametrize(
    ("queries", "modality"),
    [
        (EmbeddingArray(ROWS, "text"), None),
        (ROWS, "text"),
        (ROWS.tolist(), "query:text"),
        (pd.DataFrame(ROWS), "text"),
        (pd.Series(list(ROWS)), "text"),
        (pl.Series(ROWS.tolist()), "text"),
        (pa.array(ROWS.tolist()), ["text"] * 6),
        (iter(ROWS.tolist()), "text"),
    ],
)
def test_queries_come_in_every_form_of_a_search(queries, modality):
    want = taught(QUERIES[:6], ANSWERS[:6])
    assert_equal(taught(queries, ANSWERS[:6], modality), want)


@pytest.mark.parametrize("column", [list, tuple, pd.Series, pl.Series, pa.array, iter])
def test_relevance_comes_in_every_column(column):
    want = taught(QUERIES[:6], ANSWERS[:6])
    assert_equal(taught(QUERIES[:6], column(ANSWERS[:6].tolist())), want)


@pytest.mark.parametrize("column", [np.array, list, tuple, pd.Series, pl.Series, pa.array])
def test_one_query_comes_in_every_column(column):
    assert_equal(taught(column(ROWS[0]), "item7", "text"), taught(QUERIES[:1], ["item7"]))


@pytest.mark.parametrize("relevance", [None, [], ["item7"], ["item7", "item8"], {"item7": 1.0}])
def test_one_query_takes_one_relevance(relevance):
    assert_equal(taught(ROWS[0], relevance, "text"), taught(QUERIES[:1], [relevance]))


def test_raw_items_teach_through_their_encoder():
    pytest.importorskip("open_clip")
    from gapremoval import CLIPEncoder
    from gapremoval.datasets import make_scenes

    scenes = make_scenes(30, random_state=0)
    texts = [captions[1] for captions in scenes.captions]
    items = [*scenes.images[:20], *(captions[0] for captions in scenes.captions[10:])]
    ids = [f"photo{i}" for i in range(20)] + [f"note{i}" for i in range(10, 30)]
    fitted = make_search_pipeline(CLIPEncoder("pocket")).fit(items, ids)
    ways = [copy.deepcopy(fitted) for _ in range(3)]
    relevance = ["photo7", ["photo8", "photo9"], None, []]
    asked = [*texts[7:10], Query(scenes.images[25])]
    teach(ways[0], asked, relevance)
    add_documents(ways[1], [x if isinstance(x, Query) else Query(x) for x in asked], relevance)
    for query, answer in zip(asked, relevance):
        teach(ways[2], query, answer)
    found = [search(pipe, [*texts, scenes.images[0]], 40) for pipe in (*ways, fitted)]
    for other in found[1:3]:
        assert_same_results(found[0], other, 1e-5)
    assert (found[0].scores != found[3].scores).any()
    assert all(pipe[-1].n_documents_ == 40 for pipe in ways)


def test_tags_reach_the_retriever_behind_a_stock_step(pipe):
    with sklearn.config_context(enable_metadata_routing=True):
        retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
        pipe = make_pipeline(ModalityGapRemover(), PCA(20), retriever)
        pipe.fit(DOCUMENTS.values, IDS, modality=DOCUMENTS.modality)
        before = learned_by(pipe[-1])
        teach(pipe, QUERIES[:10], ANSWERS[:10])
    assert pipe[-1].n_documents_ == 60
    assert learned_by(pipe[-1]) != before


def test_answers_across_the_gap_are_found_better_once_clicks_have_taught():
    drawn, y = make_mixed_modality(
        80, proportions={"image": 1}, distractors={"text": 80}, queries={"text": 2}, random_state=3
    )
    is_query = drawn.modality == "query:text"
    pipe = make_search_pipeline().fit(drawn[~is_query], y[~is_query])
    learn, test = np.flatnonzero(is_query)[::2], np.flatnonzero(is_query)[1::2]

    def hits():
        return (search(pipe, drawn[test], 1).ids[:, 0] == y[test]).mean()

    before = hits()
    teach(pipe, drawn[learn])
    unjudged = hits()
    teach(pipe, drawn[learn], y[learn])
    assert hits() >= unjudged > before
    assert pipe[-1].score_calibration_.answer_share_["query:text"]["image"] > 0.95


def test_a_repeated_question_counts_once_and_its_answers_add_up(pipe):
    for _ in range(3):
        teach(pipe, ROWS[0], "item7", modality="text")
    teach(pipe, ROWS[0], [])
    teach(pipe, QUERIES[[0] * 100], ["item8", *[None] * 99])
    assert_equal(pipe, taught(QUERIES[:1], [["item7", "item8"]]))


def test_the_steps_before_the_last_stay_as_fitted(pipe):
    before = pipe[0].transform(QUERIES).values
    teach(pipe, EmbeddingArray(QUERIES.values + 3, "query:text"))
    np.testing.assert_array_equal(pipe[0].transform(QUERIES).values, before)


def test_questions_about_anything_else_teach_without_a_warning(pipe):
    teach(pipe, QUERIES)
    elsewhere = EmbeddingArray(QUERIES.values + 3, "query:text")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        teach(pipe, elsewhere, [[]] * len(elsewhere))
        teach(pipe, QUERIES[:30], ANSWERS[:30])
        teach(pipe, QUERIES[[7] * 1000])
    with pytest.warns(UserWarning, match="'query:text' lies far"):
        teach(pipe, elsewhere)


def test_row_numbers_go_on_where_a_corpus_without_ids_has_learned():
    texts = DOCUMENTS[DOCUMENTS.modality == "text"]
    pipe = make_search_pipeline().fit(texts)
    n = len(texts)
    teach(pipe, QUERIES[:5], [0, [1, 2], None, [], 4])
    add_documents(pipe, texts[:2], None)
    assert pipe[-1].ids_.tolist() == [*range(n), n + 5, n + 6]


# What is refused changes nothing.


@pytest.mark.parametrize(
    ("queries", "relevance", "message"),
    [
        (QUERIES[:3], ["item0", "item1"], "relevance has 2 entries for 3 rows"),
        (QUERIES[:3], "item0", "relevance must be a sequence with an entry a row; got 'item0'"),
        (QUERIES[:3], {"item0": 1}, "relevance must be a sequence"),
        (QUERIES[:3], [], "relevance has 0 entries for 3 rows"),
        (QUERIES[:2], [None, "nobody"], "1 unknown document: 'nobody'"),
        (QUERIES[:2], [None, 7], "of type int, while the ids of the corpus are of type str"),
        (QUERIES[:2], [None, {"item0": np.nan}], "a gain is a finite number"),
        (QUERIES[:1], [[["item0"]]], "no id"),
        (EmbeddingArray(ROWS * np.nan, "text"), None, "contains NaN"),
        ([], None, "There is no query"),
        (["a red bicycle"], ["item0"], "could not convert|encoder|numbers"),
    ],
)
def test_what_is_refused_teaches_nothing(pipe, queries, relevance, message):
    teach(pipe, QUERIES[5:9], ANSWERS[5:9])
    before = learned_by(pipe[-1])
    with pytest.raises((ValueError, TypeError), match=message):
        teach(pipe, queries, relevance)
    assert learned_by(pipe[-1]) == before
    assert pipe[-1].n_documents_ == 60


def test_what_cannot_learn_says_so():
    plain = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    with pytest.raises(NotFittedError):
        teach(plain, QUERIES)
    with pytest.raises(NotFittedError):
        teach(make_search_pipeline(), QUERIES)
    with pytest.raises(ValueError, match="no score calibration, so there is nothing that could"):
        teach(plain.fit(DOCUMENTS, IDS), QUERIES)
    with pytest.raises(TypeError, match="PCA has no partial_fit method"):
        teach(make_pipeline(PCA(2)).fit(np.eye(4)), np.eye(4), modality="text")


def test_unknown_answers_are_named_with_what_to_do_about_them(pipe):
    with pytest.raises(
        ValueError, match="'nope'. A score.*: add these documents first, or give None[^.]*.$"
    ):
        teach(pipe, QUERIES[:1], ["nope"])
    with pytest.raises(ValueError, match=r"got 5\. For one row write \[5\]\."):
        teach(pipe, QUERIES[:1], 5)

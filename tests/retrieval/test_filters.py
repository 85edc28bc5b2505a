"""Searches among some documents, and searches by documents: the whole search, filtered."""

import re
import threading
from copy import copy
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mixed_cases import assert_same_results, fitted, lines_of, small_corpus

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.score_calibration import CSLS, QBNorm, ReciprocalRankFusion

pytestmark = [
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:y was not given:UserWarning"),
]
seeds = st.integers(0, 9)
fitted_once = cache(fitted)
subsets = st.sets(st.integers(0, 26))
removals = st.sets(st.integers(0, 26), max_size=9)
kinds = st.sampled_from([None, "text", ["image", "image+text"]])
CALIBRATIONS = [None, PosteriorOdds(), CSLS(), QBNorm(), ReciprocalRankFusion()]


def forms(retriever, chosen):
    """All ways to say which documents are searched."""
    ids = retriever.ids_[sorted(chosen)]
    mask = np.isin(np.arange(retriever.n_documents_), [*chosen])
    order = np.random.default_rng(0).permutation(len(mask))
    by_id = pd.Series(mask[order], index=retriever.ids_[order])
    nullable = by_id.astype("boolean").where(by_id, pd.NA)
    yield from (mask, mask.tolist(), by_id, nullable, by_id[by_id], pd.Series(ids), pd.Index(ids))
    yield from (ids, [*ids[::-1], *ids], {*ids}, iter(ids), dict.fromkeys(ids).keys())


def is_chosen(retriever, whole, chosen, kind):
    """Mask of the documents in a whole result that a filtered one should hold."""
    names = [kind] if isinstance(kind, str) else kind
    is_kind = np.ones(whole.ids.shape, bool) if kind is None else np.isin(whole.modalities, names)
    return np.isin(whole.ids.astype(str), retriever.ids_[sorted(chosen)].astype(str)) & is_kind


@given(
    seeds, subsets, kinds, st.integers(1, 30), st.sets(st.integers(0, 26), max_size=9), st.data()
)
def test_a_filtered_search_is_the_whole_one_without_the_others(
    seed, chosen, kind, k, removed, data
):
    retriever, queries = fitted_once(seed)
    if removed:
        retriever = copy(retriever).remove([f"d{i}" for i in removed])
    chosen = {i for i in chosen if i < retriever.n_documents_}
    whole = retriever.search(queries)
    keep = is_chosen(retriever, whole, chosen, kind)
    n_kept = int(keep[0].sum())
    there, names = {*retriever.document_modality_}, [kind] if isinstance(kind, str) else kind
    assume(there.issuperset(names or []))
    among = data.draw(st.sampled_from([*forms(retriever, chosen)]))
    found = retriever.search(queries, k, among=among, document_modality=kind)
    assert found.ids.shape == (len(queries), min(k, n_kept))
    for name in ("ids", "scores", "modalities"):
        want = getattr(whole, name)[keep].reshape(len(queries), n_kept)
        np.testing.assert_array_equal(getattr(found, name), want[:, :k])
    odds = whole.probabilities[keep].reshape(len(queries), n_kept)
    odds = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, odds[:, :k], atol=1e-5)


@given(seeds, subsets, kinds)
def test_all_ways_to_the_best_documents_take_the_same_filters(seed, chosen, kind):
    retriever, queries = fitted_once(seed, n_neighbors=5)
    filters = {"among": retriever.ids_[sorted(chosen)], "document_modality": kind}
    found = retriever.search(queries, **filters)
    np.testing.assert_array_equal(retriever.predict(queries, **filters), found.ids)
    distances, indices = retriever.kneighbors(queries, **filters)
    np.testing.assert_array_equal(distances, 1 - found.scores)
    np.testing.assert_array_equal(retriever.ids_[indices], found.ids)
    held = retriever.transform(queries, **filters)
    assert held.shape == (len(queries), 27)
    assert held.nnz == found.ids.size
    np.testing.assert_array_equal(
        held.toarray()[np.arange(len(queries))[:, None], indices], found.scores
    )
    np.testing.assert_array_equal(search(retriever, queries, **filters).ids, found.ids)


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_many_and_few_documents_are_found_alike(calibration, dtype):
    documents, queries, ids, relevance = small_corpus(0, dtype)
    retriever = MixedModalityRetriever(27, score_calibration=calibration)
    retriever.fit(EmbeddingArray.concatenate([documents, queries]), ids + relevance)
    whole, rng = retriever.search(queries), np.random.default_rng(0)
    for share in (0.05, 0.3, 0.9):
        chosen = {*np.flatnonzero(rng.random(27) < share).tolist()}
        found = retriever.search(queries, among=retriever.ids_[sorted(chosen)])
        if isinstance(calibration, ReciprocalRankFusion):  # a rank is that among those searched
            assert {*found.ids.ravel()} == {*retriever.ids_[sorted(chosen)]}
            continue
        keep = is_chosen(retriever, whole, chosen, None)
        np.testing.assert_array_equal(found.ids.ravel(), whole.ids[keep])
        np.testing.assert_allclose(found.scores.ravel(), whole.scores[keep], atol=1e-12)


def test_tensors_are_filtered_as_numpy_is():
    torch = pytest.importorskip("torch")
    documents, queries, ids, relevance = small_corpus(0, "f4")
    X, y = EmbeddingArray.concatenate([documents, queries]), ids + relevance
    retriever = MixedModalityRetriever(4, score_calibration=PosteriorOdds()).fit(X, y)
    other = MixedModalityRetriever(4, score_calibration=PosteriorOdds())
    other.fit(EmbeddingArray(torch.tensor(X.values), X.modality), y)
    mask = np.arange(27) % 3 == 0
    for among in (mask, torch.tensor(mask), ["d3", "d25"]):
        want = retriever.search(queries, among=np.asarray(among))
        assert_same_results(want, other.search(queries, among=among), 1e-5)
    assert_same_results(retriever.search(like=ids), other.search(like=ids), 1e-5)


def test_rows_in_a_file_are_filtered_where_they_lie(tmp_path):
    rows = np.random.default_rng(0).normal(size=(400, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("f2")
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    retriever = MixedModalityRetriever().fit(mapped, range(400), modality="image")
    queries = EmbeddingArray(rows[:5].astype("f4"), "query:image")
    whole = retriever.search(queries, 400)
    for step in (1, 2, 50):
        found = retriever.search(queries, 400, among=np.arange(400) % step == 0)
        keep = whole.ids % step == 0
        np.testing.assert_array_equal(found.ids.ravel(), whole.ids[keep])
        np.testing.assert_array_equal(found.scores.ravel(), whole.scores[keep])
    assert retriever.search(like=7).ids.shape == (1, 10)


def test_an_empty_selection_finds_nothing():
    retriever, queries = fitted_once()
    for among in ([], np.zeros(27, bool), pd.Series([], dtype=object), iter(())):
        found = retriever.search(queries, among=among)
        assert found.ids.shape == found.probabilities.shape == (len(queries), 0)
        assert found.n_found.tolist() == [0] * len(queries)
        assert np.isnan(found.false_alarm).all()
        assert found.to_records() == []
    assert retriever.search(queries, among=["d0"], document_modality="image").ids.size == 0
    assert retriever.transform(queries, among=[]).nnz == 0


META = pd.DataFrame({"brand": ["x", "y"]}, index=["d0", "d1"])


@pytest.mark.parametrize(
    ("among", "error", "message"),
    [
        (["d0", "nope"], ValueError, "among= names 1 unknown document: 'nope'"),
        ([3], ValueError, "names 3, of type int, while the ids of the corpus are of type str"),
        ("nope", ValueError, "unknown document: 'nope'"),
        ([None], ValueError, "among= names None"),
        (np.ones(26, bool), ValueError, "mask of 26 entries for 27 documents"),
        ([True], ValueError, "mask of 1 entries for 27 documents"),
        ([True, "d0"], ValueError, "mixes bools with other values"),
        (pd.Series([True, "d0"]), ValueError, "mixes bools with other values"),
        (True, TypeError, "True is no id"),
        (np.array(False), TypeError, "False is no id"),
        (pd.Series([True] * 27), ValueError, "of type int"),  # the index holds no ids
        (pd.Series([True], index=["nope"]), ValueError, "unknown document: 'nope'"),
        (META, TypeError, "got a DataFrame"),
        ({"d0": 1}, TypeError, "got a dict"),
        (np.array([["d0"]]), TypeError, "flat collection"),
        ([["d0"]], TypeError, "flat collection of ids.*unhashable"),
    ],
)
def test_what_selects_no_documents_is_refused(among, error, message):
    retriever, queries = fitted_once()
    with pytest.raises(error, match=message):
        retriever.search(queries, among=among)


def test_a_column_of_a_table_indexed_by_id_selects_its_brand():
    retriever, queries = fitted_once()
    found = search(retriever, queries, among=META["brand"] == "x")
    assert {*found.ids.ravel()} == {"d0"}
    numbers = MixedModalityRetriever().fit(np.eye(8), [7, 3, *range(10, 16)], modality="text")
    few = pd.Series([False, True, True], index=[3, 7, 12])
    assert {*numbers.predict(np.eye(8), among=few).ravel().tolist()} == {7, 12}
    assert numbers.predict(np.eye(8), among=np.float64(7)).tolist() == [[7]] * 8


def test_a_single_id_may_be_an_array_without_dimensions():
    retriever, queries = fitted_once()
    assert {*retriever.predict(queries, among=np.array("d3")).ravel()} == {"d3"}


def test_what_is_missing_in_a_column_of_bools_does_not_select():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    retriever = MixedModalityRetriever().fit(np.eye(3), modality="text")
    values = [None, True, False]
    columns = [pl.Series(values), pa.array(values), pa.chunked_array([values])]
    columns += [pd.Series(values, dtype=dtype) for dtype in (object, "boolean", "bool[pyarrow]")]
    for column in columns:
        assert retriever.predict(np.eye(3), among=column).tolist() == [[1]] * 3


@pytest.mark.parametrize("form", range(12))
def test_documents_are_removed_by_all_that_selects_them(form):
    rows, ids = np.random.default_rng(0).normal(size=(27, 4)), [*range(27)]
    retriever = MixedModalityRetriever().fit(rows, ids, modality="text")
    retriever.remove([*forms(retriever, {0, 1, 3, 20})][form])
    assert retriever.ids_.tolist() == [x for x in ids if x not in (0, 1, 3, 20)]


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (True, TypeError, "remove takes an id.*True is no id"),
        ({1: 2}, TypeError, "remove takes.*got a dict"),
        (np.array([[1]]), TypeError, "remove takes.*got a ndarray"),
        ([True], ValueError, "remove got a mask of 1 entries for 5 documents"),
        ([True, 3], ValueError, "mixes bools with other values"),
    ],
)
def test_what_names_no_documents_removes_none(ids, error, message):
    retriever = MixedModalityRetriever().fit(np.eye(5), modality="text")
    with pytest.raises(error, match=message):
        retriever.remove(ids)
    assert retriever.ids_.tolist() == [0, 1, 2, 3, 4]


def test_ids_may_be_times():
    days = np.array(["2020-01-02", "2020-01-03"], dtype="M8[ns]")
    retriever = MixedModalityRetriever().fit(np.eye(2), days, modality="text")
    assert retriever.predict(np.eye(2), among=days[1:]).tolist() == [[days[1]]] * 2


def test_a_search_among_ids_sees_one_state_of_a_changing_corpus():
    rows = np.random.default_rng(0).normal(size=(60, 8))
    retriever = MixedModalityRetriever().fit(rows[:50], range(50), modality="text")
    query, stop, wrong = EmbeddingArray(rows[:1], "query:text"), threading.Event(), []

    def ask():
        while not stop.is_set():
            found = retriever.search(query, among=range(20)).ids[0]
            if len(found) != 10 or not {*found} <= {*range(20)}:
                wrong.append(found)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for _ in range(50):
        retriever.partial_fit(rows[50:], range(50, 60), modality="text")
        retriever.remove(range(50, 60))
    stop.set()
    for asker in askers:
        asker.join()
    assert not wrong
    assert retriever._index.find([0, 49, 55]).tolist() == [0, 49, -1]


# More like this.


@given(seeds, st.lists(st.integers(0, 26), min_size=1, max_size=5), subsets | st.none())
def test_a_document_asks_by_its_vector_for_others(seed, asks, chosen):
    retriever, _ = fitted_once(seed)
    like = [f"d{i}" for i in asks]
    among = None if chosen is None else retriever.ids_[sorted(chosen)]
    vectors, places = retriever._index.now.vectors_of(np.arange(27)), {*range(27)}
    tags = [f"query:{m}" for m in retriever.document_modality_[asks]]
    # The same rows as queries find the document too.
    whole = retriever.search(EmbeddingArray(vectors[asks], tags), among=among)
    found = retriever.search(like=like, among=among)
    searched = places if chosen is None else chosen
    for i, own in enumerate(asks):
        others = [j for j, x in enumerate(whole.ids[i]) if x != f"d{own}"]
        assert found.n_found[i] == len(others) == len(searched - {own})
        for name in ("ids", "scores", "modalities"):
            got = getattr(found[i], name)[0]
            np.testing.assert_array_equal(got, getattr(whole, name)[i, others])
        odds = np.exp(whole.scores[i, others] * slope_of(retriever, tags[i]))
        np.testing.assert_allclose(found[i].probabilities[0], odds / odds.sum(), atol=1e-5)


def slope_of(retriever, query_modality):
    return retriever._index.now.score_map(query_modality).slope


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=str)
def test_documents_ask_under_every_score_calibration(calibration):
    X, y = make_mixed_modality(60, random_state=0)
    retriever = MixedModalityRetriever(score_calibration=calibration).fit(X, y)
    ids = retriever.ids_.tolist()
    whole = retriever.search(like=ids, n_neighbors=59)
    for i, own in enumerate(ids):
        assert sorted([own, *whole.ids[i]]) == sorted(ids)
        alone = retriever.search(like=own, n_neighbors=4)
        np.testing.assert_array_equal(alone.ids[0], whole.ids[i, :4])
    assert retriever.search(like=ids).ids.shape == (60, 10)
    assert retriever.search(like="item3", n_neighbors=100).ids.shape == (1, 59)


def test_a_query_of_several_parts_is_scored_by_the_mean_log_odds_of_the_parts():
    retriever, _ = fitted_once()
    lines = [lines_of(retriever, f"query:{m}") for m in ("text", "image", "image+text")]
    slopes = [slope_of(retriever, f"query:{m}") for m in ("text", "image", "image+text")]
    for column in ("scale", "offset"):
        text, image, both = (getattr(x, column) * slope for x, slope in zip(lines, slopes))
        np.testing.assert_allclose(both, (text + image) / 2, rtol=1e-12)


def test_a_document_without_direction_finds_the_others_in_order():
    rows = np.eye(4)
    rows[1] = 0
    with pytest.warns(UserWarning, match="length zero"):
        retriever = MixedModalityRetriever().fit(rows, [*"abcd"], modality="text")
    with pytest.warns(UserWarning, match="1 query has length zero"):
        found = retriever.search(like=["b", "c"])
    assert found.ids.tolist() == [["a", "c", "d"], ["a", "d", "b"]]
    assert retriever.search(like="a", n_neighbors=1).ids.tolist() == [["c"]]


def test_the_steps_before_the_last_do_not_transform_documents_again():
    X, y = make_mixed_modality(60, random_state=0)
    pipe = make_search_pipeline().fit(X, y)
    want = pipe[-1].search(like=["item3", "item8"])
    np.testing.assert_array_equal(search(pipe, like=["item3", "item8"]).ids, want.ids)
    assert want.n_found.tolist() == [10, 10]


def test_a_corpus_of_one_document_holds_nothing_like_it():
    retriever = MixedModalityRetriever().fit(np.eye(1), ["a"], modality="text")
    assert retriever.search(like="a").ids.shape == (1, 0)


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        ({}, TypeError, "either queries or like="),
        ({"X": np.eye(8), "like": "d0"}, TypeError, "either queries or like="),
        ({"like": "nope"}, ValueError, "like= names 1 unknown document: 'nope'"),
        ({"like": []}, ValueError, "like= takes the ids of one or more documents"),
        ({"like": [True] * 27}, ValueError, "like= takes the ids"),
        ({"like": "d0", "modality": "text"}, ValueError, "modality= is for queries"),
    ],
)
def test_what_asks_like_no_document_is_refused(given_, error, message):
    retriever, _ = fitted_once()
    with pytest.raises(error, match=re.escape(message)):
        retriever.search(**given_)
    if "X" in given_:
        given_["queries"] = given_.pop("X")
    with pytest.raises(error, match=re.escape(message)):
        search(retriever, **given_)


# Cut-offs.


@given(seeds, st.floats(0, 1))
def test_documents_of_low_probability_are_left_out(seed, least):
    retriever, queries = fitted_once(seed)
    whole = retriever.search(queries)
    found = retriever.search(queries, min_probability=least)
    n_found = (whole.probabilities >= least).sum(axis=1)
    np.testing.assert_array_equal(found.n_found, n_found)
    assert found.ids.shape == (len(queries), n_found.max())
    for one, all_, n in zip(found, whole, n_found):
        assert one.ids.tolist() == all_.ids[:, :n].tolist()
        np.testing.assert_array_equal(one.probabilities, all_.probabilities[:, :n])
    records = [x for x in whole.to_records() if x["probability"] >= least]
    assert found.to_records() == records
    empty = np.arange(found.ids.shape[1]) >= n_found[:, None]
    assert all(x is None for x in found.ids[empty])
    assert np.isnan(found.scores[empty]).all()
    assert np.isnan(found.probabilities[empty]).all()
    assert (found.modalities[empty] == "").all()
    np.testing.assert_array_equal(found.evidence, whole.evidence)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_probabilities_add_up_to_one_and_that_of_the_only_document_is_one(dtype):
    documents, queries, ids, relevance = small_corpus(0, dtype)
    retriever = MixedModalityRetriever(27, score_calibration=PosteriorOdds())
    retriever.fit(EmbeddingArray.concatenate([documents, queries]), ids + relevance)
    for n in range(1, 28):
        found = retriever.search(queries, among=retriever.ids_[:n])
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-10)
    for id in retriever.ids_.tolist():
        found = retriever.search(queries, among=id, min_probability=1)
        assert found.ids.tolist() == [[id]] * len(queries)
        assert (found.probabilities == 1).all()


def test_what_is_no_cut_off_is_said_before_the_search():
    retriever, queries = fitted_once()
    mixed = EmbeddingArray(queries.values, "query:txt")  # about which a search warns
    with pytest.raises(ValueError, match="max_false_alarm must be a number"):
        retriever.search(mixed, max_false_alarm=2)


def test_a_warning_says_why_no_false_alarm_is_known():
    X, y = make_mixed_modality(60, random_state=0)
    pipe = make_search_pipeline().fit(X, y)
    both = pipe[-1].ids_[pipe[-1].document_modality_ == "image+text"][:3].tolist()
    with pytest.warns(UserWarning, match=r"'query:image\+text'.*parts.*teach") as caught:
        found = search(pipe, like=both, max_false_alarm=0.5)
    assert len(caught) == 1
    assert np.isnan(found.false_alarm).all()
    with pytest.warns(UserWarning, match="'query:text'.*eight documents.*without among=") as caught:
        search(pipe, X[-2:], among=both, max_false_alarm=0.5)
    assert len(caught) == 1


@pytest.mark.parametrize("name", ["min_probability", "max_false_alarm"])
def test_a_cut_off_is_a_number_from_0_to_1_and_needs_probabilities(name):
    retriever, queries = fitted_once()
    for wrong in (-0.1, 1.1, np.nan, True, "0.5"):
        with pytest.raises(ValueError, match=f"{name} must be a number in"):
            retriever.search(queries, **{name: wrong})
    for calibration in (None, QBNorm()):
        documents, _, ids, _ = small_corpus()
        plain = MixedModalityRetriever(score_calibration=calibration).fit(documents, ids)
        with pytest.raises(ValueError, match=f"{name}= needs a score calibration.*PosteriorOdds"):
            plain.search(queries, **{name: 0.5})


# Queries that taught nothing.


def test_query_modalities_that_taught_nothing_are_named_once():
    retriever, queries = fitted_once()
    tags = np.where(np.arange(len(queries)) < 3, queries.modality, "query:txt")
    mixed = EmbeddingArray(queries.values, tags)
    for ask in (retriever.search, retriever.kneighbors, retriever.predict, retriever.transform):
        with pytest.warns(UserWarning, match="nothing about 'query:txt'") as caught:
            ask(mixed)
        assert len(caught) == 1
        assert "Did you mean 'text'?" in str(caught[0].message)
    with pytest.warns(UserWarning, match="nothing about 'query:txt'"):
        found = retriever.search(mixed, min_probability=0.9)
    assert found.n_found[3:].tolist() == [27] * 6


def test_without_a_score_calibration_query_modalities_are_ranked_alike():
    X, y = make_mixed_modality(60, random_state=0)
    retriever = MixedModalityRetriever().fit(ModalityGapRemover().fit_transform(X), y)
    retriever.predict(np.ones((1, X.shape[1])), modality="query:audio")

"""StoreRetriever: what a store holds is searched as the exact index searches it."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_cases import N_FEATURES, small_corpus
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    PosteriorOdds,
    StoreRetriever,
    add_documents,
    make_ranking_scorer,
    make_search_pipeline,
    remove_documents,
    search,
    teach,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.score_calibration import CSLS, QBNorm, ScoreCalibrator, ScoreZ
from gapremoval.stores import FaissStore

pytest.importorskip("faiss")
pytestmark = [pytest.mark.filterwarnings("ignore:The mean of the new rows:UserWarning")]
CALIBRATIONS = [None, PosteriorOdds(), PosteriorOdds(recenter=False), CSLS(), ScoreZ()]


def both(calibration=None, store=None, **options):
    """The exact index and a store, fitted on the small corpus; queries of two modalities."""
    documents, queries, ids, relevance = small_corpus(dtype="f4")
    X, y = EmbeddingArray.concatenate([documents, queries]), ids + relevance
    exact = MixedModalityRetriever(100, score_calibration=calibration).fit(X, y)
    store = FaissStore() if store is None else store
    stored = StoreRetriever(store, n_neighbors=100, score_calibration=calibration, **options)
    return exact, stored.fit(X, y), queries


def assert_alike(exact, stored, queries, n_neighbors=None, **options):
    want = exact.search(queries, n_neighbors, **options)
    found = stored.search(queries, n_neighbors, **options)
    np.testing.assert_allclose(found.scores, want.scores, atol=1e-5)
    assert (found.evidence, found.false_alarm) == (None, None)
    clear = np.diff(want.scores, axis=1) < -1e-4
    is_clear = np.ones(want.scores.shape, dtype=bool)
    is_clear[:, 1:] &= clear
    is_clear[:, :-1] &= clear
    np.testing.assert_array_equal(found.ids[is_clear], want.ids[is_clear])
    np.testing.assert_array_equal(found.modalities[is_clear], want.modalities[is_clear])
    if want.probabilities is not None and want.ids.shape[1] == exact.n_documents_:
        np.testing.assert_allclose(found.probabilities, want.probabilities, atol=1e-5)


STEPS = ["add", "add", "replace", "remove", "teach", "new modality", "empty"]
# More than the banks of documents that are kept apart, too.
steps = st.lists(st.sampled_from(STEPS), max_size=4) | st.lists(
    st.just("add"), min_size=9, max_size=12
).map(lambda adds: [*adds, "teach"])


@settings(max_examples=25)
@given(st.sampled_from(CALIBRATIONS), steps, st.integers(0, 99))
def test_a_living_store_ranks_as_the_exact_index_does(calibration, steps, seed):
    exact, stored, queries = both(calibration)
    rng = np.random.default_rng(seed)
    for number, step in enumerate(steps):
        more, asked, _, _ = small_corpus(seed + number + 1, "f4")
        gone = exact.ids_.tolist()
        some = exact.ids_[rng.permutation(exact.n_documents_)[:3]].tolist()
        for retriever in (exact, stored):
            if step == "add":
                retriever.partial_fit(more[:4], [f"{number}-{i}" for i in range(4)])
            elif step == "replace":
                retriever._add_documents(more[:3], some, None, replace=True)
            elif step == "remove":
                retriever.remove(some)
            elif step == "empty":
                retriever.remove(retriever.ids_.tolist() if retriever is exact else gone)
                retriever.partial_fit(more[:9], [f"{number}-{i}" for i in range(9)])
            elif step == "teach":
                retriever.partial_fit(asked, [[some[0]], *[None] * (len(asked) - 1)])
            else:
                audio = EmbeddingArray(more.values[:3], "audio")
                retriever.partial_fit(audio, [f"{number}-a{i}" for i in range(3)])
        assert stored.n_documents_ == exact.n_documents_
    assert_alike(exact, stored, queries)
    for asks in ("query:text", "query:image", "query:image+text"):
        assert_alike(exact, stored, EmbeddingArray(queries.values, asks))
    assert_alike(exact, pickle.loads(pickle.dumps(stored)), queries)


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=str)
def test_a_pipeline_is_used_as_with_the_exact_index(calibration):
    X, y = make_mixed_modality(200, random_state=0)
    is_query = X.modality == "query:text"
    y_unjudged = np.where(is_query, None, y)
    exact, pipe = make_search_pipeline(), make_search_pipeline()
    exact.steps[-1] = "r", MixedModalityRetriever(score_calibration=calibration)
    pipe.steps[-1] = "r", StoreRetriever(FaissStore(), score_calibration=calibration)
    more, ids = make_mixed_modality(20, queries={}, random_state=1)
    for each in (exact, pipe):
        each.fit(X, y_unjudged)
        add_documents(each, more, [f"new-{i}" for i in ids])
        remove_documents(each, ["new-item1", "item3"])
        if calibration is not None:
            teach(each, X[is_query][:20])
    assert (search(pipe, X[is_query]).ids == search(exact, X[is_query]).ids).mean() > 0.999
    assert (pipe.predict(X[is_query]) == exact.predict(X[is_query])).mean() > 0.999
    judged = is_query & (y != "item3")
    assert pipe.score(X[judged], y[judged]) == pytest.approx(exact.score(X[judged], y[judged]))
    scorer = make_ranking_scorer("recall@3")
    want = scorer(exact, X[judged], y[judged])
    assert scorer(pipe, X[judged], y[judged]) == pytest.approx(want)


def test_documents_that_come_and_go_rewrite_no_other_row():
    _, stored, queries = both(PosteriorOdds())

    def rows():
        return {
            x: vector.tobytes()
            for batch in stored.store_.rows()
            for x, vector in zip(batch.ids, batch.vectors)
        }

    before = rows()
    stored.remove(["d3", "d14"]).partial_fit(queries.values[:2], ["a", "b"], modality="text")
    after = rows()
    assert after.keys() - before.keys() == {"a", "b"}
    assert before.keys() - after.keys() == {"d3", "d14"}
    assert all(after[x] == before[x] for x in before.keys() & after.keys())


def test_questions_restrict_the_search_as_those_of_the_exact_index():
    exact, stored, queries = both(PosteriorOdds())
    asked = EmbeddingArray(queries.values, "query:text")
    for options in (
        {"document_modality": "image"},
        {"document_modality": ["image", "text+image"]},
        {"among": ["d1", "d15", "d25", "d1"]},
        {"among": pd.Series({"d1": True, "d2": False, "d7": True})},
        {"among": "d4"},
        {"among": ["d1", "d15"], "document_modality": "text"},
    ):
        assert_alike(exact, stored, asked, **options)
        odds = stored.search(asked, 5, **options).probabilities
        np.testing.assert_allclose(odds.sum(axis=1).clip(0.99), 1, atol=0.011)
    for like in ("d3", ["d3", "d24", "d13"]):
        want, found = (
            exact.search(like=like, n_neighbors=6),
            stored.search(like=like, n_neighbors=6),
        )
        np.testing.assert_array_equal(found.ids, want.ids)
        np.testing.assert_allclose(found.scores, want.scores, atol=1e-5)
    assert stored.search(asked, among=[]).ids.shape == (len(asked), 0)
    cut = stored.search(asked, min_probability=0.2)
    np.testing.assert_array_equal(cut.n_found, exact.search(asked, min_probability=0.2).n_found)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"among": ["d1", "nobody"]}, ValueError, "among= names 1 unknown document: 'nobody'"),
        ({"among": [True] * 27}, ValueError, "no order that a mask could follow"),
        ({"document_modality": "imag"}, ValueError, "No document has.*Did you mean 'image'"),
        ({"document_modality": []}, ValueError, "document_modality is empty"),
        ({"max_false_alarm": 0.1}, ValueError, "A store gives no false alarms"),
        ({"min_probability": 2}, ValueError, "number in .0, 1."),
        ({"n_neighbors": 0}, ValueError, "whole number of at least 1"),
        ({"filter": "x > 1"}, ValueError, "keeps no metadata.*among=ids"),
        ({"like": ["d1"]}, TypeError, "either queries or like="),
    ],
)
def test_what_cannot_be_searched_is_refused(options, error, message):
    _, stored, queries = both(PosteriorOdds())
    with pytest.raises(error, match=message):
        stored.search(EmbeddingArray(queries.values, "query:text"), **options)


def test_only_a_store_filters_by_metadata():
    exact, _, queries = both()
    with pytest.raises(TypeError, match="holds no metadata.*among="):
        search(exact, queries, filter="price < 10")


def test_a_query_modality_that_has_no_vectors_is_refused():
    exact, stored, queries = both(PosteriorOdds(), query_modalities=["text"])
    assert_alike(exact, stored, EmbeddingArray(queries.values, "query:text"))
    n_blocks = (stored.store_.sample("text", 1).vectors.shape[1] - 3) / (N_FEATURES + 1)
    assert n_blocks == 1
    with pytest.raises(ValueError, match="for 'query:text' and not for 'query:image'"):
        stored.search(EmbeddingArray(queries.values, "query:image"))
    with pytest.raises(ValueError, match="names 'query:smell', about which .* learned nothing"):
        both(PosteriorOdds(), query_modalities=["smell"])


def test_documents_of_length_zero_are_left_out_with_a_warning():
    documents, queries, ids, _ = small_corpus(dtype="f4")
    documents.values[[0, 3]] = 0
    with pytest.warns(UserWarning, match="2 documents have length zero.*a store leaves them out"):
        stored = StoreRetriever(FaissStore(), n_neighbors=50).fit(documents, ids)
    assert stored.n_documents_ == 25
    assert stored.predict(queries).shape == (len(queries), 25)
    queries.values[1] = 0
    with pytest.warns(UserWarning, match="1 query has length zero.*find nothing"):
        found = stored.search(queries, 3)
    assert found.n_found.tolist() == [3, 0, *[3] * (len(queries) - 2)]


# Files, and what stands in them.


def test_another_process_opens_the_store_and_searches_right(tmp_path):
    exact, stored, queries = both(PosteriorOdds(), FaissStore(tmp_path / "store"))
    opened = StoreRetriever(FaissStore(tmp_path / "store"), n_neighbors=100).open()
    assert_alike(exact, opened, queries)
    np.testing.assert_array_equal(opened.search(queries).ids, stored.search(queries).ids)
    more, asked, _, _ = small_corpus(3, "f4")
    for each in (exact, opened):
        each.partial_fit(more[:5], list("abcde")).remove(["d1"])
        each.partial_fit(asked, [["a"], *[None] * (len(asked) - 1)])
    assert_alike(exact, opened, queries)
    again = StoreRetriever(FaissStore(tmp_path / "store"), n_neighbors=100).open()
    assert_alike(exact, again, queries)
    assert again.modalities_ == exact.modalities_
    with pytest.raises(ValueError, match="features"):
        again.search(np.ones((1, N_FEATURES + 1)), modality="query:text")


def test_what_does_not_fit_is_refused_when_a_store_is_opened(tmp_path):
    store = FaissStore(tmp_path / "store")
    with pytest.raises(ValueError, match="not filled by a StoreRetriever"):
        StoreRetriever(store).open()
    with pytest.raises(NotFittedError):
        StoreRetriever(store).search(np.ones((1, 2)), modality="query:text")
    _, stored, _ = both(PosteriorOdds(), store)
    fits = StoreRetriever(store, score_calibration=PosteriorOdds()).open()
    assert fits.n_documents_ == 27
    with pytest.raises(ValueError, match="filled with score_calibration=.*has.*hubness=0"):
        StoreRetriever(store, score_calibration=PosteriorOdds(hubness=0)).open()
    with pytest.raises(ValueError, match="filled with fusion_weight=0.5, .* fusion_weight=0.7"):
        StoreRetriever(store, fusion_weight=0.7).open()
    with pytest.raises(ValueError, match="raw=True nothing is kept"):
        StoreRetriever(store, raw=True).open()
    settings = stored.store_.read_settings()
    for broken in (b"", b"hello", settings[: len(settings) // 2]):
        stored.store_.write_settings(broken)
        with pytest.raises(ValueError, match="no calibration of gapremoval, or is damaged"):
            StoreRetriever(store).open()
    stored.store_.write_settings(settings)
    with stored.store_.build(3, overwrite=True) as other:
        other.upsert(fits.store_.sample("text", 2)._replace(vectors=np.eye(2, 3)))
        other.write_settings(settings)
    with pytest.raises(ValueError, match="does not fit them: another program.*overwrite=True"):
        StoreRetriever(store).open()


def test_a_store_that_holds_documents_is_not_overwritten_by_accident(tmp_path):
    store = FaissStore(tmp_path / "store")
    _, stored, queries = both(PosteriorOdds(), store)
    want = stored.search(queries).ids
    documents, _, ids, _ = small_corpus(5, "f4")
    with pytest.raises(ValueError, match="overwrite=True"):
        StoreRetriever(store).fit(documents, ids)
    broken = EmbeddingArray(documents.values * np.nan, documents.modality)
    with pytest.raises(ValueError, match="NaN"):
        StoreRetriever(store).fit(broken, ids, overwrite=True)
    np.testing.assert_array_equal(
        StoreRetriever(store, n_neighbors=100).open().predict(queries), want
    )
    fresh = StoreRetriever(store).fit(documents[:5], ids[:5], overwrite=True)
    assert fresh.n_documents_ == 5


def test_an_error_on_the_way_leaves_the_store_as_it_was(tmp_path):
    exact, stored, queries = both(PosteriorOdds(), FaissStore(tmp_path / "store"))
    documents, asked, _, _ = small_corpus(7, "f4")
    with pytest.raises(ValueError, match="already in the store: 'd1'.*replace=True"):
        stored.partial_fit(documents[:2], ["new", "d1"])
    with pytest.raises(ValueError, match="unknown document"):
        stored.partial_fit(asked[:1], [["nobody"]])
    with pytest.raises(ValueError, match="unknown document"):
        stored.remove(["d1", "nobody"])
    stored.set_params(fusion_weight=0.9)
    with pytest.raises(ValueError, match=r"fusion_weight was 0\.5"):
        stored.partial_fit(documents[:2], ["p", "q"])
    assert_alike(exact, stored.set_params(fusion_weight=0.5), queries)
    assert_alike(exact, StoreRetriever(stored.store, n_neighbors=100).open(), queries)


class Own(ScoreCalibrator):
    """A score calibration of a user's own."""


def test_score_calibrations_that_cannot_be_kept_are_refused():
    documents, _, ids, _ = small_corpus(dtype="f4")
    for calibration, message in (
        (QBNorm(), "QBNorm cannot be exported"),
        (Own(), "Own is no score calibration of gapremoval"),
    ):
        store = FaissStore()
        stored = StoreRetriever(store, score_calibration=calibration)
        with pytest.raises(ValueError, match=message):
            stored.fit(documents, ids)
        assert not hasattr(stored, "store_")


def test_parameters_are_cloned_and_a_fit_leaves_them():
    store = FaissStore()
    stored = StoreRetriever(store, score_calibration=PosteriorOdds())
    documents, _, ids, _ = small_corpus(dtype="f4")
    twin = clone(stored)
    twin.fit(documents, ids)
    assert (store.count(), twin.store.count()) == ({}, {})
    assert sum(twin.store_.count().values()) == twin.n_documents_ == 27
    assert not hasattr(twin, "fit_transform")
    with pytest.raises(ValueError, match="store"):
        StoreRetriever(3).fit(documents, ids)


def test_ids_of_numpy_and_a_large_number_of_neighbors_are_taken():
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype("f4")
    stored = StoreRetriever(FaissStore()).fit(rows, range(9), modality="text")
    found = stored.search(rows, 10**9, modality="query:text")
    assert found.ids.shape == (9, 9)
    like = stored.search(like=found.ids[0, 1], n_neighbors=3)
    among = stored.search(rows, among=found.ids[:, 0][:2], modality="query:text")
    assert like.ids.shape == (1, 3)
    assert set(among.ids.ravel().tolist()) == {0, 1}
    stored.remove(found.ids[0, 0])
    assert stored.n_documents_ == 8


def test_a_document_that_is_replaced_by_one_of_length_zero_is_gone():
    _, stored, queries = both(PosteriorOdds())
    zero = EmbeddingArray(np.zeros((1, N_FEATURES), "f4"), "text")
    with pytest.warns(UserWarning, match="length zero"):
        stored._add_documents(zero, ["d1"], None, replace=True)
    assert stored.n_documents_ == 26
    assert "d1" not in stored.search(queries, 30).ids


def test_metadata_that_name_no_document_are_refused():
    documents, _, ids, _ = small_corpus(dtype="f4")
    frame = pd.DataFrame({"id": ids, "price": range(len(ids))})
    for metadata, error, message in (
        (frame, ValueError, r"names none of the documents 'd0'.*set_index\('id'\)"),
        (frame.set_index("id"), ValueError, "each document's id once"),
        ([1, 2], TypeError, "dict of id to dict; got a list"),
        ({"d0": {"price": 3}}, ValueError, "keeps no metadata"),
    ):
        with pytest.raises(error, match=message):
            StoreRetriever(FaissStore()).fit(documents, ids, metadata=metadata)
    stored = StoreRetriever(FaissStore()).fit(documents, ids)
    with pytest.raises(TypeError, match="holds no metadata"):
        add_documents(
            MixedModalityRetriever().fit(documents, ids), documents[:1], ["x"], metadata={}
        )
    with pytest.raises(ValueError, match="names none of the documents 'x'"):
        stored.partial_fit(documents[:1], ["x"], metadata={"y": {}})


def test_tensors_are_stored(tmp_path):
    torch = pytest.importorskip("torch")
    documents, queries, ids, _ = small_corpus(dtype="f4")
    tensors = EmbeddingArray(torch.asarray(documents.values), documents.modality)
    stored = StoreRetriever(FaissStore(tmp_path / "s"), score_calibration=PosteriorOdds())
    exact = MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(documents, ids)
    stored.fit(tensors, ids).partial_fit(tensors[:2], ["a", "b"])
    exact.partial_fit(documents[:2], ["a", "b"])
    assert_alike(exact, StoreRetriever(stored.store).open(), queries, 9)


def test_rows_without_modalities_cause_one_warning():
    with pytest.warns(UserWarning, match="^StoreRetriever was fitted on an array without") as found:
        StoreRetriever(FaissStore()).fit(np.eye(4, dtype="f4"))
    assert len(found) == 1


def test_row_numbers_are_ids_where_none_are_given():
    rows = np.eye(4, dtype="f4")
    stored = StoreRetriever(FaissStore()).fit(rows[:2], modality="text")
    stored.partial_fit(rows[2:], modality="text")
    found = stored.search(rows, 1, modality="query:text")
    assert found.ids.ravel().tolist() == [0, 1, 2, 3]
    assert found.ids.dtype == np.int64


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_search_sees_the_store_before_it_is_filled_anew_or_after(tmp_path, on_disk):
    _, stored, queries = both(PosteriorOdds(), FaissStore(tmp_path / "s" if on_disk else None))
    asked, known, seen, done = EmbeddingArray(queries.values, "query:text"), [], [], Event()

    def state():
        return stored.search(asked, 5).scores.round(6).tobytes()

    def search_on():
        while not done.is_set():
            seen.append(state())

    known.append(state())
    with ThreadPoolExecutor(2) as pool:
        searching = [pool.submit(search_on) for _ in range(2)]
        for seed in range(3):
            stored.partial_fit(small_corpus(seed + 5, "f4")[1])
            known.append(state())
        done.set()
        assert [future.result() for future in searching] == [None, None]
    assert len(set(known)) == 4
    assert set(seen) <= set(known)

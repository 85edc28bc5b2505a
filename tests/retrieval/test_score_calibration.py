"""Posterior odds through the retriever: against an independent implementation, and its promises."""

import importlib.util
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from mixed_corpora import SETTINGS, mixed_corpora
from real_data import DEFAULT
from scipy.special import softmax

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.retrieval import _exact, _query_banks
from gapremoval.score_calibration import _teaching

pytestmark = pytest.mark.filterwarnings("ignore:Few rows")


@pytest.fixture(scope="module")
def reference():
    data = Path(os.environ.get("GAPREMOVAL_DATA", DEFAULT))
    path = data.parent / "reference" / "posterior_odds.py"
    if not path.exists():
        pytest.skip(f"{path}, an independent implementation, is absent")
    spec = importlib.util.spec_from_file_location("posterior_odds_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("pattern", "extra"), SETTINGS)
@pytest.mark.parametrize("n_queries", [200, 30, 1, 0])
@pytest.mark.parametrize("judged", [False, True])
def test_scales_and_offsets_are_the_reference_s(real, reference, pattern, extra, n_queries, judged):
    data = real("flickr8k_clip_vitb32.npz")
    for number, corpus in enumerate(mixed_corpora(data, pattern, extra)):
        if number not in (1, 9):
            continue
        documents, queries, ids, relevance, _ = corpus
        queries = queries[:n_queries]
        known = [x if judged and i % 5 == 0 else None for i, x in enumerate(relevance[:n_queries])]
        X = EmbeddingArray.concatenate([documents, queries]) if n_queries else documents
        pipe = make_search_pipeline().fit(X, ids + known)
        retriever, place = pipe[-1], {x: i for i, x in enumerate(pipe[-1].ids_.tolist())}
        Z = pipe[:-1].transform(documents)
        asked = pipe[:-1].transform(queries).values if n_queries else np.empty((0, 512))
        vectors = np.empty((len(place), 512))
        vectors[retriever._documents.number] = retriever._documents.vectors
        texts = np.flatnonzero(Z.modality == "text")
        stand_ins = Z.values[texts] @ vectors.T
        stand_ins[np.arange(len(texts)), [place[ids[i]] for i in texts]] = np.nan
        image = {ids[i]: Z.values[i] for i in np.flatnonzero(Z.modality == "image")}
        pairs = [Z.values[i] @ image[ids[i]] for i in texts if ids[i] in image]
        answers = np.array([-1 if x is None else place[x] for x in known], dtype=int)
        scale, offset, _ = reference.fit(
            asked @ vectors.T,
            retriever.document_modality_,
            stand_ins,
            ("image", pairs),
            answers=answers if n_queries else None,
        )
        lines = retriever.score_calibration_.score_map("query:text", retriever._documents)
        np.testing.assert_allclose(lines.scale, scale, atol=1e-6)
        np.testing.assert_allclose(lines.offset, offset, atol=1e-6)


@pytest.fixture(scope="module")
def corpus():
    X, y = make_mixed_modality(120, random_state=0)
    asks = X.modality == "query:text"
    return X, y, asks


def test_probabilities_are_a_softmax_over_the_whole_corpus(corpus):
    X, y, asks = corpus
    pipe = make_search_pipeline(n_neighbors=1000).fit(X, y)
    found = search(pipe, X[asks])
    slope = pipe[-1].score_calibration_.learnt_["query:text"]["slope"]
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found.probabilities, softmax(slope * found.scores, 1), atol=1e-5)
    images = search(pipe, X[asks], document_modality="image")
    assert (images.modalities == "image").all()
    assert images.ids.shape[1] == (pipe[-1].document_modality_ == "image").sum()
    np.testing.assert_allclose(images.probabilities.sum(axis=1), 1, atol=1e-5)


def test_nothing_depends_on_batches_and_blocks(corpus):
    X, y, asks = corpus
    pipe = make_search_pipeline().fit(X, y)
    want = search(pipe, X[asks][:20])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_exact, "QUERY_BLOCK", 3)
        patch.setattr(_exact, "DOCUMENT_BLOCK", 7)
        patch.setattr(_teaching, "BLOCK_SCORES", 1000)
        again = search(make_search_pipeline().fit(X, y), X[asks][:20][::-1])
    np.testing.assert_array_equal(want.ids, again.ids[::-1])
    np.testing.assert_allclose(want.scores, again.scores[::-1], atol=1e-5)
    np.testing.assert_allclose(want.probabilities, again.probabilities[::-1], atol=1e-4)
    np.testing.assert_allclose(want.evidence, again.evidence[::-1], atol=1e-3)


def test_what_was_not_taught_gets_cosines_and_no_probability(corpus):
    X, y, _ = corpus
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(X, y)
    plain = MixedModalityRetriever().fit(X, y)
    audio = EmbeddingArray(X.values[:5], "query:audio")
    found, want = retriever.search(audio), plain.search(audio)
    np.testing.assert_array_equal(found.ids, want.ids)
    np.testing.assert_array_equal(found.scores, want.scores)
    assert np.isnan(found.probabilities).all()
    assert np.isnan(found.evidence).all()
    assert want.probabilities is None


def test_a_document_of_length_zero_is_last_with_probability_zero(corpus):
    X, y, asks = corpus
    rows = ModalityGapRemover().fit_transform(X)
    nothing = EmbeddingArray(np.zeros((1, X.shape[1]), dtype="f4"), "image")
    with pytest.warns(UserWarning, match="length zero"):
        retriever = MixedModalityRetriever(500, score_calibration=PosteriorOdds()).fit(
            EmbeddingArray.concatenate([nothing, rows]), ["empty", *y]
        )
    found = retriever.search(rows[asks])
    assert (found.ids[:, -1] == "empty").all()
    assert (found.probabilities[:, -1] == 0).all()
    assert (np.diff(found.scores) <= 0).all()


def test_folded_vectors_rank_the_same_in_faiss(corpus):
    faiss = pytest.importorskip("faiss")
    X, y, asks = corpus
    pipe = make_search_pipeline().fit(X, y)
    vectors, metric, one = pipe[-1].fold("query:text")
    assert (metric, one) == ("ip", 1.0)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    queries = pipe[:-1].transform(X[asks]).values.astype("f4")
    asked = np.hstack([queries, np.ones((len(queries), 1), dtype="f4")])
    scores, numbers = index.search(asked, 10)
    found = search(pipe, X[asks])
    np.testing.assert_allclose(scores, found.scores, atol=1e-5)
    assert (pipe[-1].ids_[numbers] == found.ids).mean() > 0.999


def test_a_grown_corpus_has_the_scales_of_a_whole_one_with_what_was_learnt_held(corpus):
    X, y, asks = corpus
    rows = ModalityGapRemover().fit_transform(X)
    late = np.isin(y, [f"item{i}" for i in range(0, 120, 7)]) & ~asks
    some = MixedModalityRetriever(score_calibration=PosteriorOdds())
    some.fit(rows[~late], np.where(asks, None, y)[~late])
    learnt = some.score_calibration_.learnt_
    some.partial_fit(rows[late], y[late]).remove("item3")
    assert some.score_calibration_.learnt_ == learnt
    lines = some.score_calibration_.score_map("query:text", some._documents)
    assert np.isfinite(lines.scale).all()
    assert np.isfinite(lines.offset).all()
    again = pickle.loads(pickle.dumps(some))
    np.testing.assert_array_equal(again.predict(rows[asks]), some.predict(rows[asks]))


def test_relevance_that_names_an_unknown_document_is_refused(corpus):
    X, y, asks = corpus
    wrong = np.where(asks, "nowhere", y)
    with pytest.raises(ValueError, match=r"relevance names.*nowhere.*give None"):
        make_search_pipeline().fit(X, wrong)
    nothing = [[] if a else id_ for id_, a in zip(y, asks)]
    make_search_pipeline().fit(X, nothing)


def test_known_shares_are_taken_and_checked(corpus):
    X, y, _ = corpus

    def fit(shares):
        odds = PosteriorOdds(answer_share=shares)
        return MixedModalityRetriever(score_calibration=odds).fit(X, y).score_calibration_

    learnt = fit({"text": 2, "image": 1, "image+text": 1}).learnt_["query:text"]
    assert learnt["modalities"]["text"]["share"] == 0.5
    with pytest.raises(ValueError, match=r"no share for 'image\+text'"):
        fit({"text": 2, "image": 1})
    with pytest.raises(ValueError, match="above 0"):
        fit({"text": 0, "image": 1, "image+text": 1})


def test_a_draw_of_many_queries_keeps_the_judged_ones(corpus, monkeypatch):
    X, y, asks = corpus
    monkeypatch.setattr(_query_banks, "MOST_ROWS", 10)
    judged = np.flatnonzero(asks)[5::20]
    known = np.where(asks, None, y)
    known[judged] = y[judged]
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(X, known)
    bank = retriever._banks["query:text"]
    assert len(bank.queries) == 10
    assert sum(answer is not None for answer in bank.answers) == min(len(judged), 10)

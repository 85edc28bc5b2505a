"""Folded vectors: an index for inner products ranks as the retriever does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import N_FEATURES, fitted, small_corpus, unit
from mixed_corpora import SETTINGS, mixed_corpora

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds, make_search_pipeline
from gapremoval.score_calibration import ScoreCalibrator

pytestmark = [
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*length zero:UserWarning"),
]


def asked(queries, appended):
    rows = unit(queries.values.astype(float)).astype("f4")
    return np.hstack([rows, np.full((len(rows), 1), appended, "f4")])


def scores_in_order(retriever, queries):
    """The scores of all documents, in the order of their ids."""
    distances, indices = retriever.kneighbors(queries, retriever.n_documents_)
    scores = np.empty(distances.shape)
    np.put_along_axis(scores, indices, 1 - distances, axis=1)
    return scores


@given(
    st.integers(0, 2**16),
    st.sampled_from(["f4", "f8"]),
    st.sampled_from([None, PosteriorOdds(), PosteriorOdds(hubness=1, prior_count=2)]),
    st.sets(st.integers(0, 21), max_size=4),
)
def test_inner_products_are_the_scores(seed, dtype, calibration, without):
    documents, queries, ids, _ = small_corpus(seed, dtype)
    documents.values[sorted(without)] = 0
    X = EmbeddingArray.concatenate([documents, queries])
    retriever = MixedModalityRetriever(27, score_calibration=calibration)
    retriever.fit(X, [*ids, *[None] * len(queries)])
    directed = ~np.isin(retriever.ids_, [f"d{i}" for i in without])
    for asks in ("query:text", "query:image"):
        vectors, metric, appended = retriever.fold(asks)
        assert (vectors.dtype, vectors.shape) == (np.float32, (27, N_FEATURES + 1))
        assert vectors.flags.c_contiguous
        assert (metric, appended) == ("ip", 1.0)
        mine = EmbeddingArray(queries.values, asks)
        products = asked(mine, appended) @ vectors.T
        scores = scores_in_order(retriever, mine)
        tolerance = 3e-6 * max(abs(scores).max(), 1)
        np.testing.assert_allclose(products[:, directed], scores[:, directed], atol=tolerance)
        if without:
            assert (products[:, ~directed].max(1) < products[:, directed].min(1)).all()


def test_without_a_score_calibration_scale_is_one_and_offset_zero():
    documents, _, ids, _ = small_corpus()
    vectors, _, _ = MixedModalityRetriever().fit(documents, ids).fold()
    np.testing.assert_array_equal(vectors[:, -1], 0)
    np.testing.assert_allclose(np.linalg.norm(vectors[:, :-1], axis=1), 1, atol=1e-6)
    assert (fitted()[0].fold("query:text")[0][:, -1] != 0).any()


def test_a_query_modality_that_taught_nothing_is_refused_and_those_that_did_are_named():
    calibrated, _ = fitted()
    with pytest.raises(ValueError, match="nothing about 'query:txet'.*'query:image', 'query:text'"):
        calibrated.fold("txet")
    documents, _, ids, _ = small_corpus()
    assert MixedModalityRetriever().fit(documents, ids).fold("txet")[0].shape[0] == 27


def test_each_query_modality_has_vectors_of_its_own():
    retriever, _ = fitted()
    np.testing.assert_array_equal(retriever.fold("text")[0], retriever.fold("query:text")[0])
    np.testing.assert_array_equal(retriever.fold()[0], retriever.fold("query:text")[0])
    assert not np.allclose(retriever.fold("query:image")[0], retriever.fold()[0])


def test_folding_follows_the_corpus():
    retriever, queries = fitted()
    retriever.remove(["d1", "d20"])
    retriever.partial_fit(EmbeddingArray(np.eye(2, N_FEATURES), ["text", "audio"]), ["a", "b"])
    vectors, _, appended = retriever.fold("query:image")
    mine = EmbeddingArray(queries.values, "query:image")
    np.testing.assert_allclose(
        asked(mine, appended) @ vectors.T, scores_in_order(retriever, mine), atol=1e-5
    )


class ByRank(ScoreCalibrator):
    def nearest(self, documents, queries, k, query_modality, *, without=None):
        return documents.nearest(queries, k, without=without)


def test_what_is_no_inner_product_does_not_fold():
    documents, _, ids, _ = small_corpus()
    retriever = MixedModalityRetriever().fit(documents, ids)
    retriever._index.now = replace(retriever._index.now, calibration=ByRank())
    with pytest.raises(ValueError, match="ByRank does not fold.*PosteriorOdds"):
        retriever.fold()


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_faiss_ranks_real_embeddings_as_the_retriever_does(real, setting):
    faiss = pytest.importorskip("faiss")
    documents, queries, ids, _, _ = next(mixed_corpora(real("flickr8k_clip_vitb32.npz"), *setting))
    X = EmbeddingArray.concatenate([documents, queries])
    pipe = make_search_pipeline(n_neighbors=20).fit(X, [*ids, *[None] * len(queries)])
    vectors, metric, appended = pipe[-1].fold()
    assert metric == "ip"
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    corrected = pipe[:-1].transform(queries)
    scores, indices = index.search(asked(corrected, appended), 20)
    distances, want = pipe[-1].kneighbors(corrected)
    np.testing.assert_allclose(scores, 1 - distances, atol=1e-5)
    # Scores that single precision cannot tell apart may change places.
    apart = np.diff(distances, axis=1) > 1e-5
    clear = np.ones(want.shape, dtype=bool)
    clear[:, 1:] &= apart
    clear[:, :-1] &= apart
    clear[:, -1] = False  # whose neighbor is not seen
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(indices[clear], want[clear])

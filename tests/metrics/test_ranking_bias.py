"""ranking_bias: shares of the top and of the corpus, NDCG by the modality of the answer."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    FusionWeightSearchCV,
    MixedModalityRetriever,
    ModalityGapRemover,
    QueryKFold,
    StoreRetriever,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.metrics import ndcg_at_k, ranking_bias
from gapremoval.stores import FaissStore

X, y = make_mixed_modality(90, random_state=0)
IS_QUERY = X.modality == "query:text"
QUERIES, ANSWERS = X[IS_QUERY], y[IS_QUERY]


def by_hand():
    """Two texts, an image and a document of both, and what two queries find."""
    rows = np.eye(4)[[0, 1, 2, 3, 3]] + 0.01
    documents = EmbeddingArray(rows, ["text", "text", "image", "text", "image"])
    retriever = MixedModalityRetriever().fit(documents, [*"abcdd"])
    return retriever, EmbeddingArray(np.array([[3, 0, 2, 1.0], [0, 0, 3, 2]]), "text")


def test_shares_and_gains_are_worked_by_hand():
    retriever, queries = by_hand()
    bias = ranking_bias(retriever, queries, ["c", {"c": 1, "d": 1}], k=2)
    assert bias.share_of_corpus == {"image": 0.25, "image+text": 0.25, "text": 0.5}
    # The first query finds a and c, the second c and d.
    assert bias.share_of_top == {"image": 0.5, "image+text": 0.25, "text": 0.25}
    assert bias.ratio == {"image": 2, "image+text": 1, "text": 0.5}
    assert bias.ndcg == pytest.approx({"image": 1 / np.log2(3), "several": 1})
    assert ranking_bias(retriever, queries, k=2).ndcg is None


@pytest.mark.parametrize("steps", [[], [ModalityGapRemover()]])
def test_it_is_what_a_search_finds(steps):
    pipe = make_pipeline(*steps, MixedModalityRetriever()).fit(X, y)
    bias, found = ranking_bias(pipe, QUERIES, ANSWERS, k=7), search(pipe, QUERIES, 7)
    scores, modality_of = (
        ndcg_at_k(ANSWERS, found.ids, 7),
        dict(zip(pipe[-1].ids_, pipe[-1].document_modality_)),
    )
    for name in ("text", "image", "image+text"):
        assert bias.share_of_top[name] == pytest.approx((found.modalities == name).mean())
        is_answer = np.array([modality_of[x] == name for x in ANSWERS])
        assert bias.ndcg[name] == pytest.approx(scores[is_answer].mean())
        assert bias.ratio[name] == pytest.approx(3 * bias.share_of_top[name])
    assert sum(bias.share_of_top.values()) == pytest.approx(1)


def test_the_gap_fills_the_top_with_texts_and_its_removal_does_not():
    raw = ranking_bias(MixedModalityRetriever().fit(X, y), QUERIES, ANSWERS)
    ours = ranking_bias(make_search_pipeline().fit(X, y), QUERIES, ANSWERS)
    assert raw.ratio["image"] == raw.ndcg["image"] == 0
    assert raw.ratio["text"] > 2.5
    assert max(ours.ratio.values()) < 1.5
    assert ours.ndcg["image"] > 0.7


def test_the_whole_corpus_has_no_preference():
    bias = ranking_bias(MixedModalityRetriever().fit(X, y), QUERIES, k=1000)
    assert bias.ratio == pytest.approx(dict.fromkeys(["image", "image+text", "text"], 1))


def test_search_objects_and_bare_vectors_are_taken():
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    want = ranking_bias(pipe.fit(X, y), QUERIES, ANSWERS)
    assert ranking_bias(pipe, QUERIES.values, ANSWERS, modality="text") == want
    for fitted in (
        FusionWeightSearchCV(pipe, [0.5]).fit(X, y),
        GridSearchCV(pipe, {}, cv=QueryKFold(3), error_score="raise").fit(X, y),
    ):
        bias = ranking_bias(fitted, QUERIES, ANSWERS)
        assert bias.share_of_top == want.share_of_top
    assert ranking_bias(pipe, QUERIES.values[0], [ANSWERS[0]]).ndcg.keys() <= want.ndcg.keys()


def test_unjudged_and_unanswered_queries_are_in_the_shares_alone():
    retriever, queries = by_hand()
    bias = ranking_bias(retriever, queries, [None, []])
    assert bias.ndcg == {}
    assert ranking_bias(retriever, queries, ["a", None]).ndcg == {"text": 1}


def test_a_store_is_searched():
    pytest.importorskip("faiss")
    want = ranking_bias(MixedModalityRetriever().fit(X, y), QUERIES, ANSWERS)
    retriever = StoreRetriever(FaissStore()).fit(X, y)
    bias = ranking_bias(retriever, QUERIES, ANSWERS)
    assert bias.share_of_corpus == want.share_of_corpus
    assert bias.share_of_top == pytest.approx(want.share_of_top)
    assert bias.ndcg == pytest.approx(want.ndcg)
    with pytest.raises(ValueError, match="'elsewhere'"):
        ranking_bias(retriever, QUERIES[:1], ["elsewhere"])


def test_wrong_input_is_refused():
    retriever, queries = by_hand()
    with pytest.raises(ValueError, match=r"1 document\(s\) in relevance are not indexed: 'e'"):
        ranking_bias(retriever, queries, ["a", ["b", "e"]])
    with pytest.raises(ValueError, match="relevance has 1 entries for 2 rows"):
        ranking_bias(retriever, queries, ["a"])
    with pytest.raises(ValueError, match="relevance must be a sequence"):
        ranking_bias(retriever, queries[:1], "a")
    with pytest.raises(ValueError, match="n_neighbors"):
        ranking_bias(retriever, queries, k=0)
    with pytest.raises(TypeError, match="no search method"):
        ranking_bias(LogisticRegression(), queries)

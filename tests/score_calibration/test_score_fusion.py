import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, MixedModalityRetriever
from gapremoval.score_calibration import (
    DistributionBasedScoreFusion,
    ReciprocalRankFusion,
    RelativeScoreFusion,
)

pytestmark = pytest.mark.filterwarnings("ignore:y was not given:UserWarning")

FUSIONS = [DistributionBasedScoreFusion, RelativeScoreFusion]
every_fusion = pytest.mark.parametrize("fusion", FUSIONS)


def in_qdrant(scores):
    """Qdrant's normalization of one list: mean and sample deviation, .5 where it cannot be."""
    if len(scores) == 1 or np.ptp(scores) == 0:
        return np.full(len(scores), 0.5)
    low, high = (np.mean(scores) + sign * 3 * np.std(scores, ddof=1) for sign in (-1, 1))
    return (scores - low) / (high - low)


def in_weaviate(scores):
    """Weaviate's normalization of one list: min-max, 1 where the scores do not differ."""
    if np.ptp(scores) == 0:
        return np.ones(len(scores))
    return (scores - np.min(scores)) / (np.max(scores) - np.min(scores))


NORMALIZATION = {DistributionBasedScoreFusion: in_qdrant, RelativeScoreFusion: in_weaviate}


def answer_of_database(corpus, normalize, list_length):
    """All documents of the lists of each query, best first, and their scores."""
    for cosines in corpus.cosines:
        scores = {}
        for members in corpus.of_modality():
            listed = np.flatnonzero(members)
            listed = listed[np.argsort(-cosines[listed])][:list_length]
            scores |= zip(listed.tolist(), normalize(cosines[listed]))
        # Both put the greater score first; Weaviate orders equal ones by the score before.
        order = sorted(scores, key=lambda i: (-round(scores[i], 9), -cosines[i]))
        yield order, [scores[i] for i in order]


def directions(cosines):
    """Unit rows with these cosines with [1, 0]."""
    return np.column_stack([cosines, np.sqrt(1 - np.square(cosines))])


def fitted(X, fusion, ids=None, **parameters):
    return MixedModalityRetriever(score_calibration=fusion(**parameters)).fit(X, ids)


query = EmbeddingArray([[2.0, 0]], "query:text")


@every_fusion
@given(st.integers(0, 100), st.integers(1, 25), st.data())
def test_the_answer_is_that_of_the_database(make_corpus, fusion, seed, list_length, data):
    corpus = make_corpus(seed)
    k = data.draw(st.integers(1, list_length))
    retriever = fitted(corpus.rows, fusion, list_length=list_length)
    found = retriever.search(corpus.queries, k)
    want = answer_of_database(corpus, NORMALIZATION[fusion], list_length)
    for ids, scores, (want_ids, want_scores) in zip(found.ids, found.scores, want):
        assert ids.tolist() == want_ids[:k]
        np.testing.assert_allclose(scores, np.maximum(want_scores[:k], 0), atol=1e-5)


@every_fusion
@given(st.integers(0, 100), st.integers(1, 12), st.integers(1, 29))
def test_more_results_continue_the_list_of_fewer(make_corpus, fusion, seed, list_length, k):
    corpus = make_corpus(seed)
    retriever = fitted(corpus.rows, fusion, list_length=list_length)
    fewer, all_of_them = (retriever.search(corpus.queries, n) for n in (k, 30))
    np.testing.assert_array_equal(fewer.ids, all_of_them.ids[:, :k])
    np.testing.assert_array_equal(fewer.scores, all_of_them.scores[:, :k])


def test_a_hand_worked_example_of_three_standard_deviations():
    # Texts: mean .5, sample deviation .4, limits -.7 and 1.7. Images: mean .2, deviation .2,
    # limits -.4 and .8.
    cosines = np.array([0.9, 0.5, 0.1, 0.4, 0.2, 0.0])
    X = EmbeddingArray(directions(cosines), ["text"] * 3 + ["image"] * 3)
    found = fitted(X, DistributionBasedScoreFusion).search(query)
    # Equal scores are ordered by cosine.
    assert found.ids.tolist() == [[0, 3, 1, 4, 2, 5]]
    np.testing.assert_allclose(found.scores, [[4 / 6, 4 / 6, 1 / 2, 1 / 2, 2 / 6, 2 / 6]])


def test_the_example_in_the_code_of_weaviate():
    # Scores 1, 8, 6, 11 become 0, .7, .5, 1.
    X = EmbeddingArray(directions(np.array([1, 8, 6, 11]) / 12), "text")
    found = fitted(X, RelativeScoreFusion).search(query)
    assert found.ids.tolist() == [[3, 1, 2, 0]]
    np.testing.assert_allclose(found.scores, [[1, 0.7, 0.5, 0]], atol=1e-12)


def test_one_document_and_equal_scores_are_in_the_middle_for_qdrant_and_on_top_for_weaviate():
    rows = directions(np.array([0.9, 0.6, 0.3, 0.1, 0.1, 0.2]))
    X = EmbeddingArray(rows, ["text"] * 3 + ["image"] * 2 + ["video"])
    for fusion, score in ((DistributionBasedScoreFusion, 0.5), (RelativeScoreFusion, 1)):
        retriever = fitted(X, fusion)
        for modality, ids in (("image", [3, 4]), ("video", [5])):
            found = retriever.search(query, document_modality=modality)
            assert found.ids.tolist() == [ids]
            assert (found.scores == score).all()


def test_documents_beyond_the_list_have_score_0_and_are_ordered_by_cosine():
    rows = directions(np.array([0.9, 0.8, 0.1, 0.7, 0.6, 0.5]))
    X = EmbeddingArray(rows, ["text"] * 3 + ["image"] * 3)
    for fusion in FUSIONS:
        found = fitted(X, fusion, list_length=2).search(query)
        assert found.ids[0, -2:].tolist() == [5, 2]
        assert found.scores[0, -2:].tolist() == [0, 0]


@every_fusion
def test_scores_are_those_among_the_documents_searched(make_corpus, fusion):
    corpus = make_corpus()
    retriever = fitted(corpus.rows, fusion)
    some = np.arange(30) % 2 == 0
    rest = EmbeddingArray.concatenate([corpus.documents[some], corpus.queries])
    alone = fitted(rest, fusion, [*np.flatnonzero(some), *[None] * len(corpus.queries)])
    found = retriever.search(corpus.queries, among=some)
    np.testing.assert_array_equal(found.ids, alone.search(corpus.queries).ids)
    np.testing.assert_allclose(found.scores, alone.search(corpus.queries).scores)


@pytest.mark.parametrize("fusion", [*FUSIONS, ReciprocalRankFusion])
def test_documents_like_a_document_leave_it_out(fusion):
    # Of the only image, which finds no other, and of a text.
    X = EmbeddingArray(directions(np.array([0.9, 0.8, 0.1, 0.7])), ["text"] * 3 + ["image"])
    found = fitted(X, fusion).search(like=[3, 0])
    assert found.ids.tolist() == [[1, 0, 2], [1, 3, 2]]
    assert np.isfinite(found.scores).all()


@every_fusion
@pytest.mark.parametrize("list_length", [0, 2.5, "all"])
def test_a_list_has_at_least_one_document(make_corpus, fusion, list_length):
    with pytest.raises(ValueError, match=f"'list_length' parameter of {fusion.__name__} must be"):
        make_corpus().scores(fusion(list_length=list_length))

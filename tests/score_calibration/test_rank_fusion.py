import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, MixedModalityRetriever
from gapremoval.score_calibration import ReciprocalRankFusion

pytestmark = pytest.mark.filterwarnings("ignore:y was not given:UserWarning")


def fitted(X, ids=None, **parameters):
    fusion = ReciprocalRankFusion(**parameters)
    return MixedModalityRetriever(20, score_calibration=fusion).fit(X, ids)


def test_a_hand_worked_example():
    # Cosines with the query: texts 1, .8, .6; images .28, 0, 0 (equal); a video .8.
    X = EmbeddingArray.concatenate(
        {
            "text": [[3.0, 4], [1, 0], [4, 3]],
            "image": [[0, 2.0], [7, 24], [0, 1]],
            "video": [[4.0, -3]],
        }
    )
    names = ["text .6", "text 1", "text .8", "image 0", "image .28", "image 0 again", "video .8"]
    query = EmbeddingArray([[2.0, 0]], "query:text")
    found = fitted(X, names).search(query)
    assert found.ids.tolist() == [
        ["text 1", "video .8", "image .28", "text .8", "image 0", "text .6", "image 0 again"]
    ]
    ranks = [1, 1, 1, 2, 2, 3, 3]
    np.testing.assert_allclose(found.scores, [[1 / (60 + rank) for rank in ranks]])
    found = fitted(X, names, constant=0).search(query, 4)
    np.testing.assert_allclose(found.scores, [[1, 1, 1, 1 / 2]])
    images = fitted(X, names).search(query, 2, document_modality="image")
    assert images.ids.tolist() == [["image .28", "image 0"]]
    np.testing.assert_allclose(images.scores, [[1 / 61, 1 / 62]])


@given(st.integers(0, 100), st.integers(1, 30))
def test_ranks_are_those_within_the_modality_and_ties_go_by_cosine(make_corpus, seed, k):
    corpus = make_corpus(seed)
    cosines = corpus.cosines
    rank = np.empty(cosines.shape)
    for members in corpus.of_modality():
        rank[:, members] = 1 + (-cosines[:, members]).argsort(axis=1).argsort(axis=1)
    want = np.lexsort((-cosines, rank), axis=1)[:, :k]
    distances, positions = fitted(corpus.rows).kneighbors(corpus.queries, k)
    np.testing.assert_array_equal(positions, want)
    np.testing.assert_allclose(1 - distances, 1 / (60 + np.take_along_axis(rank, want, axis=1)))


def test_equal_rank_and_cosine_come_in_the_order_in_which_they_were_added():
    X = EmbeddingArray([[1.0, 0]] * 4, ["text", "image", "audio", "image"])
    query = EmbeddingArray([[1.0, 1]], "query:text")
    assert fitted(X).predict(query).tolist() == [[0, 1, 2, 3]]
    assert fitted(X[::-1]).predict(query).tolist() == [[0, 1, 3, 2]]


@pytest.mark.filterwarnings("ignore:.* length zero:UserWarning")
def test_documents_of_length_zero_come_last_below_all_others():
    X = EmbeddingArray([[0.0, 0], [-1, 0], [0, 0], [-1, 0.5]], ["text", "text", "image", "text"])
    retriever = fitted(X)
    query = EmbeddingArray([[1.0, 0]], "query:text")
    found = retriever.search(query)
    assert found.ids.tolist() == [[3, 1, 0, 2]]
    np.testing.assert_allclose(found.scores, [[1 / 61, 1 / 62, 0, 0]])
    assert retriever.search(query, document_modality="image").ids.tolist() == [[2]]
    assert retriever.search(query, 2).ids.tolist() == [[3, 1]]


def test_queries_that_were_never_taught_are_ranked_so_too(make_corpus):
    corpus = make_corpus()
    alone, taught = fitted(corpus.documents), fitted(corpus.rows)
    heard = EmbeddingArray(corpus.queries.values, "query:audio")
    for queries in (corpus.queries, heard):
        np.testing.assert_array_equal(alone.predict(queries), taught.predict(corpus.queries))


def test_the_constant_must_not_be_negative(make_corpus):
    with pytest.raises(ValueError, match="'constant' parameter of ReciprocalRankFusion must be"):
        make_corpus().scores(ReciprocalRankFusion(constant=-1))

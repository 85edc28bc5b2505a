"""What holds for every score calibration."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import tagged_rows

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover, PosteriorOdds
from gapremoval.score_calibration import (
    CSLS,
    DistributionBasedScoreFusion,
    NearestNeighborNormalization,
    PseudoPositiveZ,
    QBNorm,
    ReciprocalRankFusion,
    RelativeScoreFusion,
    ScoreScale,
    ScoreZ,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:None of these rows is marked:UserWarning"),
    pytest.mark.filterwarnings("ignore:y was not given:UserWarning"),
]

LINEAR = [
    PosteriorOdds(),
    ScoreScale(),
    ScoreZ(),
    PseudoPositiveZ(),
    NearestNeighborNormalization(),
    CSLS(),
]
LIST_FUSIONS = [ReciprocalRankFusion(), DistributionBasedScoreFusion(), RelativeScoreFusion()]
NOT_LINEAR = [QBNorm(), *LIST_FUSIONS]


def of(calibrations):
    return pytest.mark.parametrize("calibration", calibrations, ids=lambda x: type(x).__name__)


every = of([*LINEAR, *NOT_LINEAR])


def fitted(calibration, X, ids=None):
    return MixedModalityRetriever(score_calibration=calibration).fit(X, ids)


@every
@pytest.mark.filterwarnings("ignore:.*learned nothing:UserWarning")
@given(tagged_rows(["text", "image", "query:text", "query:image"]), st.integers(1, 50))
def test_scores_are_finite_and_descend_and_each_document_comes_once(calibration, X, k):
    is_query = np.char.startswith(X.modality, "query:")
    if is_query.all():
        return
    found = fitted(calibration, X).search(X, k)
    assert np.isfinite(found.scores).all()
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert all(len(set(ids)) == len(ids) for ids in found.ids.tolist())
    assert found.ids.shape[1] == min(k, (~is_query).sum())


@every
@given(st.permutations(range(26)))
def test_the_order_of_the_queries_that_teach_does_not_matter(
    make_corpus, scores_of, calibration, order
):
    corpus = make_corpus()
    other = EmbeddingArray.concatenate([corpus.documents, corpus.queries[order]])
    one, other = (fitted(calibration, X) for X in (corpus.rows, other))
    np.testing.assert_allclose(
        scores_of(one, corpus.queries), scores_of(other, corpus.queries), rtol=1e-5, atol=1e-5
    )


@of(LINEAR)
@given(st.integers(0, 100))
def test_exported_vectors_give_the_scores(make_corpus, scores_of, calibration, seed):
    corpus = make_corpus(seed)
    retriever = fitted(calibration, corpus.rows)
    exported = retriever.export_vectors("query:text")
    products = exported.queries(corpus.queries) @ exported.vectors.T
    np.testing.assert_allclose(products, scores_of(retriever, corpus.queries), rtol=1e-5, atol=1e-5)


@of(NOT_LINEAR)
def test_what_is_no_inner_product_is_not_exported(make_corpus, calibration):
    with pytest.raises(ValueError, match=f"{type(calibration).__name__} cannot be exported"):
        fitted(calibration, make_corpus().rows).export_vectors()


@every
def test_one_modality_searched_comes_in_the_order_of_the_whole_list(make_corpus, calibration):
    corpus = make_corpus()
    retriever = fitted(calibration, corpus.rows)
    whole = retriever.search(corpus.queries, 30)
    images = retriever.search(corpus.queries, 30, document_modality="image")
    for query in range(len(corpus.queries)):
        among = whole.modalities[query] == "image"
        np.testing.assert_array_equal(whole.ids[query, among], images.ids[query])
        np.testing.assert_allclose(whole.scores[query, among], images.scores[query])


@of([*LINEAR, QBNorm()])
def test_query_modalities_that_were_not_taught_keep_their_cosines(make_corpus, calibration):
    corpus = make_corpus()
    heard = EmbeddingArray(corpus.queries.values, "query:audio")
    plain = fitted(None, corpus.rows).search(heard)
    retriever = fitted(calibration, corpus.rows)
    with pytest.warns(UserWarning, match="learned nothing about 'query:audio'"):
        found = retriever.search(heard)
    np.testing.assert_array_equal(found.scores, plain.scores)
    np.testing.assert_array_equal(found.ids, plain.ids)


# PosteriorOdds divides by a spread that is all but 0 there.
@of([*LINEAR[1:], *NOT_LINEAR])
@pytest.mark.parametrize("n_queries", [0, 1, 2])
def test_a_single_document_of_a_modality_equal_rows_and_few_queries(
    scores_of, calibration, n_queries
):
    X = EmbeddingArray.concatenate(
        {
            "text": [[1.0, 0]] * 5,
            "image": [[0.5, 0.5]],
            "query:text": np.tile([3.0, 4], (n_queries, 1)),
        }
    )
    asked = EmbeddingArray([[1.0, 2], [2, 1], [-1, 0]], "query:text")
    scores = scores_of(fitted(calibration, X), asked)
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() < 50


@every
def test_documents_come_and_go_and_pickles_answer_the_same(make_corpus, scores_of, calibration):
    corpus = make_corpus()
    video = EmbeddingArray(make_corpus(3).documents.values[:5], "video")
    ids = [*range(100, 105)]
    retriever = fitted(calibration, corpus.rows, [*range(30), *[None] * 26])
    scores_of(retriever, corpus.queries)
    retriever.partial_fit(video, ids)
    scores = scores_of(retriever, corpus.queries)
    assert np.isfinite(scores).all()
    loaded = pickle.loads(pickle.dumps(retriever))
    np.testing.assert_array_equal(scores_of(loaded, corpus.queries), scores)
    retriever.remove(list(range(30)))
    assert set(retriever.predict(corpus.queries).ravel().tolist()) == set(ids)
    assert np.isfinite(scores_of(retriever, corpus.queries)).all()


@every
@pytest.mark.filterwarnings("ignore:.* length zero:UserWarning")
def test_documents_of_length_zero_come_last(make_corpus, calibration):
    corpus = make_corpus()
    nothing = EmbeddingArray(np.zeros((1, 6)), "image")
    X = EmbeddingArray.concatenate([nothing, corpus.rows])
    found = fitted(calibration, X).search(corpus.queries, 40)
    assert (found.ids[:, -1] == 0).all()


@every
@pytest.mark.filterwarnings("ignore:The center of .* comes from the prior alone:UserWarning")
@pytest.mark.parametrize(
    "file", ["flickr8k_clip_vitb32", "coco_clip_vitb16", "products_clip_vitb32"]
)
def test_a_picture_or_text_that_is_in_the_corpus_finds_itself_first(real, file, calibration):
    data = real(f"{file}.npz")
    images = np.concatenate([data["image"], data.get("extra", data["image"][:0])])
    parts = {"text": data["text"].reshape(-1, images.shape[1]), "image": images}
    X = EmbeddingArray.concatenate(parts)
    remover = ModalityGapRemover().fit(X)
    documents = remover.transform(X)
    retriever = fitted(calibration, documents)
    for modality, rows in parts.items():
        asked = remover.transform(EmbeddingArray(rows, f"query:{modality}"))
        first = retriever.search(asked, 1, document_modality=modality).ids[:, 0]
        # One product has the picture of another.
        own = np.flatnonzero(X.modality == modality)
        np.testing.assert_array_equal(X.values[first], X.values[own])

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, MixedModalityRetriever
from gapremoval.score_calibration import PseudoPositiveZ, ScoreScale, ScoreZ

pytestmark = pytest.mark.filterwarnings("ignore:y was not given:UserWarning")

SCALES = [ScoreScale(), ScoreZ(), PseudoPositiveZ()]

# NDCG@10 in the six settings, of an independent implementation.
REFERENCE = {
    ScoreZ: [0.9487, 0.7472, 0.9294, 0.7013, 0.9660, 0.8205],
    PseudoPositiveZ: [0.9497, 0.8669, 0.8360, 0.7573, 0.8262, 0.7220],
}


def of_texts(retriever):
    """The means and the deviations that were learned about text queries."""
    learned = retriever.score_calibration_
    return learned.mean_["query:text"], learned.deviation_["query:text"]


@pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")
@pytest.mark.parametrize("calibration", REFERENCE)
def test_the_reference_is_reached(measure_settings, settings, calibration):
    got = measure_settings(calibration(), settings)
    np.testing.assert_allclose(got, REFERENCE[calibration][settings], atol=0.002)


@given(st.integers(0, 100))
def test_scores_are_those_of_the_closed_form(make_corpus, seed):
    corpus = make_corpus(seed)
    cosines = corpus.cosines
    scaled, z, pseudo = np.empty((3, *cosines.shape))
    for members in corpus.of_modality():
        some = cosines[:, members]
        best = some.max(axis=1)
        scaled[:, members] = some / some.std()
        z[:, members] = (some - some.mean()) / some.std()
        pseudo[:, members] = (some - best.mean()) / best.std()
    for calibration, want in zip(SCALES, (scaled, z, pseudo)):
        np.testing.assert_allclose(corpus.scores(calibration), want, atol=1e-6)


def test_without_queries_the_texts_are_asked_each_without_its_own_document(make_corpus, scores_of):
    corpus = make_corpus()
    is_text = corpus.documents.modality == "text"
    texts = corpus.documents[is_text]
    cosines = (unit := texts.values / np.linalg.norm(texts.values, axis=1, keepdims=True)) @ unit.T
    others = cosines[~np.eye(len(texts), dtype=bool)].reshape(len(texts), -1)
    retriever = MixedModalityRetriever(score_calibration=ScoreZ()).fit(corpus.documents)
    mean, deviation = of_texts(retriever)
    assert mean["text"] == pytest.approx(others.mean(), abs=1e-6)
    assert deviation["text"] == pytest.approx(others.std(), abs=1e-6)
    retriever = MixedModalityRetriever(score_calibration=PseudoPositiveZ()).fit(corpus.documents)
    mean, deviation = of_texts(retriever)
    assert mean["text"] == pytest.approx(others.max(axis=1).mean(), abs=1e-6)
    assert deviation["text"] == pytest.approx(others.max(axis=1).std(), abs=1e-6)


def test_a_modality_that_comes_later_gets_its_numbers_from_the_kept_queries(make_corpus):
    corpus, video = make_corpus(), make_corpus(7).documents
    video = EmbeddingArray(video.values, "video")
    for calibration in SCALES:
        retriever = MixedModalityRetriever(score_calibration=calibration).fit(corpus.rows)
        before = of_texts(retriever)
        retriever.partial_fit(video)
        after = of_texts(retriever)
        alone = EmbeddingArray.concatenate([video, corpus.queries])
        alone = MixedModalityRetriever(score_calibration=calibration).fit(alone)
        for one, other, of_video in zip(before, after, of_texts(alone)):
            assert other == pytest.approx({**one, **of_video})


@pytest.mark.parametrize("calibration", SCALES, ids=lambda x: type(x).__name__)
def test_scores_that_do_not_differ_are_not_divided(calibration):
    X = EmbeddingArray.concatenate(
        {"text": [[1.0, 0]] * 3, "image": [[0, 1.0]] * 2, "query:text": [[3.0, 4]] * 2}
    )
    retriever = MixedModalityRetriever(score_calibration=calibration).fit(X)
    mean, deviation = of_texts(retriever)
    assert mean == pytest.approx({"text": 0.6, "image": 0.8})
    assert deviation == {"text": 1, "image": 1}

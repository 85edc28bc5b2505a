import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import MixedModalityRetriever, PosteriorOdds
from gapremoval.score_calibration import PriorOdds

# NDCG@10 with the gap removed and no score calibration, in the six settings.
REMOVED = np.array([0.8956, 0.8663, 0.8916, 0.8735, 0.9208, 0.8379])


def learnt_by(calibration, corpus):
    retriever = MixedModalityRetriever(score_calibration=calibration).fit(corpus.rows)
    return retriever.score_calibration_.learnt_["query:text"]["modalities"]


@pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")
def test_it_gains_in_all_six_settings_and_in_the_mean_what_the_reference_gains(measure_settings):
    gain = measure_settings(PriorOdds()) - REMOVED
    assert gain.mean() == pytest.approx(0.028, abs=0.002)
    assert gain.min() > 0


@given(st.integers(0, 100), st.sampled_from([None, {"text": 1, "image": 3}]))
def test_scores_are_those_of_the_closed_form(make_corpus, seed, answer_share):
    corpus = make_corpus(seed)
    cosines = corpus.cosines
    shares = learnt_by(PosteriorOdds(answer_share=answer_share), corpus)
    hub = -np.sort(-cosines, axis=0)[: len(cosines) // 12].mean(axis=0)
    deviations = {
        name: cosines[:, corpus.documents.modality == name].std() for name in ("text", "image")
    }
    want = np.empty(cosines.shape)
    for name, deviation in deviations.items():
        members = corpus.documents.modality == name
        spread = deviation**0.7 * np.mean(list(deviations.values())) ** 0.3
        want[:, members] = (cosines - hub / 4)[:, members] / spread
        want[:, members] += 0.3 * np.log(shares[name]["share"] / members.sum())
    got = corpus.scores(PriorOdds(answer_share=answer_share))
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_the_shares_are_those_of_posterior_odds(make_corpus):
    ours, theirs = (learnt_by(odds, make_corpus()) for odds in (PriorOdds(), PosteriorOdds()))
    assert {name: x["share"] for name, x in ours.items()} == {
        name: x["share"] for name, x in theirs.items()
    }
    strong = learnt_by(PriorOdds(strength=500.0), make_corpus())
    assert strong["text"]["share"] != ours["text"]["share"]


def test_it_gives_no_probabilities(make_corpus):
    corpus = make_corpus()
    retriever = MixedModalityRetriever(score_calibration=PriorOdds()).fit(corpus.rows)
    assert retriever.search(corpus.queries).probabilities is None


def test_the_number_of_documents_follows_the_corpus(make_corpus, scores_of):
    corpus = make_corpus()
    retriever = MixedModalityRetriever(score_calibration=PriorOdds()).fit(corpus.rows)
    before = scores_of(retriever, corpus.queries)
    images = np.flatnonzero(corpus.documents.modality == "image")
    retriever.remove(images[: len(images) // 2])
    after = scores_of(retriever, corpus.queries)
    is_image = retriever.document_modality_ == "image"
    kept = before[:, retriever.ids_]
    np.testing.assert_allclose(after[:, ~is_image], kept[:, ~is_image], atol=1e-9)
    np.testing.assert_allclose(after[:, is_image], kept[:, is_image] + 0.3 * np.log(2), atol=1e-9)


def test_shares_must_be_above_zero_and_the_strength_too(make_corpus):
    with pytest.raises(ValueError, match="'strength' parameter of PriorOdds must be"):
        make_corpus().scores(PriorOdds(strength=0))
    with pytest.raises(ValueError, match="no share for 'image'"):
        make_corpus().scores(PriorOdds(answer_share={"text": 1}))

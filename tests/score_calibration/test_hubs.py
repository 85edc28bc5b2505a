import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from gapremoval import EmbeddingArray, MixedModalityRetriever
from gapremoval.score_calibration import CSLS, NearestNeighborNormalization, QBNorm

pytestmark = pytest.mark.filterwarnings("ignore:y was not given:UserWarning")

HUBS = [NearestNeighborNormalization(), CSLS(), QBNorm()]


def unit(rows):
    return rows.values / np.linalg.norm(rows.values, axis=1, keepdims=True)


def inverted_softmax(cosines, bank_cosines, beta):
    """The dynamic inverted softmax by its definition; -inf where a bank row does not count."""
    hubs = set(bank_cosines.argmax(axis=1).tolist())
    n_rows = np.isfinite(bank_cosines).sum(axis=0)
    soft = cosines - (logsumexp(beta * bank_cosines, axis=0) - np.log(n_rows)) / beta
    is_hub = np.array([best in hubs for best in cosines.argmax(axis=1).tolist()])
    return np.where(is_hub[:, None], soft, cosines)


@pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")
def test_nearest_neighbor_normalization_reaches_the_reference(measure_settings, settings):
    got = measure_settings(NearestNeighborNormalization(), settings)
    reference = [0.948, 0.858, 0.932, 0.846, 0.968, 0.825]
    np.testing.assert_allclose(got, reference[settings], atol=0.002)


@given(
    st.integers(0, 100),
    st.floats(0, 2),
    st.integers(1, 26),
    st.integers(1, 40),
    st.floats(0.01, 200),
)
def test_scores_are_those_of_the_closed_forms(make_corpus, seed, share, n_best, k, beta):
    corpus = make_corpus(seed)
    cosines = corpus.cosines
    best_first = -np.sort(-cosines, axis=0)
    hub = best_first[:n_best].mean(axis=0)
    nnn = NearestNeighborNormalization(share=share, top=n_best / len(cosines))
    np.testing.assert_allclose(corpus.scores(nnn), cosines - share * hub, atol=1e-6)
    csls = 2 * cosines - best_first[:k].mean(axis=0)
    np.testing.assert_allclose(corpus.scores(CSLS(k)), csls, atol=1e-6)
    want = inverted_softmax(cosines, cosines, beta)
    np.testing.assert_allclose(corpus.scores(QBNorm(beta=beta)), want, atol=1e-5)


@pytest.mark.parametrize(("top", "n_best"), [(1e-9, 1), (0.1, 2), (1 / 12, 2), (0.99, 25), (1, 26)])
def test_the_part_of_the_queries_is_rounded_down_and_at_least_one(make_corpus, top, n_best):
    corpus = make_corpus()
    hub = -np.sort(-corpus.cosines, axis=0)[:n_best].mean(axis=0)
    got = corpus.scores(NearestNeighborNormalization(share=1, top=top))
    np.testing.assert_allclose(got, corpus.cosines - hub, atol=1e-6)


def test_a_query_that_finds_no_hub_keeps_its_cosines(make_corpus, scores_of):
    corpus = make_corpus()
    taught, asked = corpus.queries[:4], corpus.queries[4:]
    rows = EmbeddingArray.concatenate([corpus.documents, taught])
    retriever = MixedModalityRetriever(score_calibration=QBNorm()).fit(rows)
    cosines = corpus.cosines
    want = inverted_softmax(cosines[4:], cosines[:4], 20.0)
    is_plain = (want == cosines[4:]).all(axis=1)
    assert 0 < is_plain.sum() < len(is_plain)
    np.testing.assert_allclose(scores_of(retriever, asked), want, atol=1e-5)


@pytest.mark.parametrize("calibration", HUBS, ids=lambda x: type(x).__name__)
def test_documents_that_come_or_go_leave_what_a_fit_to_the_rest_gives(
    make_corpus, scores_of, calibration
):
    # With few queries, so that documents come into the activation set and leave it.
    corpus = make_corpus(n_queries=6)
    documents, queries = corpus.documents, corpus.queries
    asked = make_corpus(seed=5).queries

    def fitted(some):
        rows = EmbeddingArray.concatenate([documents[some], queries])
        ids = [*np.arange(30)[some].tolist(), *[None] * len(queries)]
        return MixedModalityRetriever(score_calibration=calibration).fit(rows, ids)

    for some in (slice(0, 12), slice(0, 25)):
        grown = fitted(some)
        scores_of(grown, asked)
        rest = slice(some.stop, 30)
        grown.partial_fit(documents[rest], list(range(30))[rest])
        shrunk = fitted(slice(0, 30)).remove(list(range(some.start, some.stop)))
        whole, part = fitted(slice(0, 30)), fitted(rest)
        np.testing.assert_allclose(scores_of(grown, asked), scores_of(whole, asked), atol=1e-6)
        np.testing.assert_allclose(scores_of(shrunk, asked), scores_of(part, asked), atol=1e-6)


def test_fallback_queries_leave_out_their_own_document_also_when_others_are_removed(
    make_corpus, scores_of
):
    corpus = make_corpus(n_documents=12)
    documents, asked = corpus.documents, corpus.queries
    texts = np.flatnonzero(documents.modality == "text")
    bank = unit(documents)[texts] @ unit(documents).T
    bank[np.arange(len(texts)), texts] = -np.inf
    kept = np.flatnonzero(np.arange(12) % 5 != 3)
    assert not set(texts.tolist()) <= set(kept.tolist())
    cosines, bank = corpus.cosines[:, kept], bank[:, kept]
    n_rows = np.isfinite(bank).sum(axis=0)
    in_order = -np.sort(-bank, axis=0)
    # Four fallback queries: the tenth best of a document is its last but its own.
    means = [row[:n].mean() for row, n in zip(in_order.T, n_rows)]
    want = {
        NearestNeighborNormalization(): cosines - 0.75 * in_order[0],
        CSLS(): 2 * cosines - means,
        QBNorm(): inverted_softmax(cosines, bank, 20.0),
    }
    for calibration, scores in want.items():
        retriever = MixedModalityRetriever(score_calibration=calibration).fit(documents)
        scores_of(retriever, asked)
        retriever.remove(np.setdiff1d(np.arange(12), kept))
        np.testing.assert_allclose(scores_of(retriever, asked), scores, atol=1e-5)


@pytest.mark.parametrize("calibration", HUBS, ids=lambda x: type(x).__name__)
def test_a_document_that_no_row_was_compared_with_has_a_finite_score(calibration, scores_of):
    X = EmbeddingArray([[1.0, 0.1], [1, 0.2], [0, 1], [1, 1]], ["text"] * 2 + ["image"] * 2)
    retriever = MixedModalityRetriever(score_calibration=calibration)
    retriever.fit(X, ["one", "one", "b", "c"])
    assert np.isfinite(scores_of(retriever, X[:1])).all()


@pytest.mark.parametrize(
    "calibration",
    [
        NearestNeighborNormalization(share=-0.1),
        NearestNeighborNormalization(top=0),
        NearestNeighborNormalization(top=1.5),
        CSLS(0),
        CSLS(2.5),
        QBNorm(beta=0),
        QBNorm(beta="hot"),
    ],
)
def test_parameters_out_of_range_are_refused(make_corpus, calibration):
    with pytest.raises(ValueError, match=f"parameter of {type(calibration).__name__} must be"):
        make_corpus().scores(calibration)

"""Documents are replaced in one step: the new ones are there, or the old ones are."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import N_FEATURES, fitted, small_corpus

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.score_calibration import CSLS

pytestmark = pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
calibrations = pytest.mark.parametrize("calibration", [None, PosteriorOdds()])


def corpus(calibration, seed=0):
    documents, queries, ids, _ = small_corpus(seed)
    X = EmbeddingArray.concatenate([documents, queries])
    retriever = MixedModalityRetriever(100, score_calibration=calibration)
    return retriever.fit(X, [*ids, *[None] * len(queries)]), queries


@calibrations
@given(st.lists(st.integers(0, 30), min_size=1, max_size=20, unique=True), st.integers(0, 99))
def test_replacing_is_removing_what_is_there_and_adding_all(calibration, numbers, seed):
    rng = np.random.default_rng(seed)
    retriever, queries = corpus(calibration)
    ids = [f"d{i}" for i in numbers]
    rows = rng.normal(size=(2 * len(ids), N_FEATURES))
    tags = rng.choice(["text", "image"], len(rows))
    X, y = EmbeddingArray(rows, tags), [*ids, *ids]
    want = copy.copy(retriever)
    want.remove([x for x in ids if x in set(want.ids_)]).partial_fit(X, y)
    got = retriever._add_documents(X, y, None, replace=True)
    assert got is retriever
    assert got.ids_.tolist() == want.ids_.tolist()
    one, other = got.search(queries), want.search(queries)
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.scores, other.scores)


@calibrations
def test_an_error_leaves_the_documents_that_were_there(calibration):
    retriever, queries = corpus(calibration)
    want = retriever.search(queries)
    X = EmbeddingArray(np.eye(2, N_FEATURES), ["text", "image"])
    broken = EmbeddingArray(np.full((1, N_FEATURES), np.nan), "text")
    for rows, ids in ((broken, ["d1"]), (X, ["d1"]), (X, ["d1", 7]), (X, [1, 2])):
        with pytest.raises(ValueError, match=r"NaN|entries|mix strings|another type"):
            retriever._add_documents(rows, ids, None, replace=True)
        found = retriever.search(queries)
        np.testing.assert_array_equal(found.ids, want.ids)
        np.testing.assert_array_equal(found.scores, want.scores)


def test_what_was_not_fitted_is_fitted():
    X = EmbeddingArray(np.eye(2), "text")
    retriever = MixedModalityRetriever()._add_documents(X, ["a", "b"], None, replace=True)
    assert retriever.ids_.tolist() == ["a", "b"]


def test_without_replace_a_known_id_is_refused():
    retriever, _ = fitted()
    with pytest.raises(ValueError, match="already in the corpus: 'd1'.*replace=True"):
        retriever._add_documents(EmbeddingArray(np.eye(1, N_FEATURES), "text"), ["d1"], None)


@pytest.mark.parametrize("calibration", [PosteriorOdds(), CSLS(1)])
def test_documents_replaced_by_themselves_keep_their_scores(calibration):
    documents, queries, ids, _ = small_corpus()
    retriever = MixedModalityRetriever(100, score_calibration=calibration).fit(documents, ids)
    want = retriever.search(queries)
    for y in ([ids[0]], ids):
        found = retriever._add_documents(documents[: len(y)], y, None, replace=True)
        found = found.search(queries)
        np.testing.assert_array_equal(found.ids, want.ids)
        np.testing.assert_allclose(found.scores, want.scores, atol=1e-9)


def test_a_document_replaced_a_thousand_times_takes_the_room_of_a_few():
    retriever = MixedModalityRetriever().fit(EmbeddingArray(np.eye(8), "text"), range(8))
    for i in range(1000):
        row = EmbeddingArray(np.roll(np.eye(1, 8), i), "text")
        retriever._add_documents(row, [3], None, replace=True)
    (segment,) = retriever._index.now.segments.values()
    assert len(segment) <= 16
    found = retriever.search(EmbeddingArray(row.values, "query:text"), 2)
    assert found.ids.tolist() == [[7, 3]]

"""A question that was asked many times teaches a score calibration what it teaches once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_cases import N_FEATURES, assert_same_results, small_corpus
from sklearn.base import clone

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.retrieval._query_banks import MOST_ROWS

ENCODER_NOISE = 2e-7  # of a coordinate, between two batches


def repeated(queries, order, noise=0.0):
    """Queries in an order, with repetitions: of other lengths, and as other batches give them."""
    rng = np.random.default_rng(len(order))
    rows = queries.values[order] / np.linalg.norm(queries.values[order], axis=1, keepdims=True)
    rows = rows + noise * rng.uniform(-1, 1, size=rows.shape)
    return EmbeddingArray(rows * rng.uniform(0.5, 2, size=(len(rows), 1)), queries.modality[order])


def kept_by(retriever):
    """The banks' queries of each modality with their answers, sorted by coordinates."""
    (banks,) = retriever._index.now.banks
    kept = {}
    for name, bank in banks.items():
        rows, answers = bank.rows[: bank.n_queries].round(4), bank.known[: bank.n_queries]
        order = np.lexsort(rows.T)
        kept[name] = (
            rows[order],
            [answers[i] if answers[i] is None else {*answers[i]} for i in order],
        )
    return kept


def assert_same_banks(one, other):
    one, other = kept_by(one), kept_by(other)
    assert one.keys() == other.keys()
    for name, (rows, answers) in one.items():
        np.testing.assert_allclose(rows, other[name][0], atol=2e-4)
        assert answers == other[name][1]


orders = st.lists(st.integers(0, 8), max_size=40).map(lambda more: [*range(9), *more])


@settings(max_examples=25)
@given(st.integers(0, 99), orders.flatmap(st.permutations), st.sampled_from([0.0, ENCODER_NOISE]))
def test_repetitions_of_any_questions_any_number_of_times_change_nothing(seed, order, noise):
    documents, queries, ids, relevance = small_corpus(seed)
    once = MixedModalityRetriever(100, score_calibration=PosteriorOdds())
    often = clone(once)
    once.fit(EmbeddingArray.concatenate([documents, queries]), [*ids, *relevance])
    X = EmbeddingArray.concatenate([documents, repeated(queries, order, noise)])
    often.fit(X, [*ids, *[relevance[i] for i in order]])
    assert_same_banks(once, often)
    asked = small_corpus(seed + 1)[1]
    assert_same_results(once.search(asked), often.search(asked), 1e-4 if noise else 1e-9)


@settings(max_examples=25)
@given(orders.flatmap(st.permutations), st.lists(st.integers(0, 40), max_size=4), st.data())
def test_judgments_of_a_question_add_up_whenever_they_come(order, cuts, data):
    documents, queries, ids, _ = small_corpus()
    judgments = st.none() | st.lists(st.sampled_from(["d0", "d3", "d24"]), max_size=2)
    relevance = data.draw(st.lists(judgments, min_size=len(order), max_size=len(order)))
    living = MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(documents, ids)
    whole = clone(living)
    log = repeated(queries, order)
    for rows in np.split(np.arange(len(order)), sorted(min(cut, len(order)) for cut in cuts)):
        if len(rows):
            living.partial_fit(log[rows], [relevance[i] for i in rows])
    total = [None] * len(queries)
    for question, answer in zip(order, relevance):
        if answer is not None:
            total[question] = list({*(total[question] or []), *answer})
    whole.fit(EmbeddingArray.concatenate([documents, queries]), [*ids, *total])
    assert_same_banks(living, whole)
    assert_same_results(living.search(queries), whole.search(queries), 1e-9)


@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_question_that_fills_the_log_pushes_no_other_out(in_pieces):
    documents, _, ids, _ = small_corpus()
    rng = np.random.default_rng(0)
    queries = EmbeddingArray(rng.normal(size=(200, N_FEATURES)), "query:text")
    once = MixedModalityRetriever(score_calibration=PosteriorOdds())
    often = clone(once)
    once.fit(EmbeddingArray.concatenate([documents, queries]), [*ids, *[None] * 200])
    order = rng.permutation([*range(200), *[7] * 3000])
    pieces = np.array_split(order, 4 if in_pieces else 1)
    often.fit(documents, ids)
    for piece in pieces:
        often.partial_fit(repeated(queries, piece), [None] * len(piece))
    assert_same_banks(once, often)
    assert len(kept_by(often)["query:text"][0]) == 200


def test_the_sample_of_many_questions_is_the_same_whatever_their_order_and_repetitions():
    documents, _, ids, _ = small_corpus()
    rng = np.random.default_rng(0)
    queries = EmbeddingArray(rng.normal(size=(3000, N_FEATURES)), "query:text")
    relevance = [["d0"] if i % 100 == 0 else None for i in range(3000)]
    fitted = []
    for order in (np.arange(3000), rng.permutation([*range(3000), *rng.integers(0, 3000, 2000)])):
        X = EmbeddingArray.concatenate([documents, queries[order]])
        retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
        fitted.append(retriever.fit(X, [*ids, *[relevance[i] for i in order]]))
    assert_same_banks(*fitted)
    rows, answers = kept_by(fitted[0])["query:text"]
    assert len(rows) == MOST_ROWS
    assert answers.count({"d0"}) == 30
    # A sample by chance: its mean is that of all within sampling error.
    unit = queries.values / np.linalg.norm(queries.values, axis=1, keepdims=True)
    error = unit.std(axis=0) / np.sqrt(MOST_ROWS)
    assert (abs(rows.mean(axis=0) - unit.mean(axis=0)) < 4 * error).all()


def test_a_question_that_comes_again_is_as_new_as_its_repetition():
    documents, _, ids, _ = small_corpus()
    rng = np.random.default_rng(0)
    queries = EmbeddingArray(rng.normal(size=(3 * MOST_ROWS, N_FEATURES)), "query:text")
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(documents, ids)
    old, again = np.arange(MOST_ROWS), np.arange(0, MOST_ROWS, 4)
    for rows in (old, np.r_[MOST_ROWS:1500, again]):
        retriever.partial_fit(queries[rows], [None] * len(rows))
    kept = kept_by(retriever)["query:text"][0]
    unit = queries.values / np.linalg.norm(queries.values, axis=1, keepdims=True)
    found = set((kept @ unit.T).argmax(axis=1).tolist())
    assert len(found) == MOST_ROWS
    assert found >= {*again.tolist(), *range(MOST_ROWS, 1500)}


def test_one_question_asked_again_and_again_is_too_little_to_learn_from():
    documents, queries, ids, _ = small_corpus()
    heard = EmbeddingArray(queries.values[:1].repeat(50, axis=0), "query:audio")
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(documents, ids)
    with pytest.warns(UserWarning, match="learned nothing yet about 'query:audio'.*two different"):
        retriever.partial_fit(heard, [None] * 50)


def test_a_log_with_nothing_but_repetitions_is_as_one_question_whatever_its_size():
    documents, queries, ids, _ = small_corpus()
    one = MixedModalityRetriever(100, score_calibration=PosteriorOdds()).fit(documents, ids)
    many = clone(one).fit(documents, ids)
    one.partial_fit(queries[:1], ["d3"])
    many.partial_fit(repeated(queries, [0] * 20000), ["d3"] * 20000)
    assert_same_results(one.search(queries), many.search(queries), 1e-9)

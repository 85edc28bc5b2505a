"""Questions that were asked often, or in a few other letters, count once in all that is learned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_cases import unit

from gapremoval import EmbeddingArray, ModalityGapRemover, make_search_pipeline, search
from gapremoval._repetitions import question_weights, similarity_kernel
from gapremoval.datasets import make_mixed_modality

pytestmark = pytest.mark.filterwarnings("ignore:Few rows:UserWarning")

X, Y = make_mixed_modality(120, random_state=3)
IS_QUERY = X.modality == "query:text"
DOCUMENTS, QUERIES = X[~IS_QUERY], X[IS_QUERY]
IDS, ANSWERS = list(Y[~IS_QUERY]), list(Y[IS_QUERY])


def taught(queries):
    rows = EmbeddingArray.concatenate([DOCUMENTS, queries])
    return make_search_pipeline(n_neighbors=10).fit(rows, [*IDS, *[None] * len(queries)])


def ndcg(pipe):
    is_hit = search(pipe, QUERIES).ids == np.array(ANSWERS, dtype=object)[:, None]
    return np.where(is_hit.any(axis=1), 1 / np.log2(is_hit.argmax(axis=1) + 2), 0).mean()


# The weights.


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_kernel_is_one_for_equal_rows_and_zero_for_unlike_ones(n, seed):
    rows = unit(np.random.default_rng(seed).normal(size=(n, 3)))
    kernel = similarity_kernel(rows, rows)
    np.testing.assert_allclose(np.diag(kernel), 1)
    np.testing.assert_allclose(kernel, kernel.T)
    assert (kernel[rows @ rows.T <= 0.5] == 0).all()
    assert ((kernel >= 0) & (kernel <= 1 + 1e-9)).all()


@given(st.integers(1, 9), st.integers(0, 2**32 - 1), st.data())
def test_repetitions_share_the_weight_of_one_question(n, seed, data):
    rows, center = np.random.default_rng(seed).normal(size=(n + 1, 6))[:n], np.full(6, 0.1)
    times = np.array(data.draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)))
    once = question_weights(rows, center)
    again = question_weights(np.repeat(rows, times, axis=0), center)
    # A row's neighbors were repeated too, so it is the sum that stays where rows are unlike.
    if (once == 1).all():
        np.testing.assert_allclose(again, np.repeat(1 / times, times))
    assert ((again > 0) & (again <= 1)).all()
    one = question_weights(np.tile(rows[:1], (50, 1)), center)
    assert one.sum() == pytest.approx(1)


def test_a_judged_question_has_the_weight_of_its_unjudged_repetitions():
    rows = np.repeat(np.eye(3), [4, 2, 1], axis=0)
    is_judged = np.array([1, 0, 0, 0, 0, 0, 0], bool)
    weights = question_weights(rows, np.zeros(3), is_judged)
    np.testing.assert_allclose(weights, [1, 0, 0, 0, 0.5, 0.5, 1])


# The mean of the queries.


@given(st.integers(0, 2**32 - 1), st.data())
def test_the_query_mean_does_not_depend_on_repetitions_order_batches_or_merging(seed, data):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(8, 5))
    log = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=30))
    log = rng.permutation([*range(8), *log])
    texts = EmbeddingArray(rng.normal(size=(20, 5)), "text")
    once = ModalityGapRemover().fit(
        EmbeddingArray.concatenate([texts, EmbeddingArray(rows, "query:text")])
    )
    parts = [
        EmbeddingArray(rows[part], "query:text") for part in np.array_split(log, 3) if len(part)
    ]
    pieces = ModalityGapRemover().partial_fit(texts)
    merged = ModalityGapRemover().partial_fit(texts)
    for part in parts:
        pieces.partial_fit(part)
        merged.merge(ModalityGapRemover().partial_fit(part))
    assert once.counts_["query:text"] == 8
    for other in (pieces, merged):
        np.testing.assert_allclose(
            other.centers_["query:text"], once.centers_["query:text"], atol=1e-12
        )
        assert other.counts_["query:text"] == len(log)


def test_without_shrinkage_the_query_mean_is_that_of_the_rows_as_in_the_paper():
    queries = QUERIES[[0, 0, 0, 1]]
    remover = ModalityGapRemover(shrinkage=0).fit(EmbeddingArray.concatenate([DOCUMENTS, queries]))
    mean = unit(queries.values).mean(axis=0)
    np.testing.assert_allclose(remover.centers_["query:text"], mean, atol=1e-6)


def test_of_very_many_questions_a_sample_gives_the_mean():
    rng = np.random.default_rng(0)
    center = unit(rng.normal(size=(1, 64)))
    rows = unit(center + unit(rng.normal(size=(5000, 64))))
    log = np.concatenate([rows, np.repeat(rows[:1], 5000, axis=0)])
    remover = ModalityGapRemover().fit(
        EmbeddingArray.concatenate({"text": rows[:100], "query:text": log})
    )
    error = np.linalg.norm(remover.centers_["query:text"] - rows.mean(axis=0))
    assert error < 0.05
    assert np.linalg.norm(remover.means_["query:text"] - rows.mean(axis=0)) > 0.3


# The whole search.


@settings(max_examples=8)
@given(st.lists(st.integers(0, 11), max_size=60), st.randoms(use_true_random=False))
def test_repeating_some_queries_any_number_of_times_changes_no_score(repeated, random):
    log = [*range(12), *repeated]
    random.shuffle(log)
    one, other = search(taught(QUERIES[:12]), QUERIES), search(taught(QUERIES[log]), QUERIES)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    same = np.diff(one.scores, axis=1) < -1e-4  # but for ties
    np.testing.assert_array_equal(one.ids[:, :-1][same], other.ids[:, :-1][same])


def test_one_question_a_thousand_times_is_as_if_it_was_asked_once():
    one, other = (search(taught(QUERIES[[0] * n]), QUERIES) for n in (1, 1000))
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


@pytest.mark.parametrize("exponent", [1, 2])
def test_a_log_with_some_questions_asked_often_teaches_what_its_distinct_questions_teach(exponent):
    rng = np.random.default_rng(0)
    n = min(200, len(QUERIES))
    share = 1 / np.arange(1, n + 1) ** exponent
    log = rng.choice(n, 1000, p=share / share.sum())
    noise = 0.02 * rng.standard_normal((1000, QUERIES.shape[1]))
    varied = EmbeddingArray(unit(QUERIES.values[log] + noise).astype("f4"), "query:text")
    distinct, asked, nearly = map(
        ndcg, map(taught, (QUERIES[np.unique(log)], QUERIES[log], varied))
    )
    assert asked == pytest.approx(distinct, abs=1e-3)
    assert nearly == pytest.approx(distinct, abs=0.01)


def test_two_wordings_of_one_question_do_not_hide_its_answer():
    rng = np.random.default_rng(0)
    found = 0
    for i in range(10):
        noise = 0.6 * unit(rng.normal(size=(2, QUERIES.shape[1])))
        wordings = EmbeddingArray(unit(QUERIES.values[[i, i]] + noise).astype("f4"), "query:text")
        found += ANSWERS[i] in search(taught(wordings), QUERIES[[i]], 3).ids[0]
    alone = search(taught(QUERIES[:0]), QUERIES[:10], 3).ids
    assert found >= sum(answer in ids for answer, ids in zip(ANSWERS, alone)) - 1

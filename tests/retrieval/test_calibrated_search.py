"""The retriever with a score calibration: how it answers, and what its results mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import N_FEATURES, assert_same_results, fitted, lines_of, small_corpus, unit
from scipy.special import softmax
from sklearn.base import clone

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.retrieval import _top_k

pytestmark = [
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:y was not given:UserWarning"),
]
seeds = st.integers(0, 2**16)
zero_rows = pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")


def by_hand(retriever, queries):
    """Calibrated scores of all documents in float64, from the lines of each query modality."""
    documents = retriever._index.now
    vectors = np.empty((len(documents), N_FEATURES))
    for segment in documents.directed.values():
        vectors[segment.columns["position"]] = segment.columns["vectors"]
    scores = unit(queries.values.astype(float)) @ vectors.T
    slopes = np.empty((len(queries), 1))
    for i, asks in enumerate(queries.modality):
        lines = lines_of(retriever, asks)
        scores[i] = lines.scale * scores[i] + lines.offset
        slopes[i] = retriever.score_calibration_.slope_[asks]
    return scores, slopes


# What is found.


@given(seeds, st.sampled_from(["f4", "f8"]), st.floats(0, 1), st.floats(0.1, 100))
def test_the_ranking_is_by_the_lines_and_the_probability_their_softmax(
    seed, dtype, hubness, prior_count
):
    retriever, queries = fitted(seed, dtype, hubness=hubness, prior_count=prior_count)
    found = retriever.search(queries)
    scores, slopes = by_hand(retriever, queries)
    position = {id_: i for i, id_ in enumerate(retriever.ids_.tolist())}
    at = np.vectorize(position.get)(found.ids)
    assert np.sort(at).tolist() == [[*range(27)]] * len(queries)
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, at, 1), atol=1e-12)
    assert (np.diff(found.scores) <= 0).all()
    want = np.take_along_axis(softmax(slopes * scores, axis=1), at, 1)
    np.testing.assert_allclose(found.probabilities, want, atol=1e-5)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()
    assert np.isfinite(found.evidence).all()


@given(seeds, st.integers(1, 40), st.sampled_from([None, "text", "image", "image+text"]))
def test_fewer_neighbors_are_the_beginning_of_all_with_the_same_probabilities(seed, k, kind):
    retriever, queries = fitted(seed)
    whole = retriever.search(queries, document_modality=kind)
    some = retriever.search(queries, k, document_modality=kind)
    n_found = min(k, whole.ids.shape[1])
    assert n_found == min(k, {None: 27, "text": 12, "image": 10, "image+text": 5}[kind])
    for name in ("ids", "scores", "modalities", "probabilities"):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[:, :n_found])
    np.testing.assert_array_equal(some.evidence, whole.evidence)
    np.testing.assert_allclose(whole.probabilities.sum(axis=1), 1, atol=1e-9)
    assert kind is None or set(whole.modalities.ravel()) == {kind}


@given(seeds, st.integers(1, 40))
def test_all_ways_to_the_best_documents_agree(seed, k):
    retriever, queries = fitted(seed, n_neighbors=k)
    found = retriever.search(queries)
    distances, indices = retriever.kneighbors(queries)
    assert (np.diff(distances) >= 0).all()
    np.testing.assert_array_equal(distances, 1 - found.scores)
    np.testing.assert_array_equal(retriever.ids_[indices], found.ids)
    np.testing.assert_array_equal(retriever.predict(queries), found.ids)
    held = retriever.transform(queries)
    assert held.nnz == found.ids.size
    np.testing.assert_array_equal(
        held.toarray()[np.arange(len(queries))[:, None], indices], found.scores
    )


@given(seeds, st.sampled_from(["f4", "f8"]), st.tuples(*[st.integers(1, 50)] * 3))
def test_neither_batch_nor_order_nor_block_size_matters(seed, dtype, blocks):
    want, queries = fitted(seed, dtype)
    whole = want.search(queries)
    with pytest.MonkeyPatch.context() as patch:
        steps = _top_k.Steps(
            blocks[0], blocks[1], blocks[1], blocks[2], few_scores=0, groups=blocks[2]
        )
        patch.setattr(_top_k, "_steps", lambda documents: steps)
        assert_same_results(whole, want.search(queries))
    order = np.random.default_rng(seed).permutation(len(queries))
    shuffled = want.search(queries[order])
    for i, row in enumerate(order):
        alone = want.search(queries[row : row + 1])
        for found, at in ((shuffled, i), (alone, 0)):
            np.testing.assert_array_equal(found.ids[at], whole.ids[row])
            np.testing.assert_array_equal(found.scores[at], whole.scores[row])
            for name in ("probabilities", "evidence"):
                one, two = getattr(found, name)[at], getattr(whole, name)[row]
                np.testing.assert_allclose(one, two, atol=1e-5)


@given(seeds)
def test_queries_of_several_modalities_are_answered_as_apart(seed):
    retriever, queries = fitted(seed)
    whole = retriever.search(queries)
    for asks in ("query:text", "query:image"):
        mine = queries.modality == asks
        apart = retriever.search(queries[mine])
        arrays = {name: x[mine] for name, x in vars(whole).items() if name != "contents"}
        assert_same_results(apart, type(whole)(**arrays), 1e-12)
    # Rows without the mark are answered as queries of their modality.
    plain = EmbeddingArray(queries.values, [m.removeprefix("query:") for m in queries.modality])
    with pytest.warns(UserWarning, match="None of these rows is marked"):
        assert_same_results(whole, retriever.search(plain))


def test_the_order_of_what_is_fitted_matters_only_for_ties():
    documents, queries, ids, relevance = small_corpus()
    X, y = EmbeddingArray.concatenate([documents, queries]), [*ids, *relevance]
    one = MixedModalityRetriever(27, score_calibration=PosteriorOdds()).fit(X, y)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(X))
        other = clone(one).fit(X[order], [y[i] for i in order])
        assert_same_results(one.search(queries), other.search(queries), 1e-9)


# What was not taught, and what has no direction.


@pytest.mark.parametrize("asks", ["query:audio", "query:audio+smell", "audio"])
@pytest.mark.filterwarnings("ignore:None of these rows is marked:UserWarning")
@pytest.mark.filterwarnings("ignore:PosteriorOdds learned nothing about 'query.audio:UserWarning")
def test_a_query_modality_that_was_not_taught_gets_cosines_beside_one_that_was(asks):
    retriever, queries = fitted()
    plain = MixedModalityRetriever(100).fit(*small_corpus()[::2])
    found = retriever.search(EmbeddingArray(queries.values, asks))
    want = plain.search(queries)
    np.testing.assert_array_equal(found.ids, want.ids)
    np.testing.assert_array_equal(found.scores, want.scores)
    assert np.isnan(found.probabilities).all()
    assert np.isnan(found.evidence).all()
    assert want.probabilities is None
    assert want.evidence is None
    mixed = retriever.search(EmbeddingArray(queries.values, [asks, *queries.modality[1:]]))
    np.testing.assert_array_equal(mixed.ids[0], want.ids[0])
    np.testing.assert_array_equal(mixed.ids[1:], retriever.search(queries).ids[1:])
    assert np.isnan(mixed.probabilities[:1]).all()
    assert np.isfinite(mixed.probabilities[1:]).all()


@pytest.mark.parametrize(("n_texts", "n_queries"), [(0, 0), (1, 0), (0, 1)])
def test_fewer_than_two_rows_teach_nothing(n_texts, n_queries):
    rng = np.random.default_rng(0)
    tags = ["image"] * 9 + ["text"] * n_texts + ["query:text"] * n_queries
    X = EmbeddingArray(rng.normal(size=(len(tags), N_FEATURES)), tags)
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    if n_queries:
        with pytest.warns(UserWarning, match="learned nothing yet about 'query:text'"):
            retriever.fit(X)
    else:
        retriever.fit(X)
    assert retriever.score_calibration_.query_modalities_ == ("query:image",)
    asked = EmbeddingArray(rng.normal(size=(3, N_FEATURES)), "query:text")
    with pytest.warns(UserWarning, match="learned nothing about 'query:text'"):
        found = retriever.search(asked)
    want = MixedModalityRetriever().fit(X).search(asked)
    np.testing.assert_array_equal(found.scores, want.scores)
    assert np.isnan(found.probabilities).all()


@zero_rows
@given(seeds, st.sets(st.integers(0, 21), min_size=1))
def test_documents_of_length_zero_come_last_and_teach_nothing(seed, without):
    documents, queries, ids, _ = small_corpus(seed)
    values = documents.values.copy()
    values[sorted(without)] = 0
    X = EmbeddingArray.concatenate([EmbeddingArray(values, documents.modality), queries])
    y = [*ids, *[None] * len(queries)]
    retriever = MixedModalityRetriever(27, score_calibration=PosteriorOdds()).fit(X, y)
    found = retriever.search(queries)
    n = 27 - len(without)
    assert found.ids[:, n:].tolist() == [[f"d{i}" for i in sorted(without)]] * len(queries)
    assert (found.probabilities[:, n:] == 0).all()
    assert (found.scores[:, n:] < found.scores[:, n - 1 : n]).all()
    assert np.isfinite(found.scores).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_array_equal(retriever.predict(queries), found.ids)
    kept = np.array([i not in without for i in range(len(y))])
    fewer = clone(retriever).fit(X[kept], [id_ for id_, keep in zip(y, kept) if keep])
    first = [x[:, :n] for name, x in vars(found).items() if name != "contents" and x.ndim == 2]
    odds = found.evidence, found.false_alarm
    assert_same_results(fewer.search(queries), type(found)(*first, *odds), 1e-9)


def test_a_query_of_length_zero_gets_the_corpus_in_order_and_no_probability():
    retriever, queries = fitted(n_neighbors=4)
    want = retriever.search(queries)
    queries.values[3] = 0
    with pytest.warns(UserWarning, match="1 query has length zero") as caught:
        found = retriever.search(queries)
    assert len(caught) == 1
    assert found.ids[3].tolist() == ["d0", "d1", "d2", "d3"]
    assert (found.scores[3] == 0).all()
    assert np.isnan(found.probabilities[3]).all()
    assert np.isnan(found.evidence[3])
    others = np.arange(len(queries)) != 3
    np.testing.assert_allclose(found.probabilities[others], want.probabilities[others], rtol=1e-12)
    queries.values[:] = 0
    with pytest.warns(UserWarning, match="9 queries have length zero"):
        assert np.isnan(retriever.search(queries).probabilities).all()


@zero_rows
def test_a_corpus_without_any_direction_learns_nothing_and_is_searched_in_order():
    zeros = EmbeddingArray(np.zeros((4, N_FEATURES)), ["text", "image"] * 2)
    _, queries, _, _ = small_corpus()
    X = EmbeddingArray.concatenate([zeros, queries])
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    with pytest.warns(UserWarning, match="PosteriorOdds learned nothing yet about 'query:image', "):
        retriever.fit(X)
    assert retriever.score_calibration_.query_modalities_ == ()
    found = retriever.search(queries)
    assert found.ids.tolist() == [[0, 1, 2, 3]] * len(queries)
    assert np.isnan(found.probabilities).all()
    with pytest.raises(ValueError, match="learned nothing about 'query:text'.*nothing yet"):
        retriever.export_vectors()


@pytest.mark.filterwarnings("ignore:.*learned nothing:UserWarning")
@given(st.integers(1, 12), st.integers(0, 3), st.integers(0, 3), st.sampled_from(["f4", "f8"]))
def test_equal_documents_and_equal_queries_give_finite_answers_in_order(n, n_asked, n_own, dtype):
    rows = unit(np.random.default_rng(0).normal(size=(3, N_FEATURES))).astype(dtype)
    tags = ["text"] * n + ["image"] * n + ["query:text"] * (n_asked + n_own)
    X = EmbeddingArray(rows[[0] * 2 * n + [1] * n_asked + [0] * n_own], tags)
    retriever = MixedModalityRetriever(100, score_calibration=PosteriorOdds()).fit(X)
    found = retriever.search(EmbeddingArray(rows, "query:text"))
    assert np.isfinite(found.scores).all()
    assert not np.isinf(found.probabilities).any()
    for kind in ("text", "image"):
        for ids, kinds, scores in zip(found.ids, found.modalities, found.scores):
            mine = ids[kinds == kind].tolist()
            assert mine == sorted(mine)
            assert (np.diff(scores[kinds == kind]) == 0).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("n_rows", "n_queries"), [(5, 0), (1, 1), (2, 1)])
def test_one_text_that_met_no_row_but_its_own_is_neither_always_first_nor_last(
    n_rows, n_queries, dtype
):
    rng = np.random.default_rng(0)
    tags = ["text"] * n_rows + ["image"] * 60 + ["query:text"] * n_queries
    X = EmbeddingArray(rng.normal(size=(len(tags), 32)).astype(dtype), tags)
    y = ["note"] * n_rows + [f"photo{i}" for i in range(60)] + [None] * n_queries
    retriever = MixedModalityRetriever(61, score_calibration=PosteriorOdds()).fit(X, y)
    queries = EmbeddingArray(rng.normal(size=(200, 32)), "query:text")
    found = retriever.search(queries)
    rank = (found.ids == "note").argmax(axis=1)
    assert 10 < np.mean(rank) < 40
    assert np.mean((rank == 0) | (rank == 60)) < 0.3
    assert np.ptp(found.scores) < 100
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("equal", ["queries", "documents", "all"])
def test_where_scores_have_no_spread_probabilities_still_add_up_to_one(equal, dtype):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 32))
    if equal != "queries":
        rows[:28] = rows[0]
    rows[28:] = rows[0] if equal == "all" else rows[29]
    if equal == "queries":  # two questions, whose scores are equal
        rows[:, -1] = 0
        rows[28:, -1] = 1, -1
    tags = ["text" if equal != "queries" and i % 2 else "image" for i in range(28)]
    X = EmbeddingArray(rows.astype(dtype), [*tags, *["query:text"] * 2])
    retriever = MixedModalityRetriever(28, score_calibration=PosteriorOdds()).fit(X)
    found = retriever.search(EmbeddingArray(rng.normal(size=(50, 32)), "query:text"))
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.isfinite(found.evidence).all()

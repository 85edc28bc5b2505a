import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from gapremoval.retrieval import _exact
from gapremoval.retrieval._exact import top_k


def unit_rows(rng, n_rows, n_features, dtype, n_distinct=None):
    """Unit rows; with few distinct ones, ties everywhere."""
    rows = rng.normal(size=(n_distinct or n_rows, n_features))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(dtype)[rng.integers(0, len(rows), n_rows)]


def brute_force(queries, documents, k):
    """Every pair in float64, each product computed alone; sorted by (-score, number)."""
    scores = np.array(
        [[np.einsum("i,i", q, d) for d in documents.astype(float)] for q in queries.astype(float)]
    )
    order = np.lexsort((np.broadcast_to(np.arange(len(documents)), scores.shape), -scores))[:, :k]
    return np.take_along_axis(scores, order, 1), order


sizes = {
    "seed": st.integers(0, 2**32 - 1),
    "n_queries": st.integers(1, 6),
    "n_documents": st.integers(1, 40),
    "n_distinct": st.integers(1, 40),
    "dtype": st.sampled_from(["f4", "f8"]),
}


@given(**sizes, data=st.data())
def test_it_is_what_brute_force_gives(seed, n_queries, n_documents, n_distinct, dtype, data):
    k = data.draw(st.integers(1, n_documents))
    rng = np.random.default_rng(seed)
    documents = unit_rows(rng, n_documents, 7, dtype, n_distinct)
    queries = unit_rows(rng, n_queries, 7, dtype)
    scores, indices, _ = top_k(queries, documents, k)
    want_scores, want_indices = brute_force(queries, documents, k)
    np.testing.assert_allclose(scores, want_scores, atol=1e-15)
    np.testing.assert_array_equal(indices, want_indices)


@given(**sizes, blocks=st.tuples(st.integers(1, 50), st.integers(1, 50), st.integers(1, 500)))
def test_no_block_size_changes_a_digit(seed, n_queries, n_documents, n_distinct, dtype, blocks):
    rng = np.random.default_rng(seed)
    documents = unit_rows(rng, n_documents, 7, dtype, n_distinct)
    queries = unit_rows(rng, n_queries, 7, dtype)
    k = min(5, n_documents)
    want = top_k(queries, documents, k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_exact, "QUERY_BLOCK", blocks[0])
        patch.setattr(_exact, "DOCUMENT_BLOCK", blocks[1])
        patch.setattr("gapremoval._array_api.BLOCK_SIZE", blocks[2])
        got = top_k(queries, documents, k)
    np.testing.assert_array_equal(want[0], got[0])
    np.testing.assert_array_equal(want[1], got[1])


def brute_force_lines(queries, documents, numbers, scale, offset, slope):
    """All scores ``scale * cosine + offset`` in the order of (-score, number); their log sums."""
    scores = queries.astype(float) @ documents.astype(float).T * scale + offset
    # Equal pairs of vector and line have equal scores, which a product need not show.
    scores = np.round(scores, 12)
    order = np.lexsort((np.broadcast_to(numbers, scores.shape), -scores))
    return np.take_along_axis(scores, order, 1), numbers[order], logsumexp(slope * scores, axis=1)


@given(**sizes, blocks=st.tuples(*[st.integers(1, 50)] * 3), data=st.data())
def test_scales_offsets_and_numbers_are_those_of_brute_force(
    seed, n_queries, n_documents, n_distinct, dtype, blocks, data
):
    k = data.draw(st.integers(1, n_documents))
    largest = data.draw(st.sampled_from([1.0, 30.0]))
    slope = data.draw(st.floats(0.1, 10))
    rng = np.random.default_rng(seed)
    # Equal documents have equal lines here, so that there are ties.
    distinct = rng.integers(0, n_distinct, n_documents)
    documents = unit_rows(rng, n_distinct, 7, dtype)[distinct]
    scale = rng.uniform(0.1, largest, n_distinct)[distinct]
    offset = rng.normal(size=n_distinct)[distinct]
    queries = unit_rows(rng, n_queries, 7, dtype)
    numbers = rng.permutation(3 * n_documents)[:n_documents]
    lines = {"numbers": numbers, "scale": scale, "offset": offset}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_exact, "QUERY_BLOCK", blocks[0])
        patch.setattr(_exact, "DOCUMENT_BLOCK", blocks[1])
        patch.setattr(_exact, "GROUP_SIZE", blocks[2])
        got = top_k(queries, documents, k, slope=slope, **lines)
    scores, order, log_sums = brute_force_lines(queries, documents, numbers, scale, offset, slope)
    np.testing.assert_allclose(got.scores, scores[:, :k], atol=2e-12)
    np.testing.assert_array_equal(got.indices, order[:, :k])
    # As in the documents' precision: a score's rounding grows with its scale.
    atol = 1e-5 * max(1, largest * slope / 50)
    np.testing.assert_allclose(got.log_sums, log_sums, atol=atol, rtol=0)
    plain = top_k(queries, documents, k, **lines)
    assert plain.log_sums is None
    np.testing.assert_array_equal(plain.scores, got.scores)
    np.testing.assert_array_equal(plain.indices, got.indices)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_log_sums_over_a_large_corpus_are_exact_to_a_hundred_thousandth(dtype):
    rng = np.random.default_rng(0)
    documents, queries = unit_rows(rng, 20_000, 64, dtype), unit_rows(rng, 20, 64, dtype)
    scale, offset = rng.uniform(5, 15, 20_000), rng.normal(size=20_000)
    got = top_k(queries, documents, 3, scale=scale, offset=offset, slope=3.0)
    scores = queries.astype(float) @ documents.astype(float).T * scale + offset
    np.testing.assert_allclose(got.log_sums, logsumexp(3 * scores, axis=1), atol=1e-5)
    alone = top_k(queries[:1], documents, 3, scale=scale, offset=offset, slope=3.0)
    np.testing.assert_allclose(alone.log_sums, got.log_sums[:1], atol=1e-5)


def test_large_scales_do_not_lose_what_rounding_hides():
    rng = np.random.default_rng(0)
    base = unit_rows(rng, 1, 64, "f8")
    documents = base + 1e-6 * rng.normal(size=(3000, 64))
    documents = (documents / np.linalg.norm(documents, axis=1, keepdims=True)).astype("f4")
    queries = base + 0.05 * unit_rows(rng, 20, 64, "f8")
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype("f4")
    scale, offset = np.full(3000, 1e6), np.zeros(3000)
    got = top_k(queries, documents, 10, scale=scale, offset=offset)
    want_scores, want_indices = brute_force(queries, documents, 10)
    np.testing.assert_array_equal(got.indices, want_indices)
    np.testing.assert_allclose(got.scores, 1e6 * want_scores, rtol=1e-12)


def test_log_sums_of_scores_beyond_the_range_of_exponentials_are_finite():
    documents = np.eye(3)
    lines = {"scale": np.full(3, 1e4), "offset": np.array([0, 2e3, -9e5])}
    got = top_k(np.eye(3), documents, 3, slope=5.0, **lines)
    want = logsumexp(5 * (np.eye(3) * 1e4 + lines["offset"]), axis=1)
    np.testing.assert_allclose(got.log_sums, want)


def test_with_a_scale_of_one_and_no_offset_scores_are_the_plain_ones():
    rng = np.random.default_rng(0)
    documents, queries = unit_rows(rng, 300, 7, "f4", 100), unit_rows(rng, 5, 7, "f4")
    want = top_k(queries, documents, 50)
    lines = {"scale": np.ones(300), "offset": np.zeros(300)}
    got = top_k(queries, documents, 50, **lines)
    np.testing.assert_array_equal(got.scores, want.scores)
    np.testing.assert_array_equal(got.indices, want.indices)
    backwards = np.arange(300)[::-1]
    other = top_k(queries, documents[::-1], 50, numbers=backwards, **lines)
    np.testing.assert_array_equal(other.scores, want.scores)
    np.testing.assert_array_equal(other.indices, want.indices)


def test_identical_documents_come_in_their_own_order_in_single_precision():
    rng = np.random.default_rng(0)
    documents = unit_rows(rng, 20_000, 64, "f4", n_distinct=50)
    queries = unit_rows(rng, 40, 64, "f4")
    scores, indices, _ = top_k(queries, documents, 500)
    equal = np.diff(scores) == 0
    assert equal.mean() > 0.9
    assert (np.diff(indices)[equal] > 0).all()


def test_a_query_is_answered_the_same_alone_and_in_a_batch():
    rng = np.random.default_rng(0)
    documents, queries = unit_rows(rng, 3000, 512, "f4"), unit_rows(rng, 300, 512, "f4")
    scores, indices, _ = top_k(queries, documents, 10)
    for i in (0, 7, 299):
        one_scores, one_indices, _ = top_k(queries[i : i + 1], documents, 10)
        np.testing.assert_array_equal(scores[i], one_scores[0])
        np.testing.assert_array_equal(indices[i], one_indices[0])


def test_scores_that_rise_along_the_corpus_are_all_found():
    along = np.linspace(0, 1, 30_000)
    documents = np.stack([along, np.sqrt(1 - along**2)], axis=1)
    indices = top_k(np.array([[1.0, 0.0]]), documents, 5).indices
    assert indices.tolist() == [[29_999, 29_998, 29_997, 29_996, 29_995]]

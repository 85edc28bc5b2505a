import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from gapremoval.retrieval import _top_k
from gapremoval.retrieval._top_k import top_k


def unit_rows(rng, n_rows, n_features, dtype, n_distinct=None):
    """Unit rows; with few distinct ones, ties everywhere."""
    rows = rng.normal(size=(n_distinct or n_rows, n_features))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(dtype)[rng.integers(0, len(rows), n_rows)]


def unit(queries):
    """Queries in float64, of unit length to its last digit."""
    queries = queries.astype(float)
    return queries / np.linalg.norm(queries, axis=1, keepdims=True)


def brute_force(queries, documents, k):
    """Every pair in float64, each product computed alone; sorted by (-score, number)."""
    scores = np.array(
        [[np.einsum("i,i", q, d) for d in documents.astype(float)] for q in unit(queries)]
    )
    order = np.lexsort((np.broadcast_to(np.arange(len(documents)), scores.shape), -scores))[:, :k]
    return np.take_along_axis(scores, order, 1), order


@contextmanager
def cut_otherwise(data):
    """Steps, with blocks, groups and bounds drawn at random, and a number of threads."""
    size, n_threads = st.integers(1, 50), data.draw(st.sampled_from([0, 1, 2, 7]))

    def in_threads(work, uses_blas):
        with ThreadPoolExecutor(n_threads) as pool:
            return list(pool.map(lambda _: work(), range(n_threads)))

    numbers = st.integers(1, 300)
    steps = _top_k.Steps(
        *(data.draw(x) for x in (size, numbers, numbers, numbers)),
        few_scores=data.draw(st.sampled_from([0, 2**15])),
        worth_threads=0 if n_threads else np.inf,
        groups=data.draw(size),
        groups_of_k=data.draw(st.sampled_from([1, 4])),
        crowd=data.draw(st.sampled_from([1, 2, 4])),
        crowded_block=data.draw(size),
        gathered=data.draw(numbers),
        copying=data.draw(st.sampled_from([-1.0, 1e9])),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_top_k, "in_threads", in_threads)
        yield steps


def near_ties(rng, n_rows, n_features, dtype):
    """Unit rows a millionth apart, most of them twice."""
    rows = rng.normal(size=n_features) + 1e-6 * rng.normal(size=(n_rows, n_features))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(dtype)[rng.integers(0, n_rows, n_rows)]


sizes = {
    "seed": st.integers(0, 2**32 - 1),
    "n_queries": st.integers(1, 6),
    "n_documents": st.integers(1, 40),
    "n_distinct": st.integers(1, 40),
    "dtype": st.sampled_from(["f2", "f4", "f8"]),
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


@given(**sizes, data=st.data())
def test_no_block_size_and_no_thread_changes_a_digit(
    seed, n_queries, n_documents, n_distinct, dtype, data
):
    rng = np.random.default_rng(seed)
    documents = unit_rows(rng, n_documents, 7, dtype, n_distinct)
    queries = unit_rows(rng, n_queries, 7, dtype)
    k = min(data.draw(st.sampled_from([1, 5, 40])), n_documents)
    want = top_k(queries, documents, k)
    with cut_otherwise(data) as steps:
        got = top_k(queries, documents, k, steps=steps)
    np.testing.assert_array_equal(want[0], got[0])
    np.testing.assert_array_equal(want[1], got[1])


@given(
    seed=st.integers(0, 2**32 - 1),
    n_documents=st.integers(1, 200),
    dtype=st.sampled_from(["f4", "f8"]),
    data=st.data(),
)
def test_documents_a_millionth_apart_are_told_apart(seed, n_documents, dtype, data):
    k = data.draw(st.integers(1, min(n_documents, 20)))
    rng = np.random.default_rng(seed)
    documents = near_ties(rng, n_documents, 7, dtype)
    queries = near_ties(rng, 5, 7, dtype)
    with cut_otherwise(data) as steps:
        scores, indices, _ = top_k(queries, documents, k, steps=steps)
        best = indices[:, 0]
        others = top_k(queries, documents, k, without=best, steps=steps)
    want_scores, want_indices = brute_force(queries, documents, n_documents)
    np.testing.assert_allclose(scores, want_scores[:, :k], atol=1e-15)
    np.testing.assert_array_equal(indices, want_indices[:, :k])
    n_others = min(k, n_documents - 1)
    want_others = want_indices[:, 1 : n_others + 1]
    np.testing.assert_array_equal(others.rows[:, :n_others], want_others)


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_documents_on_disk_are_searched_where_they_lie(tmp_path, dtype):
    rng = np.random.default_rng(0)
    documents, queries = unit_rows(rng, 30_000, 16, dtype, 20_000), unit_rows(rng, 9, 16, "f4")
    on_disk = np.memmap(tmp_path / "vectors", dtype, "w+", shape=documents.shape)
    on_disk[:] = documents
    on_disk.flush()
    on_disk = np.memmap(tmp_path / "vectors", dtype, "r", shape=documents.shape)
    for live in (rng.random(30_000) < 0.2, None):
        want, got = (top_k(queries, x, 10, live=live) for x in (documents, on_disk))
        np.testing.assert_array_equal(want.scores, got.scores)
        np.testing.assert_array_equal(want.rows, got.rows)
    stored = np.einsum("qd,qkd->qk", unit(queries), documents[got.rows].astype(float))
    np.testing.assert_allclose(got.scores, stored, atol=1e-15)


def test_every_float16_is_searched_by_its_value():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    documents = every[np.abs(every) <= 1][:, None]
    got = top_k(np.ones((2, 1)), documents, len(documents))
    want = np.sort(documents.astype(float).ravel())[::-1]
    np.testing.assert_array_equal(got.scores, [want, want])


def crowds(name, n_documents=40_000, n_features=24):
    """Documents and near-equal queries to which very many documents score nearly the same."""
    rng = np.random.default_rng(0)
    rows, query = unit_rows(rng, n_documents, n_features, "f8"), np.eye(n_features)[0]
    across = rows - np.outer(rows @ query, query)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    queries = query + 1e-5 * rng.normal(size=(20, n_features))
    if name == "equal rows":
        rows[:] = rows[0]
    elif name == "equal rows in runs":
        rows = rows[np.arange(n_documents) // 3 % 7]
    elif name == "rising rows":
        along = np.linspace(0, 0.9, n_documents)[:, None]
        rows = along * query + np.sqrt(1 - along**2) * across
    elif name == "rows that hardly rise":
        along = 0.5 + 1e-9 * np.arange(n_documents)[:, None]
        rows = along * query + np.sqrt(1 - along**2) * across
    elif name == "equal at the last place":
        rows[rng.choice(n_documents, 10_000, replace=False)] = 0.9 * query + 0.435 * across[0]
        rows[rng.choice(n_documents, 4, replace=False)] = 0.95 * query + 0.312 * across[1]
        rows[7] = query
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return queries.astype("f4"), rows.astype("f4")


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "equal rows",
        "equal rows in runs",
        "rising rows",
        "rows that hardly rise",
        "equal at the last place",
    ],
)
def test_crowds_near_the_last_place_are_resolved(name, threads):
    steps = _top_k.IN_NUMPY._replace(worth_threads=0 if threads else np.inf)
    queries, documents = crowds(name)
    for k in (1, 10):
        got = top_k(queries, documents, k, steps=steps)
        # Each score is rounded once more, as two orders of addition differ in the last digit.
        scores = np.round(unit(queries) @ documents.astype(float).T, 14)
        order = np.lexsort((np.broadcast_to(np.arange(40_000), scores.shape), -scores))[:, :k]
        np.testing.assert_array_equal(got.rows, order)
        np.testing.assert_allclose(
            got.scores, np.take_along_axis(scores, order, axis=1), atol=2e-14, rtol=0
        )


@given(**sizes, data=st.data())
def test_equal_documents_with_unlike_lines_are_told_apart(
    seed, n_queries, n_documents, n_distinct, dtype, data
):
    k = data.draw(st.integers(1, n_documents))
    rng = np.random.default_rng(seed)
    documents = unit_rows(rng, n_documents, 7, dtype, min(n_distinct, 2))
    queries = unit_rows(rng, n_queries, 7, "f8")
    lines = {
        "scale": rng.choice([1.0, 1 + 1e-8], n_documents),
        "offset": rng.choice([0.0, 1e-8], n_documents),
    }
    want = top_k(queries, documents, k, **lines)
    with cut_otherwise(data) as steps:
        got = top_k(queries, documents, k, **lines, steps=steps)
    np.testing.assert_array_equal(want.scores, got.scores)
    np.testing.assert_array_equal(want.rows, got.rows)
    scores = unit(queries) @ documents.astype(float).T * lines["scale"] + lines["offset"]
    np.testing.assert_allclose(got.scores, -np.sort(-scores, axis=1)[:, :k], atol=1e-14)


@pytest.mark.parametrize("name", ["ordinary", "equal rows", "rows that hardly rise"])
@pytest.mark.parametrize("lines", [False, True])
def test_the_scores_of_all_documents_are_never_held_at_once(name, lines):
    queries, documents = crowds(name, 100_000, 8)
    queries = np.concatenate([queries] * 13)
    given = {"scale": np.full(100_000, 2.0), "offset": np.zeros(100_000)} if lines else {}
    tracemalloc.start()
    try:
        top_k(queries, documents, 10, slope=3.0 if lines else None, **given)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(queries) * len(documents) * 4 / 2


def brute_force_lines(queries, documents, scale, offset, slope):
    """All scores ``scale * cosine + offset`` in the order of (-score, row); their log sums."""
    scores = unit(queries) @ documents.astype(float).T * scale + offset
    # Equal pairs of vector and line have equal scores, which a product need not show.
    scores = np.round(scores, 12)
    order = np.argsort(-scores, axis=1, stable=True)
    return np.take_along_axis(scores, order, 1), order, logsumexp(slope * scores, axis=1)


@given(**sizes, data=st.data())
def test_scales_and_offsets_are_those_of_brute_force(
    seed, n_queries, n_documents, n_distinct, dtype, data
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
    lines = {"scale": scale, "offset": offset}
    with cut_otherwise(data) as steps:
        got = top_k(queries, documents, k, slope=slope, **lines, steps=steps)
    scores, order, log_sums = brute_force_lines(queries, documents, scale, offset, slope)
    np.testing.assert_allclose(got.scores, scores[:, :k], atol=2e-12)
    np.testing.assert_array_equal(got.rows, order[:, :k])
    # As in the documents' precision: a score's rounding grows with its scale.
    atol = 1e-5 * max(1, largest * slope / 50)
    np.testing.assert_allclose(got.log_sums, log_sums, atol=atol, rtol=0)
    plain = top_k(queries, documents, k, **lines)
    assert plain.log_sums is None
    np.testing.assert_array_equal(plain.scores, got.scores)
    np.testing.assert_array_equal(plain.rows, got.rows)


@given(**sizes, lines=st.booleans(), data=st.data())
def test_only_live_documents_are_found_and_summed_up(
    seed, n_queries, n_documents, n_distinct, dtype, lines, data
):
    rng = np.random.default_rng(seed)
    documents = unit_rows(rng, n_documents, 7, dtype, n_distinct)
    queries = unit_rows(rng, n_queries, 7, dtype)
    live = np.array(data.draw(st.lists(st.booleans(), min_size=n_documents, max_size=n_documents)))
    live[rng.integers(n_documents)] = True
    k = data.draw(st.integers(1, live.sum()))
    given_lines, given_alive = {}, {}
    if lines:
        given_lines = {
            "scale": rng.uniform(1, 9, n_documents),
            "offset": rng.normal(size=n_documents),
        }
        given_alive = {name: line[live] for name, line in given_lines.items()}
    given_live = live if data.draw(st.booleans()) else np.flatnonzero(live)
    with cut_otherwise(data) as steps:
        got = top_k(queries, documents, k, live=given_live, slope=2.0, **given_lines, steps=steps)
    want = top_k(queries, documents[live], k, slope=2.0, **given_alive)
    np.testing.assert_array_equal(got.scores, want.scores)
    np.testing.assert_array_equal(got.rows, np.flatnonzero(live)[want.rows])
    np.testing.assert_allclose(got.log_sums, want.log_sums, atol=1e-5)


@given(**sizes, lines=st.booleans(), data=st.data())
def test_a_document_that_a_query_leaves_out_is_as_if_it_were_not_there(
    seed, n_queries, n_documents, n_distinct, dtype, lines, data
):
    rng = np.random.default_rng(seed)
    documents = unit_rows(rng, n_documents + 1, 7, dtype, n_distinct)
    queries = unit_rows(rng, n_queries, 7, dtype)
    live = rng.random(n_documents + 1) < data.draw(st.sampled_from([0.5, 1.0]))
    live[rng.integers(n_documents + 1, size=2)] = True
    k = data.draw(st.integers(1, live.sum()))
    given_lines = {}
    if lines:
        given_lines["scale"] = rng.uniform(1, 9, n_documents + 1)
        given_lines["offset"] = rng.normal(size=n_documents + 1)
    without = rng.integers(-1, n_documents + 1, n_queries)
    given_live = data.draw(st.sampled_from([live, np.flatnonzero(live)]))
    given = {"live": None if live.all() else given_live, "slope": 2.0, **given_lines}
    with cut_otherwise(data) as steps:
        got = top_k(queries, documents, k, without=without, steps=steps, **given)
    for i, row in enumerate(without):
        others = np.flatnonzero(live & (np.arange(n_documents + 1) != row))
        n_found = min(k, len(others))
        assert (got.scores[i, n_found:] == -np.inf).all()
        if not n_found:
            continue
        of_others = {name: line[others] for name, line in given_lines.items()}
        want = top_k(queries[i : i + 1], documents[others], n_found, slope=2.0, **of_others)
        np.testing.assert_array_equal(got.scores[i, :n_found], want.scores[0])
        np.testing.assert_array_equal(got.rows[i, :n_found], others[want.rows[0]])
        np.testing.assert_allclose(got.log_sums[i], want.log_sums[0], atol=1e-5)


@given(
    st.integers(-60, 60),
    st.sampled_from(["f2", "f4", "f8"]),
    st.sampled_from(["f2", "f4", "f8"]),
)
def test_a_query_may_have_any_length_and_any_dtype(power, dtype, dtype_of_queries):
    rng = np.random.default_rng(0)
    documents, queries = unit_rows(rng, 50, 7, dtype, 20), unit_rows(rng, 3, 7, dtype_of_queries)
    power = power // 10 if dtype_of_queries == "f2" else power
    got = top_k(np.ldexp(queries, power), documents, 10)
    # Powers of two change no digit but where a float16 leaves its normal range.
    want = top_k(unit(np.ldexp(queries, power)), documents, 10)
    np.testing.assert_array_equal(got.rows, want.rows)
    np.testing.assert_allclose(got.scores, want.scores, atol=1e-15)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_log_sums_over_a_large_corpus_are_exact_to_a_hundred_thousandth(dtype):
    rng = np.random.default_rng(0)
    documents, queries = unit_rows(rng, 20_000, 64, dtype), unit_rows(rng, 20, 64, dtype)
    scale, offset = rng.uniform(5, 15, 20_000), rng.normal(size=20_000)
    got = top_k(queries, documents, 3, scale=scale, offset=offset, slope=3.0)
    scores = unit(queries) @ documents.astype(float).T * scale + offset
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
    np.testing.assert_array_equal(got.rows, want_indices)
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
    np.testing.assert_array_equal(got.rows, want.rows)


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
    indices = top_k(np.array([[1.0, 0.0]]), documents, 5).rows
    assert indices.tolist() == [[29_999, 29_998, 29_997, 29_996, 29_995]]


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_rounding_does_not_decide_which_of_equal_documents_come_first(library, monkeypatch):
    rng, products = np.random.default_rng(0), _top_k._products

    def rounded_otherwise(queries, documents, by_dots, out=None):
        rough = products(queries, documents, by_dots, out)
        nudge = np.float32(1e-7) * rng.integers(-1, 2, rough.shape).astype("f4")
        rough += nudge if library == "numpy" else xp.asarray(nudge)
        return rough

    xp = np if library == "numpy" else pytest.importorskip("torch")
    queries, documents = crowds("equal rows", 3000)
    want = top_k(queries, documents, 7).rows
    monkeypatch.setattr(_top_k, "_products", rounded_otherwise)
    got = top_k(xp.asarray(queries), xp.asarray(documents), 7).rows
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(got, [range(7)] * len(queries))

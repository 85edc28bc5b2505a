"""Statistics over the scores that teach, against all of them held at once."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import all_scores, slow_best, slow_spreads, teaching_scores

from gapremoval.score_calibration._hubs import top_means
from gapremoval.score_calibration._teaching import Blocks, TeachingScores

MODALITIES = ["audio", "image", "image+text", "text"]


@st.composite
def some_teaching(draw, min_rows=0, dtypes=("f4", "f8")):
    """TeachingScores of one to four modalities."""
    names = draw(st.lists(st.sampled_from(MODALITIES), min_size=1, max_size=4, unique=True))
    counts = {name: draw(st.integers(1, 12)) for name in sorted(names)}
    n_queries = draw(st.integers(0, 9))
    n_fallback = draw(st.integers(max(min_rows - n_queries, 0), 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return teaching_scores(rng, counts, n_queries, n_fallback, draw(st.sampled_from(dtypes)))


@st.composite
def some_blocks(draw):
    """TeachingScores that handle a few scores at once."""
    sizes = [draw(st.integers(1, 60)) for _ in Blocks()]
    return type("SmallBlocks", (TeachingScores,), {"sizes": Blocks(*sizes)})


def in_blocks(blocks, scores):
    return blocks(*(getattr(scores, field.name) for field in fields(scores)))


def tolerance(scores):
    return 2e-6 if scores.queries.dtype == "f4" else 1e-12


@given(some_teaching(min_rows=1), some_blocks(), st.integers(0, 2**32 - 1))
def test_spreads_are_those_of_all_scores_but_a_fallback_querys_own(scores, blocks, seed):
    weights = np.random.default_rng(seed).uniform(0.1, 3, scores.n_rows)
    want = slow_spreads(all_scores(scores), weights)
    got = in_blocks(blocks, scores).spreads(weights)
    for name, one, other in zip(("mean", "variance", "noise"), got, want):
        np.testing.assert_allclose(one, other, atol=tolerance(scores), rtol=0, err_msg=name)
    assert (got[1] > 0).all()
    assert (got[2] >= 0).all()


@given(some_teaching(min_rows=1), some_blocks(), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_the_best_are_those_of_sorting(scores, blocks, k, seed):
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.2, 20, scores.n_documents)
    shift = rng.normal(size=len(scores.segments))
    table = all_scores(scores)
    for m, segment in enumerate(scores.segments.values()):
        table[: len(scores.queries), segment] -= shift[m]
    want = slow_best(table * scale, scores.segments, k)
    got = in_blocks(blocks, scores).best(k, scale, shift)
    np.testing.assert_allclose(got, want, atol=100 * tolerance(scores))


@pytest.mark.parametrize("n_documents", [*range(1, 18), 64, 65])
def test_the_best_of_equal_scores_are_equal(n_documents):
    scores = teaching_scores(np.random.default_rng(0), {"text": n_documents}, 3, 0)
    scores.vectors["text"][:] = scores.vectors["text"][0]
    first, *others = scores.best(12, np.ones(n_documents), np.zeros(1))
    for rank, other in enumerate(others, start=2):
        np.testing.assert_allclose(other, first if n_documents >= rank else -np.inf)


@given(some_teaching(min_rows=1), some_blocks(), st.integers(1, 20))
def test_top_means_are_those_of_the_k_best_others(scores, blocks, k):
    table = all_scores(scores)
    want = [np.sort(column[np.isfinite(column)])[-k:] for column in table.T]
    got = top_means(in_blocks(blocks, scores), k)
    want = [best.mean() if len(best) else 0 for best in want]
    np.testing.assert_allclose(got, want, atol=tolerance(scores))


@given(some_teaching(), some_blocks())
def test_mean_scores_are_each_querys_means_over_the_modalities(scores, blocks):
    table = all_scores(scores)[: len(scores.queries)]
    want = [table[:, segment].mean(axis=1) for segment in scores.segments.values()]
    got = in_blocks(blocks, scores).mean_scores()
    assert got.shape == (len(scores.queries), len(scores.segments))
    np.testing.assert_allclose(got, np.transpose(want), atol=tolerance(scores))


@given(some_teaching(min_rows=1), some_blocks())
def test_blocks_are_all_scores_once_and_of_one_modality_each(scores, blocks):
    table, want = np.full((2, scores.n_documents, scores.n_rows), 9.0)
    want = all_scores(scores).T
    for name, documents, block, own in in_blocks(blocks, scores).blocks():
        inside = scores.segments[name]
        assert inside.start <= documents.start < documents.stop <= inside.stop
        assert (table[documents] == 9).all()
        assert np.isnan(want[documents][own]).all()
        assert len(own[0]) == np.isnan(want[documents]).sum()
        table[documents] = block
    same = np.isfinite(want)
    np.testing.assert_allclose(table[same], want[same], atol=tolerance(scores))
    assert (abs(table) <= 1.001).all()


@given(some_teaching())
def test_scores_of_a_query_and_some_documents_are_inner_products(scores):
    table = all_scores(scores)
    documents = np.arange(scores.n_documents)[::-2]
    for query in range(len(scores.queries)):
        got = scores.scores_of(np.full(len(documents), query), documents)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, table[query, documents], atol=1e-12)


def test_where_queries_ask_the_fallback_queries_are_left_out():
    rng = np.random.default_rng(0)
    asked = teaching_scores(rng, {"text": 5}, 3, 4).asked()
    assert (len(asked.queries), len(asked.fallback), len(asked.own)) == (3, 0, 3)
    alone = teaching_scores(rng, {"text": 5}, 0, 4)
    assert alone.asked() is alone


@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
def test_statistics_do_not_depend_on_the_array_library(library):
    xp = pytest.importorskip(library)
    scores = teaching_scores(np.random.default_rng(0), {"image": 9, "text": 7}, 5, 4)
    vectors = {name: xp.asarray(rows.copy()) for name, rows in scores.vectors.items()}
    other = replace(scores, vectors=vectors)
    weights, scale, shift = np.ones(9), np.linspace(1, 2, 16), np.array([0.1, 0.2])
    for one, two in (
        (scores.spreads(weights), other.spreads(weights)),
        (scores.best(2, scale, shift), other.best(2, scale, shift)),
        (scores.mean_scores(), other.mean_scores()),
        (top_means(scores, 3), top_means(other, 3)),
        (x.scores_of(np.array([0, 0]), np.array([3, 1])) for x in (scores, other)),
    ):
        assert all(isinstance(x, np.ndarray | np.floating) for x in two)
        np.testing.assert_allclose(one, two, atol=1e-12)


def test_a_row_is_read_as_it_lies_and_the_documents_are_not_written():
    scores = teaching_scores(np.random.default_rng(0), {"image": 9, "text": 7}, 5, 4)
    for rows in (*scores.vectors.values(), scores.rows):
        rows.flags.writeable = False
    scores.spreads(np.ones(9))
    scores.best(2, np.ones(16), np.zeros(2))
    top_means(scores, 2)
    scores.mean_scores()

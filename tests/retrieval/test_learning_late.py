"""A score calibration learns whenever there is something to learn from, and says when not."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import N_FEATURES, assert_same_results, fitted, learned_by, small_corpus
from sklearn.base import clone

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.retrieval._query_banks import MOST_ROWS
from gapremoval.score_calibration import CSLS, QBNorm, ReciprocalRankFusion, ScoreZ

pytestmark = pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
LEARNED_NOTHING = pytest.mark.filterwarnings("ignore:.*learned nothing:UserWarning")


def pieces_of(seed, cuts, order):
    """The small corpus cut into pieces of whole documents, and pieces of queries, in an order."""
    documents, queries, ids, relevance = small_corpus(seed)
    groups = np.array([int(x[1:]) * len(cuts) // 27 for x in ids])
    pieces = [(documents[groups == g], [x for x, at in zip(ids, groups) if at == g]) for g in cuts]
    some = np.arange(len(queries)) % 2 == 0
    asked = [
        (queries[mine], [x if judge else None for x, keep in zip(relevance, mine) if keep])
        for mine, judge in ((some, False), (~some, False))
    ]
    pieces = [pieces[i] if i < len(pieces) else asked[i - len(pieces)] for i in order]
    return pieces, queries


@LEARNED_NOTHING
@pytest.mark.parametrize(
    "calibration", [PosteriorOdds(), PosteriorOdds(recenter=False), ScoreZ(), CSLS(), QBNorm()]
)
@given(st.integers(0, 99), st.integers(1, 4), st.randoms(use_true_random=False))
def test_pieces_in_any_order_that_ends_with_queries_are_as_fitted_at_once(
    calibration, seed, n_pieces, random
):
    order = list(range(n_pieces + 2))
    random.shuffle(order)
    if order[0] >= n_pieces:  # documents come first
        at = order.index(0)
        order[0], order[at] = order[at], order[0]
    if order[-1] < n_pieces:  # the last queries let it learn from all that came
        at = order.index(n_pieces + 1)
        order[-1], order[at] = order[at], order[-1]
    pieces, queries = pieces_of(seed, range(n_pieces), order)
    living = MixedModalityRetriever(100, score_calibration=calibration)
    for X, y in pieces:
        living.partial_fit(X, y)
    X = EmbeddingArray.concatenate([X for X, _ in pieces])
    whole = clone(living).fit(X, [x for _, y in pieces for x in y])
    found, want = living.search(queries), whole.search(queries)
    if found.probabilities is None:
        np.testing.assert_array_equal(found.ids, want.ids)
        np.testing.assert_allclose(found.scores, want.scores, atol=1e-9)
    else:
        assert_same_results(want, found, 1e-9)


def test_judged_queries_that_come_late_teach_as_those_that_were_fitted():
    documents, queries, ids, relevance = small_corpus()
    whole = MixedModalityRetriever(100, score_calibration=PosteriorOdds())
    late = clone(whole).fit(documents, ids).partial_fit(queries, relevance)
    whole.fit(EmbeddingArray.concatenate([documents, queries]), [*ids, *relevance])
    assert_same_results(whole.search(queries), late.search(queries), 1e-9)
    with pytest.raises(ValueError, match="1 unknown document: 'nobody'.*learns from"):
        late.partial_fit(queries, ["nobody", *relevance[1:]])
    assert_same_results(whole.search(queries), late.search(queries), 1e-9)


def test_documents_alone_leave_what_was_learned():
    retriever, _ = fitted()
    before = learned_by(retriever)
    documents, _, ids, _ = small_corpus(5)
    for i in range(20):
        retriever.partial_fit(documents[i : i + 1], [f"new{ids[i]}"])
    assert learned_by(retriever) is not before
    assert learned_by(retriever) == before
    assert len(retriever._index.now.banks) <= 9


def test_after_a_removal_queries_teach_about_what_is_left():
    retriever, queries = fitted()
    documents, asked, ids, relevance = small_corpus()
    gone = ["d0", "d3", "d22"]
    retriever.remove(gone).partial_fit(queries, [None] * len(queries))
    kept = np.array([x not in gone for x in ids])
    # A query whose answer is gone is an unjudged one.
    left = [None if x is None or x[0] in gone else x for x in relevance]
    X = EmbeddingArray.concatenate([documents[kept], asked, queries])
    y = [*np.array(ids)[kept].tolist(), *left, *[None] * len(queries)]
    fresh = clone(retriever).fit(X, y)
    assert_same_results(fresh.search(queries), retriever.search(queries), 1e-9)


def test_a_document_that_was_replaced_gives_its_new_rows_as_fallback_queries():
    retriever, queries = fitted()
    documents, asked, ids, relevance = small_corpus()
    new = EmbeddingArray(np.random.default_rng(8).normal(size=(1, N_FEATURES)), "text")
    retriever._add_documents(new, ["d1"], None, replace=True)
    retriever.partial_fit(queries[:1], [None])
    kept = np.array([x != "d1" for x in ids])
    X = EmbeddingArray.concatenate([documents[kept], new, asked, queries[:1]])
    fresh = clone(retriever).fit(X, [*np.array(ids)[kept].tolist(), "d1", *relevance, None])
    assert_same_results(fresh.search(queries), retriever.search(queries), 1e-9)


def test_the_bank_keeps_judged_queries_the_newest_and_a_sample_of_the_others():
    rng = np.random.default_rng(0)
    documents = EmbeddingArray(rng.normal(size=(40, N_FEATURES)), "text")
    rows = rng.normal(size=(3 * MOST_ROWS, N_FEATURES))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    retriever.fit(documents, [*range(40)])
    parts = (0, 1000, 1500, 1510, 2000)
    for first, stop in pairwise(parts):
        y = [row % 40 if row in (3, 1204) else None for row in range(first, stop)]
        retriever.partial_fit(EmbeddingArray(rows[first:stop], "query:text"), y)
    (banks,) = retriever._index.now.banks
    bank = banks["query:text"]
    queries = bank.rows[: bank.n_queries]
    kept = (queries @ rows.T).argmax(axis=1)
    np.testing.assert_allclose(queries, rows[kept])
    assert len(set(kept.tolist())) == len(kept) == MOST_ROWS
    assert set(kept) >= {3, 1204, *range(1510, 2000)}
    judged = [x is not None for x in bank.known[: len(kept)]]
    assert kept[judged].tolist() == [3, 1204]
    assert (kept < 1000).sum() > 100
    assert (kept[kept >= 1000] < 1500).sum() > 50
    assert len(bank.own) - bank.n_queries == 40


@pytest.mark.parametrize("replaces", [False, True])
def test_documents_that_come_and_go_leave_the_fallback_queries_of_those_that_stay(replaces):
    rng = np.random.default_rng(0)
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    retriever.fit(EmbeddingArray(rng.normal(size=(20, N_FEATURES)), "text"), [*range(20)])
    retriever.partial_fit(
        EmbeddingArray(rng.normal(size=(500, N_FEATURES)), "text"), range(500, 1000)
    )
    passing = [*range(1000, 1700)]
    for _ in range(30):
        rows = EmbeddingArray(rng.normal(size=(700, N_FEATURES)), "text")
        if not replaces and 1000 in set(retriever.ids_.tolist()):
            retriever.remove(passing)
        retriever._add_documents(rows, passing, None, replace=True)
    now = retriever._index.now
    own = np.concatenate([bank["query:text"].own for bank in now.banks])
    assert np.count_nonzero(own < 20) == 20
    # A sample of the documents that stay, as large as their part of the corpus.
    assert np.count_nonzero((own >= 20) & (own < 520)) > 250


# Warnings.


def test_a_calibration_that_learned_nothing_says_so_until_there_is_enough():
    documents, queries, ids, _ = small_corpus()
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    message = r"PosteriorOdds learned nothing yet about 'query:text', whose scores.*partial_fit\("
    with pytest.warns(UserWarning, match=message) as caught:
        retriever.partial_fit(documents[:1], ids[:1])
    assert len(caught) == 1
    assert retriever.score_calibration_.query_modalities_ == ()
    assert retriever.score_calibration_.answer_share_ == {}
    with pytest.warns(UserWarning, match="learned nothing about 'query:image', 'query:text'"):
        assert np.isnan(retriever.search(queries).probabilities).all()
    with pytest.raises(ValueError, match="learned nothing about 'query:text'.*nothing yet"):
        retriever.export_vectors()
    retriever.partial_fit(documents[1:2], ids[1:2])
    assert retriever.score_calibration_.query_modalities_ == ("query:text",)
    assert np.isfinite(retriever.search(queries[:1]).probabilities).all()


def test_query_rows_that_teach_nothing_are_named():
    retriever, _ = fitted()
    heard = EmbeddingArray(np.eye(2, N_FEATURES), "query:audio")
    with pytest.warns(UserWarning, match="learned nothing yet about 'query:audio'"):
        retriever.partial_fit(heard[:1], [None])
    retriever.partial_fit(heard[1:], [None])
    assert "query:audio" in retriever.score_calibration_.query_modalities_


def test_what_needs_no_learning_does_not_warn():
    one = EmbeddingArray(np.eye(1, N_FEATURES), "text")
    for calibration in (None, ReciprocalRankFusion()):
        MixedModalityRetriever(score_calibration=calibration).fit(one, ["a"])


def test_several_modalities_without_ids_are_no_parts_and_that_is_told():
    X = EmbeddingArray(np.eye(4), ["text", "image", "query:text", "query:image"])
    with pytest.warns(UserWarning, match="y was not given, so no parts were joined: .*'text', 'im"):
        retriever = MixedModalityRetriever().fit(X)
    with pytest.warns(UserWarning, match="y was not given"):
        retriever.partial_fit(X)
    for rows, y in ((X, [*range(4)]), (X[[0, 2, 3]], None)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            MixedModalityRetriever().fit(rows, y)

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import issparse
from sklearn.exceptions import NotFittedError
from strategies import tagged_rows

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.score_calibration import QBNorm, ReciprocalRankFusion

pytestmark = [
    pytest.mark.filterwarnings("ignore:None of these rows is marked:UserWarning"),
    pytest.mark.filterwarnings("ignore:y was not given:UserWarning"),
]


def corpus(n_documents=20, n_features=8, seed=0, dtype="f8"):
    rng = np.random.default_rng(seed)
    modality = np.array(["text", "image"])[np.arange(n_documents) % 2]
    X = EmbeddingArray(rng.normal(size=(n_documents, n_features)).astype(dtype), modality)
    queries = EmbeddingArray(rng.normal(size=(5, n_features)).astype(dtype), "query:text")
    return X, [f"d{i}" for i in range(n_documents)], queries


@given(tagged_rows(modalities=["text", "image", "query:text"], min_rows=3), st.integers(1, 50))
def test_all_four_ways_to_the_top_k_agree(X, k):
    if X._tags.is_query.all():
        return
    ids = np.arange(len(X)) * 10
    retriever = MixedModalityRetriever(k).fit(X, ids)
    distances, indices = retriever.kneighbors(X)
    found = retriever.search(X)
    n_found = min(k, retriever.n_documents_)
    assert indices.shape == (len(X), n_found)
    assert (np.diff(distances) >= 0).all()
    np.testing.assert_array_equal(retriever.ids_[indices], retriever.predict(X))
    np.testing.assert_array_equal(found.ids, retriever.predict(X))
    np.testing.assert_allclose(found.scores, 1 - distances, atol=1e-12)
    np.testing.assert_array_equal(found.modalities, retriever.document_modality_[indices])
    sparse = retriever.transform(X)
    assert issparse(sparse)
    assert sparse.shape == (len(X), retriever.n_documents_)
    assert sparse.nnz == len(X) * n_found
    rows = np.arange(len(X))[:, None]
    np.testing.assert_array_equal(sparse.toarray()[rows, indices], found.scores)


@given(st.permutations(range(20)))
def test_the_order_of_documents_does_not_matter_but_for_ties(order):
    X, ids, queries = corpus()
    one = MixedModalityRetriever().fit(X, ids)
    other = MixedModalityRetriever().fit(X[order], [ids[i] for i in order])
    np.testing.assert_array_equal(one.predict(queries), other.predict(queries))


def test_equal_documents_come_in_the_order_in_which_they_were_added():
    X = EmbeddingArray(np.tile([[3.0, 4.0]], (30, 1)), "image")
    retriever = MixedModalityRetriever(10).fit(X).partial_fit(X)
    query = EmbeddingArray([[1.0, 0.5]], "query:image")
    np.testing.assert_array_equal(retriever.predict(query), [range(10)])
    np.testing.assert_array_equal(retriever.search(query, 60).ids, [range(60)])


def test_query_rows_are_never_indexed():
    X, ids, _ = corpus()
    asked = EmbeddingArray(X.values, ["query:text" if i % 4 == 0 else "image" for i in range(20)])
    retriever = MixedModalityRetriever().fit(asked, ids)
    assert retriever.ids_.tolist() == [x for i, x in enumerate(ids) if i % 4]
    assert retriever.modalities_ == ("query:text", "image")


def test_without_y_an_id_is_the_row_number_and_goes_on():
    X, _, _ = corpus(4)
    X = EmbeddingArray(X.values, ["query:text", "image", "image", "text"])
    retriever = MixedModalityRetriever().fit(X)
    assert retriever.ids_.tolist() == [1, 2, 3]
    assert retriever.partial_fit(X).ids_.tolist() == [1, 2, 3, 5, 6, 7]
    assert retriever.remove([7]).partial_fit(X[1:]).ids_.tolist() == [1, 2, 3, 5, 6, 8, 9, 10]


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        ([3, 1], "i"),
        (np.array([3, 1], dtype="u1"), "i"),
        (pd.Series([3, 1, None])[:2], "i"),
        (["a", "bc"], "O"),
        (pd.Series(["a", "bc"]), "O"),
        ([1.5, 2], "O"),
        ([Path("a"), Path("b")], "O"),
    ],
)
def test_ids_have_their_common_type(ids, kind):
    X, _, queries = corpus(2)
    retriever = MixedModalityRetriever().fit(X, ids)
    assert retriever.ids_.dtype.kind == kind
    assert retriever.predict(queries).dtype == retriever.ids_.dtype
    assert retriever.ids_.tolist() == list(ids)


@given(st.data())
def test_adding_and_removing_equals_a_fresh_fit(data):
    X, ids, queries = corpus()
    retriever = MixedModalityRetriever(30).fit(X[:8], ids[:8])
    there = list(range(8))
    for _ in range(data.draw(st.integers(1, 5))):
        absent = [i for i in range(20) if i not in there]
        if there and data.draw(st.booleans()):
            gone = data.draw(st.lists(st.sampled_from(there), unique=True))
            retriever.remove([ids[i] for i in gone])
            there = [i for i in there if i not in gone]
        elif absent:
            new = data.draw(st.lists(st.sampled_from(absent), unique=True, min_size=1))
            retriever.partial_fit(X[new], [ids[i] for i in new])
            there += new
    assert retriever.ids_.tolist() == [ids[i] for i in there]
    if not there:
        with pytest.raises(ValueError, match="corpus is empty"):
            retriever.predict(queries)
        return
    fresh = MixedModalityRetriever(30).fit(X[there], [ids[i] for i in there])
    np.testing.assert_array_equal(retriever.predict(queries), fresh.predict(queries))


def test_one_id_is_removed_as_it_is():
    X, ids, _ = corpus(3)
    assert MixedModalityRetriever().fit(X, ids).remove("d1").ids_.tolist() == ["d0", "d2"]
    assert MixedModalityRetriever().fit(X).remove(1).ids_.tolist() == [0, 2]


def test_the_order_of_the_corpus_cannot_be_changed():
    retriever = MixedModalityRetriever().fit(np.eye(5), modality="text")
    for array in (retriever.ids_, retriever.document_modality_):
        with pytest.raises(ValueError, match="read-only"):
            np.random.default_rng(0).shuffle(array)
    retriever.remove(0).partial_fit(np.eye(1, 5), [7], modality="text")
    for kept in (retriever, pickle.loads(pickle.dumps(retriever))):
        assert pd.Series(kept.ids_).sort_values().tolist() == [1, 2, 3, 4, 7]
        assert kept.predict(np.eye(5)[1:], among=kept.ids_)[:, 0].tolist() == [1, 2, 3, 4]


def test_pickle_keeps_the_corpus():
    X, ids, queries = corpus(dtype="f4")
    retriever = MixedModalityRetriever().fit(X, ids)
    again = pickle.loads(pickle.dumps(retriever))
    np.testing.assert_array_equal(retriever.predict(queries), again.predict(queries))
    assert again.partial_fit(X[:1], ["new"]).n_documents_ == 21
    assert retriever.n_documents_ == 20


# Asking.


def test_more_neighbors_than_documents_gives_all_documents():
    X, ids, queries = corpus(3)
    retriever = MixedModalityRetriever(10).fit(X, ids)
    assert retriever.predict(queries).shape == (5, 3)
    assert len(retriever.search(queries, 10_000).to_frame()) == 15


@pytest.mark.parametrize("k", [0, -1, 2.5, "3"])
def test_n_neighbors_is_a_whole_number_of_at_least_one(k):
    X, ids, queries = corpus(3)
    with pytest.raises(ValueError, match="n_neighbors"):
        MixedModalityRetriever().fit(X, ids).search(queries, k)
    with pytest.raises(ValueError, match="n_neighbors"):
        MixedModalityRetriever(k).fit(X, ids)


def test_only_one_modality_is_searched_where_asked():
    X, ids, queries = corpus()
    retriever = MixedModalityRetriever().fit(X, ids)
    alone = MixedModalityRetriever().fit(X[1::2], ids[1::2])
    found = retriever.search(queries, 8, document_modality="image")
    np.testing.assert_array_equal(found.ids, alone.search(queries, 8).ids)
    assert set(found.modalities.ravel()) == {"image"}
    assert retriever.search(queries, 15, document_modality="image").ids.shape == (5, 10)
    with pytest.raises(ValueError, match="modality 'audio'; there are 'image', 'text'.$"):
        retriever.search(queries, document_modality="audio")


def test_the_parts_of_a_document_are_named_in_any_order():
    rows = EmbeddingArray(np.eye(3), ["text", "image", "text"])
    retriever = MixedModalityRetriever().fit(rows, ["a", "a", "b"])
    for names in ("text+image", "image+text", ["text+image"]):
        assert retriever.predict(rows[:1], document_modality=names).tolist() == [["a"]]


@pytest.mark.parametrize("calibration", [None, PosteriorOdds(), QBNorm(), ReciprocalRankFusion()])
def test_several_modalities_are_searched_as_the_corpus_of_their_documents(calibration):
    X, y = make_mixed_modality(200, random_state=0)
    asked = X[X.modality == "query:text"]
    retriever = MixedModalityRetriever(score_calibration=calibration).fit(X, y)
    n = retriever.n_documents_
    whole, several = retriever.search(asked, n), {"text", "image"}
    for names in (["image", "text"], ("text", "image"), several, dict.fromkeys(several)):
        found = retriever.search(asked, n, document_modality=names)
        among = np.isin(whole.modalities, [*several])
        np.testing.assert_array_equal(found.ids.ravel(), whole.ids[among])
        np.testing.assert_allclose(found.scores.ravel(), whole.scores[among])
        if found.probabilities is not None:
            np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-4)
    images = [retriever.search(asked, n, document_modality=m) for m in (["image"], "image")]
    np.testing.assert_array_equal(*(found.ids for found in images))


def test_modalities_of_documents_may_come_in_any_collection():
    X, ids, queries = corpus()
    retriever = MixedModalityRetriever().fit(X, ids)
    want = retriever.search(queries, document_modality="image")
    for some in (("image",), {"image"}, iter(["image"]), np.array(["image"])):
        found = retriever.search(queries, document_modality=some)
        np.testing.assert_array_equal(found.ids, want.ids)
    # The operator "in" asks a Series for its index.
    found = retriever.search(queries, document_modality=pd.Series(["image"], index=["x"]))
    np.testing.assert_array_equal(found.ids, want.ids)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("imgae", "modality 'imgae'; there are 'image', 'text'. Did you mean 'image'?"),
        (["text", "texts"], "modality 'texts'; there are 'image', 'text'. Did you mean 'text'?"),
        ([], "document_modality is empty"),
        ([None], "modality None"),
        (5, "modality 5; there are 'image', 'text'."),
    ],
)
def test_an_unknown_modality_is_refused_and_the_nearest_is_offered(wrong, message):
    X, ids, queries = corpus()
    retriever = MixedModalityRetriever().fit(X, ids)
    with pytest.raises(ValueError, match=re.escape(message)):
        retriever.search(queries, document_modality=wrong)


@pytest.mark.parametrize("k", [True, False, 0, -1, 2.0, "3"])
def test_what_is_no_number_of_neighbors_is_refused(k):
    X, ids, queries = corpus()
    retriever = MixedModalityRetriever().fit(X, ids)
    for ask in (retriever.search, retriever.kneighbors):
        with pytest.raises(ValueError, match="n_neighbors must be a whole number of at least 1"):
            ask(queries, k)


@pytest.mark.filterwarnings("default:None of these rows is marked:UserWarning")
def test_rows_that_are_not_marked_as_queries_are_warned_of_where_queries_were_fitted():
    X, ids, queries = corpus()
    retriever = MixedModalityRetriever().fit(X, ids)
    retriever.predict(X)
    both = EmbeddingArray.concatenate([X, queries])
    retriever.fit(both, [*ids, *[None] * 5])
    retriever.predict(both)
    for ask in (retriever.predict, retriever.kneighbors):
        with pytest.warns(UserWarning, match="None of these rows is marked as a query"):
            ask(X)


def test_any_query_modality_may_ask():
    X, ids, queries = corpus()
    retriever = MixedModalityRetriever().fit(X, ids)
    other = EmbeddingArray(queries.values, "query:smell")
    np.testing.assert_array_equal(retriever.predict(queries), retriever.predict(other))


def test_nothing_is_asked_before_fitting():
    _, _, queries = corpus()
    for ask in ("predict", "kneighbors", "search", "transform"):
        with pytest.raises(NotFittedError):
            getattr(MixedModalityRetriever(), ask)(queries)
    with pytest.raises(NotFittedError):
        MixedModalityRetriever().remove(["d0"])


# Rows without direction.


def test_documents_without_direction_come_last_with_score_zero():
    X, ids, queries = corpus(6)
    X.values[[1, 4]] = 0
    with pytest.warns(UserWarning, match="2 documents have length zero.*'d1', 'd4'"):
        retriever = MixedModalityRetriever(6).fit(X, ids)
    found = retriever.search(queries)
    assert (found.ids[:, 4:] == ["d1", "d4"]).all()
    assert (found.scores[:, 4:] == 0).all()
    assert np.isfinite(found.scores).all()
    distances, _ = retriever.kneighbors(queries)
    assert (distances[:, 4:] == 1).all()
    assert retriever.transform(queries).nnz == 30


@pytest.mark.filterwarnings("ignore:.*document.*length zero:UserWarning")
def test_parts_that_cancel_out_leave_no_direction():
    X = EmbeddingArray(np.array([[1, 2], [-1, -2], [3, 1.0]]), ["text", "image", "image"])
    found = (
        MixedModalityRetriever()
        .fit(X, ["a", "a", "b"])
        .search(EmbeddingArray([[-3, -1]], "query:text"))
    )
    assert found.ids.tolist() == [["b", "a"]]
    assert found.scores[0, 1] == 0


@pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_parts_that_cancel_out_but_for_rounding_leave_none(dtype):
    rng = np.random.default_rng(0)
    texts, images = rng.normal(size=(38, 64)), rng.normal(size=(2, 64))
    X = EmbeddingArray.concatenate({"text": texts.astype(dtype), "image": images.astype(dtype)})
    Z = ModalityGapRemover().fit_transform(X)
    with pytest.warns(UserWarning, match="1 document has length zero.*'photos'"):
        retriever = MixedModalityRetriever(39).fit(Z, [*map(str, range(38)), *["photos"] * 2])
    found = retriever.search(Z[:38], modality="query:text")
    assert (found.ids[:, -1] == "photos").all()
    assert (found.scores[:, -1] == 0).all()


def test_weighted_parts_that_cancel_out_leave_none_either():
    t = np.random.default_rng(0).normal(size=(1, 64)).astype("f4")
    X = EmbeddingArray.concatenate({"text": t, "image": np.float32(-0.3 / 0.7) * t})
    with pytest.warns(UserWarning, match="length"):
        retriever = MixedModalityRetriever(fusion_weight=0.3).fit(X, ["d", "d"])
    assert retriever.search(X[:1], modality="query:text").scores.tolist() == [[0]]


def test_a_query_without_direction_gets_the_corpus_in_order_with_score_zero():
    X, ids, queries = corpus()
    retriever = MixedModalityRetriever(3).fit(X, ids)
    want = retriever.predict(queries)
    queries.values[2] = 0
    with pytest.warns(UserWarning, match="1 query has length zero"):
        found = retriever.search(queries)
    assert found.ids[2].tolist() == ["d0", "d1", "d2"]
    assert (found.scores[2] == 0).all()
    np.testing.assert_array_equal(np.delete(found.ids, 2, 0), np.delete(want, 2, 0))


@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
def test_a_corpus_without_any_direction_is_searched_in_order():
    retriever = MixedModalityRetriever().fit(EmbeddingArray(np.zeros((3, 2)), "text"))
    assert retriever.predict(EmbeddingArray([[1, 2]], "query:text")).tolist() == [[0, 1, 2]]


# Score.


def test_score_is_the_mean_over_judged_queries():
    X = EmbeddingArray(np.eye(3), "image")
    retriever = MixedModalityRetriever().fit(X, ["a", "b", "c"])
    queries = EmbeddingArray([[3, 2, 1.0], [3, 2, 1], [3, 2, 1]], "query:text")
    y = ["a", "b", None]
    assert retriever.score(queries, y) == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert retriever.score(queries, y, [1, 3, 5]) == pytest.approx((1 + 3 / np.log2(3)) / 4)
    mixed = EmbeddingArray.concatenate([queries, X])
    assert retriever.score(mixed, [*y, "a", "b", "c"]) == retriever.score(queries, y)


def test_score_counts_ten_documents_whatever_is_asked_for():
    X, ids, queries = corpus()
    one, ten = (MixedModalityRetriever(k).fit(X, ids) for k in (1, 10))
    answers = ten.predict(queries)[:, 7]
    assert one.score(queries, answers) == ten.score(queries, answers) == 1 / np.log2(9)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["nobody"] + ["d0"] * 4, "unknown document: 'nobody'.*QueryKFold"),
        ([{"d0": 1, "nobody": 1}] + ["d0"] * 4, "'nobody'"),
        ([7] + ["d0"] * 4, "of type int, while the ids of the corpus are of type str"),
        ([None] * 5, "no judged query among the 5 rows.*QueryKFold"),
        (["d0"] * 4, "4 entries for 5 rows"),
        (None, "needs y"),
    ],
)
def test_score_refuses_what_it_cannot_judge(y, message):
    X, ids, queries = corpus()
    with pytest.raises(ValueError, match=message):
        MixedModalityRetriever().fit(X, ids).score(queries, y)


def test_score_refuses_documents_that_are_not_indexed_or_not_queries():
    X, ids, _ = corpus()
    retriever = MixedModalityRetriever().fit(X[:15], ids[:15])
    with pytest.raises(ValueError, match="5 unknown documents: 'd15'.*QueryKFold"):
        retriever.score(X, ids)
    with pytest.raises(ValueError, match="no judged query"):
        retriever.score(X[:15], ids[:15])


@pytest.mark.parametrize("n_rows", [1, 4, 5])
def test_score_refuses_a_document_of_which_rows_were_held_out(n_rows):
    rng = np.random.default_rng(0)
    X = EmbeddingArray(rng.normal(size=(20 * n_rows, 8)), "image")
    ids = np.repeat([f"d{i}" for i in range(20)], n_rows)
    queries = EmbeddingArray(rng.normal(size=(5, 8)), "query:text")
    both, y = EmbeddingArray.concatenate([X, queries]), [*ids, *["d0"] * 5]
    whole = MixedModalityRetriever().fit(X, ids)
    assert whole.score(both, y) == whole.score(queries, ["d0"] * 5)
    if n_rows > 1:
        held_out = np.zeros(len(X), dtype=bool)
        held_out[[1, n_rows]] = True
        partly = MixedModalityRetriever().fit(X[~held_out], ids[~held_out])
        tested = np.concatenate([np.flatnonzero(held_out), len(X) + np.arange(5)])
        with pytest.raises(ValueError, match="2 documents were indexed from other.*QueryKFold"):
            partly.score(both[tested], [y[i] for i in tested])


def test_half_precision_is_searched_as_its_single_precision():
    X, ids, queries = corpus(200, dtype="f2")
    wide = EmbeddingArray(X.values.astype("f4"), X.modality)
    asked = EmbeddingArray(queries.values.astype("f4"), "query:text")
    half = MixedModalityRetriever(50).fit(X, ids).search(queries)
    single = MixedModalityRetriever(50).fit(wide, ids).search(asked)
    np.testing.assert_array_equal(half.ids, single.ids)
    np.testing.assert_allclose(half.scores, single.scores, atol=1e-6)


@pytest.mark.parametrize("weights", [[0] * 5, [-1, 1, 1, 1, 1], [np.nan] * 5, [1, 2]])
def test_sample_weights_that_weigh_nothing_are_refused(weights):
    X, ids, queries = corpus()
    with pytest.raises(ValueError, match="sample_weight|entries"):
        MixedModalityRetriever().fit(X, ids).score(queries, ["d0"] * 5, weights)


# Bad input.


@pytest.mark.filterwarnings("ignore:.*array without modalities:UserWarning")
@pytest.mark.parametrize("wrong", [None, np.nan, pd.NA, ["d0"], {"d0": 1}, {"d0"}])
def test_a_document_without_one_id_is_refused_and_named(wrong):
    X, ids, _ = corpus()
    ids[7] = wrong
    for rows in (X, X.values):
        with pytest.raises(ValueError, match="Row 7 is a document.*modality"):
            MixedModalityRetriever().fit(rows, ids)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", 1, *range(18)], "mix strings with other types"),
        (["a"] * 19, "19 entries for 20 rows"),
        (5, "y must be a sequence"),
        ("d", "1 entries for 20 rows|y must be a sequence"),
    ],
)
def test_ids_that_fit_no_corpus_are_refused(y, message):
    X, _, _ = corpus()
    with pytest.raises(ValueError, match=message):
        MixedModalityRetriever().fit(X, y)


def test_a_corpus_of_queries_only_is_refused():
    _, _, queries = corpus()
    with pytest.raises(ValueError, match="All 5 rows are queries"):
        MixedModalityRetriever().fit(queries)


def test_what_partial_fit_and_remove_refuse_changes_nothing():
    X, ids, queries = corpus()
    retriever = MixedModalityRetriever().fit(X[:10], ids[:10])
    want = retriever.predict(queries)
    with pytest.raises(ValueError, match="1 of the new documents are already.*'d9'"):
        retriever.partial_fit(X[9:12], ids[9:12])
    with pytest.raises(ValueError, match="of another type"):
        retriever.partial_fit(X[10:12], [10, 11])
    with pytest.raises(ValueError, match="give those of the new ones in y"):
        retriever.partial_fit(X[10:12])
    with pytest.raises(ValueError, match="call to remove names 1 unknown document: 'd10'"):
        retriever.remove(["d0", "d10"])
    with pytest.raises(ValueError, match="of type int"):
        retriever.remove(3)
    assert retriever.n_documents_ == 10
    np.testing.assert_array_equal(want, retriever.predict(queries))


def test_raw_items_are_sent_to_an_encoder():
    X, ids, _ = corpus()
    with pytest.raises(ValueError, match="raw items such as 'a red bicycle': put an encoder"):
        MixedModalityRetriever().fit(X, ids).predict(["a red bicycle"])

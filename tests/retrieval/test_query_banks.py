"""What teaches a score calibration: queries, judged or not, fallback queries, known shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import N_FEATURES, fitted, learned_by, small_corpus

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.retrieval._query_banks import MOST_ROWS

pytestmark = pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
NUMBERS = [*range(22), *range(22, 27), *range(22, 27)]


def taught(relevance, seed=0, ids=None, **odds):
    """A retriever fitted with nine text queries, of which some are judged."""
    documents, queries, names, _ = small_corpus(seed)
    ids = names if ids is None else ids
    X = EmbeddingArray.concatenate([documents, EmbeddingArray(queries.values, "query:text")])
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds(**odds))
    return retriever.fit(X, [*ids, *relevance])


def learned_from(relevance, seed=0, ids=None, **odds):
    """What posterior odds learn about these queries."""
    retriever = taught(relevance, seed, ids, **odds)
    return {name: values["query:text"] for name, values in learned_by(retriever).items()}


# Judged queries.


@pytest.mark.filterwarnings("ignore:y was not given:UserWarning")
@pytest.mark.parametrize("unknown", [None, np.nan])
def test_without_relevance_queries_are_unjudged(unknown):
    documents, queries, ids, _ = small_corpus()
    asked = EmbeddingArray(queries.values, "query:text")
    # Without ids the parts of a document fall apart, so those of several are left out.
    X = EmbeddingArray.concatenate([documents[:22], asked])
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    want = learned_by(retriever.fit(X))
    assert learned_by(retriever.fit(X, [*ids[:22], *[unknown] * 9])) == want


@pytest.mark.parametrize(("kind", "first"), [("text", 0), ("image", 12), ("image+text", 22)])
def test_the_answers_of_judged_queries_are_counted(kind, first):
    judged = [f"d{first + i % 5}" for i in range(9)]
    learned = learned_from(judged)["answer_share_"]
    assert sum(learned.values()) == pytest.approx(1)
    prior = dict(zip(["image", "image+text", "text"], np.array([10, 5, 12]) ** 0.25))
    # The effective number of queries: some resemble each other.
    n = taught(judged)._index.now.banks[0]["query:text"].weights.sum()
    assert 5 < n < 9
    want = (n + 3 * prior[kind] / sum(prior.values())) / (n + 3)
    assert learned[kind] == pytest.approx(want)


def test_queries_that_nothing_answers_leave_the_prior():
    weight = np.array([10, 5, 12]) ** 0.25
    learned = learned_from([[]] * 9)["answer_share_"]
    assert [*learned] == ["image", "image+text", "text"]
    np.testing.assert_allclose([*learned.values()], weight / weight.sum())
    for nothing in ({}, (), set(), np.array([])):
        assert learned_from([nothing] * 9)["answer_share_"] == learned
    assert learned_from([None] * 9)["answer_share_"] != learned


@pytest.mark.parametrize("shown", [{"d3": 0}, {"d3": -1.0, "d4": 0}])
def test_documents_without_a_gain_leave_it_unknown_what_answers(shown):
    assert learned_from([shown] * 9) == learned_from([None] * 9)
    assert learned_from([[], "d1", *[shown] * 7]) == learned_from([[], "d1", *[None] * 7])


@given(st.lists(st.integers(0, 26), min_size=1, max_size=5, unique=True), st.data())
def test_of_several_relevant_documents_the_largest_gain_and_then_the_best_score_counts(some, data):
    documents, queries, ids, _ = small_corpus()
    gains = {f"d{i}": data.draw(st.sampled_from([1, 2, 2.5])) for i in some}
    vectors = np.zeros((27, N_FEATURES))
    np.add.at(vectors, [int(id_[1:]) for id_ in ids], documents.values)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    largest = [id_ for id_, gain in gains.items() if gain == max(gains.values())]
    best = [max(largest, key=lambda id_: vectors[int(id_[1:])] @ q) for q in queries.values]
    # The best by cosine; where queries are recentred it is the best after that.
    learned = learned_from([gains] * 9, recenter=False)
    assert learned == learned_from(best, recenter=False)
    # And a list gives all the gain 1.
    assert learned_from([dict.fromkeys(gains, 7)] * 9) == learned_from([list(gains)] * 9)


@pytest.mark.parametrize(
    ("relevance", "message"),
    [
        ("nobody", "1 unknown document: 'nobody'.*learns from.*give None"),
        ({"d0": 1, "nobody": 0}, "'nobody'"),
        (["d0", "nobody"], "'nobody'"),
        (7, "of type int, while the ids of the corpus are of type str"),
        ({"d0": np.inf}, "a gain is a finite number"),
        ([None], "missing id"),
        ([["d0"]], "no id"),
    ],
)
def test_relevance_that_names_no_document_of_the_corpus_is_refused(relevance, message):
    with pytest.raises(ValueError, match=message):
        learned_from([relevance, *[None] * 8])


def test_strings_as_relevance_for_whole_numbers_as_ids_are_refused():
    with pytest.raises(ValueError, match="type str, while the ids of the corpus are of type int"):
        learned_from(["1"] * 9, ids=NUMBERS)
    assert learned_from([1] * 9, ids=NUMBERS) == learned_from(["d1"] * 9)


@pytest.mark.parametrize(
    "make_id", [int, str, float, lambda i: complex(i, 1), lambda i: 2**70 + i, lambda i: b"%d" % i]
)
def test_ids_of_any_type_teach_the_same(make_id):
    ids = [make_id(i) for i in NUMBERS]
    assert learned_from([[make_id(24)], *[None] * 8], ids=ids) == learned_from(["d24", *[None] * 8])


@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
def test_rows_of_length_zero_teach_nothing():
    documents, queries, ids, _ = small_corpus()
    zeros = EmbeddingArray(np.zeros((4, N_FEATURES)), "query:text")
    asked = EmbeddingArray(queries.values, "query:text")
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds())
    one = retriever.fit(EmbeddingArray.concatenate([documents, asked]), [*ids, *[None] * 9])
    want = learned_by(one)
    X = EmbeddingArray.concatenate([documents, zeros, asked])
    other = retriever.fit(X, [*ids, *["d0"] * 4, *[None] * 9])
    assert learned_by(other) == want


# Many rows.


def test_a_sample_of_many_rows_is_seeded_and_keeps_what_is_judged():
    rng = np.random.default_rng(0)
    tags = np.repeat(["text", "image", "query:text", "query:image"], [1100, 10, 1200, 1050])
    X = EmbeddingArray(rng.normal(size=(len(tags), N_FEATURES)), tags)
    judged = {1120: ["text0"], 1400: [], 2309: {"image0": 1}}
    ids = [f"text{i}" for i in range(1100)] + [f"image{i}" for i in range(10)]
    y = ids + [judged.get(row) for row in range(1110, len(tags))]
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(X, y)
    bank = retriever._index.now.banks[0]["query:text"]
    assert (bank.rows.shape, bank.n_queries) == ((2 * MOST_ROWS, N_FEATURES), MOST_ROWS)
    queries, fallback = np.split(bank.rows, 2)
    answers = bank.known[:MOST_ROWS]
    assert [answer for answer in answers if answer is not None] == [["text0"], [], ["image0"]]
    directions = X.values / np.linalg.norm(X.values, axis=1, keepdims=True)
    rows = (queries @ directions.T).argmax(axis=1)
    assert {1120, 1400, 2309} < set(rows)
    assert (np.diff(rows) > 0).all()
    assert set(X.modality[rows]) == {"query:text"}
    rows = (fallback @ directions.T).argmax(axis=1)
    assert rows.tolist() == bank.own[MOST_ROWS:].tolist()
    assert len(set(rows)) == MOST_ROWS
    other = retriever._index.now.banks[0]["query:image"]
    assert (other.n_queries, len(other.own)) == (MOST_ROWS, MOST_ROWS + 10)
    learned = learned_by(retriever)
    assert learned_by(retriever.fit(X, y)) == learned
    # More judged queries than are kept.
    everything = [*ids, *["text1"] * 1200, *[None] * 1050]
    bank = retriever.fit(X, everything)._index.now.banks[0]["query:text"]
    assert bank.known[:MOST_ROWS].tolist() == [["text1"]] * MOST_ROWS


def test_a_few_rows_are_all_kept():
    retriever, _ = fitted()
    (banks,) = retriever._index.now.banks
    kept = {name: (bank.n_queries, len(bank.own)) for name, bank in banks.items()}
    assert kept == {"query:text": (6, 23), "query:image": (3, 18)}


def test_tags_of_many_modalities_and_of_several_parts_are_taught():
    rng = np.random.default_rng(0)
    tags = [f"m{i}" for i in range(150)] + ["text"] * 5 + ["query:image+text"] * 4
    X = EmbeddingArray(rng.normal(size=(len(tags), N_FEATURES)), tags)
    retriever = MixedModalityRetriever(200, score_calibration=PosteriorOdds())
    retriever.fit(X, [*range(155), *[None] * 4])
    # The one row of each other modality would be a fallback query for itself alone.
    shares = retriever.score_calibration_.answer_share_
    assert set(shares) == {"query:image+text", "query:text"}
    for asks, values in shares.items():
        assert len(values) == 151
        found = retriever.search(EmbeddingArray(X.values[:3], asks))
        assert np.isfinite(found.scores).all()
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-9)


@pytest.mark.filterwarnings("ignore:.*array without modalities:UserWarning")
def test_rows_without_tags_are_fallback_queries_of_their_modality():
    rows = np.random.default_rng(0).normal(size=(20, N_FEATURES))
    retriever = MixedModalityRetriever(20, score_calibration=PosteriorOdds()).fit(rows)
    assert set(retriever.score_calibration_.slope_) == {"query:unknown"}
    found = retriever.search(rows)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-9)
    assert (found.ids[:, 0] == range(20)).all()


# Known shares.


@given(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3))
def test_known_shares_are_brought_to_a_sum_of_one_and_used(given_shares):
    known = dict(zip(("text", "image", "image+text"), given_shares))
    learned = learned_from([None] * 9, answer_share={**known, "unseen": 5})["answer_share_"]
    total = sum(given_shares)
    assert learned == pytest.approx({name: x / total for name, x in known.items()})
    # What judged queries say does not change them.
    assert learned_from(["d0"] * 9, answer_share=known)["answer_share_"] == pytest.approx(learned)


def test_a_larger_share_brings_a_modality_up():
    is_image = []
    for share in (0.01, 100):
        retriever, queries = fitted(answer_share={"text": 1, "image": share, "image+text": 1})
        is_image.append((retriever.search(queries).modalities[:, 0] == "image").mean())
    assert is_image[0] < is_image[1]


@pytest.mark.parametrize("wrong", [0, -1, np.nan, np.inf, "much", None])
def test_shares_that_are_no_numbers_above_zero_are_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        fitted(answer_share={"text": 1, "image": wrong, "image+text": 1})


def test_shares_must_name_every_modality_of_documents():
    with pytest.raises(ValueError, match=r"no share for 'image\+text'; it names 'text', 'image'"):
        fitted(answer_share={"text": 1, "image": 1})

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, MixedModalityRetriever, Query
from gapremoval.datasets import make_mixed_modality
from gapremoval.evaluation import Corpus, mixed_corpus, pair_corpus

proportions = st.fixed_dictionaries(
    {}, optional={name: st.integers(0, 9) for name in ("text", "image", "image+text")}
).filter(lambda shares: sum(shares.values()))


def items(n_items, n_questions=2, n_features=3):
    """Rows that tell their kind and their item."""
    text = np.stack([np.full(n_items, 1), np.arange(n_items), np.zeros(n_items)], axis=1)
    image = text + np.array([1, 0, 0])
    questions = np.stack([text + np.array([2, 0, i]) for i in range(n_questions)], axis=1)
    return text, image, questions


@given(st.integers(1, 40), proportions, st.integers(0, 3))
def test_each_item_becomes_one_document_in_these_proportions(n_items, shares, seed):
    text, image, questions = items(n_items)
    corpus = mixed_corpus(text, image, questions=questions, proportions=shares, random_state=seed)
    parts = {}
    for row, name, id_ in zip(corpus.documents.values, corpus.documents.modality, corpus.ids):
        assert row[0] == {"text": 1, "image": 2}[name]
        assert row[1] == id_
        parts.setdefault(id_, []).append(name)
    assert sorted(parts) == list(range(n_items))
    count = Counter("+".join(sorted(names)) for names in parts.values())
    for name, share in shares.items():
        assert abs(count[name] - n_items * share / sum(shares.values())) <= 1
    assert sum(count.values()) == n_items


@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 3))
def test_every_question_is_asked_about_its_item(n_items, k, seed):
    text, image, questions = items(n_items, k)
    corpus = mixed_corpus(text, image, questions=questions, random_state=seed)
    np.testing.assert_array_equal(corpus.queries.values, questions.reshape(-1, 3))
    assert set(corpus.queries.modality) == {"query:text"}
    assert corpus.relevance == corpus.queries.values[:, 1].tolist()
    assert list(corpus.groups) == corpus.relevance
    one = mixed_corpus(text, image, questions=questions[:, 0], random_state=seed)
    assert one.relevance == list(range(n_items))


def test_the_seed_decides_which_item_becomes_what():
    text, image, questions = items(30)
    first, same, other = (
        mixed_corpus(text, image, questions=questions, random_state=seed) for seed in (0, 0, 1)
    )
    assert first.ids == same.ids != other.ids


def test_modalities_of_the_items_can_be_given():
    text, image, questions = items(3)
    kinds = ["image", "image+text", "text"]
    corpus = mixed_corpus(text, image, questions=questions[:, 0], proportions=kinds)
    assert corpus.answer_modality.tolist() == kinds


def test_extra_images_answer_nothing():
    text, image, questions = items(4)
    corpus = mixed_corpus(text, image, questions=questions, extra_images=image[:2])
    assert corpus.ids[-2:] == [4, 5]
    assert corpus.documents.modality[-2:].tolist() == ["image", "image"]
    assert not {4, 5} & set(corpus.relevance)


def test_raw_items_make_a_corpus_too(tmp_path):
    text, image = ["a cat", "a dog"], [tmp_path / "cat.png", tmp_path / "dog.png"]
    corpus = mixed_corpus(
        text, image, questions=[["cats?", "kitten"], ["dogs?"]], proportions=["text", "image+text"]
    )
    assert corpus.documents == ["a cat", "a dog", tmp_path / "dog.png"]
    assert [query.item for query in corpus.queries] == ["cats?", "kitten", "dogs?"]
    assert corpus.relevance == [0, 0, 1]
    assert corpus.answer_modality.tolist() == ["text", "text", "image+text"]
    pairs = pair_corpus(text, image, random_state=0)
    assert all(isinstance(query, Query) for query in pairs.queries)


def test_tagged_questions_keep_their_modality():
    text, image, questions = items(3)
    asked = EmbeddingArray(questions[:, 0], ["query:image+text", "query:text", "query:image"])
    corpus = mixed_corpus(text, image, questions=asked)
    assert corpus.queries.modality.tolist() == asked.modality.tolist()


@given(st.integers(2, 30), st.integers(0, 3))
def test_pairs_are_answered_across_the_gap(n_items, seed):
    text, image, _ = items(n_items)
    corpus = pair_corpus(text, image, random_state=seed)
    assert sorted(corpus.ids) == list(range(n_items)) == sorted(corpus.relevance)
    across = {"query:text": "image", "query:image": "text"}
    assert corpus.answer_modality.tolist() == [across[m] for m in corpus.queries.modality]
    assert corpus.queries.values[:, 1].tolist() == corpus.relevance
    assert len(pair_corpus(text, image, max_items=2).ids) == 2


def test_a_corpus_unpacks_to_the_rows_and_the_target_of_a_fit():
    text, image, questions = items(9)
    X, y = corpus = mixed_corpus(text + 1, image, questions=questions, random_state=0)
    retriever = MixedModalityRetriever().fit(X, y)
    assert retriever.n_documents_ == 9
    assert len(X) == len(y) == len(corpus.documents) + 18


def test_the_queries_of_a_fit_become_those_that_are_scored():
    X = EmbeddingArray(np.eye(4), ["text", "query:text", "query:text", "image"])
    corpus = Corpus.from_rows(X, ["a", None, {"a": 2, "b": 1}, "b"])
    assert list(corpus.ids) == ["a", "b"]
    np.testing.assert_array_equal(corpus.queries.values, np.eye(4)[[2]])
    np.testing.assert_array_equal(corpus.teaching.values, np.eye(4)[[1, 2]])
    assert corpus.answer_modality.tolist() == ["several"]
    _, y = corpus.fitted_rows
    assert y == ["a", "b", None, None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ["a"]}, "ids has 1 entries for 2 rows"),
        ({"relevance": ["a", "b"]}, "relevance has 2 entries for 1 rows"),
        ({"documents": np.eye(2)}, "documents must be an EmbeddingArray, or a list of items"),
        ({"queries": EmbeddingArray(np.eye(2)[:1], "text")}, "Row 0 of queries is a document"),
        ({"documents": EmbeddingArray(np.eye(2), "query:text")}, "Row 0 of documents is a query"),
        ({"ids": ["a", None]}, "None"),
        ({"relevance": ["z"]}, "1 documents that answer queries are not in the corpus: 'z'"),
        ({"relevance": [None]}, "query 0 is unknown.*teaching="),
        ({"groups": [1, 2]}, "groups has 2"),
        ({"teaching_relevance": ["a", "b"]}, "teaching_relevance has 2"),
    ],
)
def test_what_does_not_match_is_refused(change, message):
    documents = EmbeddingArray(np.eye(2), ["text", "image"])
    corpus = Corpus(documents, ["a", "b"], EmbeddingArray(np.eye(2)[:1], "query:text"), ["a"])
    with pytest.raises(ValueError, match=message):
        replace(corpus, **change)


@pytest.mark.parametrize(
    "wrong",
    [{"text": -1}, {"text": 0}, {"texts": 1}, {}, {"text": "a"}, {"text": np.nan}, ["text"]],
)
def test_proportions_that_make_no_sense_are_refused(wrong):
    text, image, questions = items(3)
    with pytest.raises(ValueError, match=r"proportions must.*'image\+text'"):
        mixed_corpus(text, image, questions=questions, proportions=wrong)


def test_rows_keep_their_encoder_and_are_what_they_are_taken_for():
    text, image, questions = items(3)
    a, b = (EmbeddingArray(x, m, "a @ 1") for x, m in ((text, "text"), (image, "image")))
    corpus = mixed_corpus(a, b, questions=questions)
    assert corpus.documents.encoder == "a @ 1"
    other = EmbeddingArray(image, "image", "b @ 2")
    with pytest.raises(ValueError, match="encode"):
        mixed_corpus(a, other, questions=questions, random_state=0)
    with pytest.raises(ValueError, match="taken as 'text' are tagged 'image'"):
        mixed_corpus(b, a, questions=questions)


def test_the_target_is_read_by_position_as_in_a_fit():
    X, y = make_mixed_modality(20, random_state=0)
    shuffled = pd.Series(list(y), index=range(len(y))[::-1])
    assert Corpus.from_rows(X, shuffled).ids == Corpus.from_rows(X, list(y)).ids
    with pytest.raises(ValueError, match="entries for"):
        Corpus.from_rows(X, list(y)[:-1])


def test_raw_questions_come_in_arrays_lists_and_with_their_relevance():
    text, image = ["a cat", "a dog"], ["cat.png", "dog.png"]
    arrays = mixed_corpus(text, image, questions=np.array(["cats?", "dogs?"]))
    assert [query.item for query in arrays.queries] == ["cats?", "dogs?"]
    some = mixed_corpus(text, image, questions=[[], ["dogs?"]], proportions=["image", "text"])
    assert some.documents == ["a dog", Path("cat.png")]
    assert some.relevance == [1]
    table = np.array([["cats?", "kitten"], ["dogs?", "puppy"]])
    assert mixed_corpus(text, image, questions=table).relevance == [0, 0, 1, 1]
    series = pd.Series(text, index=[1, 0])
    ordered = mixed_corpus(series, image, questions=table, proportions={"text": 1})
    assert ordered.documents == text
    pairs = pair_corpus(text, image, random_state=0)
    assert sorted(str(query.item) for query in pairs.queries)[-1].endswith(".png")
    assert any(isinstance(query.item, Path) for query in pairs.queries)
    pets = mixed_corpus(text, image, questions=(["pets?"], [[0, 1]]), proportions={"text": 1})
    assert pets.answer_modality.tolist() == ["text"]


def test_unequal_numbers_of_parts_are_refused():
    text, image, questions = items(3)
    with pytest.raises(ValueError, match="got 3, 2 and 3"):
        mixed_corpus(text, image[:2], questions=questions)
    with pytest.raises(ValueError, match="3 texts and 2 images"):
        pair_corpus(text, image[:2])


def test_rows_without_a_judged_query_are_no_corpus():
    X = EmbeddingArray(np.eye(2), ["text", "query:text"])
    with pytest.raises(ValueError, match="No query of the corpus is judged"):
        Corpus.from_rows(X, ["a", None])
    with pytest.raises(ValueError, match="no query among the rows"):
        Corpus.from_rows(X[:1], ["a"])


def test_questions_may_come_with_their_relevance():
    text, image = np.random.default_rng(0).normal(size=(2, 6, 4))
    questions = EmbeddingArray(text[:2], "query:image+text"), [4, {0: 2, 5: 1}]
    corpus = mixed_corpus(text, image, questions=questions, random_state=0)
    assert corpus.relevance == [4, {0: 2, 5: 1}]
    assert len(set(corpus.ids)) == 6
    assert corpus.queries.modality.tolist() == ["query:image+text"] * 2
    with pytest.raises(
        ValueError, match="1 documents that answer queries are not in the corpus: 6"
    ):
        mixed_corpus(text, image, questions=(questions[0], [4, 6]))

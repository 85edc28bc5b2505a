"""The grammar of modalities: what a tag may be, and that a typing error is never one."""

import enum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray
from gapremoval._modality import as_query, is_query, parts_of

# numpy drops NULs at the end of a string, so that two tags could become one.
names = st.text(st.characters(exclude_characters=":+\0"), min_size=1)
several = st.lists(names, min_size=1, max_size=4, unique=True).map(sorted)


def tagged(modality, n_rows=3):
    return EmbeddingArray(np.ones((n_rows, 2)), modality)


@given(st.lists(names, min_size=1))
def test_any_string_without_colon_and_plus_is_a_documents_modality(modality):
    assert tagged(modality, len(modality)).modality.tolist() == modality
    assert tagged(modality[0]).modality.tolist() == [modality[0]] * 3
    assert not any(map(is_query, modality))


@given(several)
def test_sorted_names_joined_by_plus_are_a_querys_modality(parts):
    tag = "query:" + "+".join(parts)
    assert tagged(tag).modality.tolist() == [tag] * 3
    assert is_query(tag)
    assert parts_of(tag) == parts
    assert as_query(tag) == as_query("+".join(parts)) == tag


@given(several, st.permutations(range(4)))
def test_the_parts_of_a_query_are_sorted_whatever_order_they_are_given_in(parts, order):
    tag = "query:" + "+".join(parts)
    given_tag = "query:" + "+".join(parts[i] for i in order if i < len(parts))
    assert tagged(given_tag).modality.tolist() == [tag] * 3
    assert as_query(given_tag) == tag
    for container in (list, np.array):
        X = tagged(container([given_tag, "text", tag]))
        assert X.modality.tolist() == [tag, "text", tag]
        assert f"2 {tag}, 1 text" in repr(X)
    both = EmbeddingArray.concatenate([tagged(given_tag), tagged(tag)])
    assert both.modality.tolist() == [tag] * 6


@given(several)
def test_a_part_named_twice_is_refused(parts):
    tag = "query:" + "+".join([*parts, parts[0]])
    with pytest.raises(ValueError, match="names a part twice") as refusal:
        tagged(tag)
    assert repr(tag) in str(refusal.value)


@given(several.filter(lambda parts: len(parts) > 1))
def test_a_document_of_several_modalities_is_refused_and_told_to_use_several_rows(parts):
    with pytest.raises(ValueError, match="several rows with the same id") as refusal:
        tagged("+".join(parts))
    assert repr("+".join(parts)) in str(refusal.value)


@given(st.text(":+aq", min_size=1, max_size=5).filter(lambda tag: ":" in tag))
def test_a_colon_anywhere_else_is_refused(tag):
    for wrong in (tag, "query:" + tag):
        with pytest.raises(ValueError, match="malformed") as refusal:
            tagged(wrong)
        assert repr(wrong) in str(refusal.value)


MALFORMED = [
    "",
    ":",
    "+",
    "a:b",
    "a+b",
    "image+text",
    "text+",
    "+text",
    "Query:text",
    "QUERY:text",
    " query:text",
    "query :text",
    "query:",
    "query:+",
    "query:text+",
    "query:+text",
    "query:query:text",
    "query:text+text",
    "query:image+text:b",
    "query:image+text+text",
    "text\0",
    "query:text\0",
    None,
    float("nan"),
    np.nan,
    pd.NA,
    pd.NaT,
    0,
    1.5,
    True,
    b"text",
    ("text",),
    ["text"],
    {"text"},
]


@pytest.mark.parametrize("tag", MALFORMED, ids=repr)
def test_a_malformed_tag_is_named_wherever_it_stands(tag):
    for modality in (["text", tag, "image"], ["text", "text", tag], [tag] * 3):
        with pytest.raises(ValueError, match="Modality") as refusal:
            tagged(modality)
        assert f"Modality {tag!r}" in str(refusal.value)


@pytest.mark.parametrize("tag", MALFORMED, ids=repr)
def test_a_malformed_tag_is_named_in_arrays_and_columns_of_objects(tag):
    modality = np.empty(3, dtype=object)
    modality[:] = "text"
    modality[1] = tag
    for column in (modality, pd.Series(modality, dtype=object, index=[5, 5, 7])):
        with pytest.raises(ValueError, match="Modality") as refusal:
            tagged(column)
        assert f"Modality {tag!r}" in str(refusal.value)


@pytest.mark.parametrize(
    "modality",
    [None, np.nan, pd.NA, 0, True, b"text", {"text": 1, "image": 2, "audio": 3}, {"text"}],
    ids=repr,
)
def test_what_is_no_sequence_of_tags_is_refused_by_name(modality):
    with pytest.raises(ValueError, match="modality must be a string or a sequence") as refusal:
        tagged(modality)
    assert str(modality) in str(refusal.value)
    assert type(modality).__name__ in str(refusal.value)


@pytest.mark.parametrize("tag", [tag for tag in MALFORMED if isinstance(tag, str)], ids=repr)
def test_one_malformed_tag_for_all_rows_is_refused(tag):
    with pytest.raises(ValueError, match="Modality") as refusal:
        tagged(tag)
    assert f"Modality {tag!r}" in str(refusal.value)


def test_a_missing_value_in_a_column_of_strings_is_refused():
    for column in (
        pd.Series(["text", None, "image"]),
        pd.Series(["text", None, "image"], dtype="string"),
        pd.Series(["text", None, "image"], dtype="category"),
    ):
        with pytest.raises(ValueError, match=r"Modality (nan|<NA>|None) is not a string"):
            tagged(column)


def test_a_table_of_tags_is_refused():
    for table in (np.array([["text"], ["image"], ["text"]]), [["text"], ["image"], ["text"]]):
        with pytest.raises(ValueError, match=r"Modality \['text'\] is not a string"):
            tagged(table)


@pytest.mark.parametrize("modality", [[], ["text"], ["text"] * 4, np.array(["text"] * 2)], ids=len)
def test_a_wrong_number_of_tags_is_refused_with_both_numbers(modality):
    with pytest.raises(ValueError, match=f"modality has {len(modality)} tags for 3 rows"):
        tagged(modality)


@pytest.mark.parametrize(
    "column",
    [
        list,
        tuple,
        iter,
        np.array,
        lambda modality: np.array(modality, dtype=object),
        lambda modality: [np.str_(tag) for tag in modality],
        lambda modality: pd.Series(modality, index=[7, 7, 8]),
        lambda modality: pd.Series(modality, dtype="category"),
        lambda modality: pd.Series(modality, dtype="string"),
        pd.Index,
    ],
)
def test_tags_come_in_any_sequence(column):
    modality = ["text", "query:image+text", "image"]
    X = tagged(column(modality))
    assert X.modality.tolist() == modality
    assert {type(tag) for tag in X.modality.tolist()} == {str}


class Modality(str, enum.Enum):  # noqa: UP042  str() of a StrEnum is the string already
    TEXT = "text"
    IMAGE = "image"


def test_members_of_an_enum_of_strings_are_the_strings():
    assert tagged(Modality.TEXT).modality.tolist() == ["text"] * 3
    X = tagged([Modality.TEXT, "text", Modality.IMAGE])
    assert X.modality.tolist() == ["text", "text", "image"]
    assert repr(X) == "EmbeddingArray(3 rows x 2, float64: 2 text, 1 image)"


def test_blanks_and_letter_case_make_another_modality():
    modality = ["text", "Text", " text"]
    assert tagged(modality).modality.tolist() == modality


def test_a_long_wrong_tag_does_not_fill_the_message():
    with pytest.raises(ValueError, match="is not a string") as refusal:
        tagged([["text"] * 10_000] * 3)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("tag", ["query:text", "query:image+text"])
def test_a_querys_modality_is_its_own_mark(tag):
    assert as_query(tag) == tag


def test_a_modality_that_cannot_ask_is_refused():
    with pytest.raises(ValueError, match="'query:a:b'"):
        as_query("a:b")

"""What y may hold: ids of documents, and what answers a query."""

import datetime
import enum
import fractions
import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval._relevance import (
    check_ids,
    check_known,
    check_relevance,
    check_y,
    group_ids,
    kind_of_ids,
)

MISSING = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT")]
int64s = st.integers(-(2**63), 2**63 - 1)


def ids_of(ids, first_row=0):
    return check_ids(check_y(ids, len(ids)), np.arange(first_row, first_row + len(ids)))


@given(st.lists(int64s, min_size=1))
def test_integer_ids_are_int64_however_they_come(ids):
    small = [x for x in ids if -128 <= x < 128]
    for given_ids in (
        ids,
        np.array(ids),
        [np.int64(x) for x in ids],
        [np.int8(x) for x in small] + ids,
        [fractions.Fraction(x) for x in ids],
        pd.Series(ids),
        pd.Series(ids, dtype="Int64"),
    ):
        checked = ids_of(given_ids)
        assert checked.dtype == np.int64
        assert checked.tolist() == [int(x) for x in given_ids]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@given(st.lists(st.integers(-2048, 2048), min_size=1))
def test_whole_floats_are_integer_ids(dtype, ids):
    for given_ids in (
        np.array(ids, dtype).tolist(),
        list(np.array(ids, dtype)),
        [1, *map(float, ids)],
    ):
        checked = ids_of(given_ids)
        assert checked.dtype == np.int64
        assert checked.tolist() == given_ids


@given(st.lists(st.floats(allow_nan=False) | st.integers(), min_size=1))
def test_numbers_keep_their_value_whatever_the_common_type(ids):
    checked = ids_of(ids)
    fit_int64 = all(abs(x) != np.inf and x == int(x) and -(2**63) <= x < 2**63 for x in ids)
    assert checked.dtype == (np.int64 if fit_int64 else object)
    assert checked.tolist() == ids


@pytest.mark.parametrize("odd", [2.5, float("inf"), -np.inf, 2**63, -(2**63) - 1, 1e300])
def test_one_number_that_is_no_int64_makes_the_ids_objects(odd):
    checked = ids_of([1, odd])
    assert checked.dtype == object
    assert checked.tolist() == [1, odd]


@given(st.lists(st.text() | st.text("a\0"), min_size=1))
def test_different_strings_stay_different_ids(ids):
    checked = ids_of(ids)
    assert checked.dtype == object
    assert checked.tolist() == ids


def test_strings_of_any_type_are_str_ids():
    for ids in (["a", np.str_("bc")], np.array(["a", "bc"]), pd.Series(["a", "bc"])):
        checked = ids_of(ids)
        assert checked.tolist() == ["a", "bc"]
        assert {type(x) for x in checked} == {str}


@pytest.mark.parametrize("ids", [[True], [0, np.False_], ["a", True], np.ones(2, bool)])
def test_bools_are_no_ids(ids):
    with pytest.raises(ValueError, match="its id in y is .*never.*a bool"):
        ids_of(ids)
    for relevance in (ids[-1], list(ids), ids, {ids[-1]: 2.0}):
        with pytest.raises(ValueError, match="relevance of query 1 holds a bool, which is no id"):
            check_relevance([None, relevance])


class Sku(str, enum.Enum):  # noqa: UP042  numpy reads str() of it, which is not its value
    SHOE = "shoe"


def test_members_of_an_enum_of_strings_are_found_by_their_value():
    checked = ids_of([Sku.SHOE, "hat"])
    assert checked.tolist() == ["shoe", "hat"]
    check_known(["shoe", Sku.SHOE, "hat"], checked, what="relevance")


@pytest.mark.parametrize(
    "ids",
    [
        [uuid.UUID(int=1), uuid.UUID(int=2)],
        [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)],
        [pd.Timestamp("2020-01-01"), 5],
        [b"a", b"b"],
        [1, 1j],
    ],
    ids=repr,
)
def test_other_ids_are_kept_as_objects(ids):
    checked = ids_of(ids)
    assert checked.dtype == object
    assert checked.tolist() == ids


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_integers_are_integers_whatever_their_width(ids):
    for given_ids in (ids, np.array(ids, "u8"), list(np.array(ids, "u8"))):
        checked = ids_of(given_ids)
        assert checked.tolist() == ids
        assert {type(x) for x in checked.tolist()} == {int}
        assert checked.dtype == (np.int64 if max(ids) < 2**63 else object)
        assert kind_of_ids(checked) == "number"


@pytest.mark.parametrize(
    ("batches", "kind"),
    [
        (
            [[1.5], [3.0], [2**63, 7], [7], [np.float32(0.1)], [np.uint8(1)], [float("inf")]],
            "number",
        ),
        ([["a\0"], ["b"], [np.str_("c")], np.array(["d"]), [Sku.SHOE]], "string"),
        ([[b"a"], [uuid.UUID(int=1), 5], [5, pd.Timestamp(0)], [1j], [np.timedelta64(1)]], "other"),
    ],
    ids=["number", "string", "other"],
)
def test_ids_of_one_kind_are_told_in_every_batch(batches, kind):
    assert {kind_of_ids(ids_of(batch)) for batch in batches} == {kind}


@pytest.mark.parametrize("unit", ["ns", "us", "s", "D"])
def test_times_come_back_as_times(unit):
    times = np.array(["2026-01-02", "2020-03-04"], dtype=f"M8[{unit}]")
    checked = ids_of(times)
    assert checked.tolist() == list(times)
    assert {type(x) for x in checked} == {np.datetime64}
    for column in (pd.Series(times), pd.DatetimeIndex(times)):
        checked = ids_of(column)
        assert checked.tolist() == list(column)
        assert {type(x) for x in checked} == {pd.Timestamp}
    check_known(times[:1], ids_of(times), what="relevance")
    assert check_relevance(times) == [{time: 1.0} for time in times]


def test_one_long_id_takes_no_more_than_its_own_memory():
    ids = ids_of(["a" * 20_000, *map(str, range(3000))])
    assert ids.nbytes == 8 * 3001


@given(st.lists(st.integers(-5, 5) | st.sampled_from([2**63, 0.5])) | st.lists(st.text("ab")))
def test_ids_are_grouped_in_the_order_of_their_first_row(ids):
    checked = ids_of(ids)
    distinct, document = group_ids(checked)
    assert distinct.tolist() == list(dict.fromkeys(ids))
    assert distinct.dtype == checked.dtype
    assert distinct[document].tolist() == ids


def test_no_documents_have_no_ids():
    assert ids_of([]).shape == (0,)


@pytest.mark.parametrize(
    "wrong",
    [
        *MISSING,
        ["a"],
        ("a", "b"),
        {"a"},
        frozenset("a"),
        {"a": 1.0},
        np.array(["a"]),
        [],
        bytearray(b"a"),
        pd.Series(["a"]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("others", [["a", "b"], [1, 2], [1.0, 2.5], [b"a", b"b"]], ids=repr)
def test_what_is_no_single_id_is_named_with_its_row(wrong, others):
    with pytest.raises(ValueError, match="^Row 12 is a document") as refusal:
        check_ids(check_y([*others, wrong, others[0]], 4), np.array([3, 7, 12, 13]))
    assert f"its id in y is {wrong!r}" in str(refusal.value)
    assert "a document's id is hashable" in str(refusal.value)
    assert "mark their rows by a modality such as 'query:text'" in str(refusal.value)


@pytest.mark.parametrize("other", [1, 2.5, b"b", uuid.UUID(int=1)])
def test_strings_among_other_ids_are_refused_with_an_example_of_each(other):
    for ids in (["a", other], [other, "a"]):
        with pytest.raises(ValueError, match="mix strings with other types") as refusal:
            ids_of(ids)
        assert f"('a' and {other!r})" in str(refusal.value)


@given(st.lists(int64s | st.none() | st.lists(int64s) | st.text(max_size=3), max_size=10))
def test_y_is_read_from_any_sequence_as_it_is(entries):
    boxed = np.empty(len(entries), dtype=object)
    boxed[:] = entries
    for y in (entries, tuple(entries), iter(entries), boxed, pd.Series(boxed, dtype=object)):
        assert check_y(y, len(entries)).tolist() == entries


def test_lists_of_equal_length_that_became_a_table_are_lists_again():
    assert check_y(np.array([["a", "b"], ["c", "d"]]), 2).tolist() == [["a", "b"], ["c", "d"]]
    frame = pd.DataFrame({"first": [1, 3], "second": [2, 4]})
    assert check_y(frame, 2).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("y", ["abc", b"abc", 5, 2.5, {"a": 1, "b": 2, "c": 3}, set("abc")])
def test_y_that_is_no_sequence_is_refused(y):
    with pytest.raises(ValueError, match="y must be a sequence with an entry a row") as refusal:
        check_y(y, 3)
    assert repr(y) in str(refusal.value)
    with pytest.raises(ValueError, match="y must be a sequence with an entry a row"):
        check_y(np.array(y), 1)


@pytest.mark.parametrize("n_entries", [0, 2, 4])
def test_y_of_another_length_is_refused_with_both_numbers(n_entries):
    with pytest.raises(ValueError, match=f"y has {n_entries} entries for 3 rows"):
        check_y(["a"] * n_entries, 3)


@given(st.lists(st.integers() | st.text()))
def test_relevance_is_a_gain_for_each_id_in_any_collection(ids):
    expected = dict.fromkeys(ids, 1.0)
    boxed = np.empty(len(ids), dtype=object)
    boxed[:] = ids
    for answer in (ids, tuple(ids), set(ids), frozenset(ids), boxed, expected):
        assert check_relevance([answer]) == [expected]
    assert check_relevance(ids) == [{x: 1.0} for x in ids]


@given(st.dictionaries(st.integers() | st.text(), st.floats(-10, 10) | st.integers(-10, 10)))
def test_gains_are_kept_as_floats(gains):
    (checked,) = check_relevance([gains])
    assert checked == gains
    assert all(type(gain) is float for gain in checked.values())


def test_relevance_is_read_query_by_query():
    y = [
        "a",
        ["a", "b"],
        {"c": 2},
        None,
        [],
        np.array(["d", "e"]),
        np.str_("f"),
        {"g": np.float32(3)},
    ]
    assert check_relevance(y) == [
        {"a": 1.0},
        {"a": 1.0, "b": 1.0},
        {"c": 2.0},
        None,
        {},
        {"d": 1.0, "e": 1.0},
        {"f": 1.0},
        {"g": 3.0},
    ]


@pytest.mark.parametrize("unknown", MISSING, ids=repr)
def test_missing_relevance_is_unknown_and_not_an_empty_answer(unknown):
    assert check_relevance([unknown, [], {}]) == [None, {}, {}]


@pytest.mark.parametrize("unknown", MISSING, ids=repr)
def test_a_missing_id_inside_an_answer_is_refused_with_its_query(unknown):
    for answer in (["a", unknown], ("a", unknown), {unknown}, {unknown: 1.0}):
        with pytest.raises(ValueError, match="relevance of query 1 holds a missing id"):
            check_relevance(["a", answer])


@pytest.mark.parametrize(
    "answer",
    [[["a"], "b"], ({"a"},), [{"a": 1}], np.array(5), pd.Series(["a"]), bytearray(b"a")],
    ids=repr,
)
def test_what_cannot_be_an_id_is_refused_with_its_query(answer):
    with pytest.raises(ValueError, match="relevance of query 1 holds something that is no id"):
        check_relevance(["a", answer])


@pytest.mark.parametrize(
    "gain", [None, "1", float("nan"), float("inf"), -np.inf, pd.NA, [1.0], 1j], ids=repr
)
def test_a_gain_that_is_no_finite_number_is_refused_with_its_document(gain):
    with pytest.raises(ValueError, match="a gain is a finite number") as refusal:
        check_relevance([{"a": 1.0}, {"b": 2.0, "c": gain}])
    assert f"query 1 gives document 'c' the gain {gain!r}" in str(refusal.value)


@given(st.lists(int64s, min_size=1), st.data())
def test_ids_of_the_corpus_are_known_in_any_number_type(ids, data):
    asked = data.draw(st.lists(st.sampled_from(ids)))
    known = ids_of(ids)
    check_known(asked, known, what="relevance")
    check_known(np.array(asked, dtype=np.int64), known, what="relevance")
    check_known([float(x) for x in asked if abs(x) < 2**53], known, what="relevance")


@given(st.sets(st.integers(0, 50), min_size=1), st.sets(st.integers(0, 50)))
def test_exactly_the_ids_outside_the_corpus_are_unknown(corpus, asked):
    known, unknown = ids_of(sorted(corpus)), sorted(asked - corpus)
    if not unknown:
        return check_known(sorted(asked), known, what="relevance")
    count = f"{len(unknown)} unknown document{'s' if len(unknown) > 1 else ''}: "
    shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else ".")
    with pytest.raises(ValueError, match="Add them first") as refusal:
        check_known(sorted(asked) * 2, known, what="relevance", advice="Add them first.")
    assert str(refusal.value).startswith(f"The relevance names {count}{shown}")


def test_an_unknown_document_is_named_with_what_asked_for_it():
    with pytest.raises(ValueError, match="^The call to remove names 1 unknown document: 'c'"):
        check_known(["a", "c"], np.array(["a", "b"]), what="call to remove")


@pytest.mark.parametrize(
    ("asked", "known", "types"),
    [
        (["1", "2"], np.array([1, 2]), "'1', '2', of type str, .* of type int .such as 1"),
        ([1], np.array(["1", "2"]), "names 1, of type int, .* of type str .such as '1'"),
        ([b"1"], np.array(["1"]), "names b'1', of type bytes, .* of type str"),
    ],
)
def test_ids_of_another_type_are_told_apart_from_unknown_ones(asked, known, types):
    with pytest.raises(ValueError, match=f"{types}.*use the same type") as refusal:
        check_known(asked, known, what="relevance")
    assert "unknown" not in str(refusal.value)


def test_unknown_ids_of_mixed_types_are_unknown():
    with pytest.raises(ValueError, match="names 2 unknown documents: 'c', 5"):
        check_known(["a", "c", 5], np.array(["a"]), what="relevance")


def test_nothing_is_known_to_an_empty_corpus():
    check_known([], np.array([], dtype=object), what="relevance")
    with pytest.raises(ValueError, match="1 unknown document: 'a'"):
        check_known(["a"], np.array([], dtype=object), what="relevance")

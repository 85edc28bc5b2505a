"""Rows that grow and shrink in place, against a plain array."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval._growing import Cut, Growing

changes = st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.randoms()), max_size=30)


def as_library(rows, library):
    return rows if library == "numpy" else pytest.importorskip(library).asarray(rows)


def cut(random, n, n_rows):
    return Cut.of(np.array(random.sample(range(n_rows), n), dtype=int), n_rows)


def slow_cut(rows, some):
    """What a cut leaves, one row at a time."""
    rows = rows.copy()
    for hole, mover in zip(some.holes, some.movers):
        rows[hole] = rows[mover]
    return rows[: some.n]


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
@given(changes)
def test_rows_are_those_of_a_plain_array(library, steps):
    want, next_row = np.zeros((0, 2)), 0
    rows = Growing.of(as_library(want.copy(), library))
    for adds, n, random in steps:
        before, was = rows, want
        if adds:
            more = next_row + np.arange(2.0 * n).reshape(n, 2)
            next_row += 2 * n
            rows, want = rows.extended(as_library(more, library)), np.concatenate([want, more])
            np.testing.assert_array_equal(np.asarray(before.rows), was)
        else:
            some = cut(random, min(n, len(rows)), len(rows))
            rows, want = rows.writeable().without(some).trimmed(), slow_cut(want, some)
        assert len(rows) == len(want)
        np.testing.assert_array_equal(np.asarray(rows.rows), want)
        assert rows.held.shape[0] <= max(4 * len(rows), 18)


@given(st.integers(1, 40), st.integers(0, 40), st.randoms())
def test_a_cut_leaves_all_others_once(n_rows, n, random):
    gone = np.array(random.sample(range(n_rows), min(n, n_rows)), dtype=int)
    left = slow_cut(np.arange(n_rows), Cut.of(gone, n_rows))
    assert sorted(left) == sorted(set(range(n_rows)) - set(gone.tolist()))


def test_memory_is_taken_a_few_times_however_many_rows_come_and_go():
    rows, held = Growing.of(np.zeros((0, 3))), []
    for i in range(1000):
        rows = rows.extended(np.full((1, 3), i))
        held.append(rows.held)
    for _ in range(1000):
        rows = rows.writeable().without(Cut.of(np.array([0]), len(rows))).trimmed()
        held.append(rows.held)
    assert len({id(x) for x in held}) < 25
    assert rows.held.nbytes < 100


@given(changes, changes)
def test_who_shares_rows_does_not_see_the_changes_of_others(one, other):
    first = Growing.of(np.arange(8.0)).extended(np.arange(2.0))
    start = first.rows.copy()
    sharers = [first.shared(), first.shared()]
    wants = [start, start]
    for who, steps in enumerate((one, other)):
        for adds, n, random in steps:
            mine, want = sharers[who], wants[who]
            if adds:
                more = np.full(n, 10.0 + who)
                sharers[who], wants[who] = mine.extended(more), np.concatenate([want, more])
            else:
                some = cut(random, min(n, len(mine)), len(mine))
                sharers[who], wants[who] = mine.writeable().without(some), slow_cut(want, some)
    for mine, want in zip(sharers, wants):
        np.testing.assert_array_equal(mine.rows, want)
    np.testing.assert_array_equal(first.rows, start)


def test_read_only_rows_are_copied_before_they_change():
    rows = np.arange(6.0)
    rows.flags.writeable = False
    changed = Growing.of(rows).writeable().overwritten(np.array([1]), np.array([9.0]))
    assert changed.rows.tolist() == [0, 9, 2, 3, 4, 5]
    assert rows.tolist() == [0, 1, 2, 3, 4, 5]


def test_strings_grow_in_width_and_an_empty_array_takes_any_type():
    names = Growing.of(np.array(["a", "b"])).extended(np.array(["longer"]))
    assert names.rows.tolist() == ["a", "b", "longer"]
    assert names.extended(np.array(["c"])).rows.tolist() == ["a", "b", "longer", "c"]
    empty = names.without(Cut.of(np.arange(3), 3))
    assert empty.extended(np.array([7])).rows.tolist() == [7]


def test_copies_and_pickles_hold_only_what_is_in_use():
    rows = Growing.of(np.zeros(1000)).without(Cut.of(np.arange(990), 1000))
    written = pickle.dumps(rows)
    assert len(written) < 1000
    for again in (pickle.loads(written), copy.deepcopy(rows)):
        assert again.held.shape == (10,)
        assert again.extended(np.ones(1)).rows.tolist() == [*[0] * 10, 1]

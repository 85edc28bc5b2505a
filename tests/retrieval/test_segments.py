"""The index: rows that grow in place, snapshots that never change, ids and rows that agree."""

import copy
import pickle
import tracemalloc

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.retrieval._index import Index, appended, compacted
from gapremoval.retrieval._snapshot import Segment, Snapshot

pytestmark = pytest.mark.filterwarnings("ignore:y was not given:UserWarning")


def as_library(rows, library):
    return rows if library == "numpy" else pytest.importorskip(library).asarray(rows)


# Rows that grow.


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
@given(st.lists(st.integers(0, 9), max_size=30))
def test_rows_are_those_of_a_plain_array_and_older_views_stay(library, sizes):
    want, rows, room, views = np.zeros((0, 2)), as_library(np.zeros((0, 2)), library), None, []
    for n in sizes:
        more = len(want) + np.arange(2.0 * n).reshape(n, 2)
        rows, room = appended(rows, as_library(more, library), room)
        want = np.concatenate([want, more])
        views.append((rows, want))
        assert room.shape[0] <= max(2 * len(want), 18)
    for view, was in views:
        np.testing.assert_array_equal(np.asarray(view), was)


def test_room_is_made_a_few_times_however_many_rows_come():
    rows, room, rooms = np.zeros((1, 3)), None, set()
    for i in range(1000):
        rows, room = appended(rows, np.full((1, 3), i), room)
        rooms.add(id(room))
    assert len(rooms) < 12


def test_rows_that_cannot_be_written_to_are_never_written_to():
    rows = np.arange(6.0)
    room = np.concatenate([rows, np.zeros(6)])
    room.flags.writeable = False
    longer, other = appended(room[:6], np.ones(1), room)
    assert longer.tolist() == [0, 1, 2, 3, 4, 5, 1]
    assert other is not room
    assert not room[6:].any()


def test_integers_and_any_other_ids_grow_into_objects():
    ids, room = appended(np.array([1, 2]), np.array([2**63 + 1, "a"], dtype=object))
    assert ids.tolist() == [1, 2, 2**63 + 1, "a"]
    assert appended(ids, np.array([7]), room)[0].tolist() == [1, 2, 2**63 + 1, "a", 7]


# Removal.


def segment_of(n):
    columns = {"vectors": np.eye(n), "position": 3 * np.arange(n), "id": np.arange(n)}
    return Segment({**columns, "made_of": np.zeros((n, 2))})


@given(st.data())
def test_a_row_stays_until_a_quarter_of_a_segment_is_dead(data):
    n = data.draw(st.integers(1, 40))
    index = Index(Snapshot(np.empty((0, n)), {("text", True): segment_of(n)}, 3 * n))
    there = [*range(n)]
    while there:
        before = index.now
        gone = data.draw(st.lists(st.sampled_from(there), min_size=1, unique=True))
        index.remove(gone)
        assert before.ids.tolist() == there
        there = [x for x in there if x not in gone]
        assert index.now.ids.tolist() == there
        assert index.now.positions.tolist() == [3 * x for x in there]
        if there:
            (segment,) = index.now.segments.values()
            assert segment.n_live == len(there)
            assert 4 * segment.n_live >= 3 * len(segment)
            assert segment.of_live(segment.columns["vectors"]).tolist() == np.eye(n)[there].tolist()
            rows = segment.columns["vectors"]
            was = before.segments["text", True].columns["vectors"]
            assert np.shares_memory(rows, was) == (len(segment) == len(was))
    assert index.now.segments == {}


def test_compaction_keeps_order_and_every_column():
    segment = Segment(segment_of(4).columns, np.array([True, False, True, True]))
    kept = compacted(segment)
    assert {name: len(rows) for name, rows in kept.columns.items()} == dict.fromkeys(
        segment.columns, 3
    )
    assert kept.columns["id"].tolist() == [0, 2, 3]
    assert kept.live is None


# Ids.


def test_the_table_of_ids_follows_the_documents_and_is_made_anew_after_an_interrupt():
    def check():
        index = retriever._index
        positions = index.now.positions.tolist()
        assert index.find([*retriever.ids_.tolist(), "nobody"]).tolist() == [*positions, -1]

    X = EmbeddingArray(np.eye(6), "text")
    retriever = MixedModalityRetriever().fit(X[:3], [*"abc"])
    check()
    retriever.partial_fit(X[3:5], [*"de"]).remove("b")
    check()
    retriever._add_documents(X[:3], [*"dbf"], None, replace=True)
    check()
    assert retriever.ids_.tolist() == [*"acedbf"]
    retriever._index._positions = None  # what an interrupt leaves
    check()


@pytest.mark.parametrize("new", [["a"], [1.5]])
def test_strings_and_others_do_not_mix(new):
    retriever = MixedModalityRetriever().fit(EmbeddingArray(np.eye(2), "text"), ["x", "y"])
    numbered = MixedModalityRetriever().fit(EmbeddingArray(np.eye(2), "text"), [1, 2])
    wrong = numbered if isinstance(new[0], str) else retriever
    with pytest.raises(ValueError, match="of another type"):
        wrong.partial_fit(EmbeddingArray(np.eye(1, 2), "text"), new)


@pytest.mark.parametrize("ids", [[["x"]], [{"x": 1}], [bytearray(b"x")], [("x", ["y"])]])
def test_what_is_no_id_cannot_be_removed(ids):
    retriever = MixedModalityRetriever().fit(EmbeddingArray(np.eye(2), "text"), ["x", "y"])
    with pytest.raises(TypeError, match="remove takes an id or a flat collection of ids"):
        retriever.remove(ids)
    assert retriever.ids_.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.array([2**63 + 1, 5], dtype=np.uint64), [7]),
        ([7, 8], np.array([2**63 + 1], dtype=np.uint64)),
        ([1.5, 2.5], [3.0]),
        (["a\0", "c"], ["b"]),
    ],
)
def test_batches_of_unlike_ids_of_one_kind_are_taken(first, second):
    X = EmbeddingArray(np.eye(3), "text")
    retriever = MixedModalityRetriever().fit(X[:2], first).partial_fit(X[2:], second)
    want = [*list(first), *list(second)]
    assert retriever.ids_.tolist() == want
    found = retriever.search(EmbeddingArray(np.eye(3), "query:text"), 1).ids[:, 0]
    assert found.tolist() == want
    assert retriever.remove(want[2]).ids_.tolist() == want[:2]


def test_one_long_id_does_not_make_the_others_long():
    ids = ["x" * 20_000, *map(str, range(2999))]
    rows = EmbeddingArray(np.random.default_rng(0).normal(size=(3000, 4)), "text")
    tracemalloc.start()
    retriever = MixedModalityRetriever().fit(rows, ids)
    assert retriever.ids_[0] == ids[0]
    assert retriever.search(rows[:5]).ids.shape == (5, 10)
    retriever.remove(ids[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


# Copies and files.


def corpus(n=400):
    rng = np.random.default_rng(0)
    tags = [*["text", "image"] * (n // 2), *["query:text"] * 20]
    X = EmbeddingArray(rng.normal(size=(len(tags), 16)).astype("f4"), tags)
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(X)
    return retriever.partial_fit(X[:2], [-1, -2]), X


def rooms(retriever):
    return {key: room.ctypes.data for key, (_, room) in retriever._index._room.items()}


@pytest.mark.parametrize(
    "use", [pickle.dumps, copy.copy, copy.deepcopy, joblib.hash, repr, lambda r: r.ids_]
)
def test_copies_pickles_and_hashes_leave_the_room_of_the_original(use):
    retriever, X = corpus()
    before, kept = rooms(retriever), retriever._index.now
    other = use(retriever)
    assert retriever._index.now is kept
    retriever.partial_fit(X[2:4], [-3, -4]).remove(0)
    assert rooms(retriever) == before
    if isinstance(other, MixedModalityRetriever):
        assert other.n_documents_ == retriever.n_documents_ - 1
        other.partial_fit(X[4:5], [-3])
        assert other.ids_[-1] == -3
        assert not np.isin(-4, other.ids_)
        assert not any(
            np.shares_memory(room, mine)
            for _, room in other._index._room.values()
            for _, mine in retriever._index._room.values()
        )


def test_a_hash_does_not_change_with_use():
    retriever, X = corpus()
    want = joblib.hash(retriever)
    retriever.search(X[-1:])
    retriever.remove([])
    assert retriever.ids_.size
    assert joblib.hash(retriever) == want


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_saved_search_that_is_mapped_is_never_written_to(tmp_path, mode):
    retriever, X = corpus()
    joblib.dump(retriever, tmp_path / "search.joblib")
    before = (tmp_path / "search.joblib").read_bytes()
    mapped = joblib.load(tmp_path / "search.joblib", mmap_mode=mode)
    mapped.remove(range(100)).partial_fit(X[:3], [-3, -4, -5]).remove([300, -4])
    del mapped
    assert (tmp_path / "search.joblib").read_bytes() == before
    again = joblib.load(tmp_path / "search.joblib")
    np.testing.assert_array_equal(again.predict(X[-5:]), retriever.predict(X[-5:]))


def test_snapshots_stay_as_they_were():
    retriever, X = corpus()
    now = retriever._index.now
    was = pickle.loads(pickle.dumps(now))
    for i in range(20):
        retriever.partial_fit(X[i : i + 1], [-10 - i]).remove(range(10 * i, 10 * i + 10))
    for key, segment in now.segments.items():
        for name, column in segment.columns.items():
            np.testing.assert_array_equal(column, was.segments[key].columns[name])
    assert now.ids.tolist() == was.ids.tolist()

"""FaissStore beside brute force: exact and approximate indexes, folders, crashes."""

import copy
import json
import pickle
import signal
import subprocess
import sys
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_contract import CONTRACT, as_contents, assert_exact, contents, filled, make_rows

from gapremoval.stores import FaissStore, StoreRows

APPROXIMATE = [
    ("HNSW8", {"efSearch": 200}),
    ("IVF2,Flat", {"nprobe": 2}),
    ("IVF2_HNSW8,Flat", {"nprobe": 2}),
]


@pytest.mark.parametrize("check", CONTRACT)
def test_a_store_in_memory_keeps_the_contract(check):
    check(FaissStore)


@pytest.mark.parametrize("check", CONTRACT)
def test_a_store_in_a_folder_keeps_the_contract(check, tmp_path_factory):
    check(lambda: FaissStore(tmp_path_factory.mktemp("new") / "below" / "store"))


@pytest.mark.parametrize("check", CONTRACT)
def test_a_store_that_may_be_too_small_to_train_keeps_the_contract(check):
    check(lambda: FaissStore(factory="IVF4,Flat", search_params={"nprobe": 4}))


@pytest.mark.parametrize(("factory", "search_params"), APPROXIMATE)
@settings(max_examples=8)
@given(changes=st.lists(st.tuples(st.booleans(), st.integers(0, 350), st.integers(1, 150))))
def test_thorough_searches_after_any_changes_find_what_brute_force_finds(
    factory, search_params, changes
):
    rows = make_rows(range(300), modality="text")
    store = FaissStore(factory=factory, search_params=search_params)
    want = as_contents(rows)
    filled(store, rows)
    for seed, (writes, start, n) in enumerate(changes):
        ids = list(range(start, start + n))
        if writes:
            rows = make_rows(ids, seed=seed, modality=["text", "image"][seed % 2])
            store.upsert(rows)
            want |= as_contents(rows)
        else:
            store.delete(ids)
            want = {name: row for name, row in want.items() if name not in ids}
    assert contents(store) == want
    if want:
        held = StoreRows(
            np.array(list(want)),
            np.array([modality for modality, _ in want.values()]),
            np.array([vector for _, vector in want.values()], np.float32),
        )
        queries = make_rows([0, 1], seed=99).vectors
        found = store.search(queries, 5, among=held.ids[::2])
        assert_exact(found, held, queries, 5, np.arange(len(held.ids)) % 2 == 0)
        assert_exact(store.search(queries, 5), held, queries, 5, np.ones(len(held.ids), bool))


def test_an_index_is_trained_as_soon_as_there_are_39_rows_for_each_list():
    rows = make_rows(range(400), n_features=8, modality="text")
    store = filled(FaissStore(factory="IVF10,Flat"), StoreRows(*(part[:389] for part in rows[:3])))
    exact = filled(FaissStore(), rows)
    queries = rows.vectors[:100]

    def equals_exact():
        hits = store.search(queries, 5, among=None)
        return np.array_equal(hits.ids, exact.search(queries, 5, among=store_ids()).ids)

    def store_ids():
        return np.concatenate([batch.ids for batch in store.rows()])

    assert equals_exact()
    store.upsert(StoreRows(*(part[389:] for part in rows[:3])))
    assert not equals_exact()  # one list of ten was searched
    store.search_params = {"nprobe": 10}
    assert equals_exact()


def test_an_approximate_index_finds_most_of_clustered_rows():
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(50, 16))
    vectors = centers[rng.integers(0, 50, 3000)] + 0.3 * rng.normal(size=(3000, 16))
    rows = StoreRows(np.arange(3000), np.full(3000, "text"), vectors.astype(np.float32))
    queries = rows.vectors[:50] + np.float32(0.01)
    exact = filled(FaissStore(), rows).search(queries, 10).ids
    for factory, params in (("HNSW16", {"efSearch": 64}), ("IVF32,Flat", {"nprobe": 8})):
        found = filled(FaissStore(factory=factory, search_params=params), rows)
        found = found.search(queries, 10).ids
        recall = np.mean([np.isin(a, b).mean() for a, b in zip(exact, found)])
        assert recall > 0.9


def test_more_than_is_found_is_no_hit():
    rows = make_rows(range(100), n_features=8, modality="text")
    store = filled(FaissStore(factory="IVF2,Flat"), rows)
    hits = store.search(rows.vectors[:3], 100)
    missing = np.isneginf(hits.products)
    assert missing.any()  # the other list was not searched
    assert np.array_equal(missing, hits.modalities == "")
    assert np.array_equal(missing, hits.ids == None)  # noqa: E711


# Folders


def test_another_process_opens_the_folder(tmp_path):
    rows = make_rows(["a", "b", "ü"])
    filled(FaissStore(tmp_path / "store", factory="HNSW8"), rows)
    code = (
        "import sys; from gapremoval.stores import FaissStore; s = FaissStore(sys.argv[1]); "
        "print(ascii(s.search(s.fetch(['b']).vectors, 3).ids[0][0])); s.delete(['b'])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "store"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == "'b'\n"
    assert FaissStore(tmp_path / "store").count() == {"text": 1, "image+text": 1}


def test_a_store_sees_what_another_one_wrote_in_its_folder(tmp_path):
    mine, other = FaissStore(tmp_path), FaissStore(str(tmp_path))
    filled(mine, make_rows([1, 2]))
    assert contents(other) == contents(mine)
    other.upsert(make_rows([2, 3], seed=1))
    assert contents(other) == contents(mine)
    assert len(contents(mine)) == 3
    mine.delete([1])
    assert contents(other) == contents(mine)


def test_an_opened_store_keeps_its_kind_of_index(tmp_path):
    rows = make_rows(range(100), modality="text")
    filled(FaissStore(tmp_path, factory="IVF2,Flat"), rows)
    opened = FaissStore(tmp_path)
    opened.delete(range(10))
    opened.delete(range(10, 20))
    assert json.loads((tmp_path / "store.json").read_text())["factory"] == "IVF2,Flat"
    assert opened.search(rows.vectors[:1], 80).ids.shape[1] < 80  # one list of two was searched


def test_deleting_writes_no_index_and_old_files_are_removed(tmp_path):
    store = filled(FaissStore(tmp_path), make_rows(range(30)))
    before = {file.name for file in tmp_path.glob("*.faiss")}
    store.delete([0])
    assert {file.name for file in tmp_path.glob("*.faiss")} == before
    store.upsert(make_rows([0], modality="text"))
    after = {file.name for file in tmp_path.glob("*.faiss")}
    assert (len(before), len(after), len(before & after)) == (3, 3, 2)


WRITER = """
import sys
import numpy as np
from gapremoval.stores import FaissStore, StoreRows
store, n = FaissStore(sys.argv[1]), 0
while True:
    ids = np.arange(n, n := n + 50)
    store.upsert(StoreRows(ids, np.full(50, "text"), np.full((50, 64), n)))
    print(n, flush=True)
"""


def test_a_killed_writer_leaves_a_state_before_or_after_a_write(tmp_path):
    with FaissStore(tmp_path).build(64):
        pass
    for wait_for in (1, 7):
        with FaissStore(tmp_path).build(64, overwrite=True):
            pass
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE)
        for _ in range(wait_for):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, writer.communicate()[0].split())])
        store = FaissStore(tmp_path)
        n = store.count()["text"]
        assert n in (acknowledged, acknowledged + 50)
        vectors = store.fetch(range(n)).vectors
        assert np.array_equal(vectors[:, 0], np.arange(n) // 50 * 50 + 50)
        store.upsert(make_rows([0], n_features=64, modality="text"))
        # What the writer had begun is gone.
        assert len(list(tmp_path.glob("*.faiss"))) == 1
        assert list(tmp_path.glob(".*.part")) == []


def test_no_write_of_one_store_is_lost_to_another(tmp_path):
    with FaissStore(tmp_path).build(4):
        pass

    def write(first):
        store = FaissStore(tmp_path)
        for name in range(first, first + 15):
            while True:
                try:
                    store.upsert(make_rows([name]))
                except RuntimeError as error:
                    assert "Another process changed" in str(error)  # noqa: PT017
                else:
                    break

    threads = [Thread(target=write, args=(first,)) for first in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(contents(FaissStore(tmp_path))) == {*range(15), *range(100, 115)}


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "store.json").write_text("{"),
        lambda folder: (folder / "store.json").write_text('{"format": 2}'),
        lambda folder: next(folder.glob("*.faiss")).write_bytes(b"IxFI"),
        lambda folder: next(folder.glob("*.faiss")).unlink(),
    ],
)
def test_a_damaged_folder_says_so(tmp_path, damage):
    filled(FaissStore(tmp_path), make_rows([1, 2]))
    damage(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match="readable FaissStore|No such file"):
        FaissStore(tmp_path).count()


def test_a_pickle_of_a_store_in_a_folder_holds_the_path_only(tmp_path):
    store = filled(FaissStore(tmp_path), make_rows(range(1000)))
    assert len(pickle.dumps(store)) < 1000
    assert len(pickle.dumps(filled(FaissStore(), make_rows(range(1000))))) > 16_000


# What is refused


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"factory": "Flut"}, "faiss cannot make an index from factory='Flut'"),
        ({"factory": "PQ2"}, "complete vectors"),
        ({"factory": "HNSW8_SQ8"}, "complete vectors"),
        ({"search_params": {"nprobe": 1}}, "has no parameter 'nprobe'.*Flat none"),
        ({"factory": "HNSW8", "search_params": {"efSearch": "x"}}, "can be 'x'"),
    ],
)
def test_a_wrong_index_is_refused_when_the_store_is_built(wrong, message):
    with pytest.raises(ValueError, match=message), FaissStore(**wrong).build(4):
        raise AssertionError("not reached")


def test_what_a_search_cannot_do_is_refused():
    store = filled(FaissStore(), make_rows([1, 2]))
    query = make_rows([0]).vectors
    with pytest.raises(ValueError, match="among=ids"):
        store.search(query, 1, filter="price < 3")
    with pytest.raises(ValueError, match="at least 1"):
        store.search(query, 0)
    assert store.search(query, 1, modality="text").ids.shape == (1, 1)


def test_rows_that_cannot_be_kept_are_refused():
    store = filled(FaissStore(), make_rows([1, 2]))
    one = make_rows([3])
    for rows, message in [
        (make_rows(["a"]), "integers, or all are strings"),
        (one._replace(metadata=[{}]), "no metadata"),
        (one._replace(ids=[3, 4]), "2 ids, 1 modalities"),
        (one._replace(ids=[None]), "None, a NoneType"),
        (make_rows([1, 2])._replace(ids=[5, 5]), "twice"),
        (make_rows([1, 2])._replace(ids=[5, "a"]), "both"),
    ]:
        with pytest.raises(ValueError, match=message):
            store.upsert(rows)
    assert contents(store) == as_contents(make_rows([1, 2]))
    with pytest.raises(ValueError, match="never built"):
        FaissStore().upsert(one)


def test_who_opened_a_store_that_is_built_anew_is_told_so(tmp_path):
    store = filled(FaissStore(tmp_path / "s"), make_rows(["a", "b"]))
    reader, twin = FaissStore(tmp_path / "s"), copy.copy(store)
    assert reader.count() == twin.count() == store.count()
    filled(store, make_rows(["c"]), overwrite=True)
    for opened in (reader, twin, pickle.loads(pickle.dumps(reader))):
        with pytest.raises(
            LookupError, match="Another build has replaced the store in .*: open the store again"
        ):
            opened.search(make_rows(["q"]).vectors, 1)
    reader.read_settings()
    assert reader.known(["a", "c"]).tolist() == [False, True]


def test_how_a_store_is_searched_is_kept_beside_it(tmp_path):
    rows = make_rows([f"r{i}" for i in range(2000)], n_features=16, modality="image")
    built = FaissStore(tmp_path / "s", factory="IVF32,Flat", search_params={"nprobe": 24})
    filled(built, rows)
    queries = make_rows(range(50), n_features=16, seed=1).vectors
    want = built.search(queries, 10).ids
    np.testing.assert_array_equal(FaissStore(tmp_path / "s").search(queries, 10).ids, want)
    few = FaissStore(tmp_path / "s", search_params={"nprobe": 1}).search(queries, 10).ids
    assert (few != want).any()

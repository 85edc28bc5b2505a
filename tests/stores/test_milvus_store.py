"""MilvusStore on real files of Milvus Lite, and on its server."""

import copy
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from store_contract import CONTRACT, STRANGE_IDS, as_contents, contents, filled, make_rows

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

import pymilvus
from milvus_lite.adapter.grpc.server import start_server_in_thread

from gapremoval.stores import MilvusStore, StoreRows


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    uri = str(tmp_path_factory.mktemp("milvus") / "corpus.db")
    yield uri
    MilvusStore(uri).close()


@pytest.fixture(scope="module")
def new_store(uri):
    """A function that returns a store with a name of its own, in one file."""
    numbers = itertools.count()
    return lambda **params: MilvusStore(uri, f"documents_{next(numbers)}", **params)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server."""
    running, files, port = start_server_in_thread(str(tmp_path_factory.mktemp("server") / "data"))
    yield f"http://127.0.0.1:{port}"
    running.stop(0).wait()
    files.close()


def names(uri):
    return sorted(pymilvus.MilvusClient(uri).list_collections())


def run_python(code, *args):
    """Start a process that runs some code, and can be asked for what it prints."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_milvus_satisfies_the_contract_of_stores(check, new_store):
    check(new_store)


def test_a_server_is_used_by_changing_the_uri_only(server):
    rows = make_rows(STRANGE_IDS)
    store = filled(MilvusStore(server, "documents"), rows)
    store.write_settings(b"settings")
    other = MilvusStore(server, "documents")
    assert contents(other) == as_contents(rows)
    assert other.read_settings() == b"settings"
    store.upsert(make_rows(["new"], seed=1))
    assert other.known(["new", "newer"]).tolist() == [True, False]


def test_writes_wait_for_a_server_that_is_away_for_a_moment(tmp_path):
    running, files, port = start_server_in_thread(str(tmp_path / "data"))
    store = filled(MilvusStore(f"http://127.0.0.1:{port}"), make_rows([1]))
    running.stop(0).wait()
    files.close()
    started = []
    returns = threading.Timer(
        0.3, lambda: started.extend(start_server_in_thread(str(tmp_path / "data"), port=port))
    )
    returns.start()
    store.upsert(make_rows([2]))
    returns.join()
    assert MilvusStore(f"http://127.0.0.1:{port}").known([1, 2]).all()
    started[0].stop(0).wait()
    started[1].close()


def test_flat_search_of_real_embeddings_is_exact(real, new_store):
    vectors = real("coco_clip_vitb16.npz")["image"]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(len(vectors))
    rows = StoreRows(ids, np.full(len(ids), "image"), vectors.astype(np.float32))
    hits = filled(new_store(), rows).search(rows.vectors, 10)
    products = rows.vectors @ rows.vectors.T
    np.testing.assert_allclose(hits.products, -np.sort(-products, axis=1)[:, :10], atol=1e-5)
    recall = [np.isin(found, best).mean() for found, best in zip(hits.ids, np.argsort(-products))]
    assert np.mean(recall) == 1


def test_an_approximate_index_is_searched_as_its_parameters_say(new_store):
    rows = make_rows(list(range(500)), n_features=16)
    hnsw = {"index_type": "HNSW", "params": {"M": 8, "efConstruction": 64}}
    store = filled(new_store(index_params=hnsw, search_params={"ef": 64}), rows)
    best = np.argsort(-rows.vectors @ rows.vectors.T)[:, :10]
    found = store.search(rows.vectors, 10).ids
    assert np.mean([np.isin(ids, wanted).mean() for ids, wanted in zip(found, best)]) > 0.9


def test_filters_read_metadata_that_were_never_declared(new_store):
    rows = make_rows(["a", "b", "c'", "d"], modality="text")._replace(
        metadata=[
            {"brand": "x", "price": 5},
            {"brand": "ünï", "price": np.float32(2.5)},
            {"brand": "x", "price": 50, "tags": ["new", 'say "hi"']},
            {},
        ]
    )
    store = filled(new_store(), rows)

    def found(filter, **narrower):
        hits = store.search(rows.vectors[:1], 9, filter=filter, **narrower)
        return set(hits.ids[0].tolist())

    assert found('brand == "x" and price < 10') == {"a"}
    assert found("price < 10") == {"a", "b"}
    assert found('brand == "ünï" or price > 10') == {"b", "c'"}
    assert found("array_contains(tags, 'say \"hi\"')") == {"c'"}
    assert found('brand == "x" or price < 10', among=["b", "c'", "d"]) == {"b", "c'"}
    assert found('brand == "x"', modality=["image"]) == set()
    with pytest.raises(pymilvus.MilvusException, match="did you mean '=='"):
        found('brand = "x"')
    assert store.fetch(["c'", "d"]).metadata == [rows.metadata[2], {}]
    assert [m for batch in store.rows(2) for m in batch.metadata] == rows.metadata


def test_a_row_that_is_replaced_keeps_no_metadata_of_before(new_store):
    rows = make_rows([1])._replace(metadata=[{"brand": "x", "price": 5}])
    store = filled(new_store(), rows)
    store.upsert(rows._replace(metadata=[{"price": 6}]))
    assert store.fetch([1]).metadata == [{"price": 6}]
    assert store.search(rows.vectors, 1, filter='brand == "x"').ids.shape == (1, 0)


@pytest.mark.parametrize(
    ("metadata", "error"),
    [({"vector": 1}, ValueError), ({"made": object()}, TypeError), ({1: 2}, TypeError)],
)
def test_metadata_that_milvus_cannot_hold_are_refused(new_store, metadata, error):
    store = filled(new_store(), make_rows([1]))
    with pytest.raises(error, match="Metadata"):
        store.upsert(make_rows([1])._replace(metadata=[metadata]))


@pytest.mark.parametrize("ids", [[(1, 2)], [1.5], [True], [2**63], ["a", 1], [None]])
def test_ids_that_milvus_cannot_hold_are_refused(new_store, ids):
    store, kept = new_store(), np.empty(len(ids), object)
    kept[:] = ids
    rows = make_rows(["x"] * len(ids))._replace(ids=kept)
    with pytest.raises(TypeError, match="Give the documents strings as ids"):
        filled(store, rows)
    assert store.count() == {}


def test_strings_do_not_enter_a_store_of_integers(new_store):
    store = filled(new_store(), make_rows([1]))
    with pytest.raises(TypeError, match="are integers, and strings were given"):
        store.upsert(make_rows(["1"]))
    assert store.known(["1"]).tolist() == [False]
    assert store.search(make_rows([0]).vectors, 1, among=["1"]).ids.shape == (1, 0)
    with pytest.raises(KeyError, match="'1'"):
        store.fetch(["1"])


def test_a_store_without_rows_takes_ids_of_either_kind_and_keeps_its_settings(new_store):
    store = filled(new_store(), make_rows(["a"]))
    store.write_settings(b"settings")
    store.delete(["a"])
    store.upsert(make_rows([7]))
    assert contents(store) == as_contents(make_rows([7]))
    assert store.read_settings() == b"settings"


def test_more_rows_than_milvus_returns_at_once_are_read_and_searched(new_store):
    rows = make_rows(list(range(16_400)), n_features=2, modality="text")
    store = filled(new_store(), rows)
    assert sum(len(batch.ids) for batch in store.rows(10**6)) == 16_400
    with pytest.raises(ValueError, match="the most that Milvus finds"):
        store.search(rows.vectors[:1], 16_385)
    assert store.search(rows.vectors[:1], 10**6, among=rows.ids[:9]).ids.shape == (1, 9)


def test_a_sample_is_drawn_with_equal_probabilities(new_store):
    store = filled(new_store(), make_rows(list(range(3000)), modality="text"))
    drawn = store.sample("text", 600).ids
    assert drawn.tolist() == store.sample("text", 600).ids.tolist()
    tenths = np.bincount(drawn // 300, minlength=10)
    assert abs(tenths - 60).max() < 4.5 * np.sqrt(60)


def test_a_store_stays_with_its_build_until_it_is_opened_again(uri, new_store):
    writer = filled(new_store(), make_rows([1]))
    writer.write_settings(b"old")
    reader = MilvusStore(uri, writer.collection)
    assert reader.read_settings() == b"old"
    carried = pickle.dumps(reader)
    filled(writer, make_rows(["a", "b"]), overwrite=True).write_settings(b"new")
    for stale in (reader, pickle.loads(carried)):
        with pytest.raises(LookupError, match="open the store again"):
            stale.search(make_rows([0]).vectors, 1)
        with pytest.raises(LookupError, match="open the store again"):
            stale.upsert(make_rows([1]))
        assert stale.read_settings() == b"new"
        assert stale.count() == {"text": 1, "image": 1}


def test_builds_leave_nothing_behind(tmp_path):
    store = MilvusStore(tmp_path / "corpus.db", "documents")
    for _ in range(3):
        filled(store, make_rows([1]), overwrite=True).write_settings(b"x")
    with suppress(KeyboardInterrupt), store.build(4, overwrite=True) as target:
        target.upsert(make_rows([2]))
        target.write_settings(b"y")
        raise KeyboardInterrupt
    assert len(names(str(store.uri))) == 2  # rows and settings
    store.close()


def test_a_cluster_keeps_young_builds_that_other_machines_may_fill(server):
    client = pymilvus.MilvusClient(server)
    old, young = "shared_5f000000_0123abcd", f"shared_{int(time.time()):08x}_0123abcd"
    for name in (old, f"{old}_settings", young, "shared_with_us"):
        client.create_collection(name, dimension=2)
    filled(MilvusStore(server, "shared"), make_rows([1]))
    left = set(client.list_collections())
    assert {young, "shared_with_us"} < left
    assert not {old, f"{old}_settings"} & left


def test_readers_see_the_old_settings_or_the_new_ones(new_store):
    store = filled(new_store(), make_rows([1]))
    versions = [bytes([i]) * 300_000 for i in range(8)]
    store.write_settings(versions[0])
    writer = threading.Thread(target=lambda: [*map(store.write_settings, versions[1:])])
    writer.start()
    reader, seen = copy.copy(store), []
    while writer.is_alive():
        seen.append(versions.index(reader.read_settings()))
    writer.join()
    assert seen == sorted(seen)
    assert reader.read_settings() == versions[-1]


def test_builds_at_the_same_time_do_not_disturb_each_other(uri, new_store):
    one = new_store()
    two = MilvusStore(uri, one.collection)
    with one.build(4) as first:
        first.upsert(make_rows([1]))
        with two.build(4) as second:
            second.upsert(make_rows([2]))
        first.upsert(make_rows([3]))
    assert contents(one) == as_contents(make_rows([1])) | as_contents(make_rows([3]))


def test_threads_write_and_search_at_once(new_store):
    store = filled(new_store(), make_rows(list(range(100))))
    everything, problems = make_rows(list(range(100, 180))), []

    def work(start):
        try:
            for i in range(start, 80, 4):
                part = [column[i : i + 1] for column in everything[:3]]
                store.upsert(StoreRows(*part))
                assert store.search(part[2], 1, among=part[0]).ids.tolist() == [[100 + i]]
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert sum(store.count().values()) == 180


WRITE_UNTIL_KILLED = """
import sys, itertools
from store_contract import filled, make_rows
from gapremoval.stores import MilvusStore
store = MilvusStore(sys.argv[1], "documents")
filled(store, make_rows([0])).write_settings(b"settings")
if sys.argv[2] == "rows":
    for i in itertools.count(1):
        store.upsert(make_rows(list(range(i * 50, i * 50 + 50)), seed=i))
        print(i, flush=True)
with store.build(4, overwrite=True) as target:
    target.write_settings(b"other")
    for i in itertools.count(1):
        target.upsert(make_rows(list(range(i * 50, i * 50 + 50)), seed=i))
        print(i, flush=True)
"""


def kill_a_writer(uri, what):
    """Kill a process in the middle of its writes; the number of batches that it wrote."""
    process = run_python(WRITE_UNTIL_KILLED, uri, what)
    acknowledged = [process.stdout.readline() for _ in range(12)]
    process.send_signal(signal.SIGKILL)
    rest, errors = process.communicate()
    assert acknowledged[-1], errors
    return int([*acknowledged, *rest.split()][-1])


def test_a_process_that_is_killed_loses_no_acknowledged_row(tmp_path):
    uri = str(tmp_path / "corpus.db")
    n_batches = kill_a_writer(uri, "rows")
    store = MilvusStore(uri, "documents")
    want = as_contents(make_rows([0]))
    for i in range(1, n_batches + 1):
        want |= as_contents(make_rows(list(range(i * 50, i * 50 + 50)), seed=i))
    held = contents(store)
    assert {name: held.get(name) for name in want} == want
    assert store.read_settings() == b"settings"
    store.close()


def test_a_build_that_is_killed_leaves_the_old_store_and_the_next_build_cleans_up(tmp_path):
    uri = str(tmp_path / "corpus.db")
    kill_a_writer(uri, "build")
    store = MilvusStore(uri, "documents")
    assert store.read_settings() == b"settings"
    assert contents(store) == as_contents(make_rows([0]))
    assert len(names(uri)) == 4
    filled(store, make_rows([1]), overwrite=True)
    assert len(names(uri)) == 1
    store.close()


def test_a_file_that_another_process_uses_says_so_and_opens_when_it_is_closed(tmp_path):
    uri = str(tmp_path / "corpus.db")
    store = filled(MilvusStore(uri), make_rows(["ä"]))
    code = """
import sys
from gapremoval.stores import MilvusStore
try:
    MilvusStore(sys.argv[1]).count()
except RuntimeError as refused:
    print(refused, flush=True)
sys.stdin.readline()
print(MilvusStore(sys.argv[1]).fetch(["ä"]).ids)
"""
    other = run_python(code, uri)
    assert f"{uri} is in use by another process" in other.stdout.readline()
    store.close()
    assert other.communicate("closed")[0] == "['ä']\n"
    assert contents(store) == as_contents(make_rows(["ä"]))
    store.close()


def own_collection(uri, metric, vector="vector"):
    """A collection that somebody made without this library, of rows of unit length."""
    client = pymilvus.MilvusClient(uri)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
    schema.add_field("modality", pymilvus.DataType.VARCHAR, max_length=32)
    schema.add_field(vector, pymilvus.DataType.FLOAT_VECTOR, dim=4)
    index = client.prepare_index_params()
    index.add_index(vector, index_type="FLAT", metric_type=metric)
    name = f"own_{metric}_{vector}"
    client.create_collection(name, schema=schema)
    client.create_index(name, index, sync=False)
    rows = make_rows([1, 2, 3])
    client.insert(
        name,
        [
            {"id": int(i), "modality": str(m), vector: v}
            for i, m, v in zip(rows.ids, rows.modalities, rows.vectors)
        ],
    )
    return MilvusStore(uri, name), rows


@pytest.mark.parametrize("metric", ["IP", "COSINE"])
def test_a_collection_of_others_is_searched_and_never_replaced(uri, metric):
    store, rows = own_collection(uri, metric)
    query = 3 * rows.vectors[:1]
    want = -np.sort(-(query @ rows.vectors.T))
    np.testing.assert_allclose(store.search(query, 3).products, want, atol=1e-5)
    assert store.read_settings() is None
    with pytest.raises(ValueError, match="was not built here"), store.build(4, overwrite=True):
        pass
    assert contents(store) == as_contents(rows)


def test_a_collection_of_others_that_does_not_fit_is_refused(uri):
    store, _ = own_collection(uri, "L2")
    with pytest.raises(ValueError, match="the metric L2"):
        store.count()
    store, _ = own_collection(uri, "IP", vector="embedding")
    with pytest.raises(ValueError, match="no field \\['vector'\\]"):
        store.count()


def test_a_store_that_was_never_built_cannot_be_searched(new_store):
    with pytest.raises(LookupError, match="There is no collection"):
        new_store().search(make_rows([0]).vectors, 1)


def test_tokens_are_neither_shown_nor_pickled(monkeypatch):
    monkeypatch.setenv("MILVUS_TOKEN", "root:secret")
    store = MilvusStore("http://localhost:19530", "documents")
    assert b"secret" not in pickle.dumps(store)
    assert "secret" not in repr(store)
    careless = MilvusStore("http://root:secret@localhost:19530", "documents")
    assert repr(careless) == repr(store)
    with pytest.raises(ValueError, match="MILVUS_TOKEN") as refused:
        careless.count()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "error", "match"),
    [
        ("corpus", ValueError, "neither a file that ends in '.db'"),
        ("absent/corpus.db", FileNotFoundError, "no folder"),
        ("old.db", RuntimeError, "not of Milvus Lite 3"),
        ("http://127.0.0.1:1", ConnectionError, "Is the server running"),
    ],
)
def test_a_uri_that_cannot_be_opened_says_why(tmp_path, monkeypatch, uri, error, match):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.db").write_text("SQLite format 3")
    with pytest.raises(error, match=match):
        MilvusStore(uri).count()


def test_names_that_milvus_would_refuse_are_refused(uri):
    with pytest.raises(ValueError, match="letters, digits and underscores"):
        MilvusStore(uri, "my documents").count()


def test_stores_with_the_same_parameters_are_equal(uri):
    store = MilvusStore(uri, "documents", search_params={"ef": 9})
    assert store == MilvusStore(uri, "documents", search_params={"ef": 9})
    assert hash(store) == hash(MilvusStore(uri, "documents", search_params={"ef": 9}))
    assert store != MilvusStore(uri, "documents")
    assert eval(repr(store)) == store


def test_a_missing_pymilvus_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(ImportError, match="gapremoval\\[milvus\\]"):
        MilvusStore(tmp_path / "corpus.db").count()

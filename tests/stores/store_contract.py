"""What every WritableStore must satisfy; the store under test searches exactly.

A check takes `new_store`, a function that returns another store at each call, in which nothing was
ever built. ``CONTRACT`` lists the checks.
"""

import copy
import pickle
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from gapremoval.stores import Store, StoreRows, WritableStore

MODALITIES = ["text", "image", "image+text"]
STRANGE_IDS = ["it's", 'say "hi"', "back\\slash", "\\", "ünï → 日本", "a\nb", " ", "%_*", "0"]

int_ids = st.integers(-(2**62), 2**62)
str_ids = st.sampled_from(STRANGE_IDS) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12
)


def make_rows(ids, *, n_features=4, modality=None, seed=0):
    """Random unit rows with some ids, of modalities in turn."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(len(ids), n_features)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if modality is None:
        modality = [MODALITIES[i % 3] for i in range(len(ids))]
    is_int = all(isinstance(name, int) for name in ids)
    return StoreRows(
        np.array(ids, dtype=np.int64 if is_int else object),
        np.full(len(ids), modality) if isinstance(modality, str) else np.array(modality, str),
        vectors,
    )


def filled(store, rows, **build):
    with store.build(rows.vectors.shape[1], **build) as target:
        target.upsert(rows)
    return store


def some_rows(min_size=1, max_size=20):
    """Rows with distinct ids, all integers or all strings."""
    ids = st.one_of(
        st.lists(kind, min_size=min_size, max_size=max_size, unique=True)
        for kind in (int_ids, str_ids)
    )
    return st.builds(make_rows, ids, seed=st.integers(0, 99))


def contents(store):
    """Everything in a store: id -> (modality, vector)."""
    batches = list(store.rows())
    found = [
        (name, (str(modality), tuple(vector.tolist())))
        for batch in batches
        for name, modality, vector in zip(batch.ids.tolist(), batch.modalities, batch.vectors)
    ]
    assert len(dict(found)) == len(found), "rows() yields a row twice"
    return dict(found)


def as_contents(rows):
    return {
        name: (str(modality), tuple(vector.tolist()))
        for name, modality, vector in zip(rows.ids.tolist(), rows.modalities, rows.vectors)
    }


def assert_exact(hits, rows, queries, k, may_be_found):
    """The hits are the k best of some rows by inner product, whatever the order of ties."""
    products = queries.astype(float) @ rows.vectors.T.astype(float)
    best = np.sort(np.where(may_be_found, products, -np.inf), axis=1)[:, ::-1][:, :k]
    n_found = min(k, int(may_be_found.sum()))
    assert hits.ids.shape == hits.products.shape == hits.modalities.shape
    assert hits.products.shape[0] == len(queries)
    assert hits.products.dtype == np.float64
    assert hits.products.shape[1] >= n_found
    np.testing.assert_allclose(hits.products[:, :n_found], best[:, :n_found], atol=1e-5)
    assert (np.diff(hits.products[:, :n_found], axis=1) <= 0).all()
    assert np.isneginf(hits.products[:, n_found:]).all()
    assert (hits.modalities[:, n_found:] == "").all()
    assert all(name is None for name in hits.ids[:, n_found:].ravel())
    position = {name: i for i, name in enumerate(rows.ids.tolist())}
    for ids, modalities, own, product in zip(
        hits.ids[:, :n_found].tolist(), hits.modalities, products, hits.products
    ):
        at = [position[name] for name in ids]
        assert len(set(at)) == len(at)
        assert may_be_found[at].all()
        assert modalities[:n_found].tolist() == rows.modalities[at].tolist()
        np.testing.assert_allclose(own[at], product[:n_found], atol=1e-5)


def check_it_is_a_store(new_store):
    assert isinstance(new_store(), Store)
    assert isinstance(new_store(), WritableStore)


def check_a_new_store_holds_nothing(new_store):
    store = new_store()
    assert store.count() == {}
    assert store.read_settings() is None


def check_a_search_finds_the_largest_products(new_store):
    @settings(max_examples=15)
    @given(some_rows(), st.integers(1, 25), st.integers(0, 99), st.data())
    def holds(rows, k, seed, data):
        store = filled(new_store(), rows)
        queries = make_rows([0, 1, 2], seed=seed).vectors
        modality = data.draw(st.none() | st.sets(st.sampled_from(MODALITIES), min_size=1))
        among = data.draw(st.none() | st.sets(st.sampled_from(rows.ids.tolist()), min_size=1))
        may_be_found = np.ones(len(rows.ids), bool)
        if modality is not None:
            may_be_found &= np.isin(rows.modalities, list(modality))
        if among is not None:
            may_be_found &= np.array([name in among for name in rows.ids.tolist()])
            among = list(among)
        hits = store.search(queries, k, modality=modality, among=among)
        assert_exact(hits, rows, queries, k, may_be_found)

    holds()


def check_a_search_may_find_nothing(new_store):
    rows = make_rows([1, 2, 3], modality="text")
    store = filled(new_store(), rows)
    nobody = np.zeros(3, bool)
    for wanted in ({"modality": ["image"]}, {"among": []}, {"among": [99]}, {"modality": []}):
        assert_exact(store.search(rows.vectors, 2, **wanted), rows, rows.vectors, 2, nobody)
    assert store.search(rows.vectors[:0], 2).ids.shape[0] == 0


def check_a_search_among_thousands_of_ids(new_store):
    rows = make_rows([f"it's {i}" for i in range(4000)], modality="text")
    store = filled(new_store(), rows)
    may_be_found = np.arange(4000) % 4 != 0
    hits = store.search(rows.vectors[:3], 5, among=rows.ids[may_be_found])
    assert_exact(hits, rows, rows.vectors[:3], 5, may_be_found)


def check_ids_come_back_as_they_were_given(new_store):
    ints = filled(new_store(), make_rows([7, -1, 2**53 + 1]))
    hits = ints.search(make_rows([0]).vectors, 3)
    assert hits.ids.dtype == np.int64
    assert sorted(hits.ids[0].tolist()) == [-1, 7, 2**53 + 1]
    strings = filled(new_store(), make_rows(STRANGE_IDS))
    hits = strings.search(make_rows([0]).vectors, len(STRANGE_IDS))
    assert hits.ids.dtype == object
    assert sorted(hits.ids[0].tolist()) == sorted(STRANGE_IDS)
    assert all(type(name) is str for name in hits.ids[0])


def check_a_fetch_gives_rows_in_the_order_asked(new_store):
    @settings(max_examples=10)
    @given(some_rows(), st.data())
    def holds(rows, data):
        store = filled(new_store(), rows)
        at = data.draw(st.permutations(range(len(rows.ids))))[: len(rows.ids) // 2 + 1]
        fetched = store.fetch(rows.ids[at])
        assert fetched.ids.tolist() == rows.ids[at].tolist()
        assert fetched.modalities.tolist() == rows.modalities[at].tolist()
        assert fetched.vectors.dtype == np.float32
        np.testing.assert_array_equal(fetched.vectors, rows.vectors[at])
        assert store.known(rows.ids[at]).tolist() == [True] * len(at)

    holds()


def check_a_missing_id_is_a_key_error(new_store):
    store = filled(new_store(), make_rows(["a", "b"]))
    with pytest.raises(KeyError, match="nobody"):
        store.fetch(["a", "nobody"])
    assert store.known(["a", "nobody", "b"]).tolist() == [True, False, True]
    assert store.known([]).tolist() == []
    nothing = store.fetch([])
    assert len(nothing.ids) == len(nothing.modalities) == 0
    assert nothing.vectors.shape == (0, 4)


def check_upserts_and_deletes_act_as_on_a_dict(new_store):
    names = st.sampled_from(["a", "b'", "c\\", 'd"', "é"])
    written = st.lists(names, min_size=1, max_size=5, unique=True)
    step = st.tuples(st.booleans(), written, st.integers(0, 99))

    @settings(max_examples=10)
    @given(st.lists(step, max_size=6))
    def holds(steps):
        store, want = filled(new_store(), make_rows(["a", "z"])), as_contents(make_rows(["a", "z"]))
        for writes, ids, seed in steps:
            if writes:
                rows = make_rows(ids, seed=seed)
                store.upsert(rows)
                want |= as_contents(rows)
            else:
                store.delete([*ids, "never there"])
                want = {name: row for name, row in want.items() if name not in ids}
            modalities = [modality for modality, _ in want.values()]
            assert store.count() == {name: modalities.count(name) for name in set(modalities)}
            found = store.search(make_rows([0]).vectors, 9)
            assert {name for name in found.ids[0].tolist() if name is not None} == set(want)
        assert contents(store) == want

    holds()


def check_all_rows_are_read_once_in_batches(new_store):
    rows = make_rows(list(range(1000)))
    store = filled(new_store(), rows)
    assert contents(store) == as_contents(rows)
    sizes = [len(batch.ids) for batch in store.rows(batch_size=64)]
    assert sum(sizes) == 1000
    assert all(0 < size <= 64 for size in sizes)


def check_a_sample_holds_distinct_rows_of_the_modality(new_store):
    rows = make_rows(list(range(300)))
    store, texts = filled(new_store(), rows), set(range(0, 300, 3))
    for n in (1, 30, 100, 1000):
        sample = store.sample("text", n)
        assert len(sample.ids) == len(set(sample.ids.tolist())) == min(n, 100)
        assert set(sample.ids.tolist()) <= texts
        assert set(sample.modalities.tolist()) == {"text"}
        np.testing.assert_array_equal(sample.vectors, rows.vectors[sample.ids])
    assert len(store.sample("audio", 5).ids) == 0


def check_settings_are_kept_and_replaced(new_store):
    store = filled(new_store(), make_rows([1]))
    assert store.read_settings() is None
    large = np.random.default_rng(0).bytes(5_000_001)
    for written in (b"\0\xff", large, b"", b"small again"):
        store.write_settings(written)
        assert store.read_settings() == written
    assert store.count() == {"text": 1}


def check_a_build_takes_the_place_of_the_old_store_when_it_ends(new_store):
    store = filled(new_store(), make_rows([1, 2]))
    store.write_settings(b"old")
    with store.build(3, overwrite=True) as target:
        rows = make_rows([3, 4, 5], n_features=3)
        target.upsert(rows)
        target.write_settings(b"new")
        assert contents(store) == as_contents(make_rows([1, 2]))
        assert store.read_settings() == b"old"
    assert contents(store) == as_contents(rows)
    assert store.read_settings() == b"new"
    assert_exact(store.search(rows.vectors, 2), rows, rows.vectors, 2, np.ones(3, bool))


def check_settings_belong_to_their_build(new_store):
    store = filled(new_store(), make_rows([1]))
    store.write_settings(b"old")
    filled(store, make_rows([2]), overwrite=True)
    assert store.read_settings() is None


def check_a_build_that_fails_leaves_the_old_store(new_store):
    store = filled(new_store(), make_rows([1, 2]))
    store.write_settings(b"old")
    for failure in (ValueError, KeyboardInterrupt):
        with suppress(failure), store.build(4, overwrite=True) as target:
            target.upsert(make_rows([3]))
            target.write_settings(b"new")
            raise failure
        assert contents(store) == as_contents(make_rows([1, 2]))
        assert store.read_settings() == b"old"


def check_a_first_build_that_fails_leaves_nothing(new_store):
    store = new_store()
    with suppress(KeyboardInterrupt), store.build(4) as target:
        target.upsert(make_rows([3]))
        raise KeyboardInterrupt
    assert store.count() == {}
    assert contents(filled(store, make_rows([4]))) == as_contents(make_rows([4]))


def check_a_store_that_holds_rows_is_not_overwritten_unasked(new_store):
    store = filled(new_store(), make_rows([1]))
    with pytest.raises(ValueError, match="overwrite"), store.build(4):
        pass
    assert store.count() == {"text": 1}
    store.delete([1])
    assert filled(store, make_rows([2, 3])).count() == {"text": 1, "image": 1}


def check_an_empty_build_is_a_store_without_rows(new_store):
    store = new_store()
    with store.build(4) as target:
        target.write_settings(b"settings")
    assert store.count() == {}
    assert list(store.rows()) == []
    assert store.read_settings() == b"settings"
    nobody = store.search(make_rows([0]).vectors, 3)
    assert (nobody.ids.shape[0], np.isneginf(nobody.products).all()) == (1, True)
    store.upsert(make_rows([1]))
    assert store.count() == {"text": 1}


def check_rows_that_do_not_fit_are_refused(new_store):
    store = filled(new_store(), make_rows([1, 2]))
    for bad in (np.nan, np.inf):
        rows = make_rows([2, 3])
        rows.vectors[1, 0] = bad
        with pytest.raises(ValueError, match="NaN|inf"):
            store.upsert(rows)
    with pytest.raises(ValueError, match="3 features"):
        store.upsert(make_rows([2, 3], n_features=3))
    with pytest.raises(ValueError, match="3 features"):
        store.search(make_rows([0], n_features=3).vectors, 1)
    assert contents(store) == as_contents(make_rows([1, 2]))


def check_copies_and_pickles_hold_the_same_rows(new_store):
    rows = make_rows(["a", "b"])
    store = filled(new_store(), rows)
    store.write_settings(b"settings")
    for other in (copy.copy(store), copy.deepcopy(store), pickle.loads(pickle.dumps(store))):
        assert contents(other) == as_contents(rows)
        assert other.read_settings() == b"settings"
        assert repr(other) == repr(store)


def check_a_clone_is_a_store_that_can_be_built(new_store):
    store = new_store()
    assert repr(clone(store, safe=False)) == repr(store)
    assert filled(clone(store, safe=False), make_rows([1])).count() == {"text": 1}


CONTRACT = [check for name, check in list(globals().items()) if name.startswith("check_")]

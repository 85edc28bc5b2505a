"""Raw embeddings that a store held before: asked as they are, corrected, and certified."""

import pickle

import numpy as np
import pytest
from exact_store import ExactStore
from hypothesis import given, settings
from hypothesis import strategies as st

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    StoreRetriever,
    make_search_pipeline,
    search,
    teach,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.score_calibration import ScoreZ
from gapremoval.stores import Store, WritableStore

MODALITIES = np.array(["text", "image", "audio"])


def raw_corpus(seed, n=60, n_features=6, gap=1.0, n_modalities=2):
    """Raw unit rows around a center for each modality, queries among them, and ids."""
    rng = np.random.default_rng(seed)
    modality = MODALITIES[rng.integers(0, n_modalities, n)]
    modality[:n_modalities] = MODALITIES[:n_modalities]
    centers = dict(zip(MODALITIES, rng.normal(size=(3, n_features))))
    values = np.stack([gap * centers[name] for name in modality])
    values = values + rng.normal(size=(n, n_features))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    asked = gap * centers["text"] + rng.normal(size=(12, n_features))
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    X = EmbeddingArray(values.astype("f4"), modality)
    return X, EmbeddingArray(asked.astype("f4"), "query:text"), [f"r{i}" for i in range(n)]


def exact_and_raw(X, queries, ids, calibration, store=None):
    gap = ModalityGapRemover().fit(EmbeddingArray.concatenate([X, queries]))
    Z, asked = gap.transform(X), gap.transform(queries)
    both = EmbeddingArray.concatenate([Z, asked])
    exact = MixedModalityRetriever(score_calibration=calibration)
    exact.fit(both, [*ids, *[None] * len(asked)])
    store = ExactStore(ids, X.modality, X.values) if store is None else store
    raw = StoreRetriever(store, raw=gap.centers_, score_calibration=calibration).fit(asked)
    return exact, raw, asked


@pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
@settings(max_examples=60)
@given(
    st.integers(0, 2**16),
    st.integers(3, 12),
    st.sampled_from([0.0, 0.5, 1.5, 4.0]),
    st.integers(1, 3),
    st.sampled_from([None, PosteriorOdds(), PosteriorOdds(recenter=False, hubness=1)]),
    st.integers(1, 12),
)
def test_the_certificate_is_never_wrong(seed, n_features, gap, n_modalities, calibration, k):
    corpus = raw_corpus(seed, 80, n_features, gap, n_modalities)
    exact, raw, queries = exact_and_raw(*corpus, calibration)
    want, found = exact.search(queries, k), raw.search(queries, k)
    assert found.certified.shape == found.n_fetched.shape == (len(queries),)
    sure = found.certified
    np.testing.assert_allclose(found.scores[sure], want.scores[sure], atol=2e-4)
    # Whoever is certified has all rows whose scores single precision can tell apart.
    for mine, theirs, scores in zip(found.ids[sure], want.ids[sure], want.scores[sure]):
        clear = theirs[scores > scores[-1] + 1e-3]
        assert set(clear) <= set(mine)


def test_a_limit_leaves_queries_without_a_certificate():
    # All rows of a modality lie on a sphere around its center: no bound can be reached.
    rng = np.random.default_rng(0)
    n = 9000
    flat = rng.normal(size=(n, 4)).astype("f4")
    flat[:, 0] = 0
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    center = {"image": np.array([1.0, 0, 0, 0]) * 0.9}
    raw = StoreRetriever(ExactStore([f"r{i}" for i in range(n)], ["image"] * n, flat), raw=center)
    asked = EmbeddingArray(np.eye(4, dtype="f4")[:1] * -1, "query:text")
    found = raw.fit(asked).search(asked, 10)
    assert found.n_fetched.tolist() == [4096]
    assert found.certified.tolist() == [False]
    assert found.ids.shape == (1, 10)


@pytest.mark.parametrize("calibration", [None, PosteriorOdds()], ids=["cosine", "odds"])
def test_a_pipeline_searches_a_raw_store_as_the_exact_index(calibration):
    X, y = make_mixed_modality(400, proportions={"text": 1, "image": 1}, random_state=0)
    asks = X.modality == "query:text"
    y = np.where(asks, None, y)
    values = X.values / np.linalg.norm(X.values, axis=1, keepdims=True)
    X = EmbeddingArray(values, X.modality)
    exact = make_search_pipeline()
    exact[-1].set_params(score_calibration=calibration)
    exact.fit(X, y)
    store = ExactStore(y[~asks], X.modality[~asks], values[~asks])
    assert isinstance(store, Store)
    assert not isinstance(store, WritableStore)
    pipe = make_search_pipeline()
    pipe.steps[-1] = "r", StoreRetriever(store, raw=True, score_calibration=calibration)
    pipe.fit(X, y)
    want, found = search(exact, X[asks]), search(pipe, X[asks])
    assert found.certified.all()
    assert (found.ids == want.ids).mean() > 0.999
    np.testing.assert_allclose(found.scores, want.scores, atol=1e-4)
    again = search(pickle.loads(pickle.dumps(pipe)), X[asks])
    np.testing.assert_array_equal(again.ids, found.ids)
    if calibration is not None:
        np.testing.assert_allclose(found.probabilities, want.probabilities, atol=0.02)
        judged = [[x] for x in want.ids[:9, 0]]
        for each in (exact, pipe):
            teach(each, X[asks][:9], judged)
        want, found = search(exact, X[asks]), search(pipe, X[asks])
        assert (found.ids == want.ids).mean() > 0.999


def test_filters_pass_through_and_documents_ask_for_others():
    exact, raw, queries = exact_and_raw(*raw_corpus(3), None)
    even = [x for x in exact.ids_ if int(x[1:]) % 2 == 0]
    want = exact.search(queries, 5, among=even).ids
    found = raw.search(queries, 5, filter=lambda x: int(x[1:]) % 2 == 0)
    np.testing.assert_array_equal(found.ids, want)
    np.testing.assert_array_equal(raw.search(queries, 5, among=even).ids, want)
    for options in ({"document_modality": "image"}, {}):
        want = exact.search(like=["r3", "r7"], n_neighbors=5, **options)
        found = raw.search(like=["r3", "r7"], n_neighbors=5, **options)
        np.testing.assert_array_equal(found.ids, want.ids)
        assert found.certified.all()


def test_queries_that_were_not_corrected_cause_a_warning():
    X, queries, ids = raw_corpus(0, gap=4.0)
    store = ExactStore(ids, X.modality, X.values)
    asked = EmbeddingArray(np.tile(queries.values, (9, 1)), "query:text")
    with pytest.warns(UserWarning, match="The mean of these queries has length 0.9.*centers_"):
        StoreRetriever(store, raw=True).fit(asked)


@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
def test_rows_without_a_direction_come_last():
    X, queries, ids = raw_corpus(0)
    at = np.flatnonzero(X.modality == "image")
    X.values[at] = X.values[at[0]]
    exact, raw, asked = exact_and_raw(X, queries, ids, None)
    n = len(X) - len(at)
    want, found = exact.search(asked, n), raw.search(asked, n)
    np.testing.assert_array_equal(found.ids, want.ids)
    assert found.certified.all()


def test_documents_that_are_not_there_are_named():
    _, raw, queries = exact_and_raw(*raw_corpus(0), None)
    for options in ({"among": ["r1", "nobody"]},):
        with pytest.raises(ValueError, match="names 1 unknown document: 'nobody'"):
            raw.search(queries, **options)
    with pytest.raises(ValueError, match="names 1 unknown document: 'nobody'"):
        raw.search(like="nobody")
    with pytest.raises(ValueError, match="unknown document"):
        raw.score(queries, ["nobody"] * len(queries))


def test_what_a_raw_store_cannot_do_is_refused():
    X, queries, ids = raw_corpus(0)
    store = ExactStore(ids, X.modality, X.values)
    fit = StoreRetriever(store, raw=True).fit(queries)
    with pytest.raises(ValueError, match="added to the store itself.*queries alone"):
        fit.partial_fit(X[:2], ["a", "b"])
    with pytest.raises(ValueError, match="removed from the store itself"):
        fit.remove("r1")
    with pytest.raises(ValueError, match="takes score_calibration=PosteriorOdds.*got ScoreZ"):
        StoreRetriever(store, raw=True, score_calibration=ScoreZ()).fit(queries)
    with pytest.raises(TypeError, match="ExactStore is no WritableStore.*raw=True"):
        StoreRetriever(store).fit(X, ids)
    with pytest.raises(ValueError, match="rows of 'image', for which raw= has no center.*'text'"):
        StoreRetriever(store, raw={"text": np.zeros(6)}).fit(queries)
    for centers in ({}, {"text": np.zeros(5)}, {"text": np.full(6, np.nan)}):
        with pytest.raises(ValueError, match="a center of 6 finite numbers for each modality"):
            StoreRetriever(store, raw=centers).fit(queries)
    with pytest.raises(ValueError, match="rows of the store have 6 features, and the queries 5"):
        StoreRetriever(store, raw=True).fit(EmbeddingArray(queries.values[:, :5], "query:text"))
    long = ExactStore(ids, X.modality, X.values * 3)
    with pytest.raises(ValueError, match="must have unit length.*has length 3.*Normalize"):
        StoreRetriever(long, raw=True).fit(queries)
    odds = StoreRetriever(store, raw=True, score_calibration=PosteriorOdds()).fit(queries)
    with pytest.raises(ValueError, match="learned nothing about 'query:smell'"):
        odds.search(EmbeddingArray(queries.values, "query:smell"))
    empty = ExactStore(ids[:0], X.modality[:0], X.values[:0])
    with pytest.raises(ValueError, match="is empty, and raw=True searches what it holds"):
        StoreRetriever(empty, raw=True).fit(queries)


@pytest.mark.parametrize("name", ["coco_clip_vitb16.npz", "products_clip_vitb32.npz"])
@pytest.mark.parametrize("calibration", [None, PosteriorOdds()], ids=["cosine", "odds"])
def test_real_embeddings_are_found_as_by_the_exact_index(real, name, calibration):
    data = real(name)
    text, image = data["text"][:400], data["image"][:400]
    X = EmbeddingArray.concatenate({"text": text[:200], "image": image[200:]})
    X = EmbeddingArray(X.values / np.linalg.norm(X.values, axis=1, keepdims=True), X.modality)
    queries = EmbeddingArray(text[200:], "query:text")
    exact, raw, asked = exact_and_raw(X, queries, [f"r{i}" for i in range(len(X))], calibration)
    want, found = exact.search(asked), raw.search(asked)
    assert found.certified.all()
    assert (found.ids == want.ids).mean() > 0.999
    np.testing.assert_allclose(found.scores, want.scores, atol=1e-5)


class Short(ExactStore):
    """An approximate index that looks at the forty nearest rows, and filters them then."""

    def search(self, queries, k, *, modality=None, among=None, filter=None):
        near = ExactStore.search(self, queries, 40)
        is_there = np.isin(near.modalities, list(modality))
        order = np.argsort(~is_there, axis=1, kind="stable")[:, :k]
        ids = np.where(is_there, near.ids, None)
        products = np.where(is_there, near.products, -np.inf)
        columns = ids, products, np.where(is_there, near.modalities, "")
        return type(near)(*(np.take_along_axis(x, order, axis=1) for x in columns))


def test_answers_that_are_short_are_not_certified():
    X, queries, ids = raw_corpus(1, 400)
    store = Short(ids, X.modality, X.values)
    _, raw, asked = exact_and_raw(X, queries, ids, None, store)
    with pytest.warns(UserWarning, match="returned .* rows of .* when asked for .*, and has"):
        found = raw.search(asked)
    assert not found.certified.any()


class Cosines(ExactStore):
    """A store that compares by cosine, and cares for no length."""

    def search(self, queries, k, **options):
        lengths = np.linalg.norm(queries, axis=1, keepdims=True)
        return super().search(queries / lengths, k, **options)


@pytest.mark.parametrize("calibration", [None, PosteriorOdds()], ids=["cosine", "odds"])
def test_a_store_of_cosines_is_asked_as_one_of_inner_products(calibration):
    corpus = raw_corpus(2, 300)
    _, raw, asked = exact_and_raw(*corpus, calibration)
    X, _, ids = corpus
    cosines = Cosines(ids, X.modality, X.values)
    _, other, _ = exact_and_raw(*corpus, calibration, cosines)
    want, found = raw.search(asked), other.search(asked)
    np.testing.assert_array_equal(found.ids, want.ids)
    np.testing.assert_array_equal(found.n_fetched, want.n_fetched)
    assert found.certified.all()

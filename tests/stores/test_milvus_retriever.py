"""StoreRetriever over Milvus Lite: a living corpus with metadata, opened by others."""

import pickle

import numpy as np
import pandas as pd
import pytest

from gapremoval import (
    EmbeddingArray,
    PosteriorOdds,
    StoreRetriever,
    add_documents,
    make_search_pipeline,
    remove_documents,
    search,
    teach,
)
from gapremoval.datasets import make_mixed_modality

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")
pytestmark = [pytest.mark.filterwarnings("ignore:The mean of the new rows:UserWarning")]


@pytest.fixture
def corpus():
    X, y = make_mixed_modality(120, n_features=96, random_state=0)
    return X, y, X.modality == "query:text"


def test_a_living_corpus_in_a_file(tmp_path, corpus):
    from gapremoval.stores import MilvusStore

    X, y, asks = corpus
    y_unjudged = np.where(asks, None, y)
    ids = list(dict.fromkeys(y[~asks]))
    metadata = pd.DataFrame(
        {
            "price": np.arange(len(ids), dtype=float),
            "brand": np.resize(["x", "y's", None], len(ids)),
        },
        index=ids,
    )
    store = MilvusStore(str(tmp_path / "corpus.db"), "documents")
    exact, pipe = make_search_pipeline().fit(X, y_unjudged), make_search_pipeline()
    pipe.steps[-1] = "store", StoreRetriever(store, score_calibration=PosteriorOdds())
    pipe.fit(X, y_unjudged, store__metadata=metadata)

    def assert_alike(**options):
        want, found = search(exact, X[asks], 5, **options), search(pipe, X[asks], 5, **options)
        assert (found.ids == want.ids).mean() > 0.99
        np.testing.assert_allclose(found.scores, want.scores, atol=1e-4)

    assert_alike()
    assert_alike(document_modality="image")
    more, new = make_mixed_modality(9, n_features=96, queries={}, random_state=1)
    new = [f"new-{x}" for x in new]
    for each in (exact, pipe):
        add_documents(each, more, new)
        remove_documents(each, ["item1", "new-item2"])
        teach(each, X[asks][:9], y_unjudged[asks][:9])  # all rows are written anew
    add_documents(exact, more[:3], new[:3], replace=True)
    add_documents(pipe, more[:3], new[:3], replace=True)
    assert_alike()
    cheap = [
        x for x in ids if metadata.price[x] < 30 and metadata.brand[x] == "y's" and x != "item1"
    ]
    found = search(pipe, X[asks], 5, filter='price < 30 and brand == "y\'s"')
    np.testing.assert_array_equal(found.ids, search(exact, X[asks], 5, among=cheap).ids)
    # Documents that are replaced keep their metadata, unless there are others.
    some = ~asks & np.isin(y, cheap[:2])
    add_documents(pipe, X[some], y[some], replace=True)
    kept = search(pipe, X[asks], 5, filter='price < 30 and brand == "y\'s"')
    np.testing.assert_array_equal(kept.ids, found.ids)
    others = {cheap[0]: {"price": 1234.0}}
    at = ~asks & (y == cheap[0])
    add_documents(pipe, X[at], y[at], replace=True, metadata=others)
    assert (
        search(pipe, X[asks], 5, filter="price == 1234.0").ids.tolist() == [[cheap[0]]] * asks.sum()
    )
    opened = StoreRetriever(MilvusStore(store.uri, "documents")).open()
    want = search(pipe, X[asks], 5).ids
    np.testing.assert_array_equal(opened.search(pipe[0].transform(X[asks]), 5).ids, want)
    again = pickle.loads(pickle.dumps(pipe))
    np.testing.assert_array_equal(search(again, X[asks], 5).ids, want)
    # Whoever opened the store before it was filled anew is told so.
    teach(pipe, X[asks][9:20])
    with pytest.raises(LookupError, match="open the store again"):
        opened.search(pipe[0].transform(X[asks]), 5)
    with pytest.raises(ValueError, match="overwrite=True"):
        StoreRetriever(store).fit(X, y_unjudged)


def test_raw_rows_in_milvus_are_searched_as_they_are(tmp_path):
    from gapremoval.stores import MilvusStore, StoreRows

    X, y = make_mixed_modality(
        150, n_features=96, proportions={"text": 1, "image": 1}, random_state=0
    )
    asks = X.modality == "query:text"
    values = X.values / np.linalg.norm(X.values, axis=1, keepdims=True)
    X, y = EmbeddingArray(values, X.modality), np.where(asks, None, y)
    store = MilvusStore(str(tmp_path / "raw.db"), "raw")
    with store.build(96) as target:
        target.upsert(StoreRows(y[~asks], X.modality[~asks], values[~asks]))
    exact, pipe = make_search_pipeline().fit(X, y), make_search_pipeline()
    pipe.steps[-1] = "store", StoreRetriever(store, raw=True, score_calibration=PosteriorOdds())
    found, want = search(pipe.fit(X, y), X[asks], 5), search(exact, X[asks], 5)
    assert found.certified.all()
    assert (found.ids == want.ids).mean() > 0.99

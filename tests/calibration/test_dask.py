"""Dask collections of rows: the same as in memory, chunk by chunk, and nothing computed twice."""

import pickle
import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from strategies import tagged_rows

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    search,
)
from gapremoval.calibration import (
    AnchorAndScale,
    ByModality,
    CovarianceAligner,
    GapShift,
    GapSubspaceEraser,
    OrthogonalAligner,
    drift,
    save_transformed,
)
from gapremoval.datasets import iter_parquet, make_mixed_modality

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")

MERGEABLE = [ModalityGapRemover(), GapShift(), CovarianceAligner(), GapSubspaceEraser()]
OTHERS = [AnchorAndScale(), OrthogonalAligner(), ByModality(StandardScaler())]
each_mergeable = pytest.mark.parametrize("calibrator", MERGEABLE, ids=str)
each = pytest.mark.parametrize("calibrator", MERGEABLE + OTHERS, ids=str)


@pytest.fixture(autouse=True)
def _in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def corpus(n=90, dtype="f4", seed=0):
    """Texts, images and text queries in random order, and ids that make pairs."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 6))
    centers = rng.normal(size=(3, 1, 6)) * 3
    rows = (shared + rng.normal(size=(3, n, 6)) / 2 + centers).reshape(-1, 6)
    order = rng.permutation(3 * n)
    X = EmbeddingArray(rows.astype(dtype), np.repeat(["text", "image", "query:text"], n))
    y = np.array([*range(n), *range(n), *[None] * n], dtype=object)
    return X[order], y[order]


def lazy(X, rows=64, features=-1, tags=None):
    """The values and the tags as Dask arrays."""
    values = da.from_array(X.values, chunks=(rows, features))
    return values, da.from_array(X.modality, chunks=rows if tags is None else tags)


def frame(X, n=4, **columns):
    """A Dask DataFrame with a column of vectors and one of tags."""
    table = pd.DataFrame({"embedding": list(X.values), "modality": X.modality, **columns})
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(table, npartitions=n)


def never(block):
    raise AssertionError("computed")


def cuts(n_rows):
    """Sizes of chunks, some of them empty."""
    ends = st.lists(st.integers(0, n_rows), max_size=6).map(sorted)
    return ends.map(lambda ends: tuple(np.diff([0, *ends, n_rows]).tolist()))


@each_mergeable
@settings(max_examples=8)
@given(data=st.data())
def test_the_moments_are_those_in_memory_whatever_the_chunks(calibrator, data):
    X, _ = corpus(dtype=data.draw(st.sampled_from(["f2", "f4", "f8", "i4"])))
    values = da.from_array(X.values, chunks=(data.draw(cuts(len(X))), data.draw(st.integers(1, 6))))
    tags = da.from_array(X.modality, chunks=(data.draw(cuts(len(X))),))
    want = clone(calibrator).fit(X)
    got = clone(calibrator).fit(values, modality=tags)
    assert got.counts_ == want.counts_
    for name, mean in want.means_.items():
        np.testing.assert_allclose(got.means_[name], mean, rtol=0, atol=1e-15)
    for name, center in getattr(want, "centers_", {}).items():
        np.testing.assert_allclose(got.centers_[name], center, rtol=0, atol=1e-13)
    Z = got.transform(values, modality=tags)
    assert (Z.chunks[0], Z.shape, Z.dtype) == (values.chunks[0], X.shape, want.transform(X).dtype)
    tight = 1e-3 if X.dtype == np.float16 else 2e-6
    np.testing.assert_allclose(Z.compute(), want.transform(X).values, atol=tight)


@settings(max_examples=8)
@given(X=tagged_rows(dtypes="d"), data=st.data())
def test_any_modalities_are_centered_as_in_memory(X, data):
    chunks = data.draw(cuts(len(X)))
    values = da.from_array(X.values, chunks=(chunks, -1))
    tags = da.from_array(X.modality, chunks=(chunks,))
    want = ModalityGapRemover(norm=None).fit_transform(X).values
    got = ModalityGapRemover(norm=None).fit_transform(values, modality=tags).compute()
    np.testing.assert_allclose(got, want, atol=1e-9)


@given(chunks=cuts(3000))
@settings(max_examples=5)
def test_repeated_questions_count_once_whatever_the_chunks(chunks):
    # More than a sample of questions holds, and one that a quarter of the rows repeats.
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3000, 8)) + 1
    values[rng.random(3000) < 0.25] = values[0]
    X = EmbeddingArray(values, rng.choice(["text", "query:text"], 3000, p=[0.1, 0.9]))
    want = ModalityGapRemover().fit(X).centers_["query:text"]
    rows = da.from_array(values, chunks=(chunks, -1))
    got = ModalityGapRemover().fit(rows, modality=X.modality).centers_["query:text"]
    np.testing.assert_allclose(got, want, atol=1e-12)
    assert np.linalg.norm(want - values.mean(axis=0)) > 0.1


def test_on_coco_means_and_rows_are_those_in_memory(real):
    coco = real("coco_clip_vitb16.npz")
    X = EmbeddingArray.concatenate({"text": coco["text"], "image": coco["image"]})
    values, tags = lazy(X, 130, tags=77)
    want = ModalityGapRemover().fit(X)
    got = ModalityGapRemover().fit(values, modality=tags)
    for name, mean in want.means_.items():
        np.testing.assert_allclose(got.means_[name], mean, rtol=0, atol=1e-15)
    Z = got.transform(values, modality=tags).compute()
    np.testing.assert_allclose(Z, want.transform(X).values, atol=1e-6)


@each
def test_all_calibrators_transform_lazily(calibrator):
    X, y = corpus()
    calibrator = clone(calibrator).fit(X, y)
    want = calibrator.transform(X)
    values, tags = lazy(X, 50)
    for modality in (tags, X.modality, [*X.modality]):
        Z = calibrator.transform(values, modality=modality)
        assert isinstance(Z, da.Array)
        np.testing.assert_allclose(Z.compute(), want.values, atol=1e-6)
    Z = calibrator.transform(EmbeddingArray(values, X.modality, "one @ 1"))
    assert isinstance(Z.values, da.Array)
    assert (Z.encoder, Z.modality.tolist()) == ("one @ 1", X.modality.tolist())
    np.testing.assert_allclose(Z.to_host().values, want.values, atol=1e-6)
    images = X[X.modality == "image"]
    Z = calibrator.transform(lazy(images)[0], modality="image")
    np.testing.assert_allclose(Z.compute(), calibrator.transform(images).values, atol=1e-6)


@each_mergeable
def test_batches_and_merging_go_on_from_a_lazy_fit(calibrator):
    X, _ = corpus()
    values, tags = lazy(X, 64)
    want = clone(calibrator).fit(X)
    both = clone(calibrator).fit(values[:192], modality=tags[:192])
    both.partial_fit(values[192:256], modality=tags[192:256]).partial_fit(X[256:])
    merged = clone(calibrator).fit(values[:64], modality=tags[:64])
    merged.merge(clone(calibrator).fit(X[64:]))
    for got in (both, merged):
        assert got.counts_ == want.counts_
        np.testing.assert_allclose(got.means_["text"], want.means_["text"], atol=1e-8)


def test_each_chunk_is_made_once_by_a_fit_and_none_by_a_transform():
    X, _ = corpus()
    made = []

    def chunk(block_id):
        made.append(block_id[0])
        return X.values[block_id[0] * 64 :][:64]

    sizes = (64, 64, 64, 64, 14)
    values = da.map_blocks(chunk, chunks=(sizes, (6,)), dtype="f4", meta=np.empty((0, 0), "f4"))
    tags = da.from_array(X.modality, chunks=64)
    remover = ModalityGapRemover().fit(values, modality=tags)
    assert sorted(made) == [0, 1, 2, 3, 4]
    made.clear()
    Z = remover.transform(values, modality=tags)
    assert made == []
    Z[130:140].compute()
    assert made == [2]


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def chunk(block_id):
        return np.random.default_rng(block_id[0]).normal(1, 1, (2048, 64)).astype("f4")

    def peak(n_chunks):
        sizes = ((2048,) * n_chunks, (64,))
        values = da.map_blocks(chunk, chunks=sizes, dtype="f4", meta=np.empty((0, 0), "f4"))
        tracemalloc.start()
        try:
            remover = ModalityGapRemover().fit(values, modality="image")
            save_transformed(remover, values, tmp_path / str(n_chunks), modality="image")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # what is imported on the way
    assert peak(24) < 1.5 * peak(4)


def test_a_lazy_array_survives_copies_without_being_computed():
    values = da.zeros((8, 2), chunks=4).map_blocks(never, meta=np.empty((0, 0)))
    X = EmbeddingArray(values, "text")
    assert repr(X) == "EmbeddingArray(8 rows x 2, float64: 8 text)"
    assert isinstance(pickle.loads(pickle.dumps(X)).values, da.Array)
    assert isinstance(X[2:5].values, da.Array)
    assert isinstance(X[X.modality == "text"].values, da.Array)


def test_a_pipeline_of_calibrators_is_fitted_lazily():
    X, _ = corpus()
    pipe = make_pipeline(ModalityGapRemover(norm=None), GapSubspaceEraser())
    L = EmbeddingArray(lazy(X, 100)[0], X.modality)
    Z = pipe.fit(L).transform(L)
    assert isinstance(Z.values, da.Array)
    np.testing.assert_allclose(Z.to_host().values, pipe.fit_transform(X).values, atol=1e-5)


def test_what_maps_all_rows_alike_needs_no_tags():
    X, _ = corpus()
    values, tags = lazy(X, 100)
    eraser = GapSubspaceEraser().fit(values, modality=tags)
    Z = eraser.transform(values).compute()
    np.testing.assert_allclose(Z, eraser.transform(X).values, atol=1e-6)


def test_rows_in_place_are_never_overwritten():
    X, _ = corpus()
    values, tags = lazy(X)
    persisted = values.persist()
    remover = ModalityGapRemover(copy=False).fit(persisted, modality=tags)
    remover.transform(persisted, modality=tags).compute()
    np.testing.assert_array_equal(persisted.compute(), X.values)


# Columns of a Dask DataFrame.


@each_mergeable
def test_columns_of_a_frame_are_fitted_and_stay_columns(calibrator):
    X, _ = corpus()
    ddf = frame(X, name=[*map(str, range(len(X)))])
    want = clone(calibrator).fit(X)
    got = clone(calibrator).fit(ddf["embedding"], modality=ddf["modality"])
    assert (got.counts_, got.n_features_in_) == (want.counts_, 6)
    for name, mean in want.means_.items():
        np.testing.assert_allclose(got.means_[name], mean, atol=1e-7)
    Z = got.transform(ddf["embedding"], modality=ddf["modality"])
    table = ddf.assign(embedding=Z).compute()
    assert table["name"].tolist() == [*map(str, range(len(X)))]
    assert table["embedding"].iloc[0].dtype == np.float32
    np.testing.assert_allclose(np.stack(table["embedding"]), want.transform(X).values, atol=2e-6)
    images = ddf[ddf["modality"] == "image"]
    Z = got.transform(images["embedding"], modality="image").compute()
    assert len(Z) == 90


def test_a_column_a_modality_is_fitted_one_after_the_other():
    X, _ = corpus()
    texts, images = (list(X.values[X.modality == m]) for m in ("text", "image"))
    texts[3] = None
    with dask.config.set({"dataframe.convert-string": False}):
        ddf = dd.from_pandas(pd.DataFrame({"text": texts, "image": images}), npartitions=3)
    remover = ModalityGapRemover().partial_fit(ddf["text"].dropna(), modality="text")
    remover.partial_fit(ddf["image"], modality="image")
    assert remover.counts_ == {"text": 89, "image": 90}


def test_arrays_of_unknown_sizes_are_fitted_chunk_by_chunk():
    X, _ = corpus()
    values, tags = lazy(X, 50)
    kept = tags != "image"
    want = ModalityGapRemover().fit(X[X.modality != "image"])
    got = ModalityGapRemover().fit(values[kept], modality=tags[kept])
    np.testing.assert_allclose(got.means_["text"], want.means_["text"], atol=1e-7)
    Z = got.transform(values[kept], modality=tags[kept])
    np.testing.assert_allclose(
        Z.compute(), want.transform(X[X.modality != "image"]).values, atol=1e-6
    )


# Files.


def saved(folder, **kwargs):
    """All rows of a folder of Parquet files, and their ids."""
    batches = [*iter_parquet(folder, modality_column="modality", **kwargs)]
    X = EmbeddingArray.concatenate([X for X, _ in batches])
    return X, np.concatenate([ids for _, ids in batches])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4"])
def test_parquet_files_hold_what_transform_returns_in_the_same_order(tmp_path, dtype):
    X, _ = corpus(dtype=dtype)
    remover = ModalityGapRemover().fit(X)
    want = remover.transform(X)
    values, tags = lazy(X, 25)  # more than ten files
    values = da.concatenate([values[:0], values])
    folder = save_transformed(remover, values, tmp_path / "Z", modality=tags)
    assert folder == tmp_path / "Z"
    Z, ids = saved(folder)
    assert (Z.dtype, ids.tolist()) == (want.dtype, [*range(len(X))])
    np.testing.assert_array_equal(Z.modality, X.modality)
    np.testing.assert_allclose(Z.values, want.values, atol=1e-3 if dtype == "f2" else 1e-6)
    assert [file.name for file in tmp_path.iterdir()] == ["Z"]
    ddf = dd.read_parquet(folder)  # and back into Dask
    again = ModalityGapRemover().fit(ddf["embedding"], modality=ddf["modality"])
    assert again.counts_ == remover.counts_


def test_columns_and_pipelines_are_saved_too(tmp_path):
    X, _ = corpus()
    ddf = frame(X)
    pipe = make_pipeline(ModalityGapRemover(norm=None), ModalityGapRemover()).fit(X)
    save_transformed(pipe, ddf["embedding"], tmp_path / "Z", modality=ddf["modality"])
    np.testing.assert_allclose(saved(tmp_path / "Z")[0].values, pipe.transform(X).values, atol=2e-6)


def test_rows_of_one_fitted_modality_need_no_tags(tmp_path):
    X, _ = corpus()
    images = X[X.modality == "image"]
    remover = ModalityGapRemover().fit(images)
    folder = save_transformed(remover, lazy(images, 40)[0], tmp_path / "Z")
    Z = EmbeddingArray.concatenate([Z for Z, _ in iter_parquet(folder, modality="image")])
    np.testing.assert_allclose(Z.values, remover.transform(images).values, atol=1e-6)


def test_a_failed_run_leaves_no_files(tmp_path):
    X, _ = corpus()
    remover = ModalityGapRemover().fit(X)
    X.values[150] = np.nan
    values, tags = lazy(X, 50)
    with pytest.raises(ValueError, match="NaN in row 150:"):
        save_transformed(remover, values, tmp_path / "Z", modality=tags)
    with pytest.raises(ValueError, match="no rows"):
        save_transformed(remover, values[:0], tmp_path / "Z", modality=tags[:0])
    assert not list(tmp_path.iterdir())


def test_the_place_of_the_files_is_checked_before_anything_is_computed(tmp_path):
    X, _ = corpus()
    remover = ModalityGapRemover().fit(X)
    save = partial(save_transformed, remover, lazy(X)[0], modality="text")
    (tmp_path / "older").mkdir()
    with pytest.raises(FileExistsError, match="older is there already"):
        save(tmp_path / "older")
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere to save Z in"):
        save(tmp_path / "nowhere" / "Z")
    with pytest.raises(ValueError, match="a folder of Parquet files, .* give batches"):
        save(tmp_path / "Z.npy")
    batches = (EmbeddingArray(rows.compute(), "text") for rows in lazy(X)[0].blocks)
    assert len(save_transformed(remover, batches, tmp_path / "Z.npy")) == len(X)


# What goes wrong.


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_error_tells_the_row_among_all_rows(wrong):
    X, _ = corpus()
    remover = ModalityGapRemover().fit(X)
    X.values[131] = wrong
    values, tags = lazy(X, 50)
    kind = "NaN" if np.isnan(wrong) else "infinity"
    with pytest.raises(ValueError, match=f"contains {kind} in row 131:"):
        ModalityGapRemover().fit(values, modality=tags)
    with pytest.raises(ValueError, match=f"contains {kind} in row 131:"):
        remover.transform(values, modality=tags).compute()
    kept = tags != "audio"  # the sizes of the chunks are not known any more
    with pytest.raises(ValueError, match=f"In chunk 2: .* {kind} in row 31:"):
        ModalityGapRemover().fit(values[kept], modality=tags[kept])
    with pytest.raises(ValueError, match=f"In chunk 2: .* {kind} in row 31:"):
        remover.transform(values[kept], modality=tags[kept]).compute()
    ddf = frame(X)
    with pytest.raises(ValueError, match="In a partition: .* in (the vector of )?row"):
        remover.transform(ddf["embedding"], modality=ddf["modality"]).compute()


def test_a_failed_fit_leaves_the_previous_state():
    X, _ = corpus()
    remover = ModalityGapRemover().fit(X)
    before = pickle.dumps(remover)
    with pytest.raises(ValueError, match="malformed"):
        remover.fit(lazy(X)[0], modality="te:xt")
    with pytest.raises(ValueError, match="5 features, but ModalityGapRemover is expecting 6"):
        remover.partial_fit(lazy(X)[0][:, :5], modality="text")
    changed = pickle.loads(before).set_params(shrinkage=3)
    with pytest.raises(ValueError, match="^shrinkage was"):
        changed.partial_fit(lazy(X)[0], modality="text")
    assert pickle.dumps(remover) == before


def test_a_modality_that_was_not_fitted_is_named():
    X, _ = corpus()
    values, tags = lazy(X)
    remover = ModalityGapRemover().fit(values, modality=tags)
    other = np.where(X.modality == "image", "audio", X.modality)
    for known_now in ("audio", other):
        with pytest.raises(ValueError, match="'audio' was not fitted; fitted were"):
            remover.transform(values, modality=known_now)
    Z = remover.transform(values, modality=da.from_array(other, chunks=64))
    with pytest.raises(ValueError, match="'audio' was not fitted; fitted were"):
        Z.compute()


def test_rows_of_another_encoder_and_rows_transformed_before_are_refused(tmp_path):
    X, _ = corpus()
    one, other = (EmbeddingArray(lazy(X)[0], X.modality, name) for name in ("a @ 1", "a @ 2"))
    remover = ModalityGapRemover().fit(one)
    assert remover.encoder_ == "a @ 1"
    for work in (remover.transform, remover.partial_fit):
        with pytest.raises(ValueError, match="encoded by 'a @ 2'"):
            work(other)
    with pytest.raises(ValueError, match="encoded by 'a @ 2'"):
        save_transformed(remover, other, tmp_path / "Z")
    with pytest.raises(ValueError, match="already transformed"):
        remover.transform(remover.transform(one))


def test_untagged_rows_are_never_silently_wrong():
    X, _ = corpus()
    values, tags = lazy(X)
    with pytest.warns(UserWarning, match="all rows are taken as documents of one") as caught:
        untagged = ModalityGapRemover().fit(values)
    assert (len(caught), untagged.counts_) == (1, {"unknown": len(X)})
    assert untagged.transform(values).compute().shape == X.shape
    remover = ModalityGapRemover().fit(values, modality=tags)
    with pytest.raises(ValueError, match="does not say which its rows have"):
        remover.transform(values)


def test_zero_rows_are_warned_of_once():
    X, _ = corpus()
    X.values[[3, 200]] = 0
    values, tags = lazy(X, 50)
    with pytest.warns(UserWarning, match="2 rows have length zero") as caught:
        remover = ModalityGapRemover().fit(values, modality=tags)
    assert len(caught) == 1
    assert sum(remover.counts_.values()) == len(X) - 2


def test_tags_that_do_not_correspond_to_the_rows_are_refused():
    X, _ = corpus()
    values, tags = lazy(X, 50)
    fit = ModalityGapRemover().fit
    with pytest.raises(ValueError, match="has 269 tags for 270 rows"):
        fit(values, modality=tags[:-1])
    with pytest.raises(ValueError, match="has 269 tags for 270 rows"):
        fit(values, modality=X.modality[:-1])
    kept = values[tags != "image"]
    with pytest.raises(ValueError, match="chunks of rows and modality do not correspond"):
        fit(kept, modality=tags.rechunk(90))
    with pytest.raises(ValueError, match=r"In chunk \d: modality has \d+ tags for"):
        fit(kept, modality=tags)
    with pytest.raises(ValueError, match="number of rows in each chunk is unknown"):
        fit(kept, modality=X.modality)
    ddf = frame(X)
    with pytest.raises(ValueError, match="chunks of rows and modality do not correspond"):
        fit(ddf["embedding"], modality=ddf["modality"].repartition(npartitions=2))
    with pytest.raises(TypeError, match="both Dask arrays, or both columns"):
        fit(values, modality=ddf["modality"])
    with pytest.raises(ValueError, match="number of rows in each chunk is unknown"):
        fit(ddf["embedding"], modality=X.modality)
    with pytest.raises(ValueError, match="1-D Dask array or a column"):
        fit(values, modality=tags[:, None])


def test_what_holds_no_rows_of_numbers_is_refused():
    X, _ = corpus()
    values, tags = lazy(X)
    fit = ModalityGapRemover().fit
    ddf = frame(X)
    for wrong, error, message in [
        (values.astype(complex), ValueError, "real numbers; got a Dask array of dtype complex"),
        (values.astype("U9"), ValueError, "real numbers; got a Dask array of dtype <U9"),
        (values[:, 0], ValueError, r"2-D Dask array .*got shape \(270,\)"),
        (values[:, :0], ValueError, "at least one; got shape"),
        (values[:0], ValueError, "no rows: at least one is needed"),
        (ddf, TypeError, "Give the columns"),
        (dask.delayed(X.values), TypeError, "got a Dask Delayed"),
        (ddf["modality"].astype("string[pyarrow]"), ValueError, "convert-string"),
        (da.ma.masked_array(values, values > 0), ValueError, "numbers of the array are masked"),
        (dd.from_pandas(pd.Series([1.0])), ValueError, "In chunk 0: Expected a 2-dim"),
    ]:
        with pytest.raises(error, match=message):
            fit(wrong, modality="text")
    wide = [np.ones(3), np.ones(3), np.ones(4), np.ones(4)]
    with dask.config.set({"dataframe.convert-string": False}):
        wide = dd.from_pandas(pd.Series(wide), npartitions=2)
    with pytest.raises(ValueError, match=r"different numbers of features, \[3, 4\]"):
        fit(wide, modality="text")
    with pytest.raises(ValueError, match="5 features, but ModalityGapRemover is expecting 6"):
        fit(X).transform(values[:, :5], modality=tags)


def test_what_cannot_work_lazily_says_so_and_computes_nothing():
    X, y = corpus()
    lazy_values = da.zeros((270, 6), chunks=50, dtype="f4").map_blocks(
        never, meta=np.empty((0, 0), "f4")
    )
    L = EmbeddingArray(lazy_values, X.modality)
    remover = ModalityGapRemover().fit(X)
    retriever = MixedModalityRetriever().fit(X, y)
    for work in [
        *(partial(clone(calibrator).fit, L, y) for calibrator in OTHERS),
        partial(clone(OTHERS[-1]).partial_fit, L),
        partial(MixedModalityRetriever().fit, L, y),
        partial(retriever.partial_fit, L, y),
        partial(retriever.predict, L),
        partial(search, retriever, L),
        partial(drift, remover, L),
    ]:
        with pytest.raises(TypeError, match="takes rows in memory here, and got a Dask Array"):
            work()
    tags = da.from_array(X.modality, chunks=50)
    for work in [
        partial(EmbeddingArray, X.values, tags),
        partial(remover.fit, X.values, modality=tags),
        partial(remover.fit, L, modality=tags),
    ]:
        with pytest.raises(TypeError, match="modality is a Dask collection"):
            work()
    ddf = frame(X)
    for work in [
        partial(EmbeddingArray, ddf["embedding"], "text"),
        partial(EmbeddingArray, ddf, "text"),
        partial(EmbeddingArray.from_frame, ddf, text="embedding"),
    ]:
        with pytest.raises(TypeError, match="not read into memory here"):
            work()
    with pytest.raises(ValueError, match="sizes of the chunks .*compute_chunk_sizes"):
        EmbeddingArray(lazy_values[lazy_values[:, 0] > 0], "text")


# A sample of the rows teaches the scores.


def test_posterior_odds_are_taught_by_sampled_rows_as_well_as_by_all():
    X, y = make_mixed_modality(800, random_state=0)
    is_query = X.modality == "query:text"
    unjudged = np.array([None if q else id for id, q in zip(y, is_query)], dtype=object)
    values, tags = lazy(X, 300)
    remover = ModalityGapRemover().fit(values, modality=tags)
    Z = remover.transform(values, modality=tags)

    # All queries, and a quarter of the documents, with all rows of each.
    rng = np.random.default_rng(0)
    documents = sorted({*unjudged[~is_query]})
    drawn = {*rng.choice(documents, len(documents) // 4, replace=False)}
    in_sample = np.array([id is None or id in drawn for id in unjudged])
    rows = np.flatnonzero(in_sample)
    sample = EmbeddingArray(Z[rows].compute(), X.modality[rows])
    taught = MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(sample, unjudged[rows])
    shares = taught.score_calibration_.answer_share_["query:text"]
    rest = np.flatnonzero(~in_sample)
    taught.partial_fit(EmbeddingArray(Z[rest].compute(), X.modality[rest]), unjudged[rest])

    assert taught.score_calibration_.answer_share_["query:text"] == shares
    all_rows = remover.transform(X)
    plain, by_all = (
        MixedModalityRetriever(score_calibration=odds).fit(all_rows, unjudged)
        for odds in (None, PosteriorOdds())
    )
    asked, answers = all_rows[is_query], y[is_query]
    score = taught.score(asked, answers)
    assert score > by_all.score(asked, answers) - 0.02
    assert score > plain.score(asked, answers) + 0.05

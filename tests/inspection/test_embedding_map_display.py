import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, normalize

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    make_search_pipeline,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import EmbeddingMapDisplay


@pytest.fixture(scope="module")
def rows():
    return make_mixed_modality(60, random_state=0)


def drawn(axes):
    """The points of each modality."""
    return {points.get_label(): np.asarray(points.get_offsets()) for points in axes.collections}


def test_points_are_the_principal_components_of_unit_rows(rows):
    X, _ = rows
    (axes,) = EmbeddingMapDisplay.from_embeddings(X).axes_
    points = drawn(axes)
    wanted = PCA(2, random_state=0).fit_transform(normalize(X.values.astype(float)))
    assert set(points) == {"text", "image", "query:text"}
    for name, found in points.items():
        wanted_here = wanted[X.modality == name]
        # The rows may come in another order, and components with another sign.
        np.testing.assert_allclose(
            *(np.sort(np.abs(x), axis=0) for x in (found, wanted_here)), atol=0.01
        )
    unit = normalize(X.values.astype(float))
    best = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)[:2]
    every = np.concatenate([*points.values()])
    np.testing.assert_allclose(np.linalg.svd(every, compute_uv=False), best, rtol=0.01)
    assert axes.get_xlabel() == "first principal component"


def test_a_pipeline_is_drawn_before_and_after_its_steps(rows):
    X, y = rows
    display = EmbeddingMapDisplay.from_estimator(make_search_pipeline().fit(X, y), X)
    before, after = display.axes_
    assert (before.get_title(), after.get_title()) == (
        "raw embeddings",
        "after ModalityGapRemover",
    )
    gaps = [
        np.linalg.norm(points["text"].mean(axis=0) - points["image"].mean(axis=0))
        for points in map(drawn, (before, after))
    ]
    assert gaps[0] > 5 * gaps[1]


def test_a_calibrator_alone_and_stock_steps_are_drawn_too(rows):
    X, _ = rows
    alone = EmbeddingMapDisplay.from_estimator(ModalityGapRemover().fit(X), X)
    again = EmbeddingMapDisplay.from_estimator(
        ModalityGapRemover().fit(X), X.values, modality=X.modality
    )
    for name, points in drawn(alone.axes_[1]).items():
        np.testing.assert_allclose(drawn(again.axes_[1])[name], points)
    pipe = make_pipeline(ModalityGapRemover(), Normalizer()).fit(X)
    stock = EmbeddingMapDisplay.from_estimator(pipe, X)
    assert stock.axes_[1].get_title() == "after ModalityGapRemover, Normalizer"


def test_a_query_has_the_color_of_its_modality_and_a_marker_of_its_own(rows):
    (axes,) = EmbeddingMapDisplay.from_embeddings(rows[0]).axes_
    points = {x.get_label(): x for x in axes.collections}
    colors = {name: tuple(x.get_facecolor()[0][:3]) for name, x in points.items()}
    assert colors["query:text"] == colors["text"] != colors["image"]
    shapes = {str(x.get_paths()[0].vertices.tolist()) for x in points.values()}
    assert len(shapes) == 3


def test_many_rows_are_sampled_by_modality_with_a_seed_and_the_title_says_so(rows):
    X, _ = rows
    displays = [EmbeddingMapDisplay.from_embeddings(X, max_rows=10) for _ in range(2)]
    other = EmbeddingMapDisplay.from_embeddings(X, max_rows=10, random_state=1)
    for display in displays:
        (axes,) = display.axes_
        assert axes.get_title() == f"30 of {len(X):,} rows"
        assert {name: len(points) for name, points in drawn(axes).items()} == {
            "text": 10,
            "image": 10,
            "query:text": 10,
        }
    one, two, three = (drawn(x.axes_[0])["image"] for x in (*displays, other))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, three)


def test_axes_may_be_given_one_a_panel_or_one_to_be_divided(rows):
    X, _ = rows
    versions = {"one": X, "two": ModalityGapRemover().fit_transform(X)}
    figure, given = plt.subplots(1, 2)
    display = EmbeddingMapDisplay.from_embeddings(versions, ax=given, s=3)
    assert display.axes_.tolist() == given.tolist()
    assert display.figure_ is figure
    assert display.axes_[0].collections[0].get_sizes() == 3
    _, single = plt.subplots()
    display.plot(single)
    assert [axes.get_title() for axes in display.axes_] == ["one", "two"]
    assert display.figure_ is single.figure
    with pytest.raises(ValueError, match="2 panels to draw, and ax holds 3 axes"):
        display.plot(plt.subplots(1, 3)[1])
    with pytest.raises(ValueError, match="2 panels to draw, and ax holds 1 axes"):
        display.plot(plt.figure().add_axes([0, 0, 1, 1]))


def test_rows_that_cannot_be_drawn_are_refused(rows):
    X, _ = rows
    with pytest.raises(ValueError, match="modality of each row is not known"):
        EmbeddingMapDisplay.from_embeddings(X.values)
    with pytest.raises(ValueError, match="modalities of 'two' differ"):
        EmbeddingMapDisplay.from_embeddings({"one": X, "two": X[::-1]})
    with pytest.raises(ValueError, match="empty dict"):
        EmbeddingMapDisplay.from_embeddings({})
    with pytest.raises(ValueError, match="method must be 'pca' or 'umap'; got 'tsne'"):
        EmbeddingMapDisplay.from_embeddings(X, method="tsne")
    with pytest.raises(ValueError, match="max_rows must be an integer of at least 2"):
        EmbeddingMapDisplay.from_embeddings(X, max_rows=0)
    values = X.values.copy()
    values[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN in row 3"):
        EmbeddingMapDisplay.from_embeddings(EmbeddingArray(values, X.modality))


@settings(max_examples=15)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_few_rows_equal_rows_and_few_features_are_drawn_at_their_distances(n, n_features, m, seed):
    values = np.random.default_rng(seed).normal(size=(n, n_features))[np.arange(n) % m]
    display = EmbeddingMapDisplay.from_embeddings(EmbeddingArray(values, "text"))
    (points,) = display.coordinates.values()
    plt.close(display.figure_)
    # Up to three different rows lie in a plane.
    np.testing.assert_allclose(pdist(points), pdist(normalize(values)), atol=1e-6)


def test_a_row_without_direction_in_one_version_is_left_out_of_all(rows):
    X, _ = rows
    values, first_image = X.values.copy(), np.flatnonzero(X.modality == "image")[0]
    values[first_image] = 0
    versions = {"one": X, "two": EmbeddingArray(values, X.modality)}
    with pytest.warns(UserWarning, match="1 row.s. of length zero have no direction"):
        display = EmbeddingMapDisplay.from_embeddings(versions)
    kept = np.delete(np.arange(len(X)), first_image)
    alone = EmbeddingMapDisplay.from_embeddings(X[kept])
    (wanted,) = alone.coordinates.values()
    np.testing.assert_allclose(display.coordinates["one"], wanted)
    assert len(display.coordinates["two"]) == len(display.modality) == len(X) - 1
    with pytest.warns(UserWarning, match="length zero"), pytest.raises(ValueError, match="no row"):
        EmbeddingMapDisplay.from_embeddings(EmbeddingArray(np.zeros((2, 3)), "text"))


def test_umap_is_an_extra(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"pip install 'gapremoval\[umap\]'"):
        EmbeddingMapDisplay.from_embeddings(rows[0], method="umap")


def test_modalities_without_a_color_of_their_own_get_different_ones():
    X = EmbeddingArray(np.random.default_rng(0).normal(size=(40, 5)), ["video", "depth"] * 20)
    (axes,) = EmbeddingMapDisplay.from_embeddings(X).axes_
    one, two = (tuple(points.get_facecolor()[0]) for points in axes.collections)
    assert one != two


def test_items_are_drawn_as_their_encoder_gives_them(rows):
    X, _ = rows
    numbers = {f"item {i}": i for i in range(len(X))}
    encoder = FunctionTransformer(lambda items: X[[numbers[item] for item in items]])
    pipe = make_pipeline(encoder, ModalityGapRemover(), MixedModalityRetriever())
    pipe.fit([*numbers], [*numbers])
    of_items = EmbeddingMapDisplay.from_estimator(pipe, [*numbers])
    of_rows = EmbeddingMapDisplay.from_estimator(pipe[1:], X)
    assert [axes.get_title() for axes in of_items.axes_] == [*of_rows.coordinates]
    for name, points in of_rows.coordinates.items():
        np.testing.assert_array_equal(of_items.coordinates[name], points)

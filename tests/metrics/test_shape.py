"""Shapes of clouds and their neighbors, against scipy, scikit-learn and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.spatial.distance import pdist
from scipy.stats import skew
from sklearn.neighbors import NearestNeighbors
from strategies import paired_rows

from gapremoval import EmbeddingArray
from gapremoval.metrics import (
    alignment,
    effective_dimension,
    hubness,
    modality_statistics,
    same_modality_neighbors,
    score_scale,
    subspace_overlap,
    uniformity,
)

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=20)
@given(seeds)
def test_alignment_is_the_mean_squared_distance_of_pairs(seed):
    text, image, X = paired_rows(seed)
    want = np.mean([np.linalg.norm(t - i) ** 2 for t, i in zip(text, image)])
    assert alignment(X, [*range(20)] * 2) == pytest.approx(want)


@settings(max_examples=20)
@given(seeds)
def test_uniformity_is_the_log_mean_potential(seed):
    text, image, X = paired_rows(seed)
    want = [np.log(np.mean(np.exp(-2 * pdist(x, "sqeuclidean")))) for x in (text, image)]
    assert uniformity(X) == pytest.approx(dict(zip(["text", "image"], want)))


def test_statistics_of_single_and_equal_rows_are_defined():
    X = EmbeddingArray(np.array([[3.0, 4], [3, 4], [6, 8], [1, 0]]), ["text"] * 3 + ["image"])
    for each, n in zip(modality_statistics(X).values(), (3, 1)):
        assert each[0] == n
        assert each[1:] == pytest.approx((1, 0, 0, 0), abs=1e-5)
    found = uniformity(X)
    assert found["text"] == pytest.approx(0)
    assert np.isnan(found["image"])


def test_statistics_of_a_cone_are_those_of_its_angle():
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    for degrees in (10, 60):
        half = np.radians(degrees)
        rows = np.stack(
            [
                np.sin(half) * np.cos(angles),
                np.sin(half) * np.sin(angles),
                0 * angles + np.cos(half),
            ]
        )
        each = modality_statistics(EmbeddingArray(rows.T, "image"))["image"]
        want = (16, np.cos(half), np.sin(half), degrees, 2)
        assert each == pytest.approx(want)


@settings(max_examples=20)
@given(seeds, st.sampled_from([4, 40]))
def test_the_effective_dimension_is_the_participation_ratio_of_eigenvalues(seed, n):
    text, image, X = paired_rows(seed, n)
    want = {}
    for name, rows in (("text", text), ("image", image)):
        values = np.linalg.eigvalsh(np.cov(rows.T))
        want[name] = values.sum() ** 2 / (values**2).sum()
        assert 1 <= effective_dimension(X)[name] <= min(n - 1, 5) + 1e-9
    assert effective_dimension(X) == pytest.approx(want)


@settings(max_examples=20)
@given(seeds, st.integers(1, 8))
def test_the_overlap_of_subspaces_is_that_of_their_angles(seed, n_components):
    text, image, X = paired_rows(seed)
    spaces = []
    for rows in (text, image):
        vectors = np.linalg.eigh(np.cov(rows.T))[1]
        spaces.append(vectors[:, -min(n_components, 5) :])
    want = np.mean(np.cos(subspace_angles(*spaces)) ** 2)
    assert subspace_overlap(X, n_components=n_components) == pytest.approx(want)


def test_a_subspace_has_a_dimension():
    with pytest.raises(ValueError, match="n_components"):
        subspace_overlap(paired_rows(0)[-1], n_components=0)


@settings(max_examples=20)
@given(seeds)
def test_the_score_scale_is_the_ratio_of_deviations(seed):
    text, image, X = paired_rows(seed)
    below = np.tril_indices(20, -1)
    within = np.mean([(x @ x.T)[below].std() for x in (text, image)])
    across = text @ image.T
    assert score_scale(X) == pytest.approx(within / across.std())
    of_others = across[~np.eye(20, dtype=bool)].std()
    assert score_scale(X, [*range(20)] * 2) == pytest.approx(within / of_others)


def test_rows_that_share_an_id_do_not_count_in_the_score_scale():
    text, image, X = paired_rows(0)
    twice = EmbeddingArray.concatenate([X, X])
    y = [*range(20)] * 2
    assert score_scale(twice, [*y, *y]) == pytest.approx(score_scale(X, y))
    assert score_scale(twice) > score_scale(X, y)
    asked = EmbeddingArray.concatenate({"query:text": text, "image": image})
    relevance = [[3, 5], {7: 1, 8: 0}, None, *[[]] * 17]
    counted = np.ones((20, 20), bool)
    counted[[0, 0, 1], [3, 5, 7]] = False
    shared = {i: (i,) for i in range(20)} | {0: (3, 5), 1: (7,)} | dict.fromkeys(range(2, 20), ())
    within = np.tri(20, k=-1, dtype=bool)
    within_text = within & [
        [not set(shared[i]) & set(shared[j]) for j in range(20)] for i in range(20)
    ]
    want = np.mean([(text @ text.T)[within_text].std(), (image @ image.T)[within].std()])
    want /= (text @ image.T)[counted].std()
    got = score_scale(asked, [*relevance, *range(20)], ("query:text", "image"))
    assert got == pytest.approx(want)


def test_scores_that_do_not_vary_across_have_no_scale():
    rows = np.array([[1, 0, 0.0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3]])
    assert np.isnan(score_scale(EmbeddingArray(rows, np.repeat(["text", "image"], 3))))


@settings(max_examples=20)
@given(seeds, st.integers(1, 50))
def test_neighbors_are_those_of_scikit_learn(seed, k):
    *_, X = paired_rows(seed)
    some = np.r_[0:20, 20:32]
    X = X[some]
    nearest = NearestNeighbors(n_neighbors=min(k, 31)).fit(X.values)
    is_same = X.modality[nearest.kneighbors(return_distance=False)] == X.modality[:, None]
    found = same_modality_neighbors(X, k)
    for name, n in (("text", 20), ("image", 12)):
        assert found[name].share == pytest.approx(is_same[X.modality == name].mean())
        assert found[name].chance == (n - 1) / 31
    if k >= 31:
        assert found["text"].share == pytest.approx(found["text"].chance)


def test_rare_modalities_stay_in_the_sample_of_neighbors():
    rng = np.random.default_rng(0)
    X = EmbeddingArray(rng.normal(size=(300, 3)), ["text"] * 296 + ["image"] * 3 + ["audio"])
    found = same_modality_neighbors(X, max_rows=20)
    assert [*found] == ["text", "image", "audio"]
    assert found["image"].chance == pytest.approx(1 / 22)
    assert found["audio"] == (0, 0)


@settings(max_examples=20)
@given(seeds, st.integers(1, 10))
def test_hubs_are_counted_among_neighbors(seed, k):
    text, image, X = paired_rows(seed)
    asked = EmbeddingArray.concatenate({"query:text": text, "image": image})
    for rows, queries, documents in ((X, None, X.values), (asked, text, image)):
        search = NearestNeighbors(n_neighbors=k).fit(documents)
        counts = np.bincount(
            search.kneighbors(queries, return_distance=False).ravel(), minlength=len(documents)
        )
        found = hubness(rows, k)
        if counts.std():
            assert found.skewness == pytest.approx(skew(counts))
        pairs = np.abs(counts[:, None] - counts).mean()
        assert found.gini == pytest.approx(pairs / (2 * counts.mean()))


def test_documents_that_are_all_found_have_no_hubs():
    *_, X = paired_rows(0)
    assert hubness(X, 100) == pytest.approx((0, 0))
    with pytest.raises(ValueError, match="single document row"):
        hubness(X[:1])
    with pytest.raises(ValueError, match="no document to find"):
        hubness(EmbeddingArray(X.values, "query:text"))
    with pytest.raises(ValueError, match="n_neighbors"):
        hubness(X, 0)

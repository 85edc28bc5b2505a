"""Distances of two modalities, against scikit-learn, scipy and other closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import load_real
from scipy.linalg import sqrtm, subspace_angles
from scipy.spatial.distance import cdist, pdist
from scipy.stats import skew
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.metrics import (
    alignment,
    centroid_distance,
    effective_dimension,
    frechet_distance,
    gap_by_group,
    gap_components,
    gap_dimensions,
    hubness,
    linear_separability,
    maximum_mean_discrepancy,
    modality_statistics,
    relative_modality_gap,
    same_modality_neighbors,
    score_scale,
    subspace_overlap,
    uniformity,
)

seeds = st.integers(0, 2**32 - 1)


def drawn(seed, n=20, n_features=5):
    """Unit rows of two modalities that are paired, and their EmbeddingArray."""
    rng = np.random.default_rng(seed)
    said, centers = rng.normal(size=(n, n_features)), rng.normal(size=(2, n_features))
    noise = rng.normal(size=(2, n, n_features)) * rng.uniform(0.1, 1, size=(2, 1, n_features))
    text, image = (normalize(said + c + e) for c, e in zip(centers, noise))
    return text, image, EmbeddingArray.concatenate({"text": text, "image": image})


@pytest.fixture(scope="module")
def coco():
    try:
        data = load_real("coco_clip_vitb16.npz")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    X = EmbeddingArray.concatenate({"text": data["text"], "image": data["image"]})
    return X, [*range(500)] * 2


def test_the_gap_of_coco_has_its_reference_numbers(coco):
    X, y = coco
    assert centroid_distance(X) == pytest.approx(0.851, abs=5e-4)
    assert 1 - alignment(X, y) / 2 == pytest.approx(0.310, abs=5e-4)
    lengths = {name: each.mean_length for name, each in modality_statistics(X).items()}
    of_others = {name: (500 * length**2 - 1) / 499 for name, length in lengths.items()}
    assert of_others == pytest.approx({"text": 0.515, "image": 0.531}, abs=5e-4)
    squares = (lengths["text"] ** 2 + lengths["image"] ** 2 - centroid_distance(X) ** 2) / 2
    assert (500 * squares - (1 - alignment(X, y) / 2)) / 499 == pytest.approx(0.162, abs=5e-4)
    centered = ModalityGapRemover(shrinkage=0).fit_transform(X)
    assert score_scale(centered, y) == pytest.approx((0.154 + 0.153) / 2 / 0.092, abs=0.02)


def test_three_dimensions_carry_most_of_the_gap_of_coco(coco):
    found = gap_dimensions(coco[0])
    assert found.shares[:3].sum() > 0.5
    assert sorted(found.dimensions) == [*range(512)]
    assert found.shares.sum() == pytest.approx(1)
    assert (np.diff(found.shares) <= 0).all()


@settings(max_examples=20)
@given(seeds)
def test_the_centroid_distance_is_that_of_the_mean_unit_rows(seed):
    text, image, X = drawn(seed)
    want = np.linalg.norm(text.mean(axis=0) - image.mean(axis=0))
    assert centroid_distance(X) == pytest.approx(want)


@settings(max_examples=20)
@given(seeds)
def test_the_relative_gap_is_that_of_the_paper(seed):
    text, image, X = drawn(seed)
    of_pairs = np.mean([cdist([t], [i], "cosine") for t, i in zip(text, image)])
    within = (pdist(text, "cosine").mean() + pdist(image, "cosine").mean()) / 2
    want = of_pairs / (of_pairs + within)
    assert relative_modality_gap(X, [*range(20)] * 2) == pytest.approx(want)


def test_unrelated_pairs_of_one_cloud_have_a_relative_gap_of_a_half():
    rows = np.random.default_rng(0).normal(size=(4000, 8)) + 1
    X = EmbeddingArray(rows, np.repeat(["text", "image"], 2000))
    assert relative_modality_gap(X, [*range(2000)] * 2) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("n_image", [30, 12])
def test_separability_is_the_held_out_accuracy_of_logistic_regression(n_image):
    rng = np.random.default_rng(0)
    rows = normalize(np.concatenate([rng.normal(size=(30, 4)), rng.normal(size=(n_image, 4)) + 1]))
    tags = np.repeat(["text", "image"], [30, n_image])
    order = np.argsort(tags, kind="stable")
    want = cross_val_score(
        LogisticRegression(class_weight="balanced"),
        rows[order],
        tags[order],
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        scoring="balanced_accuracy",
    ).mean()
    assert 0.5 < want < 1
    assert linear_separability(EmbeddingArray(rows, tags)) == pytest.approx(want)


def test_separability_needs_two_rows_of_a_modality_and_is_one_across_a_wide_gap():
    X = EmbeddingArray(np.array([[1, 0.1], [1, 0.2], [-1, 0.1], [-1, 0.2]]), [*"aabb"])
    assert linear_separability(X) == 1
    with pytest.raises(ValueError, match="at least 2 are needed"):
        linear_separability(X[:3])


@settings(max_examples=20)
@given(seeds)
def test_the_frechet_distance_is_that_of_a_matrix_root(seed):
    text, image, X = drawn(seed)
    covariances = [np.cov(rows.T) for rows in (text, image)]
    apart = text.mean(axis=0) - image.mean(axis=0)
    root = sqrtm(covariances[0] @ covariances[1]).real
    want = apart @ apart + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(X) == pytest.approx(want, abs=1e-6)


@settings(max_examples=20)
@given(seeds)
def test_the_components_of_the_gap_sum_to_the_frechet_distance(seed):
    *_, X = drawn(seed)
    parts = gap_components(X)
    assert min(parts) >= 0
    assert sum(parts[:3]) == pytest.approx(frechet_distance(X))
    assert parts.mean == pytest.approx(centroid_distance(X) ** 2)


def test_each_component_sees_its_own_difference():
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1)
    pole, other_pole = np.eye(4)[2:]
    narrow = normalize(0.1 * circle + pole)
    cases = {
        "mean": normalize(0.1 * circle + other_pole),
        "scale": normalize(0.5 * circle + pole),
        "directions": normalize(0.1 * circle[:, [3, 1, 2, 0]] + pole),
    }
    for name, rows in cases.items():
        X = EmbeddingArray.concatenate({"text": narrow, "image": rows})
        parts = gap_components(X)._asdict()
        parts.pop("directions_by_chance")
        if name == "scale":  # A wider cone of unit rows has a shorter mean, too.
            parts.pop("mean")
        assert max(parts, key=parts.get) == name
        assert parts.pop(name) > 1e-3
        assert [*parts.values()] == pytest.approx([0] * len(parts), abs=1e-7)


def test_directions_are_by_chance_what_they_are_for_rows_that_are_drawn_alike():
    rng = np.random.default_rng(0)
    alike = EmbeddingArray(rng.normal(size=(100, 30)) + 1, np.repeat(["text", "image"], 50))
    parts = gap_components(alike)
    assert parts.directions == pytest.approx(parts.directions_by_chance, rel=0.15)
    scale = np.where(alike.modality[:, None] == "text", np.arange(30) < 15, np.arange(30) > 15)
    parts = gap_components(EmbeddingArray(alike.values * (scale + 0.1), alike.modality))
    assert parts.directions > 2 * parts.directions_by_chance


@settings(max_examples=20)
@given(seeds)
def test_the_mean_discrepancy_is_that_of_kernels(seed):
    text, image, X = drawn(seed)
    both = np.concatenate([text, image])
    gamma = 1 / np.median(pdist(both, "sqeuclidean"))
    kernels = (
        rbf_kernel(a, b, gamma).mean() for a, b in [(text,) * 2, (image,) * 2, (text, image)]
    )
    within_text, within_image, across = kernels
    want = np.sqrt(within_text + within_image - 2 * across)
    assert maximum_mean_discrepancy(X) == pytest.approx(want, abs=1e-7)


def test_the_mean_discrepancy_sees_what_means_and_covariances_do_not():
    rng = np.random.default_rng(0)
    flat, peaked = rng.choice([-1.0, 1.0], (500, 2)), rng.laplace(size=(500, 2))
    rows = [np.hstack([x / x.std(), np.full((500, 1), 5)]) for x in (flat, peaked)]
    X = EmbeddingArray.concatenate(dict(zip(["text", "image"], rows)))
    halves = EmbeddingArray(rows[0], np.repeat(["text", "image"], 250))
    assert maximum_mean_discrepancy(X) > 3 * maximum_mean_discrepancy(halves)


@settings(max_examples=20)
@given(seeds)
def test_alignment_is_the_mean_squared_distance_of_pairs(seed):
    text, image, X = drawn(seed)
    want = np.mean([np.linalg.norm(t - i) ** 2 for t, i in zip(text, image)])
    assert alignment(X, [*range(20)] * 2) == pytest.approx(want)


@settings(max_examples=20)
@given(seeds)
def test_uniformity_is_the_log_mean_potential(seed):
    text, image, X = drawn(seed)
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
    text, image, X = drawn(seed, n)
    want = {}
    for name, rows in (("text", text), ("image", image)):
        values = np.linalg.eigvalsh(np.cov(rows.T))
        want[name] = values.sum() ** 2 / (values**2).sum()
        assert 1 <= effective_dimension(X)[name] <= min(n - 1, 5) + 1e-9
    assert effective_dimension(X) == pytest.approx(want)


@settings(max_examples=20)
@given(seeds, st.integers(1, 8))
def test_the_overlap_of_subspaces_is_that_of_their_angles(seed, n_components):
    text, image, X = drawn(seed)
    spaces = []
    for rows in (text, image):
        vectors = np.linalg.eigh(np.cov(rows.T))[1]
        spaces.append(vectors[:, -min(n_components, 5) :])
    want = np.mean(np.cos(subspace_angles(*spaces)) ** 2)
    assert subspace_overlap(X, n_components=n_components) == pytest.approx(want)


def test_a_subspace_has_a_dimension():
    with pytest.raises(ValueError, match="n_components"):
        subspace_overlap(drawn(0)[-1], n_components=0)


@settings(max_examples=20)
@given(seeds)
def test_the_score_scale_is_the_ratio_of_deviations(seed):
    text, image, X = drawn(seed)
    below = np.tril_indices(20, -1)
    within = np.mean([(x @ x.T)[below].std() for x in (text, image)])
    across = text @ image.T
    assert score_scale(X) == pytest.approx(within / across.std())
    of_others = across[~np.eye(20, dtype=bool)].std()
    assert score_scale(X, [*range(20)] * 2) == pytest.approx(within / of_others)


def test_rows_that_share_an_id_do_not_count_in_the_score_scale():
    text, image, X = drawn(0)
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
    *_, X = drawn(seed)
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
    text, image, X = drawn(seed)
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
    *_, X = drawn(0)
    assert hubness(X, 100) == pytest.approx((0, 0))
    with pytest.raises(ValueError, match="single document row"):
        hubness(X[:1])
    with pytest.raises(ValueError, match="no document to find"):
        hubness(EmbeddingArray(X.values, "query:text"))
    with pytest.raises(ValueError, match="n_neighbors"):
        hubness(X, 0)


def test_the_dimensions_of_a_gap_are_worked_by_hand():
    text, image = np.array([[2, 0, 1], [2, 0, -1.0]]), np.array([[0, 1, 2], [0, 1, -2.0]])
    found = gap_dimensions(EmbeddingArray.concatenate({"text": text, "image": image}))
    assert found.dimensions.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.shares, [0.8, 0.2, 0])
    found = gap_dimensions(EmbeddingArray.concatenate({"text": text, "image": text}))
    assert found.shares.tolist() == [0, 0, 0]


def test_the_gap_of_a_group_is_that_of_its_rows():
    *_, X = drawn(0)
    groups = np.where(np.arange(40) % 4, "photos", "scans")
    groups[[3, 7]] = "notes"
    found = gap_by_group(X, groups)
    assert [*found] == ["photos", "scans", "notes"]
    assert found["photos"].n_rows == {"image": 15, "text": 13}
    for name in ("photos", "scans"):
        want = centroid_distance(X[groups == name])
        assert found[name].distance == pytest.approx(want)
    assert found["notes"].n_rows == {"image": 0, "text": 2}
    assert np.isnan(found["notes"][1:]).all()
    with pytest.raises(ValueError, match="groups has 39 entries"):
        gap_by_group(X, groups[1:])
    with pytest.raises(ValueError, match="give each row a group"):
        gap_by_group(X, [*groups[1:], None])


def test_groups_are_clusters_of_items_and_not_of_modalities():
    rng = np.random.default_rng(0)
    topic = np.repeat(np.eye(8)[:3], [30, 20, 10], axis=0)
    rows = {
        name: topic + 4 * np.eye(8)[at] + rng.normal(size=topic.shape) / 30
        for name, at in (("text", 6), ("image", 7))
    }
    found = gap_by_group(EmbeddingArray.concatenate(rows), n_clusters=3)
    assert [x.n_rows for x in found.values()] == [{"image": n, "text": n} for n in (30, 20, 10)]
    assert min(x.effect_size for x in found.values()) > 0.9


def test_a_gap_that_differs_between_groups_is_left_in_them():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 8)) / 4 + np.eye(8)[0]
    modality, group = np.repeat(["text", "image"], 200), np.arange(400) % 2
    rows[modality == "image", 1] += np.where(group[modality == "image"], 1, 3)
    X = EmbeddingArray(rows, modality)
    centered = ModalityGapRemover().fit_transform(X)
    left = gap_by_group(centered, group)
    assert centroid_distance(centered) < 0.2 < min(x.distance for x in left.values())

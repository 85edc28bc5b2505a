"""Distances of two modalities, against scipy, scikit-learn and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, pdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.preprocessing import normalize
from strategies import paired_rows

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.metrics import (
    alignment,
    centroid_distance,
    frechet_distance,
    linear_separability,
    maximum_mean_discrepancy,
    modality_statistics,
    relative_modality_gap,
    score_scale,
)

seeds = st.integers(0, 2**32 - 1)


def test_the_gap_of_coco_has_its_reference_numbers(real):
    X, y = EmbeddingArray.concatenate(real("coco_clip_vitb16.npz")), [*range(500)] * 2
    assert centroid_distance(X) == pytest.approx(0.851, abs=5e-4)
    assert 1 - alignment(X, y) / 2 == pytest.approx(0.310, abs=5e-4)
    lengths = {name: each.mean_length for name, each in modality_statistics(X).items()}
    of_others = {name: (500 * length**2 - 1) / 499 for name, length in lengths.items()}
    assert of_others == pytest.approx({"text": 0.515, "image": 0.531}, abs=5e-4)
    squares = (lengths["text"] ** 2 + lengths["image"] ** 2 - centroid_distance(X) ** 2) / 2
    assert (500 * squares - (1 - alignment(X, y) / 2)) / 499 == pytest.approx(0.162, abs=5e-4)
    centered = ModalityGapRemover(shrinkage=0).fit_transform(X)
    assert score_scale(centered, y) == pytest.approx((0.154 + 0.153) / 2 / 0.092, abs=0.02)


@settings(max_examples=20)
@given(seeds)
def test_the_centroid_distance_is_that_of_the_mean_unit_rows(seed):
    text, image, X = paired_rows(seed)
    want = np.linalg.norm(text.mean(axis=0) - image.mean(axis=0))
    assert centroid_distance(X) == pytest.approx(want)


@settings(max_examples=20)
@given(seeds)
def test_the_relative_gap_is_that_of_the_paper(seed):
    text, image, X = paired_rows(seed)
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
    text, image, X = paired_rows(seed)
    covariances = [np.cov(rows.T) for rows in (text, image)]
    apart = text.mean(axis=0) - image.mean(axis=0)
    root = sqrtm(covariances[0] @ covariances[1]).real
    want = apart @ apart + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(X) == pytest.approx(want, abs=1e-6)


@settings(max_examples=20)
@given(seeds)
def test_the_mean_discrepancy_is_that_of_kernels(seed):
    text, image, X = paired_rows(seed)
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

"""Where the gap lies, on rows whose gap is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import normalize
from strategies import paired_rows

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.metrics import (
    centroid_distance,
    frechet_distance,
    gap_by_group,
    gap_components,
    gap_dimensions,
)

seeds = st.integers(0, 2**32 - 1)


def test_three_dimensions_carry_most_of_the_gap_of_coco(real):
    found = gap_dimensions(EmbeddingArray.concatenate(real("coco_clip_vitb16.npz")))
    assert found.shares[:3].sum() > 0.5
    assert sorted(found.dimensions) == [*range(512)]
    assert found.shares.sum() == pytest.approx(1)
    assert (np.diff(found.shares) <= 0).all()


@settings(max_examples=20)
@given(seeds)
def test_the_components_of_the_gap_sum_to_the_frechet_distance(seed):
    *_, X = paired_rows(seed)
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


def test_the_dimensions_of_a_gap_are_worked_by_hand():
    text, image = np.array([[2, 0, 1], [2, 0, -1.0]]), np.array([[0, 1, 2], [0, 1, -2.0]])
    found = gap_dimensions(EmbeddingArray.concatenate({"text": text, "image": image}))
    assert found.dimensions.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.shares, [0.8, 0.2, 0])
    found = gap_dimensions(EmbeddingArray.concatenate({"text": text, "image": text}))
    assert found.shares.tolist() == [0, 0, 0]


@given(st.integers(1, 600))
def test_the_dimensions_that_carry_most_are_shown_however_many_there_are(n_features):
    rows = np.random.default_rng(0).normal(size=(4, n_features))
    found = gap_dimensions(EmbeddingArray(rows, ["text", "image"] * 2))
    first = ", ".join(map(str, found.dimensions[:3].tolist()))
    more = f", and {n_features - 3} more" if n_features > 3 else ""
    assert repr(found).startswith(f"GapDimensions(dimensions=[{first}{more}], shares=[")
    assert len(repr(found)) < 120


def test_the_gap_of_a_group_is_that_of_its_rows():
    *_, X = paired_rows(0)
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

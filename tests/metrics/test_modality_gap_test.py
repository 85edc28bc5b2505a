"""modality_gap_test: true p-values, gaps that are found, and what is not called a gap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, permutation_test
from sklearn.preprocessing import normalize

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.metrics import centroid_distance, modality_gap_test

FILES = ["coco_clip_vitb16.npz", "flickr8k_clip_vitb32.npz", "products_clip_vitb32.npz"]


def tagged(text, image):
    return EmbeddingArray.concatenate({"text": text, "image": image})


def distance(one, other, axis=-1):
    """Of two samples of numbers, which stand for unit rows in a plane."""
    means = [np.array([np.cos(x).mean(axis=axis), np.sin(x).mean(axis=axis)]) for x in (one, other)]
    return np.linalg.norm(means[0] - means[1], axis=0)


def on_a_circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("is_paired", [False, True])
def test_p_values_are_those_of_scipy(seed, is_paired):
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=8), rng.normal(size=8 if is_paired else 7) + 0.5
    # scipy tries all permutations.
    kind = "samples" if is_paired else "independent"
    options = {"alternative": "greater", "n_resamples": np.inf, "vectorized": True}
    want = permutation_test((one, other), distance, permutation_type=kind, **options)
    X = tagged(on_a_circle(one), on_a_circle(other))
    y = [*range(8)] * 2 if is_paired else None
    got = modality_gap_test(X, y, n_permutations=9999, random_state=seed)
    assert got.distance == pytest.approx(want.statistic)
    assert got.p_value == pytest.approx(want.pvalue, abs=0.02)


@pytest.mark.parametrize("apart", [0, 5])
def test_the_repr_begins_with_the_answer(apart):
    rows = np.random.default_rng(0).normal(size=(40, 4)) + 3
    rows[:20, 0] += apart
    result = modality_gap_test(tagged(rows[:20], rows[20:]))
    assert repr(result).startswith(f"ModalityGapTest(should_correct={apart > 0}, distance=")
    assert repr(result).endswith(
        f"p_value={result.p_value:.3g}, n_rows={{'image': 20, 'text': 20}})"
    )


@pytest.mark.parametrize("is_paired", [False, True])
def test_p_values_are_uniform_without_a_gap(is_paired):
    rng, found = np.random.default_rng(0), []
    for seed in range(200):
        rows = rng.normal(size=(24, 4)) + 1
        X, y = tagged(rows[:12], rows[12:]), [*range(12)] * 2 if is_paired else None
        found.append(modality_gap_test(X, y, n_permutations=99, random_state=seed))
    p_values = np.array([x.p_value for x in found])
    assert kstest(p_values - 0.005, "uniform").pvalue > 0.05
    assert np.mean([x.should_correct for x in found]) < 0.08
    effects = np.array([x.effect_size for x in found])
    assert abs(effects.mean()) < 3 * effects.std() / np.sqrt(len(effects))


@given(st.integers(0, 2**32 - 1), st.integers(4, 12))
@settings(max_examples=20)
def test_the_effect_size_of_equal_numbers_is_epsilon_squared(seed, n):
    rng = np.random.default_rng(seed)
    rows = [normalize(rng.normal(size=(n, 3)) + m) for m in (1, 0)]
    both = np.concatenate(rows)
    within = sum(((x - x.mean(axis=0)) ** 2).sum() for x in rows)
    total = ((both - both.mean(axis=0)) ** 2).sum()
    # Of the analysis of variance: 1 less the ratio of the mean squares within and in all.
    want = 1 - (within / (2 * n - 2)) / (total / (2 * n - 1))
    result = modality_gap_test(tagged(*rows), n_permutations=19)
    assert result.effect_size == pytest.approx(want)
    assert result.distance == pytest.approx(centroid_distance(tagged(*rows)))
    assert result.n_rows == {"image": n, "text": n}


def test_a_rare_modality_has_the_effect_size_of_a_frequent_one():
    rng = np.random.default_rng(0)
    text, image = rng.normal(size=(2, 2000, 5)) + np.eye(2, 5)[:, None]
    equal = modality_gap_test(tagged(text, image), n_permutations=19).effect_size
    few = [
        modality_gap_test(tagged(text, image[i : i + 20]), n_permutations=19).effect_size
        for i in range(0, 2000, 20)
    ]
    assert np.mean(few) == pytest.approx(equal, rel=0.05)


def test_without_a_gap_the_effect_size_is_zero_on_average_also_of_a_rare_modality():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2000, 5))
    found = []
    for _ in range(200):
        order = rng.permutation(len(rows))
        X = tagged(rows[order[:200]], rows[order[200:212]])
        found.append(modality_gap_test(X, n_permutations=19).effect_size)
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_the_effect_size_of_pairs_is_that_of_all_rows_where_pairs_have_nothing_in_common():
    rng = np.random.default_rng(0)
    X = tagged(rng.normal(size=(3000, 5)) + 1, rng.normal(size=(3000, 5)))
    paired = modality_gap_test(X, [*range(3000)] * 2, max_rows=None, n_permutations=19)
    assert paired.effect_size == pytest.approx(
        modality_gap_test(X, max_rows=None, n_permutations=19).effect_size, abs=1e-3
    )


@pytest.mark.parametrize("name", FILES)
def test_real_embeddings_have_a_gap_until_it_is_removed(real, name):
    data = real(name)
    text, image = data["text"], data["image"]
    text = text[:, 0] if text.ndim == 3 else text
    X, y = tagged(text, image), [*range(len(text))] * 2
    removed = ModalityGapRemover().fit_transform(X)
    for relevance in (None, y):
        result = modality_gap_test(X, relevance)
        assert result.p_value == 0.001
        assert 0.2 < result.effect_size < 0.3
        assert result.should_correct
        result = modality_gap_test(removed, relevance)
        assert result.effect_size < 0.001
        assert not result.should_correct
    few = np.r_[0:8, len(text) : len(text) + 8]
    assert modality_gap_test(X[few]).should_correct
    assert modality_gap_test(X[few], np.array(y)[few]).should_correct


@pytest.mark.parametrize(
    ("file", "name"), [(FILES[1], "text"), (FILES[1], "extra"), (FILES[2], "image")]
)
def test_rows_of_one_modality_have_no_gap_whatever_they_are_called(real, file, name):
    rows = real(file)[name]
    rows = rows[:, 0] if rows.ndim == 3 else rows
    rng, called_a_gap = np.random.default_rng(0), []
    for seed in range(20):
        order = rng.permutation(len(rows))
        X = tagged(rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]])
        result = modality_gap_test(X, n_permutations=99, random_state=seed)
        called_a_gap.append(result.should_correct)
    assert np.mean(called_a_gap) <= 0.1


def test_different_topics_are_no_gap_where_there_are_pairs():
    rng = np.random.default_rng(0)
    # Twenty items of one topic have a text, twenty of another an image, and forty have both.
    topic = np.repeat(np.eye(6)[:2], 40, axis=0)
    text, image = (topic + rng.normal(size=topic.shape) / 5 for _ in range(2))
    has_text, has_image = np.r_[0:60], np.r_[20:80]
    X, y = tagged(text[has_text], image[has_image]), [*has_text, *has_image]
    assert modality_gap_test(X).should_correct
    paired = modality_gap_test(X, y)
    assert not paired.should_correct
    assert paired.n_rows == {"image": 40, "text": 40}
    shifted = tagged(text[has_text], image[has_image] + np.eye(6)[2])
    assert modality_gap_test(shifted, y).should_correct


def test_many_rows_have_gaps_too_small_to_correct():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(8000, 3)) + np.repeat([[0, 0, 0], [0.15, 0, 0]], 4000, axis=0)
    result = modality_gap_test(tagged(rows[:4000], rows[4000:]), max_rows=None, n_permutations=199)
    assert result.p_value == 0.005
    assert 0 < result.effect_size < 0.01
    assert not result.should_correct


def test_too_few_rows_are_an_error_and_not_an_answer():
    rng = np.random.default_rng(0)
    X = tagged(rng.normal(size=(8, 3)), rng.normal(size=(8, 3)) + 3)
    with pytest.raises(ValueError, match="6 rows are too few to tell a gap from chance"):
        modality_gap_test(X[5:11])
    assert modality_gap_test(X[4:12]).p_value < 0.05
    y = np.array([*range(8), 0, 1, 2, 3, 4, 15, 16, 17])
    with pytest.raises(ValueError, match="5 pairs of 'image' and 'text' are too few.*Without y"):
        modality_gap_test(X, y)
    y[13] = 5
    assert modality_gap_test(X, y).n_rows == {"image": 6, "text": 6}
    with pytest.raises(ValueError, match="0 pairs"):
        modality_gap_test(X, range(16))
    with pytest.raises(ValueError, match="n_permutations"):
        modality_gap_test(X, n_permutations=9)

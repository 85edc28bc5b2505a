"""What all measures of the gap have in common: invariances, the rows they take, their errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group
from strategies import paired_rows, scales

from gapremoval import EmbeddingArray, ModalityGapRemover, metrics
from gapremoval.calibration import drift

PAIRED = {
    "relative_modality_gap": metrics.relative_modality_gap,
    "alignment": metrics.alignment,
    "score_scale of pairs": metrics.score_scale,
    "modality_gap_test of pairs": metrics.modality_gap_test,
}
# Those whose value does not depend on the order of rows.
EXACT = {
    "centroid_distance": metrics.centroid_distance,
    "frechet_distance": metrics.frechet_distance,
    "maximum_mean_discrepancy": metrics.maximum_mean_discrepancy,
    "same_modality_neighbors": lambda X, **a: metrics.same_modality_neighbors(X, 3, **a),
    "uniformity": metrics.uniformity,
    "modality_statistics": metrics.modality_statistics,
    "effective_dimension": metrics.effective_dimension,
    "subspace_overlap": lambda X, **a: metrics.subspace_overlap(X, n_components=3, **a),
    "score_scale": metrics.score_scale,
    "hubness": lambda X, **a: metrics.hubness(X, 3, **a),
}
DRAWN = {
    "linear_separability": metrics.linear_separability,
    "modality_gap_test": metrics.modality_gap_test,
    "gap_components": metrics.gap_components,
    "gap_dimensions": metrics.gap_dimensions,
    "gap_by_group": lambda X, **a: metrics.gap_by_group(X, n_clusters=2, **a),
}
MEASURES = EXACT | DRAWN | PAIRED
OF_EACH_MODALITY = ("uniformity", "modality_statistics", "effective_dimension", "hubness")
OF_TWO = [x for x in MEASURES if x not in (*OF_EACH_MODALITY, "same_modality_neighbors")]
OF_ALL_ROWS = ("centroid_distance", "gap_dimensions", "relative_modality_gap", "alignment")
SAMPLING = [name for name in MEASURES if name not in OF_ALL_ROWS]


def call(name, X, y, **options):
    return MEASURES[name](X, y, **options) if name in PAIRED else MEASURES[name](X, **options)


def rows_with_a_gap(seed, n=20):
    """Pairs of texts and images, and their ids."""
    *_, X = paired_rows(seed, n, n_features=6)
    return X, [*range(n)] * 2


def numbers(value):
    """All numbers in a result, in a fixed order."""
    if isinstance(value, dict):
        return [x for _, some in sorted(value.items()) for x in numbers(some)]
    if hasattr(value, "should_correct"):
        value = [value.distance, value.effect_size, value.p_value, numbers(value.n_rows)]
    if isinstance(value, tuple | list):
        return [x for some in value for x in numbers(some)]
    return np.ravel(value).tolist()


@pytest.mark.parametrize("name", MEASURES)
@settings(max_examples=4)
@given(scales(40), st.integers(0, 2**32 - 1))
def test_a_positive_scale_of_rows_changes_nothing(name, scale, seed):
    X, y = rows_with_a_gap(seed)
    scaled = EmbeddingArray(X.values * scale[:, None], X.modality)
    want = numbers(call(name, X, y))
    np.testing.assert_allclose(numbers(call(name, scaled, y)), want, atol=1e-6)


@pytest.mark.parametrize("name", [x for x in MEASURES if x != "gap_dimensions"])
@settings(max_examples=4)
@given(st.integers(0, 2**32 - 1))
def test_a_rotation_changes_nothing(name, seed):
    X, y = rows_with_a_gap(seed)
    rotation = ortho_group(X.shape[1], seed=seed).rvs()
    rotated = EmbeddingArray(X.values @ rotation, X.modality)
    want = numbers(call(name, X, y))
    np.testing.assert_allclose(numbers(call(name, rotated, y)), want, atol=1e-3)


@pytest.mark.parametrize("name", [*EXACT, *PAIRED])
@settings(max_examples=4)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(name, seed):
    X, y = rows_with_a_gap(seed)
    order = np.random.default_rng(seed).permutation(len(X))
    got = numbers(call(name, X[order], np.array(y)[order]))
    want = numbers(call(name, X, y))
    if name == "modality_gap_test of pairs":  # The p-value is drawn by chance.
        got.pop(2), want.pop(2)
    np.testing.assert_allclose(got, want, atol=1e-9)


@pytest.mark.parametrize("name", OF_TWO)
def test_the_order_of_the_two_modalities_changes_nothing(name):
    X, y = rows_with_a_gap(0)
    one, other = (call(name, X, y, between=x) for x in (("text", "image"), ["image", "text"]))
    assert numbers(one) == numbers(other) == numbers(call(name, X, y))


NO_GAP = {
    "centroid_distance": 0,
    "relative_modality_gap": 0,
    "alignment": 0,
    "frechet_distance": 0,
    "maximum_mean_discrepancy": 0,
    "subspace_overlap": 1,
}


@pytest.mark.parametrize("name", NO_GAP)
@settings(max_examples=4)
@given(st.integers(0, 2**32 - 1))
def test_a_modality_and_its_copy_are_not_apart(name, seed):
    X, y = rows_with_a_gap(seed)
    text = X.values[X.modality == "text"]
    copy = EmbeddingArray.concatenate({"text": text, "image": text})
    assert call(name, copy, y) == pytest.approx(NO_GAP[name], abs=1e-6)


def test_a_modality_and_its_copy_have_no_gap_anywhere():
    X, y = rows_with_a_gap(0)
    text = X.values[X.modality == "text"]
    copy = EmbeddingArray.concatenate({"text": text, "image": text})
    for result in (metrics.modality_gap_test(copy), metrics.modality_gap_test(copy, y)):
        assert result.p_value == 1
        assert result.effect_size <= 0
        assert not result.should_correct
    assert metrics.gap_components(copy)[:3] == pytest.approx((0, 0, 0), abs=1e-6)
    assert metrics.gap_by_group(copy, [0, 1] * 20)[0].distance == pytest.approx(0)


@pytest.mark.parametrize("name", MEASURES)
def test_modalities_come_with_the_rows_or_beside_them(name):
    X, y = rows_with_a_gap(0)
    want = numbers(call(name, X, y))
    assert numbers(call(name, X.values, y, modality=X.modality)) == want
    assert numbers(call(name, X.values.tolist(), y, modality=X.modality.tolist())) == want
    with pytest.raises(ValueError, match="modality of each row is not known"):
        call(name, X.values, y)
    with pytest.raises(ValueError, match="39 tags for 40 rows"):
        call(name, X.values, y, modality=X.modality[1:])


@pytest.mark.parametrize("name", MEASURES)
def test_tensors_are_taken(name):
    torch = pytest.importorskip("torch")
    X, y = rows_with_a_gap(0)
    want = numbers(call(name, X, y))
    tensors = EmbeddingArray(torch.tensor(X.values, requires_grad=True), X.modality)
    np.testing.assert_allclose(numbers(call(name, tensors, y)), want, atol=1e-9)
    half = EmbeddingArray(torch.tensor(X.values).bfloat16(), X.modality)
    assert np.isfinite(numbers(call(name, half, y))).all()


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_other_number_types_are_taken(name, dtype):
    X, y = rows_with_a_gap(0)
    rows = (10 * X.values).astype(dtype)
    got, want = (
        numbers(call(name, EmbeddingArray(x, X.modality), y)) for x in (rows, rows.astype(float))
    )
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("name", MEASURES)
def test_nan_and_infinity_are_refused_and_the_row_is_named(name):
    X, y = rows_with_a_gap(0)
    for wrong, what in ((np.nan, "NaN"), (np.inf, "infinity")):
        values = X.values.copy()
        values[3, 2] = wrong
        with pytest.raises(ValueError, match=f"{what} in row 3"):
            call(name, EmbeddingArray(values, X.modality), y)


@pytest.mark.parametrize("name", MEASURES)
def test_rows_of_length_zero_are_left_out_with_a_warning(name):
    X, y = rows_with_a_gap(0)
    zeros = EmbeddingArray(np.zeros((3, X.shape[1])), ["text", "image", "image"])
    more = EmbeddingArray.concatenate([X, zeros])
    with pytest.warns(UserWarning, match=r"3 row\(s\) of length zero"):
        got = call(name, more, [*y, 0, 0, 1])
    assert numbers(got) == pytest.approx(numbers(call(name, X, y)))


@pytest.mark.parametrize("name", [*OF_TWO, "same_modality_neighbors"])
def test_one_modality_cannot_be_compared(name):
    X, y = rows_with_a_gap(0)
    with pytest.raises(ValueError, match="the documents have"):
        call(name, X[X.modality == "text"], y[:20])


@pytest.mark.parametrize("name", OF_TWO)
def test_what_is_compared_must_be_two_modalities_of_the_rows(name):
    X, y = rows_with_a_gap(0)
    more = EmbeddingArray(X.values, np.where(np.arange(40) % 5, X.modality, "audio"))
    with pytest.raises(ValueError, match="'audio', 'text', 'image'.*between="):
        call(name, more, y)
    assert np.isfinite(numbers(call(name, more, y, between=("text", "image")))).all()
    with pytest.raises(ValueError, match="No row has the modality 'txt'.*mean 'text'"):
        call(name, X, y, between=("txt", "image"))
    twice = (["text", "text"], ["text", "image", "text"])
    for wrong in ("text", ["text"], *twice, 5, ("text", ["a"]), ("text", None), [1, 2]):
        with pytest.raises(ValueError, match="between names two modalities"):
            call(name, X, y, between=wrong)
    with pytest.raises(ValueError, match=r"'image' has 1 row\(s\)"):
        call(name, X[:21], y[:21])


@pytest.mark.parametrize("name", SAMPLING)
def test_large_modalities_are_sampled_by_a_seed(name):
    X, y = rows_with_a_gap(0, n=60)
    every = numbers(call(name, X, y, max_rows=None))
    assert every == numbers(call(name, X, y, max_rows=120))
    drawn = [numbers(call(name, X, y, max_rows=20, random_state=i)) for i in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert drawn.count(drawn[0]) < 5
    with pytest.raises(ValueError, match="max_rows must be an integer of at least 2"):
        call(name, X, y, max_rows=1)


@settings(max_examples=20)
@given(st.lists(st.sampled_from([int, str]), min_size=2, max_size=2), st.sampled_from([*PAIRED]))
def test_ids_of_one_type_are_the_same_ids_and_of_two_are_refused(types, name):
    X, y = rows_with_a_gap(0)
    mixed = [kind(i) for kind, i in zip(np.repeat(types, 20), y)]
    if types[0] is types[1]:
        assert numbers(call(name, X, mixed)) == numbers(call(name, X, y))
    else:
        with pytest.raises(ValueError, match="Document ids mix strings with other types"):
            call(name, X, mixed)


def test_queries_are_compared_where_they_are_named():
    X, y = rows_with_a_gap(0)
    asked = EmbeddingArray(X.values, np.where(X.modality == "text", "query:text", X.modality))
    between = ("query:text", "image")
    want = metrics.centroid_distance(X)
    assert metrics.centroid_distance(asked, between) == want
    with pytest.raises(ValueError, match=r"have 'image'\. Name two of 'query:text', 'image'"):
        metrics.centroid_distance(asked)
    relevance = [*({i: 1, 19 - i: 0} for i in range(20)), *range(20)]
    assert metrics.alignment(asked, relevance, between) == metrics.alignment(X, y)
    unjudged = [*range(10), *[None] * 10, *range(20)]
    pairs = X[np.r_[0:10, 20:30]]
    assert metrics.alignment(asked, unjudged, between) == metrics.alignment(pairs, [*range(10)] * 2)


@pytest.mark.parametrize("measure", [metrics.relative_modality_gap, metrics.alignment])
def test_pairs_are_the_first_rows_that_share_an_id(measure):
    X, y = rows_with_a_gap(0)
    want = measure(X, y)
    more = EmbeddingArray.concatenate([X, X[5:9], X[30:]])
    assert measure(more, [*y, 7, 8, 9, 7, *y[:10]]) == want
    alone = EmbeddingArray.concatenate([X, X[:5]])
    assert measure(alone, [*y, *range(100, 105)]) == want
    with pytest.raises(ValueError, match="give y"):
        measure(X, None)
    with pytest.raises(ValueError, match=r"No id\(s\) in y have rows of both"):
        measure(X, range(40))
    with pytest.raises(ValueError, match="39 entries for 40 rows"):
        measure(X, y[1:])


def test_dask_collections_are_refused():
    dask = pytest.importorskip("dask.array")
    X, _ = rows_with_a_gap(0)
    with pytest.raises(TypeError, match="Measures take rows in memory"):
        metrics.centroid_distance(dask.from_array(X.values), modality=X.modality)


def test_the_drift_is_among_the_metrics():
    X, _ = rows_with_a_gap(0)
    remover = ModalityGapRemover().fit(X)
    assert metrics.drift is drift
    assert metrics.drift(remover, X).keys() == {"text", "image"}

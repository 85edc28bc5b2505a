"""What all calibrators of rows have in common, beyond the checks of every estimator."""

import pickle
import warnings

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from strategies import tagged_rows

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import (
    AnchorAndScale,
    ByModality,
    CovarianceAligner,
    GapShift,
    GapSubspaceEraser,
    OrthogonalAligner,
    ShrunkWhitener,
    TopComponentsRemover,
)

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")

MERGEABLE = [ModalityGapRemover(), GapShift(), CovarianceAligner(), GapSubspaceEraser()]
CALIBRATORS = [
    *MERGEABLE,
    AnchorAndScale(),
    OrthogonalAligner(),
    ByModality(StandardScaler()),
    ByModality(ShrunkWhitener()),
    ByModality(TopComponentsRemover(1)),
]
each = pytest.mark.parametrize("calibrator", CALIBRATORS, ids=str)
each_mergeable = pytest.mark.parametrize("calibrator", MERGEABLE, ids=str)


def corpus(n=40, n_features=8, dtype="f8", encoder=None, seed=0):
    """Pairs of texts and images, with text queries, and their ids."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, n_features))
    noise = rng.normal(size=(3, n, n_features)) * np.linspace(0.2, 1, n_features)
    centers = rng.normal(size=(3, 1, n_features)) * 3
    parts = dict(zip(["text", "image", "query:text"], (shared + noise + centers).astype(dtype)))
    tags = np.repeat([*parts], n)
    y = np.empty(3 * n, dtype=object)
    y[: 2 * n] = [*range(n), *range(n)]
    return EmbeddingArray(np.concatenate([*parts.values()]), tags, encoder), y


@each
@settings(max_examples=5)
@given(data=st.data())
def test_the_length_of_a_row_does_not_matter(calibrator, data):
    X, y = corpus(seed=data.draw(st.integers(0, 5)))
    factors = np.random.default_rng(data.draw(st.integers(0, 99))).lognormal(0, 5, len(X))
    Y = EmbeddingArray(X.values * factors[:, None], X.modality)
    one, other = (clone(calibrator).fit_transform(rows, y).values for rows in (X, Y))
    np.testing.assert_allclose(one, other, atol=1e-9)


@each
def test_a_document_moves_alike_beside_any_others(calibrator):
    X, y = corpus()
    calibrator = clone(calibrator).fit(X, y)
    want = calibrator.transform(X).values
    np.testing.assert_allclose(calibrator.transform(X[::7]).values, want[::7], atol=1e-12)


@each
def test_rows_have_unit_length_with_l2_and_the_same_direction_without(calibrator):
    X, y = corpus()
    Z = clone(calibrator).fit_transform(X, y).values
    np.testing.assert_allclose(np.linalg.norm(Z, axis=1), 1)
    longer = clone(calibrator).set_params(norm=None).fit_transform(X, y).values
    np.testing.assert_allclose(longer / np.linalg.norm(longer, axis=1, keepdims=True), Z)


@each
def test_fitting_and_transforming_at_once_changes_nothing(calibrator):
    X, y = corpus()
    want = clone(calibrator).fit(X, y).transform(X)
    np.testing.assert_array_equal(clone(calibrator).fit_transform(X, y).values, want.values)


@each_mergeable
@settings(max_examples=20)
@given(X=tagged_rows(min_rows=6, modalities=["text", "image", "query:text"], dtypes="d"))
def test_merging_and_batches_equal_one_fit(calibrator, X):
    # Both pieces have rows of the target.
    modality = X.modality.astype(object)
    modality[[0, 3]] = "text"
    X = EmbeddingArray(X.values, modality)
    whole = clone(calibrator).set_params(norm=None).fit(X)
    pieces = [clone(whole).fit(part) for part in (X[:3], X[3:])]
    merged = pieces[0].merge(pieces[1])
    batches = clone(whole)
    for at in range(0, len(X), 2):
        batches.partial_fit(X[at : at + 2])
    want = whole.transform(X).values
    for other in (merged, batches):
        assert other.counts_ == whole.counts_
        np.testing.assert_allclose(other.transform(X).values, want, atol=1e-6 * np.abs(want).max())


@each_mergeable
def test_merging_another_class_is_refused(calibrator):
    X, y = corpus()
    other = GapShift() if not isinstance(calibrator, GapShift) else ModalityGapRemover()
    with pytest.raises(TypeError, match=f"takes another {type(calibrator).__name__}; got"):
        clone(calibrator).fit(X, y).merge(other.fit(X))


@each
def test_tensors_and_other_arrays_are_transformed_as_numpy_is(calibrator):
    X, y = corpus()
    calibrator = clone(calibrator).fit(X, y)
    want = calibrator.transform(X)
    strict = EmbeddingArray(array_api_strict.asarray(X.values), X.modality)
    Z = calibrator.transform(strict)
    assert isinstance(Z.values, array_api_strict._array_object.Array)
    np.testing.assert_allclose(Z.to_host().values, want.values, atol=1e-12)
    again = clone(calibrator).fit(strict, y).transform(X)
    np.testing.assert_allclose(again.values, want.values, atol=1e-9)
    torch = pytest.importorskip("torch")
    half = torch.tensor(X.values, dtype=torch.bfloat16)
    Z = calibrator.transform(half, modality=X.modality)
    assert (Z.dtype, type(Z)) == (torch.bfloat16, torch.Tensor)
    np.testing.assert_allclose(Z.float().numpy(), want.values, atol=0.1)


@each
def test_half_precision_and_integers_keep_to_the_rules(calibrator):
    X, y = corpus(dtype="f2")
    Z = clone(calibrator).fit_transform(X, y)
    want = clone(calibrator).fit_transform(X.astype("f8"), y)
    assert Z.dtype == np.float16
    np.testing.assert_allclose(Z.values.astype("f8"), want.values, atol=5e-3)
    whole = EmbeddingArray((X.values * 100).astype(int), X.modality)
    assert clone(calibrator).fit_transform(whole, y).dtype == np.float64


@each
def test_zero_rows_stay_zero_are_not_learned_from_and_warned_of_once(calibrator):
    X, y = corpus()
    without = clone(calibrator).fit(X[1:], y[1:])
    X.values[0] = 0
    with pytest.warns(UserWarning, match="1 row has length zero") as caught:
        fitted = clone(calibrator).fit(X, y)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="1 row has length zero") as caught:
        Z = fitted.transform(X).values
    assert len(caught) == 1
    assert not Z[0].any()
    np.testing.assert_allclose(Z[1:], without.transform(X[1:]).values, atol=1e-12)


@each
@pytest.mark.filterwarnings("ignore:.*have length zero:UserWarning")
def test_a_modality_of_zero_rows_alone_is_warned_of_and_stays_zero(calibrator):
    X, y = corpus()
    X.values[X.modality == "image"] = 0
    Z = clone(calibrator).fit_transform(X, y)
    assert not Z.values[X.modality == "image"].any()
    assert np.isfinite(Z.values).all()


@each
@pytest.mark.filterwarnings("default:Few rows:UserWarning")
def test_few_documents_are_warned_of(calibrator):
    X, y = corpus(n=40)
    few = np.r_[0:12, 40:80]
    with pytest.warns(UserWarning, match="Few rows to take a mean from: 12 of 'text'"):
        clone(calibrator).fit(X[few], y[few])


@each
def test_rows_of_another_encoder_and_rows_transformed_before_are_refused(calibrator):
    X, y = corpus(encoder="one @ 1")
    calibrator = clone(calibrator).fit(X, y)
    assert calibrator.encoder_ == "one @ 1"
    other, _ = corpus(encoder="other @ 2")
    with pytest.raises(ValueError, match="encoded by 'other @ 2'"):
        calibrator.transform(other)
    Z = calibrator.transform(X)
    assert Z.encoder == X.encoder
    with pytest.raises(ValueError, match="already transformed"):
        calibrator.transform(Z)


@each
def test_changed_parameters_are_refused_until_the_next_fit(calibrator):
    X, y = corpus()
    calibrator = clone(calibrator).fit(X, y)
    fixed = {
        "center": True,
        "norm": None,
        "shrinkage": 3.0,
        "target": "image",
        "prior_count": 1.0,
        "amount": 0.1,
    }
    for name in set(fixed) & set(calibrator.get_params()):
        changed = pickle.loads(pickle.dumps(calibrator)).set_params(**{name: fixed[name]})
        with pytest.raises(ValueError, match=f"^{name} was .* fitted, and is .* fit again"):
            changed.transform(X)
        changed.fit(X, y).transform(X)


def test_a_changed_parameter_of_a_transformer_is_refused():
    X, _ = corpus()
    calibrator = ByModality(StandardScaler()).fit(X).set_params(transformer__with_std=False)
    with pytest.raises(ValueError, match="^transformer was"):
        calibrator.transform(X)


@each
def test_queries_that_were_not_fitted_have_a_fallback(calibrator):
    X, y = corpus()
    documents = ~np.char.startswith(X.modality, "query:")
    calibrator = clone(calibrator).fit(X[documents], y[documents])
    X = X.values[:5]
    texts = calibrator.transform(X, modality="text")
    np.testing.assert_array_equal(calibrator.transform(X, modality="query:text"), texts)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    both = calibrator.transform(unit, modality="query:image+text")
    assert np.isfinite(both).all()
    with pytest.raises(ValueError, match="'query:audio' was not fitted and has no fallback"):
        calibrator.transform(X, modality="query:audio")


@each
def test_images_that_are_asked_by_texts_need_no_text_documents(calibrator):
    X, y = corpus()
    kept = X.modality != "text"
    if isinstance(calibrator, OrthogonalAligner):
        # No pair tells how images and questions are turned.
        with pytest.raises(ValueError, match="No 'image' row has a pair"):
            clone(calibrator).fit(X[kept], y[kept])
        return
    Z = clone(calibrator).fit_transform(X[kept], y[kept])
    apart = [np.linalg.norm(np.subtract(*means(rows))) for rows in (X[kept], Z)]
    assert apart[1] < apart[0] / 2


def means(X):
    unit = X.values / np.linalg.norm(X.values, axis=1, keepdims=True)
    return [unit[X.modality == name].mean(axis=0) for name in ("image", "query:text")]


@each
def test_equal_rows_have_no_direction_and_nothing_breaks(calibrator):
    X, y = corpus()
    X.values[X.modality == "image"] = X.values[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Z = clone(calibrator).fit_transform(X, y)
    assert np.isfinite(Z.values).all()
    if not isinstance(calibrator, GapShift | GapSubspaceEraser | AnchorAndScale):
        assert not Z.values[X.modality == "image"].any()


@pytest.mark.parametrize("calibrator", [AnchorAndScale, CovarianceAligner, OrthogonalAligner])
def test_a_target_that_was_not_fitted_is_named(calibrator):
    X, y = corpus()
    with pytest.raises(ValueError, match="target='txt' names no fitted modality.*'image', 'text'"):
        calibrator(target="txt").fit(X, y)
    calibrator(target="txt").fit(X[:40], y[:40])  # one modality needs no target


def test_distribution_normalization_is_a_quarter_of_the_mean_without_scaling():
    # Zhou et al., "Test-Time Distribution Normalization for Contrastively Learned
    # Vision-language Models", NeurIPS 2023: the product of x - mean / 4 and y - mean / 4.
    X, _ = corpus()
    Z = ModalityGapRemover(strength=0.25, norm=None).fit_transform(X)
    image, text = (X.values[X.modality == name] for name in ("image", "text"))
    image, text = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (image, text))
    want = (image - image.mean(axis=0) / 4) @ (text - text.mean(axis=0) / 4).T
    got = Z.values[X.modality == "image"] @ Z.values[X.modality == "text"].T
    np.testing.assert_allclose(got, want, atol=1e-14)


@pytest.mark.parametrize("calibrator", [AnchorAndScale(), CovarianceAligner(), OrthogonalAligner()])
def test_queries_of_several_parts_without_documents_of_theirs_are_only_centered(calibrator):
    rng = np.random.default_rng(0)
    text, asked = rng.normal(size=(2, 60, 5)) + 1
    asked = EmbeddingArray(asked / 9, "query:image+text")  # they keep their length
    X = EmbeddingArray.concatenate([EmbeddingArray(text, "text"), asked])
    Z = calibrator.set_params(shrinkage=0).fit_transform(X)
    want = ModalityGapRemover(shrinkage=0).fit_transform(X)
    if not isinstance(calibrator, AnchorAndScale):  # which passes by the sphere
        np.testing.assert_allclose(Z.values[60:], want.values[60:], atol=1e-12)
    assert getattr(calibrator, "scales_", {"query:image+text": 1})["query:image+text"] == 1
    images = EmbeddingArray(text, "image")
    both = EmbeddingArray.concatenate([images, asked])
    assert calibrator.fit_transform(both).shape == both.shape


def test_a_query_of_several_parts_is_rotated_by_a_rotation():
    rng = np.random.default_rng(0)
    text = rng.normal(size=(100, 4))
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    X = EmbeddingArray.concatenate({"text": text, "image": text @ rotation})
    aligner = OrthogonalAligner(prior_count=0, norm=None, shrinkage=0).fit(X, [*range(100)] * 2)
    asked = EmbeddingArray(0.5 * np.eye(4), "query:image+text")
    lengths = np.linalg.norm(asked.values - np.mean([*aligner.centers_.values()], axis=0), axis=1)
    got = np.linalg.norm(aligner.transform(asked).values, axis=1)
    np.testing.assert_allclose(got, lengths)

import numpy as np
import pytest
from hypothesis import given
from scipy.linalg import pinvh, sqrtm
from sklearn.linear_model import LogisticRegression
from strategies import DOCUMENTS, tagged_rows

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import GapSubspaceEraser

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def one_hot(modality):
    return (modality[:, None] == np.unique(modality)).astype(float)


@given(tagged_rows(dtypes="d"))
def test_rows_and_modalities_are_uncorrelated_afterwards(X):
    Z = GapSubspaceEraser(norm=None, shrinkage=0).fit_transform(distinct(X)).values
    concept = one_hot(X.modality)
    covariance = (Z - Z.mean(axis=0)).T @ (concept - concept.mean(axis=0)) / len(Z)
    assert np.abs(covariance).max() < 1e-9


def distinct(X):
    """Query rows of several parts have unit length too, as the others do."""
    return EmbeddingArray(unit(X.values), X.modality)


@given(tagged_rows(modalities=DOCUMENTS, dtypes="d", min_rows=6))
def test_it_is_the_closed_form_of_leace(X):
    rows, concept = unit(X.values), one_hot(X.modality)
    # Belrose et al. 2023, theorem 4.2: x - W^+ P W (x - E[x]), P onto the columns of W S_xz.
    centered = rows - rows.mean(axis=0)
    covariance = centered.T @ centered / len(rows)
    whitening = pinvh(np.real(sqrtm(covariance)), atol=1e-6)
    cross = whitening @ centered.T @ (concept - concept.mean(axis=0)) / len(rows)
    projection = cross @ np.linalg.pinv(cross, rcond=1e-6)
    want = rows - centered @ (np.linalg.pinv(whitening, rcond=1e-8) @ projection @ whitening).T
    Z = GapSubspaceEraser(norm=None).fit_transform(X).values
    np.testing.assert_allclose(Z, want, atol=1e-5)


def test_no_linear_classifier_beats_the_constant_one(real):
    coco = real("coco_clip_vitb16.npz")
    X = EmbeddingArray.concatenate({"text": coco["text"][:300], "image": coco["image"][:400]})
    X = X.astype(float)
    eraser = GapSubspaceEraser(norm=None).fit(X)

    def loss(rows):
        model = LogisticRegression(C=1e4, max_iter=2000).fit(rows, X.modality)
        p = model.predict_proba(rows)[np.arange(len(X)), (X.modality == "text").astype(int)]
        return -np.log(p).mean()

    share = np.mean(X.modality == "text")
    constant = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert loss(X.values) < 0.01
    erased = eraser.transform(X.values)  # untagged
    assert constant - 1e-6 < loss(erased) < constant + 1e-4


def test_rows_change_less_than_by_any_other_erasure():
    rng = np.random.default_rng(0)
    X = EmbeddingArray(rng.normal(size=(200, 6)) * [1, 1, 1, 2, 2, 2], ["text", "image"] * 100)
    X.values[::2] += [1, 1, 0, 0, 1, 0]
    rows = unit(X.values)
    change = np.square(GapSubspaceEraser(norm=None).fit_transform(X).values - rows).sum()
    difference = rows[::2].mean(axis=0) - rows[1::2].mean(axis=0)
    difference /= np.linalg.norm(difference)
    centered = rows - rows.mean(axis=0)
    orthogonal = np.square(centered @ np.outer(difference, difference)).sum()
    assert change < orthogonal
    for _ in range(20):
        other = rng.normal(size=6)
        oblique = np.outer(other, difference) / (other @ difference)
        assert change < np.square(centered @ oblique).sum()


def test_tags_are_not_needed_and_change_nothing():
    rng = np.random.default_rng(0)
    modality = np.repeat(["text", "image", "query:text"], 30)
    X = EmbeddingArray(rng.normal(size=(90, 5)) + np.repeat(np.eye(5)[:3], 30, axis=0), modality)
    eraser = GapSubspaceEraser().fit(X)
    Z = eraser.transform(X.values)
    assert type(Z) is np.ndarray
    np.testing.assert_array_equal(Z, eraser.transform(X).values)
    np.testing.assert_array_equal(Z, eraser.transform(X.values, modality="image"))
    with pytest.raises(ValueError, match="'audio' was not fitted"):
        eraser.transform(X.values, modality="audio")
    assert eraser.left_.shape == eraser.right_.shape == (5, 2)


def test_what_the_modalities_have_in_common_stays():
    rng = np.random.default_rng(0)
    X = EmbeddingArray(rng.normal(2, 1, size=(60, 5)), ["text", "image", "image"] * 20)
    Z = GapSubspaceEraser(norm=None).fit_transform(X).values
    mean = unit(X.values).mean(axis=0)
    np.testing.assert_allclose(Z[X.modality == "text"].mean(axis=0), mean, atol=1e-12)
    np.testing.assert_allclose(Z[X.modality == "image"].mean(axis=0), mean, atol=1e-12)


@given(tagged_rows(modalities=DOCUMENTS, dtypes="d"))
def test_it_goes_with_center_and_then_all_means_are_zero(X):
    Z = GapSubspaceEraser(center=True, norm=None).fit_transform(X).values
    kept = GapSubspaceEraser(norm=None).fit_transform(X).values
    np.testing.assert_allclose(Z, kept - unit(X.values).mean(axis=0), atol=1e-12)
    for name in set(X.modality):
        assert np.abs(Z[X.modality == name].mean(axis=0)).max() < 1e-9


def test_one_modality_has_nothing_to_erase():
    X = EmbeddingArray(np.random.default_rng(0).normal(size=(20, 4)), "text")
    np.testing.assert_allclose(GapSubspaceEraser().fit_transform(X).values, unit(X.values))
    assert ModalityGapRemover().fit(X).counts_ == {"text": 20}

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import tagged_rows

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import AnchorAndScale

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(tagged_rows(modalities=["text", "image"], dtypes="d", min_rows=8))
def test_the_source_is_aligned_as_in_the_paper(X):
    modality = X.modality.astype(object)
    modality[:6] = ["text", "image"] * 3
    rows = unit(X.values)
    text, image = (rows[modality == name] for name in ("text", "image"))
    # ReAlign: anchor, trace and centroid alignment of texts to images, less the common mean.
    anchor, mean = image.mean(axis=0), text.mean(axis=0)
    traces = (np.square(x - x.mean(axis=0)).sum(axis=1).mean() for x in (image, text))
    aligned = unit(anchor + np.sqrt(np.divide(*traces)) * (text - mean))
    want = aligned - aligned.mean(axis=0)
    Z = AnchorAndScale(target="image", norm=None).fit_transform(X.values, modality=modality)
    np.testing.assert_allclose(Z[modality == "text"], want, atol=1e-9)
    np.testing.assert_allclose(Z[modality == "image"], image - anchor, atol=1e-12)


def test_the_modalities_end_with_equal_means_and_nearly_equal_total_variances():
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(size=(2, 500, 8))
    wide[:, 0] += 3
    narrow[:, 7] += 9
    X = EmbeddingArray.concatenate({"text": wide, "image": narrow})
    Z = AnchorAndScale(norm=None).fit_transform(X).values
    plain = ModalityGapRemover(norm=None).fit_transform(X).values
    assert np.abs(Z[:500].mean(axis=0) - Z[500:].mean(axis=0)).max() < 1e-12

    def ratio(rows):
        return np.square(rows[:500]).sum() / np.square(rows[500:]).sum()

    assert ratio(plain) > 3
    assert ratio(Z) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("shrinkage", [0, 16])
def test_both_means_of_queries_are_shrunk_and_their_scale_is_that_of_the_documents(shrinkage):
    rng = np.random.default_rng(0)
    parts = {"text": rng.normal(1, 1, (30, 4)), "image": rng.normal(-1, 2, (30, 4))}
    parts["query:text"] = rng.normal(0.5, 1, (20, 4))
    X = EmbeddingArray.concatenate(parts)
    aligner = AnchorAndScale(target="image", norm=None, shrinkage=shrinkage).fit(X)
    remover = ModalityGapRemover(shrinkage=shrinkage).fit(X)
    asked = unit(parts["query:text"]) - remover.centers_["query:text"]
    anchored = {"query:text": unit(aligner.anchor_ + aligner.scales_["text"] * asked)}
    for name in ("text", "image"):
        rows = unit(parts[name]) - remover.centers_[name]
        anchored[name] = unit(aligner.anchor_ + aligner.scales_[name] * rows)
    again = ModalityGapRemover(shrinkage=shrinkage, norm=None).fit_transform(
        EmbeddingArray.concatenate({name: anchored[name] for name in parts})
    )
    np.testing.assert_allclose(aligner.transform(X).values, again.values, atol=1e-12)


def test_a_target_of_one_row_scales_nothing():
    rows = np.random.default_rng(0).normal(size=(20, 4))
    X = EmbeddingArray(rows, ["text", *["image"] * 19])
    aligner = AnchorAndScale().fit(X)
    assert aligner.scales_ == {"image": 1.0, "text": 1.0}
    assert aligner.transform(X).values[1:].any(axis=1).all()


@given(st.integers(0, 20))
def test_one_modality_is_only_centered(seed):
    X = EmbeddingArray(np.random.default_rng(seed).normal(1, 1, (20, 4)), "image")
    want = ModalityGapRemover().fit_transform(X).values
    np.testing.assert_allclose(AnchorAndScale().fit_transform(X).values, want, atol=1e-12)

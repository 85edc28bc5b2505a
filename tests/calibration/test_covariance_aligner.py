import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import fractional_matrix_power
from sklearn.covariance import LedoitWolf

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import CovarianceAligner

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def corpus(n_text, n_image, n_features, seed=0, **more):
    """Two modalities that spread along different directions."""
    rng = np.random.default_rng(seed)
    counts = {"text": n_text, "image": n_image, **more}
    parts = {}
    for name, n in counts.items():
        spread = rng.uniform(0.2, 2, n_features)
        parts[name.replace("_", ":")] = rng.normal(
            rng.normal(size=n_features), spread, (n, n_features)
        )
    return EmbeddingArray.concatenate(parts)


@settings(max_examples=25)
@given(
    st.integers(3, 30), st.integers(3, 30), st.integers(2, 12), st.sampled_from(["text", "image"])
)
def test_rows_are_whitened_and_colored_with_the_covariances_of_ledoit_and_wolf(n, m, d, target):
    X = corpus(n, m, d)
    aligner = CovarianceAligner(target=target, norm=None).fit(X)
    of = {name: LedoitWolf().fit(unit(X.values[X.modality == name])) for name in ("text", "image")}
    (source,) = {"text", "image"} - {target}
    map_ = fractional_matrix_power(of[source].covariance_, -0.5) @ fractional_matrix_power(
        of[target].covariance_, 0.5
    )
    rows = unit(X.values[X.modality == source])
    Z = aligner.transform(X).values
    scale = np.abs(map_).max()
    np.testing.assert_allclose(
        Z[X.modality == source], (rows - rows.mean(axis=0)) @ map_, atol=1e-6 * scale
    )
    rows = unit(X.values[X.modality == target])
    np.testing.assert_allclose(Z[X.modality == target], rows - rows.mean(axis=0), atol=1e-12)


def test_with_many_rows_the_covariances_are_equal_afterwards():
    X = corpus(4000, 4000, 5)
    Z = CovarianceAligner(norm=None).fit_transform(X)
    text, image = (np.cov(Z.values[X.modality == name].T) for name in ("text", "image"))
    np.testing.assert_allclose(image, text, atol=0.01 * np.abs(text).max())


def test_more_rows_than_two_times_the_features_are_kept_short_and_exact():
    X = corpus(700, 9, 4)
    batches = CovarianceAligner()
    for at in range(0, len(X), 50):
        batches.partial_fit(X[at : at + 50])
    want = CovarianceAligner().fit(X).transform(X).values
    np.testing.assert_allclose(batches.transform(X).values, want, atol=1e-9)


def test_queries_are_centered_on_their_own_mean_and_mapped_as_their_documents():
    X = corpus(30, 30, 5, query_text=40)
    aligner = CovarianceAligner(target="image", norm=None).fit(X)
    asked = X.values[X.modality == "query:text"]
    center = ModalityGapRemover().fit(X).centers_["query:text"]
    np.testing.assert_allclose(aligner.centers_["query:text"], center)
    want = (unit(asked) - center) @ aligner.maps_["text"]
    np.testing.assert_allclose(aligner.transform(asked, modality="query:text"), want, atol=1e-12)
    both = aligner.transform(unit(asked), modality="query:image+text")
    center = (center + aligner.centers_["image"]) / 2
    want = (unit(asked) - center) @ (aligner.maps_["text"] + np.eye(5)) / 2
    np.testing.assert_allclose(both, want, atol=1e-12)


def test_one_modality_is_only_centered():
    X = corpus(30, 0, 5)
    Z = CovarianceAligner().fit_transform(X).values
    np.testing.assert_allclose(Z, ModalityGapRemover().fit_transform(X).values, atol=1e-12)

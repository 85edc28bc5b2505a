import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import fractional_matrix_power
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from gapremoval.calibration import ShrunkWhitener, TopComponentsRemover


def rows(n, n_features, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(1, np.linspace(0.5, 3, n_features), (n, n_features))


shapes = st.tuples(st.integers(3, 30), st.integers(2, 12), st.integers(0, 99))


@settings(max_examples=20)
@given(shapes)
def test_a_whitener_is_the_inverse_root_of_the_covariance_of_ledoit_and_wolf(shape):
    X = rows(*shape)
    whitener = ShrunkWhitener().fit(X)
    want = fractional_matrix_power(LedoitWolf().fit(X).covariance_, -0.5)
    np.testing.assert_allclose(whitener.whitening_, want, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(whitener.transform(X), (X - X.mean(axis=0)) @ want, atol=1e-6)


def test_many_rows_become_white():
    Z = ShrunkWhitener().fit_transform(rows(5000, 4, 0))
    np.testing.assert_allclose(np.cov(Z.T), np.eye(4), atol=0.03)


@pytest.mark.parametrize("X", [np.ones((1, 3)), np.full((5, 3), 0.1)])
def test_equal_rows_have_no_covariance_and_become_zero(X):
    whitener = ShrunkWhitener().fit(X)
    np.testing.assert_array_equal(whitener.whitening_, np.eye(3))
    assert not whitener.transform(X).any()


@settings(max_examples=20)
@given(shapes, st.integers(1, 14))
def test_the_components_are_those_of_pca(shape, n_components):
    X = rows(*shape)
    Z = TopComponentsRemover(n_components).fit_transform(X)
    pca = PCA(min(n_components, *X.shape)).fit(X)
    np.testing.assert_allclose(Z, X - pca.inverse_transform(pca.transform(X)), atol=1e-6)


def test_no_component_is_left_where_all_are_removed():
    X = rows(5, 3, 0)
    assert np.abs(TopComponentsRemover(3).fit_transform(X)).max() < 1e-12
    np.testing.assert_allclose(TopComponentsRemover(0).fit_transform(X), X - X.mean(axis=0))
    with pytest.raises(ValueError, match="'n_components' parameter"):
        TopComponentsRemover(-1).fit(X)

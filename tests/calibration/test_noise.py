import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import tagged_rows

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import add_noise

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def corpus(n=2000, n_features=16):
    values = np.random.default_rng(0).normal(1, 1, (n, n_features))
    return EmbeddingArray(values, ["text", "image"] * (n // 2))


@given(tagged_rows(dtypes="fd"))
def test_without_noise_it_is_the_gap_remover_of_the_paper(X):
    Z = add_noise(X, 0)
    want = ModalityGapRemover(shrinkage=0).fit_transform(X)
    assert (Z.dtype, Z.modality.tolist()) == (X.dtype, X.modality.tolist())
    np.testing.assert_allclose(Z.values, want.values, atol=1e-5)


@given(st.floats(0.01, 0.5))
def test_rows_are_centered_then_noisy_then_of_unit_length(scale):
    X = corpus()
    Z = add_noise(X, scale, random_state=0).values
    np.testing.assert_allclose(np.linalg.norm(Z, axis=1), 1)
    centered = ModalityGapRemover(norm=None, shrinkage=0).fit_transform(X).values
    # Z = (centered + noise) / length: the part of Z across the centered row is noise alone.
    noise = np.random.RandomState(0).normal(scale=scale, size=Z.shape)
    noisy = centered + noise
    np.testing.assert_allclose(Z, noisy / np.linalg.norm(noisy, axis=1, keepdims=True))
    assert noise.std() == pytest.approx(scale, rel=0.02)


def test_a_seed_gives_the_same_noise_and_rows_are_not_written_to():
    X = corpus(50)
    before = X.values.copy()
    one, other = (add_noise(X, 0.1, random_state=seed).values for seed in (3, 3))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, add_noise(X, 0.1, random_state=4).values)
    np.testing.assert_array_equal(X.values, before)


def test_tags_may_come_beside_a_plain_array():
    X = corpus(50)
    Z = add_noise(X.values, 0.1, random_state=0, modality=X.modality)
    assert type(Z) is np.ndarray
    np.testing.assert_array_equal(Z, add_noise(X, 0.1, random_state=0).values)


def test_zero_rows_get_no_direction():
    X = corpus(50)
    X.values[0] = 0
    with pytest.warns(UserWarning, match="1 row has length zero"):
        Z = add_noise(X, 0.1)
    assert not Z.values[0].any()


@pytest.mark.parametrize("scale", [-1, np.nan, "much"])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ValueError, match="'scale' parameter of add_noise"):
        add_noise(corpus(50), scale)


def test_tensors_stay_tensors():
    torch = pytest.importorskip("torch")
    X = corpus(50)
    Z = add_noise(torch.tensor(X.values), 0.1, random_state=0, modality=X.modality)
    np.testing.assert_allclose(Z.numpy(), add_noise(X, 0.1, random_state=0).values, atol=1e-12)

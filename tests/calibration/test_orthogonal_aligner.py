import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import OrthogonalAligner

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def corpus(n, n_features, seed=0, noise=0.3):
    """Images that are turned texts with noise; pairs have equal ids, in another order."""
    rng = np.random.default_rng(seed)
    text = rng.normal(size=(n, n_features))
    image = text @ ortho_group.rvs(n_features, random_state=seed)
    image += noise * rng.normal(size=image.shape)
    order = rng.permutation(n)
    X = EmbeddingArray.concatenate({"text": text + 1, "image": image[order] - 1})
    return X, [*range(n), *order.tolist()], np.argsort(order)


def centered(X, name):
    rows = unit(X.values[X.modality == name])
    return unit(rows - rows.mean(axis=0))


@given(st.integers(20, 40), st.integers(2, 8), st.integers(0, 50))
def test_it_is_the_solution_of_scipy(n, n_features, seed):
    X, y, order = corpus(n, n_features, seed)
    aligner = OrthogonalAligner(prior_count=0).fit(X, y)
    want, _ = orthogonal_procrustes(centered(X, "image")[order], centered(X, "text"))
    np.testing.assert_allclose(aligner.rotations_["image"], want, atol=1e-8)
    assert aligner.n_pairs_ == {"image": n}


@given(st.integers(3, 30), st.integers(2, 40), st.floats(0.1, 1e4), st.integers(0, 50))
def test_the_prior_is_pairs_that_agree_already(n, n_features, prior_count, seed):
    X, y, order = corpus(n, n_features, seed)
    rotation = OrthogonalAligner(prior_count=prior_count).fit(X, y).rotations_["image"]
    agreeing = np.sqrt(prior_count / n_features) * np.eye(n_features)
    want, _ = orthogonal_procrustes(
        np.concatenate([centered(X, "image")[order], agreeing]),
        np.concatenate([centered(X, "text"), agreeing]),
    )
    np.testing.assert_allclose(rotation, want, atol=1e-5)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(n_features), atol=1e-12)


def test_similarities_within_a_modality_stay_and_pairs_come_close():
    X, y, order = corpus(200, 6)
    Z = OrthogonalAligner(prior_count=0, target="image").fit_transform(X, y)
    plain = ModalityGapRemover().fit_transform(X)
    for name in ("text", "image"):
        before, after = (rows.values[X.modality == name] for rows in (plain, Z))
        np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-12)
    np.testing.assert_allclose(Z.values[200:], plain.values[200:], atol=1e-14)
    pairs = np.vecdot(Z.values[:200], Z.values[200:][order])
    assert pairs.mean() > 0.8 > np.vecdot(plain.values[:200], plain.values[200:][order]).mean()


def test_several_rows_of_a_modality_in_a_document_are_averaged():
    X, y, _ = corpus(30, 5)
    twice = EmbeddingArray.concatenate([X, X[30:]])
    one = OrthogonalAligner().fit(X, y).rotations_["image"]
    other = OrthogonalAligner().fit(twice, [*y, *y[30:]]).rotations_["image"]
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_fit_without_pairs_is_an_error_that_says_what_pairs_are():
    X, y, _ = corpus(30, 5)
    for ids in (None, [*range(30), *range(100, 130)]):
        with pytest.raises(ValueError, match="No 'image' row has a pair .* equal ids in y"):
            OrthogonalAligner().fit(X, ids)
    audio = EmbeddingArray(X.values[:20], "audio")
    more = EmbeddingArray.concatenate([X, audio])
    with pytest.raises(ValueError, match="No 'audio' row has a pair among the 'text' rows"):
        OrthogonalAligner().fit(more, [*y, *range(500, 520)])


def test_queries_make_no_pairs_and_turn_with_their_documents():
    X, y, _ = corpus(30, 5)
    asked = EmbeddingArray(X.values[:20], "query:image")
    Z = EmbeddingArray.concatenate([X, asked])
    aligner = OrthogonalAligner(norm=None).fit(Z, [*y, *[None] * 10, *[[0]] * 10])
    rotation = aligner.rotations_["image"]
    np.testing.assert_allclose(rotation, OrthogonalAligner().fit(X, y).rotations_["image"])
    want = (unit(asked.values) - aligner.centers_["query:image"]) @ rotation
    np.testing.assert_allclose(aligner.transform(asked).values, want, atol=1e-12)

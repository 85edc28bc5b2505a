"""Rows whose modalities have equal means: no linear classifier beats the constant one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from strategies import tagged_rows

from gapremoval import EmbeddingArray, ModalityGapRemover

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def erased(X):
    return ModalityGapRemover(norm=None, shrinkage=0).fit_transform(X)


def constant_loss(X):
    """The log loss of the classifier that knows the shares of the modalities alone."""
    constant = DummyClassifier(strategy="prior").fit(X.values, X.modality)
    return log_loss(X.modality, constant.predict_proba(X.values))


@given(
    tagged_rows(["text", "image", "audio", "query:text"]),
    st.integers(0, 1000),
    st.floats(-3, 3),
)
def test_no_linear_classifier_has_a_smaller_log_loss_than_the_constant(X, seed, log_size):
    names, codes = np.unique(X.modality, return_inverse=True)
    if len(names) < 2:
        return
    random = np.random.default_rng(seed)
    shares = np.bincount(codes) / len(codes)
    weights = random.normal(size=(X.shape[1], len(names))) * 10**log_size
    # Beside the best intercepts, so that some classifiers are close to the constant one.
    intercepts = np.log(shares) + random.normal(size=len(names)) * random.integers(2)
    log_odds = erased(X).values.astype(float) @ weights + intercepts
    loss = -log_softmax(log_odds, axis=1)[np.arange(len(codes)), codes].mean()
    assert loss >= constant_loss(X) - 1e-6 * (1 + np.abs(weights).max())


@pytest.mark.parametrize("n_images", [100, 500])
@pytest.mark.parametrize("file", ["coco_clip_vitb16", "products_clip_vitb32"])
def test_logistic_regression_learns_nothing_but_the_shares_of_the_modalities(real, file, n_images):
    data = real(f"{file}.npz")
    X = EmbeddingArray.concatenate({"text": data["text"], "image": data["image"][:n_images]})
    # Hardly regularized, and still it has nothing to learn from.
    classifier = LogisticRegression(C=1e6, max_iter=1000)
    learned = classifier.fit(X.values, X.modality).predict_proba(X.values)
    assert log_loss(X.modality, learned) < 0.01
    Z = erased(X)
    learned = classifier.fit(Z.values, Z.modality).predict_proba(Z.values)
    share = np.mean(Z.modality == classifier.classes_[:, None], axis=1)
    np.testing.assert_allclose(learned, np.broadcast_to(share, learned.shape), atol=1e-3)
    assert log_loss(Z.modality, learned) == pytest.approx(constant_loss(Z), abs=1e-5)

"""Rows that were not transformed as those before them are told by their mean."""

import copy
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, ModalityGapRemover, PosteriorOdds, make_search_pipeline
from gapremoval.datasets import make_mixed_modality

FAR = r"The mean of the new rows of 'image', 'text' lies far.*add_documents\(pipe.*pipe\[:-1\]"


@pytest.fixture(scope="module")
def corpus():
    X, _ = make_mixed_modality(400, random_state=0)
    at = np.random.default_rng(0).permutation(np.flatnonzero(X.modality != "query:text"))
    return X[at], np.array([f"d{i}" for i in range(len(at))])


@pytest.mark.parametrize("calibration", [None, PosteriorOdds()])
def test_a_forgotten_transform_warns_and_a_transform_does_not(corpus, calibration):
    X, y = corpus
    new = np.arange(len(y)) >= 400
    pipe = make_search_pipeline().set_params(mixedmodalityretriever__score_calibration=calibration)
    pipe.fit(X[~new], y[~new])
    assert not mean_shift_warns(copy.deepcopy(pipe), pipe[:-1].transform(X[new]))
    with pytest.warns(UserWarning, match=FAR):
        pipe[-1].partial_fit(X[new], y[new])


def mean_shift_warns(pipe, X):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipe[-1].partial_fit(X, [f"new{i}" for i in range(len(X))])
    return any("lies far" in str(x.message) for x in caught)


@pytest.mark.parametrize("file", ["coco_clip_vitb16", "products_clip_vitb32"])
@pytest.mark.parametrize("modality", ["text", "image"])
def test_on_real_embeddings_thirty_rows_tell_and_two_cannot(real, file, modality):
    X = EmbeddingArray(real(f"{file}.npz")[modality].astype("f4"), modality)
    half = len(X) // 2
    pipe = make_search_pipeline().fit(X[:half], [f"d{i}" for i in range(half)])
    for new, is_told in ((X[half : half + 30], True), (X[half : half + 2], False)):
        assert mean_shift_warns(copy.deepcopy(pipe), new) == is_told
    assert not mean_shift_warns(pipe, pipe[:-1].transform(X[half:]))


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 40), st.floats(1e-3, 1e3))
def test_rows_drawn_alike_do_not_warn_whatever_their_lengths(seed, n, n_new, scale):
    rng = np.random.default_rng(seed)
    X = EmbeddingArray(rng.normal(size=(n + n_new, 32)), "image")
    X.values[n:] *= scale
    pipe = make_search_pipeline().set_params(modalitygapremover="passthrough")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe.fit(X[:n], [f"d{i}" for i in range(n)])
    assert not mean_shift_warns(pipe, X[n:])


def test_one_row_that_comes_alone_is_not_judged():
    X = EmbeddingArray(np.random.default_rng(0).normal(size=(50, 16)) + 1, "image")
    remover = ModalityGapRemover().fit(X)
    pipe = make_search_pipeline().fit(X, [f"d{i}" for i in range(50)])
    for i in range(5):
        pipe[-1].partial_fit(X[i : i + 1], [f"raw{i}"])
    assert remover.transform(X).shape == X.shape

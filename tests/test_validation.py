"""The gate: what passes it at once is what scikit-learn's own checks let pass."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import validation

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    make_search_pipeline,
    search,
)
from gapremoval._validation import check_rows
from gapremoval.datasets import make_mixed_modality

N_FEATURES = 3
DTYPES = ["f2", "f4", "f8", ">f4", "g", "i1", "i8", "u2", "?", "c8", "O", "U1", "S1", "M8[s]"]
FORMS = {
    "as it is": lambda X: X,
    "a list": lambda X: X.tolist(),
    "in Fortran order": np.asfortranarray,
    "of one row for all": lambda X: np.broadcast_to(X[:1], X.shape),
    "backwards": lambda X: X[::-1],
    "a matrix": lambda X: X.view(type("Matrix", (np.ndarray,), {})),
    "masked": np.ma.array,
    "a DataFrame": lambda X: pd.DataFrame(X).rename(columns=str),
}


class Other(np.ndarray):
    """An array that is not plainly one of numpy's own."""


class Fitted(BaseEstimator):
    """Has seen rows of three features."""

    def __init__(self, n_features=N_FEATURES, names=None):
        if n_features is not None:
            self.n_features_in_ = n_features
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)

    def fit(self, X, y=None):
        return self


def arrays():
    shapes = st.sampled_from([(2, 3), (1, 3), (5, 3), (0, 3), (2, 2), (2, 0), (3,), (2, 3, 1), ()])
    return st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


def outcome(estimator, X):
    """What the gate makes of rows: their values and the warnings, or an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            values = check_rows(estimator, X, "text").values
            shares = np.shares_memory(values, X) if isinstance(X, np.ndarray) else None
            result = type(values), values.dtype, values.shape, values.tobytes(), shares
        except (ValueError, TypeError, NotFittedError) as error:
            result = type(error), str(error)
    return result, [str(warning.message) for warning in caught]


@given(
    arrays(),
    st.sampled_from(sorted(FORMS)),
    st.sampled_from([N_FEATURES, None]),
    st.sampled_from([None, "012", "abc"]),
)
def test_the_short_way_through_the_gate_gives_what_the_long_way_gives(X, form, n_features, names):
    try:
        X = FORMS[form](X)
    except (ValueError, IndexError, TypeError):  # no table, say
        return
    estimator = Fitted(n_features, None if names is None else list(names))
    # An array of a class of its own goes the long way.
    other = X.view(Other) if type(X) is np.ndarray else X
    assert outcome(estimator, X) == outcome(estimator, other)


@given(hnp.arrays(st.sampled_from(["f2", "f4", "f8"]), (4, N_FEATURES)))
def test_rows_that_are_plainly_right_go_the_short_way_without_a_copy(X):
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr("sklearn.utils.validation.check_array")
        for rows in (X, X[::2], EmbeddingArray(X, "text")):
            values = check_rows(Fitted(), rows, "text").values
            assert np.shares_memory(values, X)


@given(hnp.arrays("f4", (5, N_FEATURES), elements=st.floats(-100, 100, width=32)))
def test_lengths_are_taken_once_and_when_first_asked_for(X):
    rows = check_rows(Fitted(), X, "text")
    lengths = np.linalg.norm(X.astype(float), axis=1)
    np.testing.assert_allclose(rows.lengths, lengths, rtol=1e-6, atol=np.finfo("f4").tiny)
    assert rows.lengths is rows.lengths


def test_lengths_tell_of_rows_that_are_not_finite():
    X = np.ones((5, N_FEATURES))
    X[[1, 3]] = np.nan
    rows = check_rows(Fitted(), X, "text")
    with pytest.raises(ValueError, match="NaN in row 1, 3"):
        rows.lengths  # noqa: B018


@pytest.mark.parametrize("scale", [1e150, 1e156, 1e300, 1e-160, 1e-300])
def test_rows_whose_squares_leave_the_range_of_floats_are_found_as_others_are(scale):
    X, y = make_mixed_modality(40, random_state=0)
    X = X.astype("float64")
    scaled = EmbeddingArray(X.values * scale, X.modality)
    asked = X.modality == "query:text"
    for pipe in (MixedModalityRetriever(), make_search_pipeline()):
        want = search(clone(pipe).fit(X, y), X[asked])
        found = search(pipe.fit(scaled, y), scaled[asked])
        assert (found.ids == want.ids).mean() > 0.99  # rounding may exchange equals
        np.testing.assert_allclose(found.scores, want.scores, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("k", [True, np.True_, False, 0, 2.0, "3"])
def test_a_number_of_neighbors_is_an_integer_and_no_truth_value(k):
    retriever = MixedModalityRetriever().fit(EmbeddingArray(np.eye(3), "image"))
    with pytest.raises(ValueError, match="n_neighbors must be a whole number") as refusal:
        search(retriever, np.eye(3), k, modality="image")
    assert repr(k) in str(refusal.value)


def test_rows_pass_the_gate_once_a_call(monkeypatch):
    passed, check = [], validation.check_array
    monkeypatch.setattr(
        validation, "check_array", lambda *a, **k: passed.append(1) or check(*a, **k)
    )
    X = EmbeddingArray(np.random.default_rng(0).normal(size=(40, 4)), "image")
    ModalityGapRemover().fit_transform(X)
    assert len(passed) == 1

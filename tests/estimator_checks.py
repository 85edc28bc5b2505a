"""What every estimator here must satisfy beyond scikit-learn's own checks.

A check takes an unfitted estimator. One that makes rows of rows (a calibrator) is asked by
`transform`, one that finds documents (a retriever) by `kneighbors`, or by `search` where a store
has no row numbers.
"""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils._testing import create_memmap_backed_data

from gapremoval import EmbeddingArray, Query, StoreRetriever
from gapremoval.calibration import GapSubspaceEraser

N_FEATURES = 6


def make_rows(estimator=None, dtype="f8"):
    """Twenty rows each of two document modalities, ten queries; ids and relevance.

    The ids are distinct, unless the estimator learns from pairs.
    """
    rng = np.random.default_rng(0)
    modality = np.repeat(["text", "image", "query:text"], [20, 20, 10])
    rng.shuffle(modality)
    centers = {"text": 2, "image": -2, "query:text": 1}
    values = rng.normal(size=(50, N_FEATURES)) + np.array([[centers[m]] for m in modality])
    y = np.array([f"d{i}" for i in range(50)], dtype=object)
    if hasattr(estimator, "prior_count"):
        for name in ("text", "image"):
            y[modality == name] = [f"pair{i}" for i in range(20)]
    y[modality == "query:text"] = None
    return EmbeddingArray(values.astype(dtype), modality), y


def is_retriever(estimator):
    return hasattr(estimator, "predict")


def has_partial_fit(estimator):
    return hasattr(estimator, "partial_fit")


def ask(estimator, X, **modality):
    """What a fitted estimator makes of rows, as plain arrays."""
    if isinstance(estimator, StoreRetriever):
        found = estimator.search(X, **modality)
        numbers = [[int(str(x).lstrip("d")) for x in ids] for ids in found.ids.tolist()]
        return np.stack([found.scores, numbers])
    if is_retriever(estimator):
        return np.stack(estimator.kneighbors(X, **modality))
    return np.asarray(estimator.transform(X, **modality))


def check_tags_and_modality_give_the_same(estimator):
    X, y = make_rows(estimator)
    tagged = ask(clone(estimator).fit(X, y), X)
    routed = clone(estimator).fit(X.values, y, modality=X.modality)
    np.testing.assert_array_equal(tagged, ask(routed, X.values, modality=X.modality))
    listed = clone(estimator).fit(X.values.tolist(), list(y), modality=X.modality.tolist())
    np.testing.assert_array_equal(tagged, ask(listed, X.values, modality=list(X.modality)))


def check_modality_wins_over_tags(estimator):
    X, y = make_rows(estimator)
    mistagged = EmbeddingArray(X.values, "image")
    other = clone(estimator).fit(mistagged, y, modality=X.modality)
    want = ask(clone(estimator).fit(X, y), X)
    np.testing.assert_array_equal(want, ask(other, mistagged, modality=X.modality))


def check_one_tag_stands_for_all_rows(estimator):
    X, _ = make_rows(estimator)
    one = clone(estimator).fit(X.values, modality="image")
    all_ = clone(estimator).fit(X.values, modality=["image"] * len(X))
    for tags in ("image", "query:image"):
        want = ask(all_, EmbeddingArray(X.values, [tags] * len(X)))
        np.testing.assert_array_equal(want, ask(one, X.values, modality=tags))


def check_fitting_untagged_rows_warns(estimator):
    X, _ = make_rows(estimator)
    with pytest.warns(UserWarning, match="without modalities.*'unknown'.*EmbeddingArray"):
        clone(estimator).fit(X.values)
    with pytest.warns(UserWarning, match="without modalities.*enable_metadata_routing"):
        make_pipeline(Normalizer(), clone(estimator)).fit(X)


def check_untagged_rows_after_a_fit_with_several_modalities_are_refused(estimator):
    X, y = make_rows(estimator)
    estimator = clone(estimator).fit(X, y)
    if isinstance(estimator, GapSubspaceEraser):
        # One map for all rows, whose modality need not be known.
        np.testing.assert_array_equal(ask(estimator, X), ask(estimator, X.values))
    else:
        with pytest.raises(ValueError, match=r"'image'.*does not say which.*EmbeddingArray"):
            ask(estimator, X.values)
    if has_partial_fit(estimator):
        with pytest.raises(ValueError, match="does not say which"):
            estimator.partial_fit(X.values, y)


def check_an_unseen_modality_is_refused_or_only_asks(estimator):
    X, y = make_rows(estimator)
    estimator = clone(estimator).fit(X, y)
    audio = EmbeddingArray(X.values, "query:audio")
    if is_retriever(estimator):
        if isinstance(estimator, StoreRetriever):
            if estimator.score_calibration_ is not None:
                with pytest.raises(ValueError, match="not for 'query:audio'"):
                    ask(estimator, audio)
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*learned nothing about 'query:audio'")
            assert ask(estimator, audio).shape[1] == len(X)
        return
    with pytest.raises(ValueError, match=r"audio.*'image'"):
        ask(estimator, audio)


def check_rows_keep_dtype_and_order(estimator):
    for dtype in ("f4", "f8"):
        X, y = make_rows(estimator, dtype)
        estimator = clone(estimator).fit(X, y)
        order = np.random.default_rng(1).permutation(len(X))
        np.testing.assert_allclose(
            np.take(ask(estimator, X), order, axis=-2), ask(estimator, X[order]), atol=1e-6
        )
        if not is_retriever(estimator):
            Z = estimator.transform(X)
            assert isinstance(Z, EmbeddingArray)
            assert Z.dtype == X.dtype
            assert Z.modality.tolist() == X.modality.tolist()
            assert type(estimator.transform(X.values, modality=X.modality)) is np.ndarray


def check_input_is_read_as_it_lies_and_never_written(estimator):
    X, y = make_rows(estimator)
    want = ask(clone(estimator).fit(X, y), X)
    locked = X.values.copy()
    locked.flags.writeable = False
    wide = np.zeros((len(X), 2 * N_FEATURES))
    wide[:, ::2] = X.values
    versions = {
        "read-only": locked,
        "Fortran order": np.asfortranarray(X.values),
        "strided": wide[:, ::2],
        "memory-mapped": create_memmap_backed_data(X.values),
    }
    for values in versions.values():
        before = np.array(values)
        Y = EmbeddingArray(values, X.modality)
        np.testing.assert_allclose(want, ask(clone(estimator).fit(Y, y), Y), atol=1e-12)
        np.testing.assert_array_equal(before, values)


def check_pickle_changes_nothing(estimator):
    X, y = make_rows(estimator)
    estimator = clone(estimator).fit(X, y)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(ask(estimator, X), ask(again, X))
    assert "_gapremoval_version" not in vars(again)


def check_partial_fit_equals_fit(estimator):
    if not has_partial_fit(estimator):
        return
    X, y = make_rows(estimator)
    whole, pieces = clone(estimator).fit(X, y), clone(estimator)
    for rows in (slice(0, 7), slice(7, 30), slice(30, 50)):
        assert pieces.partial_fit(X[rows], y[rows]) is pieces
    # What a store returns is in single precision.
    atol = 1e-5 if isinstance(estimator, StoreRetriever) else 1e-12
    np.testing.assert_allclose(ask(whole, X), ask(pieces, X), atol=atol)


def check_bad_rows_are_refused_and_the_fit_stays(estimator):
    X, y = make_rows(estimator)
    estimator = clone(estimator).fit(X, y)
    want = ask(estimator, X)
    broken = X.values.copy()
    broken[[3, 5]] = np.nan
    for bad, message in (
        (EmbeddingArray(broken, X.modality), "NaN in row 3, 5"),
        (EmbeddingArray(X.values[:, :4], X.modality), "4 features.*expecting 6"),
        (X[:0], "0 sample"),
    ):
        if has_partial_fit(estimator):
            with pytest.raises(ValueError, match=message):
                estimator.partial_fit(bad, y[: len(bad)])
        with pytest.raises(ValueError, match=message):
            ask(estimator, bad)
    np.testing.assert_array_equal(want, ask(estimator, X))


def check_set_output_changes_nothing(estimator):
    X, y = make_rows(estimator)
    want = ask(clone(estimator).fit(X, y), X)
    with sklearn.config_context(transform_output="pandas"):
        np.testing.assert_array_equal(want, ask(clone(estimator).fit(X, y), X))
        fitted = make_pipeline(clone(estimator)).fit(X, y)
        ask_it = fitted.predict if isinstance(estimator, StoreRetriever) else fitted.transform
        assert not hasattr(ask_it(X), "iloc")


def check_a_first_fit_that_fails_leaves_nothing(estimator):
    X, y = make_rows(estimator)
    broken = X.values.copy()
    broken[7] = np.inf
    for fit in ("fit", "partial_fit") if has_partial_fit(estimator) else ("fit",):
        unfitted = clone(estimator)
        with pytest.raises(ValueError, match="infinity in row 7"):
            getattr(unfitted, fit)(EmbeddingArray(broken, X.modality), y)
        assert not hasattr(unfitted, "n_features_in_")
        with pytest.raises(NotFittedError):
            ask(unfitted, X)


def check_a_refit_that_fails_leaves_the_fit(estimator):
    X, y = make_rows(estimator)
    estimator = clone(estimator).fit(X, y)
    want = ask(estimator, X)
    narrow = np.full((len(X), 3), np.nan)
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(EmbeddingArray(narrow, X.modality), y)
    np.testing.assert_array_equal(want, ask(estimator, X))


def check_warnings_point_at_the_users_line(estimator):
    X, y = make_rows(estimator)
    X.values[np.flatnonzero(X.modality != "query:text")[:2]] = 0
    with pytest.warns(UserWarning, match="length zero") as caught:
        fitted = clone(estimator).fit(X, y)
    assert {warning.filename for warning in caught} == {__file__}
    with pytest.warns(UserWarning, match="length zero") as caught:
        ask(fitted, EmbeddingArray(np.zeros((2, N_FEATURES)), "query:text"))
    assert {warning.filename for warning in caught} == {__file__}
    with pytest.warns(UserWarning, match="without modalities") as caught:
        clone(estimator).fit(np.ones((20, N_FEATURES)) + np.eye(20, N_FEATURES))
    assert {warning.filename for warning in caught} == {__file__}


def check_a_step_of_a_pipeline_gets_the_modality(estimator):
    X, y = make_rows(estimator)
    want = ask(
        clone(estimator).fit(Normalizer().fit_transform(X.values), y, modality=X.modality),
        Normalizer().transform(X.values),
        modality=X.modality,
    )
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(Normalizer(), clone(estimator))
        pipe.fit(X.values, y, modality=X.modality)
        if is_retriever(estimator):
            got = pipe.predict(X.values, modality=X.modality)
            if not isinstance(estimator, StoreRetriever):
                want = pipe[-1].ids_[want[1].astype(int)]
            else:
                want = [[f"d{int(i)}" for i in row] for row in want[1]]
        else:
            got = pipe.transform(X.values, modality=X.modality)
    np.testing.assert_array_equal(want, got)


def items():
    """Texts and pictures in mixed order, some of them queries."""
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype="u1")
    return ["a", picture, Query("b"), "", Query(picture), Query(text="a", image=picture), "c"]


def encoder_check_rows_keep_the_order_whatever_the_batch(encoder):
    want = encoder.transform(items())
    assert isinstance(want, EmbeddingArray)
    for order in ([6, 5, 4, 3, 2, 1, 0], [1], [3, 0]):
        some = clone(encoder).set_params(batch_size=2).transform([items()[i] for i in order])
        assert some.modality.tolist() == want.modality[order].tolist()
        np.testing.assert_allclose(some.values, want.values[order], atol=1e-5)


def encoder_check_rows_have_length_one_but_for_queries_of_several_parts(encoder):
    Z = encoder.transform(items())
    several = Z.modality == "query:image+text"
    lengths = np.linalg.norm(Z.values, axis=1)
    np.testing.assert_allclose(lengths[~several], 1, atol=1e-6)
    np.testing.assert_allclose(Z.values[several][0], (Z.values[0] + Z.values[1]) / 2, atol=1e-6)


def encoder_check_nothing_is_learnt_or_kept(encoder):
    before = dict(vars(encoder))
    assert encoder.fit(items()) is encoder
    encoder.transform(items())
    assert vars(encoder) == before == encoder.get_params()
    again = pickle.loads(pickle.dumps(encoder))
    assert len(pickle.dumps(encoder)) < 10_000
    want = encoder.transform(items()).values
    np.testing.assert_array_equal(again.transform(items()).values, want)
    np.testing.assert_array_equal(clone(encoder).fit_transform(items()).values, want)


def encoder_check_features_have_names(encoder):
    n_features = encoder.transform(["a"]).shape[1]
    prefix = type(encoder).__name__.lower()
    names = encoder.get_feature_names_out().tolist()
    assert names == [f"{prefix}{i}" for i in range(n_features)]


def encoder_check_set_output_changes_nothing(encoder):
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(encoder.fit_transform(items()), EmbeddingArray)


def encoder_check_what_is_no_list_of_items_is_refused(encoder):
    for lone in ("a", items()[1], items()[2], b"a"):
        for method in (encoder.fit, encoder.transform):
            with pytest.raises(TypeError, match=r"write \[.*gapremoval\.search"):
                method(lone)
    for method in (encoder.fit, encoder.transform):
        with pytest.raises(ValueError, match="row 1: None is missing.*row 2: nan is missing"):
            method(["a", None, float("nan")])
        with pytest.raises(ValueError, match="no items"):
            method([])


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]
ENCODER_CHECKS = [c for name, c in list(globals().items()) if name.startswith("encoder_check_")]

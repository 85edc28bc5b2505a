import itertools
import pickle
import sys
import tracemalloc

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from strategies import (
    DOCUMENTS,
    IMAGE,
    PRIOR_IMAGE,
    TEXT,
    E,
    rows,
    scales,
    tagged_rows,
)

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import _moments
from gapremoval.calibration._gap_remover import subtract_means

pytestmark = pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def centroids(X):
    return {m: X.values[X.modality == m].astype(float).mean(axis=0) for m in set(X.modality)}


def assert_same_means(one, other):
    assert one.counts_ == other.counts_
    for name in one.means_:
        np.testing.assert_allclose(one.means_[name], other.means_[name], atol=1e-14)
        np.testing.assert_allclose(one.centers_[name], other.centers_[name], atol=1e-14)


@given(tagged_rows())
def test_the_centroids_of_documents_become_zero(X):
    Z = ModalityGapRemover(norm=None).fit_transform(X)
    rounding = 1e-6 if X.dtype == np.float32 else 1e-14
    for name, centroid in centroids(Z).items():
        if not name.startswith("query:"):
            assert np.abs(centroid).max() < rounding


@given(tagged_rows(dtypes="d"))
def test_the_centroids_of_queries_become_zero_without_shrinkage(X):
    Z = ModalityGapRemover(norm=None, shrinkage=0).fit_transform(X)
    for centroid in centroids(Z).values():
        assert np.abs(centroid).max() < 1e-14


@given(tagged_rows(max_rows=150, dtypes="efd"), st.sampled_from(["l2", None]), st.booleans())
def test_fitting_and_transforming_at_once_changes_no_bit(X, norm, copy):
    Y = EmbeddingArray(X.values.copy(), X.modality)
    one, other = ModalityGapRemover(norm=norm, copy=copy), ModalityGapRemover(norm=norm)
    Z = one.fit_transform(Y)
    np.testing.assert_array_equal(Z, other.fit(X).transform(X))
    assert np.shares_memory(Z.values, Y.values) == (not copy)
    assert one.counts_ == other.counts_


@given(tagged_rows(), st.sampled_from(["l2", None]))
def test_dtype_shape_tags_and_order_are_kept(X, norm):
    Z = ModalityGapRemover(norm=norm).fit_transform(X)
    assert isinstance(Z, EmbeddingArray)
    assert (Z.shape, Z.dtype) == (X.shape, X.dtype)
    assert Z.modality.tolist() == X.modality.tolist()


@given(tagged_rows(modalities=[*DOCUMENTS, "query:text"], dtypes="d"), st.data())
def test_the_length_of_a_row_does_not_matter(X, data):
    factors = data.draw(scales(len(X)))
    Y = EmbeddingArray(X.values * factors[:, None], X.modality)
    one, other = (ModalityGapRemover(norm=None).fit_transform(rows).values for rows in (X, Y))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_the_length_of_a_query_of_several_parts_does_matter():
    X = EmbeddingArray(np.eye(3)[[0, 1, 2, 2]], ["text", "image", *["query:image+text"] * 2])
    Y = EmbeddingArray(X.values * [[1], [1], [0.5], [0.5]], X.modality)
    one, other = (ModalityGapRemover(shrinkage=0).fit(rows).means_ for rows in (X, Y))
    np.testing.assert_allclose(one["query:image+text"], 2 * other["query:image+text"])


@given(tagged_rows(dtypes="d"), st.integers(0, 100))
def test_rotating_the_rows_rotates_the_result(X, seed):
    rotation = ortho_group.rvs(X.shape[1], random_state=seed)
    Y = EmbeddingArray(X.values @ rotation, X.modality)
    one, other = (ModalityGapRemover(norm=None).fit_transform(rows).values for rows in (X, Y))
    np.testing.assert_allclose(one @ rotation, other, atol=1e-12)


@given(tagged_rows(dtypes="d"), st.randoms(use_true_random=False))
def test_permuting_the_rows_permutes_the_result(X, random):
    order = list(range(len(X)))
    random.shuffle(order)
    one, other = (ModalityGapRemover(norm=None).fit_transform(rows) for rows in (X, X[order]))
    np.testing.assert_allclose(one.values[order], other.values, atol=1e-13)


@given(tagged_rows(modalities=DOCUMENTS, dtypes="d"))
def test_differences_within_a_modality_are_kept(X):
    Z = ModalityGapRemover(norm=None).fit_transform(X)
    for name in set(X.modality):
        before, after = (rows.values[X.modality == name] for rows in (X, Z))
        np.testing.assert_allclose(
            np.diff(unit(before), axis=0), np.diff(after, axis=0), atol=1e-13
        )


@given(tagged_rows(dtypes="d"), st.integers(0, 2**32 - 1))
def test_shifting_a_modality_and_its_mean_changes_nothing(X, seed):
    shift, means = np.random.default_rng(seed).normal(size=(2, 3, X.shape[1]))
    codes = np.arange(len(X)) % 3
    one = subtract_means(X.values, codes, means, norm=None)
    other = subtract_means(X.values + shift[codes], codes, means + shift, norm=None)
    np.testing.assert_allclose(one, other, atol=1e-12)


@given(tagged_rows(), st.data())
def test_partial_fit_over_any_split_equals_fit(X, data):
    cuts = data.draw(st.lists(st.integers(1, len(X) - 1), unique=True))
    whole, pieces = ModalityGapRemover().fit(X), ModalityGapRemover()
    for piece in np.split(np.arange(len(X)), sorted(cuts)):
        pieces.partial_fit(X[piece])
    assert_same_means(whole, pieces)


@given(tagged_rows(min_rows=3), st.permutations([0, 1, 2]))
def test_merging_in_any_order_equals_fit(X, order):
    removers = [ModalityGapRemover().fit(X[start::3]) for start in order]
    assert_same_means(
        ModalityGapRemover().fit(X), removers[0].merge(removers[1]).merge(removers[2])
    )


@given(tagged_rows(), st.sampled_from(["l2", None]), st.floats(0, 100))
def test_pickle_and_clone_change_nothing(X, norm, shrinkage):
    remover = ModalityGapRemover(norm=norm, shrinkage=shrinkage)
    want = remover.fit(X).transform(X).values
    np.testing.assert_array_equal(want, pickle.loads(pickle.dumps(remover)).transform(X).values)
    np.testing.assert_array_equal(want, clone(remover).fit_transform(X).values)


@given(tagged_rows())
def test_any_array_library_gives_the_same(X):
    strict = EmbeddingArray(array_api_strict.asarray(X.values), X.modality)
    remover, other = ModalityGapRemover().fit(X), ModalityGapRemover().fit(strict)
    assert_same_means(remover, other)
    Z = other.transform(strict)
    assert isinstance(Z.values, array_api_strict._array_object.Array)
    np.testing.assert_allclose(Z.to_host().values, remover.transform(X).values, atol=1e-6)


def test_strength_is_the_share_of_the_mean_that_goes():
    X = EmbeddingArray(np.random.default_rng(0).normal(2, 1, (100, 5)), "text")
    mean = ModalityGapRemover().fit(X).means_["text"]
    Z = ModalityGapRemover(strength=0.25, norm=None).fit_transform(X)
    np.testing.assert_allclose(Z.values, unit(X.values) - 0.25 * mean, atol=1e-14)


def test_rows_are_unit_length_with_l2_and_keep_what_is_left_without():
    X = EmbeddingArray(np.random.default_rng(0).normal(2, 1, (100, 5)), "text")
    one, other = (ModalityGapRemover(norm=norm).fit_transform(X).values for norm in ("l2", None))
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1)
    np.testing.assert_allclose(one, unit(other))


# Bad input.


def test_an_unseen_modality_is_an_error_that_lists_the_fitted_ones():
    remover = ModalityGapRemover().fit(rows(text=[TEXT] * 3, image=[IMAGE] * 3))
    with pytest.raises(ValueError, match="'audio' was not fitted; fitted were 'text', 'image'"):
        remover.transform(EmbeddingArray(E, "audio"))


def test_a_modality_that_only_sliced_away_rows_had_is_not_asked_for():
    X = rows(text=[TEXT] * 3, audio=[IMAGE])
    remover = ModalityGapRemover().fit(X[:3])
    assert set(remover.counts_) == {"text"}
    assert len(remover.transform(X[:3])) == 3


@pytest.mark.filterwarnings("default:Few rows:UserWarning")
def test_few_rows_of_a_document_modality_are_warned_of_but_not_with_a_prior():
    X = rows(text=E[np.arange(16) % 6], image=E[:2], query_text=E[:1])
    with pytest.warns(UserWarning, match="2 of 'image'") as caught:
        ModalityGapRemover().fit(X)
    assert len(caught) == 1
    assert "text" not in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_few_rows_say_nothing_with_a_prior_or_in_chunks():
    X = rows(image=E[:2])
    ModalityGapRemover(prior={"image": PRIOR_IMAGE}).fit(X)
    ModalityGapRemover().partial_fit(X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("copy", [True, False])
def test_a_row_that_is_not_finite_is_named_and_nothing_is_written(bad, copy):
    # Several blocks, of which the last holds the bad row.
    values = np.random.default_rng(0).normal(size=(400_000, 6))
    X = EmbeddingArray(values, "image")
    remover = ModalityGapRemover(copy=copy).fit(X)
    X.values[399_017, 2] = bad
    before = X.values.copy()
    for method in (remover.transform, ModalityGapRemover().fit, remover.partial_fit):
        with pytest.raises(ValueError, match=r"contains (NaN|infinity) in row 399017"):
            method(X)
    np.testing.assert_array_equal(X.values, before)
    assert remover.counts_ == {"image": 400_000}


def test_rows_of_length_zero_stay_zero_and_are_counted_in_one_warning():
    values = np.random.default_rng(0).normal(size=(20, 6))
    without = ModalityGapRemover().fit(EmbeddingArray(values[2:], "image"))
    values[:2] = 0
    with pytest.warns(UserWarning, match="2 rows have length zero") as caught:
        remover = ModalityGapRemover().fit(EmbeddingArray(values, "image"))
    assert len(caught) == 1
    assert_same_means(remover, without)
    with pytest.warns(UserWarning, match="2 rows have length zero"):
        Z = remover.transform(EmbeddingArray(values, "image")).values
    assert not Z[:2].any()
    np.testing.assert_allclose(np.linalg.norm(Z[2:], axis=1), 1)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_row_that_is_its_own_mean_has_no_direction_left(dtype):
    rng = np.random.default_rng(0)
    one = EmbeddingArray(rng.normal(size=(1, 512)).astype(dtype), "image")
    assert not ModalityGapRemover().fit_transform(one).values.any()
    same = EmbeddingArray(np.repeat(one.values, 20, axis=0), "image")
    assert not ModalityGapRemover().fit_transform(same).values.any()


def test_fitting_and_transforming_at_once_warns_of_them_once():
    values = np.random.default_rng(0).normal(size=(20, 6))
    values[3] = 0
    with pytest.warns(UserWarning, match="1 row has length zero") as caught:
        ModalityGapRemover().fit_transform(EmbeddingArray(values, "image"))
    assert len(caught) == 1


@pytest.mark.filterwarnings("ignore:1 row has length zero:UserWarning")
def test_rows_out_of_the_range_of_squares_are_still_scaled_right():
    values = np.array([[3e-30, 4e-30], [3e30, 4e30], [3, 4], [0, 0]], dtype="f4")
    means = ModalityGapRemover().fit(EmbeddingArray(values, "image"))
    np.testing.assert_allclose(means.means_["image"], [0.6, 0.8], rtol=1e-6)
    got = ModalityGapRemover(norm=None, strength=0).fit_transform(EmbeddingArray(values, "image"))
    np.testing.assert_allclose(got.values, [[0.6, 0.8]] * 3 + [[0, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"text": np.ones(3)}, r"prior mean of 'text' .* shape \(6,\)"),
        ({"text": np.full(6, np.nan)}, "finite vector"),
        ({"Query:text": np.ones(6)}, "'Query:text' is malformed"),
        ({"text": np.full(6, 4.0)}, r"'text' has length 9\.8; .* at most length 1\. Normalize"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused(prior, message):
    with pytest.raises(ValueError, match=message):
        ModalityGapRemover(prior=prior).fit(rows(text=E))


def test_merging_what_is_no_remover_of_these_rows_is_refused():
    remover = ModalityGapRemover().fit(rows(text=E))
    with pytest.raises(TypeError, match="merge takes another ModalityGapRemover"):
        remover.merge({"text": E[0]})
    with pytest.raises(ValueError, match="Cannot merge means of 3 features"):
        remover.merge(ModalityGapRemover().fit(EmbeddingArray(np.eye(3), "text")))


def test_copy_false_writes_into_the_rows_where_it_may():
    values = np.random.default_rng(0).normal(size=(30, 4))
    want = ModalityGapRemover().fit_transform(EmbeddingArray(values, "text")).values
    X = EmbeddingArray(values.copy(), "text")
    assert ModalityGapRemover(copy=False).fit_transform(X).values is X.values
    np.testing.assert_array_equal(X.values, want)
    locked = values.copy()
    locked.flags.writeable = False
    Z = ModalityGapRemover(copy=False).fit_transform(EmbeddingArray(locked, "text"))
    np.testing.assert_array_equal(Z.values, want)
    np.testing.assert_array_equal(locked, values)


def test_half_precision_stays_half_precision_and_is_computed_in_single():
    values = np.random.default_rng(0).normal(size=(200, 64)).astype("f2")
    Z = ModalityGapRemover().fit_transform(EmbeddingArray(values, "text"))
    want = ModalityGapRemover().fit_transform(EmbeddingArray(values.astype("f8"), "text"))
    assert Z.dtype == np.float16
    np.testing.assert_allclose(Z.values.astype("f8"), want.values, atol=1e-3)


def test_integers_become_float64():
    Z = ModalityGapRemover().fit_transform(EmbeddingArray(np.eye(4, dtype=int), "text"))
    assert Z.dtype == np.float64


@pytest.mark.parametrize(
    ("n_rows", "n_features", "dtype"),
    [(200_000, 128, "f4"), (4_000_000, 4, "f4"), (300_000, 128, "i1")],
)
def test_extra_memory_stays_within_64_mib(n_rows, n_features, dtype):
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((n_rows, n_features), dtype="f4") * 30).astype(dtype)
    X[:, 0] = 1
    A = EmbeddingArray(X, np.array(["text", "image"])[np.arange(n_rows) % 2])
    remover = ModalityGapRemover()
    tracemalloc.start()
    try:
        remover.fit(A)
        fitting = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        Z = remover.transform(A)
        transforming = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fitting < 64 * 2**20
    assert transforming - Z.values.nbytes < 64 * 2**20


# Real embeddings.


def test_on_coco_the_gap_closes(real):
    coco = real("coco_clip_vitb16.npz")
    X = EmbeddingArray.concatenate({"text": coco["text"], "image": coco["image"]})

    def distance(X):
        return np.linalg.norm(np.subtract(*centroids(X).values()))

    assert distance(X) == pytest.approx(0.851, abs=0.0005)
    assert distance(ModalityGapRemover(norm=None).fit_transform(X)) < 1e-6
    assert distance(ModalityGapRemover().fit_transform(X)) == pytest.approx(0.028, abs=0.0005)


def test_on_coco_a_linear_classifier_no_longer_tells_the_modalities_apart(real):
    coco = real("coco_clip_vitb16.npz")
    X = EmbeddingArray.concatenate({"text": coco["text"], "image": coco["image"]})

    def accuracy(X):
        return LogisticRegression().fit(X.values, X.modality).score(X.values, X.modality)

    assert accuracy(X) == 1
    assert accuracy(ModalityGapRemover(norm=None).fit_transform(X)) == pytest.approx(0.5, abs=0.001)
    assert accuracy(ModalityGapRemover().fit_transform(X)) == pytest.approx(0.534, abs=0.001)


def test_a_call_that_fails_takes_nothing_back_of_another(monkeypatch):
    X = EmbeddingArray(np.random.default_rng(0).normal(size=(60, 4)), "image")
    broken = EmbeddingArray(np.full((20, 4), np.nan), "image")
    remover = ModalityGapRemover().fit(X[:20])
    take = _moments.unit_moments

    def take_while_another_adds(*rows):
        monkeypatch.setattr(_moments, "unit_moments", take)
        remover.partial_fit(X[20:])
        return take(*rows)

    monkeypatch.setattr(_moments, "unit_moments", take_while_another_adds)
    with pytest.raises(ValueError, match="NaN"):
        remover.partial_fit(broken)
    assert_same_means(remover, ModalityGapRemover().fit(X))


@pytest.mark.parametrize(
    "change", [lambda r, X: r.fit(X), lambda r, X: r.partial_fit(X), lambda r, X: r.merge(MERGED)]
)
def test_an_interrupt_at_any_line_leaves_the_fit_before_or_the_one_after(change):
    X = EmbeddingArray(MERGED_ROWS, "image")
    before = ModalityGapRemover().fit(X[:20])
    want = [before, change(clone_fitted(before), X[20:])]
    for line in itertools.count():
        remover, left = clone_fitted(before), itertools.count(line, -1)

        def interrupt(frame, event, arg, left=left):
            if "gapremoval" in frame.f_code.co_filename and event == "line" and not next(left):
                raise KeyboardInterrupt
            return interrupt

        sys.settrace(interrupt)
        try:
            change(remover, X[20:])
            finished = True
        except KeyboardInterrupt:
            finished = False
        finally:
            sys.settrace(None)
        (now,) = [one for one in want if one.counts_ == remover.counts_]
        assert_same_means(remover, now)
        assert set(vars(remover)) == set(vars(before))
        if finished:
            break
    assert line > 20
    assert now is want[1]


def clone_fitted(remover):
    return pickle.loads(pickle.dumps(remover))


MERGED_ROWS = np.random.default_rng(0).normal(size=(60, 4))
MERGED = ModalityGapRemover().fit(EmbeddingArray(MERGED_ROWS[20:], "image"))

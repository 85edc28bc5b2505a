"""Rows name their encoder, and what was fitted on rows of one encoder refuses those of another."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    add_documents,
    make_search_pipeline,
    search,
)
from gapremoval.calibration import drift
from gapremoval.datasets import make_mixed_modality

OLD, NEW = "my-clip @ 3f2a97", "my-clip @ 99b001"
BOTH = f"(?s)encoded by '{NEW}'.*by '{OLD}'.*fit again"


class Encoder(TransformerMixin, BaseEstimator):
    """An encoder as a user writes one: texts that are numbers become rows."""

    def __init__(self, weights="3f2a97", n_features=16):
        self.weights = weights
        self.n_features = n_features

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        rng = np.random.default_rng(int(self.weights, 16))
        table = rng.normal(size=(100, self.n_features)) + 1
        names = ["query:text" if isinstance(item, Query) else "text" for item in X]
        numbers = [int(getattr(item, "item", item)) for item in X]
        return EmbeddingArray(table[numbers], names, encoder=f"my-clip @ {self.weights}")


ITEMS = [str(i) for i in range(40)]


@pytest.fixture
def pipe():
    return make_search_pipeline(Encoder()).fit([*ITEMS, Query("50")], [*ITEMS, None])


def of(encoder, n=40, modality="text", seed=0):
    values = np.random.default_rng(seed).normal(size=(n, 8)) + 1
    return EmbeddingArray(values, modality, encoder=encoder)


@given(
    st.lists(
        st.sampled_from(
            [
                lambda X: X[:-1],
                lambda X: X[np.arange(len(X)) != 1],
                lambda X: X[[1, 0]],
                lambda X: X[:, ::-1],
                lambda X: X.astype("float32"),
                lambda X: X.to_host(),
                copy.deepcopy,
                lambda X: pickle.loads(pickle.dumps(X)),
                lambda X: EmbeddingArray(X, "image"),
                lambda X: EmbeddingArray.concatenate([X, X]),
                lambda X: EmbeddingArray.concatenate([EmbeddingArray(X.values, "text"), X]),
                lambda X: (
                    ModalityGapRemover(shrinkage=0).fit(of(None)).transform(X, modality="text")
                ),
            ]
        ),
        max_size=4,
    )
)
def test_the_encoder_stays_with_the_rows(steps):
    X = of(OLD)
    for step in steps:
        X = step(X) if len(X) > 2 else X
    assert X.encoder == OLD


def test_a_file_keeps_the_encoder_and_whether_the_gap_was_removed(tmp_path):
    for X in (of(None), of(OLD), ModalityGapRemover().fit_transform(of(OLD))):
        X.save(tmp_path / "rows.npz")
        again = EmbeddingArray.load(tmp_path / "rows.npz")
        assert again.encoder == X.encoder
        assert again._tags.origin == X._tags.origin


@pytest.mark.parametrize("origin", ["clip", [["clip"]], [3], [" "], []])
def test_a_damaged_origin_in_a_file_is_refused(tmp_path, origin):
    of(None).save(tmp_path / "rows.npz")
    with np.load(tmp_path / "rows.npz") as arrays:
        np.savez(tmp_path / "rows.npz", **arrays, origin=np.array(origin))
    with pytest.raises(ValueError, match="not a complete file of EmbeddingArray.save"):
        EmbeddingArray.load(tmp_path / "rows.npz")


@pytest.mark.parametrize("wrong", ["", " ", 3, b"clip", "a\0b"])
def test_an_encoder_is_named_by_a_string(wrong):
    with pytest.raises(ValueError, match="encoder is a string that names.*'my-clip @ 3f2a97'"):
        of(wrong)


def test_rows_of_two_encoders_are_not_stacked_unless_their_origin_is_dropped():
    with pytest.raises(ValueError, match=BOTH):
        EmbeddingArray.concatenate([of(OLD), of(None), of(NEW)])
    new = of(NEW)
    both = EmbeddingArray.concatenate([of(OLD), EmbeddingArray(new.values, new.modality)])
    assert both.encoder == OLD


def test_weights_that_were_moved_are_the_same_weights():
    moved = of("elsewhere/my-clip @ 3f2a97")
    assert len(EmbeddingArray.concatenate([of(OLD), moved])) == 80
    assert ModalityGapRemover().fit(of(OLD)).transform(moved).encoder == moved.encoder


def test_another_name_of_the_weights_keeps_that_the_gap_was_removed():
    X = ModalityGapRemover().fit_transform(of(OLD))
    named = EmbeddingArray(X, X.modality, encoder="elsewhere/my-clip @ 3f2a97")
    assert named._tags.origin.is_centered
    with pytest.raises(ValueError, match="already transformed"):
        ModalityGapRemover().fit(of(OLD)).transform(named)


def test_names_without_a_digest_are_compared_whole():
    with pytest.raises(ValueError, match="encoded by 'siglip @ '"):
        EmbeddingArray.concatenate([of("clip @ "), of("siglip @ ")])


@pytest.mark.parametrize("n_features", [16, 24])
def test_a_model_exchanged_behind_a_fitted_pipeline_is_refused_and_both_are_named(pipe, n_features):
    before = search(pipe, "7", 3)
    pipe.set_params(encoder__weights="99b001", encoder__n_features=n_features)
    uses = (
        lambda: search(pipe, "7", 3),
        lambda: pipe.predict([Query("7")]),
        lambda: pipe.score([Query("7")], ["7"]),
        lambda: pipe.transform([Query("7")]),
        lambda: add_documents(pipe, ["60"], ["60"]),
        lambda: pipe[:-1].transform(["60"]),
        lambda: pipe[-1].search(pipe[0].transform([Query("7")])),
        lambda: pipe[1].partial_fit(pipe[0].transform(ITEMS)),
        lambda: drift(pipe[1], pipe[0].transform(ITEMS)),
    )
    for use in uses:
        with pytest.raises(ValueError, match=BOTH):
            use()
    pipe.set_params(encoder__weights="3f2a97", encoder__n_features=16)
    after = search(pipe, "7", 3)
    np.testing.assert_array_equal(after.scores, before.scores)
    np.testing.assert_array_equal(after.ids, before.ids)


def test_an_exchanged_model_is_refused_by_a_copy_and_taken_after_another_fit(pipe):
    again = pickle.loads(pickle.dumps(pipe)).set_params(encoder__weights="99b001")
    assert again[1].encoder_ == again[-1].encoder_ == OLD
    with pytest.raises(ValueError, match=BOTH):
        search(again, "7")
    again.fit([*ITEMS, Query("50")], [*ITEMS, None])
    assert again[1].encoder_ == again[-1].encoder_ == NEW
    assert search(again, "7").ids[0, 0] == "7"


def test_rows_of_unknown_origin_are_taken_everywhere(pipe):
    unknown = Encoder().transform(ITEMS[:3])
    unknown = EmbeddingArray(unknown.values, unknown.modality)
    assert unknown.encoder is None
    pipe[1].partial_fit(unknown)
    pipe[-1].partial_fit(pipe[1].transform(unknown), ["a", "b", "c"])
    rows = make_search_pipeline().fit(of(None), ITEMS)
    assert rows[-1].encoder_ is None
    assert search(rows, of(NEW)[:1]).ids.shape == (1, 10)
    assert search(rows, of(OLD)[:1]).ids.shape == (1, 10)


def test_rows_that_come_later_tell_the_encoder_of_an_index_that_did_not_know_it():
    pipe = make_search_pipeline().fit(of(None), ITEMS)
    pipe[0].partial_fit(of(OLD))
    add_documents(pipe, of(OLD, 1), ["new"])
    for use in (search, lambda *x: add_documents(*x, ["newer"])):
        with pytest.raises(ValueError, match=BOTH):
            use(pipe, of(NEW, 1))


def test_a_remover_merges_with_and_serves_only_one_of_its_encoder():
    old, new, unknown = (ModalityGapRemover().fit(of(encoder)) for encoder in (OLD, NEW, None))
    with pytest.raises(ValueError, match=BOTH):
        old.merge(new)
    assert unknown.merge(old).encoder_ == OLD
    with pytest.raises(ValueError, match=BOTH):
        make_pipeline(FrozenEstimator(old), MixedModalityRetriever()).fit(of(NEW), ITEMS)


def test_a_single_row_whose_gap_was_not_removed_is_refused(pipe):
    row = pipe[0].transform(["60"])
    refusal = r"not transformed by a ModalityGapRemover.*add_documents\(pipe.*pipe\[:-1\]"
    with pytest.raises(ValueError, match=refusal):
        pipe[-1].partial_fit(row, ["60"])
    with pytest.raises(ValueError, match=refusal):
        pipe[-1].search(pipe[0].transform([Query("7")]))
    pipe[-1].partial_fit(pipe[1].transform(row), ["60"])
    assert pipe[-1].n_documents_ == 41


def test_rows_whose_gap_was_removed_are_not_transformed_again(pipe):
    with pytest.raises(ValueError, match="already transformed by a ModalityGapRemover"):
        search(pipe[1:], pipe[:-1].transform([Query("7")]))


def test_a_step_that_drops_the_tags_loses_the_encoder():
    items, ids = [*ITEMS, Query("50")], [*ITEMS, None]
    tags = ["text"] * 40 + ["query:text"]
    rows = make_pipeline(Encoder(), PCA(4)).fit(items)
    pipe = make_pipeline(*rows, *make_search_pipeline())
    X = rows.transform(items)
    pipe[2].fit(X, modality=tags)
    pipe[3].fit(pipe[2].transform(X, modality=tags), ids, modality=tags)
    assert pipe[2].encoder_ is pipe[3].encoder_ is None
    add_documents(pipe, ["60"], ["60"])
    assert pipe[3].encoder_ is None
    assert search(pipe, "7").ids[0, 0] == "7"


def test_rows_of_another_domain_are_told_so_where_their_origin_is_known():
    X, y = make_mixed_modality(400, random_state=0)
    documents = X.modality != "query:text"
    X, y = EmbeddingArray(X[documents], X.modality[documents], encoder=OLD), y[documents]
    pipe = make_search_pipeline().fit(X, y)
    shifted = EmbeddingArray(X.values[:60] + 3 * X.values[0], X.modality[:60], encoder=OLD)
    with pytest.warns(UserWarning, match="indexed before. They come from another domain: fit"):
        add_documents(pipe, shifted, [f"new{i}" for i in range(60)])

"""The retriever with a score calibration, as a scikit-learn estimator."""

import pickle

import numpy as np
import pytest
from mixed_cases import assert_same_results, fitted, lines_of, small_corpus
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    PosteriorOdds,
    QueryKFold,
    make_search_pipeline,
)
from gapremoval.datasets import make_mixed_modality

pytestmark = pytest.mark.filterwarnings("ignore:Few rows:UserWarning")


def test_pickling_changes_nothing_now_or_later():
    retriever, queries = fitted(dtype="f4")
    again = pickle.loads(pickle.dumps(retriever))
    rows = small_corpus(3, "f4")[0].values[:8]
    for _ in range(2):
        one, other = retriever.search(queries), again.search(queries)
        for name in ("ids", "scores", "modalities", "probabilities", "evidence"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        if retriever.n_documents_ == 27:
            for each in (retriever, again):
                each.partial_fit(EmbeddingArray(rows, ["text", "audio"] * 4), [*"abcdefgh"])
    assert len(one.ids[0]) == 35


def test_the_calibration_passed_in_is_cloned_and_has_parameters_of_the_retriever():
    odds = PosteriorOdds(prior_count=4)
    retriever = MixedModalityRetriever(score_calibration=odds)
    documents, queries, ids, relevance = small_corpus()
    retriever.fit(EmbeddingArray.concatenate([documents, queries]), ids + relevance)
    assert vars(odds) == odds.get_params()
    assert retriever.score_calibration is odds
    assert retriever.score_calibration_ is not odds
    assert retriever.score_calibration_.prior_count == 4
    assert retriever.get_params()["score_calibration__prior_count"] == 4
    other = clone(retriever).set_params(score_calibration__hubness=0)
    assert (other.score_calibration.hubness, odds.hubness) == (0, 1 / 3)
    assert not hasattr(other, "score_calibration_")
    assert "PosteriorOdds" in repr(other)


def test_without_hubness_all_documents_of_a_modality_have_one_scale():
    retriever, _ = fitted(hubness=0)
    lines = lines_of(retriever, "query:text")
    for kind in ("text", "image", "image+text"):
        np.testing.assert_allclose(np.ptp(lines.scale[retriever.document_modality_ == kind]), 0)
    spread = fitted(hubness=1)[0]
    lines = lines_of(spread, "query:text")
    assert np.ptp(lines.scale[spread.document_modality_ == "text"]) > 0


def test_a_grid_searches_over_the_parameters_of_the_calibration():
    X, y = make_mixed_modality(60, n_features=96, random_state=0)
    step = "mixedmodalityretriever__score_calibration"
    grid = {f"{step}__prior_count": [1, 100], f"{step}__hubness": [0, 1]}
    search = GridSearchCV(make_search_pipeline(), grid, cv=QueryKFold(3), error_score="raise")
    search.fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_[-1].score_calibration_.slope_
    whether = {step: [None, PosteriorOdds()]}
    search = GridSearchCV(make_search_pipeline(), whether, cv=QueryKFold(3), error_score="raise")
    scores = search.fit(X, y).cv_results_["mean_test_score"]
    assert scores[1] > scores[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"prior_count": 0},
        {"prior_count": -1},
        {"prior_count": np.inf},
        {"prior_count": None},
        {"hubness": -0.1},
        {"hubness": 1.5},
        {"hubness": np.nan},
        {"answer_share": [0.5, 0.5]},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
        fitted(**wrong)


@pytest.mark.parametrize("wrong", [PosteriorOdds, "odds", 1, MixedModalityRetriever()])
def test_what_is_no_score_calibration_is_refused(wrong):
    documents, _, ids, _ = small_corpus()
    with pytest.raises(InvalidParameterError, match="score_calibration"):
        MixedModalityRetriever(score_calibration=wrong).fit(documents, ids)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "i1"])
def test_rows_of_any_number_type_are_taken(dtype):
    documents, queries, ids, relevance = small_corpus()
    X = EmbeddingArray.concatenate([documents, queries])
    rows = (np.round(X.values * 20) + 1).astype(dtype)
    retriever = MixedModalityRetriever(27, score_calibration=PosteriorOdds())
    found = []
    for values in (rows, rows.astype("f8")):
        retriever.fit(EmbeddingArray(values, X.modality), [*ids, *relevance])
        found.append(retriever.search(EmbeddingArray(rows[-9:], queries.modality)))
    assert_same_results(*found, 1e-4 if dtype in ("f2", "f4") else 1e-12)


def test_score_judges_the_calibrated_ranking():
    X, y = make_mixed_modality(150, random_state=0)
    asks = X.modality == "query:text"
    pipe = make_search_pipeline().fit(X, y)
    assert [name for name, _ in pipe.steps] == ["modalitygapremover", "mixedmodalityretriever"]
    calibrated = pipe.score(X[asks], y[asks])
    pipe.set_params(mixedmodalityretriever__score_calibration=None)
    assert calibrated > pipe.fit(X, y).score(X[asks], y[asks])


@pytest.mark.parametrize("fit", ["fit", "partial_fit"])
def test_a_first_fit_that_fails_leaves_nothing(fit):
    documents, queries, ids, relevance = small_corpus()
    X = EmbeddingArray.concatenate([documents, queries])
    for y, odds in (
        ([*ids, "nobody", *relevance[1:]], {}),
        ([*ids, *relevance], {"answer_share": {"text": 1}}),
        ([*ids, *relevance], {"prior_count": -1}),
    ):
        retriever = MixedModalityRetriever(score_calibration=PosteriorOdds(**odds))
        before = dict(vars(retriever))
        with pytest.raises(ValueError, match="nobody|answer_share|prior_count"):
            getattr(retriever, fit)(X, y)
        assert {**vars(retriever), "_lock": None} == {**before, "_lock": None}
        with pytest.raises(NotFittedError):
            retriever.search(queries)
        with pytest.raises(NotFittedError):
            retriever.export_vectors()


def test_what_fails_later_leaves_the_fit():
    retriever, queries = fitted(answer_share={"text": 2, "image": 1, "image+text": 1})
    want, before = retriever.search(queries), dict(vars(retriever))
    documents, _, ids, relevance = small_corpus(5)
    audio = EmbeddingArray(documents.values[:3], "audio")
    broken = EmbeddingArray(documents.values * [[np.nan], *[[1.0]] * 31], documents.modality)
    both, unknown = EmbeddingArray.concatenate([documents, queries]), ["nobody", *relevance[1:]]
    for call in (
        lambda: retriever.partial_fit(audio, ["a", "b", "c"]),  # which answer_share lacks
        lambda: retriever.partial_fit(documents, ids),
        lambda: retriever.partial_fit(broken, [f"new{id_}" for id_ in ids]),
        lambda: retriever.remove(["d0", "nobody"]),
        lambda: retriever.fit(documents, ids[1:]),
        lambda: retriever.fit(both, [*ids, *unknown]),
    ):
        with pytest.raises(ValueError, match="audio|already|NaN|nobody|entries"):
            call()
        assert vars(retriever) == before
        assert_same_results(want, retriever.search(queries))


def test_a_refit_forgets_what_was_learned_before():
    retriever, _ = fitted()
    documents, queries, ids, relevance = small_corpus(7)
    X, y = EmbeddingArray.concatenate([documents, queries]), [*ids, *relevance]
    fresh = clone(retriever).fit(X, y)
    assert_same_results(fresh.search(queries), retriever.fit(X, y).search(queries))
    retriever.set_params(score_calibration=None).fit(X, y)
    assert retriever.score_calibration_ is None
    assert retriever.search(queries).probabilities is None

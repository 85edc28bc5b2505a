import pickle

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.estimator_checks import (
    check_do_not_raise_errors_in_init_or_set_params,
    check_estimator_cloneable,
    check_estimator_repr,
    check_estimator_tags_renamed,
    check_get_params_invariance,
    check_no_attributes_set_in_init,
    check_param_validation,
    check_parameters_default_constructible,
    check_set_params,
    check_valid_tag_types,
)

from gapremoval import (
    EmbeddingArray,
    FusionWeightSearchCV,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    Query,
    QueryKFold,
    make_ranking_scorer,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.score_calibration import (
    CSLS,
    NearestNeighborNormalization,
    PseudoPositiveZ,
    QBNorm,
    ScoreZ,
)

SHARES = [0.0, 0.2, 0.5, 1.0]
RELATIVE = [
    {"text": 1, "image": 1, "audio": 1},
    {"text": 0, "image": 2, "audio": 1},
    {"text": 3, "image": 0.5, "audio": 0},
    {"text": 0, "image": 0, "audio": 0},
]
METRICS = ["ndcg@10", "ndcg@2", "recall@3", "mrr@100", "precision@1"]
NAME = "mixedmodalityretriever__fusion_weight"


def make_search(*steps, **options):
    return make_pipeline(*steps, ModalityGapRemover(), MixedModalityRetriever(**options))


def both_searches(estimator, weights, X, y, *, cv=2, scoring=None, refit=False, **params):
    """This search and scikit-learn's, both fitted."""
    cv = QueryKFold(cv) if isinstance(cv, int) else cv
    options = {"cv": cv, "scoring": scoring, "refit": refit}
    fast = FusionWeightSearchCV(estimator, weights, **options)
    name = NAME if isinstance(estimator, Pipeline) else "fusion_weight"
    slow = GridSearchCV(estimator, {name: list(weights)}, error_score="raise", **options)
    return fast.fit(X, y, **params), slow.fit(X, y, **params)


def one_fold(corpus):
    """The last of two folds, for properties that every fold has."""
    return list(QueryKFold(2).split(corpus[0]))[1:]


def assert_same_search(fast, slow):
    for key, want in slow.cv_results_.items():
        if "_time" in key:
            assert key not in fast.cv_results_
        elif key == "params" or key.startswith("param_"):
            assert list(fast.cv_results_[key]) == list(want)
        else:
            np.testing.assert_allclose(fast.cv_results_[key], want, rtol=0, atol=1e-12)
    assert len(fast.cv_results_) == len(slow.cv_results_) - 4
    assert fast.best_index_ == slow.best_index_
    assert fast.best_params_ == slow.best_params_
    assert fast.best_score_ == slow.best_score_
    assert fast.n_splits_ == slow.n_splits_


# Two weights tell as much as all, and a grid fits a retriever for each.
pairs_of_weights = st.one_of(
    st.lists(st.sampled_from(weights), min_size=2, max_size=2) for weights in (SHARES, RELATIVE)
)


@st.composite
def hard_corpora(draw):
    """A small corpus with what makes ranks hard to tell, and its judged queries.

    Rows come from few vectors, so documents, and the scores of unlike documents, are often
    equal; some are moved by less than rounding, scaled, turned round, or zero.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_documents = draw(st.integers(1, 30))
    n_features = draw(st.integers(2, 6))
    names = draw(st.sampled_from([["text", "image"], ["text", "image", "audio"], ["image"]]))
    dtype = draw(st.sampled_from(["f4", "f8", "f2"]))
    nudge = draw(st.sampled_from([0, 1e-7, 1e-6, 1e-5]))
    few = rng.normal(size=(draw(st.integers(2, 8)), n_features))
    if draw(st.booleans()):
        few = np.round(few)
    several = draw(st.sampled_from([0.3, 0.9]))
    modality, ids = [], []
    for number in range(n_documents):
        has = rng.random(len(names)) < several
        has[rng.integers(len(names))] = True
        for name in np.array(names)[has].tolist():
            for _ in range(rng.choice([1, 1, 1, 3])):
                modality.append(name)
                ids.append(f"d{number}")
    n_queries = draw(st.integers(4, 12))
    factors = draw(st.sampled_from([[1], [1, -1], [1, -1, 0], [1, 1, 0.01], [1, -1, 3]]))
    chosen = few[rng.integers(len(few), size=len(ids) + n_queries)]
    rows = chosen * rng.choice(factors, size=(len(chosen), 1))
    rows += nudge * rng.normal(size=rows.shape)
    judged = [
        {f"d{i}": g for i, g in zip(rng.permutation(n_documents)[:5], rng.choice([0, 1, 1, 3], 5))}
        for _ in range(n_queries)
    ]
    for query in rng.integers(n_queries, size=2):
        judged[query] = f"d{rng.integers(n_documents)}"
    judged[rng.integers(n_queries)] = draw(st.sampled_from([None, "d0", {}]))
    order = rng.permutation(len(rows))
    X = EmbeddingArray(rows.astype(dtype), [*modality, *["query:text"] * n_queries])
    y = np.empty(len(rows), object)
    y[:] = ids + judged
    return X[order], y[order]


@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
@pytest.mark.filterwarnings("ignore:Parts of documents have mean lengths:UserWarning")
@given(hard_corpora(), pairs_of_weights, st.sampled_from(METRICS))
def test_scores_are_those_of_a_grid(corpus, weights, metric):
    scoring = make_ranking_scorer(metric)
    options = {"cv": one_fold(corpus), "scoring": scoring}
    assert_same_search(*both_searches(MixedModalityRetriever(), weights, *corpus, **options))


@st.composite
def taught_corpora(draw):
    """A corpus without ties: several rows a part, parts that cancel out, queries of two kinds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_documents, n_features = draw(st.integers(2, 25)), draw(st.integers(3, 8))
    names = ["text", "image", "audio"][: draw(st.integers(1, 3))]
    rows, modality, y = [], [], []
    for number in range(n_documents):
        has = rng.random(len(names)) < 0.6
        has[rng.integers(len(names))] = True
        row = rng.normal(size=n_features) * (number or draw(st.integers(0, 1)) > 0)
        for name in np.array(names)[has].tolist():
            for _ in range(rng.choice([1, 1, 3])):
                rows.append(row + 0.5 * bool(number) * rng.normal(size=n_features))
                modality.append(name)
                y.append(f"d{number}")
        if draw(st.sampled_from([False, False, True])):
            rows[-1] = -rows[-1]
    for _ in range(draw(st.integers(4, 20))):
        answer = rng.integers(n_documents)
        rows.append(rows[y.index(f"d{answer}")] + rng.normal(size=n_features))
        modality.append(rng.choice(["query:text", "query:text", "query:image"]))
        y.append(rng.choice([f"d{answer}", None], p=[0.7, 0.3]))
    y[-4:] = [f"d{i}" for i in rng.integers(n_documents, size=4)]
    answers = np.empty(len(y), object)
    answers[:] = y
    dtype = draw(st.sampled_from(["f4", "f8"]))
    return EmbeddingArray(np.array(rows).astype(dtype), modality), answers


CALIBRATIONS = [
    PosteriorOdds(),
    PosteriorOdds(recenter=False, hubness=1.0),
    ScoreZ(),
    PseudoPositiveZ(),
    NearestNeighborNormalization(),
    CSLS(n_neighbors=3),
    QBNorm(),
]


@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
@pytest.mark.filterwarnings("ignore:.*learned nothing:UserWarning")
@pytest.mark.filterwarnings("ignore:Parts of documents have mean lengths:UserWarning")
@given(taught_corpora(), pairs_of_weights, st.sampled_from(METRICS), st.sampled_from(CALIBRATIONS))
@settings(max_examples=30)
def test_calibrated_scores_are_those_of_a_grid(corpus, weights, metric, calibration):
    retriever = MixedModalityRetriever(score_calibration=calibration)
    options = {"cv": one_fold(corpus), "scoring": make_ranking_scorer(metric)}
    assert_same_search(*both_searches(retriever, weights, *corpus, **options))


@pytest.fixture(scope="module")
def corpus():
    return make_mixed_modality(60, n_features=96, random_state=0)


@pytest.fixture(scope="module")
def tuned(corpus):
    return FusionWeightSearchCV(make_search(), SHARES, cv=QueryKFold(3)).fit(*corpus)


def test_a_pipeline_on_real_embeddings_is_tuned_as_by_a_grid(real):
    data = real("flickr8k_clip_vitb32.npz")
    texts, images = data["text"], data["image"]
    n = len(images)
    X = EmbeddingArray.concatenate(
        {"text": texts[:, 0], "image": images, "query:text": texts[:, 1:].reshape(4 * n, -1)}
    )
    y = [*range(n), *range(n), *np.repeat(np.arange(n), 4).tolist()]
    fast, slow = both_searches(make_search(), np.linspace(0, 1, 7), X, y)
    assert_same_search(fast, slow)
    assert np.ptp(fast.cv_results_["mean_test_score"]) > 0.01


@pytest.mark.parametrize("weights", [SHARES, RELATIVE])
def test_a_mixed_corpus_is_tuned_as_by_a_grid(corpus, weights):
    assert_same_search(*both_searches(make_search(), weights, *corpus))


@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
def test_a_question_without_a_direction_finds_the_corpus_in_its_order(corpus):
    X, y = corpus
    values = X.values.copy()
    values[np.flatnonzero(X.modality == "query:text")[:20]] = 0
    X = EmbeddingArray(values, X.modality)
    scoring = make_ranking_scorer("recall@30")
    assert_same_search(*both_searches(make_search(), SHARES, X, y, scoring=scoring))


@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
@pytest.mark.parametrize("size", [1, 60, 1000])
def test_scores_do_not_depend_on_the_size_of_the_blocks(monkeypatch, size):
    rng = np.random.default_rng(0)
    rows = rng.integers(-1, 2, (100, 3)).astype(float)
    X = EmbeddingArray(rows, ["text"] * 35 + ["image"] * 35 + ["query:text"] * 30)
    y = [*range(35), *range(10, 45), *([*rng.permutation(45)[:8].tolist()] for _ in range(30))]
    want = FusionWeightSearchCV(MixedModalityRetriever(), SHARES, cv=3).fit(X, y).cv_results_
    monkeypatch.setattr("gapremoval.model_selection._ranks.BLOCK_SIZE", size)
    found = FusionWeightSearchCV(MixedModalityRetriever(), SHARES, cv=3).fit(X, y).cv_results_
    np.testing.assert_array_equal(found["mean_test_score"], want["mean_test_score"])


def test_the_recommended_pipeline_on_real_embeddings_is_tuned_as_by_a_grid(real):
    data = real("flickr8k_clip_vitb32.npz")
    texts, images = data["text"], data["image"]
    n = len(images)
    # A third each are texts, images and both.
    X = EmbeddingArray.concatenate(
        {
            "text": texts[n // 3 :, 0],
            "image": images[: 2 * n // 3],
            "query:text": texts[:, 1:].reshape(4 * n, -1),
            "query:image": images[2 * n // 3 :],
        }
    )
    y = [*range(n // 3, n), *range(2 * n // 3), *np.repeat(np.arange(n), 4).tolist()]
    y += range(2 * n // 3, n)
    fast, slow = both_searches(make_search_pipeline(), np.linspace(0, 1, 5), X, y)
    assert_same_search(fast, slow)
    assert np.ptp(fast.cv_results_["mean_test_score"]) > 0.001


def test_a_score_calibration_learns_without_a_fit_for_each_weight(corpus, monkeypatch):
    pipe, n_fits, fit = make_search_pipeline(), [], MixedModalityRetriever.fit
    spied = lambda *args, **options: n_fits.append(1) or fit(*args, **options)  # noqa: E731
    monkeypatch.setattr(MixedModalityRetriever, "fit", spied)
    FusionWeightSearchCV(pipe, np.linspace(0, 1, 11), cv=3, refit=False).fit(*corpus)
    assert len(n_fits) == 3


def test_what_takes_too_much_memory_at_once_is_learnt_weight_by_weight(corpus, monkeypatch):
    pipe = make_search_pipeline()
    want = FusionWeightSearchCV(pipe, SHARES, cv=3).fit(*corpus).cv_results_
    monkeypatch.setattr("gapremoval.model_selection._weight_scores.MOST_PRODUCTS", 1)
    found = FusionWeightSearchCV(pipe, SHARES, cv=3).fit(*corpus).cv_results_
    np.testing.assert_allclose(found["mean_test_score"], want["mean_test_score"], atol=1e-12)


@pytest.mark.parametrize("routed", [False, True])
def test_folds_in_several_processes_give_the_same(corpus, routed):
    X, y = corpus
    pipe = make_search_pipeline()
    with sklearn.config_context(enable_metadata_routing=routed):
        X, params = (X.values, {"modality": X.modality}) if routed else (X, {})
        one, two = (
            FusionWeightSearchCV(pipe, SHARES, cv=2, refit=False, n_jobs=n_jobs).fit(X, y, **params)
            for n_jobs in (None, 2)
        )
    for key, want in one.cv_results_.items():
        if key.endswith("test_score"):
            np.testing.assert_array_equal(two.cv_results_[key], want)


def test_it_says_how_far_it_is_where_it_is_asked_to(corpus, capsys):
    FusionWeightSearchCV(make_search(), SHARES, cv=3).fit(*corpus)
    assert capsys.readouterr().out == ""
    FusionWeightSearchCV(make_search(), SHARES, cv=3, verbose=1).fit(*corpus)
    lines = capsys.readouterr().out.splitlines()
    assert [line[23:34] for line in lines] == ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3"]
    assert all("4 weights in" in line and ", best 0." in line for line in lines)


@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_tensors_are_tuned_as_by_a_grid(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    rows = torch.asarray(rng.integers(-2, 3, (90, 4)) * 0.7, dtype=getattr(torch, dtype))
    X = EmbeddingArray(rows, ["text"] * 30 + ["image"] * 30 + ["query:text"] * 30)
    y = [*range(30), *range(5, 35), *rng.integers(35, size=30).tolist()]
    assert_same_search(*both_searches(MixedModalityRetriever(), SHARES, X, y))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_score_calibration_of_tensors_is_tuned_as_by_a_grid(corpus, dtype):
    torch = pytest.importorskip("torch")
    X, y = corpus
    X = EmbeddingArray(torch.asarray(X.values, dtype=getattr(torch, dtype)), X.modality)
    assert_same_search(*both_searches(make_search_pipeline(), SHARES[1:3], X, y))


@pytest.mark.parametrize("step", [PCA(32, svd_solver="covariance_eigh"), Normalizer()])
def test_behind_a_stock_step_it_is_routed_the_modality(corpus, step):
    X, y = corpus
    with sklearn.config_context(enable_metadata_routing=True):
        tagged = {"modality": X.modality, "refit": True}
        found = both_searches(make_search(step), SHARES[1:3], X.values, y, **tagged)
        assert_same_search(*found)
        fast, slow = found
        given = {"modality": X.modality}
        assert fast.score(X.values, y, **given) == slow.score(X.values, y, **given)
    questions = X[X.modality == "query:text"]
    np.testing.assert_array_equal(search(fast, questions).ids, search(slow, questions).ids)


@pytest.mark.parametrize("scoring", [None, "mrr@10"])
def test_weights_of_queries_are_routed_where_they_are_requested(corpus, scoring):
    X, y = corpus
    given = {
        "sample_weight": np.random.default_rng(0).random(len(X)),
        "modality": X.modality,
    }
    with sklearn.config_context(enable_metadata_routing=True):
        retriever = MixedModalityRetriever()
        if scoring is None:
            retriever.set_score_request(sample_weight=True)
        else:
            scoring = make_ranking_scorer(scoring).set_score_request(sample_weight=True)
        pipe = make_pipeline(ModalityGapRemover(), retriever)
        fast, slow = both_searches(pipe, SHARES, X.values, y, scoring=scoring, **given)
        del given["sample_weight"]
        plain = FusionWeightSearchCV(pipe, SHARES, cv=2, scoring=scoring)
        plain.fit(X.values, y, **given)
    assert_same_search(fast, slow)
    assert abs(plain.best_score_ - fast.best_score_) > 1e-4


def test_without_routing_modality_is_an_error_that_names_the_switch(corpus):
    X, y = corpus
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        FusionWeightSearchCV(make_search(), SHARES).fit(X.values, y, modality=X.modality)


def test_a_score_calibration_is_learnt_anew_for_each_weight(corpus):
    pipe = make_search(score_calibration=PosteriorOdds())
    fast, slow = both_searches(pipe, SHARES, *corpus)
    assert_same_search(fast, slow)
    assert (
        fast.best_score_
        != FusionWeightSearchCV(make_search(), SHARES, cv=2).fit(*corpus).best_score_
    )


def test_folds_that_test_on_documents_too_are_scored_as_by_a_grid(corpus):
    X, y = corpus
    everything = np.arange(len(X))
    last = np.flatnonzero(X.modality == "query:text")[40:]
    cv = [(everything, everything), (everything, np.setdiff1d(everything, last))]
    assert_same_search(*both_searches(make_search(), SHARES, X, y, cv=cv))


def test_folds_may_be_lists_of_rows_or_masks(corpus):
    X, y = corpus
    folds = list(QueryKFold(2).split(X))
    masks = [tuple(np.isin(np.arange(len(X)), rows) for rows in fold) for fold in folds]
    lists = [tuple(sorted(rows.tolist()) for rows in fold) for fold in folds]
    for cv in (lists, masks):
        fast, slow = both_searches(make_search(), SHARES[1:3], X, list(y), cv=cv)
        assert_same_search(fast, slow)


ENCODED = []


class Encoder(TransformerMixin, BaseEstimator):
    """Makes a row of a text such as ``"image 7"``, and keeps a list of what it encoded."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        ENCODED.extend(X)
        asks = [isinstance(item, Query) for item in X]
        texts = [item.item if isinstance(item, Query) else item for item in X]
        modality = ["query:text" if ask else text.split()[0] for ask, text in zip(asks, texts)]
        rows = [np.random.default_rng(list(text.encode())).normal(size=8) for text in texts]
        return EmbeddingArray(np.stack(rows), modality)


@pytest.mark.parametrize("score_calibration", [None, PosteriorOdds()])
def test_raw_items_are_encoded_once_a_fold(score_calibration):
    texts, images = ([f"{name} {i}" for i in range(20)] for name in ("text", "image"))
    X = [*texts, *images, *map(Query, texts)]
    pipe = make_search(Encoder(), score_calibration=score_calibration)
    fast, slow = both_searches(pipe, SHARES[1:3], X, [*range(20)] * 3)
    assert_same_search(fast, slow)
    ENCODED.clear()
    FusionWeightSearchCV(pipe, SHARES, cv=3, refit=False).fit(X, [*range(20)] * 3)
    assert len(ENCODED) == 3 * len(X)


def test_the_best_weight_has_its_name_in_the_estimator(corpus, tuned):
    X, y = corpus
    nested = Pipeline([("gap", ModalityGapRemover()), ("last", make_search())])
    for estimator, name in (
        (MixedModalityRetriever(), "fusion_weight"),
        (make_search(), NAME),
        (nested, f"last__{NAME}"),
    ):
        best = FusionWeightSearchCV(estimator, SHARES, cv=3).fit(X, y)
        assert list(best.best_params_) == [name]
        clone(estimator).set_params(**best.best_params_)
        assert best.best_estimator_.get_params()[name] == best.best_params_[name]
        assert best.cv_results_["params"] == [{name: weight} for weight in SHARES]
        assert not hasattr(estimator, "n_features_in_")


def test_equal_scores_go_to_the_first_weight(corpus):
    X, y = corpus
    kind = np.where(X.modality == "image", "text", X.modality)
    best = FusionWeightSearchCV(make_search(), [0.7, 0.2, 0.5], cv=3)
    best.fit(EmbeddingArray(X.values, kind), y)
    assert best.best_params_ == {NAME: 0.7}
    assert best.cv_results_["rank_test_score"].tolist() == [1, 1, 1]


def test_folds_are_those_of_queries_by_default(corpus, tuned):
    X, y = corpus
    default = FusionWeightSearchCV(make_search(), SHARES).fit(X, y)
    assert default.n_splits_ == 5
    assert_same_search(default, both_searches(make_search(), SHARES, X, y, cv=QueryKFold())[1])
    three = FusionWeightSearchCV(make_search(), SHARES, cv=3).fit(X, y)
    np.testing.assert_array_equal(
        three.cv_results_["mean_test_score"], tuned.cv_results_["mean_test_score"]
    )


def test_what_was_selected_answers_as_what_a_grid_selected(corpus):
    X, y = corpus
    fast, slow = both_searches(make_search(n_neighbors=4), SHARES, X, y, refit=True)
    questions = X[X.modality == "query:text"]
    np.testing.assert_array_equal(fast.predict(questions), slow.predict(questions))
    assert (fast.transform(questions) != slow.transform(questions)).nnz == 0
    np.testing.assert_array_equal(search(fast, questions).ids, search(slow, questions).ids)
    assert fast.score(X, y) == slow.score(X, y)
    assert fast.n_features_in_ == slow.n_features_in_ == 96
    assert fast.refit_time_ > 0
    assert fast.best_estimator_[-1].n_documents_ == 60


def test_score_is_that_of_the_scoring(corpus):
    X, y = corpus
    scoring = make_ranking_scorer("recall@3")
    fast, slow = both_searches(make_search(), SHARES, X, y, scoring=scoring, refit=True)
    assert_same_search(fast, slow)
    assert fast.score(X, y) == scoring(fast.best_estimator_, X, y) == slow.score(X, y)


def test_without_a_refit_there_is_a_weight_and_nothing_to_ask(corpus):
    X, y = corpus
    best = FusionWeightSearchCV(make_search(), SHARES, cv=3, refit=False).fit(X, y)
    assert best.best_params_[NAME] in SHARES
    assert not hasattr(best, "best_estimator_")
    assert not hasattr(best, "predict")
    with pytest.raises(NotFittedError, match="refit=True"):
        search(best, X)


def test_it_says_that_it_is_not_fitted(corpus):
    best = FusionWeightSearchCV(make_search(), SHARES)
    for ask in (lambda: best.predict(corpus[0]), lambda: search(best, corpus[0])):
        with pytest.raises(NotFittedError):
            ask()


def test_it_clones_pickles_and_prints(corpus, tuned):
    questions = corpus[0][corpus[0].modality == "query:text"]
    again = pickle.loads(pickle.dumps(tuned))
    np.testing.assert_array_equal(again.predict(questions), tuned.predict(questions))
    assert again.best_params_ == tuned.best_params_
    assert clone(tuned).get_params(deep=False).keys() == tuned.get_params(deep=False).keys()
    assert not hasattr(clone(tuned), "best_params_")
    assert clone(tuned).set_params(**{f"estimator__{NAME}": 0.1}).estimator[-1].fusion_weight == 0.1
    assert "fusion_weights=[0.0, 0.2, 0.5, 1.0]" in repr(tuned)


@pytest.mark.parametrize(
    "check",
    [
        check_do_not_raise_errors_in_init_or_set_params,
        check_estimator_cloneable,
        check_estimator_repr,
        check_estimator_tags_renamed,
        check_get_params_invariance,
        check_no_attributes_set_in_init,
        check_param_validation,
        check_parameters_default_constructible,
        check_set_params,
        check_valid_tag_types,
    ],
)
def test_scikit_learn_finds_nothing_wrong_with_its_parameters(check):
    check("FusionWeightSearchCV", FusionWeightSearchCV(MixedModalityRetriever(), [0.5]))


@pytest.mark.parametrize("routed", [False, True])
def test_it_is_cross_validated_itself(corpus, routed):
    X, y = corpus
    fast = FusionWeightSearchCV(make_search(), SHARES, cv=2)
    slow = GridSearchCV(make_search(), {NAME: SHARES}, cv=QueryKFold(2), error_score="raise")
    options = {"cv": QueryKFold(2), "error_score": "raise"}
    with sklearn.config_context(enable_metadata_routing=routed):
        rows = X.values if routed else X
        params = {"modality": X.modality} if routed else None
        found, want = (
            cross_val_score(search, rows, y, params=params, **options) for search in (fast, slow)
        )
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "fusion_weights is empty"),
        ([0.5, 1.5], "fusion_weight=1.5"),
        ([0.5, -1], "at least 0; got -1"),
        ([0.5, float("nan")], "got nan"),
        ([0.5, "text"], "got 'text'"),
        ([0.5, {"text": np.inf, "image": 1}], "got inf"),
        ({"text": 0.5}, "got 'text'"),
        ([0.5, {"text": 1}], "no weight for 'image'"),
        (0.5, "'fusion_weights' parameter .* must be an array-like"),
    ],
)
def test_what_is_no_weight_is_an_error(corpus, weights, message):
    with pytest.raises(ValueError, match=message):
        FusionWeightSearchCV(make_search(), weights).fit(*corpus)


@pytest.mark.parametrize("scoring", [lambda estimator, X, y: 1.0, "accuracy"])
def test_a_scoring_that_ranks_nothing_is_an_error(corpus, scoring):
    with pytest.raises(ValueError, match="scoring"):
        FusionWeightSearchCV(make_search(), SHARES, scoring=scoring).fit(*corpus)


@pytest.mark.parametrize("estimator", [PCA(), make_pipeline(PCA()), ModalityGapRemover()])
def test_what_ends_in_no_retriever_is_an_error(corpus, estimator):
    with pytest.raises(TypeError, match="MixedModalityRetriever, or a pipeline that ends in one"):
        FusionWeightSearchCV(estimator, SHARES).fit(*corpus)


def test_folds_that_cannot_be_scored_are_errors(corpus):
    X, y = corpus
    asks = X.modality == "query:text"
    lost = y.copy()
    lost[-1] = "nobody"
    for rows, answers, cv, message in (
        (X, y, KFold(3), r"cross-validate with cv=QueryKFold\(\)"),
        (X, lost, 3, "relevance names 1 unknown document: 'nobody'"),
        (X, np.where(asks, None, y), 3, "no judged query"),
        (X[~asks], y[~asks], None, "QueryKFold found no query"),
        (X.values, y, None, "carry no modality at all"),
        (X, None, None, "needs y"),
        (X, y, 1, "cv"),
    ):
        with pytest.raises(ValueError, match=message):
            FusionWeightSearchCV(make_search(), SHARES, cv=cv).fit(rows, answers)

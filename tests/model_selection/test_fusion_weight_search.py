import pickle

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer
from sklearn.utils.estimator_checks import (
    check_set_params,
    check_estimator_cloneable,
    check_estimator_repr,
    check_no_attributes_set_in_init,
    check_param_validation,
    check_parameters_default_constructible,
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
    search,
)
from gapremoval.datasets import make_mixed_modality

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


def both_searches(estimator, weights, X, y, *, cv=None, scoring=None, **params):
    """This search and scikit-learn's, both fitted."""
    cv = QueryKFold(3) if cv is None else cv
    fast = FusionWeightSearchCV(estimator, weights, cv=cv, scoring=scoring)
    name = NAME if isinstance(estimator, Pipeline) else "fusion_weight"
    slow = GridSearchCV(
        estimator, {name: list(weights)}, cv=cv, scoring=scoring, error_score="raise"
    )
    return fast.fit(X, y, **params), slow.fit(X, y, **params)


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
    judged = [answers if rng.random() < 0.9 else None for answers in judged]
    judged[: n_queries // 2 * 2 : 2] = [
        f"d{rng.integers(n_documents)}" for _ in range(n_queries // 2)
    ]
    order = rng.permutation(len(rows))
    X = EmbeddingArray(rows.astype(dtype), [*modality, *["query:text"] * n_queries])
    y = np.empty(len(rows), object)
    y[:] = ids + judged
    return X[order], y[order]


@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
@pytest.mark.filterwarnings("ignore:Parts of documents have mean lengths:UserWarning")
@given(hard_corpora(), st.sampled_from([SHARES, RELATIVE]), st.sampled_from(METRICS))
def test_scores_are_those_of_a_grid(corpus, weights, metric):
    scoring = make_ranking_scorer(metric)
    options = {"cv": QueryKFold(2), "scoring": scoring}
    assert_same_search(*both_searches(MixedModalityRetriever(), weights, *corpus, **options))

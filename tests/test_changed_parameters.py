"""Parameters that were changed after a fit are refused where they would mix rows of both."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from gapremoval import (
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    add_documents,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_mixed_modality

X, Y = make_mixed_modality(60, random_state=0)
NEW, NEW_IDS = make_mixed_modality(4, queries={}, random_state=1)
NEW_IDS = [f"new {i}" for i in NEW_IDS]
PRIOR = {"text": np.full(X.shape[1], 0.01)}
DEFAULTS = ModalityGapRemover().get_params()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"strength": 0.5}),
        ({}, {"norm": None}),
        ({"norm": None}, {"norm": "l2"}),
        ({}, {"shrinkage": np.inf}),
        ({}, {"prior": PRIOR}),
        ({"prior": PRIOR}, {"prior": None}),
        ({"prior": PRIOR}, {"prior": {"text": 2 * PRIOR["text"]}}),
        ({"prior": PRIOR}, {"prior": {**PRIOR, "image": PRIOR["text"]}}),
    ],
)
def test_a_remover_refuses_changed_parameters_until_it_is_fitted_again(before, after):
    remover = ModalityGapRemover(**before).fit(X)
    wanted = remover.transform(NEW).values
    remover.set_params(**after)
    uses = (
        lambda: remover.transform(NEW),
        lambda: remover.partial_fit(NEW),
        lambda: remover.merge(ModalityGapRemover().fit(X)),
    )
    (name,) = after
    for use in uses:
        with pytest.raises(ValueError, match=f"^{name} was .* fitted, and is .* fit again"):
            use()
    remover.set_params(**DEFAULTS | before)
    np.testing.assert_array_equal(remover.transform(NEW).values, wanted)
    remover.set_params(**after).fit(X).partial_fit(NEW)


def test_a_prior_that_is_written_to_after_the_fit_is_refused_as_well():
    prior = {"text": PRIOR["text"].copy()}
    remover = ModalityGapRemover(prior=prior).fit(X)
    prior["text"] *= 2
    with pytest.raises(ValueError, match="^prior was"):
        remover.partial_fit(NEW)


def test_parameters_that_mix_nothing_and_equal_values_are_taken():
    remover = ModalityGapRemover(prior=PRIOR).fit(X)
    remover = pickle.loads(pickle.dumps(remover))
    equal = {"strength": 1, "prior": {"text": PRIOR["text"].copy()}, "shrinkage": np.float32(16)}
    remover.set_params(copy=False, **equal).partial_fit(NEW)
    retriever = MixedModalityRetriever(fusion_weight={"text": 1, "image": 2}).fit(X, Y)
    retriever.set_params(n_neighbors=3, fusion_weight={"image": 2.0, "text": 1.0})
    assert retriever.partial_fit(NEW, NEW_IDS).predict(X[-1:]).shape == (1, 3)


@pytest.mark.parametrize("calibration", [None, PosteriorOdds(prior_count=8.0)])
@pytest.mark.parametrize(
    "after",
    [
        {"fusion_weight": 0.3},
        {"fusion_weight": {"text": 1, "image": 1}},
        {"score_calibration": PosteriorOdds(hubness=0.0)},
        {"score_calibration": None},
        {"score_calibration__prior_count": 4.0},
    ],
)
def test_a_retriever_adds_no_documents_with_changed_parameters(after, calibration):
    if calibration is None and after.keys() != {"fusion_weight"}:
        after = {"score_calibration": PosteriorOdds()}
    pipe = make_search_pipeline().set_params(
        mixedmodalityretriever__score_calibration=clone(calibration, safe=False)
    )
    pipe.fit(X, Y)
    queries = X[X.modality == "query:text"]
    before = search(pipe, queries)
    pipe[-1].set_params(**after)
    name = next(iter(after)).partition("__")[0]
    with pytest.raises(ValueError, match=f"(?s)^{name} was .* fitted, and is .* fit again"):
        add_documents(pipe, NEW, NEW_IDS)
    with pytest.raises(ValueError, match=f"^{name} was"):
        pipe[-1].partial_fit(pipe[0].transform(queries))
    found = search(pipe, queries)
    np.testing.assert_array_equal(found.ids, before.ids)
    np.testing.assert_array_equal(found.scores, before.scores)
    add_documents(pipe.fit(X, Y), NEW, NEW_IDS)
    fresh = clone(pipe).fit(X, Y)
    add_documents(fresh, NEW, NEW_IDS)
    np.testing.assert_array_equal(search(pipe, queries).ids, search(fresh, queries).ids)

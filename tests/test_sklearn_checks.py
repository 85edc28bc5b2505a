"""scikit-learn's own checks over every estimator."""

import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapremoval import MixedModalityRetriever, ModalityGapRemover, PosteriorOdds, StoreRetriever
from gapremoval.calibration import (
    AnchorAndScale,
    ByModality,
    CovarianceAligner,
    GapShift,
    GapSubspaceEraser,
    OrthogonalAligner,
    ShrunkWhitener,
    TopComponentsRemover,
)
from gapremoval.stores import FaissStore

ASKS_QUERIES = {
    "check_fit_score_takes_y": "score takes queries, and an untagged row is none",
    "check_pipeline_consistency": "score takes queries, and an untagged row is none",
}
EXPECTED_FAILURES = {MixedModalityRetriever: ASKS_QUERIES, StoreRetriever: ASKS_QUERIES}


# scikit-learn's rows carry no tags, which fitting says.
@pytest.mark.filterwarnings("ignore:.*was fitted on an array without modalities:UserWarning")
@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
@parametrize_with_checks(
    [
        ModalityGapRemover(),
        ModalityGapRemover(norm=None, shrinkage=0),
        GapShift(),
        AnchorAndScale(),
        CovarianceAligner(),
        GapSubspaceEraser(),
        OrthogonalAligner(),
        ByModality(StandardScaler()),
        ByModality(ShrunkWhitener()),
        ShrunkWhitener(),
        TopComponentsRemover(),
        MixedModalityRetriever(),
        MixedModalityRetriever(score_calibration=PosteriorOdds()),
        StoreRetriever(FaissStore()),
        StoreRetriever(FaissStore(), score_calibration=PosteriorOdds()),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES.get(type(estimator), {}),
)
def test_scikit_learn_finds_nothing(estimator, check):
    check(estimator)

"""Statistics over the scores that teach, against all of them held at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import all_scores, slow_spreads, teaching_scores

from gapremoval.score_calibration import _teaching

MODALITIES = ["audio", "image", "image+text", "text"]


@st.composite
def some_teaching(draw, min_rows=0, dtypes=("f4", "f8")):
    """TeachingScores of one to four modalities, with any block size."""
    names = draw(st.lists(st.sampled_from(MODALITIES), min_size=1, max_size=4, unique=True))
    counts = {name: draw(st.integers(1, 12)) for name in sorted(names)}
    n_queries = draw(st.integers(0, 9))
    n_stand_ins = draw(st.integers(max(min_rows - n_queries, 0), 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return teaching_scores(rng, counts, n_queries, n_stand_ins, draw(st.sampled_from(dtypes)))


def tolerance(scores):
    return 2e-6 if scores.vectors.dtype == "f4" else 1e-12


@pytest.fixture(params=[1, 7, 64, None])
def _blocks(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(_teaching, "BLOCK_SCORES", request.param)
        monkeypatch.setattr(_teaching, "BLOCK_DOCUMENTS", max(request.param // 7, 1))
        monkeypatch.setattr(_teaching, "ROWS_A_SUM", max(request.param // 7, 1))
        monkeypatch.setattr("gapremoval._array_api.BLOCK_SIZE", request.param)


pytestmark = [
    pytest.mark.usefixtures("_blocks"),
]
blocks_stay = pytest.mark.filterwarnings("error")


@given(some_teaching(min_rows=1), st.integers(0, 2**32 - 1))
def test_spreads_are_those_of_all_scores_without_a_stand_ins_own(scores, seed):
    n_rows = len(scores.queries) + len(scores.stand_ins)
    weights = np.random.default_rng(seed).uniform(0.1, 3, n_rows)
    got = scores.spreads(weights)
    want = slow_spreads(all_scores(scores), weights)
    for name, one, other in zip(("mean", "variance", "noise"), got, want):
        np.testing.assert_allclose(one, other, atol=tolerance(scores), rtol=0, err_msg=name)
    assert (got[1] >= 1e-12).all()
    assert (got[2] >= 0).all()

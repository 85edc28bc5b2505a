"""The numbers of an independent implementation, on real CLIP embeddings."""

import pytest
from mixed_corpora import SETTINGS
from reference_numbers import METHODS, REFERENCE, measure

PAPER = list(METHODS)[1]
# The settings of unequal shares have ten times as many corpora: the paper's method stands for all.
CASES = [
    pytest.param(s, m, marks=[] if m == PAPER or s[0] == "1:1:1" else pytest.mark.figures)
    for s in SETTINGS
    for m in METHODS
]


@pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")
@pytest.mark.parametrize(("setting", "method"), CASES, ids=str)
def test_the_reference_is_reached(real, setting, method):
    got = measure(real("flickr8k_clip_vitb32.npz"), *setting, METHODS[method])
    raw, *removed = REFERENCE[setting]
    if method == "raw":
        assert got[0] == pytest.approx(raw, abs=0.002)
    else:
        assert got[0] == pytest.approx(removed[0], abs=0.002)
        assert got[1:] == pytest.approx(removed[1:], abs=0.003)

"""The formulas of benchmarks/cost_model.py and the slopes of benchmarks/scaling.py, by hand."""

import cost_model
import numpy as np
import pytest
from cost_model import Machine
from hypothesis import given
from hypothesis import strategies as st
from scaling import power_law
from scipy.stats import linregress, t

from gapremoval import make_search_pipeline
from gapremoval.datasets import make_mixed_modality

BILLION = 10**9


@given(
    st.floats(-1, 3),
    st.floats(1e-9, 1e3),
    st.lists(st.integers(1, 10**7), min_size=3, max_size=6, unique=True),
)
def test_a_power_law_is_found_again(exponent, constant, sizes):
    sizes = np.sort(sizes) * 1.0
    found, half_width, of_one, (at_far, factor) = power_law(sizes, constant * sizes**exponent, 1e8)
    assert found == pytest.approx(exponent, abs=1e-4)
    assert half_width < 1e-4
    assert of_one == pytest.approx(constant, rel=1e-2)
    assert at_far == pytest.approx(constant * 1e8**exponent, rel=1e-2)
    assert factor == pytest.approx(1, abs=1e-2)


def test_slopes_are_those_of_scipy():
    sizes = np.array([1e5, 3e5, 1e6, 3e6])
    seconds = sizes * np.exp(np.random.default_rng(0).normal(0, 0.1, 4))
    line = linregress(np.log(sizes), np.log(seconds))
    exponent, half, constant, _ = power_law(sizes, seconds)
    assert exponent == pytest.approx(line.slope)
    assert half == pytest.approx(line.stderr * t.ppf(0.975, 2))
    assert constant == pytest.approx(np.exp(line.intercept))


def test_an_interval_holds_the_exponent_of_noisy_times_as_often_as_it_says():
    rng, sizes = np.random.default_rng(0), np.array([1e5, 3e5, 1e6, 3e6])
    inside = 0
    for _ in range(1000):
        exponent, half, *_ = power_law(sizes, sizes * np.exp(rng.normal(0, 0.1, 4)))
        inside += abs(exponent - 1) <= half
    assert 930 <= inside <= 970


def test_two_sizes_give_an_exponent_without_an_interval():
    exponent, half, _, (far, factor) = power_law([10, 1000], [2.0, 200.0], 10**5)
    assert (exponent, far) == pytest.approx((1, 20_000))
    assert np.isnan([half, factor]).all()


def test_bytes_of_a_billion_documents():
    assert cost_model.rows_bytes(BILLION, 512) == 1_024 * BILLION
    assert cost_model.statistics_bytes(BILLION, 2) == 48 * BILLION
    assert cost_model.exported_width(512, 3) == 516
    assert cost_model.exported_width(512, 2, n_blocks=2) == 1028
    assert cost_model.exported_bytes(BILLION, 512, 2) == 4 * 515 * BILLION
    assert cost_model.means_bytes(512, 3) == 3 * 513 * 8
    assert cost_model.bank_bytes(512) == 2048 * 512 * 4


def test_an_exported_row_has_the_width_of_the_formula():
    X, y = make_mixed_modality(60, random_state=0)
    pipe = make_search_pipeline().fit(X, y)
    exported = pipe[-1].export_vectors()
    assert exported.vectors.shape[1] == cost_model.exported_width(X.shape[1], 3)


def test_an_ivf_index_of_ten_thousand_rows():
    assert cost_model.n_lists(10_000) == 100
    # The centers, and ten lists of a hundred rows; all rows if all lists are probed.
    assert cost_model.ivf_rows(10_000, 100, 10) == 100 + 1000
    assert cost_model.ivf_rows(10_000, 100, 1000) == 100 + 10_000
    # Ten rounds over all rows, fewer than 256 a list, and once more to put them into lists.
    assert cost_model.ivf_build_flops(10_000, 8, 100) == 2 * 8 * 100 * (10 * 10_000 + 10_000)
    # Or over 256 rows a list.
    assert cost_model.ivf_build_flops(100_000, 8, 100) == 2 * 8 * 100 * (10 * 25_600 + 100_000)


def test_shards_hold_all_bytes_and_answer_with_k_hits_each():
    assert cost_model.n_shards(2_060 * BILLION, 64e9) == 33
    assert cost_model.n_shards(64e9, 64e9) == 1
    # 515 numbers out, ten ids and products back.
    assert cost_model.network_bytes(33, 515) == 33 * (2060 + 160)


def test_encoding_and_its_price():
    # Half images of 8.82 GFLOPs and half texts of 5.96.
    flops = cost_model.encode_flops(BILLION, 8.82e9, 5.96e9)
    assert flops == pytest.approx(7.39e18)
    options = cost_model.parser().parse_args(["--gpu-flops", "1e14", "--dollars-gpu-hour", "3"])
    costs = cost_model.costs(BILLION, "ViT-B-32", options)
    assert costs["encode, GPU hours"] == pytest.approx(73_900 / 3600)
    assert costs["dollars: GPUs, once"] == pytest.approx(3 * 73_900 / 3600)


def test_a_core_that_is_twice_as_fast_needs_half_the_time():
    rates = {"convert": 1e9, "scan": 1e10, "product": 1e11, "copy": 1e9, "write": 1e9}
    doubled = {name: 2 * rate for name, rate in rates.items()}
    how = {"n_cosines": 5632, "n_bank": 2049, "n_probe": 16}
    once, twice = (cost_model.seconds_of(10**6, 512, Machine(**x), **how) for x in (rates, doubled))
    for name, seconds in once.items():
        assert twice[name] == pytest.approx(seconds / 2)
    # 10^6 documents by 5,632 cosines of 512 features, at 10^11 FLOPs a second.
    learn = "index, posterior odds learn"
    assert once[learn] >= 2 * 512 * 5632 * 10**6 / 1e11
    # 515 numbers of four bytes each, at 10^10 bytes a second.
    assert once["faiss Flat, search 1"] == pytest.approx(0.206)

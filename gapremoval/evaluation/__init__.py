"""Comparison of pipelines: corpora, the harness, and the experiments of the paper."""

from ._compare import compare
from ._corpus import Corpus
from ._display import ComparisonDisplay
from ._methods import published_methods
from ._mixed_corpora import mixed_corpus, pair_corpus
from ._mteb import MtebSearch, mixbench_task
from ._query_noise import noisy_queries
from ._settings import compare_mixes, sag, sweep_fusion_weight, sweep_image_share
from ._sweeps import (
    compare_calibrations,
    sweep_calibration_size,
    sweep_query_noise,
    sweep_teaching_size,
)

__all__ = [
    "Comparison",
    "ComparisonDisplay",
    "Corpus",
    "MtebSearch",
    "compare",
    "compare_calibrations",
    "compare_mixes",
    "mixbench_task",
    "mixed_corpus",
    "noisy_queries",
    "pair_corpus",
    "published_methods",
    "sag",
    "sweep_calibration_size",
    "sweep_fusion_weight",
    "sweep_image_share",
    "sweep_query_noise",
    "sweep_teaching_size",
]


def __getattr__(name):
    # pandas, which is an extra, is imported with it.
    if name == "Comparison":
        from ._comparison import Comparison

        return Comparison
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What the paper leaves out: few calibration rows, rows from elsewhere, noise, other weights.

usage: python benchmarks/robustness.py
"""

from borrowed_means import products
from corpora import FLICKR8K, settings
from methods import GR, METHODS, OURS
from real_data import load_real
from tables import interval, print_table, quiet, row_of

from gapremoval import ModalityGapRemover, make_search_pipeline
from gapremoval.evaluation import (
    compare_calibrations,
    compare_mixes,
    sweep_calibration_size,
    sweep_fusion_weight,
    sweep_query_noise,
)

SHOWN = {name: METHODS[name] for name in ("raw", GR, OURS)}
NOISE = (0, 0.25, 0.5, 0.75, 1, 1.5)
WEIGHTS = (0, 0.2, 0.4, 0.5, 0.6, 0.8, 1)
MIXES = ("1:1:1", "8:1:1", "1:8:1", "1:1:8")


def rows_of(comparison, column, values):
    """By value of a column, the figures of each pipeline."""
    names = comparison["pipeline"].unique()
    return [
        [x, *(row_of(comparison, pipeline=n, answer_modality="all", **{column: x}) for n in names)]
        for x in values
    ]


def print_sweep(title, comparison, column, label):
    """A table with a line for each value of a column."""
    values = comparison[column].unique().tolist()
    rows = [[x, *map(interval, cells)] for x, *cells in rows_of(comparison, column, values)]
    print_table(title, [label, *comparison["pipeline"].unique()], rows)


def main():
    quiet()
    options = {"n_jobs": 2}
    corpora = settings(["1:1:1"])
    other = products()
    calibrated = {name: SHOWN[name] for name in (GR, OURS)}
    result = sweep_calibration_size(calibrated, corpora, sizes=(8, 16, 32), **options)
    print_sweep("Calibrated on rows of the corpus", result, "n_rows", "rows of each modality")
    sizes = {"sizes": (8, 32, 128, 512), "calibration": (other, None)}
    prior = ModalityGapRemover().fit(other).centers_
    prior = {"text": prior["text"], "image": prior["image"]}
    drawn = make_search_pipeline().set_params(modalitygapremover__prior=prior)
    result = sweep_calibration_size(calibrated, corpora, **sizes, **options)
    print_sweep("Calibrated on rows of the products", result, "n_rows", "rows of each modality")
    behind = {**calibrated, f"{OURS}, the products' means as prior": drawn}
    result = compare_calibrations(behind, corpora, others={"products": (other, None)}, **options)
    print_sweep("Calibrated elsewhere", result, "calibration", "rows")
    result = sweep_query_noise(SHOWN, corpora, amounts=NOISE, n_draws=15, **options)
    print_sweep("Noise on queries", result, "noise", "length of the noise")
    data = load_real(FLICKR8K)
    items = (data["text"][:, 0], data["image"])
    asked = {"questions": data["text"][:, 1:], **options}
    result = sweep_fusion_weight(SHOWN, *items, fusion_weights=WEIGHTS, **asked)
    print_sweep("Setting 2: all documents have both parts", result, "fusion_weight", "text weight")
    mixes = {"mixes": MIXES, "n_draws": 10, "extra_images": data["extra"]}
    result = compare_mixes(SHOWN, *items, **mixes, **asked)
    print_sweep("Setting 3: text:image:both, with the extra images", result, "corpus", "mix")


if __name__ == "__main__":
    main()

"""Every method in the six settings, and where all answers lie across the gap.

usage: python benchmarks/compare_methods.py [--methods NAME ...] [--cache FOLDER] [--jobs N]
"""

import argparse
import time

import numpy as np
from corpora import SETTINGS, pairs, settings, told
from methods import GR, METHODS, NEED_PAIRS
from tables import interval, print_table, quiet, row_of

from gapremoval.evaluation import compare

ANSWERS = ["all", "text", "image", "image+text"]
DIRECTIONS = {"text queries": "image", "image queries": "text"}


def print_settings(methods, **options):
    """Learned from the tested queries, unlabeled."""
    comparison = compare(methods, settings(), **options)
    gain = comparison.difference_to(GR)
    mean, mean_gain = (x.over_corpora(same_items=True) for x in (comparison, gain))
    rows = []
    for name in methods:
        of_all = {"pipeline": name, "answer_modality": "all"}
        row = [name, *(interval(row_of(comparison, corpus=c, **of_all)) for c in SETTINGS)]
        row += [
            f"{row_of(mean, **of_all)['mean']:.4f}",
            interval(row_of(mean_gain, **of_all), 4, True),
        ]
        gains = [row_of(gain, corpus=c, **of_all) for c in SETTINGS]
        rows.append([*row, interval(min(gains, key=lambda x: x["mean"]), 4, True)])
    header = ["", *SETTINGS, "mean", "over GR, mean", "over GR, worst setting"]
    print_table("NDCG@10 in the six settings", header, rows)
    for answer in ANSWERS[1:]:
        keys = {"answer_modality": answer}
        tables = [*(comparison[comparison["corpus"] == c] for c in SETTINGS), mean]
        rows = [
            [name, *(interval(row_of(table, pipeline=name, **keys)) for table in tables)]
            for name in methods
        ]
        print_table(f"NDCG@10 where the answer is {answer}", ["", *SETTINGS, "mean"], rows)
    return comparison


def way_to_ceiling(comparison, ceiling):
    """The share of the way from GR to a search that is told the modality of the answer.

    Returns
    -------
    dict of str to ndarray
        By method, a share for each file and query modality.
    """

    def means(table, name):
        return np.array([
            row_of(table, pipeline=name, corpus=c, answer_modality=m)["mean"]
            for c in table["corpus"].unique() for m in DIRECTIONS.values()
        ])  # fmt: skip

    start, end = means(comparison, GR), means(ceiling, GR)
    names = comparison["pipeline"].unique()
    return {name: (means(comparison, name) - start) / (end - start) for name in names}


def print_pairs(methods, **options):
    """Half of the items are texts, half are images, and each item asks with its other part."""
    corpora = pairs()
    methods = {name: method for name, method in methods.items() if name not in NEED_PAIRS}
    comparison = compare(methods, corpora, **options)
    ceiling = compare({GR: methods[GR]}, told(corpora), **options)
    ways = way_to_ceiling(comparison, ceiling)
    named = [(c, m) for c in corpora for m in DIRECTIONS.values()]
    rows = []
    for name, table in [*((name, comparison) for name in methods), (GR, ceiling)]:
        cells = [
            interval(row_of(table, pipeline=name, corpus=c, answer_modality=m)) for c, m in named
        ]
        way = ways[name] if table is comparison else np.ones(1)
        label = name if table is comparison else "GR, told the modality of the answer"
        rows.append([label, *cells, f"{way.mean():.2f}", f"{way.min():.2f}"])
    header = [f"{c}, {direction}" for c in corpora for direction in DIRECTIONS]
    print_table(
        "NDCG@10 across the gap, and the share of the way from GR to the ceiling",
        ["", *header, "way, mean", "way, worst"],
        rows,
    )
    return comparison


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", help="a folder that keeps results")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument(
        "--methods", nargs="+", default=METHODS, choices=METHODS, help="to compare with GR"
    )
    arguments = parser.parse_args()
    methods = {name: METHODS[name] for name in METHODS if name in [GR, *arguments.methods]}
    quiet()
    options = {"cache": arguments.cache, "n_jobs": arguments.jobs}
    begun = time.perf_counter()
    print_settings(methods, **options)
    print_pairs(methods, **options)
    print(f"\nAll of it took {(time.perf_counter() - begun) / 60:.1f} minutes.")


if __name__ == "__main__":
    main()

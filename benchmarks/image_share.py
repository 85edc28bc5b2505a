"""Setting 1 of the paper on Flickr8k: texts become images one after the other.

usage: python benchmarks/image_share.py [--picture FILE]
"""

import argparse

from corpora import FLICKR8K
from methods import GR, METHODS, OURS
from real_data import load_real
from tables import print_table, quiet

from gapremoval.evaluation import ComparisonDisplay, sag, sweep_image_share


def measure_image_share(n_draws=10, **options):
    """One caption is the document, the other four ask."""
    quiet()
    data = load_real(FLICKR8K)
    text, image = data["text"], data["image"]
    pipelines = {name: METHODS[name] for name in ("raw", GR, OURS)}
    questions = {"questions": text[:, 1:], "n_draws": n_draws}
    return sweep_image_share(pipelines, text[:, 0], image, **questions, **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", help="where to draw the curves")
    picture = parser.parse_args().picture
    measured = measure_image_share(n_jobs=2)
    every = measured[measured["answer_modality"] == "all"]
    curves = every.pivot(index="pipeline", columns="image_share", values="mean")
    depth = sag(measured)
    rows = [
        [name, *(f"{x:.3f}" for x in curves.loc[name]), f"{depth[name]:.3f}"]
        for name in depth.index
    ]
    header = ["share of images", *(str(x) for x in curves.columns), "sag"]
    print_table("NDCG@10 over the share of images", header, rows)
    if picture:
        ComparisonDisplay(measured).plot().figure_.savefig(picture, dpi=150)


if __name__ == "__main__":
    main()

"""How long does a report take, how large is it, and what does it say of real embeddings?

usage: python benchmarks/report.py
"""

import json
from time import perf_counter, process_time

import numpy as np
from corpora import settings
from real_data import load_real
from tables import print_table

from gapremoval import EmbeddingArray
from gapremoval.datasets import make_mixed_modality
from gapremoval.evaluation import mixed_corpus
from gapremoval.inspection import GapReport

MODALITIES = ("text", "image", "image+text")


def corpora():
    """The rows and ids of each report, by name."""
    flickr = load_real("flickr8k_clip_vitb32.npz")
    text, image = flickr["text"], flickr["image"]
    proportions = [MODALITIES[i % 3] for i in range(len(text))]
    mixed = {"proportions": proportions, "questions": text[:, 1:]}
    yield "Flickr8k, 1:1:1", *mixed_corpus(text[:, 0], image, **mixed)
    extra = flickr["extra"]
    yield "Flickr8k, 1:1:1 + extra", *mixed_corpus(text[:, 0], image, extra_images=extra, **mixed)
    for name, file in (("COCO", "coco_clip_vitb16"), ("products", "products_clip_vitb32")):
        data = load_real(f"{file}.npz")
        X = EmbeddingArray.concatenate({"text": data["text"], "image": data["image"]})
        yield f"{name}, pairs without queries", X, [*range(len(data["text"]))] * 2
    images = np.concatenate([extra, image])
    called = np.random.default_rng(0).permutation(np.resize(["image", "text"], len(images)))
    yield "Flickr8k, images half of which are called texts", EmbeddingArray(images, called), None


def measure_means():
    """What reports say of the 15 corpora of 1:1:1, in the mean.

    Returns
    -------
    dict of str to dict of str to float
        By way to search: the share of each modality in the first ten (``"first ten, text"``), and
        NDCG@10 where it answers (``"NDCG@10, text"``).
    """
    corpora = settings(["1:1:1"])["1:1:1"]
    reports = [json.loads(GapReport(*corpus).json())["ranking"]["ways"] for corpus in corpora]
    means = {}
    for ways in zip(*reports):
        named = {"first ten": "share_of_top", "NDCG@10": "ndcg"}.items()
        means[ways[0]["name"]] = {
            f"{name}, {modality}": float(np.mean([way[key][modality] for way in ways]))
            for name, key in named
            for modality in MODALITIES
        }
    return means


def main():
    print("| rows | verdict | answers | raw | gap removed | recommended | advised |")
    print("|---|---|---|---|---|---|---|")
    for name, X, y in corpora():
        figures = json.loads(GapReport(X, y).json())
        ways = figures["ranking"]["ways"]
        for modality in ways[0]["ndcg"] or ["-"]:
            values = [way["ndcg"].get(modality) for way in ways]
            shown = " | ".join("-" if x is None else f"{x:.3f}" for x in values)
            headline, advised = figures["verdict"]["headline"], figures["advised"]
            print(f"| {name} | {headline} | {modality} | {shown} | {advised} |")

    means = measure_means()
    rows = [[way, *(f"{x:.3f}" for x in figures.values())] for way, figures in means.items()]
    print_table("Flickr8k, 1:1:1, mean of 15 reports", ["", *means["raw"]], rows)

    X, y = make_mixed_modality(60_000, random_state=0)
    rows = np.flatnonzero(np.cumsum(X.modality == "query:text") <= 20_000)
    X, y = X[rows], y[rows]
    started, busy = perf_counter(), process_time()
    report = GapReport(X, y)
    page = report.html()
    seconds, busy = perf_counter() - started, process_time() - busy
    print(
        f"\n{len(X):,} rows x {X.shape[1]}: {seconds:.1f} s ({busy:.1f} s of processor time), "
        f"{len(page.encode()) / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()

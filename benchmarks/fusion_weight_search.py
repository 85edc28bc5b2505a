"""How much faster than GridSearchCV is a search over the fusion weight, with the same scores?

Three folds over 21 weights with a pipeline of the removed gap, without a score calibration and with
posterior odds, which is the recommended pipeline. Flickr8k is real: an image and a caption a
document, four captions that ask. The others are drawn: a third each texts, images and documents of
both, documents of both alone, or products: four fifths have both, the others one. They have a
question a document and 512 features.

usage: python benchmarks/fusion_weight_search.py [--documents 300 3000] [--products 1000]
           [--rounds 5]
"""

import argparse
import time

import _tests  # noqa: F401
import numpy as np
from real_data import load_real
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    FusionWeightSearchCV,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    QueryKFold,
)
from gapremoval.datasets import make_mixed_modality

WEIGHTS = np.linspace(0, 1, 21)
GRID = {"mixedmodalityretriever__fusion_weight": WEIGHTS}


def flickr8k():
    data = load_real("flickr8k_clip_vitb32.npz")
    texts, images = data["text"], data["image"]
    n, k, width = texts.shape
    X = EmbeddingArray.concatenate(
        {"text": texts[:, 0], "image": images, "query:text": texts[:, 1:].reshape(-1, width)}
    )
    return X, [*range(n), *range(n), *np.repeat(np.arange(n), k - 1).tolist()]


def products(n_documents):
    shares = {"image+text": 8, "image": 1, "text": 1}
    return make_mixed_modality(n_documents, proportions=shares, random_state=0)


def drawn(n_documents, *, only_both):
    if not only_both:
        return make_mixed_modality(n_documents, random_state=0)
    X, y = make_mixed_modality(3 * n_documents, random_state=0)
    ids, n_rows = np.unique(y.astype(str), return_counts=True)
    kept = np.isin(y.astype(str), ids[n_rows == 3])  # a text, an image and a question
    return X[kept], y[kept]


def timed_fit(search, X, y):
    """Seconds, and the mean score of each weight."""
    start = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - start, search.cv_results_["mean_test_score"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="*", default=[300, 3000])
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    corpora = {"Flickr8k, both": (flickr8k(), None)}
    for n in options.documents:
        corpora[f"{n} drawn, mixed"] = drawn(n, only_both=False), None
        corpora[f"{n} drawn, both"] = drawn(n, only_both=True), None
    corpora["Flickr8k, both, posterior odds"] = flickr8k(), PosteriorOdds()
    name = f"{options.products} drawn products, posterior odds"
    corpora[name] = products(options.products), PosteriorOdds()
    cv = QueryKFold(3)
    print("| documents | questions | times faster, median | range | largest difference |")
    print("|---|---|---|---|---|")
    for name, ((X, y), calibration) in corpora.items():
        pipe = make_pipeline(
            ModalityGapRemover(), MixedModalityRetriever(score_calibration=calibration)
        )
        slow = GridSearchCV(pipe, GRID, cv=cv, error_score="raise")
        fast = FusionWeightSearchCV(pipe, WEIGHTS, cv=cv)
        ratios, off = [], 0.0
        for _ in range(options.rounds):
            slow_time, want = timed_fit(slow, X, y)
            fast_time, found = timed_fit(fast, X, y)
            ratios.append(slow_time / fast_time)
            off = max(off, np.abs(want - found).max())
        n_questions = int((X.modality == "query:text").sum())
        print(
            f"| {name} | {n_questions} | {np.median(ratios):.1f} | "
            f"{min(ratios):.1f} to {max(ratios):.1f} | {off:.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

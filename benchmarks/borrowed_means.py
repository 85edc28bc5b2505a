"""What does it cost to take the means from another corpus?

Flickr8k photos and captions, searched with means of Amazon products (1:1:1, 15 corpora).

usage: python benchmarks/borrowed_means.py
"""

import warnings

import _tests  # noqa: F401
import numpy as np
from mixed_corpora import mixed_corpora
from real_data import load_real
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover


def removers(other, queries):
    """What to put before the retriever: a name and an unfitted or frozen remover each."""
    asked = ModalityGapRemover(shrinkage=0).fit(queries).means_
    borrowed = {"shrinkage": np.inf}
    return {
        "own": ModalityGapRemover(),
        "the products', `FrozenEstimator(other)`": FrozenEstimator(other),
        "the products', `prior=other.centers_, shrinkage=np.inf`": ModalityGapRemover(
            prior=other.centers_, **borrowed
        ),
        "the products' for documents, own for queries": ModalityGapRemover(
            prior={**other.centers_, **asked}, **borrowed
        ),
        "own, with the products' behind them as 16 rows": ModalityGapRemover(prior=other.centers_),
    }


def main():
    # The corpora are small, and some means are the prior's alone on purpose.
    warnings.filterwarnings("ignore", message="Few rows|.*comes from the prior alone")
    data, products = load_real("flickr8k_clip_vitb32.npz"), load_real("products_clip_vitb32.npz")
    other = ModalityGapRemover().fit(
        EmbeddingArray.concatenate({"text": products["text"], "image": products["image"]})
    )
    scores = {}
    for documents, queries, ids, relevance, _ in mixed_corpora(data, "1:1:1", extra=False):
        X = EmbeddingArray.concatenate([documents, queries])
        for name, remover in removers(other, queries).items():
            pipe = make_pipeline(remover, MixedModalityRetriever()).fit(X, ids + relevance)
            scores.setdefault(name, []).append(pipe.score(queries, relevance))
    print("| means | NDCG@10 |")
    print("|---|---|")
    for name, values in scores.items():
        print(f"| {name} | {np.mean(values):.4f} |")


if __name__ == "__main__":
    main()

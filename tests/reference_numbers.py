"""Does the library reach the numbers of an independent implementation on real CLIP rows?

usage: python tests/reference_numbers.py
"""

import warnings

import numpy as np
from mixed_corpora import SETTINGS, mixed_corpora
from real_data import load_real
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover
from gapremoval.metrics import ndcg_at_k

# NDCG@10 of a plain numpy implementation, float64: raw, gap removed, and the latter for
# queries whose answer is a text, an image, both.
REFERENCE = {
    ("1:1:1", False): (0.5773, 0.8956, 0.9445, 0.7762, 0.9654),
    ("1:1:1", True): (0.5773, 0.8663, 0.9319, 0.7078, 0.9586),
    ("7:2:1", False): (0.7007, 0.8916, 0.9306, 0.7251, 0.9517),
    ("7:2:1", True): (0.7006, 0.8735, 0.9210, 0.6706, 0.9466),
    ("1:8:1", False): (0.3178, 0.9208, 0.9598, 0.9079, 0.9847),
    ("1:8:1", True): (0.3031, 0.8379, 0.9384, 0.8082, 0.9748),
}

METHODS = {
    "raw": [],
    "the paper (norm=None, shrinkage=0)": [ModalityGapRemover(norm=None, shrinkage=0)],
    "defaults (norm='l2', shrinkage=16)": [ModalityGapRemover()],
}


def measure(data, pattern, extra, steps):
    """NDCG@10 of a setting: in all, and where the answer is a text, an image, both.

    Returns
    -------
    ndarray of shape (4,)
        Means over the corpora of the means over the queries.
    """
    rows = []
    for documents, queries, ids, relevance, kind in mixed_corpora(data, pattern, extra):
        X = EmbeddingArray.concatenate([documents, queries])
        pipe = make_pipeline(*steps, MixedModalityRetriever()).fit(X, ids + relevance)
        ndcg = ndcg_at_k(relevance, pipe.predict(queries))
        kind = np.array(kind)
        rows.append([ndcg.mean(), *(ndcg[kind == k].mean() for k in ("text", "image", "both"))])
    return np.mean(rows, axis=0)


def main():
    warnings.filterwarnings("ignore", message="Few rows")  # Some corpora have five texts.
    data = load_real("flickr8k_clip_vitb32.npz")
    print("| setting | method | NDCG@10 | text | image | both | reference | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        for number, (name, steps) in enumerate(METHODS.items()):
            got, want = measure(data, *setting, steps), REFERENCE[setting][min(number, 1)]
            label = setting[0] + (" + extra" if setting[1] else "")
            figures = " | ".join(f"{x:.4f}" for x in got)
            print(f"| {label} | {name} | {figures} | {want:.4f} | {got[0] - want:+.4f} |")


if __name__ == "__main__":
    main()

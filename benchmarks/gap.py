"""What is left of the gap between COCO's images and captions?

usage: python benchmarks/gap.py
"""

import _tests  # noqa: F401
import numpy as np
from real_data import load_real
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from gapremoval import EmbeddingArray, ModalityGapRemover


def measure(X):
    """Distance of the centroids; accuracy of a linear classifier, fitted and held out."""
    centroids = [X.values[X.modality == m].astype(float).mean(axis=0) for m in ("text", "image")]
    classifier = LogisticRegression()
    fitted = classifier.fit(X.values, X.modality).score(X.values, X.modality)
    held_out = cross_val_score(classifier, X.values, X.modality, cv=5).mean()
    return np.linalg.norm(centroids[0] - centroids[1]), fitted, held_out


def main():
    data = load_real("coco_clip_vitb16.npz")
    X = EmbeddingArray.concatenate({"text": data["text"], "image": data["image"]})
    versions = {
        "raw": X,
        "removed, `norm=None`": ModalityGapRemover(norm=None).fit_transform(X),
        "removed, `norm='l2'`": ModalityGapRemover().fit_transform(X),
    }
    print("| rows | centroid distance | classifier, on its own rows | classifier, held out |")
    print("|---|---|---|---|")
    for name, rows in versions.items():
        distance, fitted, held_out = measure(rows)
        print(f"| {name} | {distance:.3g} | {fitted:.3f} | {held_out:.3f} |")


if __name__ == "__main__":
    main()

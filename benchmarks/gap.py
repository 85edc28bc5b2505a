"""What is left of the gap between COCO's images and captions?

usage: python benchmarks/gap.py
"""

import _tests  # noqa: F401
import numpy as np
from real_data import load_real
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import NearestNeighbors

from gapremoval import EmbeddingArray, ModalityGapRemover


def measure(X):
    """Distance of the centroids; accuracy of a linear classifier, fitted and held out, and of
    the modality of the nearest other row.
    """
    centroids = [X.values[X.modality == m].astype(float).mean(axis=0) for m in ("text", "image")]
    classifier = LogisticRegression()
    fitted = classifier.fit(X.values, X.modality).score(X.values, X.modality)
    held_out = cross_val_score(classifier, X.values, X.modality, cv=5).mean()
    nearest = NearestNeighbors(n_neighbors=1).fit(X.values).kneighbors(return_distance=False)
    same = np.mean(X.modality[nearest[:, 0]] == X.modality)
    return np.linalg.norm(centroids[0] - centroids[1]), fitted, held_out, same


def cosines(X, one, other):
    """Mean and standard deviation of the cosines of rows of different items."""
    one, other = (X.values[X.modality == m].astype(float) for m in (one, other))
    products = one @ other.T
    products /= np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)
    products = products[~np.eye(len(one), dtype=bool)]
    return products.mean(), products.std()


def main():
    data = load_real("coco_clip_vitb16.npz")
    X = EmbeddingArray.concatenate({"text": data["text"], "image": data["image"]})
    versions = {
        "raw": X,
        "removed, `norm=None`": ModalityGapRemover(norm=None).fit_transform(X),
        "removed, `norm='l2'`": ModalityGapRemover().fit_transform(X),
    }
    print(
        "| rows | centroid distance | classifier, on its own rows | classifier, held out "
        "| nearest row of the same modality |"
    )
    print("|---|---|---|---|---|")
    for name, rows in versions.items():
        distance, *shares = measure(rows)
        print(f"| {name} | {distance:.3g} | " + " | ".join(f"{x:.3f}" for x in shares) + " |")
    pairs = [("text", "text"), ("image", "image"), ("text", "image")]
    print("\n| rows | " + " | ".join(f"{one} and {other}" for one, other in pairs) + " |")
    print("|---|---|---|---|")
    for name, rows in versions.items():
        moments = [cosines(rows, *pair) for pair in pairs]
        print(f"| {name} | " + " | ".join(f"{m:.3f} ± {sd:.3f}" for m, sd in moments) + " |")


if __name__ == "__main__":
    main()

"""How wide is the gap of real embeddings, and what is left of it?

usage: python benchmarks/gap.py
"""

import _tests  # noqa: F401
import numpy as np
from corpora import PAIR_FILES
from real_data import load_real
from tables import print_table

from gapremoval import EmbeddingArray, ModalityGapRemover, metrics


def each(values):
    """Those of text and image, as text."""
    return " / ".join(f"{values[name]:.2f}" for name in ("text", "image"))


def measures(X, y):
    """All measures of the gap, by name, as text."""
    test = metrics.modality_gap_test(X, y)
    statistics = metrics.modality_statistics(X)
    neighbors = [metrics.same_modality_neighbors(X, k) for k in (1, 10)]
    parts, hubs = metrics.gap_components(X), metrics.hubness(X)
    groups = [gap.effect_size for gap in metrics.gap_by_group(X).values()]
    return {
        "centroid distance": f"{metrics.centroid_distance(X):.3f}",
        "relative gap": f"{metrics.relative_modality_gap(X, y):.3f}",
        "effect size": f"{test.effect_size:.3f}",
        "p-value of the gap": f"{test.p_value:.3f}",
        "classifier, held out": f"{metrics.linear_separability(X):.3f}",
        "nearest row of the same modality": each({k: x.share for k, x in neighbors[0].items()}),
        "10 nearest of the same modality": each({k: x.share for k, x in neighbors[1].items()}),
        "Frechet distance": f"{metrics.frechet_distance(X):.3f}",
        "of it: mean": f"{parts.mean:.3f}",
        "of it: scale": f"{parts.scale:.3f}",
        "of it: directions (by chance)": (
            f"{parts.directions:.3f} ({parts.directions_by_chance:.3f})"
        ),
        "mean discrepancy": f"{metrics.maximum_mean_discrepancy(X):.3f}",
        "share of 3 dimensions": f"{metrics.gap_dimensions(X).shares[:3].sum():.2f}",
        "effect size within clusters": f"{np.nanmin(groups):.2f} to {np.nanmax(groups):.2f}",
        "score scale": f"{metrics.score_scale(X, y):.3f}",
        "alignment": f"{metrics.alignment(X, y):.3f}",
        "uniformity": each(metrics.uniformity(X)),
        "length of the mean": each({k: x.mean_length for k, x in statistics.items()}),
        "cone angle": each({k: x.cone_angle for k, x in statistics.items()}),
        "effective dimension": each({k: x.effective_dimension for k, x in statistics.items()}),
        "subspace overlap": f"{metrics.subspace_overlap(X):.3f}",
        "hubness: skewness, Gini": f"{hubs.skewness:.2f}, {hubs.gini:.2f}",
    }


def cosines(X, one, other):
    """Mean and standard deviation of the cosines of rows of different items."""
    one, other = (X.values[X.modality == m].astype(float) for m in (one, other))
    products = one @ other.T
    products /= np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)
    products = products[~np.eye(len(one), dtype=bool)]
    return products.mean(), products.std()


def main():
    columns, moments = {}, []
    pairs = [("text", "text"), ("image", "image"), ("text", "image")]
    for name, file in PAIR_FILES.items():
        data = load_real(file)
        text = data["text"] if data["text"].ndim == 2 else data["text"][:, 0]
        X, y = (
            EmbeddingArray.concatenate({"text": text, "image": data["image"]}),
            [*range(len(text))] * 2,
        )
        for version, rows in {"raw": X, "removed": ModalityGapRemover().fit_transform(X)}.items():
            columns[f"{name}, {version}"] = measures(rows, y)
            found = (cosines(rows, *pair) for pair in pairs)
            moments.append([f"{name}, {version}", *(f"{m:.3f} ± {sd:.3f}" for m, sd in found)])
    names = next(iter(columns.values()))
    rows = [[name, *(column[name] for column in columns.values())] for name in names]
    print_table("Measures of the gap", ["measure", *columns], rows)
    header = ["rows", *(f"{one} and {other}" for one, other in pairs)]
    print_table("Mean and standard deviation of the cosines of different items", header, moments)


if __name__ == "__main__":
    main()

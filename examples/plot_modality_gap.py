"""
What the modality gap looks like
================================

A CLIP-like encoder places images and texts in one space, but in two separate clouds. This example
shows how to see the gap in your own embeddings, what removing it changes, and what it leaves: the
scores of images and texts still differ in spread, and posterior odds make them comparable.

It runs offline on the pocket model, which knows drawn scenes of colored shapes.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from gapremoval import (
    CLIPEncoder,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_scenes

COLORS = {"image": "#ee7733", "text": "#0077bb", "query:text": "#33bbee"}
MARKERS = {"image": "o", "text": "s", "query:text": "x"}

# %%
# Embeddings with tags
# --------------------
#
# Half of the scenes are documents as images, half as texts. The queries describe all of them in
# other words. The encoder returns rows with their modality.

n = 200
scenes = make_scenes(n, random_state=3)
documents = scenes.images[: n // 2] + [captions[0] for captions in scenes.captions[n // 2 :]]
queries = [Query(captions[1]) for captions in scenes.captions]
X = CLIPEncoder("pocket").transform(documents + queries)
y = [*range(n), *[None] * n]
print(X)

# %%
# Two clouds
# ----------
#
# The distance of the two centroids measures the gap. All rows have unit length, so it is at most
# two.


def gap(X):
    """Distance of the centroids of images and texts."""
    image, text = (X.values[X.modality == m].mean(axis=0) for m in ("image", "text"))
    return np.linalg.norm(image - text)


Z = ModalityGapRemover().fit_transform(X)
print(f"distance of the centroids: raw {gap(X):.3f}, gap removed {gap(Z):.3f}")

# %%
# In the plane of the first two principal components the clouds do not touch. ``ModalityGapRemover``
# subtracts from each row the mean of its modality, and rescales it to unit length. Queries have a
# mean of their own.

figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for axes, rows, title in zip(panels, (X, Z), ("raw", "gap removed")):
    flat = PCA(2, random_state=0).fit_transform(rows.values)
    for name, color in COLORS.items():
        points = flat[rows.modality == name].T
        axes.scatter(*points, s=14, alpha=0.6, color=color, marker=MARKERS[name], label=name)
    axes.set(
        title=f"{title}: centroids {gap(rows):.2f} apart",
        xlabel="first principal component",
        ylabel="second principal component",
        aspect="equal",
        adjustable="datalim",
    )
panels[0].legend(frameon=False)
plt.show()

# %%
# What it does to scores
# ----------------------
#
# A search ranks by scores. For each query, compare the score of its right answer with the best
# score of a wrong one: the right answer is first if it scores higher.

pipelines = {
    "raw": make_pipeline(MixedModalityRetriever()),
    "gap removed": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
    "posterior odds": make_search_pipeline(),
}
right_score, wrong_score = {}, {}
for name, pipe in pipelines.items():
    found = search(pipe.fit(X, y), X[n:], n_neighbors=n)
    is_right = found.ids == np.arange(n)[:, None]
    right_score[name] = found.scores[is_right]
    wrong_score[name] = np.where(is_right, -np.inf, found.scores).max(axis=1)

modality = np.repeat(["image", "text"], n // 2)
for name in pipelines:
    first = right_score[name] > wrong_score[name]
    shares = ", ".join(f"{m} {first[modality == m].mean():.2f}" for m in ("image", "text"))
    print(f"{name}: the right answer is first, {shares}")

# %%
# Raw, right answers that are images score below the best wrong ones. With the gap removed most of
# them score above, but right images still score lower than right texts, and overlap with wrong
# answers. Posterior odds divide a document's score by the spread of its wrong scores and add an
# offset for its modality, so right answers of both modalities have similar scores. These scores are
# not cosines, so the last axis differs.

figure, panels = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
for axes, name in zip(panels, pipelines):
    right, wrong = right_score[name], wrong_score[name]
    bins = np.histogram_bin_edges(np.concatenate([right, wrong]), 30)
    axes.hist(wrong, bins, color="#bbbbbb", label="best wrong answer")
    for m, hatch in (("image", "//"), ("text", None)):
        axes.hist(
            right[modality == m],
            bins,
            color=COLORS[m],
            alpha=0.7,
            hatch=hatch,
            label=f"right answer, {m}",
        )
    axes.set(title=name, xlabel="score" if name == "posterior odds" else "cosine")
    axes.spines[["top", "right"]].set_visible(False)
panels[0].set_ylabel("queries")
panels[0].legend(frameon=False, fontsize="small")
plt.show()

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
from gapremoval.inspection import CosineDisplay, EmbeddingMapDisplay, RankingBiasDisplay
from gapremoval.metrics import centroid_distance

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

remover = ModalityGapRemover().fit(X)
raw, removed = centroid_distance(X), centroid_distance(remover.transform(X))
print(f"distance of the centroids: raw {raw:.3f}, gap removed {removed:.3f}")

# %%
# In the plane of the first two principal components the clouds do not touch. ``ModalityGapRemover``
# subtracts from each row the mean of its modality, and rescales it to unit length. Queries have a
# mean of their own.

EmbeddingMapDisplay.from_estimator(remover, X)
plt.show()

# %%
# What it does to cosines
# -----------------------
#
# A search ranks by cosines. Each line shows those of a pair of modalities, and outlined those of
# right answers, which are a query and its document. Raw, the right images of text queries score
# lower than many texts that have nothing to do with them. With the gap removed they score higher.

answers = np.arange(n)
CosineDisplay.from_estimator(remover, X, [*range(n), *answers])
plt.show()

# %%
# What it does to a search
# ------------------------
#
# The right answer of a query should be first, be it an image or a text.

pipelines = {
    "raw": make_pipeline(MixedModalityRetriever()),
    "gap removed": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
    "posterior odds": make_search_pipeline(),
}
is_image = answers < n // 2
for name, pipe in pipelines.items():
    first = search(pipe.fit(X, y), X[n:], 1).ids[:, 0] == answers
    image, text = first[is_image].mean(), first[~is_image].mean()
    print(f"{name}: the right answer is first, image {image:.2f}, text {text:.2f}")

# %%
# Half of the documents are images. In the raw search texts fill the top ten. With the gap removed
# most right images are found, but they still score lower than right texts. Posterior odds divide a
# document's score by the spread of its wrong scores and add an offset for its modality, so that the
# scores of both are comparable.

RankingBiasDisplay.from_estimator(pipelines, X[n:], answers)
plt.show()

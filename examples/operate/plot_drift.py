"""
When a growing corpus needs a new fit
=====================================

New documents come every month. The search adds them without fitting again, and keeps the means that
it learned at first. ``DriftDisplay`` shows how far the new rows lie from these means, so that you
notice when they come from somewhere else. This example lets a corpus drift, and shows what a new
fit gains.

The rows are drawn with the statistics of CLIP embeddings.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    add_documents,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import DriftDisplay

# %%
# Six months
# ----------
#
# The first months bring documents like those of the fit. Then a new supplier's photos come in
# growing shares, from another camera: all of them are shifted in the same direction.

X, y = make_mixed_modality(
    700, proportions={"text": 1, "image": 1}, queries={"text": 1}, random_state=0
)
is_query = X.modality == "query:text"
camera = np.random.default_rng(0).normal(size=512)
camera *= 0.5 / np.linalg.norm(camera)
number = np.array([int(document.removeprefix("item")) for document in y])
month = number // 100
rate = np.array([0, 0, 0, 0.1, 0.3, 0.6, 1])[month]
shifted = (X.modality == "image") & (number % 10 < 10 * rate)
X = EmbeddingArray(X.values + shifted[:, None] * camera.astype("float32"), X.modality)

# %%
# Fit on the first month
# ----------------------

pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
first = ~is_query & (month == 0)
pipe.fit(X[first], y[first])

# %%
# Watch the others
# ----------------
#
# Drift is about 1 by chance, whatever the number of documents. It needs no queries and no labels.

batches = {f"month {m}": X[~is_query & (month == m)] for m in range(1, 7)}
display = DriftDisplay.from_estimator(pipe[0], batches)
plt.show()

for name in ("image", "text"):
    print(f"{name}: drift " + ", ".join(f"{x:.1f}" for x in display.drifts[name]))

# %%
# What it costs
# -------------
#
# All documents are added as they come. At the end, compare this search with one that is fitted
# again on all of them.

for m in range(1, 7):
    new = ~is_query & (month == m)
    add_documents(pipe, X[new], y[new])
again = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
again.fit(X[~is_query], y[~is_query])
late = is_query & (month >= 4)
kept, refitted = (p.score(X[late], y[late]) for p in (pipe, again))
print(f"NDCG@10 of late questions: as fitted {kept:.3f}, fitted again {refitted:.3f}")

# %%
# Fit again when the drift of a modality has left 1 for good. One high value may be a single odd
# delivery: look at it first. :doc:`/guide/growing` adds and removes documents.

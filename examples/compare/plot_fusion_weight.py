"""
How much should the text of a document weigh
============================================

A document with an image and a text becomes one vector, and ``fusion_weight`` is the weight of its
text. ``FusionWeightSearchCV`` tries many weights by cross-validation over the queries. This example
draws the curve with the spread of its folds, so that you see whether the best weight is better by
more than chance.

The rows are drawn with the statistics of CLIP embeddings.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from gapremoval import FusionWeightSearchCV, MixedModalityRetriever, ModalityGapRemover
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import FusionWeightDisplay

# %%
# Documents and questions
# -----------------------
#
# Two thirds of the documents have an image and a text; the others are one of both. Half of the
# questions are texts and half are pictures, as where users may upload a photo.

X, y = make_mixed_modality(
    300,
    proportions={"text": 1, "image": 1, "image+text": 4},
    queries={"text": 1, "image": 1},
    random_state=0,
)
print(X)

# %%
# Search over weights
# -------------------
#
# The search encodes nothing and fits each step before the retriever once a fold, so 21 weights
# cost little more than one. ``QueryKFold``, the default, keeps all documents in every fold.

weights = np.linspace(0, 1, 21)
pipelines = {
    "raw": make_pipeline(MixedModalityRetriever()),
    "gap removed": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
}
searches = {name: FusionWeightSearchCV(pipe, weights).fit(X, y) for name, pipe in pipelines.items()}
for name, search in searches.items():
    best, spread = search.best_index_, search.cv_results_["std_test_score"]
    print(
        f"{name}: best weight {weights[best]:.2f}, "
        f"NDCG@10 {search.best_score_:.3f} with a spread of {spread[best]:.3f} over the folds"
    )

# %%
# The curve
# ---------

figure, panels = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
for axes, (name, search) in zip(panels, searches.items()):
    FusionWeightDisplay.from_estimator(search, ax=axes)
    axes.set_title(name)
plt.show()

# %%
# Raw, the curve has its best weights where both parts count, and none is good. With the gap removed
# it is higher everywhere and flat in the middle: weights from 0.4 to 0.6 differ by less than the
# folds do. Then keep 0.5, the default, which favors neither part. Tune where the curve is steep,
# and where your queries are those of your users: a log of text queries alone moves the best weight
# towards the text.

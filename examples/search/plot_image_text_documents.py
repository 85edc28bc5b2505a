"""
Documents of an image and a note
================================

A document may have several parts, and ``fusion_weight`` is the weight of its text. This example
builds such documents, shows how NDCG@10 depends on the weight with and without the modality gap,
chooses the weight by cross-validation, and says which weight to start with.

It runs offline on the pocket model, which knows drawn scenes of colored shapes.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from gapremoval import (
    CLIPEncoder,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    QueryKFold,
    explode_documents,
    search,
)
from gapremoval.datasets import make_scenes
from gapremoval.inspection import FusionWeightDisplay

# %%
# An album
# --------
#
# A third of the pages have an image, a third a note, and a third have both. If a page has both, its
# note describes something that its image does not show. So neither part can replace the other, and
# the weight matters.

scenes = make_scenes(180, random_state=2)
pages = []
for i in range(90):
    page = {"id": f"page {i}", "image": scenes.images[i], "text": scenes.captions[90 + i][0]}
    if i % 3 == 0:
        del page["text"]
    elif i % 3 == 1:
        del page["image"]
    pages.append(page)
items, ids = explode_documents(pages)

# %%
# Queries describe each image and each note in other words. The answer is the id of the page.

queries, answers = [], []
for i, page in enumerate(pages):
    for part, scene in (("image", i), ("text", 90 + i)):
        if part in page:
            queries.append(Query(scenes.captions[scene][1]))
            answers.append(page["id"])

# %%
# Encode once
# -----------
#
# The weight mixes embeddings, so the encoder need not run again for each weight.

X = CLIPEncoder("pocket").transform(items + queries)
y = ids + answers
print(X)

# %%
# The curve
# ---------
#
# ``QueryKFold`` splits the queries and keeps all documents; other splitters would remove
# the documents that are to be found. ``error_score="raise"`` turns a failure into an error and not
# into a NaN among the scores.

weights = np.linspace(0, 1, 11)
pipelines = {
    "raw": make_pipeline(MixedModalityRetriever()),
    "gap removed": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
}
grids = {}
for name, pipe in pipelines.items():
    grid = {"mixedmodalityretriever__fusion_weight": weights}
    grids[name] = GridSearchCV(pipe, grid, cv=QueryKFold(5), error_score="raise").fit(X, y)
    best = grids[name].best_params_["mixedmodalityretriever__fusion_weight"]
    print(f"{name:<12} best weight {best:.1f} with NDCG@10 {grids[name].best_score_:.3f}")

curves = {name: grid.cv_results_["mean_test_score"] for name, grid in grids.items()}
gain = curves["gap removed"] - curves["raw"]
print(f"removing the gap gains {gain.min():.3f} to {gain.max():.3f}")

# %%
# With weight 0 a page with both parts is only its image, with weight 1 only its note. Without
# removing the gap, no weight gives as good a ranking. The bands are the spread over the folds.

_, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for name, grid in grids.items():
    FusionWeightDisplay.from_estimator(grid, name=name, ax=axes)
plt.show()

# %%
# Start with 0.5, the default, which favors neither part. Tune it if you have judged queries. They
# decide: here as many search for images as for notes.
#
# Repeat a text
# -------------
#
# A user who copies a note into the search box should find its page. That is easy if the page is
# only the note. An image moves the page away from its note, and the more so the less the text
# weighs.

notes = [page for page in pages if "text" in page]
has_picture = np.array(["image" in page for page in notes])
copied = CLIPEncoder("pocket").transform([Query(page["text"]) for page in notes])
first, in_ten = [], []
for weight in weights:
    pipe = pipelines["gap removed"].set_params(mixedmodalityretriever__fusion_weight=weight)
    found = (
        search(pipe.fit(X, y), copied, 10).ids == np.array([page["id"] for page in notes])[:, None]
    )
    first.append(found[has_picture, 0].mean())
    in_ten.append(found[has_picture].any(axis=1).mean())
    if weight == 0.5:
        print(f"pages of a note: the copy finds {found[~has_picture, 0].mean():.2f} first")
        print(f"pages of both: {first[-1]:.2f} first, {in_ten[-1]:.2f} among the first ten")

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
axes.plot(weights, in_ten, color="#0077bb", marker="o", label="among the first ten")
axes.plot(weights, first, color="#aa3377", marker="s", linestyle="--", label="first")
axes.axvline(0.5, color="#bbbbbb", linestyle=":", zorder=0)
axes.set(
    xlabel="fusion_weight: 0 is the image alone, 1 the note alone",
    ylabel="pages of both that are found\nby a copy of their note",
    ylim=(0, 1.05),
)
axes.legend(frameon=False, loc="lower right")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# If you expect copied texts, give the text more weight. The first curve shows what that costs.

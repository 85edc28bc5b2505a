"""
What if more of the corpus are images
=====================================

A corpus of texts becomes a corpus of images, one document after the other. At both ends there is
one modality, and no gap between documents. In the middle the gap hides the images, and the curve
sags. This is the first experiment of the paper on the modality gap in mixed search (GR-CLIP,
arXiv 2507.19054).

The rows are drawn with the statistics of CLIP embeddings.
"""

import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline

from gapremoval import MixedModalityRetriever, ModalityGapRemover, make_search_pipeline
from gapremoval.datasets import make_mixed_modality
from gapremoval.evaluation import ComparisonDisplay, sag, sweep_image_share

# %%
# Items with a text and an image
# ------------------------------
#
# Each item has a text, an image and a question. In the corpus it is either its text or its image.

X, _ = make_mixed_modality(120, proportions={"image+text": 1}, random_state=0)
text, image, questions = (X.values[X.modality == m] for m in ("text", "image", "query:text"))

# %%
# The sweep
# ---------
#
# ``sweep_image_share`` turns the items into images in a random order, and scores each pipeline at
# each share. Two random orders are averaged.

pipelines = {
    "raw": MixedModalityRetriever(),
    "gap removed": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
    "posterior odds": make_search_pipeline(),
}
shares = [0, 0.2, 0.4, 0.6, 0.75, 0.85, 1]
curve = sweep_image_share(pipelines, text, image, questions=questions, shares=shares, n_draws=2)
ComparisonDisplay.from_comparison(curve)
plt.show()

# %%
# The bands are 95 % intervals. ``sag`` measures how far a curve falls below the mean of its ends:

for name, depth in sag(curve).items():
    print(f"{name}: sags by {depth:.2f}")

# %%
# Raw, a corpus of half images is searched far worse than one of texts alone or images alone: every
# second right answer is behind all texts. With the gap removed the curve is nearly straight, and
# posterior odds straighten it more. A pipeline for a mixed corpus should be judged in the middle of
# this figure, and tests on one modality alone will not show the loss.

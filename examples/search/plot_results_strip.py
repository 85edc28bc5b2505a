"""
What a search finds, before and after
=====================================

The gap is easiest to see in the results. This example shows the first answers to a few queries as a
strip of pictures and texts, from raw embeddings and with the recommended pipeline, with the right
answers marked.

It runs offline on the pocket model, which knows drawn scenes of colored shapes.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from gapremoval import CLIPEncoder, MixedModalityRetriever, make_search_pipeline, search
from gapremoval.datasets import make_scenes
from gapremoval.inspection import SearchResultDisplay

# %%
# Photos and notes
# ----------------
#
# Half of the scenes are kept as images, half as texts. ``contents`` says what each document is
# made of, so that the display can show it.

scenes = make_scenes(300, random_state=5)
documents = scenes.images[:150] + [captions[0] for captions in scenes.captions[150:]]
ids = [f"photo {i}" for i in range(150)] + [f"note {i}" for i in range(150, 300)]
contents = dict(zip(ids, documents))

# %%
# The same encoder in both pipelines
# ----------------------------------

encoder = CLIPEncoder("pocket")
pipelines = {
    "raw": make_pipeline(encoder, MixedModalityRetriever()).fit(documents, ids),
    "recommended": make_search_pipeline(encoder).fit(documents, ids),
}

# %%
# Two queries as strips
# ---------------------
#
# Each query describes a photo, in other words than any note. Frames have the color of the
# document's modality. A check mark shows the right answer, and the number is the score or, in the
# recommended pipeline, the probability.

asked = [3, 11]
queries = [scenes.captions[i][1] for i in asked]
answers = [ids[i] for i in asked]
SearchResultDisplay.from_estimator(pipelines, queries, contents, answers)
plt.show()

# %%
# Raw, only notes are found, since any note is closer to a text than the right photo.
#
# All of them
# -----------
#
# A few strips can mislead. So count, over all 150 queries that describe a photo, how many find it
# first and how many photos are among the first five.

queries = [captions[1] for captions in scenes.captions[:150]]
for name, pipe in pipelines.items():
    found = search(pipe, queries, 5)
    first = np.mean(found.ids[:, 0] == ids[:150])
    photos = np.mean(found.modalities == "image")
    print(f"{name}: the right photo is first for {first:.2f}, photos are {photos:.2f} of the top")

# %%
# ``results_page`` makes an HTML page of the same, to send to others.

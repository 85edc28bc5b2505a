"""
Search scenes and notes
=======================

A corpus mixes images and notes, and is searched with a text and with an image. This example fits
the recommended search on raw items, and shows why a raw search looks broken: notes rank before the
image that answers a text, and other images rank before the note that answers an image.

It runs offline on the pocket model, a tiny CLIP that knows drawn scenes of colored shapes. With
another name in ``CLIPEncoder`` the same lines search photos.
"""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from gapremoval import CLIPEncoder, MixedModalityRetriever, Query, make_search_pipeline, search
from gapremoval.datasets import make_scenes
from gapremoval.inspection import RankingBiasDisplay, SearchResultDisplay
from gapremoval.metrics import ndcg_at_k

# %%
# A mixed corpus
# --------------
#
# Every other scene is a document as an image, the others as notes. The id of a document is the
# number of its scene.

scenes = make_scenes(120, random_state=1)
documents = [scenes.captions[i][0] if i % 2 else image for i, image in enumerate(scenes.images)]
print(textwrap.fill(documents[1], 80))

# %%
# Typical queries show the search what queries look like. Their answers may be unknown, so their id
# is ``None``. The queries of the fit are about one half of the scenes; those about the other half
# will tell how good the search is.

seen, held_out = range(60), range(60, 120)
queries = [Query(scenes.captions[i][1]) for i in seen]
queries += [Query(scenes.images[i]) for i in seen if i % 2]
items = documents + queries
ids = [*range(120), *[None] * len(queries)]

# %%
# Fit it
# ------
#
# The recommended pipeline encodes the items, removes the modality gap and ranks by posterior
# odds. The raw one ranks by the cosines of the encoder, and learns nothing from queries.

recommended = make_search_pipeline(CLIPEncoder("pocket")).fit(items, ids)
raw = make_pipeline(CLIPEncoder("pocket"), MixedModalityRetriever()).fit(documents, range(120))

# %%
# Search by a text
# ----------------
#
# The query describes a scene that the corpus has as an image only, and uses other words than the
# queries above. The pocket model was trained on sentences that describe a whole scene, so the query
# does the same; short queries work poorly.

query = scenes.captions[60][2]
pipelines = {"raw": raw, "recommended": recommended}
print(textwrap.fill(query, 80))
print(search(recommended, query, 5))

# %%
# The right answer has a check mark, and the color of a frame is that of the modality.

contents = dict(enumerate(documents))
SearchResultDisplay.from_estimator(pipelines, query, contents, [60])
plt.show()

# %%
# Search by an image
# ------------------
#
# This image is not in the corpus; a note about it is.

SearchResultDisplay.from_estimator(pipelines, scenes.images[61], contents, [61])
plt.show()

# %%
# Is that luck?
# -------------
#
# Now search for all scenes that no query of the fit was about: with texts about all of them, and
# with the images of those that are notes in the corpus. NDCG@10 is 1 if the right document is
# always first.

texts = [scenes.captions[i][2] for i in held_out]
notes = [i for i in held_out if i % 2]
images = [scenes.images[i] for i in notes]
for name, pipe in pipelines.items():
    text = np.mean(ndcg_at_k(held_out, search(pipe, texts).ids))
    image = np.mean(ndcg_at_k(notes, search(pipe, images).ids))
    print(f"{name:<12} NDCG@10 of text queries {text:.3f}, of image queries {image:.3f}")

# %%
# Half of the documents are images. In the raw search of the text queries notes fill the top ten, so
# the notes among the right answers are found and the images are not.

RankingBiasDisplay.from_estimator(pipelines, texts, held_out)
plt.show()

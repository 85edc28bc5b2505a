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
from gapremoval.metrics import ndcg_at_k

# %%
# A mixed corpus
# --------------
#
# Every other scene is a document as an image, the others as notes. The id of a document is the
# number of its scene.

scenes = make_scenes(120, random_state=1)
documents = [scenes.captions[i][0] if i % 2 else image for i, image in enumerate(scenes.images)]
print(documents[1])

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
found = {"raw": search(raw, query, 5), "recommended": search(recommended, query, 5)}
print(textwrap.fill(query, 80))
print(found["recommended"])


def show_document(axes, document, edge="#bbbbbb"):
    """An image as it is, a note as text."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=edge, linewidth=4 if edge != "#bbbbbb" else 1)
    if isinstance(document, str):
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.text(0.05, 0.95, textwrap.fill(document, 22), fontsize=7, va="top")
    else:
        axes.imshow(document)


def show_found(found, query, answer):
    """The query on the left, the results on the right; the right answer has a green frame."""
    figure = plt.figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 5.2])
    axes = left.subplots()
    show_document(axes, query, edge="#33bbee")
    axes.set_title("the query")
    for axes, (name, result) in zip(right.subplots(2, 5), found.items()):
        axes[0].set_ylabel(name, fontsize="large")
        for place, id_ in enumerate(result.ids[0]):
            show_document(axes[place], documents[id_], "#228833" if id_ == answer else "#bbbbbb")
            axes[place].set_title(f"{place + 1}", fontsize="medium")


show_found(found, query, answer=60)
plt.show()

# %%
# Search by an image
# ------------------
#
# This image is not in the corpus; a note about it is.

query = scenes.images[61]
found = {"raw": search(raw, query, 5), "recommended": search(recommended, query, 5)}
show_found(found, query, answer=61)
plt.show()

# %%
# Is that luck?
# -------------
#
# Now search for all scenes that no query of the fit was about: with texts about all of them, and
# with the images of those that are notes in the corpus. NDCG@10 is 1 if the right document is
# always first.

notes = [i for i in held_out if i % 2]
ndcg = {}
for name, pipe in {"raw": raw, "recommended": recommended}.items():
    by_text = ndcg_at_k(held_out, search(pipe, [scenes.captions[i][2] for i in held_out]).ids)
    by_image = ndcg_at_k(notes, search(pipe, [scenes.images[i] for i in notes]).ids)
    ndcg[name] = [np.mean(by_text[::2]), np.mean(by_text[1::2]), np.mean(by_image)]
    text, image = np.mean(by_text), ndcg[name][2]
    print(f"{name:<12} NDCG@10 of text queries {text:.3f}, of image queries {image:.3f}")

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for number, (name, color) in enumerate({"raw": "#bbbbbb", "recommended": "#228833"}.items()):
    bars = axes.bar(np.arange(3) + 0.4 * number, ndcg[name], 0.4, color=color, label=name)
    axes.bar_label(bars, fmt="%.2f")
axes.set_xticks(np.arange(3) + 0.2, ["text finds image", "text finds note", "image finds note"])
axes.set(ylabel="NDCG@10", ylim=(0, 1.25))
axes.legend(frameon=False, ncols=2, loc="upper right")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

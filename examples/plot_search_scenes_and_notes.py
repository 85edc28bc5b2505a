"""
Search scenes and notes
=======================

A corpus mixes pictures and notes, and we ask it with a text and with a picture. You learn how to
fit the recommended search on raw items and how to ask it; and why the search without it looks
broken: before the picture that answers a text come notes, before the note that answers a picture
come other pictures.

All runs offline on the pocket model, a tiny CLIP that knows drawn scenes of coloured shapes. With
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
# Every other scene is a document as a picture, the rest are documents as notes. A document's id
# is the number of its scene.

scenes = make_scenes(120, random_state=1)
documents = [scenes.captions[i][0] if i % 2 else image for i, image in enumerate(scenes.images)]
print(documents[1])

# %%
# Ordinary questions teach the search what questions look like. Their answers may be unknown, so
# their id is ``None``. Half of the scenes are asked about here, and we keep the other half to see
# how good the search is.

taught, asked = range(60), range(60, 120)
questions = [Query(scenes.captions[i][1]) for i in taught]
questions += [Query(scenes.images[i]) for i in taught if i % 2]
items = documents + questions
ids = [*range(120), *[None] * len(questions)]

# %%
# Fit it
# ------
#
# The recommended pipeline encodes the items, removes the modality gap and ranks by posterior
# odds. The raw one ranks by the cosines that the encoder gives, so questions teach it nothing; and
# without ids a document's id is its row number, here the same.

recommended = make_search_pipeline(CLIPEncoder("pocket")).fit(items, ids)
raw = make_pipeline(CLIPEncoder("pocket"), MixedModalityRetriever()).fit(documents)

# %%
# Ask with a text
# ---------------
#
# The question tells of a scene that the corpus has as a picture only. It uses other words than
# the questions above. The pocket model was trained on sentences that tell all of a scene, so that
# is how to ask it; short questions work poorly.

question = scenes.captions[60][2]
found = {"raw": search(raw, question, 5), "recommended": search(recommended, question, 5)}
print(textwrap.fill(question, 80))
print(found["recommended"])


def show_document(axes, document, edge="#bbbbbb"):
    """A picture as it is, a note as text."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=edge, linewidth=4 if edge != "#bbbbbb" else 1)
    if isinstance(document, str):
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.text(0.05, 0.95, textwrap.fill(document, 22), fontsize=7, va="top")
    else:
        axes.imshow(document)


def show_found(found, query, answer):
    """What asks on the left, what was found on the right; the right answer has a green frame."""
    figure = plt.figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 5.2])
    asks = left.subplots()
    show_document(asks, query, edge="#33bbee")
    asks.set_title("the query")
    for axes, (name, result) in zip(right.subplots(2, 5), found.items()):
        axes[0].set_ylabel(name, fontsize="large")
        for place, id_ in enumerate(result.ids[0]):
            show_document(axes[place], documents[id_], "#228833" if id_ == answer else "#bbbbbb")
            axes[place].set_title(f"{place + 1}", fontsize="medium")


show_found(found, question, answer=60)
plt.show()

# %%
# Ask with a picture
# ------------------
#
# This picture is not in the corpus; a note about it is.

picture = scenes.images[61]
found = {"raw": search(raw, picture, 5), "recommended": search(recommended, picture, 5)}
show_found(found, picture, answer=61)
plt.show()

# %%
# Is that luck?
# -------------
#
# We ask about all scenes that taught nothing: with texts about all of them, and with the pictures
# of those that are notes in the corpus. NDCG@10 is 1 where the right document always comes first.

pictures = [i for i in asked if i % 2]
ndcg = {}
for name, pipe in {"raw": raw, "recommended": recommended}.items():
    by_text = ndcg_at_k(list(asked), search(pipe, [scenes.captions[i][2] for i in asked]).ids)
    by_picture = ndcg_at_k(pictures, search(pipe, [scenes.images[i] for i in pictures]).ids)
    ndcg[name] = [np.mean(by_text[::2]), np.mean(by_text[1::2]), np.mean(by_picture)]
    print(f"{name:<12} NDCG@10 of texts {np.mean(by_text):.3f}, of pictures {ndcg[name][2]:.3f}")

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for number, (name, color) in enumerate({"raw": "#bbbbbb", "recommended": "#228833"}.items()):
    bars = axes.bar(np.arange(3) + 0.4 * number, ndcg[name], 0.4, color=color, label=name)
    axes.bar_label(bars, fmt="%.2f")
axes.set_xticks(np.arange(3) + 0.2, ["text finds picture", "text finds note", "picture finds note"])
axes.set(ylabel="NDCG@10", ylim=(0, 1.25))
axes.legend(frameon=False, ncols=2, loc="upper right")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

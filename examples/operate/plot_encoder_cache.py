"""
Encode once in a grid search
============================

A grid search fits the whole pipeline, with its encoder, for each candidate and each fold. With
``memory=`` each text and image goes through the network once, and later only new ones do. This
example counts how many rows are encoded; the seconds are those of this run.

It runs offline on the pocket model, which knows drawn scenes of colored shapes. That network is
tiny; a real one takes far longer for a row.
"""

import tempfile
import time

import matplotlib.pyplot as plt
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from gapremoval import CLIPEncoder, MixedModalityRetriever, ModalityGapRemover, Query, QueryKFold
from gapremoval.datasets import make_scenes

# %%
# Items
# -----
#
# Each document is an image and a note. Two queries search for it: one in other words, and its own
# note, which is a content that was encoded before.

scenes = make_scenes(30, random_state=5)
notes = [captions[0] for captions in scenes.captions]
queries = [captions[1] for captions in scenes.captions] + notes
items = scenes.images + notes + [Query(text) for text in queries]
ids = [*range(30)] * 4
n_distinct = len(scenes.images) + len({*notes, *queries})
print(f"{len(items)} items, {n_distinct} distinct contents")

# %%
# Count what is encoded
# ---------------------
#
# Every image enters the network through one convolution and every text through one embedding of
# its tokens. A hook of torch counts them.

encoded = []  # the length of each batch


def count(module, inputs):
    if isinstance(module, torch.nn.Conv2d | torch.nn.Embedding):
        encoded.append(len(inputs[0]))


hook = torch.nn.modules.module.register_module_forward_pre_hook(count)


def measure(encoder):
    """Number of rows encoded in a grid search, and its seconds."""
    encoded.clear()
    pipe = make_pipeline(encoder, ModalityGapRemover(), MixedModalityRetriever())
    grid = {"mixedmodalityretriever__fusion_weight": [0.3, 0.5, 0.7]}
    search = GridSearchCV(pipe, grid, cv=QueryKFold(2), error_score="raise")
    start = time.perf_counter()
    search.fit(items, ids)
    return sum(encoded), time.perf_counter() - start


# %%
# With and without
# ----------------
#
# The grid has three candidates and two folds, and the best candidate is fitted once more. The
# network is loaded before, so that its loading is not measured.

CLIPEncoder("pocket").transform(scenes.images[:1] + notes[:1])
folder = tempfile.TemporaryDirectory()
runs = {
    "no memory": measure(CLIPEncoder("pocket")),
    "memory, first time": measure(CLIPEncoder("pocket", memory=folder.name)),
    "memory, again": measure(CLIPEncoder("pocket", memory=folder.name)),
}
for name, (rows, seconds) in runs.items():
    print(f"{name:<20}{rows:>6} rows encoded in {seconds:.2f} s")

# %%

figure, panels = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained", sharey=True)
colors = ["#bbbbbb", "#228833", "#228833"]
labels = ("rows encoded", "seconds, in this run")
for axes, values, label, fmt in zip(panels, zip(*runs.values()), labels, ("%d", "%.2f")):
    bars = axes.barh(list(runs), values, color=colors)
    axes.bar_label(bars, fmt=fmt, padding=3)
    axes.set(xlabel=label, xlim=(0, 1.15 * max(values)))
    axes.spines[["top", "right"]].set_visible(False)
panels[0].invert_yaxis()
plt.show()

# %%
# The corpus grows
# ----------------
#
# The cache goes by content, not by position. Of a longer list only the new items are encoded.

new = make_scenes(10, random_state=6).images
encoded.clear()
CLIPEncoder("pocket", memory=folder.name).transform(new + items)
print(f"{len(new)} new images among {len(new + items)} items: {sum(encoded)} rows encoded")

hook.remove()
folder.cleanup()

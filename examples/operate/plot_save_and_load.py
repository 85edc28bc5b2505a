"""
Save a search and load it elsewhere
===================================

A search is fitted once and used many times, often by another program. This example saves the
fitted pipeline and loads it in a new process with the same answers, shows what the file contains,
and saves embeddings in a file that runs no code when it is opened.

It runs offline on the pocket model, which knows drawn scenes of colored shapes, and writes only to
a temporary folder.
"""

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np

from gapremoval import CLIPEncoder, EmbeddingArray, Query, make_search_pipeline, search
from gapremoval.datasets import make_scenes

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)

# %%
# Fit once
# --------
#
# Half of the scenes are documents as images, half as texts. Queries without answers show what
# queries look like.

scenes = make_scenes(120, random_state=4)
documents = scenes.images[:60] + [captions[0] for captions in scenes.captions[60:]]
queries = [Query(captions[1]) for captions in scenes.captions]
items = documents + queries
ids = [f"scene {i}" for i in range(120)] + [None] * 120
pipe = make_search_pipeline(CLIPEncoder("pocket")).fit(items, ids)

# %%
# Save
# ----

joblib.dump(pipe, folder / "search.joblib")

# %%
# Load in a new process
# ---------------------
#
# The other program needs the library and the file, and searches with raw texts. It may run on
# another machine. Opening a pickle runs code, so load only files that you trust. A file from
# another version of the library loads with a warning that names both versions.

program = """
import json, sys
import joblib
from gapremoval import search

pipe = joblib.load("search.joblib")
found = search(pipe, json.load(sys.stdin), 5)
print(json.dumps({"ids": found.ids.tolist(), "scores": found.scores.tolist()}))
"""
asked = [captions[2] for captions in scenes.captions]
done = subprocess.run(
    [sys.executable, "-c", program],
    cwd=folder,
    input=json.dumps(asked),
    capture_output=True,
    text=True,
    check=True,
)
there, here = json.loads(done.stdout), search(pipe, asked, 5)

same = (np.array(there["ids"]) == here.ids).all(axis=1)
apart = np.abs(np.array(there["scores"]) - here.scores).max()
print(f"same answers for {same.sum()} of {len(asked)} queries, scores at most {apart:.1g} apart")

# %%
# What is saved
# -------------
#
# The file has the name of the network, which is loaded on first use: the pocket model comes with
# the library, others are downloaded once. It also has the means, the vectors of the documents with
# their ids, and what was learned about scores, with the embeddings of the queries. It does not have
# the images and texts: keep your own way from an id back to them.

sizes = {step: len(pickle.dumps(fitted)) / 1000 for step, fitted in pipe.steps}
sizes["the images"] = sum(len(image.tobytes()) for image in scenes.images[:60]) / 1000
for name, size in sizes.items():
    print(f"{name:<24}{size:>8.1f} kB")

# %%

figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
colors = ["#228833"] * len(pipe.steps) + ["#bbbbbb"]
bars = axes.barh(list(sizes), list(sizes.values()), color=colors)
axes.bar_label(bars, fmt="%.1f kB", padding=3)
axes.set(xscale="log", xlim=(0.1, 10000), xlabel="kB (green: saved, gray: not saved)")
axes.invert_yaxis()
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Embeddings in a file that runs no code
# --------------------------------------
#
# Encoding takes most of the time. ``EmbeddingArray.save`` writes the rows and their modalities as
# plain arrays, and ``load`` reads them without pickle, so such a file may come from anybody. The
# ids are in a file of their own. Fitting again is quick and gives the same search.

pipe[0].transform(items).save(folder / "rows.npz")
(folder / "ids.json").write_text(json.dumps(ids))

X = EmbeddingArray.load(folder / "rows.npz")
again = make_search_pipeline().fit(X, json.loads((folder / "ids.json").read_text()))
found = search(again, CLIPEncoder("pocket").transform([Query(text) for text in asked]), 5)
print(X)
same = (found.ids == here.ids).all(axis=1)
print(f"fitted again: same answers for {same.sum()} of {len(asked)} queries")

# %%
# numpy alone can read it, with pickles forbidden.

with np.load(folder / "rows.npz", allow_pickle=False) as arrays:
    for name, array in arrays.items():
        print(f"{name}: {array.dtype} {array.shape}")

temporary.cleanup()

"""
Take the correction into your vector database
=============================================

A vector database knows nothing of modalities. But the whole correction fits into the vectors: a
search that ranks by inner product, cosine or Euclidean distance then ranks as this library does.
This example exports a corpus, searches it in plain numpy as any database would, and compares the
answers.

The rows are drawn with the statistics of CLIP embeddings.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from gapremoval import MixedModalityRetriever, make_search_pipeline, search
from gapremoval.datasets import make_mixed_modality

# %%
# Fit as usual
# ------------

X, y = make_mixed_modality(random_state=0)
is_query = X.modality == "query:text"
pipe = make_search_pipeline().fit(X, y)

# %%
# Export
# ------
#
# A vector has a few more columns than the embedding: one for an offset of its own, and one for each
# modality. Store the vectors under their ids.

exported = pipe[-1].export_vectors("query:text", metric="cosine")
print(exported)
rows, ids = exported.vectors, exported.ids

# %%
# Ask
# ---
#
# ``queries`` turns corrected queries into the vectors to ask with. Here numpy is the store; it
# returns the ten nearest by cosine, as pgvector, Qdrant or faiss would.

asked = exported.queries(pipe[:-1].transform(X[is_query]))
asked = asked / np.linalg.norm(asked, axis=1, keepdims=True)
distances = 1 - asked @ rows.T
nearest = np.argsort(distances, axis=1)[:, :10]

# %%
# The same answers
# ----------------
#
# The store returns the same documents in the same order. ``scores`` and ``probabilities`` turn its
# distances back into those of the library.

found = search(pipe, X[is_query], 10)
scores = exported.scores(np.take_along_axis(distances, nearest, axis=1))
same = np.mean(ids[nearest] == found.ids)
apart = np.abs(scores - found.scores).max()
print(f"same answers: {same:.4f}, scores at most {apart:.0e} apart")

figure, axes = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
for m, color in (("text", "#0077bb"), ("image", "#ee7733"), ("image+text", "#999933")):
    some = found.modalities == m
    axes.scatter(scores[some], found.scores[some], s=8, alpha=0.5, color=color, label=m)
axes.axline((0, 0), slope=1, color="#888888", linewidth=1, zorder=0)
axes.set(xlabel="score from the store's distance", ylabel="score of the library")
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# What the store would find without it
# ------------------------------------
#
# The same store with the raw embeddings, of which image+text documents have the mean of their two:
# no query finds a document that is an image first.

answers = y[is_query]
raw = make_pipeline(MixedModalityRetriever()).fit(X, y)
modality_of = dict(zip(exported.ids, exported.modalities))
is_image = np.array([modality_of[answer] == "image" for answer in answers])
for name, first in (
    ("raw", search(raw, X[is_query], 1).ids[:, 0]),
    ("exported", ids[nearest[:, 0]]),
):
    hits = first == answers
    print(
        f"{name}: the right answer is first, image {hits[is_image].mean():.2f}, "
        f"others {hits[~is_image].mean():.2f}"
    )

# %%
# When documents come, ``export_vectors`` again and write the rows that changed. ``StoreRetriever``
# does that by itself for faiss, Milvus, and stores of your own: :doc:`/guide/stores`.

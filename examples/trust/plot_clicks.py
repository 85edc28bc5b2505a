"""
Learn from queries and clicks
=============================

Users tell a search what they want: by what they ask, and by what they click. ``teach`` takes both
into a fitted search, without fitting it again. This example teaches a log of queries and then
clicks, a few at a time, and scores later queries after each.

The rows are drawn with the statistics of CLIP embeddings.
"""

import matplotlib.pyplot as plt
import numpy as np

from gapremoval import make_search_pipeline, teach
from gapremoval.datasets import make_mixed_modality

# %%
# Photos among notes
# ------------------
#
# The corpus has 150 photos that users look for, and 300 notes that nobody asks about. The search
# cannot know this: it expects answers of both modalities.

album = {"proportions": {"image": 1}, "distractors": {"text": 300}, "queries": {"text": 2}}
X, y = make_mixed_modality(150, **album, random_state=0)
is_query = X.modality == "query:text"
queries, answers = X[is_query], y[is_query]

# %%
# Each photo has two queries. The first of each is what users ask before, the second what they ask
# later.

before, later = slice(0, None, 2), slice(1, None, 2)

# %%
# A log of queries, and clicks
# ----------------------------
#
# ``teach`` without answers learns from the queries alone which modalities answer. With answers it
# knows.

sizes = [0, 4, 8, 16, 32, 64, 128]
curves = {}
for name, clicks in (("queries", None), ("queries and clicks", answers[before])):
    curves[name] = []
    pipe = make_search_pipeline().fit(X[~is_query], y[~is_query])
    for start, stop in zip([0, *sizes], sizes):
        if stop:
            new = slice(start, stop)
            teach(pipe, queries[before][new], None if clicks is None else clicks[new])
        curves[name].append(pipe.score(queries[later], answers[later]))
    share = pipe[-1].score_calibration_.answer_share_["query:text"]["image"]
    shown = ", ".join(f"{curves[name][sizes.index(n)]:.3f} after {n}" for n in (0, 4, 128))
    print(f"{name}: NDCG@10 {shown}")
    print(f"{name}: share of answers that are photos {share:.2f}")

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for (name, scores), marker in zip(curves.items(), "os"):
    axes.plot(np.arange(len(sizes)), scores, marker=marker, label=name)
axes.set_xticks(range(len(sizes)), sizes)
axes.set(xlabel="queries that were taught", ylabel="NDCG@10 of later queries")
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# A few clicks are worth many queries. What is learned is one number for each modality, not a list
# of favorites: it helps questions that nobody asked before. :doc:`/guide/feedback` teaches from a
# log with repeated questions, and questions that nothing answers.

"""
Which modality fills the top of the list
========================================

With a modality gap, a text query finds texts, whatever it asks for. The ranking bias compares the
share of each modality among the first ten answers with its share of the corpus. This example shows
it before and after the correction, and which answers it hides.

The rows are drawn with the statistics of CLIP embeddings.
"""

import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline

from gapremoval import MixedModalityRetriever, ModalityGapRemover, make_search_pipeline
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import RankingBiasDisplay
from gapremoval.metrics import ranking_bias

# %%
# A corpus of photos and notes
# ----------------------------
#
# A third of the documents are images, a third texts, and a third have both. Each has a query.

X, y = make_mixed_modality(random_state=0)
is_query = X.modality == "query:text"
queries, answers = X[is_query], y[is_query]
pipelines = {
    "raw": make_pipeline(MixedModalityRetriever()).fit(X, y),
    "gap removed": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()).fit(X, y),
    "posterior odds": make_search_pipeline().fit(X, y),
}

# %%
# In numbers
# ----------
#
# A ratio of 1 is fair: a modality has the share of the top that it has of the corpus. NDCG@10 is
# split by the modality of the right answer.

for name, pipe in pipelines.items():
    bias = ranking_bias(pipe, queries, answers)
    print(name)
    for m in ("image", "text"):
        print(
            f"  {m}: {bias.share_of_top[m]:.2f} of the top, {bias.share_of_corpus[m]:.2f} of "
            f"the corpus, ratio {bias.ratio[m]:.2f}, NDCG@10 of its answers {bias.ndcg[m]:.2f}"
        )

# %%
# In a figure
# -----------
#
# Raw, no image is among the first ten. With the gap removed images get closer to their share, but
# scores of texts still spread more widely, so texts still fill the top. Posterior odds put the
# scores of all modalities on one scale.

RankingBiasDisplay.from_estimator(pipelines, queries, answers)
plt.show()

# %%
# A fair share is no aim in itself: if users ask for photos, photos should fill the top. What counts
# is the last number, how well answers of each modality are found. But a modality that never appears
# is never clicked, and no log of clicks will show that it is missing.

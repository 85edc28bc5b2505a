"""
Is there a gap, and when not to correct
=======================================

Not every corpus has a modality gap. ``modality_gap_test`` says whether the means of two modalities
differ by more than chance, and by how much. This example tests three corpora: one with a gap, one
without, and one whose images and texts are about different topics, which looks like a gap and
should not be removed.

All rows are drawn, with the statistics of CLIP embeddings where there is a gap.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import EmbeddingMapDisplay
from gapremoval.metrics import modality_gap_test

# %%
# Three corpora
# -------------
#
# A third of the 300 documents are images, a third texts, and a third have both. In the second
# corpus rows of different modalities are as close as rows of one: an ideal encoder.

with_gap, y = make_mixed_modality(random_state=0)
one_cloud = {"cosine_within": 0.3, "cosine_across": 0.3, "pair_cosine": 0.6}
without_gap, _ = make_mixed_modality(
    **one_cloud, deviation_within=0.12, deviation_across=0.11, random_state=0
)

# %%
# The third corpus has no gap either. But its images are about one topic and its texts about
# another, as if the photos of a zoo were kept with the manual of a car. Documents of both are
# about either, and queries about the topic of their answer.

modality_of = {}
for document, modality in zip(y, with_gap.modality):
    if modality in ("image", "text"):
        modality_of.setdefault(document, []).append(modality)
topics = np.random.default_rng(0).normal(scale=0.6 / np.sqrt(512), size=(2, 512))
topic_of = {
    document: int("text" in parts) if len(parts) == 1 else i % 2
    for i, (document, parts) in enumerate(modality_of.items())
}
shift = topics[[topic_of[document] for document in y]]
two_topics = EmbeddingArray(without_gap.values + shift, without_gap.modality)

corpora = {"a gap": with_gap, "no gap": without_gap, "two topics": two_topics}
figure, panels = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for axes, (name, X) in zip(panels, corpora.items()):
    EmbeddingMapDisplay.from_embeddings(X, ax=axes)
    axes.set_title(name)
plt.show()

# %%
# The test
# --------
#
# The p-value is the share of random labelings whose means are as far apart. A small p-value alone
# is no reason to correct: with many rows the smallest difference has one. The effect size is the
# share of the variance of all rows that lies between the modalities, beyond chance: 0.01 is small,
# 0.06 medium and 0.14 large. ``should_correct`` asks for both.
#
# Topics differ between any images and any texts, but not between the image and the text of one
# document. With ``y``, the ids of documents, the test compares these pairs alone.

is_document = np.isin(with_gap.modality, ["image", "text"])
for name, X in corpora.items():
    for label, ids in (("all rows", None), ("pairs", y[is_document])):
        test = modality_gap_test(X[is_document], ids)
        print(
            f"{name}, {label}: distance {test.distance:.2f}, effect {test.effect_size:.3f}, "
            f"p {test.p_value:.3f}, correct: {test.should_correct}"
        )

# %%
# What a correction does
# ----------------------
#
# With a gap, removing it raises NDCG@10 by more than half. Without one it changes little, since the
# means that are subtracted are nearly the same. Where modalities differ by topic it does harm: the
# topic goes with the mean, and images of one topic compete with texts of another.

pipelines = {
    "raw": MixedModalityRetriever(),
    "gap removed": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
}
for name, X in corpora.items():
    scores = [pipe.fit(X, y).score(X, y) for pipe in pipelines.values()]
    print(f"{name}: NDCG@10 raw {scores[0]:.3f}, gap removed {scores[1]:.3f}")

# %%
# So test before you correct, on pairs where you have some: documents with an image and a text, or
# questions with what answers them. Removing the gap costs little where there is none, and a lot is
# lost where one stays.

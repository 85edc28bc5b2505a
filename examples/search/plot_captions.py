"""
Captions for images
===================

A caption that a model reads from an image lets a text query find the image by a text. This example
adds captions to the images of a mixed corpus, and compares a raw search, the gap removed, and the
recommended search, each without and with captions. It also shows what captions of poor quality do,
and how to weigh them.

It runs offline on the pocket model, which knows drawn scenes of colored shapes.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from gapremoval import (
    CLIPEncoder,
    FusionWeightSearchCV,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    add_texts,
    explode_documents,
    make_search_pipeline,
)
from gapremoval.datasets import make_scenes
from gapremoval.evaluation import ComparisonDisplay, Corpus, compare

# %%
# A mixed corpus
# --------------
#
# A half of the scenes are documents as images, the others as notes.

n_scenes = 240
scenes = make_scenes(n_scenes, random_state=5)
records = [
    {"id": i, "text": scenes.captions[i][0]} if i % 2 else {"id": i, "image": image}
    for i, image in enumerate(scenes.images)
]

# %%
# Read the captions
# -----------------
#
# A reader takes a list of images and returns a text for each. Drawn scenes know theirs, so these
# readers look them up: a careful one describes the whole scene, a hasty one only a single shape. A
# real reader is a model, such as ::
#
#     reader = transformers.pipeline("image-text-to-text", "Salesforce/blip-image-captioning-base")
#     records = add_texts(records, reader, prompt="", memory="cache")

captions = {image.tobytes(): words for image, words in zip(scenes.images, scenes.captions)}


def careful(images):
    return [captions[image.tobytes()][1] for image in images]


def hasty(images):
    return [captions[image.tobytes()][3].split("; ")[0] for image in images]


records = add_texts(records, careful, "caption")
records = add_texts(records, hasty, "brief")
print(f"careful: {records[0]['caption']}\nhasty:   {records[0]['brief']}")

# %%
# Encode once
# -----------
#
# Texts of another column than ``text`` are a modality of their own, named after the column. The
# queries describe each scene in other words.

items, ids = explode_documents(records, text_columns=["text", "caption", "brief"])
queries = [Query(words[2]) for words in scenes.captions]
X = CLIPEncoder("pocket").transform(items + queries)
documents, queries = X[: len(items)], X[len(items) :]
print(documents)

# %%
# Six searches, side by side
# --------------------------
#
# NDCG@10 of the queries that an image answers. (The others find their note first, nearly always.)

pipelines = {
    "raw": MixedModalityRetriever(),
    "gap removed": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
    "posterior odds": make_search_pipeline(),
}
corpora = {}
for name, column in {"no": None, "careful": "caption", "hasty": "brief"}.items():
    kept = np.isin(documents.modality, ["text", "image", column or "text"])
    corpora[name] = Corpus(documents[kept], np.array(ids)[kept], queries, range(n_scenes))
scores = compare(pipelines, corpora)
of_images = scores[scores["answer_modality"].str.contains("image")]
table = of_images.pivot(index="pipeline", columns="corpus", values="mean")
table = table.loc[list(pipelines), list(corpora)]
for name, row in table.iterrows():
    print(
        f"{name:<14}", ", ".join(f"{value:.3f} with {kind} captions" for kind, value in row.items())
    )

# The answers are image, caption+image or brief+image documents: they are drawn together.
display = ComparisonDisplay.from_comparison(of_images.assign(answer_modality="all"))
display.ax_.set(ylabel="captions", xlabel="NDCG@10 of queries that an image answers")
plt.show()

# %%
# A raw search depends on the captions: it finds the text and hardly sees the image. With the gap
# removed the images are found without captions, and better than by a raw search with the careful
# ones. Careful captions still add to that. Hasty ones take away, because a caption has the same
# weight as its image.
#
# Weigh the captions
# ------------------
#
# A dict in ``fusion_weight`` weighs each modality, and judged queries choose the weight.

for name, column in {"careful": "caption", "hasty": "brief"}.items():
    weights = [{"text": 1, "image": 1, column: weight} for weight in (0, 0.1, 0.25, 0.5, 1)]
    tuned = FusionWeightSearchCV(pipelines["gap removed"], weights, cv=3).fit(*corpora[name])
    best = weights[tuned.best_index_][column]
    none, *_, equal = tuned.cv_results_["mean_test_score"]
    print(
        f"{name} captions: NDCG@10 {none:.3f} with weight 0, {equal:.3f} with weight 1, "
        f"{tuned.best_score_:.3f} with {best}, the best"
    )

# %%
# With the right weight, even hasty captions do not harm.

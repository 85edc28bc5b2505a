"""GapReport on real CLIP rows: it tells what is known of them."""

import json

import numpy as np

from gapremoval import EmbeddingArray
from gapremoval.evaluation import mixed_corpus
from gapremoval.inspection import GapReport

MODALITIES = ("text", "image", "image+text")


def test_the_report_on_flickr8k_tells_that_texts_fill_the_top_and_the_correction_repairs_it(real):
    data = real("flickr8k_clip_vitb32.npz")
    text, image = data["text"], data["image"]
    proportions = [MODALITIES[i % 3] for i in range(len(text))]
    X, y = mixed_corpus(text[:, 0], image, questions=text[:, 1:], proportions=proportions)
    report = GapReport(X, y)
    assert report.advice == "correct"
    figures = json.loads(report.json())
    raw, removed, recommended = figures["ranking"]["ways"]
    assert raw["share_of_top"]["text"] > 0.7
    assert raw["share_of_top"]["image"] < 0.01
    assert raw["ndcg"]["image"] < 0.02
    assert removed["ndcg"]["image"] > 0.7
    assert recommended["ndcg"]["image"] > 0.9
    assert figures["methods"]["advised"] == "recommended"
    assert figures["pairs"][0]["is_paired"]
    assert "Where the right answer is image, it is 0.000, 0.7" in report.markdown()


def test_images_of_which_half_are_called_texts_are_not_corrected(real):
    data = real("coco_clip_vitb16.npz")
    images = data["image"][:240]
    called = np.random.default_rng(0).permutation(["image", "text"] * 120)
    assert GapReport(EmbeddingArray(images, called)).advice == "do not correct"


def test_the_parts_of_real_pairs_ask_for_each_other(real):
    data = real("products_clip_vitb32.npz")
    text, image = data["text"][:150], data["image"][:150]
    text = text if text.ndim == 2 else text[:, 0]
    X = EmbeddingArray.concatenate({"text": text, "image": image})
    figures = json.loads(GapReport(X, [*range(len(text)), *range(len(text))]).json())
    raw, _, recommended = figures["ranking"]["ways"]
    assert raw["ndcg"]["image"] < 0.1 < 0.5 < recommended["ndcg"]["image"]

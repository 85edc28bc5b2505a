"""Where does the gap come from? The pocket model, watched while it learns.

Trained anew twice, with a logit scale that is fixed at 100 and with one that is learned from 14
on; one thread, some ten minutes in all.

usage: python benchmarks/gap_origin.py [--steps N] [--picture FILE]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from tables import print_table
from torch.nn.functional import normalize
from train_pocket import MODEL, THREADS, pixels, train, write_tokenizer

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover
from gapremoval.datasets import make_scenes
from gapremoval.metrics import centroid_distance, linear_separability, relative_modality_gap

WATCHED = (0, 25, 50, 100, 200, 400, 600)
COLUMNS = {
    "logit scale": ".0f",
    "centroid distance": ".2f",
    "relative gap": ".2f",
    "classifier": ".2f",
    "raw": ".3f",
    "raw, images": ".3f",
    "removed": ".3f",
    "removed, images": ".3f",
}


def measure(texts, images, asked):
    """The gap between texts and images of the same scenes, and what it does to a search.

    Every other scene is an image document, the others are text documents, and other captions
    ask for them: NDCG@10 of all, and of those that an image answers.
    """
    both, ids = EmbeddingArray.concatenate({"text": texts, "image": images}), np.arange(len(texts))
    measured = [
        centroid_distance(both),
        relative_modality_gap(both, [*ids, *ids]),
        linear_separability(both),
    ]
    is_image = ids % 2 == 1
    documents = np.where(is_image[:, None], images, texts)
    X = EmbeddingArray(
        np.concatenate([documents, asked]),
        [*np.where(is_image, "image", "text"), *["query:text"] * len(asked)],
    )
    for steps in ([], [ModalityGapRemover()]):
        pipe = make_pipeline(*steps, MixedModalityRetriever()).fit(X, [*ids, *[None] * len(ids)])
        queries = X[len(ids) :]
        measured += [pipe.score(queries, ids), pipe.score(queries[is_image], ids[is_image])]
    return measured


def trained(scale, steps, tokenizer, config):
    """Train, and measure at some steps on scenes that training does not see."""
    scenes = make_scenes(400, random_state=7)
    inputs = [tokenizer(list(kind)) for kind in list(zip(*scenes.captions))[:2]]
    shown, rows = pixels(scenes.images), []

    def watch(step, network):
        if step in WATCHED:
            with torch.no_grad():
                encoded = [network.encode_text(tokens) for tokens in inputs]
                encoded.insert(1, network.encode_image(shown))
                texts, images, asked = (normalize(x, dim=1).double().numpy() for x in encoded)
            factor = network.logit_scale.exp().item()
            rows.append([step, factor, *measure(texts, images, asked)])

    train(config, tokenizer, steps, scale, watch)
    return rows


def draw(measured, file):
    """The distance of the centroids and the searches, step by step."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for (scale, rows), color in zip(measured.items(), ("tab:red", "tab:blue")):
        step, _, distance, *_, raw, _, removed = np.transpose(rows)
        axes[0].plot(step, distance, ".-", color=color, label=f"{scale} logit scale")
        axes[1].plot(step, raw, ".--", color=color, label=f"{scale}, raw")
        axes[1].plot(step, removed, ".-", color=color, label=f"{scale}, gap removed")
    axes[0].set(xlabel="training step", ylim=(0, None), title="distance of the centroids")
    axes[1].set(xlabel="training step", ylim=(0, 1), title="NDCG@10 where an image answers")
    for axis in axes:
        axis.legend(frameon=False)
    figure.savefig(file, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=WATCHED[-1])
    parser.add_argument("--picture", type=Path, help="where to draw it")
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = write_tokenizer(Path(folder))
    config = {**MODEL, "text_cfg": {**MODEL["text_cfg"], "vocab_size": tokenizer.vocab_size}}
    measured = {}
    for scale in ("fixed", "free"):
        measured[scale] = trained(scale, arguments.steps, tokenizer, config)
        rows = [
            [step, *(format(x, form) for x, form in zip(values, COLUMNS.values()))]
            for step, *values in measured[scale]
        ]
        print_table(f"{scale.capitalize()} logit scale", ["step", *COLUMNS], rows)
    if arguments.picture:
        draw(measured, arguments.picture)


if __name__ == "__main__":
    main()

"""The figures of the pocket model's card: python benchmarks/pocket_figures.py [--model MODEL]."""

import argparse

import numpy as np
from sklearn.pipeline import make_pipeline

from gapremoval import CLIPEncoder, MixedModalityRetriever, ModalityGapRemover, Query
from gapremoval.datasets import make_scenes

N_SCENES, SEED = 900, 7  # training draws from one seed, 20210226


def recall_at_1(queries, documents):
    """How often the nearest document is the query's own, which has its row number."""
    nearest = np.argmax(queries @ documents.T, axis=1)
    return np.mean(nearest == np.arange(len(queries)))


def centroid_distance(a, b):
    return np.linalg.norm(a.mean(axis=0) - b.mean(axis=0))


def mixed_scores(scenes, encoder, steps):
    """NDCG@10 by the answer's modality: every other scene is an image, the others a text.

    Documents are told by a scene's first caption, asked for by its second; half of the
    queries teach the query mean.
    """
    n = len(scenes.images)
    is_image = np.arange(n) % 2 == 1
    documents = [i if odd else c[0] for i, c, odd in zip(scenes.images, scenes.captions, is_image)]
    queries = [Query(captions[1]) for captions in scenes.captions]
    ids = np.array([f"scene{i}" for i in range(n)], dtype=object)
    pipe = make_pipeline(encoder, *steps, MixedModalityRetriever())
    pipe.fit(documents + queries[::2], [*ids, *[None] * len(queries[::2])])
    asked = {"all": np.ones(n, dtype=bool), "image": is_image, "text": ~is_image}
    return {
        answer: pipe.score([q for q, take in zip(queries, which) if take], ids[which])
        for answer, which in asked.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket", help="as CLIPEncoder takes it")
    encoder = CLIPEncoder(parser.parse_args().model, device="cpu")
    scenes = make_scenes(N_SCENES, random_state=SEED)
    images = encoder.transform(scenes.images).values
    texts = [encoder.transform(list(kind)).values for kind in zip(*scenes.captions)]
    print(f"{N_SCENES} scenes of seed {SEED}, one value for each kind of caption")
    for name, values in (
        ("text-to-image recall@1", [recall_at_1(rows, images) for rows in texts]),
        ("image-to-text recall@1", [recall_at_1(images, rows) for rows in texts]),
        ("centroid distance", [centroid_distance(rows, images) for rows in texts]),
    ):
        print(f"{name}: {', '.join(f'{value:.3f}' for value in values)}")
    for name, steps in (("raw", []), ("gap removed", [ModalityGapRemover()])):
        scores = mixed_scores(scenes, encoder, steps)
        told = ", ".join(f"{answer} {score:.3f}" for answer, score in scores.items())
        print(f"mixed NDCG@10 by answer, {name}: {told}")


if __name__ == "__main__":
    main()

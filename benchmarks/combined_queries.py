"""Does "this scene, but red" find it? python benchmarks/combined_queries.py [--sweep]"""

import argparse
import tempfile

import _tests  # noqa: F401
import numpy as np
from recolored_scenes import OTHER_WORDS, recolored_scenes
from sklearn.pipeline import make_pipeline
from tables import print_table, quiet

from gapremoval import (
    CLIPEncoder,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    Tagged,
    make_search_pipeline,
    search,
)

SEED = 5

# How the new color is told: as a word, and in a sentence such as the pocket model was trained on.
WORDINGS = {
    "a word": "{}",
    "a sentence": "a large {} circle in the centre on a plain grey background",
}


def tagged(text):
    """A text of a modality of its own, whose mean is not drawn towards that of captions."""
    return Tagged(text, "change")


# The steps after the encoder; what a text of a query becomes; whether a log of such is fitted.
METHODS = {
    "raw": (lambda: [MixedModalityRetriever()], str, False),
    "GR": (lambda: [ModalityGapRemover(), MixedModalityRetriever()], str, False),
    "GR, log": (lambda: [ModalityGapRemover(), MixedModalityRetriever()], str, True),
    "GR, tagged log": (lambda: [ModalityGapRemover(), MixedModalityRetriever()], tagged, True),
    "recommended, tagged log": (lambda: [*make_search_pipeline()], tagged, True),
}


def weighted(share):
    """A query for a scene in a new color, with a share for the new color."""
    return lambda image, new, old: Query(add=[image, new], weights=[1 - share, share])


def difference(weight):
    """As `weighted`, with the old color subtracted."""
    weights = [1, weight, weight]
    return lambda image, new, old: Query(add=[image, new], subtract=old, weights=weights)


QUERIES = {
    "the scene": lambda image, new, old: Query(image),
    "`Query(text=, image=)`": lambda image, new, old: Query(
        text=new.item if isinstance(new, Tagged) else new, image=image
    ),
    "scene + new": weighted(0.5),
    **{f"scene + {x:g} new - {x:g} old": difference(x) for x in (0.5, 1, 2)},
}
SWEEP = {
    **QUERIES,
    **{f"{1 - x:g} scene + {x:g} new": weighted(x) for x in (0.3, 0.4, 0.6, 0.7)},
    "scene + 4 new - 4 old": difference(4),
}


def measure(n_scenes, wording, methods=METHODS, queries=QUERIES, seed=SEED):
    """Recall@1 and recall@10 of the recolored scene, by query and method.

    Parameters
    ----------
    n_scenes : int
    wording : str
        How a color is told, with ``{}`` for it.
    methods, queries : dict
        As `METHODS` and `QUERIES`.
    seed : int

    Returns
    -------
    ndarray of shape (n_answers, n_queries, n_methods, 2)
        The two answers are a picture and a caption.
    """
    scenes = recolored_scenes(n_scenes, seed)
    old, new = ([wording.format(x) for x in colors] for colors in (scenes.old, scenes.new))
    recall = np.empty((2, len(queries), len(methods), 2))
    with tempfile.TemporaryDirectory() as folder:
        encoder = CLIPEncoder("pocket", device="cpu", memory=folder)
        for j, (steps, text, has_log) in enumerate(methods.values()):
            log = [Query(text(wording.format(x))) for x in OTHER_WORDS] if has_log else []
            pipe = make_pipeline(encoder, *steps())
            pipe.fit([*scenes.documents, *log], [*scenes.ids, *[None] * len(log)])
            asked = [*zip(scenes.pictures, map(text, new), map(text, old))]
            for i, query in enumerate(queries.values()):
                ids = search(pipe, [query(*x) for x in asked], 10).ids
                hits = ids == np.array(scenes.answers, dtype=object)[:, None]
                for answer, at in enumerate((scenes.is_picture, ~scenes.is_picture)):
                    recall[answer, i, j] = [hits[at, :k].any(axis=1).mean() for k in (1, 10)]
    return recall


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="more weights")
    queries = SWEEP if parser.parse_args().sweep else QUERIES
    quiet()
    for told, wording in WORDINGS.items():
        for answer, recall in zip(("picture", "caption"), measure(400, wording, queries=queries)):
            rows = [
                [name, *(f"{first:.2f} / {ten:.2f}" for first, ten in by_method)]
                for name, by_method in zip(queries, recall)
            ]
            print_table(
                f"The color is told by {told}, and a {answer} answers", ["query", *METHODS], rows
            )


if __name__ == "__main__":
    main()

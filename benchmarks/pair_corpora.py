"""Corpora of items with a text and an image: one of them is a document, the other asks."""

from dataclasses import dataclass

import numpy as np

from gapremoval import EmbeddingArray

# What the tables call them, and their files.
PAIR_FILES = {
    "COCO": "coco_clip_vitb16.npz",
    "Flickr8k": "flickr8k_clip_vitb32.npz",
    "products": "products_clip_vitb32.npz",
}


@dataclass
class PairCorpus:
    """Documents of two modalities, and queries that are all answered across the gap.

    Attributes
    ----------
    documents : EmbeddingArray
    ids : list of int
        The items' numbers.
    queries : dict of str to EmbeddingArray
        ``"query:text"``, whose answers are images, and ``"query:image"``.
    relevance : dict of str to list of int
        The document that answers each query.
    """

    documents: EmbeddingArray
    ids: list
    queries: dict
    relevance: dict

    def all_queries(self, rows=None):
        """The queries of both modalities one after the other, or `rows` of each."""
        rows = {} if rows is None else rows
        parts = [asked[rows.get(name, slice(None))] for name, asked in self.queries.items()]
        return EmbeddingArray.concatenate(parts)


# The document modality that answers.
ANSWERS = {"query:text": "image", "query:image": "text"}


def pair_corpora(data, n_draws, max_items=600):
    """Draw corpora: half of the items are text documents, half are image documents.

    Parameters
    ----------
    data : dict of str to ndarray
        ``text`` (n, d) or (n, k, d), of which the first is taken, and ``image`` (n, d).
    n_draws : int
        How many corpora; each from a seed of its own.
    max_items : int
        How many items are drawn, if there are more.

    Yields
    ------
    PairCorpus
    """
    text, image = data["text"].astype(float), data["image"].astype(float)
    text = text[:, 0] if text.ndim == 3 else text
    for seed in range(n_draws):
        random = np.random.default_rng(seed)
        items = random.permutation(len(text))[:max_items]
        is_image = random.permutation(np.arange(len(items)) % 2).astype(bool)
        shown, told = items[is_image], items[~is_image]
        yield PairCorpus(
            EmbeddingArray.concatenate({"text": text[told], "image": image[shown]}),
            [*told.tolist(), *shown.tolist()],
            {
                "query:text": EmbeddingArray(text[shown], "query:text"),
                "query:image": EmbeddingArray(image[told], "query:image"),
            },
            {"query:text": shown.tolist(), "query:image": told.tolist()},
        )

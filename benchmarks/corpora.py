"""The corpora of real CLIP embeddings that benchmarks compare on."""

from dataclasses import replace

import _tests  # noqa: F401
import numpy as np
from real_data import load_real

from gapremoval.evaluation import mixed_corpus, pair_corpus

FLICKR8K = "flickr8k_clip_vitb32.npz"
PAIR_FILES = {
    "COCO": "coco_clip_vitb16.npz",
    "Flickr8k": FLICKR8K,
    "products": "products_clip_vitb32.npz",
}
# The modalities of documents repeat along the items.
PATTERNS = {
    "1:1:1": ["text", "image", "image+text"],
    "7:2:1": ["text"] * 7 + ["image"] * 2 + ["image+text"],
    "1:8:1": ["text"] + ["image"] * 8 + ["image+text"],
}
EXTRA = " + extra"
SETTINGS = [name + extra for name in PATTERNS for extra in ("", EXTRA)]


def settings(names=SETTINGS, step=1):
    """The corpora of each setting: each caption as the document's, each shift of the pattern.

    Parameters
    ----------
    names : sequence of str
        Of `SETTINGS`. ``"+ extra"`` adds images that answer nothing.
    step : int, default=1
        Every which corpus of a setting is taken.

    Returns
    -------
    dict of str to list of Corpus
        The queries are the captions that are no documents.
    """
    corpora = {}
    for name in names:
        pattern = PATTERNS[name.removesuffix(EXTRA)]
        shifted = [pattern[shift:] + pattern[:shift] for shift in range(len(pattern))]
        corpora[name] = flickr8k(shifted, extra=name.endswith(EXTRA))[::step]
    return corpora


def flickr8k(patterns, extra=False):
    """A corpus for each caption as the document's and each pattern of modalities."""
    data = load_real(FLICKR8K)
    text, image = data["text"], data["image"]
    return [
        mixed_corpus(
            text[:, caption],
            image,
            questions=np.delete(text, caption, axis=1),
            proportions=np.resize(np.array(pattern, dtype=object), len(text)),
            extra_images=data["extra"] if extra else None,
        )
        for caption in range(text.shape[1])
        for pattern in patterns
    ]


def one_modality():
    """Flickr8k with all documents of one modality, with and without the extra images."""
    return {
        kind + extra: flickr8k([[kind]], extra=bool(extra))
        for extra in ("", EXTRA)
        for kind in ("text", "image", "image+text")
    }


def pairs(n_draws=6, names=tuple(PAIR_FILES), max_items=600):
    """Corpora in which every answer lies across the gap: half texts, half images."""
    corpora = {}
    for name in names:
        data = load_real(PAIR_FILES[name])
        text, image = data["text"], data["image"]
        text = text[:, 0] if text.ndim == 3 else text
        corpora[name] = [
            pair_corpus(text, image, max_items=max_items, random_state=seed)
            for seed in range(n_draws)
        ]
    return corpora


def told(corpora):
    """The same, for a search that is told the modality of the answer: the ceiling."""
    return {name: [replace(x, told=True) for x in draws] for name, draws in corpora.items()}

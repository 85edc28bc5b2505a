"""Mixed corpora of real captions and photos: six settings, each with its 15 or more corpora."""

import numpy as np

from gapremoval import EmbeddingArray

# The kinds of documents repeat along the items: "text", "image" or both as one document.
PATTERNS = {
    "1:1:1": ["text", "image", "both"],
    "7:2:1": ["text"] * 7 + ["image"] * 2 + ["both"],
    "1:8:1": ["text"] + ["image"] * 8 + ["both"],
}

SETTINGS = [(pattern, extra) for pattern in PATTERNS for extra in (False, True)]


def mixed_corpora(data, pattern, extra):
    """All corpora of a setting: each caption as the document's, each shift of the pattern.

    Parameters
    ----------
    data : dict of str to ndarray
        ``text`` (n, k, d), ``image`` (n, d) and ``extra`` (m, d).
    pattern : str
        A key of `PATTERNS`.
    extra : bool
        Whether the extra images are in the corpus too; they answer nothing.

    Yields
    ------
    documents, queries : EmbeddingArray
        The queries are the captions that are no documents.
    ids, relevance, gold_kind : list of str
        The documents' ids; of each query the document that answers and its kind.
    """
    text, image = data["text"].astype(float), data["image"].astype(float)
    n_items, n_captions = text.shape[:2]
    kinds = PATTERNS[pattern]
    for caption in range(n_captions):
        for shift in range(len(kinds)):
            kind = np.array([kinds[(i + shift) % len(kinds)] for i in range(n_items)])
            has_text, has_image = np.flatnonzero(kind != "image"), np.flatnonzero(kind != "text")
            parts = {"text": text[has_text, caption], "image": image[has_image]}
            ids = [f"item{i}" for i in (*has_text, *has_image)]
            documents = EmbeddingArray.concatenate(parts)
            if extra:
                more = EmbeddingArray(data["extra"].astype(float), "image")
                documents = EmbeddingArray.concatenate([documents, more])
                ids += [f"extra{i}" for i in range(len(more))]
            asked = np.delete(text, caption, axis=1).reshape(-1, text.shape[-1])
            item = np.repeat(np.arange(n_items), n_captions - 1)
            queries = EmbeddingArray(asked, "query:text")
            yield documents, queries, ids, [f"item{i}" for i in item], kind[item].tolist()

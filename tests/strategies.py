"""Tagged rows: drawn by hypothesis, and some whose means are plain to see."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import normalize

from gapremoval import EmbeddingArray

DOCUMENTS = ["text", "image", "audio"]
QUERIES = ["query:text", "query:image", "query:image+text"]


@st.composite
def tagged_rows(draw, modalities=(*DOCUMENTS, *QUERIES), min_rows=2, max_rows=40, dtypes="fd"):
    """An EmbeddingArray of random rows around a center of each modality's own."""
    n_rows = draw(st.integers(min_rows, max_rows))
    n_features = draw(st.integers(2, 12))
    modality = draw(st.lists(st.sampled_from(modalities), min_size=n_rows, max_size=n_rows))
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centers = {name: rng.normal(size=n_features) for name in sorted(modalities)}
    rows = np.stack([centers[name] + rng.normal(size=n_features) for name in modality])
    return EmbeddingArray(rows.astype(dtype), modality)


def paired_rows(seed, n=20, n_features=5):
    """Unit rows of texts and of images of the same items, and both as an EmbeddingArray."""
    rng = np.random.default_rng(seed)
    said, centers = rng.normal(size=(n, n_features)), rng.normal(size=(2, n_features))
    noise = rng.normal(size=(2, n, n_features)) * rng.uniform(0.1, 1, size=(2, 1, n_features))
    text, image = (normalize(said + c + e) for c, e in zip(centers, noise))
    return text, image, EmbeddingArray.concatenate({"text": text, "image": image})


def scales(n_rows):
    """A positive factor for each row, over many orders of magnitude."""
    return hnp.arrays(float, n_rows, elements=st.floats(1e-12, 1e12))


E = np.eye(6)
TEXT, IMAGE, ASKED, PRIOR_TEXT, PRIOR_ASKED, PRIOR_IMAGE = E


def rows(**modalities):
    """Rows of each modality, ``query_text`` for ``query:text``."""
    return EmbeddingArray.concatenate(
        {name.replace("query_", "query:"): np.array(v) for name, v in modalities.items()}
    )

"""Random documents and queries, and what plain numpy says of them, for the random machines."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gapremoval import EmbeddingArray

N_FEATURES, TEXT_WEIGHT = 6, 0.3
PARTS = [
    ("text",),
    ("image",),
    ("audio",),
    ("image", "text"),
    ("image", "image", "text"),
    ("audio", "image", "text"),
]
REPEATED = np.random.default_rng(12345).normal(size=(4, N_FEATURES)).astype("f4")
REPEATED /= np.linalg.norm(REPEATED, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Document:
    """A document as the oracle knows it.

    Attributes
    ----------
    tags : tuple of str
        The modality of each part.
    rows : ndarray of float32 of shape (n_parts, N_FEATURES)
    mapped : bool
        Whether its row may be searched in a file as it is, without being brought to unit length.
    """

    tags: tuple
    rows: np.ndarray
    mapped: bool = False

    @cached_property
    def modality(self):
        """The parts' modalities, sorted and joined by ``+``."""
        return "+".join(sorted(set(self.tags)))

    @cached_property
    def content(self):
        """Equal for documents whose scores are the same to the last digit."""
        return self.tags, self.rows.tobytes(), self.mapped

    @cached_property
    def vector(self):
        """The fused vector in float64, of unit length or zero."""
        names, of = sorted(set(self.tags)), np.array(self.tags)
        means = [self.rows[of == name].astype(float).mean(axis=0) for name in names]
        others = (1 - TEXT_WEIGHT) / max(len(names) - ("text" in names), 1)
        weights = [TEXT_WEIGHT if name == "text" else others for name in names]
        fused = means[0] if len(names) == 1 else np.average(means, axis=0, weights=weights)
        length = np.linalg.norm(fused)
        return fused / length if length else fused


def draw_document(rng, zeros=True, parts=PARTS, mapped=False):
    """A random document; three in ten have parts that others have too."""
    tags = parts[rng.integers(len(parts))]
    rows = rng.normal(size=(len(tags), N_FEATURES))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if rng.random() < 0.3:
        rows = REPEATED[rng.integers(len(REPEATED), size=len(tags))]
    if zeros and rng.random() < 0.05:
        rows = np.zeros_like(rows)
    return Document(tags, rows.astype("f4"), mapped)


def rows_of(documents):
    """The rows of a dict of documents and their ids, as `fit` takes them."""
    tags = [tag for document in documents.values() for tag in document.tags]
    ids = [id_ for id_, document in documents.items() for _ in document.tags]
    rows = [document.rows for document in documents.values()]
    return EmbeddingArray(np.concatenate(rows), tags), ids


def draw_queries(rng, n, documents=()):
    """Random queries of two modalities; half of them are near a document."""
    rows = rng.normal(size=(n, N_FEATURES))
    if documents:
        at = rng.integers(len(documents), size=n)
        near = np.stack([documents[i].vector for i in at])
        rows += np.where(rng.random((n, 1)) < 0.5, 50 * near, 0)
    asks = np.array(["query:text", "query:image"])[rng.integers(2, size=n)]
    return EmbeddingArray(rows.astype("f4"), asks)


def assert_right(found, scores, documents, k, tolerance, kind=None, ties=True):
    """Compare one query's answers with what plain numpy says.

    Parameters
    ----------
    found : tuple of lists
        Ids, scores and modalities of the documents found.
    scores : ndarray of float64 of shape (n_documents,)
        The right scores in the order of the documents, -inf for those of length zero.
    documents : dict of id to Document
        Those that are there, in the order in which they came.
    k : int
        How many were sought, of the modality `kind` if it is not None.
    tolerance : float
        How much a score may differ.
    ties : bool
        Whether equal documents must have equal scores, and come in the order of the documents.
    """
    ids, got, modalities = found
    order = {id_: i for i, id_ in enumerate(documents)}
    assert len(set(ids)) == len(ids), f"an id twice: {ids}"
    assert set(ids) <= set(order), f"not in the corpus: {set(ids) - set(order)}"
    assert list(modalities) == [documents[x].modality for x in ids], "wrong modalities"
    sought = [x for x in order if kind in (None, documents[x].modality)]
    assert len(ids) == min(k, len(sought)), f"{len(ids)} found of {len(sought)} for k = {k}"
    assert set(ids) <= set(sought), f"of another modality than {kind}"
    want = scores[[order[x] for x in ids]]
    n_directed = int(np.isfinite(want).sum())
    assert np.isfinite(want[:n_directed]).all(), "a document of length zero before another"
    np.testing.assert_allclose(got[:n_directed], want[:n_directed], atol=tolerance, rtol=0)
    assert (np.diff(got[:n_directed]) <= 0).all(), f"scores rise: {got}"
    rest = [x for x in sought if not np.isfinite(scores[order[x]])]
    assert ids[n_directed:] == rest[: len(ids) - n_directed], "documents of length zero"
    left_out = [order[x] for x in set(sought) - set(ids)]
    if n_directed and left_out:
        worst = -np.inf if n_directed < len(ids) else want[n_directed - 1]
        assert scores[left_out].max() <= worst + tolerance, "something better was left out"
    equal, score_of = {}, {}
    for x in sought if ties else ():
        equal.setdefault(documents[x].content, []).append(x)
    for x, score in zip(ids[:n_directed] if ties else (), got):
        content = documents[x].content
        assert score_of.setdefault(content, score) == score, "equal documents differ in score"
        assert equal[content].pop(0) == x, f"equal documents in another order: {x}"


def assert_refused(call, *messages):
    """Whether a call raises a ValueError with one of these messages."""
    said = "nothing"
    try:
        call()
    except ValueError as error:
        said = str(error)
    assert any(message in said for message in messages), f"{messages[0]!r} was not said: {said}"


def drawn(rng, odds):
    """Names without end, each as often as its odds say."""
    names, odds = [*odds], np.array([*odds.values()], dtype=float)
    while True:
        yield names[rng.choice(len(names), p=odds / odds.sum())]

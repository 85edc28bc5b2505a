"""An index that several threads change and search, and what must hold of it."""

import sys
import threading
from contextlib import contextmanager

import numpy as np

from gapremoval import EmbeddingArray, MixedModalityRetriever

N_FEATURES = 16
ROWS = np.random.default_rng(0).normal(size=(400, N_FEATURES)).astype("f4")
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
QUERIES = EmbeddingArray(ROWS[-20:], ["query:text", "query:image"] * 10)
N_BASE = 40


@contextmanager
def frequent_turns():
    """Let threads take turns a hundred times as often as by default."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


def fitted(calibration=None, n_neighbors=10_000):
    """A retriever with the documents base.0 to base.39, texts and images in turn."""
    X = EmbeddingArray(ROWS[:N_BASE], ["text", "image"] * (N_BASE // 2))
    X = EmbeddingArray.concatenate([X, QUERIES])
    y = [*(f"base.{i}" for i in range(N_BASE)), *[None] * len(QUERIES)]
    return MixedModalityRetriever(n_neighbors, score_calibration=calibration).fit(X, y)


def row_of(id_):
    """The row of a document, which its id alone tells."""
    name, number = id_.split(".")
    if name == "base":
        return ROWS[int(number)]
    return ROWS[N_BASE + sum(name.encode()) * 7 % 100 + int(number) % 200]


def together(*tasks, timeout=120):
    """Run tasks in threads of their own; the first error is raised."""
    errors = []

    def run(task):
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread is stuck"


def beside(writer, *readers):
    """Repeat what readers do for as long as a writer works."""
    done = threading.Event()

    def write():
        try:
            writer()
        finally:
            done.set()

    def again(reader):
        reader()
        while not done.is_set():
            reader()

    together(write, *(lambda reader=reader: again(reader) for reader in readers))


def assert_answers_belong_together(found):
    """No id comes twice, and cosines are those of the documents."""
    for query, ids, scores in zip(QUERIES.values.astype(float), found.ids.tolist(), found.scores):
        assert len(set(ids)) == len(ids)
        right = np.stack([row_of(id_) for id_ in ids]) @ query / np.linalg.norm(query)
        np.testing.assert_allclose(scores, right, atol=1e-6)
        assert (np.diff(scores) <= 0).all()


def assert_sound(retriever, ids):
    """The documents are these, in any order, each is found, and more can come and go."""
    assert sorted(retriever.ids_.tolist()) == sorted(ids)
    assert retriever.n_documents_ == len(ids)
    found = retriever.search(QUERIES)
    assert all(sorted(x) == sorted(ids) for x in found.ids.tolist())
    retriever.partial_fit(ROWS[:1], ["last.0"], modality="video").remove("last.0")
    assert sorted(retriever.ids_.tolist()) == sorted(ids)


def come_and_go(retriever, modalities, n_rounds, n_kept=10):
    """Add pairs of documents, and remove the oldest pair where there are more than some."""
    pairs = []
    for n in range(n_rounds):
        pair = [f"a.{n}", f"b.{n}"]
        rows, modality = np.stack([row_of(id_) for id_ in pair]), modalities[n % len(modalities)]
        retriever.partial_fit(rows, pair, modality=modality)
        pairs.append(pair)
        if len(pairs) > n_kept:
            retriever.remove(pairs.pop(0))
    for pair in pairs:
        retriever.remove(pair)

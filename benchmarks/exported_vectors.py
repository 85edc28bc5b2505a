"""Do stores of exported vectors find what the retriever finds, and what do raw ones fetch?

Run: python benchmarks/exported_vectors.py        needs faiss-cpu; a minute

Three corpora of real CLIP embeddings, in which texts and images ask. For each metric, exported
vectors lie in an exact faiss index, before and after 1,000 documents came and 1,000 went (copies
of documents with noise). Then the raw embeddings lie there, and are asked with a certificate.
"""

import faiss
import numpy as np
from corpora import FLICKR8K, PAIR_FILES, flickr8k
from real_data import load_real
from scipy.special import softmax
from tables import print_table, quiet

from gapremoval import (
    EmbeddingArray,
    PosteriorOdds,
    StoreRetriever,
    make_search_pipeline,
)
from gapremoval.stores import FaissStore, StoreRows

K, RETURNED = 10, 100
# Scores of which single precision cannot tell the order.
TIED = 1e-5


def corpora():
    """Name, documents with their ids, and text and image queries."""
    flickr, data = flickr8k([["text", "image", "image+text"]], extra=True)[0], load_real(FLICKR8K)
    asked = {"query:text": data["text"][:, 1:].reshape(-1, 512), "query:image": data["image"]}
    yield "Flickr8k + 495", flickr.documents, [f"d{i}" for i in flickr.ids], asked
    for name in ("COCO", "products"):
        data = load_real(PAIR_FILES[name])
        half = len(data["text"]) // 2
        X = EmbeddingArray.concatenate({"text": data["text"][:half], "image": data["image"][half:]})
        asked = {"query:text": data["text"][half:], "query:image": data["image"][:half]}
        yield name, X, [f"d{i}" for i in range(len(X))], asked


def copies(X, n, seed=0):
    """Copies of some documents with noise, so that there are enough to come and go."""
    rng = np.random.default_rng(seed)
    at = rng.integers(0, len(X), n)
    noise = rng.normal(size=(n, X.shape[1])) / np.sqrt(X.shape[1])
    values = X.values[at] / np.linalg.norm(X.values[at], axis=1, keepdims=True) + 0.5 * noise
    return EmbeddingArray(values.astype(np.float32), X.modality[at])


def in_faiss(exported, queries):
    """The scores and ids of the hundred best, from an exact index."""
    index = {"l2": faiss.IndexFlatL2}.get(exported.metric, faiss.IndexFlatIP)
    index = index(exported.vectors.shape[1])
    index.add(exported.vectors)
    returned, rows = index.search(exported.queries(queries), RETURNED)
    kind = "squared" if exported.metric == "l2" else "similarity"
    return exported.scores(returned, kind), exported.ids[rows]


def compare(retriever, queries, exported):
    """The share of equal ids where scores are apart, and the largest errors."""
    want = retriever.search(queries, K + 1)
    scores, ids = in_faiss(exported, queries)
    apart = np.diff(want.scores, axis=1) < -TIED
    clear = apart[:, :K] & np.column_stack([np.ones(len(apart), bool), apart[:, : K - 1]])
    slope = retriever.score_calibration_.slope_[exported.query_modality]
    right = want.probabilities[:, 0]
    off = np.abs(exported.probabilities(scores)[:, 0] - right)
    alone = np.abs(softmax(slope * scores, axis=1)[:, 0] - right).max()
    same = (ids[:, :K] == want.ids[:, :K])[clear].mean()
    error = np.abs(scores[:, :K] - want.scores[:, :K]).max()
    return same, error, off.mean(), off.max(), alone


def exports():
    """The rows of the first table."""
    for name, X, ids, asked in corpora():
        both = EmbeddingArray.concatenate([X, EmbeddingArray.concatenate(asked)])
        pipe = make_search_pipeline().fit(both, [*ids, *[None] * (len(both) - len(X))])
        retriever = pipe[-1]
        before = {
            (asks, metric): retriever.export_vectors(asks, metric=metric)
            for asks in asked
            for metric in ("ip", "cosine", "l2")
        }
        queries = {
            asks: pipe[:-1].transform(EmbeddingArray(rows, asks)) for asks, rows in asked.items()
        }
        first = {key: compare(retriever, queries[key[0]], x) for key, x in before.items()}
        new = pipe[:-1].transform(copies(X, 1000))
        retriever.partial_fit(new, [f"new{i}" for i in range(1000)])
        gone = np.random.default_rng(1).permutation(retriever.ids_)[:1000]
        retriever.remove(gone.tolist())
        for (asks, metric), old in before.items():
            length = None if metric == "ip" else old.length
            now = retriever.export_vectors(asks, metric=metric, length=length)
            changes = now.changes(old)
            others = [x for x in now.ids[changes.rows] if not x.startswith("new")]
            then = compare(retriever, queries[asks], now)
            same, error, mean, most, alone = zip(first[asks, metric], then)
            same = f"{same[0]:.4f} / {same[1]:.4f}"
            odds = f"{max(mean):.4f}", f"{max(most):.4f}", f"{max(alone):.4f}"
            yield name, asks, metric, same, len(others), f"{max(error):.1e}", *odds


def raw():
    """The rows of the second table."""
    for name, X, ids, asked in corpora():
        # One row is one document.
        values = X.values / np.linalg.norm(X.values, axis=1, keepdims=True)
        X = EmbeddingArray(values.astype(np.float32), X.modality)
        ids = np.array([f"{x}-{m}" for x, m in zip(ids, X.modality)], dtype=object)
        store = FaissStore()
        with store.build(X.shape[1]) as target:
            target.upsert(StoreRows(ids, X.modality, X.values))
        both = EmbeddingArray.concatenate([X, EmbeddingArray.concatenate(asked)])
        y = [*ids, *[None] * (len(both) - len(X))]
        for odds in (None, PosteriorOdds()):
            exact = make_search_pipeline()
            exact[-1].set_params(score_calibration=odds)
            exact.fit(both, y)
            gap = exact[0]
            of_store = StoreRetriever(store, raw=gap.centers_, score_calibration=odds)
            of_store.fit(gap.transform(both), y)
            for asks, rows in asked.items():
                queries = gap.transform(EmbeddingArray(rows, asks))
                found, want = of_store.search(queries, K), exact[-1].search(queries, K)
                same, n = (found.ids == want.ids).all(axis=1), found.n_fetched
                sure = found.certified
                share = f"{sure.mean():.3f}", f"{same[sure].mean():.4f}"
                quantiles = f"{np.median(n):.0f} / {np.quantile(n, 0.9):.0f}"
                scores = "cosine" if odds is None else "posterior odds"
                yield name, asks, scores, len(X), *share, f"{n.mean():.0f}", quantiles


def main():
    quiet()
    header = ["corpus", "asked by", "metric", "same ids before / after", "other rows rewritten"]
    title = "The ten best of exported vectors in an exact index, and of the retriever"
    header += ["largest error of a score", "mean error of a top probability", "largest"]
    print_table(title, [*header, "largest, over those found alone"], exports())
    header = ["corpus", "asked by", "scores", "rows", "certified", "certified and right"]
    title = "The ten best of raw vectors, asked with a certificate"
    print_table(title, [*header, "rows fetched, mean", "median / 90th percentile"], raw())


if __name__ == "__main__":
    main()

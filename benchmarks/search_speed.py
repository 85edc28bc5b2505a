"""How fast is the exact search, beside the bare matrix product and other libraries?

Drawn unit vectors of 512 features in float32, which lie near a space of 32: an approximate index
finds little among vectors drawn evenly. The first tables compare searches for the ten best
documents, in turn; the last shows what crowds of near-equal scores cost.

usage: python benchmarks/search_speed.py [--documents 200000] [--rounds 7] [--no-hnsw]

Needs the extra `recipes`.
"""

import argparse
import time

import faiss
import numpy as np
from sklearn.neighbors import NearestNeighbors
from usearch.index import MetricKind
from usearch.index import search as usearch_exact

from gapremoval import EmbeddingArray, MixedModalityRetriever

N_FEATURES, K = 512, 10


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def in_turn(tasks, rounds):
    """Seconds of each task by name, an array of shape (rounds,), and what it returned last."""
    took, out = {name: [] for name in tasks}, {}
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.perf_counter()
            out[name] = task()
            took[name].append(time.perf_counter() - start)
    return {name: np.array(seconds) for name, seconds in took.items()}, out


def row(name, seconds, base, *more):
    ratios = seconds / base
    cells = [f"{np.median(seconds) * 1e3:.1f}", f"{np.median(ratios):.2f}"]
    spread = f"{ratios.min():.2f} to {ratios.max():.2f}"
    print("|", " | ".join([name, *cells, spread, *more]), "|")


def plain_numpy(queries, documents):
    scores = queries @ documents.T
    best = np.argpartition(scores, -K, axis=1)[:, -K:]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def compare(documents, queries, hnsw, rounds):
    """Print the times of all searches, over that of the product."""
    ours = MixedModalityRetriever(K).fit(EmbeddingArray(documents, "image"))
    flat = faiss.IndexFlatIP(N_FEATURES)
    flat.add(documents)
    brute = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(documents)
    for asked in (queries, queries[:16], queries[:1]):
        embeddings = EmbeddingArray(asked, "query:image")
        tasks = {
            "matrix product": lambda asked=asked: asked @ documents.T,
            "gapremoval": lambda e=embeddings: ours.kneighbors(e, return_distance=False),
            "numpy, argpartition": lambda asked=asked: plain_numpy(asked, documents),
            "faiss, flat": lambda asked=asked: flat.search(asked, K)[1],
            "scikit-learn, brute": lambda asked=asked: brute.kneighbors(asked)[1],
            "usearch, exact": lambda asked=asked: (
                usearch_exact(documents, asked, K, MetricKind.IP, exact=True).keys
            ),
        }
        if hnsw is not None:
            tasks["faiss, HNSW (not exact)"] = lambda asked=asked: hnsw.search(asked, K)[1]
        took, out = in_turn(tasks, rounds)
        exact = out["gapremoval"]
        print(f"\n{len(asked)} queries over {len(documents):,} documents\n")
        print("| search | ms | times the product | range | recall |\n|---|---|---|---|---|")
        for name, seconds in took.items():
            recall = "" if name == "matrix product" else f"{recall_of(out[name], exact):.4f}"
            row(name, seconds, took["matrix product"], recall)


def recall_of(found, exact):
    """The share of the exact neighbours that were found."""
    found = np.reshape(found, exact.shape)
    return np.mean([len(np.intersect1d(*pair)) / K for pair in zip(found, exact)])


def crowds(documents, queries):
    """Corpora and queries where very many scores are near the last place, by name."""
    rng = np.random.default_rng(1)
    n_documents = len(documents)
    query = queries[0]
    near = unit(query + 1e-5 * rng.standard_normal(queries.shape, dtype="f4"))
    across = unit(documents - np.outer(documents @ query, query))
    along = np.linspace(0, 0.9, n_documents, dtype="f4")[:, None]
    twice = documents.copy()
    twice[rng.choice(n_documents, 10_000, replace=False)] = unit(0.5 * query + across[:1])
    twice[: K - 1] = unit(query + across[: K - 1])
    yield "near-equal queries", near, documents
    yield "near-equal queries, rising scores", near, along * query + np.sqrt(1 - along**2) * across
    yield "near-equal queries, 10,000 equal rows at the last place", near, twice
    yield "all rows equal", queries, np.repeat(documents[:1], n_documents, axis=0)
    tiny = 1e-7 * rng.standard_normal(documents.shape, dtype="f4")
    yield "all rows within 1e-5, none equal", queries, unit(documents[:1] + tiny)


def compare_crowds(documents, queries, rounds):
    """Print the times of searches in crowds, over that of an ordinary one."""
    ordinary = MixedModalityRetriever(K).fit(EmbeddingArray(documents, "image"))
    print("\n| documents and queries | queries | ms | times an ordinary search | range |")
    print("|---|---|---|---|---|")
    for name, asked, rows in crowds(documents, queries):
        ours = MixedModalityRetriever(K).fit(EmbeddingArray(rows, "image"))
        for n in (len(queries), 16, 1):
            a, b = (EmbeddingArray(x[:n], "query:image") for x in (queries, asked))
            took, _ = in_turn(
                {
                    "ordinary": lambda a=a: ordinary.kneighbors(a),
                    "crowd": lambda b=b, ours=ours: ours.kneighbors(b),
                },
                rounds,
            )
            row(f"{name} | {n}", took["crowd"], took["ordinary"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-hnsw", action="store_true", help="its index takes a minute or more")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((options.documents + 256, 32), dtype="f4")
    rows = rows @ rng.standard_normal((32, N_FEATURES), dtype="f4")
    rows = unit(rows + rng.standard_normal(rows.shape, dtype="f4"))
    documents, queries = rows[:-256], rows[-256:].copy()
    hnsw = None
    if not options.no_hnsw:
        hnsw = faiss.IndexHNSWFlat(N_FEATURES, 16, faiss.METRIC_INNER_PRODUCT)
        hnsw.add(documents)
        hnsw.hnsw.efSearch = 64
    compare(documents, queries, hnsw, options.rounds)
    compare_crowds(documents, queries, options.rounds)


if __name__ == "__main__":
    main()

"""How do time and memory of the index grow with the number of documents?

Drawn unit vectors of 512 features in float32, one a document. The bare matrix product of the
queries with all documents, block by block into one buffer, is the limit of what a search can be.
Memory is what numpy takes beyond the rows given (tracemalloc): the index itself, and what a search
holds while it runs.

usage: python benchmarks/search_size.py [--documents 10000 100000 1000000] [--rounds 5]
"""

import argparse
import time
import tracemalloc

import numpy as np

from gapremoval import EmbeddingArray, MixedModalityRetriever

N_FEATURES, N_QUERIES, BLOCK = 512, 256, 8192


def draw(n):
    """Unit vectors, made in place: there is no room for more."""
    rng, rows = np.random.default_rng(0), np.empty((n, N_FEATURES), dtype=np.float32)
    for start in range(0, n, BLOCK):
        block = rows[start : start + BLOCK]
        rng.standard_normal(out=block, dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return rows


def product(queries, documents, scores):
    for start in range(0, len(documents), BLOCK):
        block = documents[start : start + BLOCK]
        np.matmul(queries, block.T, out=scores[:, : len(block)])


def seconds(task):
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def peak(task):
    """MiB that numpy takes while a task runs."""
    tracemalloc.start()
    task()
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return top / 2**20


def beside_the_product(retriever, queries, documents, scores, rounds):
    """Milliseconds of a search, and its times the product, as cells."""
    asked, took, base = EmbeddingArray(queries, "query:image"), [], []
    for _ in range(rounds):
        base.append(seconds(lambda: product(queries, documents, scores[: len(queries)])))
        took.append(seconds(lambda: retriever.predict(asked)))
    ratios = np.array(took) / base
    spread = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
    return [f"{np.median(took) * 1e3:.1f}", spread]


def measure(n, rounds):
    documents = draw(n)
    X = EmbeddingArray(documents, "image")
    queries = draw(N_QUERIES)
    asked = EmbeddingArray(queries, "query:image")
    retriever = MixedModalityRetriever()
    fit = seconds(lambda: retriever.fit(X))
    scores = np.empty((N_QUERIES, BLOCK), dtype=np.float32)
    cells = [f"{n:,}", f"{fit:.2f}", f"{fit / n * 1e6:.2f}"]
    for n_queries in (N_QUERIES, 1):
        cells += beside_the_product(retriever, queries[:n_queries], documents, scores, rounds)
    cells.append(f"{peak(lambda: retriever.predict(asked)):.0f}")
    if 3 * documents.nbytes < 2**34:  # another index beside the first
        index = peak(lambda: MixedModalityRetriever().fit(X))
        cells.append(f"{index:.0f} ({index * 2**20 / documents.nbytes:.2f})")
    else:
        cells.append("")
    print("|", " | ".join(cells), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[10**4, 10**5, 10**6])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(
        "| documents | fit, s | µs a document | 256 queries, ms | times the product | 1 query, ms "
        "| times the product | search, MiB | index, MiB (times the rows) |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for n in options.documents:
        measure(n, options.rounds)


if __name__ == "__main__":
    main()

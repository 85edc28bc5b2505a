"""What does a document cost that comes or goes, against the size of the corpus?

Drawn unit vectors in float32, texts and images in turn; 256 queries teach the score
calibration. A corpus gets documents one by one and in a batch of 1,000, and loses as many. The
first addition also makes room and a table of the ids, and is shown apart.

usage: python benchmarks/living_corpus.py [--sizes 1000 10000 100000 1000000] [--features 64]
"""

import argparse
import time

import numpy as np

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds

N_QUERIES, BATCH = 256, 1000


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def tagged(rng, n_documents, n_features):
    rows = rng.normal(size=(n_documents, n_features)).astype("f4")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return EmbeddingArray(rows, ["text", "image"] * (n_documents // 2))


def measure(calibration, n_documents, n_features, n_singles):
    """Seconds a row: a list for single rows, a number for a batch, of each change."""
    rng = np.random.default_rng(0)
    documents, new = (tagged(rng, n, n_features) for n in (n_documents, n_singles + BATCH))
    queries = EmbeddingArray(tagged(rng, N_QUERIES, n_features).values, "query:text")
    retriever = MixedModalityRetriever(score_calibration=calibration)
    retriever.fit(EmbeddingArray.concatenate([documents, queries]))
    ids = n_documents + N_QUERIES + np.arange(n_singles + BATCH)
    add = [
        seconds(lambda i=i: retriever.partial_fit(new[i : i + 1], ids[i : i + 1]))
        for i in range(n_singles)
    ]
    late = slice(n_singles, None)
    add_batch = seconds(lambda: retriever.partial_fit(new[late], ids[late])) / BATCH
    gone = rng.permutation(n_documents)[: n_singles + BATCH // 2]
    remove = [seconds(lambda i=i: retriever.remove(int(i))) for i in gone[:n_singles]]
    more = np.concatenate([gone[n_singles:], ids[: BATCH - BATCH // 2]])
    remove_batch = seconds(lambda: retriever.remove(more)) / BATCH
    return add, add_batch, remove, remove_batch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6])
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--singles", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        "| score calibration | documents | add the first | add one: median | mean | add in a batch "
        "| remove one: median | mean | remove in a batch |\n|---|---|---|---|---|---|---|---|---|"
    )
    for calibration in (None, PosteriorOdds()):
        times = {}
        for _ in range(options.rounds):  # sizes in turn, since other work may slow a while
            for size in options.sizes:
                found = measure(calibration, size, options.features, options.singles)
                add, add_batch, remove, remove_batch = found
                row = add[0], np.median(add[1:]), np.mean(add[1:]), add_batch
                row += np.median(remove), np.mean(remove), remove_batch
                times.setdefault(size, []).append(row)
        for size, rounds in times.items():
            shown = " | ".join(f"{1e6 * x:,.0f} µs" for x in np.median(rounds, axis=0))
            print(f"| {calibration} | {size:,} | {shown} |")


if __name__ == "__main__":
    main()

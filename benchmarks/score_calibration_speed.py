"""What does a score calibration cost, at fit and at search, beside the bare matrix product?

Drawn unit vectors in float32; 1,024 queries and as many fallback queries teach each query modality.

usage: python benchmarks/score_calibration_speed.py [--documents 200000] [--rounds 5]
"""

import argparse
import time

import numpy as np

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds

N_FEATURES, N_TEACH, N_ASKED = 512, 1024, 256


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(options.documents + N_TEACH, N_FEATURES)).astype("f4")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    documents, queries = rows[: options.documents], rows[options.documents :]
    kinds = rng.choice(["text", "image"], options.documents)
    X = EmbeddingArray(rows, [*kinds, *["query:text"] * N_TEACH])
    plain = MixedModalityRetriever()
    odds = MixedModalityRetriever(score_calibration=PosteriorOdds())
    asked = EmbeddingArray(queries[:N_ASKED], "query:text")
    # The rows that teach: queries and fallback queries of text, fallback queries of image.
    teaching = rows[: 3 * N_TEACH]

    def product():
        for start in range(0, options.documents, 8192):
            teaching @ documents[start : start + 8192].T

    times = {}
    for _ in range(options.rounds):
        for name, call in {
            "product of all rows that teach": product,
            "fit, plain": lambda: plain.fit(X),
            "fit, odds": lambda: odds.fit(X),
            "kneighbors, plain": lambda: plain.kneighbors(asked),
            "kneighbors, odds": lambda: odds.kneighbors(asked),
            "search, odds": lambda: odds.search(asked),
        }.items():
            times.setdefault(name, []).append(seconds(call))
    times = {name: np.array(values) for name, values in times.items()}
    learning = times["fit, odds"] - times["fit, plain"]
    ratios = {
        "what fit adds, times the product": learning / times["product of all rows that teach"],
        "kneighbors, times without": times["kneighbors, odds"] / times["kneighbors, plain"],
        "search with probabilities, times kneighbors without": times["search, odds"]
        / times["kneighbors, plain"],
    }
    print("| what | median | range |\n|---|---|---|")
    for name, values in ratios.items():
        print(f"| {name} | {np.median(values):.2f} | {values.min():.2f} to {values.max():.2f} |")


if __name__ == "__main__":
    main()

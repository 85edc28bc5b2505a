"""What does a search among some documents cost, beside the search of all?

Drawn unit vectors of 512 features in float32, half texts and half images, in the recommended
pipeline. `search(..., among=)` takes a mask or ids of 1 %, 10 % and 50 % of the documents, drawn
at random. Without it, one ranks all documents and drops the others. All are timed in turn; a
ratio is the median of those of each round.

usage: python benchmarks/filtered_search.py [--documents 100000] [--rounds 7]
"""

import argparse
import time

import numpy as np

from gapremoval import EmbeddingArray, make_search_pipeline, search

N_FEATURES, K = 512, 10
SHARES = [0.01, 0.1, 0.5]


def unit_rows(n_rows, seed):
    rows = np.random.default_rng(seed).standard_normal((n_rows, N_FEATURES), dtype="f4")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def in_turn(tasks, rounds):
    """Seconds of each task by name, an array of shape (rounds,)."""
    took = {name: [] for name in tasks}
    for n in range(rounds + 1):  # the first makes the tables that later searches share
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            took[name] += [time.perf_counter() - start] * (n > 0)
    return {name: np.array(seconds) for name, seconds in took.items()}


def rank_and_drop(pipe, asked, mask):
    """The ids of the best documents in a mask, by a ranking of all."""
    retriever = pipe[-1]
    n = retriever.n_documents_
    rows = pipe[:-1].transform(asked)
    best = []
    for start in range(0, len(asked), 16):  # a ranking of all takes memory
        places = retriever.kneighbors(rows[start : start + 16], n, return_distance=False)
        best += [row[mask[row]][:K] for row in places]
    return retriever.ids_[np.stack(best)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    n = options.documents
    tags = np.repeat(["text", "image"], [n // 2, n - n // 2])
    questions = EmbeddingArray(unit_rows(256, 1), "query:text")
    X = EmbeddingArray.concatenate([EmbeddingArray(unit_rows(n, 0), tags), questions])
    pipe = make_search_pipeline(n_neighbors=K).fit(X, [*range(n), *[None] * len(questions)])
    asked, rng = EmbeddingArray(unit_rows(256, 2), "query:text"), np.random.default_rng(0)
    masks = {share: rng.permutation(np.arange(n) < share * n) for share in SHARES}
    print("| queries | documents searched | ms | over the whole | old way, over the whole |")
    print("|---|---|---|---|---|")
    for some in (asked[:1], asked):
        tasks = {"all": lambda some=some: search(pipe, some)}
        for share, mask in masks.items():
            ids = np.flatnonzero(mask).tolist()
            for name, among in (("a mask", mask), ("ids", ids)):
                tasks[f"{share:.0%}, {name}"] = lambda among=among, some=some: search(
                    pipe, some, among=among
                )
            # The old way takes the same time for every share, so that few queries tell it.
        tasks["old"] = lambda some=some: rank_and_drop(pipe, some[:16], masks[0.1])
        took = in_turn(tasks, options.rounds)
        old = took.pop("old") * len(some) / min(len(some), 16)
        for name, seconds in took.items():
            cells = [str(len(some)), name, f"{np.median(seconds) * 1e3:.1f}"]
            cells += [f"{np.median(x / took['all']):.3g}" for x in (seconds, old)]
            if name == "all":
                cells[-1] = ""
            print("|", " | ".join(cells), "|", flush=True)
        mask = masks[0.1]
        want = rank_and_drop(pipe, some[:16], mask)
        assert (search(pipe, some[:16], among=mask).ids == want).all()


if __name__ == "__main__":
    main()

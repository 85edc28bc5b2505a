"""What does a question cost beside a bare numpy search, from a hundred documents to a million?

Drawn unit vectors of 512 features in float32: a third each texts, images and documents of both.
`make_search_pipeline()` by `gapremoval.search` and a bare `MixedModalityRetriever` are compared, in
turn, with a bare numpy search (product, argpartition, sort), scikit-learn's brute force and faiss's
flat index, which search the fused vectors. Then come the number of function calls of one question,
and the CPU time of a question from eight threads at once.

usage: python benchmarks/small_searches.py [--large] [--rounds 9]

Needs the extra `recipes`.
"""

import argparse
import cProfile
import pstats
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
from sklearn.neighbors import NearestNeighbors

import gapremoval
from gapremoval import EmbeddingArray, MixedModalityRetriever, make_search_pipeline, search

N_FEATURES, K = 512, 10
SIZES = [100, 1_000, 10_000, 100_000]
N_THREADS = 8
PACKAGE = str(Path(gapremoval.__file__).parent)


def unit_rows(n_rows, seed):
    """Random directions, block by block."""
    rng, rows = np.random.default_rng(seed), np.empty((n_rows, N_FEATURES), dtype="f4")
    for start in range(0, n_rows, 8192):
        block = rows[start : start + 8192]
        rng.standard_normal(out=block, dtype="f4")
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return rows


class Corpus:
    """So many documents, in every index that is compared."""

    def __init__(self, n_documents):
        n_both = n_documents // 3
        n_texts = (n_documents - n_both) // 2
        rows = unit_rows(n_documents + n_both, 0)
        # First texts and images in one, then the other part of those that have both.
        tags = np.repeat(
            ["text", "image", "text", "image"],
            np.array([n_texts, n_documents - n_both - n_texts, n_both, n_both]),
        )
        ids = [*range(n_documents), *range(n_documents - n_both, n_documents)]
        self.questions = unit_rows(100, 1)
        asked = EmbeddingArray(self.questions, "query:text")
        X, y = (
            EmbeddingArray.concatenate([EmbeddingArray(rows, tags), asked]),
            [*ids, *[None] * 100],
        )
        self.pipe = make_search_pipeline(n_neighbors=K).fit(X, y)
        self.bare = MixedModalityRetriever(K).fit(X, y)
        fused = rows[:n_documents]
        fused[n_documents - n_both :] += rows[n_documents:]
        self.vectors = fused / np.linalg.norm(fused, axis=1, keepdims=True)
        self.flat = faiss.IndexFlatIP(N_FEATURES)
        self.flat.add(self.vectors)
        brute = NearestNeighbors(n_neighbors=K, algorithm="brute", metric="cosine")
        self.brute = brute.fit(self.vectors)

    def searches(self, n_questions):
        """What is compared, by name."""
        rows = self.questions[:n_questions]
        asked = EmbeddingArray(rows, "query:text")
        return {
            "numpy": lambda: plain_numpy(rows, self.vectors),
            "make_search_pipeline": lambda: search(self.pipe, asked).ids,
            "MixedModalityRetriever": lambda: self.bare.kneighbors(asked)[1],
            "scikit-learn": lambda: self.brute.kneighbors(rows)[1],
            "faiss": lambda: self.flat.search(rows, K)[1],
        }


def plain_numpy(queries, documents):
    scores = queries @ documents.T
    best = np.argpartition(scores, -K, axis=1)[:, -K:]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def seconds(task, at_least=0.02):
    """The mean time of a task, repeated for some time."""
    start, n = time.perf_counter(), 0
    while n == 0 or time.perf_counter() < start + at_least:
        task()
        n += 1
    return (time.perf_counter() - start) / n


def in_turn(tasks, rounds):
    """Seconds of each task by name, an array of shape (rounds,)."""
    for task in tasks.values():
        task()
    took = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            took[name].append(seconds(task))
    return {name: np.array(x) for name, x in took.items()}


def print_row(*cells):
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def compare(sizes, rounds):
    """Print the times of all searches over that of numpy."""
    names = ["make_search_pipeline", "MixedModalityRetriever", "scikit-learn", "faiss"]
    print_row("questions", "documents", "numpy, ms", *(f"{name}, times numpy" for name in names))
    print_row(*["---"] * (3 + len(names)))
    for n_documents in sizes:
        corpus = Corpus(n_documents)
        for n_questions in (1, 100):
            tasks = corpus.searches(n_questions)
            same = np.sort(tasks["MixedModalityRetriever"]()) == np.sort(tasks["numpy"]())
            assert same.mean() > 0.999, "other documents were found than numpy finds"
            took = in_turn(tasks, rounds)
            base, cells = took.pop("numpy"), []
            for ratios in (x / base for x in took.values()):
                spread = f"{ratios.min():.2f} to {ratios.max():.2f}"
                cells.append(f"{np.median(ratios):.2f} ({spread})")
            print_row(n_questions, f"{n_documents:,}", f"{np.median(base) * 1e3:.3f}", *cells)


def calls(task):
    """Function calls of a task that was done before: in the package, of how many files, in all."""
    for _ in range(3):
        task()
    profile = cProfile.Profile()
    profile.runcall(task)
    stats = pstats.Stats(profile)
    ours = {at: n for at, (_, n, *_) in stats.stats.items() if at[0].startswith(PACKAGE)}
    return sum(ours.values()), len({file for file, *_ in ours}), stats.total_calls


def count_calls():
    """Print the function calls of one question."""
    corpus = Corpus(300)
    print("\nFunction calls of one question over 300 documents (cProfile):\n")
    print_row("search", "calls in the package", "of so many files", "calls in all")
    print_row(*["---"] * 4)
    for name, task in corpus.searches(1).items():
        if name in ("make_search_pipeline", "MixedModalityRetriever"):
            print_row(name, *calls(task))


def cpu_of_each(task, n_threads, n_repeats):
    """CPU and wall milliseconds of a task, done so often in all by so many threads."""
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(lambda _: task(), range(2 * n_threads)))
        cpu, wall = time.process_time(), time.perf_counter()
        list(pool.map(lambda _: task(), range(n_repeats)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return 1e3 * cpu / n_repeats, 1e3 * wall / n_repeats


def from_threads(rounds, n_documents=10_000, n_repeats=160):
    """Print what a question costs where one thread asks and where several do."""
    corpus = Corpus(n_documents)
    print(f"\nSingle questions over {n_documents:,} documents from threads, medians:\n")
    print_row(
        "search", "threads", "CPU ms a question", "ms a question", "CPU, times one thread (range)"
    )
    print_row(*["---"] * 5)
    for name, task in corpus.searches(1).items():
        took = np.array(
            [[cpu_of_each(task, n, n_repeats) for n in (1, N_THREADS)] for _ in range(rounds)]
        )
        ratios = took[:, 1, 0] / took[:, 0, 0]
        for i, n in enumerate((1, N_THREADS)):
            spread = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
            cells = [f"{x:.2f}" for x in np.median(took[:, i], axis=0)]
            print_row(name, n, *cells, spread if i else "1")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="1,000,000 documents too: 10 GiB")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    compare([*SIZES, *[1_000_000] * options.large], options.rounds)
    count_calls()
    from_threads(min(options.rounds, 5))


if __name__ == "__main__":
    main()

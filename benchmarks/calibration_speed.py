"""What does removing the gap cost beside reading and copying the rows?

Drawn unit rows in float32, half texts and half images in random order. Everything is timed in
turn, round after round; CPU is the processor's time over all threads, which other work on the
machine lengthens less; the memory is what numpy holds beyond its result at the most.

usage: python benchmarks/calibration_speed.py [--rows 10000 100000 1000000] [--rounds 7]
"""

import argparse
import time
import tracemalloc

import numpy as np

from gapremoval import EmbeddingArray, ModalityGapRemover

N_FEATURES = 512
ROW_BY_ROW = 10_000


def naive(rows, codes, means):
    """(x / |x| - m) / |x / |x| - m| as one writes it down."""
    centred = rows / np.linalg.norm(rows, axis=1, keepdims=True) - means[codes]
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def row_by_row(rows, codes, means):
    """The same in a loop over embeddings."""
    corrected = []
    for row, code in zip(rows, codes):
        unit = row / np.linalg.norm(row)
        centred = unit - means[code]
        corrected.append(centred / np.linalg.norm(centred))
    return np.stack(corrected)


def extra_memory(call):
    """MiB that numpy holds at the most beyond the result of the call."""
    tracemalloc.start()
    result = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = getattr(getattr(result, "values", result), "nbytes", 0)
    return max(peak - kept, 0) / 2**20


def measure(n_rows, rounds):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n_rows, N_FEATURES), dtype="f4")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    codes = rng.integers(0, 2, n_rows)
    tags = np.array(["text", "image"])[codes]
    X, warm = EmbeddingArray(rows, tags), np.zeros_like(rows)
    remover = ModalityGapRemover().fit(X)
    means = np.stack([remover.centers_[m] for m in ("text", "image")]).astype("f4")
    few = slice(min(n_rows, ROW_BY_ROW))
    calls = {
        "X.sum(0)": lambda: rows.sum(0),
        "fit": lambda: ModalityGapRemover().fit(X),
        "fit, strings as tags": lambda: ModalityGapRemover().fit(rows, modality=tags),
        "copy into a warm array": lambda: np.copyto(warm, rows),
        "copy into a new array": rows.copy,
        "transform": lambda: remover.transform(X),
        "the formula in numpy": lambda: naive(rows, codes, means),
        "row by row": lambda: row_by_row(rows[few], codes[few], means),
    }
    took, busy = ({name: [] for name in calls} for _ in range(2))
    for _ in range(rounds):
        for name, call in calls.items():
            start, cpu = time.perf_counter(), time.process_time()
            call()
            scale = n_rows / len(rows[few]) if name == "row by row" else 1
            took[name].append((time.perf_counter() - start) * scale)
            busy[name].append((time.process_time() - cpu) * scale)
    read, copied = (np.array(took[name]) for name in ("X.sum(0)", "copy into a warm array"))
    for name, seconds in took.items():
        low, middle, high = np.quantile(seconds, [0, 0.5, 1]) * 1000
        memory = "" if name == "row by row" else f"{extra_memory(calls[name]):.0f}"
        print(
            f"| {n_rows:,} | {name} | {middle:.1f} | {low:.1f} to {high:.1f} | "
            f"{np.median(busy[name]) * 1000:.1f} | {np.median(seconds / read):.1f} | "
            f"{np.median(seconds / copied):.1f} | {memory} |",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print("| rows | what | ms, median | ms, range | CPU ms | / sum | / copy | extra MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for n_rows in options.rows:
        measure(n_rows, options.rounds)


if __name__ == "__main__":
    main()

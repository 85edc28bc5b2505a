"""What do search and removal cost on a GPU, over what the device does at the least?

1,000,000 x 512 in float32, all on the device. A search of 256 queries is compared with the bare
matrix product, fit and transform of the remover with a copy of the rows; degenerate corpora, whose
rows are equal or nearly so, show what ties cost. Before that the answers for a small corpus are
compared with those of numpy.

usage: python benchmarks/cuda_search.py [--documents 1000000] [--device cuda]

Needs torch. The exit code is 1 if an ordinary search takes over 1.5 times as long as the product,
or an answer differs.
"""

import argparse
import sys
import time
import warnings

import numpy as np
import torch

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover, PosteriorOdds

N_QUERIES, N_FEATURES = 256, 512
REPEATS, AT_MOST = 31, 8.0  # so often, or for so many seconds


def unit_rows(n_rows, seed, device):
    """Random directions, made on the device."""
    generator = torch.Generator(device).manual_seed(seed)
    rows = torch.randn(n_rows, N_FEATURES, generator=generator, device=device)
    return torch.nn.functional.normalize(rows)


def seconds(task, device):
    """How long a task takes on the device."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    task()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(name, task, base, device):
    """Print a row of the table, and return the median ratio; inf where the task fails."""
    took, start = [], time.perf_counter()
    try:
        warm = [[seconds(task, device), seconds(base, device)] for _ in range(2)]
        while not took or (len(took) < REPEATS and time.perf_counter() < start + AT_MOST):
            took.append([seconds(task, device), seconds(base, device)])
    except Exception as error:
        print(f"| {name} | {type(error).__name__}: {str(error)[:80]!r} | | | |", flush=True)
        return np.inf
    took = np.array(took if len(took) > 1 else [*warm, *took])
    low, middle, high = np.percentile(took[:, 0] / took[:, 1], [10, 50, 90])
    ours, bare = np.median(took, axis=0) * 1e3
    ratios = f"{middle:.2f} ({low:.2f} to {high:.2f})"
    print(f"| {name} | {ours:.2f} | {bare:.2f} | {ratios} | {len(took)} |", flush=True)
    return middle


def degenerate(n_documents, device):
    """Rows of which every score is at the last place, by name."""
    row = unit_rows(1, 0, device)
    yield "all rows equal", row.repeat(n_documents, 1)
    near = row + 1e-7 * unit_rows(n_documents, 2, device)
    yield "all rows within 1e-6", torch.nn.functional.normalize(near)


def tagged(rows, queries):
    """Texts and images in turn, then queries that teach, with their ids."""
    n = len(rows)
    tags = np.concatenate([np.resize(["text", "image"], n), ["query:text"] * len(queries)])
    ids = [*range(n), *[None] * len(queries)]
    return EmbeddingArray(torch.cat([rows, queries]), tags), ids


def print_search(name, rows, queries, device, n):
    """Print what a search of some queries costs over the product."""
    retriever = MixedModalityRetriever(10).fit(EmbeddingArray(rows, "image"))
    asked = EmbeddingArray(queries[:n], "query:image")
    return measure(
        f"search, {name}, {n} {'query' if n == 1 else 'queries'}",
        lambda: retriever.kneighbors(asked, return_distance=False),
        lambda: queries[:n] @ rows.T,
        device,
    )


def print_pipeline(rows, queries, device):
    """Print what the remover costs over a copy, and a calibrated search over the product."""
    X, y = tagged(rows, unit_rows(1024, 3, device))
    remover, copy = ModalityGapRemover().fit(X), X.values.clone
    measure("fit of the remover", lambda: ModalityGapRemover().fit(X), copy, device)
    measure("transform", lambda: remover.transform(X), copy, device)
    odds = MixedModalityRetriever(10, score_calibration=PosteriorOdds()).fit(X, y)
    asked = EmbeddingArray(queries, "query:text")
    measure(
        f"search with posterior odds, drawn, {len(queries)} queries",
        lambda: odds.search(asked),
        lambda: queries @ rows.T,
        device,
    )


def print_table(n_documents, queries, device):
    """Print what searches and the remover cost; return the ratio of an ordinary search."""
    print("| what | ms | product or copy, ms | ratio: median (10 % to 90 %) | repeats |")
    print("|---|---|---|---|---|")
    rows = unit_rows(n_documents, 0, device)
    ratio = print_search("drawn", rows, queries, device, N_QUERIES)
    print_search("drawn", rows, queries, device, 1)
    print_pipeline(rows, queries, device)
    for name, same in degenerate(n_documents, device):
        for n in (N_QUERIES, 1):
            print_search(name, same, queries, device, n)
    return ratio


def differences(device, n_documents=20_000):
    """The share of ids that differ from numpy's, and the largest difference of scores."""
    found = []
    X, y = tagged(unit_rows(n_documents, 0, "cpu"), unit_rows(64, 3, "cpu"))
    for calibration in (None, PosteriorOdds()):
        for values in (X.values.numpy(), X.values.to(device)):
            there = EmbeddingArray(values, X.modality)
            there = ModalityGapRemover().fit_transform(there)
            retriever = MixedModalityRetriever(10, score_calibration=calibration).fit(there, y)
            found.append(retriever.search(there[-64:]))
    pairs = [found[:2], found[2:]]
    ids = [np.mean(one.ids != other.ids) for one, other in pairs]
    return max(ids), max(abs(one.scores - other.scores).max() for one, other in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    device = options.device
    if device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here: nothing was measured.")
        return 0
    card = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    print(f"{card}, torch {torch.__version__}, CUDA {torch.version.cuda}:", end=" ")
    print(f"{options.documents:,} x {N_FEATURES} in float32.\n")
    ids, scores = differences(device)
    print(
        f"Over 20,000 documents {ids:.2%} of the ids differ from numpy's, scores by {scores:.0e}.\n"
    )
    ratio = print_table(options.documents, unit_rows(N_QUERIES, 1, device), device)
    print(f"\nAn ordinary search takes {ratio:.2f} times the product (at most 1.5).")
    return int(ratio > 1.5 or ids > 1e-3 or scores > 1e-3)


if __name__ == "__main__":
    sys.exit(main())

"""Search on a CUDA device: the time of `kneighbors` over that of the bare matrix product.

256 queries over 1,000,000 x 512 in float32, all on the device. Needs torch.
"""

import sys
import time

import numpy as np
import torch

from gapremoval import EmbeddingArray, MixedModalityRetriever

N_DOCUMENTS, N_QUERIES, N_FEATURES = 1_000_000, 256, 512
REPEATS = 31


def unit_rows(n_rows, n_features, seed, device):
    """Random directions, made on the device."""
    generator = torch.Generator(device).manual_seed(seed)
    rows = torch.randn(n_rows, n_features, generator=generator, device=device)
    return torch.nn.functional.normalize(rows)


def seconds(task):
    """How long a task takes on the device."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    task()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def main():
    """Print the median ratio, its spread and the card."""
    if not torch.cuda.is_available():
        print("There is no CUDA device here: nothing was measured.")
        return 0
    documents = unit_rows(N_DOCUMENTS, N_FEATURES, 0, "cuda")
    queries = unit_rows(N_QUERIES, N_FEATURES, 1, "cuda")
    retriever = MixedModalityRetriever(10).fit(EmbeddingArray(documents, "image"))
    asked = EmbeddingArray(queries, "query:image")

    def product():
        return queries @ documents.T

    def search():
        return retriever.kneighbors(asked, return_distance=False)

    for _ in range(5):
        product(), search()
    took = np.array([[seconds(search), seconds(product)] for _ in range(REPEATS)])
    ratios = took[:, 0] / took[:, 1]
    low, middle, high = np.percentile(ratios, [10, 50, 90])
    ours, bare = np.median(took, axis=0) * 1e3
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    print(f"{N_QUERIES} queries over {N_DOCUMENTS:,} x {N_FEATURES}, {REPEATS} repeats")
    print(f"kneighbors {ours:.2f} ms, matrix product {bare:.2f} ms")
    print(f"ratio: median {middle:.2f} (at most 1.5), 10 % to 90 % {low:.2f} to {high:.2f}")
    return int(middle > 1.5)


if __name__ == "__main__":
    sys.exit(main())

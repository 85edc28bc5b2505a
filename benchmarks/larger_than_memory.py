"""Rows in a file, larger than memory: fitted, corrected into another file, and searched there.

Drawn rows in float16 are written block by block, mapped into memory, fitted, transformed,
indexed and searched.
Resident memory is that of the process without the pages of mapped files, which the system
takes back when it needs them.

usage: python benchmarks/larger_than_memory.py [--rows 1000000] [--features 128] [--folder DIR]
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover
from gapremoval.calibration import save_transformed

BATCH, N_QUERIES = 65536, 256


def write_rows(path, n_rows, n_features):
    """Rows around the center of texts, then of images, written block by block."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 0.5, (2, n_features)).astype("f4")
    rows = np.lib.format.open_memmap(path, "w+", "f2", (n_rows, n_features))
    for start in range(0, n_rows, BATCH):
        block = rows[start : start + BATCH]
        is_image = np.arange(start, start + len(block)) >= n_rows // 2
        block[:] = rng.standard_normal(block.shape, "f4") + centers[is_image.astype(int)]
    rows.flush()


def resident():
    """MiB of the process that no file stands behind (Linux)."""
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["RssAnon"].split()[0]) / 1024


class Peak:
    """The highest resident memory while it is entered, sampled each 5 ms, and the seconds."""

    def __enter__(self):
        self.top, self._done = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._sample)
        self._start = time.perf_counter()
        self._watch.start()
        return self

    def _sample(self):
        while not self._done.wait(0.005):
            self.top = max(self.top, resident())

    def __exit__(self, *error):
        self.seconds = time.perf_counter() - self._start
        self._done.set()
        self._watch.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--folder", help="where the files are written; a temporary one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows, corrected = Path(folder) / "rows.npy", Path(folder) / "corrected.npy"
        write_rows(rows, options.rows, options.features)
        values, n = np.load(rows, mmap_mode="r"), options.rows
        X = EmbeddingArray(values, np.repeat(["text", "image"], [n // 2, n - n // 2]))
        print(f"{options.rows:,} x {options.features} float16, {values.nbytes / 2**20:,.0f} MiB")
        print("\n| step | seconds | resident, MiB |\n|---|---|---|")
        with Peak() as peak:
            remover = ModalityGapRemover().fit(X)
        print(f"| fit | {peak.seconds:.1f} | {peak.top:,.0f} |")
        with Peak() as peak:
            batches = ModalityGapRemover()
            for start in range(0, len(X), BATCH):
                batches.partial_fit(X[start : start + BATCH])
        print(f"| partial_fit in batches of {BATCH:,} | {peak.seconds:.1f} | {peak.top:,.0f} |")
        with Peak() as peak:
            Z = save_transformed(remover, X, corrected)
        print(f"| save_transformed | {peak.seconds:.1f} | {peak.top:,.0f} |")
        n_rows = min(len(Z), BATCH)
        want = remover.transform(X[-n_rows:]).values
        assert np.array_equal(Z[-n_rows:], want), "the file does not hold what transform returns"
        with Peak() as peak:
            retriever = MixedModalityRetriever().fit(EmbeddingArray(Z, X.modality))
        print(f"| fit of the retriever | {peak.seconds:.1f} | {peak.top:,.0f} |")
        places = np.linspace(0, n - 1, N_QUERIES).astype(int)
        noise = np.random.default_rng(1).normal(0, 0.02, (N_QUERIES, options.features))
        queries = EmbeddingArray(Z[places] + noise, "query:text")
        for n_queries in (N_QUERIES, 1):
            with Peak() as peak:
                ids = retriever.predict(queries[:n_queries])
            print(f"| search of {n_queries} | {peak.seconds:.1f} | {peak.top:,.0f} |")
            assert (ids[:, 0] == places[:n_queries]).all(), "a row does not find itself"


if __name__ == "__main__":
    main()

"""Rows in a file, larger than memory: means in one pass, and the corrected rows in another file.

Drawn rows in float16 are written block by block, mapped into memory, fitted and transformed.
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

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import save_transformed

BATCH = 65536


def write_rows(path, n_rows, n_features):
    """Rows around the center of texts or images, in turn, written block by block."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 0.5, (2, n_features)).astype("f4")
    rows = np.lib.format.open_memmap(path, "w+", "f2", (n_rows, n_features))
    for start in range(0, n_rows, BATCH):
        block = rows[start : start + BATCH]
        block[:] = rng.standard_normal(block.shape, "f4") + centers[np.arange(len(block)) % 2]
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
        values = np.load(rows, mmap_mode="r")
        # One byte a row; a batch starts with a text.
        is_image = np.arange(options.rows) % BATCH % 2
        X = EmbeddingArray(values, np.array(["text", "image"])[is_image])
        del is_image
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


if __name__ == "__main__":
    main()

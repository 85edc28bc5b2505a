"""How do time and memory of each step grow with the number of documents?

Drawn rows of 512 features in float16 lie in a mapped file, half texts and half images, with 256
text queries. Each step runs on one core, and its seconds are those of the processor: other work
on the machine lengthens them less than those of the clock. Memory is what the process takes
beyond mapped files (Linux). A power law is fitted to the medians; its exponent stands with a 95 %
interval beside that of the formulas of cost_model.py, and so does what both say about 10^9.
A step that would take too long or too much memory is left out.

usage: OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scaling.py \\
    [--documents 100000 200000 300000 1000000 3000000] [--rounds 3] [--step-seconds 240] [--gib 8]
"""

import argparse
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from cost_model import ENCODERS, Machine, bytes_of, exported_width, figure, n_lists, seconds_of
from larger_than_memory import Peak, resident
from scipy.stats import t
from tables import print_table, quiet

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
)
from gapremoval.calibration import save_transformed
from gapremoval.stores import FaissStore, StoreRows

N_FEATURES, N_QUERIES, BLOCK, PROBE = 512, 256, 65_536, 16
# Cosines a document that are learned from, and that a later document needs: the bank of text
# queries has 256 queries and 1,024 fallback queries, that of images 1,024; and two means.
BANKS = N_QUERIES + 2 * 1024
FAR = 10**9
# Few lists: training takes the square of their number.
STEPS = {"n_cosines": 2 * BANKS, "n_bank": BANKS + 2, "n_probe": PROBE, "per_root": 0.25}


def write_rows(path, n):
    """Texts, then images, each around a center of its own, then noisy copies that ask."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 0.5, (2, N_FEATURES)).astype("f4")
    rows = np.lib.format.open_memmap(path, "w+", "f2", (n + N_QUERIES, N_FEATURES))
    for start in range(0, n, BLOCK):
        block = rows[start : min(start + BLOCK, n)]
        is_image = np.arange(start, start + len(block)) >= n // 2
        block[:] = rng.standard_normal(block.shape, "f4") + centers[is_image.astype(int)]
    asked = rows[np.linspace(0, n - 1, N_QUERIES).astype(int)].astype("f4")
    is_image = np.arange(N_QUERIES) >= N_QUERIES // 2
    noise = rng.standard_normal(asked.shape, "f4")
    rows[n:] = asked - centers[is_image.astype(int)] + centers[0] + noise
    rows.flush()


class Measured:
    """Core seconds and extra MiB of each step at each size.

    Parameters
    ----------
    rounds : int
        Calls of a step; fewer where one takes long.
    step_seconds : float
        What a step may take. It is left out where the last size says that it takes longer, and
        called again only within a tenth of it.
    """

    def __init__(self, rounds, step_seconds):
        self.rounds, self.step_seconds = rounds, step_seconds
        self.seconds, self.mib = defaultdict(dict), defaultdict(dict)

    def can_run(self, name, n):
        if not self.seconds[name]:
            return True
        last = max(self.seconds[name])
        return self.seconds[name][last] * n / last < self.step_seconds

    def __call__(self, name, n, call):
        """Call until there are enough rounds or no time; the result of the last call, or None."""
        if not self.can_run(name, n):
            return None
        took, most, result, begin = [], 0.0, None, time.perf_counter()
        while len(took) < self.rounds and time.perf_counter() - begin < self.step_seconds / 10:
            result, before, start = None, resident(), time.process_time()
            with Peak() as peak:
                result = call()
            took.append(time.process_time() - start)
            most = max(most, peak.top - before)
        self.seconds[name][n], self.mib[name][n] = float(np.median(took)), most
        print(f"{n:,} {name}: {self.seconds[name][n]:.3f} s, {most:,.0f} MiB", flush=True)
        return result


def merged_fit(X):
    """Two removers, each fitted block by block on a half of the rows, merged."""
    halves = []
    for half in (slice(0, len(X) // 2), slice(len(X) // 2, len(X))):
        remover = ModalityGapRemover()
        for start in range(half.start, half.stop, BLOCK):
            remover.partial_fit(X[start : min(start + BLOCK, half.stop)])
        halves.append(remover)
    return halves[0].merge(halves[1])


def measure(n, folder, measured, gib):
    """All steps at one size."""
    rows, corrected = folder / "rows.npy", folder / "corrected.npy"
    write_rows(rows, n)
    tags = np.repeat(["text", "image", "query:text"], [n // 2, n - n // 2, N_QUERIES])
    X = EmbeddingArray(np.load(rows, mmap_mode="r"), tags)
    y = np.full(len(X), None)
    y[:n] = np.arange(n)
    remover = measured("fit, by blocks, merged", n, lambda: merged_fit(X))
    measured("transform", n, lambda: remover.transform(X))
    Z = measured("save_transformed", n, lambda: save_transformed(remover, X, corrected))
    Z = EmbeddingArray(Z, X.modality)
    queries = EmbeddingArray(np.asarray(Z.values[n:], dtype=np.float32), "query:text")
    measured("index", n, lambda: MixedModalityRetriever().fit(Z, y))

    def learn():
        return MixedModalityRetriever(score_calibration=PosteriorOdds()).fit(Z, y)

    retriever = measured("index, posterior odds learn", n, learn)
    if retriever is None:
        return
    for k in (1, 100):
        measured(f"search {k}", n, partial(retriever.predict, queries[:k]))
    width = exported_width(N_FEATURES, 2)
    if 4 * n * width < gib * 2**30:
        exported = measured("export", n, lambda: retriever.export_vectors("query:text"))
        if exported is not None and 3 * exported.vectors.nbytes < gib * 2**30:
            in_faiss(n, exported, queries, measured)
        del exported
    came = iter(range(n, n + 10**6, 1000))
    values = remover.transform(EmbeddingArray(np.asarray(X.values[n - 1000 : n], "f4"), "image"))

    def add():
        first = next(came)
        retriever.partial_fit(values, np.arange(first, first + 1000))

    if 4 * n * N_FEATURES < gib * 2**30:
        add()  # which copies the mapped rows of images into memory
        measured("add 1,000", n, add)


def in_faiss(n, exported, queries, measured):
    """Exported vectors in FaissStore, exact and approximate."""
    rows = StoreRows(exported.ids, exported.modalities, exported.vectors)
    asked = exported.queries(queries)
    lists = n_lists(n / 2, STEPS["per_root"])
    for kind, factory, sizes in (("Flat", "Flat", (1, 100)), ("IVF", f"IVF{lists},Flat", (100,))):

        def build(factory=factory):
            store = FaissStore(factory=factory)
            with store.build(exported.vectors.shape[1]) as target:
                target.upsert(rows)
            return store

        store = measured(f"faiss {kind}, build", n, build)
        if store is not None:
            store.search_params = {"nprobe": PROBE} if kind == "IVF" else None
            for k in sizes:
                measured(f"faiss {kind}, search {k}", n, partial(store.search, asked[:k], 10))


def core_rates(rounds=5):
    """The Machine, of one core: medians."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200_000, N_FEATURES), dtype="f4")
    half, query, copied = rows.astype("f2"), rows[0].copy(), []

    def rate(work, call):
        took = []
        for _ in range(rounds):
            start = time.process_time()
            call()
            took.append(time.process_time() - start)
        return work / np.median(took)

    def convert():
        for start in range(0, len(half), 8192):
            half[start : start + 8192].astype("f4")

    def write():
        with tempfile.TemporaryFile() as file:
            file.write(rows.data)

    return Machine(
        convert=rate(half.nbytes, convert),
        scan=rate(rows.nbytes, lambda: rows @ query),
        product=rate(2 * 2048**2 * N_FEATURES, lambda: rows[:2048] @ rows[2048:4096].T),
        copy=rate(rows.nbytes, lambda: copied.append(rows.copy()) or copied.clear()),
        write=rate(rows.nbytes, write),
    )


def power_law(sizes, seconds, far=FAR):
    """Exponent and constant of seconds = constant * n ** exponent, and what it says about `far`.

    Returns
    -------
    exponent, half_width : float
        Half of the 95 % interval by Student's t; NaN with two sizes.
    constant : float
    at_far : tuple of float
        The seconds, and the factor by which they may be off.
    """
    x, y = np.log(sizes), np.log(seconds)
    apart = x - x.mean()
    spread = apart @ apart
    exponent = apart @ y / spread
    residual = y - y.mean() - exponent * apart
    free = len(x) - 2
    deviation = np.sqrt(residual @ residual / free) if free else np.nan
    quantile = t.ppf(0.975, free) if free else np.nan
    beyond = np.log(far) - x.mean()
    off = quantile * deviation * np.sqrt(1 / len(x) + beyond**2 / spread)
    half_width = quantile * deviation / np.sqrt(spread)
    constant = np.exp(y.mean() - exponent * x.mean())
    return exponent, half_width, constant, (constant * far**exponent, np.exp(off))


def print_results(measured, machine):
    """The tables of seconds, of slopes and of memory."""
    predict = lambda n: seconds_of(n, N_FEATURES, machine, **STEPS)  # noqa: E731
    sizes = sorted({n for of_step in measured.seconds.values() for n in of_step})
    times, slopes = [], []
    for name, of_step in measured.seconds.items():
        if len(of_step) < 2:
            continue
        known, seconds = list(of_step), list(of_step.values())
        model = [predict(n)[name] for n in known]
        exponent, half, constant, (far, factor) = power_law(known, seconds)
        cells = [figure(of_step[n]) if n in of_step else "" for n in sizes]
        times.append([name, *cells, f"{seconds[-1] / model[-1]:.2f}"])
        of_model = power_law(known, model)[0]
        interval = f"{exponent:.2f}" if np.isnan(half) else f"{exponent:.2f} ± {half:.2f}"
        slope = [interval, f"{round(of_model, 2) + 0.0:.2f}", f"{constant:.1e}"]
        said = predict(FAR)[name] / 3600
        slopes.append([name, *slope, figure(far / 3600), f"{factor:.1f}", figure(said)])
    header = ["step", *(f"{n:,}" for n in sizes), "times the formula"]
    print_table("Core seconds, medians", header, times)
    header = ["step", "exponent", "of the formula", "constant, s", "10^9 by the slope, core hours"]
    print_table("Slopes", [*header, "within a factor of", "by the formula"], slopes)
    rows = []
    for name, model in bytes_of(1, N_FEATURES).items():
        if of_step := measured.mib[name]:
            n = max(of_step)
            rows.append([name, f"{n:,}", figure(of_step[n] * 2**20 / n), figure(model)])
    print_table("Memory", ["step", "documents", "bytes a document", "by the formula"], rows)


def decode_seconds(n=32):
    """Of a core, to decode a JPEG and scale it to the input of a network; the median."""
    from encoder_throughput import make_jpegs
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        took = []
        for path in make_jpegs(Path(folder) / "pictures", n, (640, 480)):
            start = time.process_time()
            with Image.open(path) as picture:
                picture.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
            took.append(time.process_time() - start)
    return float(np.median(took))


def print_encoding(rounds=5, n=64):
    """FLOPs of an image, and what the pocket model makes of a core."""
    import torch
    from encoder_cost import clip_costs
    from torch.utils.flop_counter import FlopCounterMode

    from gapremoval.encoders._clip_model import load_model

    network = load_model("pocket", "cpu").network
    side = network.visual.image_size
    images = torch.zeros((n, 3, *(side if isinstance(side, tuple) else (side, side))))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.encode_image(images)
    flops, took = counter.get_total_flops() / n, []
    for _ in range(rounds):
        start = time.process_time()
        with torch.inference_mode():
            network.encode_image(images)
        took.append((time.process_time() - start) / n)
    rate = flops / np.median(took)
    print(f"\nA JPEG of 640 x 480 is decoded and scaled in {1000 * decode_seconds():.1f} ms.")
    rows = [["pocket", "", figure(flops / 1e9), figure(np.median(took)), "measured"]]
    for name, (_, published, _) in ENCODERS.items():
        counted = clip_costs(name).image.total
        rows.append([name, published, figure(counted / 1e9), figure(counted / rate), "predicted"])
    header = ["encoder", "GFLOPs an image, published", "counted", "core seconds an image", ""]
    print_table(f"Encoding, at {rate / 1e9:.0f} GFLOPs a second of a core", header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--documents", type=int, nargs="+", default=[100_000, 200_000, 300_000, 10**6, 3 * 10**6])
    add("--rounds", type=int, default=3)
    add("--step-seconds", type=float, default=240)
    add("--gib", type=float, default=8, help="memory that exported vectors may take")
    add("--folder", help="where files of mapped rows are written; a temporary one by default")
    options = parser.parse_args()
    quiet()
    machine = core_rates()
    print({name: f"{rate:.2e}" for name, rate in vars(machine).items()}, flush=True)
    measured = Measured(options.rounds, options.step_seconds)
    for n in options.documents:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            measure(n, Path(folder), measured, options.gib)
    print_results(measured, machine)
    print_encoding()


if __name__ == "__main__":
    main()

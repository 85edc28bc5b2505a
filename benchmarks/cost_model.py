"""What does a corpus of any size cost: bytes, FLOPs, shards, network, money?

The formulas of docs/guide/billion.md as functions, and a table at 10^6, 10^8 and 10^9 documents.
Half of the documents are images and half are texts; text queries are asked, by posterior odds.
A multiplication and an addition are two FLOPs. Rates and prices are assumptions: pass your own.
`benchmarks/scaling.py` measures the rates of a core, and how well the formulas hold.

usage: python benchmarks/cost_model.py [--documents 1000000 100000000 1000000000] [--dollars-...]
"""

import argparse
from dataclasses import dataclass

import numpy as np
from tables import print_table

# open_clip's docs/model_profile.csv: features, and GFLOPs of one image and of one text.
ENCODERS = {"ViT-B-32": (512, 8.82, 5.96), "ViT-L-14": (768, 162.03, 13.30)}

# A bank has at most 1,024 queries and 1,024 fallback queries, and their mean is one more row.
BANK = 2049
# Variance, its noise and the score with the mean query, in float64.
STATISTICS = 3
# Documents of each modality that teach posterior odds in a StoreRetriever.
SAMPLE = 20_000
# A found document travels as an id and a product.
HIT = 16

# How many times as long as the conversion of its rows to float32 a step takes, which handles each
# row several times; and what learning adds to its products. Measured at 10^5 documents.
READINGS = {"fit": 3.6, "transform": 10.0, "index": 7.5, "search": 1.4, "export": 10.0}
LEARNING = 1.7


@dataclass(frozen=True)
class Machine:
    """Rates of one core.

    Attributes
    ----------
    convert : float
        Bytes of float16 a second that become float32.
    scan : float
        Bytes of float32 rows a second whose product with one query is taken.
    product : float
        FLOPs a second of a product of large matrices in float32.
    copy : float
        Bytes a second that are copied into new memory.
    write : float
        Bytes a second that are written to a file.
    """

    convert: float
    scan: float
    product: float
    copy: float
    write: float


def rows_bytes(n, n_features, itemsize=2):
    """Of the rows of an encoder."""
    return n * n_features * itemsize


def statistics_bytes(n, n_query_modalities=1):
    """Of what posterior odds keep of each document."""
    return n * STATISTICS * 8 * n_query_modalities


def bank_bytes(n_features, n_query_modalities=1):
    """Of the example queries, whatever the size of the corpus."""
    return (BANK - 1) * n_features * 4 * n_query_modalities


def means_bytes(n_features, n_modalities):
    """Of what a shard sends for the means: they and their counts, in float64."""
    return (n_features + 1) * 8 * n_modalities


def exported_width(n_features, n_modalities, n_blocks=1):
    """Numbers in an exported row for the inner product: a block for each query modality."""
    return n_blocks * (n_features + 1) + n_modalities


def exported_bytes(n, n_features, n_modalities, n_blocks=1):
    """Of exported rows, in float32."""
    return n * exported_width(n_features, n_modalities, n_blocks) * 4


def encode_flops(n, image_flops, text_flops, share_of_images=0.5):
    """Of encoding."""
    return n * (share_of_images * image_flops + (1 - share_of_images) * text_flops)


def statistics_flops(n, n_features, n_bank=BANK):
    """Of the cosines of each document with the example queries of one query modality."""
    return n * n_bank * 2 * n_features


def search_flops(n, n_features, n_queries=1):
    """Of exact inner products."""
    return n_queries * n * 2 * n_features


def n_lists(n, per_root=1.0):
    """Of an IVF index: so many for the square root of the number of its rows."""
    return max(round(per_root * np.sqrt(n)), 1)


def ivf_build_flops(n, width, lists, rounds=10, per_list=256):
    """Of faiss's k-means over at most 256 rows a list, and of finding each row's list."""
    return 2 * width * lists * (rounds * min(n, per_list * lists) + n)


def ivf_rows(n, lists, n_probe):
    """Rows that a query meets: the centers of all lists, and the rows of some."""
    return lists + min(n_probe / lists, 1) * n


def n_shards(n_bytes, shard_bytes):
    """Machines that hold so many bytes."""
    return int(np.ceil(n_bytes / shard_bytes))


def network_bytes(n_shards, width, k=10):
    """Of one query: its vector to each shard, and the k best of each back."""
    return n_shards * (4 * width + HIT * k)


def seconds_of(n, n_features, machine, *, n_cosines, n_bank, n_probe, per_root=1.0, n_modalities=2):
    """Predicted seconds of one core for each step that benchmarks/scaling.py measures.

    Parameters
    ----------
    n : int or float
        Number of documents.
    n_features : int
    machine : Machine
    n_cosines : int
        Cosines a document that posterior odds learn from.
    n_bank : int
        Cosines of a document that comes later.
    n_probe : int
        Lists that an IVF index searches.
    per_root : float
        See `n_lists`.
    n_modalities : int
        Each has an equal part of the documents.

    Returns
    -------
    dict of str to float
    """
    half = rows_bytes(n, n_features)
    width = exported_width(n_features, n_modalities)
    exported = exported_bytes(n, n_features, n_modalities)
    read, part = half / machine.convert, n / n_modalities
    lists = n_lists(part, per_root)
    # faiss's loops take the product of two rows as fast as they read one of them.
    in_faiss = machine.scan / 2
    ivf_build = n_modalities * ivf_build_flops(part, width, lists) / in_faiss
    met = n_modalities * ivf_rows(part, lists, n_probe)
    transform, ask = READINGS["transform"] * read, READINGS["search"] * read
    index = READINGS["index"] * read
    cosines = search_flops(n, n_features, n_cosines) / machine.product
    return {
        "fit, by blocks, merged": READINGS["fit"] * read,
        "transform": transform,
        "save_transformed": transform + half / machine.write,
        "index": index,
        "index, posterior odds learn": index + LEARNING * cosines,
        "add 1,000": search_flops(1000, n_features, n_bank) / machine.product,
        "search 1": ask,
        "search 100": ask + search_flops(n, n_features, 100) / machine.product,
        "export": READINGS["export"] * read,
        "faiss Flat, build": 2 * exported / machine.copy,
        "faiss Flat, search 1": exported / machine.scan,
        "faiss Flat, search 100": search_flops(n, width, 100) / in_faiss,
        "faiss IVF, build": 2 * exported / machine.copy + ivf_build,
        "faiss IVF, search 100": search_flops(met, width, 100) / in_faiss,
    }


def bytes_of(n, n_features, n_query_modalities=2, n_modalities=2):
    """Predicted bytes of memory beyond mapped files, which grow with the corpus, for some steps."""
    width = exported_width(n_features, n_modalities)
    # Position and id in int64, two marks of its rows in float64.
    index = n * (8 + 8 + 16)
    learned = index + statistics_bytes(n, n_query_modalities)
    return {
        "transform": rows_bytes(n, n_features),
        "index": index,
        "index, posterior odds learn": learned,
        "export": n * width * 4,
        "faiss Flat, build": n * width * 4,
        "faiss IVF, build": n * width * 4,
    }


def costs(n, encoder, options):
    """The rows of the table for one size: dict of str to (float, unit)."""
    n_features, image, text = ENCODERS[encoder]
    width = exported_width(n_features, 2)
    machine = Machine(*(getattr(options, f"core_{x}") for x in Machine.__dataclass_fields__))
    rows, exported = rows_bytes(n, n_features), exported_bytes(n, n_features, 2)
    shards = n_shards(exported, options.shard_bytes)
    flops = encode_flops(n, image * 1e9, text * 1e9)
    gpu_hours = flops / options.gpu_flops / 3600
    pictures = n / 2
    decode = pictures * options.picture_ms / 1000
    seconds = seconds_of(n, n_features, machine, n_cosines=0, n_bank=BANK, n_probe=0)
    # Each shard has an index for each modality.
    part = n / (2 * shards)
    lists = n_lists(part, options.lists)
    ivf_build = 2 * shards * ivf_build_flops(part, width, lists) * 2 / machine.scan
    ivf_read = 2 * shards * ivf_rows(part, lists, options.probed * lists)
    ivf = ivf_read * 4 * width / machine.scan
    statistics = LEARNING * statistics_flops(n, n_features) / machine.product
    learn = LEARNING * search_flops(2 * SAMPLE, n_features, options.cosines) / machine.product
    prepare = seconds["fit, by blocks, merged"] + seconds["save_transformed"] + seconds["export"]
    core_hours = (decode + prepare + statistics + learn + ivf_build) / 3600
    exact = seconds["faiss Flat, search 1"]
    stored = (rows + exported) / 1e12
    return {
        "rows of the encoder, float16, GB": rows / 1e9,
        "exported rows, float32, GB": exported / 1e9,
        "pictures to read, TB": pictures * options.picture_bytes / 1e12,
        "decode the pictures, core hours": decode / 3600,
        "encode, FLOPs": flops,
        "encode, GPU hours": gpu_hours,
        "fit, core hours": seconds["fit, by blocks, merged"] / 3600,
        "transform and write, core hours": seconds["save_transformed"] / 3600,
        "posterior odds learn from the sample, core hours": learn / 3600,
        "statistics of each document, core hours": statistics / 3600,
        "export, core hours": seconds["export"] / 3600,
        "IVF indexes built, core hours": ivf_build / 3600,
        "means sent by a shard, KB": means_bytes(n_features, 3) / 1e3,
        "shards": shards,
        "a query over the network, KB": network_bytes(shards, width) / 1e3,
        "an exact query, core seconds": exact,
        "the same, seconds on all cores of all shards": exact / (shards * options.shard_cores),
        "an IVF query, core seconds": ivf,
        "IVF queries a second on all shards": shards * options.shard_cores / ivf,
        "dollars: GPUs, once": gpu_hours * options.dollars_gpu_hour,
        "dollars: all cores up to the index, once": core_hours * options.dollars_core_hour,
        "dollars: files, a month": stored * options.dollars_tb_month,
        "dollars: shards, a month": shards * options.dollars_shard_hour * 730,
    }


def figure(x):
    """A number to two or three digits, as text."""
    if x >= 1e15 or 0 < x < 1e-3:
        return f"{x:.1e}"
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def parser():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--documents", type=int, nargs="+", default=[10**6, 10**8, 10**9])
    add("--gpu-flops", type=float, default=1e14, help="FLOPs a second that a GPU sustains")
    add("--picture-bytes", type=float, default=1e5)
    add("--picture-ms", type=float, default=6, help="of a core, to decode and scale a picture")
    add("--shard-bytes", type=float, default=64e9, help="of rows that a shard holds in memory")
    add("--shard-cores", type=int, default=16)
    add("--lists", type=float, default=1.0, help="of an IVF index, times the root of its rows")
    add("--probed", type=float, default=0.1, help="share of its lists that a query searches")
    add("--cosines", type=int, default=5632, help="a document, see benchmarks/encoder_cost.py")
    add("--dollars-gpu-hour", type=float, default=2.5)
    add("--dollars-core-hour", type=float, default=0.05)
    add("--dollars-shard-hour", type=float, default=1.0)
    add("--dollars-tb-month", type=float, default=25.0)
    add("--core-convert", type=float, default=1.3e9)
    add("--core-scan", type=float, default=1e10)
    add("--core-product", type=float, default=1e11)
    add("--core-copy", type=float, default=2e9)
    add("--core-write", type=float, default=3e9)
    return parser


def main():
    options = parser().parse_args()
    for encoder in ENCODERS:
        columns = [costs(n, encoder, options) for n in options.documents]
        rows = [[name, *(figure(column[name]) for column in columns)] for name in columns[0]]
        print_table(encoder, ["documents", *(f"{n:,}" for n in options.documents)], rows)


if __name__ == "__main__":
    main()

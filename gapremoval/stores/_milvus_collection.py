"""One Milvus collection with its rows, and the collection beside it that holds its settings."""

import base64
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from ._milvus_client import alias_of, all_of, as_ids, ask, in_batches, is_in, literal, pymilvus
from ._protocol import StoreHits, StoreRows

MOST_HITS = 16_384  # the most rows that Milvus returns at once, and finds for a query
LONGEST_TEXT = 65_535  # bytes of a VARCHAR
LONGEST_MODALITY = 512
CHUNK = LONGEST_TEXT // 4 * 3  # bytes of settings that fit into one, in base 64
READ_BYTES = 32 * 2**20
OWN_FIELDS = {"id", "modality", "vector"}

# Milvus Lite has no snapshots: what is read in the middle of a write may lack rows.
_local_turn = threading.RLock()


def settings_of(name):
    """The name of the collection that holds the settings of another."""
    return f"{name}_settings"


@dataclass(eq=False)
class Collection:
    """A WritableStore over one collection, except for `build`.

    Attributes
    ----------
    client : MilvusClient
    name : str
        Its own name, not an alias.
    n_features : int
    has_int_ids : bool or None
        None for a collection that is not there yet: the first rows tell, and it is created.
    metric : {"IP", "COSINE"}
    local : bool
        Whether it lies in a file of Milvus Lite.
    index_params, search_params : dict or None
    """

    client: object
    name: str
    n_features: int
    has_int_ids: bool | None = None
    metric: str = "IP"
    local: bool = False
    index_params: dict | None = None
    search_params: dict | None = None

    @classmethod
    def open(cls, client, name, **options):
        """A collection that is there, loaded."""
        fields = {f["name"]: f for f in ask(client, "describe_collection", name)["fields"]}
        if absent := OWN_FIELDS - fields.keys():
            raise ValueError(
                f"The collection {name!r} has no field {sorted(absent)}. A MilvusStore needs the "
                "fields 'id', 'modality' and 'vector'."
            )
        metric = None
        for index in ask(client, "list_indexes", name, field_name="vector"):
            metric = ask(client, "describe_index", name, index_name=index)["metric_type"]
        if metric not in ("IP", "COSINE"):
            raise ValueError(
                f"The vectors of the collection {name!r} have an index with the metric {metric}. "
                "A MilvusStore needs one with IP, or COSINE."
            )
        ask(client, "load_collection", name)
        return cls(
            client,
            name,
            fields["vector"]["params"]["dim"],
            has_int_ids=fields["id"]["type"].name == "INT64",
            metric=metric,
            **options,
        )

    def holds_rows(self):
        found = self._query(output_fields=["id"], limit=1, consistency_level="Strong")
        return bool(found)

    def count(self):
        counts = {}
        # Milvus lists no distinct values, but finds a row of another modality than those known.
        while found := self._query(
            filter=is_in("modality", counts, negate=True) if counts else "",
            output_fields=["modality"],
            limit=1,
        ):
            modality = found[0]["modality"]
            rows = self._query(filter=is_in("modality", [modality]), output_fields=["count(*)"])
            counts[modality] = rows[0]["count(*)"]
        return {modality: count for modality, count in counts.items() if count}

    def search(self, queries, k, *, modality=None, among=None, filter=None):
        queries = self._checked(queries)
        if k < 1:
            raise ValueError(f"k={k} must be at least 1.")
        k, limit = int(k), min(int(k), MOST_HITS)
        modality = [modality] if isinstance(modality, str) else modality
        among = among if among is None else self._own(among)
        condition = all_of(
            filter,
            None if modality is None else is_in("modality", modality),
            None if among is None else is_in("id", among),
        )
        nobody = any(wanted is not None and not len(wanted) for wanted in (modality, among))
        found, step = [], max(1, 2**20 // limit)
        for start in range(0, 0 if nobody else len(queries), step):
            found += self._ask(
                "search",
                data=list(queries[start : start + step]),
                anns_field="vector",
                filter=condition,
                limit=limit,
                output_fields=["modality"],
                search_params={"params": self.search_params or {}},
            )
        widest = max(map(len, found), default=0)
        if widest == MOST_HITS < k:
            raise ValueError(
                f"k={k}, and more than {MOST_HITS} rows match, which is the most that Milvus finds "
                "for a query. Ask for fewer, or narrow the search by a filter."
            )
        return self._as_hits(found, (len(queries), widest), queries)

    def fetch(self, ids):
        asked = as_ids(ids)
        found = self._by_id(asked, ["*", "vector"])
        for name in asked:
            if name not in found:
                raise KeyError(f"{alias_of(self.name)!r} holds no row with the id {name!r}.")
        return self._as_rows([found[name] for name in asked])

    def known(self, ids):
        asked = as_ids(ids)
        found = self._by_id(asked, ["id"])
        return np.array([name in found for name in asked], dtype=bool)

    def sample(self, modality, n):
        pages = self._pages(["id"], is_in("modality", [modality]), MOST_HITS)
        ids = [row["id"] for page in pages for row in page]
        drawn = np.random.default_rng(0).choice(len(ids), min(n, len(ids)), replace=False)
        return self.fetch([ids[i] for i in np.sort(drawn)])

    def rows(self, batch_size=8192):
        for page in self._pages(["*", "vector"], "", min(batch_size, self._rows_at_once())):
            yield self._as_rows(page)

    def upsert(self, rows):
        ids, vectors = as_ids(rows.ids), self._checked(rows.vectors)
        if not ids:
            return
        has_int_ids = isinstance(ids[0], int)
        if self.has_int_ids is None:
            self.create(has_int_ids)
        if has_int_ids != self.has_int_ids:
            own, other = ("integers", "strings") if self.has_int_ids else ("strings", "integers")
            raise TypeError(
                f"The ids in {alias_of(self.name)!r} are {own}, and {other} were given."
            )
        metadata = rows.metadata or [{}] * len(ids)
        if clash := OWN_FIELDS & set().union(*metadata):
            raise ValueError(f"Metadata cannot be called {sorted(clash)}. Rename them.")
        last = {name: i for i, name in enumerate(ids)}
        records = [
            {**metadata[i], "id": name, "modality": str(rows.modalities[i]), "vector": vectors[i]}
            for name, i in last.items()
        ]
        sizes = [4 * self.n_features + len(str((name, metadata[i]))) for name, i in last.items()]
        # An upsert to Milvus Lite would keep the old metadata, where its insert replaces the row.
        method = "insert" if self.local else "upsert"
        for batch in in_batches(records, sizes):
            try:
                self._ask(method, data=batch)
            except pymilvus().exceptions.DataNotMatchException as error:
                raise TypeError(
                    "Metadata must have names that are strings and values that JSON can hold: "
                    "numbers, strings, lists, dicts, True, False and None."
                ) from error
        if self.local:  # whose searches of rows in the journal take 60 times longer
            self._ask("flush")

    def delete(self, ids):
        for part in self._parts(self._own(as_ids(ids))):
            self._ask("delete", filter=is_in("id", part))

    def write_settings(self, settings):
        name = settings_of(self.name)
        if not self.client.has_collection(name):
            texts = {"id": 64, "version": None, "chunk": None, "n_chunks": None}
            flat = {"index_type": "FLAT", "metric_type": "IP"}  # Milvus asks for a vector
            self._create(name, texts | {"data": LONGEST_TEXT}, 2, {"vector": flat})
        version = time.time_ns()
        chunks = [settings[i : i + CHUNK] for i in range(0, max(len(settings), 1), CHUNK)]
        records = [
            {
                "id": f"{version}-{i}",
                "version": version,
                "chunk": i,
                "n_chunks": len(chunks),
                "data": base64.b64encode(chunk).decode(),
                "vector": [0.0, 0.0],
            }
            for i, chunk in enumerate(chunks)
        ]
        for batch in in_batches(records, [LONGEST_TEXT] * len(records)):
            self._ask("upsert", name, data=batch)
        # A reader has seen all the old chunks until here, or all the new ones beside them.
        self._ask("delete", name, filter=f"version < {version}")

    def read_settings(self):
        name = settings_of(self.name)
        if not self.client.has_collection(name):
            self._ask("describe_collection")  # an error if a build has just replaced both
            return None
        self._ask("load_collection", name)
        asked = {"output_fields": ["*"], "consistency_level": "Strong"}
        versions = {}
        for row in self._ask("query", name, filter="chunk >= 0", **asked):
            versions.setdefault(row["version"], []).append(row)
        for _, rows in sorted(versions.items(), reverse=True):
            if len(rows) == rows[0]["n_chunks"]:  # or its writer was stopped
                rows.sort(key=lambda row: row["chunk"])
                return b"".join(base64.b64decode(row["data"]) for row in rows)
        return None

    def create(self, has_int_ids):
        """Create the collection, with string ids or integer ones."""
        vector = {"index_type": "FLAT", **(self.index_params or {}), "metric_type": "IP"}
        self._create(
            self.name,
            {"id": None if has_int_ids else LONGEST_TEXT, "modality": LONGEST_MODALITY},
            self.n_features,
            {"vector": vector, "modality": {"index_type": "INVERTED"}},
        )
        self.has_int_ids = has_int_ids

    def flush(self):
        """Write everything to its files, and wait until all searches see it."""
        self._ask("flush")
        self.holds_rows()

    def drop(self):
        """Drop the rows, then the settings; whatever is not there is ignored."""
        for name in (self.name, settings_of(self.name)):
            self.client.drop_collection(name)

    def _create(self, name, max_lengths, n_features, indexes):
        """Create a collection of integers and texts (of some lengths) and vectors, and load it."""
        types = pymilvus().DataType
        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=True)
        for field, length in max_lengths.items():
            text = {"datatype": types.VARCHAR, "max_length": length}
            kind = {"datatype": types.INT64} if length is None else text
            schema.add_field(field, is_primary=field == "id", **kind)
        schema.add_field("vector", types.FLOAT_VECTOR, dim=n_features)
        prepared = self.client.prepare_index_params()
        for field, params in indexes.items():
            prepared.add_index(field, **params)
        self.client.create_collection(name, schema=schema, consistency_level="Session")
        # Without sync=False pymilvus waits half a second for each index, over no rows.
        self.client.create_index(name, prepared, sync=False)
        self.client.load_collection(name)

    def _turn(self):
        return _local_turn if self.local else nullcontext()

    def _ask(self, method, name=None, **asked):
        with self._turn():
            return ask(self.client, method, name or self.name, **asked)

    def _query(self, **asked):
        return self._ask("query", **asked)

    def _by_id(self, asked, fields):
        found = {}
        for part in self._parts(list(dict.fromkeys(self._own(asked)))):
            found |= {
                r["id"]: r for r in self._query(filter=is_in("id", part), output_fields=fields)
            }
        return found

    def _own(self, ids):
        """Those of some ids that the collection can hold."""
        return [name for name in as_ids(ids) if isinstance(name, int) == self.has_int_ids]

    def _parts(self, ids):
        step = self._rows_at_once()
        return (ids[start : start + step] for start in range(0, len(ids), step))

    def _rows_at_once(self):
        return max(1, min(MOST_HITS, READ_BYTES // (4 * self.n_features)))

    def _pages(self, fields, condition, size):
        """Yield all rows that meet a condition, in the order of their ids."""
        pages, after = None, ""
        asked = {"output_fields": fields, "batch_size": size}
        while True:
            if pages is None:
                pages = self._ask("query_iterator", filter=all_of(after, condition), **asked)
            with self._turn():
                page = pages.next()
            if not page:
                return
            yield page
            cursor = literal(page[-1]["id"])
            if "\\" in cursor:  # pymilvus does not escape it: begin anew behind it
                pages, after = None, f"id > {cursor}"

    def _checked(self, vectors):
        vectors = np.asarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.n_features:
            raise ValueError(
                f"Rows of {vectors.shape[-1]} features were given, in an array of shape "
                f"{vectors.shape}. {alias_of(self.name)!r} holds rows of {self.n_features}."
            )
        if not np.isfinite(vectors).all():
            raise ValueError("There is NaN or inf among the vectors.")
        return vectors

    def _as_hits(self, found, shape, queries):
        ids, products = np.full(shape, None, object), np.full(shape, -np.inf)
        modalities = np.full(shape, "", object)
        for i, hits in enumerate(found):
            ids[i, : len(hits)] = [hit["id"] for hit in hits]
            products[i, : len(hits)] = [hit["distance"] for hit in hits]
            modalities[i, : len(hits)] = [hit["entity"]["modality"] for hit in hits]
        if self.metric == "COSINE":
            products *= np.linalg.norm(queries.astype(float), axis=1, keepdims=True)
        if self.has_int_ids and np.isfinite(products).all():
            ids = ids.astype(np.int64)
        return StoreHits(ids, products, modalities.astype(str))

    def _as_rows(self, found):
        return StoreRows(
            np.array([row["id"] for row in found], np.int64 if self.has_int_ids else object),
            np.array([row["modality"] for row in found], dtype=str),
            np.array([row["vector"] for row in found], np.float32).reshape(-1, self.n_features),
            [{key: row[key] for key in row if key not in OWN_FIELDS} for row in found],
        )

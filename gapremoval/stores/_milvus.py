"""Rows in Milvus: a local file, or a cluster."""

import re
import secrets
import time
from contextlib import contextmanager, suppress

from ._milvus_client import BUILD, alias_of, connect, is_local, masked, release
from ._milvus_collection import Collection

ABANDONED_AFTER = 24 * 3600  # seconds, on a cluster, where other processes may still fill it

_builds_here = set()  # names of the collections that builds of this process fill


class MilvusStore:
    """Rows in a Milvus collection: a local file by default, a cluster by another `uri`.

    A `StoreRetriever` fills the store and searches it. Each build gets a collection of its own,
    ``<collection>_<time>_<random>``, and `collection` is an alias of the newest complete one. So
    a build that fails, or whose process is killed, leaves the previous one as it was.

    A store finds the collection behind the alias when it is first used, or when it reads its
    settings, and stays with it: rows of one build never meet the settings of another. Where
    another process has replaced the build since, an error says to open the store again.

    Rows are written by upserts, in requests of at most 16 MiB. A request is repeated, with growing
    pauses, while a server cannot be reached (some 15 seconds) or limits the rate, and only then.
    A search sees all that this process wrote before.

    Parameters
    ----------
    uri : str or path, default="corpus.db"
        A file that ends in ``.db``, which Milvus Lite serves to one process at a time, or the
        address of a server, such as ``"http://localhost:19530"``. A server's token is read from
        the environment variable ``MILVUS_TOKEN`` and never stored.
    collection : str, default="documents"
        Name of the alias: letters, digits and underscores, not a digit first, at most 200. It
        may also name a collection that exists already, with the fields `id` (INT64 or VARCHAR),
        `modality` (VARCHAR) and `vector` (FLOAT_VECTOR, searched by IP, or by COSINE if all rows
        have unit length). Such a collection is searched and never replaced.
    index_params : dict, default=None
        The index of the vectors in a new build, such as ``{"index_type": "HNSW", "params": {"M":
        16, "efConstruction": 200}}``. By default ``{"index_type": "FLAT"}``, which searches
        exactly. The metric is always IP.
    search_params : dict, default=None
        How to search the index, such as ``{"ef": 200}`` for HNSW.

    See Also
    --------
    gapremoval.StoreRetriever : Fills and searches a store.
    gapremoval.stores.WritableStore : The protocol.

    Notes
    -----
    Metadata are dynamic fields, so filters such as ``'brand == "x" and price < 10'`` need no
    declaration. Opening loads the collection; stores are copied and pickled without their
    connection. A build on a cluster that was started more than a day ago and never became the
    alias' collection counts as abandoned, and the next build drops it. In a local file every
    such build does that no build of this process still fills.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from gapremoval.stores import MilvusStore, StoreRows
    >>> store = MilvusStore(os.path.join(tempfile.mkdtemp(), "corpus.db"), "documents")
    >>> rows = StoreRows(
    ...     ids=np.array(["bike", "cat"], dtype=object),
    ...     modalities=np.array(["text", "image"]),
    ...     vectors=np.eye(2, dtype=np.float32),
    ...     metadata=[{"price": 300}, {"price": 0}],
    ... )
    >>> with store.build(n_features=2) as target:
    ...     target.upsert(rows)
    >>> hits = store.search(np.array([[0.8, 0.6]], dtype=np.float32), 2)
    >>> hits.ids.tolist(), hits.products.round(2).tolist()
    ([['bike', 'cat']], [[0.8, 0.6]])
    >>> store.search(rows.vectors, 1, filter="price < 10").ids.tolist()
    [['cat'], ['cat']]
    """

    def __init__(
        self, uri="corpus.db", collection="documents", *, index_params=None, search_params=None
    ):
        self.uri = uri
        self.collection = collection
        self.index_params = index_params
        self.search_params = search_params
        self._name = None  # the collection behind the alias, once it was opened
        self._client = None
        self._opened = None

    def __repr__(self):
        own = {"uri": masked(self.uri), "collection": self.collection, **self._options()}
        return f"MilvusStore({', '.join(f'{k}={v!r}' for k, v in own.items() if v is not None)})"

    def __eq__(self, other):
        return isinstance(other, MilvusStore) and self._parameters() == other._parameters()

    def __hash__(self):
        return hash((str(self.uri), self.collection))

    def __getstate__(self):
        return vars(self) | {"_client": None, "_opened": None}

    def count(self):
        """The number of rows of each modality.

        Returns
        -------
        dict of str to int
            Empty if the store was never built.
        """
        return self._open().count() if self._find() else {}

    def search(self, queries, k, *, modality=None, among=None, filter=None):
        """The rows with the largest inner products.

        Parameters
        ----------
        queries : array of shape (n_queries, n_features)
            All are sent at once, as far as a request can hold them.
        k : int
            Number of rows, at least 1. Fewer are found where fewer match.
        modality : collection of str, default=None
            Search only rows of these modalities.
        among : sequence of ids, default=None
            Search only these rows.
        filter : str, default=None
            A condition on the metadata in Milvus' language, such as ``'price < 10'``.

        Returns
        -------
        StoreHits

        Raises
        ------
        ValueError
            If `k` is above 16,384 and more rows than that match: Milvus finds no more.
        """
        return self._open().search(queries, k, modality=modality, among=among, filter=filter)

    def fetch(self, ids):
        """The rows with some ids, in their order.

        Parameters
        ----------
        ids : sequence of str or of int
            The ids.

        Returns
        -------
        StoreRows
            `metadata` are all other fields of each row.

        Raises
        ------
        KeyError
            If an id is not there.
        """
        return self._open().fetch(ids)

    def known(self, ids):
        """Which ids the store holds.

        Parameters
        ----------
        ids : sequence of str or of int
            The ids.

        Returns
        -------
        ndarray of bool of shape (n_ids,)
        """
        return self._open().known(ids)

    def sample(self, modality, n):
        """Some rows of a modality, drawn at random without replacement.

        Each row has the same probability, and each call draws the same rows. For this all ids of
        the modality are read.

        Parameters
        ----------
        modality : str
            The modality.
        n : int
            Number of rows; all, if there are fewer.

        Returns
        -------
        StoreRows
        """
        return self._open().sample(modality, n)

    def rows(self, batch_size=8192):
        """Yield all rows, ordered by id.

        Parameters
        ----------
        batch_size : int, default=8192
            Largest number of rows at once. Long rows come in smaller batches.

        Yields
        ------
        StoreRows
        """
        yield from self._open().rows(batch_size)

    def upsert(self, rows):
        """Write rows; those whose id is there are replaced.

        Parameters
        ----------
        rows : StoreRows
            The ids are all strings, of at most 65,535 bytes, or all integers of 64 bits. Metadata
            become fields of the same names.

        Raises
        ------
        TypeError
            If the ids are of another kind, or of another than those in the store, or JSON
            cannot hold the metadata.
        ValueError
            If the vectors have another number of features or hold NaN or inf, or metadata are
            called as the store's own fields.
        """
        opened = self._open()
        try:
            opened.upsert(rows)
        except TypeError:
            if opened.holds_rows():
                raise
            # An empty collection takes ids of either kind.
            settings = opened.read_settings()
            with self.build(opened.n_features) as target:
                target.upsert(rows)
                if settings is not None:
                    target.write_settings(settings)

    def delete(self, ids):
        """Delete the rows with some ids.

        Parameters
        ----------
        ids : sequence of str or of int
            The ids; those that are not there are ignored.
        """
        self._open().delete(ids)

    def write_settings(self, settings):
        """Keep bytes beside the rows, in a collection of their own.

        Parameters
        ----------
        settings : bytes
            They take the place of those before in one step.
        """
        self._open().write_settings(settings)

    def read_settings(self):
        """Look up the newest build, stay with it, and read its settings.

        Returns
        -------
        bytes
            What `write_settings` kept; None if there is nothing, or the store was never built.
        """
        self._name = self._opened = None
        return self._open().read_settings() if self._find() else None

    @contextmanager
    def build(self, n_features, *, overwrite=False):
        """A context in which a new collection is filled; when it ends, the alias names that one.

        Parameters
        ----------
        n_features : int
            Number of features of the rows.
        overwrite : bool, default=False
            Whether a store that holds rows may be replaced.

        Yields
        ------
        WritableStore
            What to fill. The first rows tell whether its ids are strings or integers.

        Raises
        ------
        ValueError
            If the store holds rows and `overwrite` is False, or if `collection` names a
            collection that no build made.
        """
        client, before = self._connected(), self._behind_the_alias()
        if before is None and client.has_collection(self.collection):
            raise ValueError(
                f"{self.collection!r} in {masked(self.uri)} is a collection that was not built "
                "here, and stays as it is. Choose another name for the collection of this store."
            )
        if before is not None and not overwrite and self._collection(before).holds_rows():
            raise ValueError(
                f"{self.collection!r} in {masked(self.uri)} holds rows. Pass overwrite=True to "
                "replace them."
            )
        self._drop_abandoned(before)
        name = f"{self.collection}_{int(time.time()):08x}_{secrets.token_hex(4)}"
        target = Collection(client, name, n_features, **self._options(), local=is_local(self.uri))
        _builds_here.add(name)
        try:
            yield target
            if target.has_int_ids is None:
                target.create(has_int_ids=False)
            target.flush()
            before = self._behind_the_alias()
            if before is None:
                client.create_alias(name, self.collection)
            else:
                client.alter_alias(name, self.collection)
        except BaseException:
            with suppress(Exception):  # the first error tells more
                target.drop()
            raise
        finally:
            _builds_here.discard(name)
        self._name, self._opened = name, target
        if before is not None:
            with suppress(Exception):  # the next build drops it
                Collection(client, before, n_features).drop()

    def close(self):
        """Let go of the connection, and let other processes open a local file."""
        self._client = self._opened = None
        if is_local(self.uri):
            release(self.uri)

    def _options(self):
        return {"index_params": self.index_params, "search_params": self.search_params}

    def _parameters(self):
        return str(self.uri), self.collection, self._options()

    def _connected(self):
        if self._client is None:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]{0,199}", self.collection):
                raise ValueError(
                    f"collection={self.collection!r} must consist of letters, digits and "
                    "underscores, not begin with a digit, and have at most 200 of them."
                )
            self._client = connect(self.uri)
        return self._client

    def _behind_the_alias(self):
        client = self._connected()
        if self.collection not in client.list_aliases()["aliases"]:
            return None
        return client.describe_alias(self.collection)["collection_name"]

    def _find(self):
        """The name of the collection to open: the same as before, or the newest; None if none."""
        if self._name is None:
            self._name = self._behind_the_alias()
        if self._name is None and self._connected().has_collection(self.collection):
            self._name = self.collection
        return self._name

    def _open(self):
        if self._opened is None:
            if self._find() is None:
                raise LookupError(
                    f"There is no collection {self.collection!r} in {masked(self.uri)}. Fit a "
                    "StoreRetriever with this store, or fill it by build()."
                )
            self._opened = self._collection(self._name)
        return self._opened

    def _collection(self, name):
        return Collection.open(self._connected(), name, **self._options(), local=is_local(self.uri))

    def _drop_abandoned(self, current):
        for name in self._connected().list_collections():
            build, ending = name.removesuffix("_settings"), BUILD.search(name)
            if alias_of(name) != self.collection or ending is None:
                continue
            if build == current or build in _builds_here:
                continue
            age = time.time() - int(ending[1], 16)
            if is_local(self.uri) or age > ABANDONED_AFTER:
                with suppress(Exception):  # such as where somebody gave it another alias
                    self._connected().drop_collection(name)

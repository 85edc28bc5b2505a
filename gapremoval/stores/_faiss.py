"""FaissStore: rows in faiss indexes, one a modality, in memory or in a folder."""

import uuid
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from threading import RLock

import numpy as np

from ._faiss_folder import Contents, folder_state, read_folder, write_folder
from ._faiss_segment import Segment, new_index
from ._protocol import StoreHits, StoreRows


def _alone(method):
    """A method during which no other thread changes the store: faiss moves rows that it appends."""

    @wraps(method)
    def locked_method(self, *args, **options):
        with self._lock:
            return method(self, *args, **options)

    return locked_method


class FaissStore:
    """Vectors in faiss on one machine, searched exactly or approximately.

    Each modality has an index of its own, so a search within a modality searches one index, and
    an approximate index is not distracted by rows of the others.

    A deleted or replaced row is marked, and skipped by searches. When more than a quarter of the
    rows of a modality are marked, its index is built anew.

    Parameters
    ----------
    path : str or Path, default=None
        A folder to keep the store in; it is made if necessary. By default the store lives in
        memory, and is part of its copies and pickles. A store with a path is written at the end
        of `build`, `upsert`, `delete` and `write_settings`, completely or not at all: another
        process, or one that follows a crash, finds the state before or after. An `upsert`
        writes the whole index of each modality that it changes, so give it many rows at once;
        `delete` writes the ids only. A copy or a pickle holds the path.
    factory : str, default="Flat"
        The index, as faiss's index factory describes it: ``"Flat"`` is exact; ``"HNSW32"`` is a
        graph; ``"IVF1024,Flat"`` has 1,024 lists of near rows. Compressed indexes are refused,
        since they do not give back what was stored. IVF is trained on the rows of the modality, as
        soon as there are 39 for each list, and searched exactly before. It counts in `build`: a
        store that was built keeps its kind of index.
    search_params : dict of str to int, default=None
        Parameters of a search, as faiss names them: ``{"efSearch": 128}`` for HNSW (16 by default),
        ``{"nprobe": 32}`` for IVF (1 by default). Larger is slower and misses less. By default
        those with which the store was built.

    See Also
    --------
    gapremoval.StoreRetriever : Searches a store as MixedModalityRetriever searches its index.

    Notes
    -----
    Several threads or processes may search at once. Changes are for one at a time: a change to
    a folder that another process changed in the meantime raises, and loses nothing. After a new
    `build` a store that was opened before raises a LookupError, since its rows mean something
    else now. Searches of one store take turns; faiss uses several threads in each.

    The folder holds JSON and faiss's own files, and no pickles.

    References
    ----------
    Douze et al., "The Faiss library", 2024. https://arxiv.org/abs/2401.08281

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.stores import FaissStore, StoreRows
    >>> store = FaissStore()
    >>> with store.build(n_features=2) as target:
    ...     target.upsert(StoreRows(["a", "b"], ["text", "image"], np.eye(2)))
    >>> hits = store.search(np.array([[0.6, 0.8]]), 2)
    >>> hits.ids, hits.products.round(2)
    (array([['b', 'a']], dtype=object), array([[0.8, 0.6]]))
    """

    def __init__(self, path=None, *, factory="Flat", search_params=None):
        self.path = path
        self.factory = factory
        self.search_params = search_params
        self._contents, self._seen, self._build = Contents(), None, None
        self._lock = RLock()

    def __repr__(self):
        return (
            f"FaissStore({self.path!r}, factory={self.factory!r}, "
            f"search_params={self.search_params!r})"
        )

    def __getstate__(self):
        kept_on_disk = {} if self.path is None else {"_contents": Contents(), "_seen": None}
        return {**self.__dict__, **kept_on_disk, "_lock": None}

    def __setstate__(self, state):
        self.__dict__.update(state, _lock=RLock())

    @_alone
    def count(self):
        """Number of rows of each modality.

        Returns
        -------
        dict of str to int
        """
        segments = self._now().segments
        return {name: len(segment.row_of) for name, segment in segments.items() if segment.row_of}

    @_alone
    def search(self, queries, k, *, modality=None, among=None, filter=None):
        """Find the rows with the largest inner products.

        Parameters
        ----------
        queries : ndarray of shape (n_queries, n_features)
            Finite vectors.
        k : int
            Number of rows, at least 1. Fewer are found where fewer match; an approximate index
            may also find fewer.
        modality : collection of str, default=None
            Search only rows of these modalities.
        among : sequence of ids, default=None
            Search only these rows, exactly, whatever the index. Ids that are not there are
            ignored.
        filter : None
            Not supported, since faiss knows no metadata: anything else raises.

        Returns
        -------
        StoreHits

        Raises
        ------
        ValueError
            If the queries do not fit the store, `k` is below 1, or there is a `filter`.
        """
        if filter is not None:
            raise ValueError(
                "FaissStore keeps no metadata to filter by. Look up the ids that match where the "
                "metadata is, and pass them as among=ids."
            )
        if k < 1:
            raise ValueError(f"k must be at least 1; got {k}.")
        modality = [modality] if isinstance(modality, str) else modality
        now = self._now()
        queries = _check_vectors(queries, now.n_features, "queries")
        pieces = [(np.empty((len(queries), 0)), now.no_ids[np.empty((len(queries), 0), int)], "")]
        params = now.search_params if self.search_params is None else self.search_params
        for name, segment in now.segments.items():
            if (modality is not None and name not in modality) or not segment.row_of:
                continue
            if among is None:
                found = [segment.search(queries, k, params)]
            else:
                found = segment.search_among(queries, k, segment.rows_of(_check_ids(among)))
            pieces += [(products, segment.ids[rows], name) for products, rows in found]
        return _merge(pieces, k)

    @_alone
    def fetch(self, ids):
        """Read rows by their ids.

        Parameters
        ----------
        ids : sequence of ids of length n_rows
            Integers or strings.

        Returns
        -------
        StoreRows
            In the order of `ids`.

        Raises
        ------
        KeyError
            If an id is not there.
        """
        now, ids = self._now(), _check_ids(ids)
        modalities = np.empty(len(ids), object)
        vectors = np.empty((len(ids), now.n_features or 0), np.float32)
        missing = np.ones(len(ids), bool)
        for name, segment in now.segments.items():
            at = np.array([i for i, key in enumerate(ids.tolist()) if key in segment.row_of], int)
            if len(at):
                rows = [segment.row_of[key] for key in ids[at].tolist()]
                vectors[at], modalities[at], missing[at] = segment.vectors(rows), name, False
        if missing.any():
            raise KeyError(f"{missing.sum()} ids are not in the store: {ids[missing][:5].tolist()}")
        return StoreRows(ids, modalities.astype(str), vectors)

    @_alone
    def sample(self, modality, n):
        """Draw rows of a modality: always the same ones, each equally likely.

        Parameters
        ----------
        modality : str
            Name of the modality.
        n : int
            Number of rows; all of them if there are fewer.

        Returns
        -------
        StoreRows
        """
        now = self._now()
        if modality not in now.segments:
            return _rows_of(now.no_ids, modality, np.empty((0, now.n_features or 0), np.float32))
        segment = now.segments[modality]
        rows = segment.live_rows
        drawn = np.random.default_rng(0).choice(rows, min(n, len(rows)), replace=False)
        drawn.sort()
        return _rows_of(segment.ids[drawn], modality, segment.vectors(drawn))

    @contextmanager
    def build(self, n_features, *, overwrite=False):
        """Fill a new store, which takes the place of this one when the context ends.

        Parameters
        ----------
        n_features : int
            Length of a vector.
        overwrite : bool, default=False
            Whether the rows that the store holds may be dropped.

        Yields
        ------
        FaissStore
            A store in memory. After an error or an interrupt this one stays as it was.

        Raises
        ------
        ValueError
            If the store holds rows and `overwrite` is False, or there is no such index.
        """
        self._build = None
        n_rows, seen = sum(self.count().values()), self._seen
        if n_rows and not overwrite:
            raise ValueError(
                f"{self!r} holds {n_rows} rows. Pass overwrite=True to replace them, or use "
                "another path."
            )
        new_index(n_features, self.factory, self.search_params)
        filling = FaissStore()
        filling._contents = Contents(n_features)
        yield filling
        built = filling._contents
        if self.factory != "Flat":
            # Made at the end: an IVF index is trained on all rows, and not on the first batch.
            for name, segment in built.segments.items():
                rows = segment.live_rows
                built.segments[name] = Segment.made_of(
                    segment.ids[rows], segment.vectors(rows), self.factory
                )
            built.factory = self.factory
        built.search_params, built.build = self.search_params, uuid.uuid4().hex
        with self._lock, self._changing():
            if self._seen != seen:
                raise RuntimeError(
                    f"Another process changed {self.path} while it was built anew: nothing was "
                    "written. The next call sees the new state; repeat the change."
                )
            self._contents = built
        self._build = built.build

    @_alone
    def upsert(self, rows):
        """Write rows; those whose id is there are replaced.

        Parameters
        ----------
        rows : StoreRows
            Without metadata; each id once.

        Raises
        ------
        ValueError
            If the store was not built, or the rows do not fit it. Nothing is written then.
        """
        now = self._now()
        if now.n_features is None:
            raise ValueError(
                "The store was never built: `with store.build(n_features) as target: "
                "target.upsert(rows)`."
            )
        if rows.metadata is not None:
            raise ValueError("FaissStore keeps no metadata: pass StoreRows without it.")
        vectors = _check_vectors(rows.vectors, now.n_features, "vectors")
        ids, modalities = _check_ids(rows.ids), np.asarray(rows.modalities, str)
        if not len(ids) == len(modalities) == len(vectors):
            raise ValueError(
                f"There are {len(ids)} ids, {len(modalities)} modalities and {len(vectors)} "
                "vectors: a row has one of each."
            )
        if len(set(ids.tolist())) < len(ids):
            raise ValueError("An id stands twice among the rows: which of them is meant?")
        if len(ids) and self.count() and ids.dtype != now.no_ids.dtype:
            raise ValueError(
                "All ids of a store are integers, or all are strings; rows that are there have "
                f"ids like {next(self.rows(1)).ids[0]!r}, these {ids[0]!r}."
            )
        with self._changing() as now:
            for segment in now.segments.values():
                segment.delete(ids.tolist())
            for name in dict.fromkeys(modalities.tolist()):
                mine = modalities == name
                if name in now.segments and now.segments[name].row_of:
                    now.segments[name].append(ids[mine], vectors[mine])
                else:
                    now.segments[name] = Segment.made_of(ids[mine], vectors[mine], now.factory)

    @_alone
    def delete(self, ids):
        """Delete rows by their ids; ids that are not there are ignored.

        Parameters
        ----------
        ids : sequence of ids
            Integers or strings.
        """
        with self._changing() as now:
            for segment in now.segments.values():
                segment.delete(_check_ids(ids).tolist())

    @_alone
    def known(self, ids):
        """Look up which ids the store holds.

        Parameters
        ----------
        ids : sequence of ids of length n_ids
            Integers or strings.

        Returns
        -------
        ndarray of bool of shape (n_ids,)
        """
        segments = self._now().segments.values()
        ids = _check_ids(ids).tolist()
        return np.array([any(i in segment.row_of for segment in segments) for i in ids], bool)

    def rows(self, batch_size=8192):
        """Read all rows.

        Parameters
        ----------
        batch_size : int, default=8192
            Largest number of rows to yield at once.

        Yields
        ------
        StoreRows
            Rows of one modality; each row of the store once.
        """
        for name, segment in self._now().segments.items():
            rows = segment.live_rows
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                with self._lock:
                    vectors = segment.vectors(batch)
                yield _rows_of(segment.ids[batch], name, vectors)

    @_alone
    def write_settings(self, settings):
        """Keep bytes beside the rows, in place of those before.

        Parameters
        ----------
        settings : bytes
            Anything, for example the calibration that made the rows.
        """
        with self._changing() as now:
            now.settings = bytes(settings)

    @_alone
    def read_settings(self):
        """Read what `write_settings` kept, of what was built last.

        Returns
        -------
        bytes or None
        """
        self._build = None
        return self._now().settings

    @_alone
    def _now(self):
        """What the store holds; read from the folder if another process changed it."""
        if self.path is not None:
            folder = Path(self.path)
            while (state := folder_state(folder)) != self._seen:
                try:
                    self._contents = Contents() if state is None else read_folder(folder)
                    self._seen = state
                except FileNotFoundError:
                    if folder_state(folder) == state:  # and no writer has replaced the file
                        raise
        now = self._contents
        if self._build not in (None, now.build):
            raise LookupError(
                f"Another build has replaced the store in {Path(self.path).absolute()}, or it is "
                "not there: open the store again, by open() of its retriever or with a new "
                "FaissStore."
            )
        self._build = now.build
        return now

    @contextmanager
    def _changing(self):
        """What the store holds, to be changed; written when the context ends."""
        try:
            yield self._now()
            now = self._contents
            parts = {name: part for name, part in now.segments.items() if part.row_of}
            now.segments = {name: part.renewed(now.factory) for name, part in parts.items()}
            if self.path is not None:
                self._seen = write_folder(Path(self.path), now, self._seen)
        except BaseException:
            if self.path is not None:  # what is in memory may differ from what is in the folder
                self._contents, self._seen = Contents(), None
            raise


def _rows_of(ids, modality, vectors):
    return StoreRows(ids, np.full(len(ids), modality), vectors)


def _merge(pieces, k):
    """The hits of several searches, best first; columns without any row are dropped."""
    products, ids = (np.concatenate(part, axis=1) for part in list(zip(*pieces))[:2])
    modalities = np.concatenate([np.full(part.shape, name) for part, _, name in pieces], axis=1)
    best = np.argsort(-products, axis=1, kind="stable")[:, :k]
    best = best[:, np.isfinite(np.take_along_axis(products, best, axis=1)).any(axis=0)]
    products, ids, modalities = (
        np.take_along_axis(part, best, axis=1) for part in (products, ids, modalities)
    )
    if not (found := np.isfinite(products)).all():
        ids, modalities = np.where(found, ids, None), np.where(found, modalities, "")
    return StoreHits(ids, products, modalities)


def _check_vectors(vectors, n_features, name):
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or n_features not in (None, vectors.shape[1]):
        raise ValueError(
            f"{name} must be of shape (n_rows, {n_features}); got {vectors.shape[-1]} features in "
            f"shape {vectors.shape}."
        )
    if not np.isfinite(vectors).all():
        raise ValueError(f"{name} hold NaN or inf.")
    return vectors


def _check_ids(ids):
    """Ids as an array of int64 or of str objects."""
    ids = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    ids = [i.item() if isinstance(i, np.generic) else i for i in ids]
    if all(type(i) is str for i in ids) and ids:
        return np.array(ids, dtype=object)
    if all(type(i) is int for i in ids):
        try:
            return np.array(ids, dtype=np.int64)
        except OverflowError:
            raise ValueError(
                "Integer ids have at most 64 bits: use strings, such as str(id)."
            ) from None
    strange = [f"{i!r}, a {type(i).__name__}" for i in ids if type(i) not in (int, str)]
    raise ValueError(f"Ids are all integers or all strings; got {(strange or ['both'])[0]}.")

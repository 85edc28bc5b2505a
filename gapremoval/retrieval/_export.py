"""ExportedVectors: a corpus as rows for any other store, which then ranks as the retriever does."""

import json
from dataclasses import dataclass, replace
from numbers import Real
from typing import NamedTuple

import numpy as np

from .._array_api import to_numpy, unit_rows
from .._columns import as_rows
from .._embeddings import EmbeddingArray
from .._files import read_arrays, replacing
from .._modality import as_query, meant_modality
from .._relevance import kind_of_ids
from .._validation import check_lengths
from .._version import __version__
from .._warnings import shown
from ._vector_layout import METRICS, VectorLayout, export_rows, make_layout

FORMAT = "gapremoval exported vectors"
VERSION = 1
# The length of all rows, by that of the longest: with room for documents that come later.
ROOM, MOST_LENGTH = 1.25, 100
ARRAYS = ["header", "ids", "modalities", "vectors"]


class Changes(NamedTuple):
    """What differs between two exports of a corpus.

    Attributes
    ----------
    rows : ndarray of int
        The numbers of the rows that are to be written: of documents that came, or whose vectors
        changed.
    removed : ndarray
        The ids of the documents that went.
    """

    rows: np.ndarray
    removed: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class ExportedVectors:
    """The documents of a retriever as vectors for any other store.

    `gapremoval.MixedModalityRetriever.export_vectors` makes them. The rows in `vectors` go into
    the store, under `ids`. `queries` turns questions into the vectors that are asked, `scores`
    turns the numbers that the store returns into calibrated scores, and `probabilities` turns
    those into probabilities.

    Attributes
    ----------
    vectors : ndarray of float32 of shape (n_documents, n_columns)
        A row is the document times its scale, its own offset, and the one-hot of its modality; for
        the metrics ``"cosine"`` and ``"l2"`` one more coordinate, after which all rows have unit
        length.
    ids : ndarray of shape (n_documents,)
        The documents' ids in the order of the retriever's `ids_`.
    modalities : ndarray of str of shape (n_documents,)
        The documents' modalities.
    metric : {"ip", "cosine", "l2"}
        What the store must compare by.
    length : float
        The length of all rows before they were brought to unit length: the longest row, with room
        for documents that come later. 1 for the metric ``"ip"``.
    query_modality : str
        The modality of the queries.

    See Also
    --------
    gapremoval.MixedModalityRetriever.export_vectors : Makes them.
    gapremoval.StoreRetriever : Keeps a store up to date by itself.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_search_pipeline().fit(X, y)
    >>> exported = pipe[-1].export_vectors("query:text", metric="cosine")
    >>> exported
    ExportedVectors(200 documents x 517, for 'query:text', metric 'cosine')

    A store that compares by cosine, and returns distances (here numpy is the store):

    >>> queries = pipe[:-1].transform(X[X.modality == "query:text"])
    >>> distances = 1 - exported.queries(queries) @ exported.vectors.T
    >>> best = np.argsort(distances, axis=1)[:, :100]
    >>> scores = exported.scores(np.take_along_axis(distances, best, axis=1))
    >>> found = pipe[-1].search(queries, 100)
    >>> bool((exported.ids[best[:, 0]] == found.ids[:, 0]).all())
    True
    >>> bool(np.abs(scores - found.scores).max() < 1e-5)
    True
    >>> bool(np.abs(exported.probabilities(scores) - found.probabilities)[:, 0].max() < 0.01)
    True
    """

    vectors: np.ndarray
    ids: np.ndarray
    modalities: np.ndarray
    layout: VectorLayout
    query_modality: str

    @property
    def metric(self):
        """What the store must compare by."""
        return self.layout.metric

    @property
    def length(self):
        """The length of all rows before they were brought to unit length."""
        return self.layout.length

    def queries(self, X):
        """The vectors that ask.

        Parameters
        ----------
        X : EmbeddingArray or array of shape (n_queries, n_features)
            Queries as the retriever takes them: transformed by the steps before it. One vector of
            shape (n_features,) is one query.

        Returns
        -------
        ndarray of float32 of shape (n_queries, n_columns)

        Raises
        ------
        ValueError
            If a query has another number of features, another modality, NaN, infinity or length
            zero.
        """
        values = to_numpy(as_rows(X.values if isinstance(X, EmbeddingArray) else X))
        values = np.atleast_2d(np.asarray(values, dtype=float))
        if values.ndim != 2 or values.shape[1] != self.layout.n_features:
            raise ValueError(
                f"Queries have shape {values.shape}; the documents have {self.layout.n_features} "
                "features. Transform queries by the steps before the retriever."
            )
        tags = set(X.modality.tolist()) if isinstance(X, EmbeddingArray) else set()
        others = {as_query(tag) for tag in tags} - {self.query_modality}
        if others and self.layout.query_modalities:
            raise ValueError(
                f"These vectors are for {self.query_modality!r} and not for "
                f"{shown(sorted(others))}: export vectors for that query modality."
            )
        unit, lengths = unit_rows(values)
        check_lengths(lengths)
        if not lengths.all():
            raise ValueError(
                f"Query {shown(np.flatnonzero(lengths == 0).tolist())} has length zero, and so no "
                "direction."
            )
        return self.layout.queries(unit, self.query_modality)

    def scores(self, found, kind=None):
        """The calibrated scores of what a store found.

        Parameters
        ----------
        found : array-like of shape (n_queries, n_found) or (n_found,)
            The numbers that the store returned, the best first. Infinity and NaN are places
            without a document.
        kind : {"distance", "similarity", "squared"}, default=None
            What they are. ``"distance"``: ``1 - cosine``, a Euclidean distance, or a negated
            inner product; ``"similarity"``: a cosine or an inner product; ``"squared"``: a
            squared Euclidean distance, as faiss, usearch and Milvus return it. By default their
            order tells distances, which rise, from similarities, which fall; for the metric
            ``"l2"`` they are distances.

        Returns
        -------
        ndarray of float64 of shape (n_queries, n_found) or (n_found,)
            The retriever's scores, -inf where there is no document.

        Raises
        ------
        ValueError
            If the order does not tell what the numbers are.
        """
        return self.layout.scores(found, self.query_modality, kind)

    def probabilities(self, scores):
        """The probability that a document answers, given that one of the corpus does.

        An approximation to `SearchResult.probabilities`: the odds of the documents that the store
        did not return are those that documents below the last score have in the mean of the
        example queries. Without example queries of this modality they are left out.

        Parameters
        ----------
        scores : array-like of shape (n_queries, n_found) or (n_found,)
            From `scores`: those of the best documents of the whole corpus.

        Returns
        -------
        ndarray of float64 of shape (n_queries, n_found) or (n_found,)
            In [0, 1].

        Raises
        ------
        ValueError
            If the scores are no log odds, as those of `PosteriorOdds` are.
        """
        if self.layout.slope(self.query_modality) is None:
            raise ValueError(
                "These scores are no log odds and give no probabilities: export from a retriever "
                "with score_calibration=PosteriorOdds()."
            )
        return self.layout.probabilities(np.asarray(scores, dtype=float), self.query_modality)

    def changes(self, earlier):
        """What a store that holds an earlier export has to write and to delete.

        Where documents came and went, only those; where the score calibration has learned since,
        all rows. The questions must then be asked with these vectors' `queries`.

        Parameters
        ----------
        earlier : ExportedVectors
            What the store holds: an export of the same corpus.

        Returns
        -------
        Changes

        Raises
        ------
        ValueError
            If the two have another metric, length, query modality or number of columns: the store
            must be filled anew.
        """
        if not isinstance(earlier, ExportedVectors):
            raise TypeError(f"changes takes ExportedVectors; got a {type(earlier).__name__}.")
        mine, theirs = (
            (x.metric, x.query_modality, x.length, x.layout.modalities, x.vectors.shape[1])
            for x in (self, earlier)
        )
        if mine != theirs:
            raise ValueError(
                "The earlier export does not fit: fill the store anew. Metric, query modality, "
                f"length, modalities and columns were {theirs} and are {mine}. To keep the rows, "
                "export with length=earlier.length."
            )
        row = {x: i for i, x in enumerate(earlier.ids.tolist())}
        ids = self.ids.tolist()
        at = np.array([row.pop(x, -1) for x in ids], dtype=int)
        kept = np.flatnonzero(at >= 0)
        is_same = np.zeros(len(ids), dtype=bool)
        for start in range(0, len(kept), 8192):
            some = kept[start : start + 8192]
            is_same[some] = (self.vectors[some] == earlier.vectors[at[some]]).all(axis=1)
        return Changes(np.flatnonzero(~is_same), earlier.ids[sorted(row.values())])

    def save(self, path):
        """Write a file of arrays and JSON, completely or not at all.

        It is loaded where this library is, but not the corpus. The steps before the retriever,
        which queries pass through, are kept apart, as by joblib.

        Parameters
        ----------
        path : str or Path
            The file; no suffix is added. An older file is replaced.

        Raises
        ------
        ValueError
            If the ids are neither int64 nor strings.
        """
        ids = self.ids
        if ids.dtype == object:
            if kind_of_ids(ids) != "string":
                raise ValueError(
                    f"Only ids that are strings or integers of 64 bits are saved; got {ids[0]!r}."
                )
            ids = ids.astype(np.str_)
            if ids.tolist() != self.ids.tolist():
                raise ValueError("Ids that end in a null character cannot be saved.")
        layout = self.layout
        header = {
            "format": FORMAT,
            "format_version": VERSION,
            "version": __version__,
            "query_modality": self.query_modality,
            "layout": layout.to_json(),
        }
        with replacing(path) as file:
            np.savez(
                file,
                header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
                ids=ids,
                modalities=self.modalities,
                vectors=self.vectors,
            )

    @classmethod
    def load(cls, path):
        """Read a file that `save` wrote, without pickle.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        ExportedVectors

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not such a file, is damaged, or was written by a later version.
        """
        try:
            header, *arrays = read_arrays(path, ARRAYS)
            header = json.loads(header.tobytes())
            is_later = header["format"] == FORMAT and header["format_version"] > VERSION
            if not is_later:
                return cls._of_arrays(header, *arrays)
        except OSError:
            raise
        # Damage shows as anything from EOFError to what the zip and header parsers raise.
        except Exception as error:
            raise ValueError(
                f"{path} holds no exported vectors, or is damaged: export them again."
            ) from error
        raise ValueError(
            f"{path} was written by gapremoval {header['version']}, in a format that "
            f"{__version__} does not know: install that version, or export again."
        )

    @classmethod
    def _of_arrays(cls, header, ids, modalities, vectors):
        """From the arrays of a file, if they fit together."""
        layout = VectorLayout.from_json(header["layout"])
        n, shape = len(ids), (len(ids), layout.width)
        is_sound = header["format"] == FORMAT and ids.dtype.kind in "iU" and ids.shape == (n,)
        is_sound &= modalities.shape == (n,) and modalities.dtype.kind == "U"
        is_sound &= vectors.dtype == np.float32 and vectors.shape == shape
        if not (is_sound and np.isfinite(vectors).all() and len(set(ids.tolist())) == n):
            raise ValueError
        ids = ids if ids.dtype.kind == "i" else ids.astype(object)
        return cls(vectors, ids, modalities, layout, header["query_modality"])

    def __repr__(self):
        n, width = self.vectors.shape
        return (
            f"ExportedVectors({n} documents x {width}, for {self.query_modality!r}, metric "
            f"{self.metric!r})"
        )


def export_vectors(documents, query_modality, metric, length):
    """Export the vectors of a corpus; see `MixedModalityRetriever.export_vectors`.

    Parameters
    ----------
    documents : Snapshot
    query_modality, metric, length : object

    Returns
    -------
    ExportedVectors
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(map(repr, METRICS))}; got {metric!r}.")
    if not isinstance(query_modality, str):
        raise TypeError(f"query_modality is a name such as 'query:text'; got {query_modality!r}.")
    is_length = isinstance(length, Real) and 0 < length < np.inf
    if length is not None and (metric == "ip" or not is_length):
        raise ValueError(
            f"length is the length of an earlier export, a number above 0, and only for the "
            f"metrics 'cosine' and 'l2'; got {length!r} for {metric!r}."
        )
    query_modality, calibration = as_query(query_modality), documents.calibration
    if calibration is not None:
        _refuse_uncalibrated(documents, query_modality)
    names = () if calibration is None else (query_modality,)
    of_products = make_layout(documents, names)
    layout = replace(of_products, metric=metric)
    vectors = np.empty((len(documents), layout.width), dtype=np.float32)
    squares = np.empty(len(documents))
    for _, positions, rows in export_rows(documents, of_products):
        at = documents.places_of(positions)
        vectors[at, : of_products.width] = rows
        squares[at] = np.square(rows, dtype=float).sum(axis=1)
    if metric != "ip":
        length = _common_length(np.sqrt(squares), documents.ids, length)
        vectors[:, :-1] /= length
        vectors[:, -1] = np.sqrt(np.maximum(1 - squares / length**2, 0))
        layout = replace(layout, length=length)
    return ExportedVectors(vectors, documents.ids, documents.modality, layout, query_modality)


def _common_length(lengths, ids, length):
    """The length that all rows get: the one that is given, or the longest with room for later ones.

    Raises
    ------
    ValueError
        If a row is longer than `length`, or all are much shorter.
    """
    longest = lengths.max(initial=1.0)
    if length is None:
        return float(ROOM * longest)
    if length > MOST_LENGTH * longest:
        raise ValueError(
            f"length={length:.6g} is more than {MOST_LENGTH} times the length of the longest row, "
            f"{longest:.6g}: single precision could not tell scores apart. Leave it out."
        )
    if longest > length:
        raise ValueError(
            f"The row of document {ids[np.argmax(lengths)]!r} has length {longest:.6g}, and all "
            f"rows were exported with length={length:.6g}: export all anew, without length."
        )
    return float(length)


def _refuse_uncalibrated(documents, query_modality):
    """Raise if there are no linear calibrated scores for the query modality."""
    calibration = documents.calibration
    check_linear(calibration)
    if documents.score_map(query_modality) is None:
        known = ", ".join(map(repr, calibration.query_modalities_)) or "nothing yet"
        raise ValueError(
            f"The score calibration learned nothing about {query_modality!r}, so there are no "
            f"calibrated scores to export; it learned about {known}."
            f"{meant_modality(query_modality, documents.modalities)} Add such queries with "
            "partial_fit, or take a retriever without a score calibration."
        )


def check_linear(calibration):
    """Raise a ValueError if the ranking of a score calibration is no inner product."""
    if not calibration.is_linear:
        raise ValueError(
            f"{type(calibration).__name__} cannot be exported: its ranking is no inner product. "
            "Use another score calibration, such as PosteriorOdds."
        )

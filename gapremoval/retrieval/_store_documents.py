"""Documents as rows of a store, and rows of a store as documents."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from itertools import chain

import numpy as np

from .._array_api import unit_rows
from .._items import is_missing
from .._warnings import shown
from ..stores import StoreRows
from ._query_banks import teaching_scores
from ._snapshot import Segment, Snapshot
from ._vector_layout import export_rows

# Documents of each modality from which a score calibration learns, where there are more.
MOST_DOCUMENTS = 20_000

# Lengths of raw rows may differ from 1 by so much, as those of float16 do.
UNIT = 1e-4


def exported_documents(rows, n_features):
    """The documents in exported vectors, whose first numbers are a document, scaled.

    Parameters
    ----------
    rows : StoreRows
    n_features : int
        Of a document.

    Returns
    -------
    ndarray of float32 of shape (n_rows, n_features)
        Of unit length.
    """
    return unit_rows(np.asarray(rows.vectors[:, :n_features], dtype=np.float32))[0]


def raw_documents(rows, centers):
    """The documents in raw embeddings: without the center of their modality, at unit length.

    Parameters
    ----------
    rows : StoreRows
    centers : dict of str to ndarray of shape (n_features,)

    Returns
    -------
    ndarray of float64 of shape (n_rows, n_features)

    Raises
    ------
    ValueError
        If the length of a row is not 1, or there is no center for its modality.
    """
    if missing := sorted(set(rows.modalities.tolist()) - centers.keys()):
        raise ValueError(
            f"The store has rows of {shown(missing)}, for which raw= has no center; it has "
            f"{', '.join(map(repr, centers))}."
        )
    vectors, lengths = unit_rows(np.asarray(rows.vectors, dtype=float))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT))
    if len(wrong):
        raise ValueError(
            f"Rows of the store must have unit length with raw=True; that of "
            f"{shown(rows.ids[wrong].tolist())} has length {lengths[wrong[0]]:.4g}. Normalize them "
            "in the store, or fill another one without raw."
        )
    of_rows = np.stack([centers[name] for name in rows.modalities.tolist()]).astype(float)
    documents, lengths = unit_rows(vectors - of_rows)
    # The direction of a rounding error carries no information.
    rounding = 32 * np.finfo(np.float32).eps * np.linalg.norm(of_rows, axis=1)
    documents[lengths <= rounding] = 0
    return documents


def raw_centers(rows):
    """The mean of the raw rows of each modality, at unit length: a dict."""
    unit = unit_rows(np.asarray(rows.vectors, dtype=float))[0]
    names = sorted(set(rows.modalities.tolist()))
    return {name: unit[rows.modalities == name].mean(axis=0) for name in names}


def sampled_rows(store, needed=()):
    """A sample of the rows of each modality, and those with some ids.

    Parameters
    ----------
    store : Store
    needed : iterable of ids
        Those that the store has.

    Returns
    -------
    StoreRows
        Each id once.
    """
    found = [store.sample(name, MOST_DOCUMENTS) for name, n in store.count().items() if n]
    seen = {x for rows in found for x in rows.ids.tolist()}
    more = [x for x in dict.fromkeys(needed) if x not in seen]
    if more or not found:
        found.append(store.fetch(more))
    return joined(found)


def joined(pieces):
    """One StoreRows of several."""
    columns = (np.concatenate(column) for column in zip(*(rows[:3] for rows in pieces)))
    metadata = [rows.metadata for rows in pieces]
    return StoreRows(*columns, None if None in metadata else list(chain.from_iterable(metadata)))


def as_snapshot(learned, rows, vectors):
    """A snapshot of what was learned and of some documents, with their statistics.

    Parameters
    ----------
    learned : Snapshot
        Its documents, if it has any, are left out.
    rows : StoreRows
    vectors : ndarray of float32 of shape (n_rows, n_features)
        The documents, of unit length.

    Returns
    -------
    Snapshot
        A document from whose rows the calibration learned has its position of then; others have
        positions from ``learned.next_position`` on.
    """
    known = {}
    for bank in learned.banks:
        for some in bank.values():
            known |= {x: p for x, p in zip(some.ids, some.own.tolist()) if p >= 0}
    new = np.arange(learned.next_position, learned.next_position + len(rows.ids))
    positions = np.array(
        [known.get(x, p) for x, p in zip(rows.ids.tolist(), new.tolist())], dtype=np.int64
    )
    documents, segments = {}, {}
    for name in sorted(set(rows.modalities.tolist())):
        at = np.flatnonzero(rows.modalities == name)
        at = at[np.argsort(positions[at])]
        documents[name] = positions[at], rows.ids[at], vectors[at]
    statistics = {}
    if hasattr(learned.calibration, "query_modalities_") and documents:
        scores = teaching_scores(learned.banks[0], documents)
        statistics = learned.calibration.document_statistics(scores)
    start = 0
    for name, (position, ids, of_name) in documents.items():
        at = slice(start, start := start + len(ids))
        columns = {"vectors": of_name, "position": position, "id": ids}
        columns["made_of"] = np.zeros((len(ids), 2))
        columns |= {query: values[at] for query, values in statistics.items()}
        segments[name, True] = Segment(columns)
    next_position = learned.next_position + len(rows.ids)
    known = {field.name: getattr(learned, field.name) for field in fields(learned)}
    known |= {"segments": segments, "next_position": next_position, "null_samples": {}}
    return Snapshot(**known)


def directed_documents(documents):
    """A snapshot without the documents of length zero, which no search of a store would find."""
    segments = {(name, True): segment for name, segment in documents.directed.items()}
    return replace(documents, segments=segments)


def rows_of(documents, layout, metadata=None, since=0):
    """Yield the documents of a snapshot from a position on, as StoreRows.

    Parameters
    ----------
    documents : Snapshot
    layout : VectorLayout
    metadata : Mapping of id to dict, default=None
        From `read_metadata`.
    since : int, default=0
    """
    for name, positions, vectors in export_rows(documents, layout):
        at = np.flatnonzero(positions >= since)
        if len(at):
            ids = documents.column_of("id", positions[at])[0]
            fields = None if metadata is None else metadata_of(metadata, ids.tolist())
            yield StoreRows(ids, np.full(len(ids), name), vectors[at], fields)


def rewritten_rows(store, layout, learned, new_layout, without):
    """Yield the rows of a store anew, as a score calibration that has learned since has them.

    Parameters
    ----------
    store : WritableStore
    layout : VectorLayout
        Of its rows.
    learned : Snapshot
        With the score calibration.
    new_layout : VectorLayout
    without : set of ids
        Rows that are left out.
    """
    for rows in store.rows():
        at = np.array([x not in without for x in rows.ids.tolist()], dtype=bool)
        metadata = rows.metadata and [x for x, stays in zip(rows.metadata, at) if stays]
        rows = StoreRows(*(column[at] for column in rows[:3]), metadata)
        documents = as_snapshot(learned, rows, exported_documents(rows, layout.n_features))
        fields = None if metadata is None else dict(zip(rows.ids.tolist(), metadata))
        yield from rows_of(documents, new_layout, fields)


def read_metadata(metadata, ids):
    """The fields of documents by id: a Mapping, or None if there are none.

    Parameters
    ----------
    metadata : DataFrame indexed by id, dict of id to dict, or None
    ids : list of ids
        Of the documents.

    Raises
    ------
    TypeError
        If `metadata` is neither a DataFrame nor a dict.
    ValueError
        If it names none of the documents, or an id twice.
    """
    if metadata is None:
        return None
    if hasattr(metadata, "to_dict"):
        if not metadata.index.is_unique:
            raise ValueError("The index of metadata must hold each document's id once.")
        metadata = metadata.to_dict(orient="index")
    if not isinstance(metadata, Mapping):
        raise TypeError(
            "metadata is a DataFrame whose index holds the documents' ids, or a dict of id to "
            f"dict; got a {type(metadata).__name__}."
        )
    if ids and not any(x in metadata for x in ids):
        raise ValueError(
            f"metadata names none of the documents {shown(ids)}; it is indexed by "
            f"{shown([*metadata][:3])}. For a column of ids: metadata=frame.set_index('id')."
        )
    return metadata


def metadata_of(metadata, ids):
    """The fields of some documents, a list of dict; missing values are left out."""
    found = [metadata.get(x) or {} for x in ids]
    return [{name: x for name, x in row.items() if not is_missing(x)} for row in found]


def those_known(store, ids):
    """Those of some ids that a store has, a list."""
    if not ids or hasattr(store, "known"):
        return [x for x, is_known in zip(ids, store.known(ids)) if is_known] if ids else []
    with suppress(KeyError):
        store.fetch(ids)
        return list(ids)
    return [x for x in ids if _can_fetch(store, x)]


def _can_fetch(store, x):
    with suppress(KeyError):
        store.fetch([x])
        return True
    return False

"""What a StoreRetriever learns: from an exact index that holds a sample of its documents."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from .._array_api import to_numpy, unit_rows
from .._embeddings import EmbeddingArray
from .._modality import as_query
from .._relevance import check_relevance, check_y
from .._warnings import shown, warn
from ._export import check_linear
from ._index import Index
from ._raw_search import check_raw_calibration
from ._retriever import MixedModalityRetriever
from ._store_documents import as_snapshot, raw_centers, raw_documents, sampled_rows, those_known
from ._store_head import StoreHead, without_documents
from ._vector_layout import make_layout


def exact_index(retriever, documents=None):
    """A MixedModalityRetriever with the parameters of a StoreRetriever.

    Parameters
    ----------
    retriever : StoreRetriever
    documents : Snapshot, default=None
        What it has indexed; by default it is not fitted.
    """
    calibration = retriever.score_calibration
    if documents is not None and documents.calibration is not None:
        calibration = documents.calibration
    exact = MixedModalityRetriever(
        retriever.n_neighbors,
        fusion_weight=retriever.fusion_weight,
        score_calibration=calibration,
    )
    if documents is not None:
        exact.n_features_in_, exact._index = retriever.n_features_in_, Index(documents)
    return exact


def with_new_rows(retriever, X, y):
    """What is known after new documents and queries.

    Parameters
    ----------
    retriever : fitted StoreRetriever
    X : EmbeddingArray
    y : sequence of length n_rows or None

    Returns
    -------
    documents : Snapshot
        The new documents. Where the score calibration learned, also a sample of those before.
    learns : bool
        Whether it learned, so that all rows of the store change.
    since : int
        The position of the first new document.
    """
    head, asks = retriever._head, X._tags.is_query
    if head.calibration is None or not asks.any():
        after = exact_index(retriever, head.learned)._add_documents(X, y, None)._index.now
        holds = head.layout is None or set(after.directed) <= set(head.layout.modalities)
        if after.calibration is head.calibration and holds:
            return after, False, head.learned.next_position
    relevance = () if y is None else check_y(y, len(X))[asks].tolist()
    known = [x for bank in head.learned.banks for some in bank.values() for x in some.ids]
    known = [x for x in known if x is not None]
    rows = _sample(head.store, relevance, known)
    before = as_snapshot(head.learned, rows, head.documents_in(rows).astype(np.float32))
    after = exact_index(retriever, before)._add_documents(X, y, None, replace=True)._index.now
    return after, True, before.next_position


def learned_raw(retriever, X, y):
    """The StoreHead of a store of raw rows, after learning from a sample of them and from queries.

    Parameters
    ----------
    retriever : StoreRetriever
    X : EmbeddingArray
        Its queries are learned from.
    y : sequence of length n_rows or None
    """
    check_raw_calibration(retriever.score_calibration)
    store, asks = retriever.store, np.flatnonzero(X._tags.is_query)
    relevance = [None] * len(asks) if y is None else check_y(y, len(X))[asks].tolist()
    if not (counts := store.count()):
        raise ValueError(f"{store!r} is empty, and raw=True searches what it holds.")
    sample = _sample(store, relevance)
    if sample.vectors.shape[1] != X.shape[1]:
        raise ValueError(
            f"The rows of the store have {sample.vectors.shape[1]} features, and the queries "
            f"{X.shape[1]}: they come from another encoder."
        )
    centers = retriever.raw if isinstance(retriever.raw, Mapping) else raw_centers(sample)
    wrong = [x for x, c in centers.items() if np.shape(c) != (X.shape[1],)]
    if wrong or not centers or not all(np.isfinite(c).all() for c in centers.values()):
        raise ValueError(
            f"raw= holds a center of {X.shape[1]} finite numbers for each modality, such as the "
            "centers_ of a fitted ModalityGapRemover."
        )
    if len(asks):
        warn_of_uncorrected(unit_rows(to_numpy(X.values[asks]).astype(float))[0])
    vectors = raw_documents(sample, centers).astype(np.float32)
    documents = EmbeddingArray(vectors, sample.modalities)
    if len(asks):
        documents = EmbeddingArray.concatenate([documents, X[asks]])
    exact = exact_index(retriever).fit(documents, [*sample.ids.tolist(), *relevance])
    learned = without_documents(exact._index.now)
    return StoreHead(store, learned, None, counts, retriever.fusion_weight, centers)


def warn_of_uncorrected(queries):
    """Warn about unit queries whose mean lies far from zero, as that of raw ones does."""
    length = float(np.linalg.norm(queries.mean(axis=0)))
    if length > 0.4 + 1 / np.sqrt(len(queries)):
        warn(
            f"The mean of these queries has length {length:.2f}, and that of corrected ones is "
            "near 0: transform them by the ModalityGapRemover whose centers_ are in raw=."
        )


def _sample(store, relevance, needed=()):
    """A sample of the rows of a store, with those that are relevant or needed: StoreRows."""
    named = [x for gains in check_relevance(relevance) for x in gains or ()]
    return sampled_rows(store, those_known(store, [*dict.fromkeys([*named, *needed])]))


def layout_of(documents, query_modalities=None):
    """The layout of the rows of documents.

    Parameters
    ----------
    documents : Snapshot
    query_modalities : sequence of str, default=None
        Those that will be asked; by default all that were learned about.

    Raises
    ------
    ValueError
        If nothing was learned about one of them, or scores are no inner products.
    """
    calibration = documents.calibration
    if calibration is None:
        return make_layout(documents, ())
    check_linear(calibration)
    known = calibration.query_modalities_
    wanted = known if query_modalities is None else query_modalities
    if not len(wanted) and query_modalities is not None:
        raise ValueError("query_modalities is empty: name one, or None for all.")
    wanted = [as_query(str(name)) for name in wanted]
    if missing := [name for name in wanted if name not in known]:
        raise ValueError(
            f"query_modalities names {shown(missing)}, about which the score calibration learned "
            f"nothing; it learned about {', '.join(map(repr, known)) or 'none'}."
        )
    return make_layout(documents, wanted)


def filled(store, learned, layout, rows, fusion_weight, *, overwrite):
    """The StoreHead of a store after new rows took the place of all that it held."""
    counts = Counter()
    with store.build(layout.width, overwrite=overwrite) as new:
        for some in rows:
            new.upsert(some)
            counts.update(some.modalities.tolist())
        head = StoreHead(store, learned, layout, {}, fusion_weight).counted(counts)
        new.write_settings(head.to_bytes())
    return head

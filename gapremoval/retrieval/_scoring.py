"""How well a fitted retriever answers judged queries."""

from typing import NamedTuple

import numpy as np

from .._array_api import take_rows
from .._embeddings import EmbeddingArray
from .._relevance import check_ids, check_known, check_relevance, check_y
from .._validation import check_rows
from ..metrics._ranking import gains_of, get_ranking_metric
from ._documents import Documents

HELD_OUT = (
    "Every document must be in the corpus that was fitted. The usual splitters hold documents "
    "out, so cross-validate with cv=QueryKFold()."
)


class Judged(NamedTuple):
    """The judged queries among some rows.

    Attributes
    ----------
    queries : EmbeddingArray of shape (n_judged, n_features)
    relevance : list of dict of length n_judged
        Document id -> gain.
    weights : ndarray of shape (n_judged,) or None
    """

    queries: EmbeddingArray
    relevance: list
    weights: np.ndarray | None

    def mean(self, metric, gains, k):
        """The weighted mean of a metric of `Gains`."""
        return float(np.average(metric(gains, k), weights=self.weights))


def score_queries(retriever, X, y, sample_weight=None, *, modality=None, metric="ndcg@10"):
    """Mean of a ranking metric over the judged queries among some rows.

    Parameters
    ----------
    retriever : fitted retriever
        With `search` and `ids_`.
    X, y, sample_weight, modality : object
        As `judged_queries` takes them.
    metric : str
        As `get_ranking_metric` takes it.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As `judged_queries` does.
    """
    metric, k = get_ranking_metric(metric)
    judged = judged_queries(retriever, X, y, sample_weight, modality=modality)
    ranking = retriever.search(judged.queries, k).ids
    return judged.mean(metric, gains_of(judged.relevance, ranking, k), k)


def judged_queries(retriever, X, y, sample_weight=None, *, modality=None):
    """Check rows that are to be scored, and pick the judged queries among them.

    Document rows are skipped if they are indexed, since a search object passes them on.

    Parameters
    ----------
    retriever : fitted retriever
    X : EmbeddingArray or array of shape (n_rows, n_features)
        Queries, and documents that are skipped.
    y : sequence of length n_rows
        The relevance of queries (None where unknown: left out), the ids of documents.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the queries.
    modality : str or sequence of str of shape (n_rows,), default=None
        The rows' modalities; not needed for an EmbeddingArray.

    Returns
    -------
    Judged

    Raises
    ------
    ValueError
        If no query is judged, a document among the rows or in the relevance is not
        indexed, or indexed without a part that is given, or the weights add up to nothing.
    """
    if y is None:
        raise ValueError("score needs y: the relevance of the queries.")
    checked = check_rows(retriever, X, modality, known=retriever.modalities_)
    tags, n_rows = checked.tags, len(checked.tags)
    y = check_y(y, n_rows)
    rows, documents = np.flatnonzero(tags.is_query), np.flatnonzero(~tags.is_query)
    ids = check_ids(y[documents], documents)
    check_known(ids.tolist(), retriever.ids_, what="y of the document rows", advice=HELD_OUT)
    relevance = check_relevance(y[rows].tolist())
    judged = np.array([answer is not None for answer in relevance], dtype=bool)
    if not judged.any():
        raise ValueError(
            f"There is no judged query among the {n_rows} rows, so nothing to score. Tag the "
            "rows that ask 'query:text' and give their relevance in y; cross-validate with "
            "cv=QueryKFold()."
        )
    if len(documents):
        rows_of = take_rows(checked.values, documents)
        _check_parts(
            retriever,
            Documents.from_rows(rows_of, tags[documents], ids, retriever.fusion_weight),
        )
    rows, relevance = rows[judged], [answer for answer in relevance if answer is not None]
    named = (document for gains in relevance for document in gains)
    check_known(named, retriever.ids_, what="relevance", advice=HELD_OUT)
    weights = None
    if sample_weight is not None:
        weights = np.asarray(sample_weight, dtype=float)
        if weights.shape != (n_rows,):
            raise ValueError(
                f"sample_weight has shape {weights.shape} for {n_rows} rows: give one a row."
            )
        weights = weights[rows]
        if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0):
            raise ValueError(
                "sample_weight must be finite and at least 0 for every judged query, and above 0 "
                "for one."
            )
    return Judged(EmbeddingArray(checked.values, tags)[rows], relevance, weights)


def _check_parts(retriever, given):
    """Raise for a document that was indexed from other rows: a part of it was held out."""
    unlike = retriever._documents.unlike(given).tolist()
    if unlike:
        shown = ", ".join(map(repr, unlike[:5])) + (", ..." if len(unlike) > 5 else "")
        raise ValueError(
            f"{len(unlike)} document{'s were' if len(unlike) > 1 else ' was'} indexed from other "
            f"rows than those given here: {shown}. "
            "The usual splitters hold parts of documents out, so cross-validate with "
            "cv=QueryKFold(); or give the queries alone."
        )

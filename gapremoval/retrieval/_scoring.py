"""Score a fitted retriever on judged queries."""

from typing import NamedTuple

import numpy as np

from .._array_api import as_slice
from .._ranking_metrics import gains_of, get_ranking_metric
from .._relevance import check_ids, check_known, check_relevance, check_y, group_ids
from .._validation import Rows, check_rows
from .._warnings import shown
from ._fusion import SAME_MARK, marks_of
from ._ranking import rank

HELD_OUT = (
    "Every document must be in the corpus that was fitted. The usual splitters hold documents "
    "out, so cross-validate with cv=QueryKFold(). A search that draws rows, such as "
    "HalvingGridSearchCV over n_samples, leaves documents out whatever cv is: use GridSearchCV "
    "or FusionWeightSearchCV."
)


class Judged(NamedTuple):
    """The judged queries among some rows.

    Attributes
    ----------
    queries : Rows
    relevance : list of dict of length n_judged
        Document id -> gain.
    weights : ndarray of shape (n_judged,) or None
    """

    queries: Rows
    relevance: list
    weights: np.ndarray | None

    def mean(self, metric, gains, k):
        """The weighted mean of a metric of `Gains`."""
        return float(np.average(metric(gains, k), weights=self.weights))


def score_queries(retriever, X, y, sample_weight=None, *, modality=None, metric="ndcg@10"):
    """The mean of a ranking metric over the judged queries among the rows.

    Parameters
    ----------
    retriever : fitted MixedModalityRetriever
    X, modality : object
        Rows and their modalities; see `MixedModalityRetriever.score`.
    y, sample_weight : object
        See `judged_queries`.
    metric : str
        See `get_ranking_metric`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        See `judged_queries`.
    """
    metric, k = get_ranking_metric(metric)
    documents = retriever._index.now
    known, origin = documents.modalities, documents.origin
    rows = check_rows(retriever, X, modality, known=known, origin=origin)
    judged = judged_queries(rows, y, sample_weight, lambda ids: documents.ids)
    check_parts(rows, y, documents)
    ranking, _ = documents.column_of("id", rank(documents, judged.queries, k).positions)
    return judged.mean(metric, gains_of(judged.relevance, ranking, k), k)


def judged_queries(rows, y, sample_weight, known):
    """Check the rows that are to be scored, and select the judged queries among them.

    Document rows are ignored if they are indexed: search objects pass them along.

    Parameters
    ----------
    rows : Rows
    y : sequence of length n_rows
        For a query its relevance, None where it is unknown; for a document its id.
    sample_weight : array-like of shape (n_rows,) or None
        Weights of the queries.
    known : callable
        Takes a list of ids and returns an ndarray that holds those of them that are in the corpus,
        and may hold others.

    Returns
    -------
    Judged

    Raises
    ------
    ValueError
        If no query is judged, a document among the rows or in the relevance is not indexed, or
        all weights are 0.
    """
    if y is None:
        raise ValueError("score needs y: the relevance of the queries.")
    is_query, n_rows = rows.tags.is_query, len(rows.tags)
    y, at_queries, at = check_y(y, n_rows), np.flatnonzero(is_query), np.flatnonzero(~is_query)
    ids = check_ids(y[at], at).tolist()
    check_known(ids, known(ids), what="y of the document rows", advice=HELD_OUT)
    relevance = check_relevance(y[at_queries].tolist())
    judged = np.array([answer is not None for answer in relevance], dtype=bool)
    if not judged.any():
        raise ValueError(
            f"There is no judged query among the {n_rows} rows, so nothing to score. Tag query "
            "rows as 'query:text' and give their relevance in y; cross-validate with "
            "cv=QueryKFold()."
        )
    at_queries, relevance = (
        at_queries[judged],
        [answer for answer in relevance if answer is not None],
    )
    named = [document for gains in relevance for document in gains]
    check_known(named, known(named), what="relevance", advice=HELD_OUT)
    weights = None
    if sample_weight is not None:
        weights = np.asarray(sample_weight, dtype=float)
        if weights.shape != (n_rows,):
            raise ValueError(
                f"sample_weight has shape {weights.shape} for {n_rows} rows: give one a row."
            )
        weights = weights[at_queries]
        if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0):
            raise ValueError(
                "sample_weight must be finite and at least 0 for every judged query, and above 0 "
                "for one."
            )
    return Judged(rows[at_queries], relevance, weights)


def check_parts(rows, y, documents):
    """Raise for a document that was indexed with other parts, some of which were held out."""
    at = np.flatnonzero(~rows.tags.is_query)
    if not len(at):
        return
    rows = rows[as_slice(at)]
    ids, document = group_ids(check_ids(check_y(y, len(y))[at], at))
    position = dict(zip(documents.ids.tolist(), documents.positions.tolist()))
    made_of, _ = documents.column_of("made_of", np.array([position[x] for x in ids.tolist()]))
    differs = (np.abs(marks_of(rows, document, len(ids)) - made_of) > SAME_MARK).any(axis=1)
    if unlike := ids[differs].tolist():
        raise ValueError(
            f"{len(unlike)} document{'s were' if len(unlike) > 1 else ' was'} indexed from other "
            f"rows than those given here: {shown(unlike)}. "
            "The usual splitters hold parts of documents out, so cross-validate with "
            "cv=QueryKFold(); or give the queries alone."
        )

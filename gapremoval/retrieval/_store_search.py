"""Search a store: exported vectors in one go, raw rows with a certificate."""

from dataclasses import dataclass

import numpy as np

from .._array_api import take_rows, to_numpy, unit_rows
from .._warnings import warn
from ._ranking import rows_by_modality
from ._raw_search import MOST, N_QUERIES, search_raw
from ._results import SearchResult

# So many documents are asked for, even where fewer are wanted, to estimate probabilities.
FOR_PROBABILITIES = 100


@dataclass(frozen=True, eq=False, repr=False)
class CertifiedResult(SearchResult):
    """A SearchResult from a store of raw rows.

    Attributes
    ----------
    certified : ndarray of bool of shape (n_queries,)
        Whether the documents found are certainly the best of all, if the store's own search is
        exact, its rows have unit length, and no modality came since the fit. Otherwise there may
        be better ones that it was not asked for; the scores of those found are exact.
    n_fetched : ndarray of int of shape (n_queries,)
        The number of rows that the store returned for each query.
    """

    certified: np.ndarray | None = None
    n_fetched: np.ndarray | None = None

    def _facts(self):
        best = "certainly the best" if self.certified[0] else "there may be better ones"
        return [*super()._facts(), f"{best}, of {self.n_fetched[0]} rows that the store returned"]


def search_store(head, rows, k, *, without=None, with_odds=True, **options):
    """The best documents of a store.

    Parameters
    ----------
    head : StoreHead
    rows : Rows
        All queries.
    k : int
    without : list of ids, default=None
        A document that each query does not find.
    with_odds : bool, default=True
        Whether probabilities are estimated.
    **options : object
        ``modality``, ``among`` and ``filter``, as for `Store.search`.

    Returns
    -------
    SearchResult
        A CertifiedResult from raw rows.
    """
    if not head.counts:
        raise ValueError("The store is empty: add documents with partial_fit.")
    n_queries, calibration = len(rows.tags), head.calibration
    # Raw rows may have come since they were counted.
    k = min(k, max(sum(head.counts.values()), MOST if head.layout is None else 1))
    found = _Found.empty(n_queries, k)
    certified, n_fetched = np.ones(n_queries, dtype=bool), np.zeros(n_queries, dtype=int)
    groups = rows_by_modality(rows)
    if len(zero := groups.pop(None, ())):
        warn(
            f"{len(zero)} quer{'ies have' if len(zero) > 1 else 'y has'} length zero and so no "
            "direction, and find nothing."
        )
    size = N_QUERIES if head.layout is None else n_queries
    blocks = (
        (name, of_name[start : start + size])
        for name, of_name in groups.items()
        for start in range(0, len(of_name), size)
    )
    for name, at in blocks:
        unit = unit_rows(to_numpy(take_rows(rows.values, at)).astype(float))[0]
        own = None if without is None else [without[i] for i in at]
        if head.layout is None:
            some, certified[at], n_fetched[at] = search_raw(
                head, unit, name, k, without=own, **options
            )
        else:
            some = _search_exported(head, unit, name, k, own, with_odds, options)
        found.put(at, some)
    ids, is_there = found.ids, found.scores > -np.inf
    n_found = int(is_there.sum(axis=1).max(initial=0))
    if is_there[:, :n_found].all() and all(type(x) is int for x in ids[:, :n_found].flat):
        ids = ids[:, :n_found].astype(np.int64)
    scores = np.where(is_there, found.scores, np.nan)[:, :n_found]
    if calibration is None:
        scores = scores.clip(-1, 1)
    has_odds = with_odds and hasattr(calibration, "slope_")
    odds = found.probabilities[:, :n_found] if has_odds else None
    arrays = ids[:, :n_found], scores, found.modalities[:, :n_found].astype(np.str_), odds
    if head.layout is not None:
        return SearchResult(*arrays)
    return CertifiedResult(*arrays, certified=certified, n_fetched=n_fetched)


@dataclass
class _Found:
    """What was found, best first; None, -inf, "" and NaN where there is no more."""

    ids: np.ndarray
    scores: np.ndarray
    modalities: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def empty(cls, n_queries, k):
        blank = (None, object), (-np.inf, float), ("", object), (np.nan, float)
        return cls(*(np.full((n_queries, k), value, dtype) for value, dtype in blank))

    def put(self, at, columns):
        """Put the columns of some queries in their rows."""
        for mine, column in zip(vars(self).values(), columns):
            n = min(mine.shape[1], column.shape[1])
            mine[at, :n] = column[:, :n]


def _search_exported(head, unit, query_modality, k, own, with_odds, options):
    """The columns of a _Found from a store of exported vectors."""
    layout = head.layout
    slope = layout.slope(query_modality) if with_odds else None
    n = (k if slope is None else max(k, FOR_PROBABILITIES)) + (own is not None)
    hits = head.store.search(layout.queries(unit, query_modality), n, **options)
    ids, scores, modalities = hits
    if own is not None:
        is_own = np.array([[x == y for x in row] for row, y in zip(ids.tolist(), own)])
        is_own = is_own.reshape(ids.shape).astype(bool)
        order = np.argsort(is_own, axis=1, kind="stable")
        scores = np.where(is_own, -np.inf, scores)
        ids, scores, modalities = (
            np.take_along_axis(x, order, axis=1) for x in (ids, scores, modalities)
        )
    odds = np.full(scores.shape, np.nan)
    if slope is not None:
        odds = layout.probabilities(scores, query_modality, of_all=not options)
    return ids, scores, modalities, odds

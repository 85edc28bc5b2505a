"""Search raw embeddings in a store that knows nothing of their modality gap, with a certificate.

For a raw row d of unit length, of a modality with center m, and a query q, the corrected cosine is
``(q.d - q.m) / |d - m|``. A store is asked for the largest q.d of each modality. Of a row that it
did not return q.d is at most that of the last one, so its score is bounded; once the k-th best
score of those returned reaches this bound, they are the k best of all.
"""

from typing import NamedTuple

import numpy as np

from .._array_api import unit_rows
from .._warnings import warn
from ..score_calibration import PosteriorOdds
from ._query_banks import teaching_scores
from ._store_documents import UNIT, as_snapshot, raw_documents

# Inner products may differ by the lengths of the rows, and by rounding.
SLACK = UNIT + 1e-5

# Rows of each modality that are asked for at first, in multiples of k, the factor by which more
# are asked for, and the largest number.
FIRST, GROWTH, MOST = 2, 2, 4096

# Queries that are asked together.
N_QUERIES = 64


class Terms(NamedTuple):
    """The linear form of the scores of one modality: ``scale * (cosine of q - center) + offset``.

    Attributes
    ----------
    center : ndarray of shape (n_features,)
        Subtracted from the query.
    low, high : float
        No scale lies outside of these.
    shift : float
        Subtracted from the cosine before it is scaled.
    offset : float
    """

    center: np.ndarray
    low: float
    high: float
    shift: float
    offset: float

    def bound(self, products, distances):
        """The largest score of rows with at most these products ``(q - center).(d - m)``.

        `distances` are the smallest and the largest ``|d - m|``.
        """
        nearest, furthest = distances
        cosines = np.where(products > 0, products / nearest, products / furthest) - self.shift
        return np.where(cosines > 0, self.high, self.low) * cosines + self.offset


def terms_of(head, query_modality, modality):
    """The Terms of the documents of a modality."""
    calibration, n = head.calibration, head.n_features
    if calibration is None:
        return Terms(np.zeros(n), 1.0, 1.0, 0.0, 0.0)
    center = np.zeros(n)
    if calibration.recenter:
        bank = {query_modality: head.learned.banks[0][query_modality]}
        scores = teaching_scores(bank, {})[query_modality]
        center = scores.centered(calibration.prior_count)[1]
    low, high = calibration.scale_range(query_modality, modality)
    shift = calibration.shift_[query_modality][modality]
    offset = calibration._shared_offset(query_modality, modality, head.counts[modality])
    return Terms(center, low, high, shift, float(offset))


def check_raw_calibration(calibration):
    """Raise if the scores of a calibration have no bounds."""
    if not isinstance(calibration, PosteriorOdds | None):
        raise ValueError(
            f"raw=True takes score_calibration=PosteriorOdds() or None, whose scores have bounds; "
            f"got {type(calibration).__name__}."
        )


def search_raw(head, queries, query_modality, k, *, without=None, **options):
    """The best documents for queries of one modality.

    Parameters
    ----------
    head : StoreHead
    queries : ndarray of float64 of shape (n_queries, n_features)
        Corrected, of unit length, at most `N_QUERIES`, since all rows fetched are scored with all.
    query_modality : str
    k : int
    without : sequence of ids, default=None
        A row that each query does not find.
    **options : object
        ``modality``, ``among`` and ``filter`` of `Store.search`.

    Returns
    -------
    found : tuple of ndarray of shape (n_queries, n_found)
        Ids, scores, modalities, and probabilities, given that one of the rows fetched answers:
        None, -inf, "" and 0 where there are fewer.
    certified : ndarray of bool of shape (n_queries,)
    n_fetched : ndarray of int of shape (n_queries,)
    """
    calibration = head.calibration
    if calibration is not None and query_modality not in calibration.query_modalities_:
        raise ValueError(
            f"The score calibration learned nothing about {query_modality!r}; it learned about "
            f"{', '.join(map(repr, calibration.query_modalities_)) or 'nothing yet'}. Add such "
            "queries with partial_fit."
        )
    return _RawSearch(head, queries, query_modality, k, without, options).run()


def warn_of_short_answers(name, n_found, k, n):
    """Warn about a store that returns fewer rows than it has and was asked for."""
    warn(
        f"The store returned {n_found} rows of {name!r} when asked for {k}, and has {n}, so no "
        "answer is certified. An approximate index that filters what it has found does that: let "
        "it look further (in pgvector, set hnsw.iterative_scan = strict_order)."
    )


class _RawSearch:
    """Some queries: the rows that were fetched, and bounds of the scores of others."""

    def __init__(self, head, queries, query_modality, k, without, options):
        self.store, self.head = head.store, head
        self.centers = {name: np.asarray(x, dtype=float) for name, x in head.centers.items()}
        self.queries, self.query_modality, self.k = queries, query_modality, k
        self.without = without
        self.options = {name: x for name, x in options.items() if name != "modality"}
        self.names = options.get("modality") or [*head.counts]
        if head.calibration is not None:  # others have rows without a direction only
            known = head.calibration.document_modalities_
            self.names = [name for name in self.names if name in known]
        self.terms = {name: terms_of(head, query_modality, name) for name in self.names}
        self.place, self.modality = {}, []  # of the rows that were fetched, by id
        self.scores = np.empty((len(queries), 0))
        self.bounds = np.full((len(queries), len(self.names)), np.inf)
        self.n_fetched = np.zeros((len(queries), len(self.names)), dtype=int)
        self.is_complete = True  # as far as the store's answers tell

    def run(self):
        """Ask for more rows of each modality until the best are certain; see `search_raw`."""
        k = FIRST * self.k
        while len(waiting := np.flatnonzero(~self._is_certain())):
            for number in range(len(self.names)):
                self._ask(number, waiting[self.bounds[waiting, number] > -np.inf], k)
            if k >= MOST:
                break
            k = min(GROWTH * k, MOST)
        n_found = min(self.k, len(self.place))
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :n_found]
        ids = np.fromiter(self.place, dtype=object, count=len(self.place))
        scores = np.take_along_axis(self.scores, order, axis=1)
        modalities = np.array(self.modality, dtype=np.str_)[order]
        is_there, ids = scores > -np.inf, ids[order]
        ids[~is_there], modalities[~is_there] = None, ""
        odds = np.full(scores.shape, np.nan)
        if self.head.calibration is not None and n_found:
            slope = self.head.calibration.slope_[self.query_modality]
            total = np.logaddexp.reduce(slope * self.scores, axis=1, keepdims=True)
            odds = np.exp(slope * scores - total)
        certified, n_fetched = self._is_certain() & self.is_complete, self.n_fetched.sum(axis=1)
        return (ids, scores, modalities, odds), certified, n_fetched

    def _is_certain(self):
        """Whether no other row can have a better score than the k-th best."""
        kth = np.full(len(self.queries), -np.inf)
        if self.scores.shape[1] >= self.k:
            kth = -np.partition(-self.scores, self.k - 1, axis=1)[:, self.k - 1]
        return (self.bounds <= kth[:, None]).all(axis=1)

    def _ask(self, number, at, k):
        """Ask for the best `k` rows of a modality, and bound the scores of the others."""
        if not len(at):
            return
        name = self.names[number]
        terms, center = self.terms[name], self.centers[name]
        asked = self.queries[at] - terms.center
        # The center finds the row that is nearest to it, and its opposite the furthest. All are
        # asked at unit length, since a store may compare by cosine.
        vectors, lengths = unit_rows(np.concatenate([asked, [center, -center]]))
        hits = self.store.search(vectors.astype(np.float32), k, modality=[name], **self.options)
        is_there = hits.products > -np.inf
        self.n_fetched[at, number] = is_there[:-2].sum(axis=1)
        is_short = (hits.products.shape[1] < k) | ~is_there[:-2].all(axis=1)
        n_found = is_there[:-2].sum(axis=1).min()
        if is_short.any() and not self.options and n_found < (n := self.store.count().get(name, 0)):
            warn_of_short_answers(name, int(n_found), k, n)
            self.is_complete = False
        if not is_there.any():
            self.bounds[at, number] = -np.inf
            return
        self._fetch(name, hits.ids[:-2][is_there[:-2]].tolist())
        near, far = lengths[-2] * hits.products[-2, 0], -lengths[-1] * hits.products[-1, 0]
        squares = 1 + center @ center - 2 * np.array([near + SLACK, far - SLACK])
        last = lengths[:-2] * hits.products[:-2, -1] + SLACK - asked @ center
        bounds = terms.bound(last, np.sqrt(np.maximum(squares, 1e-12))) + SLACK
        self.bounds[at, number] = np.where(is_short, -np.inf, bounds)

    def _fetch(self, name, ids):
        """Fetch rows that are not here yet, and score them exactly with all queries."""
        new = [x for x in dict.fromkeys(ids) if x not in self.place]
        if not new:
            return
        rows = self.store.fetch(new)
        vectors = raw_documents(rows, self.centers)
        scores = self.queries @ vectors.T
        if self.head.calibration is not None:
            segment = as_snapshot(self.head.learned, rows, vectors.astype(np.float32)).directed[
                name
            ]
            statistics = segment.columns[self.query_modality]
            at = {x: i for i, x in enumerate(segment.columns["id"].tolist())}
            statistics = statistics[[at[x] for x in new]]
            calibration = self.head.calibration
            scale, own = calibration._score_map(self.query_modality, name, statistics)
            scores = scale * scores + own + self.terms[name].offset
        scores[:, ~vectors.any(axis=1)] = -np.inf
        if self.without is not None:
            for query, own in enumerate(self.without):
                scores[query, [x == own for x in new]] = -np.inf
        self.place |= dict.fromkeys(new)
        self.modality += [name] * len(new)
        self.scores = np.concatenate([self.scores, scores], axis=1)

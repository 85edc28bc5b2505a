"""Query banks: the example rows from which a score calibration learns, kept with the index."""

from dataclasses import dataclass

import numpy as np

from .._array_api import take_rows, to_double, to_numpy, unit_rows
from .._modality import QUERY, as_query
from .._relevance import check_known, check_relevance
from .._validation import compute_dtype
from ..score_calibration._teaching import TeachingScores
from ._fusion import fuse_rows

# More rows of a kind teach little that is new.
MOST_ROWS = 1024

NOT_THERE = (
    "A score calibration learns from the right documents' scores: give None as the relevance of "
    "a query whose answer is not in the corpus."
)


@dataclass(frozen=True, eq=False)
class QueryBank:
    """Example rows of one query modality: queries, and rows of documents that stand in for them.

    Attributes
    ----------
    queries : ndarray of shape (n_queries, n_features)
        Of unit length.
    answers : list of length n_queries
        For a judged query the ids of its documents with the largest gain, an empty list
        where nothing answers it; None where that is unknown.
    stand_ins : ndarray of shape (n_stand_ins, n_features)
        Of unit length.
    own : ndarray of int of shape (n_stand_ins,)
        The position of the document that each belongs to.
    pairs : dict of str to ndarray of float64 of shape (n_stand_ins,)
        By modality, the scores of stand-ins with what their own document has of it; NaN where
        it has nothing.
    n_seen : int
        How many rows of this modality have come so far, of which these are a sample.
    """

    queries: np.ndarray
    answers: list
    stand_ins: np.ndarray
    own: np.ndarray
    pairs: dict
    n_seen: int

    def __len__(self):
        return len(self.queries) + len(self.stand_ins)


def make_banks(rows, document, y, ids, fusion_weight, names=None):
    """Make a bank of each query modality that some rows belong to or can stand in for.

    Parameters
    ----------
    rows : Rows
        Rows of length zero are left out.
    document : ndarray of int of shape (n_rows,)
        The position of each row's document; -1 for queries.
    y : ndarray of shape (n_rows,) or None
        The relevance of queries.
    ids : ndarray of shape (n_documents,)
        The ids that the relevance may name.
    fusion_weight : float or dict of str to float
        See `MixedModalityRetriever`.
    names : collection of str, default=None
        The query modalities to make banks of; by default all.

    Returns
    -------
    dict of str to QueryBank
        By query modality: those among the rows, and ``query:m`` of each document modality m.

    Raises
    ------
    ValueError
        If the relevance names a document that is not in the corpus, or is malformed.
    """
    values, tags, has_direction = rows.values, rows.tags, to_numpy(rows.lengths) > 0
    queries = np.flatnonzero(tags.is_query)
    relevance = [None] * len(queries) if y is None else y[queries].tolist()
    answers = dict(zip(queries.tolist(), _best_answers(relevance, ids)))
    banks, dtype = {}, compute_dtype(to_numpy(values[:0, ...]))
    known = {as_query(name) for name in tags.counts()}
    for name in sorted(known if names is None else known.intersection(names)):
        queries, stand_ins = (
            np.flatnonzero((tags.codes == tags.names.index(tag)) & has_direction)
            if tag in tags.names
            else np.empty(0, dtype=np.intp)
            for tag in (name, name.removeprefix(QUERY))
        )
        n_seen = len(queries) + len(stand_ins)
        queries = queries[_drawn([answers[row] is None for row in queries.tolist()])]
        stand_ins = stand_ins[_drawn(np.zeros(len(stand_ins)))]
        unit = _unit(values, stand_ins)
        pairs = _pairs(rows, unit, stand_ins, document, fusion_weight)
        banks[name] = QueryBank(
            _unit(values, queries).astype(dtype),
            [answers[row] for row in queries.tolist()],
            unit.astype(dtype),
            document[stand_ins],
            pairs,
            n_seen,
        )
    return banks


def merge_banks(banks, positions):
    """Merge the banks of one query modality that came one after the other.

    Of each kind of rows at most `MOST_ROWS` are kept: judged queries first, then the newest,
    and a sample of older ones.

    Parameters
    ----------
    banks : sequence of QueryBank
        The oldest first.
    positions : ndarray of int or None
        The documents that are in the corpus. Stand-ins of other documents are dropped.

    Returns
    -------
    QueryBank
    """
    n_seen = sum(bank.n_seen for bank in banks)
    answers = [answer for bank in banks for answer in bank.answers]
    own = np.concatenate([bank.own for bank in banks])
    age = np.arange(len(banks))[::-1]
    queries = _drawn(
        [answer is None for answer in answers],
        np.repeat(age, [len(bank.queries) for bank in banks]),
        seed=n_seen,
    )
    live = np.arange(len(own))
    if positions is not None:
        live = np.flatnonzero(np.isin(own, positions))
    stand_ins = live[_drawn(np.repeat(age, [len(bank.own) for bank in banks])[live], seed=n_seen)]
    return QueryBank(
        np.concatenate([bank.queries for bank in banks])[queries],
        [answers[i] for i in queries.tolist()],
        np.concatenate([bank.stand_ins for bank in banks])[stand_ins],
        own[stand_ins],
        {
            name: np.concatenate(
                [bank.pairs.get(name, np.full(len(bank.own), np.nan)) for bank in banks]
            )[stand_ins]
            for name in sorted({name for bank in banks for name in bank.pairs})
        },
        n_seen,
    )


def teaching_scores(banks, documents):
    """The scores of banks with some documents.

    Parameters
    ----------
    banks : dict of str to QueryBank
        By query modality.
    documents : dict of str to tuple
        By modality the positions, the ids and the vectors of documents.

    Returns
    -------
    dict of str to TeachingScores
    """
    vectors = {name: rows for name, (_, _, rows) in documents.items()}
    positions, ids = (
        np.concatenate([np.empty(0, dtype=int), *(columns[i] for columns in documents.values())])
        for i in (0, 1)
    )
    named = {x for bank in banks.values() for answer in bank.answers for x in answer or ()}
    number = {x: i for i, x in enumerate(ids.tolist()) if x in named} if named else {}
    order = np.argsort(positions)
    scores = {}
    for name, bank in banks.items():
        own = np.full(len(bank.own), -1)
        if len(order):
            at = order[np.searchsorted(positions, bank.own, sorter=order).clip(max=len(order) - 1)]
            own = np.where(positions[at] == bank.own, at, -1)
        scores[name] = TeachingScores(
            bank.queries,
            bank.stand_ins,
            vectors,
            positions,
            own,
            [_numbers(answer, number) for answer in bank.answers],
            {m: z[np.isfinite(z)] for m, z in bank.pairs.items()},
        )
    return scores


def _numbers(answer, number):
    """The numbers of the documents that answer a query; None where they are unknown or gone."""
    found = [number[x] for x in answer or () if x in number]
    return None if answer is None or (answer and not found) else np.array(found, dtype=int)


def _best_answers(relevance, ids):
    """The ids with the largest gain of each query, or None where that is unknown."""
    gains = check_relevance(relevance)
    named = (document for answer in gains if answer for document in answer)
    check_known(named, ids, what="relevance", advice=NOT_THERE)
    best = []
    for answer in gains:
        largest = max((answer or {}).values(), default=0)
        ids_of = [x for x, gain in (answer or {}).items() if gain == largest and gain > 0]
        best.append(None if answer is None else ids_of)
    return best


def _drawn(*keys, seed=0):
    """At most `MOST_ROWS` row numbers, ascending: a sample of those with the smallest keys."""
    n_rows = len(keys[0])
    if n_rows <= MOST_ROWS:
        return np.arange(n_rows)
    order = np.random.default_rng(seed).permutation(n_rows)
    best = np.lexsort([np.asarray(key)[order] for key in reversed(keys)])
    return np.sort(order[best[:MOST_ROWS]])


def _unit(values, at):
    """Some rows at unit length: an ndarray of float64."""
    return to_numpy(unit_rows(to_double(take_rows(values, at), values))[0])


def _pairs(rows, unit, stand_ins, document, fusion_weight):
    """By modality, the scores of stand-ins with the other parts of their own documents."""
    tags, own = rows.tags, document[stand_ins]
    siblings = np.flatnonzero(np.isin(document, own))
    pairs = {}
    for name in tags[siblings].counts().keys() - tags[stand_ins].counts().keys():
        at = siblings[tags.codes[siblings] == tags.names.index(name)]
        holders, holder = np.unique(document[at], return_inverse=True)
        parts = take_rows(rows.values, at), tags[at], holder
        vectors, has_direction = fuse_rows(*parts, len(holders), fusion_weight)
        of_own = np.searchsorted(holders, own).clip(max=len(holders) - 1)
        paired = np.flatnonzero((holders[of_own] == own) & has_direction[of_own])
        other = to_numpy(take_rows(vectors, of_own[paired])).astype(float)
        pairs[name] = np.full(len(own), np.nan)
        pairs[name][paired] = np.vecdot(unit[paired], other)
    return pairs

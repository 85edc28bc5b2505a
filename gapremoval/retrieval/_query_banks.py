"""Query banks: the rows that teach a score calibration, kept with the index."""

from dataclasses import dataclass

import numpy as np

from .._array_api import take_rows, to_double, to_numpy, unit_rows
from .._modality import QUERY, as_query
from .._relevance import check_known, check_relevance
from .._validation import compute_dtype
from ..score_calibration import TeachingScores
from ._fusion import fuse_rows

# More rows than this of a kind teach little that is new.
MOST_ROWS = 1024

NOT_THERE = (
    "A score calibration learns from the right documents' scores: give None as the relevance of "
    "a query whose answer is not in the corpus."
)


@dataclass(frozen=True, eq=False)
class QueryBank:
    """What teaches one query modality: queries, and rows of documents that stand in for them.

    Attributes
    ----------
    queries : ndarray of shape (n_queries, n_features)
        Of unit length.
    answers : list of length n_queries
        For a judged query the ids of its documents with the largest gain, an empty list
        where nothing answers it; None where that is not known.
    stand_ins : ndarray of shape (n_stand_ins, n_features)
        Of unit length.
    own : list of length n_stand_ins
        The id of the document that each belongs to.
    pairs : dict of str to ndarray of float64
        By modality, the scores of stand-ins with what their own document holds of it.
    """

    queries: np.ndarray
    answers: list
    stand_ins: np.ndarray
    own: list
    pairs: dict

    def teaching(self, vectors, number, vector_of):
        """The scores of these rows with some documents, as TeachingScores.

        Parameters
        ----------
        vectors : dict of str to array of shape (n, n_features)
            By modality.
        number : ndarray of int
            Of each document.
        vector_of : dict of id to int
            Which vector is that of a document.
        """
        answers = [
            None if ids is None else np.array([vector_of[x] for x in ids if x in vector_of], int)
            for ids in self.answers
        ]
        own = np.array([vector_of.get(x, -1) for x in self.own], dtype=int)
        return TeachingScores(
            self.queries, self.stand_ins, vectors, number, own, answers, self.pairs
        )


def make_banks(rows, document, y, ids, fusion_weight, names=None):
    """A bank for each modality that asks or could ask.

    Parameters
    ----------
    rows : Rows
        Those that were fitted. Rows of length zero teach nothing.
    document : ndarray of int of shape (n_rows,)
        The number of each row's document; -1 for queries.
    y : ndarray of shape (n_rows,) or None
        The relevance of queries.
    ids : ndarray of shape (n_documents,)
        Those of the documents.
    fusion_weight : float or dict of str to float
        As it was made.
    names : collection of str, default=None
        The query modalities to make banks for; by default all.

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
    asks = np.flatnonzero(tags.is_query)
    relevance = [None] * len(asks) if y is None else y[asks].tolist()
    answers = dict(zip(asks.tolist(), _best_answers(relevance, ids)))
    banks = {}
    taught = {as_query(name) for name in tags.counts()}
    for name in sorted(taught if names is None else taught.intersection(names)):
        queries = _drawn(_rows_of(name, tags, has_direction), answers)
        stand_ins = _drawn(_rows_of(name.removeprefix(QUERY), tags, has_direction))
        own = document[stand_ins]
        banks[name] = QueryBank(
            _unit(values, queries),
            [answers.get(row) for row in queries.tolist()],
            _unit(values, stand_ins),
            ids[own].tolist(),
            _pairs(values, stand_ins, tags, document, fusion_weight),
        )
    return banks


def teaching_scores(banks, documents):
    """The scores of all banks with some documents: a dict of TeachingScores."""
    vectors = {name: rows for name, (_, rows) in documents.directed.items()}
    numbers = [number for number, _ in documents.directed.values()]
    number = np.concatenate([np.empty(0, dtype=int), *numbers])
    asked = {x for bank in banks.values() for ids in bank.answers if ids for x in ids}
    asked |= {x for bank in banks.values() for x in bank.own}
    vector_of = {x: i for i, x in enumerate(documents.ids[number].tolist()) if x in asked}
    return {name: bank.teaching(vectors, number, vector_of) for name, bank in banks.items()}


def _best_answers(relevance, ids):
    """The ids with the largest gain of each query, or None where that is not known."""
    gains = check_relevance(relevance)
    named = (document for answer in gains if answer for document in answer)
    check_known(named, ids, what="relevance", advice=NOT_THERE)
    best = []
    for answer in gains:
        largest = max((answer or {}).values(), default=0)
        ids_of = [x for x, gain in (answer or {}).items() if gain == largest and gain > 0]
        best.append(None if answer is None else ids_of)
    return best


def _rows_of(name, tags, has_direction):
    """The numbers of the rows of a modality that have a direction."""
    if name not in tags.names:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero((tags.codes == tags.names.index(name)) & has_direction)


def _drawn(rows, answers=None):
    """At most `MOST_ROWS` of some row numbers, in order; judged ones go first."""
    if len(rows) <= MOST_ROWS:
        return rows
    order = np.random.default_rng(0).permutation(len(rows))
    if not answers:
        return np.sort(rows[order[:MOST_ROWS]])
    unjudged = [answers.get(row) is None for row in rows[order].tolist()]
    return np.sort(rows[order[np.argsort(unjudged, kind="stable")[:MOST_ROWS]]])


def _unit(values, rows):
    """Some rows at unit length, on the host, in the precision in which they are searched."""
    unit, _ = unit_rows(to_double(take_rows(values, rows), values))
    return to_numpy(unit).astype(compute_dtype(to_numpy(values[:0, ...])))


def _pairs(values, stand_ins, tags, document, fusion_weight):
    """Scores of stand-ins with the other modalities of their own documents, by modality."""
    own, at = np.unique(document[stand_ins], return_inverse=True)
    place = np.full(document.max(initial=-1) + 2, -1)  # the last is for queries
    place[own] = np.arange(len(own))
    asks = set(tags[stand_ins].counts())
    beside_them = np.flatnonzero(place[document] >= 0)
    pairs = {}
    for name in tags[beside_them].counts().keys() - asks:
        rows = beside_them[tags.codes[beside_them] == tags.names.index(name)]
        holders, holder = np.unique(place[document[rows]], return_inverse=True)
        vectors, has_direction = fuse_rows(
            take_rows(values, rows), tags[rows], holder, len(holders), fusion_weight
        )
        with_it = np.full(len(own), -1)
        with_it[holders[has_direction]] = np.flatnonzero(has_direction)
        asking = np.flatnonzero(with_it[at] >= 0)
        mine, _ = unit_rows(to_double(take_rows(values, stand_ins[asking]), values))
        other = to_numpy(take_rows(vectors, with_it[at[asking]])).astype(float)
        pairs[name] = np.vecdot(to_numpy(mine), other)
    return pairs

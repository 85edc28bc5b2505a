"""Query banks: the example rows from which a score calibration learns, kept with the index."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._array_api import row_blocks, take_rows, to_double, to_numpy, unit_rows
from .._modality import as_query
from .._relevance import check_known, check_relevance
from .._repetitions import group_rows, question_weights
from .._validation import compute_dtype
from ..score_calibration._shrinkage import query_centers
from ..score_calibration._teaching import TeachingScores
from ._fusion import fuse_rows

# More queries, or more fallback queries, teach little that is new.
MOST_ROWS = 1024

# Weight of the fallback queries in the center of the queries.
PSEUDO_QUERIES = 16.0

NOT_THERE = "Add these documents first, or give None as the relevance of such a query."
HELD_OUT = (
    f"{NOT_THERE} Cross-validation must keep every document: use cv=QueryKFold(), and no search "
    "that draws rows, such as HalvingGridSearchCV over n_samples."
)


@dataclass(frozen=True, eq=False)
class QueryBank:
    """Example rows of one query modality: queries, and fallback queries (parts of documents).

    A question that was asked several times is one query, with all documents that were judged
    right for it.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Of unit length; the queries come first.
    own : ndarray of int of shape (n_rows,)
        The position of the document that a fallback query is a part of; -1 for queries.
    known : ndarray of object of shape (n_rows,)
        For a judged query the list of its documents with the largest gain, empty where nothing
        answers it; for an unjudged one None. For a fallback query a dict: by modality, its score
        with the other parts of its own document.
    """

    rows: np.ndarray
    own: np.ndarray
    known: np.ndarray

    @property
    def n_queries(self):
        """The number of queries."""
        return int(np.count_nonzero(self.own < 0))

    @cached_property
    def weights(self):
        """Weights of the queries, under which repetitions count once: ndarray of float64."""
        queries, fallback = np.split(self.rows, [self.n_queries])
        is_judged = np.array([x is not None for x in self.known[: len(queries)]], dtype=bool)
        # If the removed means came from elsewhere, all queries have something in common.
        rough = question_weights(queries, np.zeros(queries.shape[1]), is_judged)
        center, _ = query_centers(queries, rough, fallback, PSEUDO_QUERIES)
        return question_weights(queries, center, is_judged)

    def take(self, at):
        """The rows with some numbers."""
        return QueryBank(self.rows[at], self.own[at], self.known[at])


def make_banks(rows, document, y, ids, names=None):
    """Make a bank of each query modality that some rows are queries or fallback queries of.

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
    values, tags = rows.values, rows.tags
    has_direction, queries = to_numpy(rows.lengths) > 0, np.flatnonzero(tags.is_query)
    known = np.full(len(tags), None)
    if y is not None:
        advice = NOT_THERE if len(queries) == len(tags) else HELD_OUT
        known[queries] = _best_answers(y[queries].tolist(), ids, advice)
    banks, dtype = {}, compute_dtype(to_numpy(values[:0, ...]))
    for name in sorted({as_query(tag) for tag in tags.counts()}):
        if names is not None and name not in names:
            continue
        belongs = np.array([as_query(tag) == name for tag in tags.names])[tags.codes]
        at = np.flatnonzero(belongs & has_direction)
        asked, parts = at[document[at] < 0], at[document[at] >= 0]
        parts = parts[_newest(np.zeros(len(parts)), seed=0)]
        rows_of_parts = unit_on_host(values, parts, float)
        bank = QueryBank(
            np.concatenate([unit_on_host(values, asked, dtype), rows_of_parts.astype(dtype)]),
            np.concatenate([document[asked], document[parts]]),
            np.concatenate([known[asked], _pairs(rows, rows_of_parts, parts, document)]),
        )
        banks[name] = _held(bank, np.zeros(len(bank.own)))
    return banks


def merge_banks(banks, positions=None):
    """Merge the banks of one query modality that came one after the other.

    At most `MOST_ROWS` queries and as many fallback queries are kept: judged queries first, then
    the newest rows, and a sample of older ones. A question that comes again is as new as its
    repetition.

    Parameters
    ----------
    banks : sequence of QueryBank
        The oldest first.
    positions : ndarray of int, default=None
        The documents that are in the corpus. Fallback queries of other documents are dropped.

    Returns
    -------
    QueryBank
    """
    columns = ("rows", "own", "known")
    merged = QueryBank(*(np.concatenate([getattr(x, column) for x in banks]) for column in columns))
    age = np.repeat(np.arange(len(banks))[::-1], [len(bank.own) for bank in banks])
    at = np.argsort(merged.own >= 0, kind="stable")  # the queries first
    if positions is not None:
        at = at[(merged.own[at] < 0) | np.isin(merged.own[at], positions)]
    return _held(merged.take(at), age[at])


def unit_on_host(values, at, dtype):
    """The rows with some numbers at unit length, on the host, in a dtype."""
    unit = np.empty((len(at), values.shape[1]), dtype=dtype)
    for block in row_blocks(unit):
        unit[block] = to_numpy(unit_rows(to_double(take_rows(values, at[block]), values))[0])
    return unit


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
    order, scores = np.argsort(positions), {}
    for name, bank in banks.items():
        answers, scores_of_pairs = np.split(bank.known, [bank.n_queries])
        there, own = np.isin(bank.own, positions), np.full(len(bank.own), -1)
        own[there] = order[np.searchsorted(positions, bank.own[there], sorter=order)]
        pairs = {}
        for of_row in scores_of_pairs:
            for modality, score in of_row.items():
                pairs.setdefault(modality, []).append(score)
        scores[name] = TeachingScores(
            bank.rows,
            bank.n_queries,
            vectors,
            positions,
            own,
            _numbers(answers, ids),
            {modality: np.array(z) for modality, z in pairs.items()},
            bank.weights,
            name,
        )
    return scores


def _numbers(answers, ids):
    """The numbers of the documents that answer each query; None where they are unknown or gone."""
    named = {x for answer in answers for x in answer or ()}
    number = {x: i for i, x in enumerate(ids.tolist()) if x in named} if named else {}
    numbers = []
    for answer in answers:
        found = [number[x] for x in answer or () if x in number]
        is_unknown = answer is None or (answer and not found)
        numbers.append(None if is_unknown else np.array(found, dtype=int))
    return numbers


def _best_answers(relevance, ids, advice):
    """The ids with the largest gain of each query, or None where that is unknown."""
    gains = check_relevance(relevance)
    named = (document for answer in gains if answer for document in answer)
    check_known(named, ids, what="relevance", advice=advice)
    best = np.full(len(gains), None)
    for i, answer in enumerate(gains):
        if answer is not None:
            largest = max(answer.values(), default=0)
            best[i] = [x for x, gain in answer.items() if gain == largest and gain > 0]
    return best


def _held(bank, age):
    """The rows of a bank that are kept, each question once, in their order."""
    n = bank.n_queries
    questions, answers = _questions(bank.rows[:n], bank.known[:n], age[:n])
    # Another seed at every merging, or the same places would be lost again and again.
    parts = n + _newest(age[n:], seed=int(bank.own.max(initial=0)))
    held = bank.take(np.concatenate([questions, parts]))
    held.known[: len(questions)] = answers
    return held


def _questions(rows, known, age):
    """The first rows of the questions that are kept, ascending, and what is known of each."""
    if not len(rows):
        return np.arange(0), known
    first, group, lot = group_rows(rows)
    newest, answers = np.full(len(first), np.inf), {}
    np.minimum.at(newest, group, age)
    for question, answer in zip(group.tolist(), known):
        if answer is not None:
            answers.setdefault(question, {}).update(dict.fromkeys(answer))
    total = np.full(len(first), None)
    for question, documents in answers.items():
        total[question] = [*documents]
    is_unjudged = [answer is None for answer in total]
    kept = np.sort(np.lexsort((lot, newest, is_unjudged))[:MOST_ROWS])
    return first[kept], total[kept]


def _newest(age, seed):
    """The numbers of at most `MOST_ROWS` rows, the newest and a sample of older ones, ascending."""
    if len(age) <= MOST_ROWS:
        return np.arange(len(age))
    at = np.random.default_rng(seed).permutation(len(age))
    return np.sort(at[np.argsort(age[at], kind="stable")[:MOST_ROWS]])


def _pairs(rows, unit, fallback, document):
    """For each fallback query its scores with the other parts of its own document, by modality."""
    tags, own = rows.tags, document[fallback]
    siblings = np.flatnonzero(np.isin(document, own))
    pairs = np.array([{} for _ in own], dtype=object)
    for name in sorted(tags[siblings].counts().keys() - tags[fallback].counts().keys()):
        at = siblings[tags.codes[siblings] == tags.names.index(name)]
        holders, holder = np.unique(document[at], return_inverse=True)
        parts = take_rows(rows.values, at), tags[at], holder
        vectors, has_direction = fuse_rows(*parts, len(holders))
        of_own = np.searchsorted(holders, own).clip(max=len(holders) - 1)
        paired = np.flatnonzero((holders[of_own] == own) & has_direction[of_own])
        other = to_numpy(take_rows(vectors, of_own[paired])).astype(float)
        for i, score in zip(paired.tolist(), np.vecdot(unit[paired], other).tolist()):
            pairs[i][name] = score
    return pairs

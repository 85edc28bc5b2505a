"""Query banks: the example rows from which a score calibration learns, kept with the index."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from .._array_api import row_blocks, take_rows, to_double, to_numpy, unit_rows
from .._modality import as_query
from .._relevance import check_known, check_relevance, is_unanswered
from .._repetitions import group_rows, question_weights
from .._validation import compute_dtype
from ..score_calibration._shrinkage import query_centers
from ..score_calibration._teaching import TeachingScores
from ._fusion import fuse_rows

# More queries, or more fallback queries, teach little that is new.
MOST_ROWS = 1024

# Weight of the fallback queries in the center of the queries.
PSEUDO_QUERIES = 16.0

NOT_THERE = (
    "A score calibration learns from the right documents' scores: add these documents first, or "
    "give None as the relevance of such a query."
)
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
    ids : ndarray of object of shape (n_rows,)
        The id of that document, under which it may come again; None for queries.
    known : ndarray of object of shape (n_rows,)
        For a judged query the list of its documents with the largest gain, empty where nothing
        answers it; for an unjudged one None. For a fallback query a dict: by modality, its score
        with the other parts of its own document.
    """

    rows: np.ndarray
    own: np.ndarray
    ids: np.ndarray
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
        return QueryBank(*(getattr(self, column.name)[at] for column in fields(self)))


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
        The ids that the relevance may name, at last those of the rows' documents.
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
    end = document.max(initial=-1) + 1
    banks, dtype = {}, compute_dtype(to_numpy(values[:0, ...]))
    for name in sorted({as_query(tag) for tag in tags.counts()}):
        if names is not None and name not in names:
            continue
        belongs = np.array([as_query(tag) == name for tag in tags.names])[tags.codes]
        at = np.flatnonzero(belongs & has_direction)
        asked, parts = at[document[at] < 0], at[document[at] >= 0]
        parts = np.sort(np.random.default_rng(0).permutation(parts)[:MOST_ROWS])
        rows_of_parts = unit_on_host(values, parts, float)
        bank = QueryBank(
            np.concatenate([unit_on_host(values, asked, dtype), rows_of_parts.astype(dtype)]),
            np.concatenate([document[asked], document[parts]]),
            np.concatenate([np.full(len(asked), None), ids[document[parts] - end]]),
            np.concatenate([known[asked], _pairs(rows, rows_of_parts, parts, document)]),
        )
        banks[name] = _held(bank, np.zeros(len(bank.own)))
    return banks


def merge_banks(banks, documents):
    """Merge the banks of one query modality that came one after the other.

    At most `MOST_ROWS` queries are kept: judged ones first, then the newest, and a sample of
    older ones. A question that comes again is as new as its repetition. Of the fallback queries
    of documents in the corpus as many are kept, a sample that stays as others come and go.

    Parameters
    ----------
    banks : sequence of QueryBank
        The oldest first.
    documents : Snapshot
        The whole corpus. Fallback queries of documents that are gone are dropped.

    Returns
    -------
    QueryBank
    """
    columns = ([getattr(x, column.name) for x in banks] for column in fields(QueryBank))
    merged = QueryBank(*map(np.concatenate, columns))
    age = np.repeat(np.arange(len(banks))[::-1], [len(bank.own) for bank in banks])
    at = np.argsort(merged.own >= 0, kind="stable")  # the queries first
    at = at[(merged.own[at] < 0) | documents.holds(merged.own[at])]
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
    scores = {}
    for name, bank in banks.items():
        answers, scores_of_pairs = np.split(bank.known, [bank.n_queries])
        named = {*bank.ids.tolist(), *(x for answer in answers for x in answer or ())}
        number = {x: i for i, x in enumerate(ids.tolist()) if x in named}
        # By ids, or a document that comes again would meet its own row as one of a stranger.
        own = np.array([number.get(x, -1) for x in bank.ids], dtype=int)
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
            _numbers(answers, number),
            {modality: np.array(z) for modality, z in pairs.items()},
            bank.weights,
            name,
        )
    return scores


def _numbers(answers, number):
    """The numbers of the documents that answer each query; None where they are unknown or gone."""
    numbers = []
    for answer in answers:
        found = [number[x] for x in answer or () if x in number]
        is_unknown = answer is None or (answer and not found)
        numbers.append(None if is_unknown else np.array(found, dtype=int))
    return numbers


def _best_answers(relevance, ids, advice):
    """The ids with the largest gain of each query, or None where that is unknown.

    What was shown without being relevant (gains of 0) does not say that nothing answers.
    """
    gains = check_relevance(relevance)
    named = (document for answer in gains if answer for document in answer)
    check_known(named, ids, what="relevance", advice=advice)
    best = np.full(len(gains), None)
    for i, (answer, given) in enumerate(zip(gains, relevance)):
        if is_unanswered(given):
            best[i] = []
        elif answer is not None and (largest := max(answer.values())) > 0:
            best[i] = [x for x, gain in answer.items() if gain == largest]
    return best


def _held(bank, age):
    """The rows of a bank that are kept, each question once, in their order."""
    n = bank.n_queries
    questions, answers = _questions(bank.rows[:n], bank.known[:n], age[:n])
    parts = n + np.sort(np.argsort(scattered(bank.own[n:]), kind="stable")[:MOST_ROWS])
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


def scattered(positions):
    """Numbers that order documents pseudorandomly, and never change as others come and go."""
    return positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)


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

"""What a report is made from: documents, queries, a sample of both, and stand-in queries."""

from dataclasses import dataclass, field, replace

import numpy as np

from .._array_api import to_numpy
from .._embeddings import EmbeddingArray
from .._items import Query, is_item, listed_items
from .._relevance import (
    check_ids,
    check_known,
    check_relevance,
    check_y,
    modality_by_id,
    relevant_ids,
)
from .._validation import HOW_TO_SAMPLE, HOW_TO_TAG, checked_lengths, is_lazy_rows, read_modality
from ..contents._show_item import check_contents

MOST_QUERIES = 300  # that are searched with
MOST_ANSWERS = 10  # of a query, that stay in a sample
MOST_STAND_INS = 200
FEWEST_STAND_INS = 10


@dataclass(frozen=True)
class ReportData:
    """Documents and queries of a report.

    Attributes
    ----------
    documents : EmbeddingArray of shape (n_rows, n_features)
    ids : ndarray of shape (n_rows,)
        The document of each row.
    queries : EmbeddingArray of shape (n_queries, n_features)
    relevance : list of (dict of id to gain, or None)
    contents : dict of id to item or items
    questions : list of item, or None
        The raw item of each query.
    numbers : ndarray of int of shape (n_queries,)
        The number of each query among those that were given.
    stand_ins : str
        What the queries are, where the user gave none.
    """

    documents: EmbeddingArray
    ids: np.ndarray
    queries: EmbeddingArray
    relevance: list
    contents: dict = field(default_factory=dict)
    questions: list | None = None
    numbers: np.ndarray = None
    stand_ins: str = ""

    @property
    def judged(self):
        """The numbers of the queries whose relevance is known and not empty."""
        return np.flatnonzero([bool(relevant_ids(gains)) for gains in self.relevance])

    @property
    def document_modality(self):
        """The modality of each document by id, its parts' modalities joined by ``+``."""
        return modality_by_id(self.ids.tolist(), self.documents.modality.tolist())

    def with_queries(self, at):
        """The same documents, with some of the queries."""
        questions = self.questions and [self.questions[i] for i in at]
        some = {"relevance": [self.relevance[i] for i in at], "questions": questions}
        return replace(self, queries=self.queries[at], numbers=self.numbers[at], **some)

    def with_documents(self, mask):
        """The same queries, with some of the rows of documents."""
        return replace(self, documents=self.documents[mask], ids=self.ids[mask])

    def rows(self):
        """The rows and the target of a fit, without relevance."""
        X = EmbeddingArray.concatenate([self.documents, self.queries])
        return X, [*self.ids.tolist(), *[None] * len(self.queries)]


def read_data(X, y, modality, contents, questions, encoder):
    """Validate what a report is given.

    Parameters and errors are those of `GapReport`.

    Returns
    -------
    ReportData
    """
    if encoder is not None:
        X, contents, questions = _encoded(X, y, modality, contents, questions, encoder)
    elif isinstance(X, list | tuple) and len(X) and is_item(X[0]):
        raise ValueError(
            "X holds raw items: give encoder=, such as encoder=CLIPEncoder(), or their embeddings."
        )
    if is_lazy_rows(X):
        raise TypeError(f"A report takes rows in memory. {HOW_TO_SAMPLE}")
    contents = check_contents({} if contents is None else contents)
    tags = read_modality(X, modality)
    if tags is None:
        raise ValueError(f"The modality of the rows is not known. {HOW_TO_TAG}")
    X = EmbeddingArray(X, tags)
    X = EmbeddingArray(to_numpy(X.values), X._tags)
    checked_lengths(X.values)
    is_query = X._tags.is_query
    if is_query.all():
        raise ValueError(
            "There is no document among the rows: a report needs the documents that are searched, "
            "tagged 'text', 'image' or the like, and not only queries."
        )
    y = np.where(is_query, None, np.arange(len(X))) if y is None else y
    y = check_y(y, len(X))
    at, asked = np.flatnonzero(~is_query), np.flatnonzero(is_query)
    ids = check_ids(y[at], at)
    relevance = check_relevance(y[asked].tolist())
    check_known((x for gains in relevance for x in gains or ()), ids, what="relevance in y")
    if questions is not None:
        questions = list(questions)
        if len(questions) != len(asked):
            raise ValueError(
                f"There are {len(questions)} questions and {len(asked)} query rows: give the raw "
                "item of each query row, in their order."
            )
    numbers = np.arange(len(asked))
    return ReportData(X[at], ids, X[asked], relevance, contents, questions, numbers)


def _encoded(items, y, modality, contents, questions, encoder):
    """The rows of raw items; the contents of documents and the questions among them."""
    if modality is not None or contents is not None or questions is not None:
        raise ValueError(
            "With encoder=, the modality, the contents and the questions are those of the items: "
            "leave out modality=, contents= and questions=."
        )
    items = items.tolist() if hasattr(items, "tolist") else list(items)
    ids = range(len(items)) if y is None else check_y(y, len(items)).tolist()
    contents, questions = {}, []
    for item, id_ in zip(items, ids):
        if isinstance(item, Query):
            questions.append(item)
        else:
            contents.setdefault(id_, []).append(item)
    return encoder.fit(items).transform(items), contents, questions


def draw_queries(data, random):
    """Draw some queries, judged ones first, if there are many."""
    asked = np.arange(len(data.queries))
    if len(asked) <= MOST_QUERIES:
        return data
    judged = random.permutation(data.judged)
    others = random.permutation(np.setdiff1d(asked, judged))
    return data.with_queries(np.sort(np.concatenate([judged, others])[:MOST_QUERIES]))


def draw_documents(data, max_rows, random):
    """Draw documents with at most `max_rows` rows, if there are more.

    The best answers of each query stay, and documents keep all of their parts. What answers a
    query in the sample is all that answers it there.

    Parameters
    ----------
    data : ReportData
    max_rows : int or None
    random : numpy.random.Generator

    Returns
    -------
    ReportData
    """
    if max_rows is None or len(data.ids) <= max_rows:
        return data
    ids = data.ids.tolist()
    answers = {x for gains in data.relevance for x in _best(gains, MOST_ANSWERS)}
    lots, chance = {}, iter(random.uniform(size=len(ids)))
    lot = np.array([0.0 if x in answers else lots.setdefault(x, next(chance)) for x in ids])
    # Whole documents: all rows whose lot is among the smallest.
    drawn = data.with_documents(lot < max(np.sort(lot)[max_rows], 1e-12))
    kept = set(drawn.ids.tolist())
    relevance = [gains and {x: gains[x] for x in gains if x in kept} for gains in data.relevance]
    return replace(drawn, relevance=relevance)


def _best(gains, n):
    """The ids of the `n` answers with the largest gains."""
    return sorted(relevant_ids(gains), key=lambda x: -gains[x])[:n]


def with_stand_ins(data, random):
    """Take documents, or parts of documents, as queries where there are none.

    Of documents with several parts, the text asks and what is left answers. Otherwise texts are
    taken from the corpus, and nothing is known of their answers.

    Parameters
    ----------
    data : ReportData
    random : numpy.random.Generator

    Returns
    -------
    ReportData
        Without queries if there are too few documents.
    """
    if len(data.queries):
        return data
    names, ids = data.documents.modality, data.ids.tolist()
    modalities = np.unique(names).tolist()
    asks = "text" if "text" in modalities else modalities[0]
    n_parts = {}
    for id_, name in zip(ids, names.tolist()):
        n_parts.setdefault(id_, {}).setdefault(name, 0)
        n_parts[id_][name] += 1
    paired = [x for x, parts in n_parts.items() if len(parts) > 1 and parts.get(asks) == 1]
    single = [x for x, parts in n_parts.items() if parts == {asks: 1}]
    is_paired = len(paired) // 2 >= FEWEST_STAND_INS
    pool = paired if is_paired else single
    # Half of a small pool, so that there is something to ask with, and a quarter of a large one.
    most = len(pool) // 2 if is_paired else max(len(pool) // 4, min(len(pool) // 2, 20))
    n = min(MOST_STAND_INS, most)
    if n < FEWEST_STAND_INS:
        return data
    chosen = {pool[i] for i in random.choice(len(pool), n, replace=False)}
    is_asked = np.array([x in chosen for x in ids]) & (names == asks)
    asked = np.flatnonzero(is_asked)
    relevance = [{ids[i]: 1.0} if is_paired else None for i in asked]
    if is_paired:
        said = (
            f"No queries were given. The {asks} part of {n} documents was therefore taken out and "
            "used as a query, which the rest of its document answers. Real queries tell more."
        )
    else:
        said = (
            f"No queries were given. {n} {asks} documents were therefore taken out and used as "
            "queries; what answers them is not known. Real queries with answers tell more."
        )
    questions = None
    if data.contents:
        questions = [_part_of(data.contents.get(ids[i]), asks) for i in asked]
        if any(x is None for x in questions):
            questions = None
    queries = EmbeddingArray(data.documents.values[asked], f"query:{asks}")
    data = data.with_documents(~is_asked)
    some = {"relevance": relevance, "questions": questions, "numbers": np.arange(len(asked))}
    return replace(data, queries=queries, stand_ins=said, **some)


def _part_of(items, modality):
    """The item of a modality among the items of a document."""
    items = [] if items is None else listed_items(items)
    is_text = modality == "text"
    return next((x for x in items if isinstance(x, str) == is_text), None)

"""Corpus: documents with judged queries, on which pipelines are compared."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .._embeddings import EmbeddingArray
from .._items import contents_of, item_modality
from .._modality import is_query
from .._relevance import (
    check_ids,
    check_relevance,
    check_y,
    modality_by_id,
    modality_of_answers,
    relevant_ids,
)
from .._validation import read_modality
from .._warnings import shown


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """Documents, and queries whose answers are known.

    It unpacks to the rows and the target of a fit: ``X, y = corpus``. `compare` fits on the
    documents and the queries in `teaching`, without their relevance, and scores the `queries`.
    ``dataclasses.replace(corpus, teaching=...)`` makes a variant.

    Parameters
    ----------
    documents : EmbeddingArray of shape (n_rows, n_features) or list of items
        The parts of the documents, one a row.
    ids : sequence of length n_rows
        The id of the document of each row.
    queries : EmbeddingArray of shape (n_queries, n_features) or list of Query
        The queries that are scored.
    relevance : sequence of length n_queries
        The relevance of each query: an id, a collection of ids or a dict id -> gain.
    teaching : EmbeddingArray or list of Query, default=None
        The queries that pipelines are fitted with. By default `queries`, unjudged. An empty
        one leaves them out. Give plain ones where `queries` are combined, which no fit takes.
    teaching_relevance : sequence, default=None
        The relevance of each query in `teaching`; None where it is unknown, as by default.
    calibration : tuple of (X, y), default=None
        The rows and ids that the steps before the retriever are fitted on. By default those of
        the documents, and the queries in `teaching`.
    groups : sequence of length n_queries, default=None
        Queries with equal entries are resampled together in intervals, such as several
        questions about one document. By default each query is one group.
    told : bool, default=False
        Whether each query is searched among the documents of its answer's modality only. That
        is the ceiling of methods that make the scores of different modalities comparable.

    Raises
    ------
    ValueError
        If the numbers of rows, ids, queries and relevances do not match, or an answer is not
        among the documents.

    Examples
    --------
    >>> from gapremoval import EmbeddingArray
    >>> from gapremoval.evaluation import Corpus
    >>> documents = EmbeddingArray([[1, 0], [0, 1]], ["text", "image"])
    >>> corpus = Corpus(documents, ["a", "b"], EmbeddingArray([[3, 4]], "query:text"), ["b"])
    >>> corpus
    Corpus(2 documents, 1 query: 1 answered by image)
    >>> X, y = corpus
    >>> X
    EmbeddingArray(3 rows x 2, int64: 1 text, 1 image, 1 query:text)
    >>> y
    ['a', 'b', 'b']
    """

    documents: object
    ids: object
    queries: object
    relevance: object
    teaching: object = None
    teaching_relevance: object = None
    calibration: object = None
    groups: object = None
    told: bool = False

    def __post_init__(self):
        for name in ("documents", "queries", "teaching"):
            object.__setattr__(self, name, _checked_items(getattr(self, name), name))
        pairs = [("ids", self.documents), ("relevance", self.queries), ("groups", self.queries)]
        for name, rows in [*pairs, ("teaching_relevance", self.taught)]:
            if getattr(self, name) is not None:
                given = check_y(getattr(self, name), len(rows), name)
                object.__setattr__(self, name, given if name == "groups" else given.tolist())
        if self.calibration is not None:
            X, y = self.calibration
            y = None if y is None else check_y(y, len(X)).tolist()
            object.__setattr__(self, "calibration", (_checked_items(X, "calibration"), y))
        check_ids(check_y(self.ids, len(self.documents)), np.arange(len(self.documents)))
        if None in self._gains:
            raise ValueError(
                f"The relevance of query {self._gains.index(None)} is unknown, so it has no score: "
                "give such queries in teaching=."
            )
        answers = (x for gains in self._gains for x in relevant_ids(gains))
        absent = list(dict.fromkeys(x for x in answers if x not in self._modality_of))
        if absent:
            raise ValueError(
                f"{len(absent)} documents that answer queries are not in the corpus: "
                f"{shown(absent)}. Drop them from the relevance."
            )

    def __repr__(self):
        names, counts = np.unique(self.answer_modality, return_counts=True)
        answered = ", ".join(f"{n} answered by {name}" for name, n in zip(names, counts))
        n_documents, n_queries = len(self._modality_of), len(self.queries)
        return (
            f"Corpus({n_documents} document{'s' * (n_documents != 1)}, {n_queries} "
            f"quer{'ies' if n_queries != 1 else 'y'}: {answered})"
        )

    def __iter__(self):
        return iter((stack([self.documents, self.queries]), [*self.ids, *self.relevance]))

    @property
    def taught(self):
        """The queries that pipelines are fitted with."""
        return self.queries if self.teaching is None else self.teaching

    @property
    def fitted_rows(self):
        """The rows and the target that pipelines are fitted on, a tuple ``(X, y)``."""
        answers = self.teaching_relevance
        answers = [None] * len(self.taught) if answers is None else answers
        return stack([self.documents, self.taught]), [*self.ids, *answers]

    @cached_property
    def answer_modality(self):
        """The modality of each query's answer, an array of str of shape (n_queries,).

        The modality of a document is its parts' modalities joined by ``+``. It is ``"several"``
        where documents of several modalities answer, and ``"none"`` where no document does.
        """
        return modality_of_answers(self._gains, self._modality_of)

    @cached_property
    def _gains(self):
        """The relevance of each query as a dict id -> gain, or None."""
        return check_relevance(self.relevance)

    @cached_property
    def _modality_of(self):
        """The modality of each document, a dict by id."""
        return modality_by_id(self.ids, modalities_of(self.documents))

    @classmethod
    def from_rows(cls, X, y):
        """Make a corpus of the rows and the target of a fit.

        Parameters
        ----------
        X : EmbeddingArray or list of items
            Documents and queries; raw items that are queries are wrapped in `Query`.
        y : sequence of length n_rows
            Ids of documents, relevance of queries. Queries of unknown relevance teach only.

        Returns
        -------
        Corpus

        Raises
        ------
        ValueError
            If no query is judged, or `X` carries no modalities.
        """
        tags = read_modality(X)
        if tags is None or not tags.is_query.any():
            raise ValueError(
                "There is no query among the rows of a corpus: tag query rows as 'query:text', or "
                "wrap the items in Query, and give their relevance in y."
            )
        y = check_y(y, len(X)).tolist()
        at, asked = np.flatnonzero(~tags.is_query), np.flatnonzero(tags.is_query)
        relevance = check_relevance([y[i] for i in asked])
        judged = [i for i, answers in zip(asked, relevance) if answers is not None]
        if not judged:
            raise ValueError("No query of the corpus is judged: give the relevance in y.")
        answers = [x for x in relevance if x is not None]
        return cls(
            take(X, at), [y[i] for i in at], take(X, judged), answers, teaching=take(X, asked)
        )


def _checked_items(items, name):
    """An EmbeddingArray, or a list of raw items; queries and documents are told apart."""
    if items is None:
        return None
    is_array = hasattr(items, "dtype") and getattr(items.dtype, "kind", "O") not in "OUT"
    if not isinstance(items, EmbeddingArray):
        if is_array or isinstance(items, str | bytes) or not np.iterable(items):
            raise ValueError(
                f"{name} must be an EmbeddingArray, or a list of items for a pipeline that begins "
                f"with an encoder; got {type(items).__name__}. Tag rows with EmbeddingArray(X, "
                "modality)."
            )
        items = list(items)
    if name == "calibration":
        return items
    asks = np.array([is_query(x) for x in modalities_of(items)], dtype=bool)
    if len(wrong := np.flatnonzero(asks == (name == "documents"))):
        raise ValueError(
            f"Row {wrong[0]} of {name} is "
            f"{'a query' if name == 'documents' else 'a document'}: tag queries as 'query:text' or "
            "the like, or wrap raw items in Query, and documents not."
        )
    return items


def modalities_of(rows):
    """The modality of each row or raw item."""
    return rows.modality.tolist() if hasattr(rows, "modality") else [*map(item_modality, rows)]


def take(rows, at):
    """Some rows of an EmbeddingArray, or some items of a list."""
    return rows[at] if isinstance(rows, EmbeddingArray) else [rows[i] for i in at]


def stack(parts):
    """EmbeddingArrays or lists of items, one after the other."""
    parts = [part for part in parts if len(part)]
    if all(isinstance(part, EmbeddingArray) for part in parts):
        return EmbeddingArray.concatenate(parts)
    return [item for part in parts for item in part]


def states_of(items):
    """The size and the time of change of each item that is a file."""
    contents = [content for item in items for content in contents_of(item)]
    states = [content.stat() for content in contents if isinstance(content, Path)]
    return [(state.st_size, state.st_mtime_ns) for state in states]

"""SearchResult: the documents that a search found, as arrays, a table, records or HTML."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np

from .._html import percent
from .._optional import import_optional
from ..contents._show_item import check_contents
from ._results_html import results_html

# Above the first there may be no answer: docs/guide/thresholds.md. Above the second are four
# times as many of the queries without an answer as of those with one: benchmarks/false_alarms.py.
PERHAPS, PROBABLY = 0.05, 0.5


@dataclass(frozen=True, eq=False, repr=False)
class SearchResult:
    """The best documents for each query, best first.

    ``found[2]`` and ``found[10:20]`` are the results of these queries alone, ``len(found)`` is
    the number of queries, and iterating gives the result of one query after the other.

    Where a cut-off leaves some queries fewer documents than others, the last places of their
    rows are empty: None, NaN and ``""``. No place is empty in ``found[i]``, when iterating, and
    in tables and records.

    Attributes
    ----------
    ids : ndarray of shape (n_queries, n_found)
        Ids of the documents. There are as many as were asked for, or as the search could choose
        from, or as the query with the most documents has after a cut-off.
    scores : ndarray of float64 of shape (n_queries, n_found)
        Cosine similarities, in [-1, 1]; with a score calibration, calibrated scores.
    modalities : ndarray of str of shape (n_queries, n_found)
        Modalities of the documents, such as ``"image+text"``.
    probabilities : ndarray of float64 of shape (n_queries, n_found) or None
        Probability that a document answers the query, *given that one of the documents
        searched does*, in [0, 1]. Over all documents searched they add up to 1, so a query
        that nothing answers can show a high one: see `evidence`. None without a score
        calibration that estimates probabilities; NaN for a query modality from which it
        learned nothing, and for queries of length zero.
    evidence : ndarray of float64 of shape (n_queries,) or None
        How strongly each query is answered at all, in nats: the mean of the best document's
        log odds and its lead over the next ten, in all and of its own modality. Evidence is
        low where nothing answers. What is low depends on the corpus: compare with queries
        whose answers you know. Where ``among`` leaves one document, with none to follow, its
        lead is that over a score of 0. None and NaN as for `probabilities`.
    false_alarm : ndarray of float64 of shape (n_queries,) or None
        The share of the queries that nothing answers that would look at least this well
        answered, in (0, 1]: a p-value. It compares the lead of the best document over the next
        ones with leads where nothing answers: of documents' own rows, without their document,
        and of queries that were taught with the relevance ``[]``. It is not below 0.01 where
        there are none of these, nor below 0.16 / (n + 16) where there are n of them, each of
        which would change it by more. None and NaN as for `probabilities`; NaN too where fewer
        than eight documents are searched (seven, if it learned from queries), with ``among``,
        and for queries of several parts (``query:image+text``, and documents of both that ask by
        ``like``) unless such queries were learned from.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever, search
    >>> import numpy as np
    >>> retriever = MixedModalityRetriever().fit(np.eye(2), ["a", "b"], modality="image")
    >>> found = search(retriever, [0.6, 0.8], modality="text")
    >>> found
    SearchResult(1 query x 2 documents)
    query 0: 'b' 0.800 image, 'a' 0.600 image
    >>> found.to_frame()
       query  rank id  score  probability modality  evidence  false_alarm
    0      0     1  b    0.8          NaN    image       NaN          NaN
    1      0     2  a    0.6          NaN    image       NaN          NaN
    >>> found.to_records()[0]["id"]
    'b'
    """

    ids: np.ndarray
    scores: np.ndarray
    modalities: np.ndarray
    probabilities: np.ndarray | None = None
    evidence: np.ndarray | None = None
    false_alarm: np.ndarray | None = None
    contents: Mapping | None = field(default=None, kw_only=True)

    @property
    def n_found(self):
        """The number of documents of each query: ndarray of int of shape (n_queries,)."""
        return np.count_nonzero(self._is_there, axis=1)

    @property
    def _is_there(self):
        """Mask of the places that hold a document."""
        if self.ids.dtype != object:
            return np.ones(self.ids.shape, dtype=bool)
        return np.array([x is not None for x in self.ids.flat], bool).reshape(self.ids.shape)

    def __len__(self):
        """Number of queries."""
        return len(self.ids)

    def __getitem__(self, queries):
        """Result of some queries: an integer, a slice, a mask or an array of integers.

        All arrays keep their number of dimensions: an integer gives the result of one query.
        """
        rows = np.atleast_1d(np.arange(len(self))[queries])
        if rows.ndim != 1:
            raise IndexError("A SearchResult is indexed by query: found[3], found[:10].")
        names = [field.name for field in fields(self) if field.name != "contents"]
        arrays = {name: getattr(self, name) for name in names}
        some = replace(self, **{name: x[rows] for name, x in arrays.items() if x is not None})
        return some if some._is_there.all() else some._first(some.n_found)

    def _first(self, n_found):
        """The result with the first documents of each query only."""
        longest = n_found.max(initial=0)
        arrays = {name: getattr(self, name) for name in ("ids", "scores", "modalities")}
        if self.probabilities is not None:
            arrays["probabilities"] = self.probabilities
        arrays = {name: x[:, :longest] for name, x in arrays.items()}
        is_empty = np.arange(longest) >= n_found[:, None]
        if is_empty.any():
            arrays["ids"] = arrays["ids"].astype(object)
            empty = {"ids": None, "modalities": ""}
            arrays = {
                name: np.where(is_empty, empty.get(name, np.nan), x) for name, x in arrays.items()
            }
        return replace(self, **arrays)

    def __iter__(self):
        return (self[query] for query in range(len(self)))

    def to_frame(self):
        """The result as a table with one row per document found.

        Returns
        -------
        pandas.DataFrame
            Columns query (row number of the query), rank (from 1), id, score, probability,
            modality, and evidence and false_alarm (of the query); NaN where there is no
            probability, evidence or false alarm. A query without documents has no row.

        Raises
        ------
        ImportError
            If pandas is not installed (extra ``pandas``).
        """
        pandas = import_optional("pandas", extra="pandas", purpose="SearchResult.to_frame")
        return pandas.DataFrame(self._columns())

    def to_records(self):
        """The result as a list of dicts that ``json.dumps`` takes, one per document found.

        Returns
        -------
        list of dict
            With the names of `to_frame`'s columns. Values are of Python's own types: an id
            that is neither a number nor a str (a ``Path``, a date) becomes its ``str``, NaN
            becomes None.
        """
        columns = self._columns()
        return [dict(zip(columns, map(_plain, row))) for row in zip(*columns.values())]

    def _columns(self):
        """The columns of the table: arrays of length sum(n_found) by name."""
        query, place = np.nonzero(self._is_there)
        columns = {"query": query, "rank": place + 1, "id": self.ids[query, place]}
        columns["score"] = self.scores[query, place]
        unknown = np.full(len(query), np.nan)
        odds = self.probabilities
        columns["probability"] = unknown if odds is None else odds[query, place]
        columns["modality"] = self.modalities[query, place]
        for name in ("evidence", "false_alarm"):
            of_query = getattr(self, name)
            columns[name] = unknown if of_query is None else of_query[query]
        return columns

    def __repr__(self):
        n_queries, most = self.ids.shape
        noun = "query" if n_queries == 1 else "queries"
        upto = "" if self._is_there.all() else "up to "
        lines = [f"SearchResult({n_queries} {noun} x {upto}{most} documents)"]
        for number, one in enumerate(self[:5]):
            rows = zip(one.ids[0, :3].tolist(), one.scores[0], one.modalities[0])
            best = [f"{id_!r} {score:.3f} {modality}" for id_, score, modality in rows]
            best += ["..."] * (one.ids.shape[1] > 3)
            lines.append(f"query {number}: {', '.join(best) or 'no document'}")
        return "\n".join(lines + ["..."] * (n_queries > 5))

    def with_contents(self, contents):
        """The same result, which shows texts and pictures in a notebook.

        Without contents it shows those documents whose ids are paths of picture or text files.

        Parameters
        ----------
        contents : mapping
            The parts of each document by its id: a text, a picture, or a list of these, as for
            `results_page`. Documents that are missing here are shown by their ids.

        Returns
        -------
        SearchResult

        Raises
        ------
        TypeError
            If `contents` is not a mapping.
        """
        return replace(self, contents=check_contents(contents))

    def _facts(self):
        """What is known of the one query of this result, in words."""
        facts = [] if len(self.ids[0]) else ["Nothing was found."]
        if self.evidence is not None and self.evidence[0] == self.evidence[0]:
            facts.append(f"evidence {self.evidence[0]:.2f}")
        if self.false_alarm is not None and self.false_alarm[0] == self.false_alarm[0]:
            share = f"false alarm {percent(self.false_alarm[0])}"
            facts.append(tell_doubt(self.false_alarm[0]) or share)
        return facts

    def _repr_html_(self):
        """The first queries as a table; without jinja2 a notebook shows the text."""
        try:
            return results_html(self)
        except ImportError:
            return None


def _plain(value):
    """A value of a table as JSON knows it."""
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int) else str(value)


def tell_doubt(false_alarm):
    """The sentence that says whether nothing answers a query; empty if something seems to."""
    if not false_alarm > PERHAPS:  # so is NaN
        return ""
    word = "Probably" if false_alarm > PROBABLY else "Perhaps"
    return (
        f"{word} nothing here: of the queries that nothing answers, {percent(false_alarm)} look "
        "at least as well answered."
    )

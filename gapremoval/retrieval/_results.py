"""SearchResult: what a search found, as arrays, as a table, as a page in a notebook."""

from dataclasses import dataclass
from html import escape

import numpy as np

from .._optional import import_optional


@dataclass(frozen=True, eq=False, repr=False)
class SearchResult:
    """The best documents for each query, best first.

    Attributes
    ----------
    ids : ndarray of shape (n_queries, n_found)
        Ids of the documents. `n_found` is the number asked for, or the number of documents
        that could be found, if there are fewer.
    scores : ndarray of float64 of shape (n_queries, n_found)
        Cosine similarity, in [-1, 1], or the score that a score calibration makes of it.
    modalities : ndarray of str of shape (n_queries, n_found)
        The documents' modalities, such as ``"image+text"``.
    probabilities : ndarray of float64 of shape (n_queries, n_found) or None
        The probability that a document answers the query, *given that one of the documents
        searched does*, in [0, 1]; over all of these they add up to 1. A question that
        nothing answers can therefore show a high one: see `evidence`. None without a score
        calibration that estimates them; NaN for queries of a modality that taught it
        nothing, or without direction.
    evidence : ndarray of float64 of shape (n_queries,) or None
        How strongly each query is answered at all, in nats: the mean of the best document's
        log odds and its lead over the next ten, in all and of its own modality. It falls
        when nothing answers; what is low depends on the corpus, so compare it with that of
        questions whose answers you know. None and NaN as for `probabilities`.

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
       query  rank id  score  probability modality
    0      0     1  b    0.8          NaN    image
    1      0     2  a    0.6          NaN    image
    """

    ids: np.ndarray
    scores: np.ndarray
    modalities: np.ndarray
    probabilities: np.ndarray | None = None
    evidence: np.ndarray | None = None

    def __len__(self):
        """The number of queries."""
        return len(self.ids)

    def to_frame(self):
        """The result as a table, one row a document found.

        Returns
        -------
        pandas.DataFrame
            With the columns query (row number of the query), rank (from 1), id, score,
            probability (NaN where there is none) and modality.

        Raises
        ------
        ImportError
            If pandas is not installed (extra ``pandas``).
        """
        pandas = import_optional("pandas", extra="pandas", purpose="SearchResult.to_frame")
        n_queries, n_found = self.ids.shape
        nothing = np.full(self.ids.shape, np.nan)
        probabilities = nothing if self.probabilities is None else self.probabilities
        return pandas.DataFrame(
            {
                "query": np.repeat(np.arange(n_queries), n_found),
                "rank": np.tile(np.arange(1, n_found + 1), n_queries),
                "id": self.ids.ravel(),
                "score": self.scores.ravel(),
                "probability": probabilities.ravel(),
                "modality": self.modalities.ravel(),
            }
        )

    def __repr__(self):
        n_queries, n_found = self.ids.shape
        noun = "query" if n_queries == 1 else "queries"
        lines = [f"SearchResult({n_queries} {noun} x {n_found} documents)"]
        for query in range(min(n_queries, 5)):
            found = [
                f"{id_!r} {score:.3f} {modality}"
                for id_, score, modality in list(self._rows(query))[:3]
            ]
            lines.append(f"query {query}: {', '.join(found)}{', ...' if n_found > 3 else ''}")
        return "\n".join(lines + ["..."] * (n_queries > 5))

    def _repr_html_(self):
        """The first ten queries as a table."""
        odds = {} if self.probabilities is None else {"probability": self.probabilities}
        shown = {"id": self.ids, "score": self.scores, **odds, "modality": self.modalities}
        head = "".join(f"<th>{name}</th>" for name in ("query", "rank", *shown))
        rows = []
        for query in range(min(len(self), 10)):
            found = zip(*(values[query].tolist() for values in shown.values()))
            for rank, cells in enumerate(found, 1):
                id_, *numbers, modality = cells
                cells = (query, rank, escape(str(id_)), *(f"{x:.3f}" for x in numbers), modality)
                filled = "".join(f"<td>{cell}</td>" for cell in cells)
                rows.append(f"<tr>{filled}</tr>")
        more = f"<p>and {len(self) - 10} more queries</p>" if len(self) > 10 else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"

    def _rows(self, query):
        return zip(
            self.ids[query].tolist(), self.scores[query].tolist(), self.modalities[query].tolist()
        )

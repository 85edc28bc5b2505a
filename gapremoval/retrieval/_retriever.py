"""MixedModalityRetriever: search documents of several modalities by one query."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from numbers import Integral, Real
from threading import RLock

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import _fit_context, clone
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from .._array_api import as_slice, namespace_and_device
from .._base import GapEstimator
from .._modality import as_query, is_query
from .._relevance import check_ids, check_y, group_ids
from .._validation import check_rows, compute_dtype
from .._warnings import warn
from ..score_calibration import ScoreCalibrator
from ._fusion import (
    check_fusion_weight,
    fuse_documents,
    warn_of_zero_length,
)
from ._index import Index
from ._query_banks import make_banks, teaching_scores
from ._ranking import rank
from ._results import SearchResult
from ._scoring import score_queries
from ._snapshot import Snapshot


class MixedModalityRetriever(GapEstimator):
    """Exact search over documents that are images, texts, or both.

    Rows that share an id are the parts of one document and are fused into one vector;
    queries find documents by cosine. Put a `ModalityGapRemover` before it: raw embeddings
    rank by modality first.

    Parameters
    ----------
    n_neighbors : int, default=10
        How many documents a query finds, if the corpus has so many.
    fusion_weight : float in [0, 1] or dict of str to float, default=0.5
        How the modalities of a document are weighed. A float `a` gives its text `a` and
        shares ``1 - a`` equally between its other modalities (the paper's alpha); a dict
        gives relative weights. Rows of one modality are averaged first, so five photos
        weigh as one. A document of one modality ignores the weights, and weights that are
        all 0 count as equal.
    score_calibration : ScoreCalibrator, default=None
        What makes the scores of documents of several modalities comparable, such as
        `PosteriorOdds()`; by default scores are cosines. A clone of it learns, at `fit`, from
        the documents and the query rows, judged or not, one calibration for each modality
        that asks; documents that come later are calibrated by what was learnt.

    Attributes
    ----------
    ids_ : ndarray of shape (n_documents,)
        The documents' ids in the order of their first row: int64 or object.
    document_modality_ : ndarray of str of shape (n_documents,)
        Their modalities, sorted and joined by ``+``.
    n_documents_ : int
        Number of documents.
    score_calibration_ : ScoreCalibrator or None
        What was learned about scores.
    modalities_ : tuple of str
        The modalities met while fitting, those of queries among them.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    search : Searches a whole fitted pipeline with raw items or rows.
    ModalityGapRemover : What belongs before it.

    Notes
    -----
    Answers are exact and do not depend on the batch: candidates are scored again in
    float64, and documents with equal scores come in the order in which they were added.
    Documents and queries are brought to unit length, parts are not. A document of length
    zero has no direction: it comes after all others, with score 0, or, with a score
    calibration, below all other scores and with probability 0.

    A score calibration learns from at most 1,024 query rows and as many rows of documents
    of each modality (drawn with a fixed seed beyond that), which are kept and pickled with
    the index, to calibrate documents that are added. Nothing is learnt from rows that ask,
    so an answer does not depend on the other queries of a batch.

    In numpy, a search that takes longer than a few milliseconds runs in threads: as many as
    BLAS may use, which threadpoolctl or the workers of joblib limit. BLAS has one thread then.

    Rows in a memory-mapped file are searched there, without a copy, if they are one a document,
    those of a modality one after the other, and of unit length but for the rounding of their
    dtype, which may be float16: so `save_transformed` writes them. Scores are then the inner
    products with what is stored. The file is never written to: the rows of a modality move into
    memory when documents of it are added, or when a quarter of them was removed.

    Any number of threads may search while another changes the corpus: a search sees it as it
    was before a change or after it. `fit`, `partial_fit` and `remove` take turns, and an error
    or an interrupt leaves the corpus as it was. Copies and pickles are changed independently.

    Fitted on tensors, the corpus lies on their device, in float32 or float64, and is searched
    there, with the same answers as in numpy; only the best documents come to the host.
    Queries may come from any library or device: they follow the corpus. A pickle holds numpy,
    so what was fitted on a GPU is loaded and searched where there is none.

    References
    ----------
    .. [1] "Closing the Modality Gap for Mixed Modality Search" (GR-CLIP), arXiv 2507.19054:
       the fusion by a weight on the text.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from gapremoval import MixedModalityRetriever, ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> is_query = X.modality == "query:text"
    >>> raw = MixedModalityRetriever().fit(X, y)
    >>> pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever()).fit(X, y)
    >>> pipe.score(X[is_query], y[is_query]) > raw.score(X[is_query], y[is_query])
    True
    """

    __metadata_request__predict = {"modality": True}
    __metadata_request__score = {"modality": True}

    _parameter_constraints = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "fusion_weight": [Interval(Real, 0, 1, closed="both"), Mapping],
        "score_calibration": [ScoreCalibrator, None],
    }

    def __init__(self, n_neighbors=10, *, fusion_weight=0.5, score_calibration=None):
        self.n_neighbors = n_neighbors
        self.fusion_weight = fusion_weight
        self.score_calibration = score_calibration

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, modality=None):
        """Index the documents; query rows are not indexed.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The documents' rows, and any queries.
        y : sequence of length n_rows, default=None
            The id of each document row: all str, all integers, or other hashable values.
            Rows with one id are one document. Entries of query rows are their relevance
            (None where it is unknown), from which a score calibration learns; without one
            they are not read. Without `y` a document's id is its row number.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no document row, an id is missing or is none, rows hold NaN or
            infinity, a dict of fusion weights leaves out a modality that is fused, or a
            score calibration is to learn from relevance that names unknown documents.
        """
        with self._writing, self._fitting() as twin:
            twin._index = twin._indexed(X, y, modality)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, *, modality=None):
        """Add documents, in a time that does not depend on how many there are.

        All parts of a document come in one call; many documents in one call cost far less
        each than one by one. A score calibration learns at the first call alone; query rows
        that come later teach it nothing.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The documents' rows; query rows are not indexed.
        y : sequence of length n_rows, default=None
            As `fit` takes it. Without it, row numbers go on from the rows seen so far.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`; besides, if an id is already there.
        """
        return self._add_documents(X, y, modality)

    def _add_documents(self, X, y, modality, replace=False):
        """Add documents as `partial_fit` does; with `replace`, those already there give way.

        They give way in one step: a search sees either all of the old ones or all of the new,
        and an error or an interrupt leaves the corpus as it was.
        """
        with self._writing:
            if not hasattr(self, "_index"):
                return self.fit(X, y, modality=modality)
            rows = check_rows(self, X, modality, known=self.modalities_)
            self._add(self._index, rows, y, replace)
        return self

    def remove(self, ids):
        """Remove documents, in a time that hardly depends on how many there are.

        Parameters
        ----------
        ids : id or sequence of ids
            Of the documents.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an id is not in the corpus; nothing is removed then.
        TypeError
            If something is no id, such as a list in a list.
        """
        check_is_fitted(self)
        is_one = isinstance(ids, str | bytes) or not np.iterable(ids)
        with self._writing:
            self._index.remove([ids] if is_one else ids)
        return self

    @property
    def ids_(self):
        """The documents' ids in the order of their first row: int64 or object."""
        return self._index.now.ids

    @property
    def document_modality_(self):
        """The documents' modalities, sorted and joined by ``+``."""
        return self._index.now.modality

    @property
    def n_documents_(self):
        """The number of documents."""
        return len(self._index.now)

    @property
    def score_calibration_(self):
        """What was learned about scores: a ScoreCalibrator or None."""
        return self._index.now.calibration

    @property
    def modalities_(self):
        """The modalities met while fitting, those of queries among them."""
        return self._index.now.modalities

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_index")

    def predict(self, X, *, modality=None):
        """The ids of the best documents; every row is a query.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_queries, n_features)
            The queries.
        modality : str or sequence of str of shape (n_queries,), default=None
            Their modalities; not needed for an EmbeddingArray.

        Returns
        -------
        ndarray of shape (n_queries, min(n_neighbors, n_documents))
            Ids, best first.
        """
        return self.search(X, modality=modality).ids

    def kneighbors(self, X, n_neighbors=None, return_distance=True, *, modality=None):
        """Distances and positions of the best documents; every row is a query.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_queries, n_features)
            The queries.
        n_neighbors : int, default=None
            How many, in place of the parameter; cut to the size of the corpus.
        return_distance : bool, default=True
            Whether distances are returned.
        modality : str or sequence of str of shape (n_queries,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        distances : ndarray of float64 of shape (n_queries, n_found)
            Cosine distances, 1 - cosine, in [0, 2], ascending; documents of length zero
            come last, at 1. With a score calibration 1 - calibrated score, of any size and
            sign. Only with ``return_distance=True``.
        indices : ndarray of int of shape (n_queries, n_found)
            Positions in `ids_`.
        """
        documents, found = self._rank(X, n_neighbors, modality)
        scores, indices = found.scores, documents.places_of(found.positions)
        return (1 - scores, indices) if return_distance else indices

    def search(self, X, n_neighbors=None, *, modality=None, document_modality=None):
        """The best documents with scores and modalities; every row is a query.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_queries, n_features)
            The queries.
        n_neighbors : int, default=None
            How many, in place of the parameter; cut to the documents there are.
        modality : str or sequence of str of shape (n_queries,), default=None
            The rows' modalities; not needed for an EmbeddingArray.
        document_modality : str, default=None
            Search only documents of this modality, as in `document_modality_`. Where there
            are fewer than asked for, those there are come back.

        Returns
        -------
        SearchResult
            With probabilities and evidence where the score calibration gives them; they
            take about a seventh more time than `kneighbors`.

        Raises
        ------
        ValueError
            If no document has the `document_modality`.
        """
        documents, found = self._rank(X, n_neighbors, modality, document_modality, with_odds=True)
        gives_odds = getattr(documents.calibration, "gives_odds", False)
        ids, modalities = documents.column_of("id", found.positions)
        odds = (found.probabilities, found.evidence) if gives_odds else ()
        return SearchResult(ids, found.scores, modalities, *odds)

    def transform(self, X, *, modality=None):
        """The best similarities as a sparse matrix; every row is a query.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_queries, n_features)
            The queries.
        modality : str or sequence of str of shape (n_queries,), default=None
            Their modalities; not needed for an EmbeddingArray.

        Returns
        -------
        csr_array of float64 of shape (n_queries, n_documents)
            The scores of each query's `n_neighbors` best documents (cosines, without a
            score calibration), zeros among them stored, columns as in `ids_`.
        """
        documents, found = self._rank(X, None, modality)
        indices = documents.places_of(found.positions)
        n_queries, n_found = indices.shape
        starts = np.arange(0, indices.size + 1, n_found)
        shape = (n_queries, len(documents))
        return csr_array((found.scores.ravel(), indices.ravel(), starts), shape=shape)

    def fold(self, query_modality="query:text"):
        """Vectors for any index of inner products, which then ranks as this does.

        A cosine index would undo it: take one for inner products (in faiss ``IndexFlatIP``).
        A query `q` of unit length, corrected by the steps before, is asked as ``[q, 1.0]``,
        and its inner product with a row is the (calibrated) score.

        Parameters
        ----------
        query_modality : str, default="query:text"
            Which queries will ask: with a score calibration each has vectors of its own.

        Returns
        -------
        vectors : ndarray of float32 of shape (n_documents, n_features + 1)
            ``[scale * document, offset]``, in the order of `ids_`. Without a score
            calibration scale is 1 and offset 0. A document of length zero gets an offset
            below all scores.
        metric : str
            ``"ip"``, inner product.
        appended : float
            1.0, what a query has in the last place.

        Raises
        ------
        ValueError
            If the score calibration ranks by more than a scale and an offset a document, or
            has learnt about other query modalities alone.
        """
        check_is_fitted(self)
        documents, query_modality = self._index.now, as_query(query_modality)
        calibration = documents.calibration
        if calibration is not None and not calibration.folds:
            raise ValueError(
                f"{type(calibration).__name__} does not fold: its ranking is no inner product. "
                "Take another score calibration, such as PosteriorOdds."
            )
        lines = documents.score_map(query_modality)
        if lines is None and calibration is not None and calibration.learnt_:
            raise ValueError(
                f"The score calibration learnt nothing about {query_modality!r}; it learnt "
                f"about {', '.join(map(repr, calibration.learnt_))}. Fit on such queries, or "
                "take a retriever without a score calibration."
            )
        return documents.folded(lines), "ip", 1.0

    def score(self, X, y, sample_weight=None, *, modality=None):
        """Mean NDCG@10 over the judged queries among the rows.

        Document rows are skipped, since search objects pass them on, if the corpus has them
        as they are here. A document that is missing there, or was made from fewer rows,
        raises: the usual splitters hold documents and parts of them out, which measures how
        much of the corpus is missing. Cross-validate with ``QueryKFold``.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Queries; documents are skipped.
        y : sequence of length n_rows
            The relevance of each query: an id, a collection of ids, a dict id -> gain, or
            None where it is unknown (left out). The ids of document rows.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the queries.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        float
            In [0, 1].

        Raises
        ------
        ValueError
            If no query is judged, or a document is named that is not in the corpus.
        """
        check_is_fitted(self)
        return self._score_queries(X, y, sample_weight, modality=modality)

    _score_queries = score_queries

    @property
    def _writing(self):
        """The lock of whoever changes this retriever."""
        return vars(self).setdefault("_lock", RLock())

    def _indexed(self, X, y, modality):
        """An index of the documents among some rows, of which the others teach."""
        rows = check_rows(self, X, modality, reset=True)
        if rows.tags.is_query.all():
            raise ValueError(
                f"All {len(rows.tags)} rows are queries, so there is no document to index. "
                "Documents have a plain modality such as 'text' or 'image'."
            )
        xp, place = namespace_and_device(rows.values)
        dtype, shape = compute_dtype(rows.values), (0, rows.values.shape[1])
        index = Index(Snapshot(xp.empty(shape, dtype=dtype, device=place)))
        self._add(index, rows, y)
        return index

    def _add(self, index, rows, y, replaces=False):
        """Add the documents among checked rows to an index; in an empty one the others teach."""
        check_fusion_weight(self.fusion_weight)
        now, tags, at = index.now, rows.tags, np.flatnonzero(~rows.tags.is_query)
        is_first = not now.modalities
        mine = rows[as_slice(at)]  # which refuses NaN and infinity in any row
        y = None if y is None else check_y(y, len(tags))
        seen = None if y is not None or now.n_rows_seen is None else now.n_rows_seen + len(tags)
        state = {
            "modalities": tuple(dict.fromkeys([*now.modalities, *tags.counts()])),
            "n_rows_seen": seen,
        }
        if not len(at):
            index.publish(replace(now, **state))
            return
        ids, document = group_ids(self._document_ids(y, at, now.n_rows_seen))
        known, gone = index.find_known(ids, replaces) if not is_first else ([], ())
        added = fuse_documents(mine, ids, document, self.fusion_weight)
        warn_of_zero_length(ids[added.undirected].tolist())
        statistics, calibration, banks = {}, copy(now.calibration), now.banks
        if is_first and self.score_calibration is not None:
            calibration = clone(self.score_calibration)
            of_row = np.full(len(tags), -1)
            of_row[at] = document
            banks = make_banks(rows, of_row, y, ids, self.fusion_weight)
        if calibration is not None:
            statistics = calibration.learn(teaching_scores(banks, added))
        now = index.changed(added, statistics, gone)
        now = replace(now, calibration=calibration, banks=banks, **state)
        index.publish(now, ids.tolist(), known)

    def _document_ids(self, y, at, seen):
        """The ids of the rows `at`: those in `y`, or row numbers that go on from `seen`."""
        if y is not None:
            return check_ids(y[at], at)
        if seen is None:
            raise ValueError(
                "The documents so far have ids of their own: give those of the new ones in y."
            )
        return seen + at.astype(np.int64)

    def _rank(self, X, n_neighbors, modality, document_modality=None, with_odds=False):
        """The Snapshot searched, and its Ranking for rows that are all queries."""
        if not hasattr(self, "_index"):
            check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
            raise ValueError(f"n_neighbors must be a whole number of at least 1; got {k!r}.")
        documents = self._index.now
        rows = check_rows(self, X, modality, known=documents.modalities)
        if not rows.tags.is_query.any() and any(map(is_query, documents.modalities)):
            warn(
                "None of these rows is marked as a query, so the step before gave them the "
                "mean of documents: tag them 'query:text' or the like, or call "
                "gapremoval.search, which marks them.",
            )
        found = rank(documents, rows, k, modality=document_modality, with_odds=with_odds)
        return documents, found

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("_lock", None)
        if "_index" in state:
            # A shallow copy would change with this.
            state["_index"] = state["_index"].copy()
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

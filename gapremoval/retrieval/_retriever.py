"""MixedModalityRetriever: search documents of several modalities by one query."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real
from threading import RLock

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import _fit_context, clone
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from .._array_api import as_slice, namespace_and_device, to_numpy
from .._base import GapEstimator
from .._modality import Tags, as_query, is_query
from .._relevance import check_ids, check_y, group_ids, is_unanswered
from .._repetitions import group_rows
from .._validation import Rows, check_rows, compute_dtype
from .._warnings import warn
from ..score_calibration import ScoreCalibrator
from ._among import ids_to_remove, positions_like, rows_among
from ._cut_offs import check_cut_offs, count_kept
from ._export import export_vectors
from ._fusion import check_fusion_weight, fuse_documents, warn_of_zero_length
from ._index import Index
from ._learning import calibrated, warn_of_unlearned
from ._mean_shift import unit_means, warn_of_far_means
from ._query_banks import make_banks, unit_on_host
from ._ranking import rank
from ._results import SearchResult
from ._scoring import score_queries
from ._search_options import check_question, modalities_named
from ._snapshot import Snapshot


class MixedModalityRetriever(GapEstimator):
    """Exact search over documents that are images, texts, or both.

    Rows with the same id are the parts of one document and are fused into one vector. Queries
    find documents by cosine similarity. Use it behind a `ModalityGapRemover`: raw embeddings
    are ranked by modality first.

    Parameters
    ----------
    n_neighbors : int, default=10
        Number of documents that a query finds, at least 1; at most the size of the corpus.
    fusion_weight : float in [0, 1] or dict of str to float, default=0.5
        Weights of the modalities of a document. A float `a` gives its text the weight `a`
        and divides ``1 - a`` equally between its other modalities (alpha in the paper); a
        dict gives relative weights. A caption that was read from an image is no text in this
        sense: it shares the weight of the image, and without a text both are equal. Rows of
        one modality are averaged first, so five photos have the weight of one. Documents of a
        single modality need no weights, and weights that are all 0 are equal weights.
    score_calibration : ScoreCalibrator, default=None
        Makes the scores of documents of different modalities comparable, such as
        `PosteriorOdds()`. A clone of it learns from the documents and the query rows, judged
        or not, separately for each query modality, and again whenever query rows come. By
        default scores are cosines.

    Attributes
    ----------
    ids_ : ndarray of shape (n_documents,)
        The documents' ids in the order of their first rows: int64 or object. Read-only.
    document_modality_ : ndarray of str of shape (n_documents,)
        The documents' modalities, sorted and joined by ``+``. Read-only.
    n_documents_ : int
        Number of documents.
    score_calibration_ : ScoreCalibrator or None
        The fitted score calibration.
    modalities_ : tuple of str
        The modalities of all rows so far, those of queries included.
    encoder_ : str or None
        The encoder of the rows so far, where they name it; rows of another are refused.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    search : Search a whole fitted pipeline with raw items or rows.
    ModalityGapRemover : The step before this one.

    Notes
    -----
    Answers are exact and do not depend on the batch: candidates are scored again in float64,
    and documents with equal scores are ordered as they were added. Documents and queries are
    brought to unit length, parts are not. A document of length zero has no direction: it comes
    after all others, with score 0, or, with a score calibration, below all other scores and
    with probability 0.

    A score calibration learns from at most 1,024 query rows and as many document rows of each
    modality: judged queries first, then the newest rows, and a sample of the older ones with a
    fixed seed. They are kept and pickled with the index. It learns at `fit`, and again over
    the whole corpus when query rows come, when a modality comes for the first time, and when a
    query modality has its second row. Documents that come without queries only get their own
    statistics. Nothing is learned from the queries of a search.

    With numpy, a search that takes longer than a few milliseconds runs in as many threads as
    BLAS may use, a number that threadpoolctl or the workers of joblib limit. BLAS then has one
    thread.

    Rows in a memory-mapped file are searched in place, without a copy, if there is one row for
    each document, rows of a modality follow one another, and all have unit length up to the
    rounding of their dtype, which may be float16. `save_transformed` writes such files. Scores
    are then the inner products with the stored rows. The file is never written to. The rows of
    a modality are copied to memory when documents of it are added, when a quarter of them has
    been removed, or when a score calibration learns after a removal.

    Any number of threads may search while another one changes the corpus: a search sees the
    corpus before a change or after it. `fit`, `partial_fit` and `remove` take turns, and an
    error or an interrupt leaves the corpus as it was. Copies and pickles are independent.

    Fitted on tensors, the corpus lies on their device, in float32 or float64, and is searched
    there, with the same answers as in numpy; only the best documents are copied to the host.
    Queries of any library or device are moved to the corpus. A pickle holds numpy arrays, so an
    index fitted on a GPU can be loaded and searched without one.

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

    __metadata_request__predict = {"modality": True, "document_modality": True, "among": True}
    __metadata_request__transform = __metadata_request__predict
    __metadata_request__score = {"modality": True}

    _parameter_constraints = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "fusion_weight": [Interval(Real, 0, 1, closed="both"), Mapping],
        "score_calibration": [ScoreCalibrator, None],
    }
    _fixed_in_fit = ("fusion_weight", "score_calibration")

    def __init__(self, n_neighbors=10, *, fusion_weight=0.5, score_calibration=None):
        self.n_neighbors = n_neighbors
        self.fusion_weight = fusion_weight
        self.score_calibration = score_calibration

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, modality=None):
        """Index the documents; query rows are not indexed.

        Warns if rows of several modalities come without `y`, so that no parts are joined, and
        if a score calibration learned nothing about the query modalities.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The documents' rows, and any queries.
        y : sequence of length n_rows, default=None
            The id of each document row: all str, all integers, or other hashable values.
            Rows with the same id are the parts of one document. For a query row its relevance
            (None where it is unknown), from which a score calibration learns; without a score
            calibration it is not read. Without `y` a document's id is its row number.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no document row, an id is missing or invalid, rows hold NaN or
            infinity, a dict of fusion weights lacks a modality that is fused, or the relevance
            names unknown documents and there is a score calibration to learn from it.
        """
        with self._writing, self._fitting() as twin:
            rows = check_rows(twin, X, modality, reset=True)
            if rows.tags.is_query.all():
                raise ValueError(
                    f"All {len(rows.tags)} rows are queries, so there is no document to index. "
                    "Documents have a plain modality such as 'text' or 'image'."
                )
            xp, place = namespace_and_device(rows.values)
            shape, dtype = (0, rows.values.shape[1]), compute_dtype(rows.values)
            twin._index = Index(Snapshot(xp.empty(shape, dtype=dtype, device=place)))
            twin._fix_parameters()
            twin._add(rows, y)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, *, modality=None):
        """Add documents, and let the score calibration learn from new query rows.

        The time to add documents does not depend on how many there are; that to learn from
        query rows is that of `fit`, and one call for many costs far less than one by one. All
        parts of a document belong in one call. Judgments of a question that comes again add up:
        all documents that were named are right answers.

        Rows must have gone through the same steps as those that were fitted, as
        ``gapremoval.add_documents`` makes sure. Warns if the mean of the new rows of a modality
        lies far from that of the rows before, as it does for rows whose gap was not removed.
        That takes some twenty rows in one call. Where the rows name their encoder, as those of
        `CLIPEncoder` do, a single row whose gap was not removed is refused.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The documents' rows, and any queries, which are not indexed.
        y : sequence of length n_rows, default=None
            As for `fit`. Without it, row numbers continue those of the rows so far.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for `fit`, and if an id is already there, the rows come from another encoder
            than those before, or `fusion_weight` or `score_calibration` was changed since the
            fit.
        """
        return self._add_documents(X, y, modality)

    def _add_documents(self, X, y, modality, replace=False):
        """Add documents as `partial_fit` does; with `replace`, ids may be there already.

        Documents are replaced in one step: a search sees all of the old ones or all of the
        new ones, and an error or an interrupt leaves the corpus as it was.
        """
        with self._writing:
            if not hasattr(self, "_index"):
                return self.fit(X, y, modality=modality)
            self._refuse_changed_parameters()
            now = self._index.now
            rows = check_rows(self, X, modality, known=now.modalities, origin=now.origin)
            self._add(rows, y, replace)
        return self

    def remove(self, ids):
        """Remove documents, in a time that hardly depends on how many there are.

        Parameters
        ----------
        ids : id, collection of ids, mask, or pandas Series of bool indexed by id
            The documents, as ``among`` of `search` names them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an id is not in the corpus, or a mask does not have one entry a document; nothing
            is removed then.
        TypeError
            If an entry cannot be an id, such as a list in a list, or `ids` is a dict or a bool.
        """
        check_is_fitted(self)
        with self._writing:
            self._index.remove(ids_to_remove(self._index.now, ids))
        return self

    @property
    def ids_(self):
        """The documents' ids in the order of their first rows: int64 or object."""
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
        """The fitted score calibration, or None."""
        return self._index.now.calibration

    @property
    def encoder_(self):
        """The encoder of the rows so far, or None."""
        return getattr(self._index.now.origin, "encoder", None)

    @property
    def modalities_(self):
        """The modalities of all rows so far, those of queries included."""
        return self._index.now.modalities

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_index")

    def predict(self, X, *, modality=None, document_modality=None, among=None):
        """The ids of the best documents; every row is a query.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_queries, n_features)
            The queries.
        modality : str or sequence of str of shape (n_queries,), default=None
            The rows' modalities; not needed for an EmbeddingArray.
        document_modality : str or collection of str, default=None
            Search only documents of this modality or these modalities, as in
            `document_modality_`.
        among : collection of ids, mask or pandas Series, default=None
            Search only these documents; see `search`.

        Returns
        -------
        ndarray of shape (n_queries, n_found)
            Ids, best first: `n_neighbors`, or as many as there are documents to search.
        """
        documents, found, _ = self._rank(X, None, modality, document_modality, among)
        return documents.column_of("id", found.positions)[0]

    def kneighbors(
        self,
        X,
        n_neighbors=None,
        return_distance=True,
        *,
        modality=None,
        document_modality=None,
        among=None,
    ):
        """Distances and positions of the best documents; every row is a query.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_queries, n_features)
            The queries.
        n_neighbors : int, default=None
            Number of documents per query. By default the value passed to the constructor; at
            most the size of the corpus.
        return_distance : bool, default=True
            Whether distances are returned.
        modality : str or sequence of str of shape (n_queries,), default=None
            The rows' modalities; not needed for an EmbeddingArray.
        document_modality : str or collection of str, default=None
            Search only documents of this modality or these modalities, as in
            `document_modality_`.
        among : collection of ids, mask or pandas Series, default=None
            Search only these documents; see `search`.

        Returns
        -------
        distances : ndarray of float64 of shape (n_queries, n_found)
            Cosine distances, 1 - cosine, in [0, 2], ascending; documents of length zero
            come last, at 1. With a score calibration 1 - calibrated score, of any size and
            sign. Only with ``return_distance=True``.
        indices : ndarray of int of shape (n_queries, n_found)
            Positions in `ids_`.
        """
        documents, found, _ = self._rank(X, n_neighbors, modality, document_modality, among)
        scores, indices = found.scores, documents.places_of(found.positions)
        return (1 - scores, indices) if return_distance else indices

    def search(
        self,
        X=None,
        n_neighbors=None,
        *,
        modality=None,
        document_modality=None,
        among=None,
        like=None,
        max_false_alarm=None,
        min_probability=None,
    ):
        """The best documents with scores and modalities; every row is a query.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_queries, n_features)
            The queries. Not with `like`.
        n_neighbors : int, default=None
            Number of documents per query. By default the value passed to the constructor; at
            most the number of documents that are searched.
        modality : str or sequence of str of shape (n_queries,), default=None
            The rows' modalities; not needed for an EmbeddingArray.
        document_modality : str or collection of str, default=None
            Search only documents of this modality or these modalities, as in
            `document_modality_`. Where they have fewer documents, all of those are returned.
        among : collection of ids, mask or pandas Series, default=None
            Search only these documents: their ids, a mask in the order of `ids_`, or a Series of
            bool whose index holds ids, such as ``meta["brand"] == "x"``. It takes the time of
            the documents searched. Scores do not change, and probabilities are those given that
            one of these documents answers. An empty selection finds nothing.
        like : id or collection of ids, default=None
            Ask with these documents in place of `X`, each for others like it. A text asks as a
            query of the modality ``query:text``, a document of several parts as one of
            ``query:image+text``. No document finds itself.
        max_false_alarm : float in [0, 1], default=None
            Find nothing for queries whose false alarm is higher.
        min_probability : float in [0, 1], default=None
            Leave out documents whose probability is lower.

        Returns
        -------
        SearchResult
            With probabilities, evidence and false alarms if the score calibration gives them,
            which takes about a seventh more time than `kneighbors`.

        Raises
        ------
        ValueError
            If no document has the `document_modality`, or one of them, an id is not in the
            corpus, a mask does not have one entry a document, or a cut-off is out of range or
            the score calibration gives no probabilities.
        TypeError
            If both `X` and `like` are given, or neither.
        """
        cut_offs = {"max_false_alarm": max_false_alarm, "min_probability": min_probability}
        if has_cut_offs := (max_false_alarm is not None or min_probability is not None):
            check_is_fitted(self)
            check_cut_offs(self.score_calibration_, **cut_offs)
        documents, found, tags = self._rank(
            X, n_neighbors, modality, document_modality, among, like, with_odds=True
        )
        ids, modalities = documents.column_of("id", found.positions)
        has_odds = hasattr(documents.calibration, "slope_")
        odds = found[2:] if has_odds else ()
        result = SearchResult(ids, found.scores, modalities, *odds)
        if like is None and not has_cut_offs:
            return result
        names = tags.as_queries().to_array()
        return result._first(count_kept(found, names, documents.calibration, **cut_offs))

    def transform(self, X, *, modality=None, document_modality=None, among=None):
        """The best similarities as a sparse matrix; every row is a query.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_queries, n_features)
            The queries.
        modality : str or sequence of str of shape (n_queries,), default=None
            The rows' modalities; not needed for an EmbeddingArray.
        document_modality : str or collection of str, default=None
            Search only documents of this modality or these modalities, as in
            `document_modality_`.
        among : collection of ids, mask or pandas Series, default=None
            Search only these documents; see `search`.

        Returns
        -------
        csr_array of float64 of shape (n_queries, n_documents)
            The scores of each query's `n_neighbors` best documents (cosines, without a
            score calibration), zeros among them stored, columns as in `ids_`.
        """
        documents, found, _ = self._rank(X, None, modality, document_modality, among)
        indices = documents.places_of(found.positions)
        n_queries, n_found = indices.shape
        starts = n_found * np.arange(n_queries + 1)
        shape = (n_queries, len(documents))
        return csr_array((found.scores.ravel(), indices.ravel(), starts), shape=shape)

    def export_vectors(self, query_modality="query:text", *, metric="ip", length=None):
        """Export the documents as vectors for another store, which then ranks as this does.

        A document that comes or goes changes no other vector, only the vectors that ask, so that
        an export brings a store up to date by few writes: see `ExportedVectors.changes`.

        Parameters
        ----------
        query_modality : str, default="query:text"
            The modality of the queries. With a score calibration each modality has vectors of
            its own.
        metric : {"ip", "cosine", "l2"}, default="ip"
            What the store compares by: inner products, cosines or Euclidean distances.
        length : float, default=None
            For ``"cosine"`` and ``"l2"``: the `ExportedVectors.length` of an earlier export, so
            that its vectors stay. By default 1.25 times the longest vector of inner products.

        Returns
        -------
        ExportedVectors
            With `vectors`, `ids`, and how to ask and to read the answers.

        Raises
        ------
        ValueError
            If the ranking of the score calibration is not linear in the cosines, or it learned
            nothing about this query modality: the vectors would rank by plain cosines, and
            nothing in them would say so. If a vector is longer than `length`.

        See Also
        --------
        gapremoval.StoreRetriever : Fills and asks a store by itself.
        """
        check_is_fitted(self)
        return export_vectors(self._index.now, query_modality, metric, length)

    def score(self, X, y, sample_weight=None, *, modality=None):
        """Mean NDCG@10 over the judged queries among the rows.

        Document rows in `X` are ignored. Raises if one of them is not indexed, or was indexed
        with other parts: splitters that hold documents out measure how much of the corpus is
        missing. Cross-validate with ``QueryKFold``.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Queries; document rows are ignored.
        y : sequence of length n_rows
            For a query its relevance: an id, a collection of ids, a dict id -> gain, or None
            where it is unknown, which leaves the query out. For a document row its id.
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
            If no query is judged, or a document that is named is not in the corpus.
        """
        check_is_fitted(self)
        return self._score_queries(X, y, sample_weight, modality=modality)

    _score_queries = score_queries

    @property
    def _writing(self):
        """The lock that one thread holds while it changes the corpus."""
        return vars(self).setdefault("_lock", RLock())

    def _add(self, rows, y, replaces=False):
        """Index the documents among checked rows, and learn from the queries."""
        check_fusion_weight(self.fusion_weight)
        index, now = self._index, self._index.now
        tags, at = rows.tags, np.flatnonzero(~rows.tags.is_query)
        parts = rows[as_slice(at)]  # refuses NaN and infinity in all rows
        y = None if y is None else check_y(y, len(tags))
        _warn_of_no_ids(y, parts.tags.counts())
        ids, document = group_ids(self._document_ids(y, at, now.n_rows_seen))
        known, gone = index.find_known(ids, replaces)
        added = fuse_documents(parts, ids, document, self.fusion_weight)
        warn_of_zero_length(ids[added.undirected].tolist())
        of_one_origin = now.origin is not None and tags.origin is not None
        new_means = (a | b for a, b in zip(unit_means(parts), unit_means(_questions(rows, y))))
        means = warn_of_far_means(now.means, tuple(new_means), of_one_origin=of_one_origin)
        calibration = now.calibration
        if not now.modalities and self.score_calibration is not None:
            calibration = clone(self.score_calibration)
        if calibration is None:
            after = index.changed(added, {}, gone)
        else:
            position = np.full(len(tags), -1)
            position[at] = now.next_position + document
            answers = np.concatenate([now.ids, ids]) if len(at) < len(tags) else ids
            banks = make_banks(rows, position, y, answers)
            after = calibrated(index, banks, added, gone, calibration)
            warn_of_unlearned(after, list(filter(is_query, tags.counts())))
        has_ids = now.n_rows_seen is None or (y is not None and len(at))
        seen = None if has_ids else now.n_rows_seen + len(tags)
        modalities = tuple(dict.fromkeys([*now.modalities, *tags.counts()]))
        origin = now.origin or tags.origin
        after = replace(after, modalities=modalities, n_rows_seen=seen, means=means, origin=origin)
        index.publish(after, ids.tolist(), known)

    def _document_ids(self, y, at, seen):
        """The ids of the rows `at`: those in `y`, or row numbers that continue `seen`."""
        if not len(at):
            return np.empty(0, dtype=np.int64)
        if y is not None:
            return check_ids(y[at], at)
        if seen is None:
            raise ValueError(
                "The documents so far have ids of their own: give those of the new ones in y."
            )
        return seen + at.astype(np.int64)

    def _rank(
        self,
        X,
        n_neighbors,
        modality,
        document_modality=None,
        among=None,
        like=None,
        with_odds=False,
    ):
        """Rank documents for rows that are all queries, or for documents.

        Returns
        -------
        documents : Snapshot
            The whole corpus.
        found : Ranking
        tags : Tags
            The modalities of the queries.
        """
        if not hasattr(self, "_index"):
            check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        check_question(X, like, modality, k)
        documents, without = self._index.now, None
        if document_modality is not None:
            there = {name for name, _ in documents.segments}
            document_modality = modalities_named(document_modality, there)
        if like is not None:
            without = positions_like(self._index, documents, like)
            names = documents.column_of("id", without)[1]
            tags = Tags.encode([as_query(name) for name in names.tolist()], len(names))
            rows = Rows(documents.vectors_of(without), tags)
        else:
            known, origin = documents.modalities, documents.origin
            rows = check_rows(self, X, modality, known=known, origin=origin)
            warn_of_no_query(rows.tags, documents.modalities)
        searched = documents
        if among is not None:
            among = rows_among(self._index, documents, among)
        if among is not None or document_modality is not None:
            searched = documents.part(document_modality, among)
        found = rank(searched, rows, k, without=without, with_odds=with_odds)
        return documents, found, rows.tags

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("_lock", None)
        if "_index" in state:
            # Without what is kept to add documents fast, and so that a shallow copy does not
            # change together with this retriever.
            state["_index"] = Index(self._index.now)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _questions(rows, y):
    """The queries among rows, each question once, without those that nothing answers.

    The latter may be about anything.
    """
    at = np.flatnonzero(rows.tags.is_query)
    if y is not None:
        at = at[[not is_unanswered(answer) for answer in y[at]]]
    if not len(at):
        return rows[at]
    unit = unit_on_host(rows.values, at, compute_dtype(to_numpy(rows.values[:0, ...])))
    first, *_ = group_rows(np.column_stack([unit, rows.tags.codes[at]]))
    return rows[at[first]]


def warn_of_no_query(tags, known):
    """Warn about rows that ask and are not marked as queries, if others were before."""
    if not tags.is_query.any() and any(map(is_query, known)):
        warn(
            "None of these rows is marked as a query, so the step before centered them on the mean "
            "of documents. Tag them 'query:text' or the like, or call gapremoval.search, which "
            "does that.",
        )


def _warn_of_no_ids(y, counts):
    """Warn about rows of several modalities without ids, whose parts are not joined."""
    if y is None and len(counts) > 1:
        warn(
            f"y was not given, so no parts were joined: each row of {', '.join(map(repr, counts))} "
            "is a document of its own. Rows with the same id in y are the parts of one document. "
            "If none belong together, say so by y=range(len(X))."
        )

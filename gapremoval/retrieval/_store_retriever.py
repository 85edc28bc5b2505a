"""StoreRetriever: search documents whose vectors lie in a store."""

import copy
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from numbers import Integral, Real
from threading import RLock

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from .._base import GapEstimator
from .._embeddings import EmbeddingArray
from .._modality import Tags, as_query
from .._ranking_metrics import gains_of, get_ranking_metric
from .._relevance import check_known
from .._validation import Rows, check_rows
from .._warnings import shown
from ..score_calibration import ScoreCalibrator
from ..stores import Store, WritableStore
from ._among import _is_mask, _listed
from ._cut_offs import check_cut_offs
from ._retriever import warn_of_no_query
from ._scoring import judged_queries
from ._search_options import check_question, modalities_named
from ._store_documents import (
    directed_documents,
    joined,
    read_metadata,
    rewritten_rows,
    rows_of,
    those_known,
)
from ._store_head import StoreHead, without_documents
from ._store_learning import exact_index, filled, layout_of, learned_raw, with_new_rows
from ._store_search import search_store


class StoreRetriever(GapEstimator):
    """Search documents whose vectors lie in a store: a file, a database or a cluster.

    It takes the place of `MixedModalityRetriever` behind the same steps, and ranks as that does,
    as exactly as the store's index. Rows are fused into documents, a score calibration learns,
    and the documents are written to the store as exported vectors (see
    `MixedModalityRetriever.export_vectors`), whose inner product with a query is the calibrated
    score. What was learned is kept beside them, so that a later process opens the store and
    searches right.

    Parameters
    ----------
    store : WritableStore, or Store with ``raw=True``
        Such as `gapremoval.stores.FaissStore` or `gapremoval.stores.MilvusStore`.
    n_neighbors : int, default=10
        Number of documents that a query finds, at least 1; at most the size of the corpus.
    fusion_weight : float in [0, 1] or dict of str to float, default=0.5
        Weights of the modalities of a document; see `MixedModalityRetriever`.
    score_calibration : ScoreCalibrator, default=None
        Makes the scores of documents of different modalities comparable, such as
        `PosteriorOdds()`.
    raw : bool or dict of str to ndarray, default=False
        Whether the store holds embeddings as their encoder made them, of unit length, that
        another program put there and that stay as they are. A dict has their center for each
        modality: the `centers_` of the `ModalityGapRemover` that transforms the queries (times
        its `strength`). With True the centers are the means of a sample of rows.
    query_modalities : sequence of str, default=None
        The query modalities that will be asked, such as ``["query:text"]``. Each takes a block
        of `n_features` numbers of every row. By default all that the score calibration learned
        about.

    Attributes
    ----------
    store_ : WritableStore or Store
        The store that is searched.
    score_calibration_ : ScoreCalibrator or None
        The fitted score calibration.
    n_documents_ : int
        Number of documents, as far as this retriever knows: `open` counts them anew.
    modalities_ : tuple of str
        The modalities of all rows so far, those of queries included.
    encoder_ : str or None
        The encoder of the rows so far, where they name it; rows of another are refused.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    MixedModalityRetriever : Searches in this process, exactly. Tune with it, then move the
        parameters.

    Notes
    -----
    What differs from `MixedModalityRetriever`: equal scores have no order, results have no
    evidence and no false alarm, there is no `ids_`, `kneighbors` or `transform` (a store has no
    row numbers), masks name no documents, and documents of length zero are left out.
    Probabilities are estimated as by `ExportedVectors.probabilities`, from the best hundred
    documents; with `among`, `filter` and `document_modality` they are given that one of those
    found answers.

    `fit`, and `partial_fit` with queries or with the first documents of a modality, fill a new
    store, which takes the place of the old one in one step; an error or an interrupt leaves the
    old one. `fit` learns from all its documents, and such a `partial_fit` from the new ones and at
    most 20,000 of each modality that the store draws. `partial_fit` with documents alone, and
    `remove`, write those documents only. One process at a time changes a store; others open it
    again to see what was learned.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from gapremoval import ModalityGapRemover, PosteriorOdds, StoreRetriever
    >>> from gapremoval import make_search_pipeline, search
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.stores import FaissStore
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> exact = make_search_pipeline().fit(X, y)
    >>> retriever = StoreRetriever(FaissStore(), score_calibration=PosteriorOdds())
    >>> pipe = make_pipeline(ModalityGapRemover(), retriever)
    >>> found = search(pipe.fit(X, y), X[-2:], 5)
    >>> bool((found.ids == search(exact, X[-2:], 5).ids).all())
    True
    """

    __metadata_request__fit = {"modality": True, "overwrite": True, "metadata": True}
    __metadata_request__partial_fit = {"modality": True, "metadata": True}
    __metadata_request__predict = {
        "modality": True,
        "document_modality": True,
        "among": True,
        "filter": True,
    }
    __metadata_request__score = {"modality": True}

    _parameter_constraints = {
        "store": [Store],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "fusion_weight": [Interval(Real, 0, 1, closed="both"), Mapping],
        "score_calibration": [ScoreCalibrator, None],
        "raw": ["boolean", Mapping],
        "query_modalities": ["array-like", None],
    }
    _fixed_in_fit = ("fusion_weight", "score_calibration", "raw", "query_modalities")

    def __init__(
        self,
        store,
        *,
        n_neighbors=10,
        fusion_weight=0.5,
        score_calibration=None,
        raw=False,
        query_modalities=None,
    ):
        self.store = store
        self.n_neighbors = n_neighbors
        self.fusion_weight = fusion_weight
        self.score_calibration = score_calibration
        self.raw = raw
        self.query_modalities = query_modalities

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, modality=None, overwrite=False, metadata=None):
        """Learn, and fill the store with the documents; query rows are not stored.

        With ``raw=True`` nothing is written. The score calibration then learns from a sample of
        the store's rows and from the query rows of `X`, whose document rows are not read.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The documents' rows, and any queries.
        y : sequence of length n_rows, default=None
            The id of each document row: all str or all integers. For a query row its relevance;
            see `MixedModalityRetriever.fit`.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.
        overwrite : bool, default=False
            Whether the documents of a store that holds some are replaced.
        metadata : DataFrame indexed by id, or dict of id to dict, default=None
            Other fields of the documents, which `filter` of `search` can name.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for `MixedModalityRetriever.fit`; if the store holds rows and `overwrite` is False;
            if query modalities are named about which nothing was learned; with ``raw=True``, if
            the store is empty or has rows of another length than 1.
        """
        with self._writing, self._fitting() as twin:
            rows = check_rows(twin, X, modality, reset=True)
            X = EmbeddingArray(rows.values, rows.tags)
            twin._fix_parameters()
            if self.raw is not False:
                twin._head = learned_raw(twin, X, y)
            else:
                self._check_writable()
                documents = exact_index(twin).fit(X, y)._index.now
                documents = directed_documents(documents)
                layout = layout_of(documents, self.query_modalities)
                metadata = read_metadata(metadata, documents.ids.tolist())
                rows, store = rows_of(documents, layout, metadata), copy.copy(self.store)
                learned = without_documents(documents)
                twin._head = filled(
                    store, learned, layout, rows, self.fusion_weight, overwrite=overwrite
                )
        return self

    def open(self):
        """Take up a store that another retriever filled, with what that has learned.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If nothing was learned that stands beside the rows of the store, it does not fit the
            rows, or this retriever was given another score calibration or fusion weight.
        """
        self._check_writable()
        store = copy.copy(self.store)
        settings = store.read_settings()
        if settings is None:
            raise ValueError(
                f"{store!r} was not filled by a StoreRetriever: there is no calibration beside its "
                "rows. Fit one, or search raw embeddings with raw=True."
            )
        head = StoreHead.from_bytes(store, settings).counted(store.count())
        head.check_fits(self.score_calibration, self.fusion_weight)
        with self._writing, self._fitting() as twin:
            twin._head, twin.n_features_in_ = head, head.n_features
            twin._fix_parameters()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, *, modality=None, metadata=None):
        """Add documents, and let the score calibration learn from new query rows.

        Documents alone cost their own writing. Queries, and the first documents of a modality,
        let the score calibration learn, after which all rows are written anew, to a new store
        that takes the place of the old one.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            The documents' rows, and any queries, which are not stored. With ``raw=True`` queries
            alone.
        y : sequence of length n_rows, default=None
            As for `fit`. Without it, row numbers continue those of the rows so far.
        modality : str or sequence of str of shape (n_rows,), default=None
            The rows' modalities; not needed for an EmbeddingArray.
        metadata : DataFrame indexed by id, or dict of id to dict, default=None
            Other fields of the documents.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for `fit`, and if an id is already there, the rows come from another encoder than
            those before, or a parameter was changed since the fit.
        """
        return self._add_documents(X, y, modality, metadata=metadata)

    def _add_documents(self, X, y, modality, replace=False, metadata=None):
        """Add documents as `partial_fit` does; with `replace`, ids may be there already."""
        with self._writing:
            if not hasattr(self, "_head"):
                return self.fit(X, y, modality=modality, metadata=metadata)
            self._refuse_changed_parameters()
            head, learned = self._head, self._head.learned
            rows = check_rows(self, X, modality, known=learned.modalities, origin=learned.origin)
            X = EmbeddingArray(rows.values, rows.tags)
            if head.layout is None and not rows.tags.is_query.all():
                raise ValueError(
                    "With raw=True documents are added to the store itself, and partial_fit takes "
                    "queries alone."
                )
            after, learns, since = with_new_rows(self, X, y)
            new = after.column_of("id", after.positions[after.positions >= since])[0].tolist()
            known = those_known(head.store, new)
            if known and not replace:
                raise ValueError(
                    f"{len(known)} of the new documents are already in the store: {shown(known)}. "
                    "add_documents(pipe, X, ids, replace=True) replaces them."
                )
            if head.layout is None:
                head = head.with_learned(without_documents(after))
                self._head = head.counted(head.store.count())
                return self
            after = directed_documents(after)
            layout = layout_of(after, self.query_modalities) if learns else head.layout
            before = head.store.fetch(known) if known else None
            metadata = read_metadata(metadata, new)
            if before is not None and before.metadata is not None:
                metadata = dict(zip(known, before.metadata)) | dict(metadata or {})
            rows = rows_of(after, layout, metadata, since)
            if learns:
                old = rewritten_rows(head.store, head.layout, after, layout, set(new))
                learned, store = without_documents(after), copy.copy(head.store)
                rows = chain(old, rows)
                self._head = filled(
                    store, learned, layout, rows, self.fusion_weight, overwrite=True
                )
            else:
                # In one go, since some stores are written as a whole.
                rows = joined(rows) if (rows := list(rows)) else None
                added = [] if rows is None else rows.modalities.tolist()
                gone = [] if before is None else before.modalities.tolist()
                lost = set(known) - set([] if rows is None else rows.ids.tolist())
                # Settings first, or documents could be there that were not acknowledged.
                counts = Counter(head.counts) + Counter(added) - Counter(gone)
                head = head.with_learned(without_documents(after)).counted(counts)
                head.store.write_settings(head.to_bytes())
                if rows is not None:
                    head.store.upsert(rows)
                if lost:  # replaced by documents of length zero
                    head.store.delete(list(lost))
                self._head = head
        return self

    def remove(self, ids):
        """Remove documents.

        Parameters
        ----------
        ids : id, collection of ids, or pandas Series of bool indexed by id
            The documents.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an id is not in the store; nothing is removed then. If the store holds raw rows.
        """
        check_is_fitted(self)
        with self._writing:
            if self._head.layout is None:
                raise ValueError("With raw=True documents are removed from the store itself.")
            ids = self._ids(ids, "remove")
            head = self._head
            gone = head.store.fetch(ids).modalities.tolist() if ids else []
            head.store.delete(ids)
            self._head = head.counted(Counter(head.counts) - Counter(gone))
        return self

    @property
    def store_(self):
        """The store that is searched."""
        return self._head.store

    @property
    def score_calibration_(self):
        """The fitted score calibration, or None."""
        return self._head.calibration

    @property
    def n_documents_(self):
        """The number of documents, as far as this retriever knows."""
        return sum(self._head.counts.values())

    @property
    def modalities_(self):
        """The modalities of all rows so far, those of queries included."""
        return self._head.learned.modalities

    @property
    def encoder_(self):
        """The encoder of the rows so far, or None."""
        return getattr(self._head.learned.origin, "encoder", None)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_head")

    def predict(self, X, *, modality=None, document_modality=None, among=None, filter=None):
        """The ids of the best documents; every row is a query.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_queries, n_features)
            The queries.
        modality : str or sequence of str of shape (n_queries,), default=None
            The rows' modalities; not needed for an EmbeddingArray.
        document_modality, among, filter : object, default=None
            See `search`.

        Returns
        -------
        ndarray of shape (n_queries, n_found)
            Ids, best first; None where a query found fewer documents than others.
        """
        options = {"document_modality": document_modality, "among": among, "filter": filter}
        return self._search(X, None, modality, None, options, with_odds=False).ids

    def search(
        self,
        X=None,
        n_neighbors=None,
        *,
        modality=None,
        document_modality=None,
        among=None,
        filter=None,
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
            Number of documents per query. By default the value passed to the constructor.
        modality : str or sequence of str of shape (n_queries,), default=None
            The rows' modalities; not needed for an EmbeddingArray.
        document_modality : str or collection of str, default=None
            Search only documents of this modality or these modalities.
        among : collection of ids or pandas Series of bool indexed by id, default=None
            Search only these documents.
        filter : object, default=None
            Search only documents whose metadata satisfy this condition in the store's own
            language, such as ``'brand == "x" and price < 10'`` in Milvus.
        like : id or collection of ids, default=None
            Ask with these documents in place of `X`, each for others like it.
        max_false_alarm : None
            Not known in a store: an error unless None.
        min_probability : float in [0, 1], default=None
            Leave out documents whose probability is lower.

        Returns
        -------
        SearchResult
            With probabilities if the score calibration gives them, without evidence and false
            alarms. With ``raw=True`` it also has `certified`, an ndarray of bool of shape
            (n_queries,): whether the documents found are certainly the best of all, if the
            store's search is exact; and `n_fetched`, the number of rows that were fetched.

        Raises
        ------
        ValueError
            If an id is not in the store, no document has the `document_modality`, or the store
            holds no vectors for queries of this modality.
        TypeError
            If both `X` and `like` are given, or neither.
        """
        check_is_fitted(self)
        if max_false_alarm is not None:
            raise ValueError(
                "A store gives no false alarms: search with min_probability=, or with "
                "MixedModalityRetriever."
            )
        if min_probability is not None:
            check_cut_offs(self.score_calibration_, min_probability=min_probability)
        options = {"document_modality": document_modality, "among": among, "filter": filter}
        found = self._search(X, n_neighbors, modality, like, options)
        if min_probability is None or found.probabilities is None:
            return found
        kept = found._is_there & ~(found.probabilities < min_probability)
        return found._first(kept.sum(axis=1))

    def score(self, X, y, sample_weight=None, *, modality=None):
        """Mean NDCG@10 over the judged queries among the rows.

        Parameters
        ----------
        X : EmbeddingArray or array-like of shape (n_rows, n_features)
            Queries; document rows are ignored if they are in the store.
        y : sequence of length n_rows
            The relevance of queries, as `MixedModalityRetriever.score` takes it.
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
            If no query is judged, or a document that is named is not in the store.
        """
        check_is_fitted(self)
        return self._score_queries(X, y, sample_weight, modality=modality)

    def _score_queries(self, X, y, sample_weight=None, *, modality=None, metric="ndcg@10"):
        """As `score`, by any ranking metric."""
        metric, k = get_ranking_metric(metric)
        learned = self._head.learned
        rows = check_rows(self, X, modality, known=learned.modalities, origin=learned.origin)
        judged = judged_queries(rows, y, sample_weight, self._known)
        ranking = search_store(self._head, judged.queries, k, with_odds=False).ids
        return judged.mean(metric, gains_of(judged.relevance, ranking, k), k)

    # What was learned, and the rows that are written.

    @property
    def _writing(self):
        """The lock that one thread holds while it changes the store."""
        return vars(self).setdefault("_lock", RLock())

    def _check_writable(self):
        """Raise if the store cannot be filled, or must not be."""
        if self.raw is not False:
            raise ValueError(
                "With raw=True nothing is kept in the store: fit, or load a retriever that was "
                "pickled."
            )
        if not isinstance(self.store, WritableStore):
            raise TypeError(
                f"{type(self.store).__name__} is no WritableStore, such as FaissStore. With "
                "raw=True any Store is searched as it is."
            )

    # Ids.

    def _known(self, ids):
        """Those of some ids that are in the store: ndarray of object."""
        return np.array(those_known(self.store_, ids), dtype=object)

    def _ids(self, given, name):
        """The ids that are given, each once; all of them are in the store."""
        ids = _listed(given, name)
        if _is_mask(ids):
            if not hasattr(given, "loc"):
                raise ValueError(
                    f"{name} takes ids: the rows of a store have no order that a mask could follow."
                )
            ids = given.index[np.asarray(ids, dtype=bool)].tolist()
        ids = list(dict.fromkeys(ids))
        check_known(ids, self._known(ids), what=f"argument {name}")
        return ids

    # Search.

    def _search(self, *asked, **options):
        """As `_searched`, again if another thread has replaced the store meanwhile."""
        check_is_fitted(self)
        while True:
            head = self._head
            try:
                return self._searched(head, *asked, **options)
            except LookupError:
                with self._writing:  # by a thread that is about to put the new head in place
                    if self._head is head:
                        raise

    def _searched(self, head, X, n_neighbors, modality, like, options, with_odds=True):
        """The SearchResult of rows that are all queries, or of documents."""
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        check_question(X, like, modality, k)
        options = {name: x for name, x in options.items() if x is not None}
        if "among" in options:
            options["among"] = self._ids(options["among"], "among=")
        if "document_modality" in options:
            options["modality"] = modalities_named(options.pop("document_modality"), head.counts)
        options["with_odds"] = with_odds
        if like is not None:
            ids = _listed(like, "like=")
            if not ids or _is_mask(ids):
                raise ValueError(f"like= takes the ids of documents; got {repr(like)[:60]}.")
            self._ids(ids, "like=")
            rows = head.store.fetch(ids)
            tags = Tags.encode([as_query(name) for name in rows.modalities.tolist()], len(ids))
            rows = Rows(head.documents_in(rows), tags)
            return search_store(head, rows, k, without=ids, **options)
        learned = head.learned
        rows = check_rows(self, X, modality, known=learned.modalities, origin=learned.origin)
        warn_of_no_query(rows.tags, learned.modalities)
        return search_store(head, rows, k, **options)

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("_lock", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags = None
        return tags

    @property
    def fit_transform(self):
        """There is none: the rows of a store have no numbers for columns to follow."""
        raise AttributeError("StoreRetriever has no fit_transform, since it has no transform.")

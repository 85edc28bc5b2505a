"""What a fitted pipeline does as a whole: search, teach, add_documents, remove_documents."""

from collections.abc import Mapping, Set
from numbers import Real

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted

from ._base import GapEstimator
from ._combined_queries import combine_queries
from ._embeddings import EmbeddingArray
from ._items import Query, combined_parts, is_item, item_modality
from ._modality import Tags, as_query, is_query
from ._relevance import check_y
from ._validation import UNTAGGED
from .calibration import ModalityGapRemover
from .encoders import EncodingError, make_encoder
from .retrieval import MixedModalityRetriever
from .score_calibration import PosteriorOdds


def search(
    estimator,
    queries=None,
    n_neighbors=None,
    *,
    modality=None,
    document_modality=None,
    among=None,
    like=None,
    filter=None,
    max_false_alarm=None,
    min_probability=None,
):
    """Search with one query or many.

    Marks the input as queries, passes it through the steps before the last, and searches with
    the last step. The ``predict`` method of a stock ``Pipeline`` does not mark queries, so a
    text would be centered on the mean of the documents.

    Parameters
    ----------
    estimator : fitted Pipeline, search object such as GridSearchCV, or retriever
        Its last step is a `MixedModalityRetriever`, a `StoreRetriever` or another estimator with
        a ``search`` method.
    queries : object
        One query or a sequence of them (a list, array, or column of pandas, polars or Arrow).
        For a pipeline that begins with an encoder: texts (str), images (``Path``, PIL image,
        uint8 array of shape (H, W, 3)) or `Query` objects, combined ones too. Otherwise an
        EmbeddingArray (its document modalities become query modalities), an array of shape
        (n_queries, n_features), or one vector of shape (n_features,).
    n_neighbors : int, default=None
        Number of documents per query. By default the value passed to the retriever; at most
        the size of the corpus.
    modality : str or sequence of str, default=None
        Modality of vectors without tags: ``"text"`` or ``"query:text"``. Not needed if the
        estimator was fitted with exactly one query modality.
    document_modality : str or collection of str, default=None
        Search only documents of these modalities, such as ``"image"``.
    among : collection of ids, mask or pandas Series, default=None
        Search only these documents: their ids, a mask in the order of the retriever's `ids_`, or
        a Series of bool whose index holds ids, such as ``meta["brand"] == "x"``. It takes the
        time of the documents searched. Scores do not change, and probabilities are those given
        that one of these documents answers. An empty selection finds nothing.
    like : id or collection of ids, default=None
        Ask with these documents in place of `queries`, each for others like it. No document
        finds itself.
    filter : object, default=None
        For a `StoreRetriever`: search only documents whose metadata satisfy this condition in the
        store's own language, such as ``'brand == "x" and price < 10'`` in Milvus.
    max_false_alarm : float in [0, 1], default=None
        Find nothing for queries whose false alarm is higher; see `SearchResult`.
    min_probability : float in [0, 1], default=None
        Leave out documents whose probability is lower.

    Returns
    -------
    SearchResult
        One row per query.

    Raises
    ------
    TypeError
        If the last step of `estimator` cannot search, or has no metadata to filter by; if both
        `queries` and `like` are given, or neither.
    NotFittedError
        If `estimator` is not fitted, or is a search object without ``refit=True``.
    ValueError
        If the modality of bare vectors is not known, there is no query, `modality` is given
        for raw items, or raw items are given to a pipeline without an encoder; if an id is not
        in the corpus, a mask does not have one entry a document, or a cut-off is out of range or
        the score calibration gives no probabilities.

    See Also
    --------
    add_documents, remove_documents : Change the corpus of a fitted pipeline.
    teach : Learns from queries, and from what answered them.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from gapremoval import MixedModalityRetriever, ModalityGapRemover, search
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever()).fit(X, y)
    >>> found = search(pipe, X[-2:], 5)
    >>> found.ids.shape
    (2, 5)

    Documents like one, among a few:

    >>> search(pipe, like="item0", among=["item0", "item1", "item2"]).ids.shape
    (1, 2)
    """
    steps, retriever = _split_to(estimator, "search")
    if (queries is None) == (like is None):
        raise TypeError("search takes either queries or like=, the ids of documents that ask.")
    if filter is not None and isinstance(retriever, MixedModalityRetriever):
        raise TypeError(
            "MixedModalityRetriever holds no metadata, so filter= is for a StoreRetriever alone: "
            "give among=, the ids of the documents to search or a mask."
        )
    options = {
        "modality": modality,
        "document_modality": document_modality,
        "among": among,
        "like": like,
        "filter": filter,
        "max_false_alarm": max_false_alarm,
        "min_probability": min_probability,
    }
    if like is None:
        queries = _as_queries(queries, modality, [*steps, retriever])
        queries, options["modality"] = transform_steps(steps, *queries)
    options = {name: value for name, value in options.items() if value is not None}
    return retriever.search(queries, n_neighbors, **options)


def add_documents(estimator, X, ids, *, modality=None, replace=False, metadata=None):
    """Add documents to a fitted pipeline, in place.

    The steps before the last transform the new rows as fitted, and the last step indexes them.
    What these steps learned does not change: `gapremoval.calibration.drift` tells when to fit
    again. Queries among the rows are not indexed; the score calibration learns from them, as
    by `teach`.

    Parameters
    ----------
    estimator : fitted Pipeline, search object such as GridSearchCV, or retriever
        Its last step is a `MixedModalityRetriever` or another estimator with ``partial_fit``.
    X : list of items, EmbeddingArray or array of shape (n_rows, n_features)
        The rows of the documents, and any queries (``query:`` rows, `Query` items), as ``fit``
        takes them.
    ids : sequence of length n_rows or None
        The document id of each row; for a query its relevance, None where it is unknown. None
        in place of all continues the row numbers of a corpus that was fitted without ids.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for items or an EmbeddingArray.
    replace : bool, default=False
        Whether a document whose id is already indexed is replaced. By default it is an error.
    metadata : DataFrame indexed by id, or dict of id to dict, default=None
        For a `StoreRetriever`: other fields of the documents, which ``filter`` of `search` names.
        Without it, documents that are replaced keep theirs.

    Raises
    ------
    TypeError
        If the last step of `estimator` cannot add documents, or holds no metadata.
    ValueError
        If an id is already indexed and `replace` is False, or ``fit`` would refuse the rows.
        The corpus then stays as it was.

    See Also
    --------
    remove_documents : Removes documents by id.
    teach : Learns from queries.

    Examples
    --------
    >>> from gapremoval import add_documents, make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_search_pipeline().fit(X, y)
    >>> new, ids = make_mixed_modality(20, queries={}, random_state=1)
    >>> add_documents(pipe, new, [f"new-{i}" for i in ids])
    >>> pipe[-1].n_documents_
    220
    """
    steps, retriever = _split_to(estimator, "partial_fit")
    if isinstance(X, list | tuple) and modality is None:
        X, tags = transform_steps(steps, list(X), _tags_of_items(X))
    else:
        tags = None if modality is None else Tags.encode(modality, len(X))
        X, tags = transform_steps(steps, X, tags)
    options = {} if metadata is None else {"metadata": metadata}
    if options and isinstance(retriever, MixedModalityRetriever):
        raise TypeError("MixedModalityRetriever holds no metadata: that is for a StoreRetriever.")
    if replace:
        retriever._add_documents(X, ids, tags, replace=True, **options)
    else:
        retriever.partial_fit(X, ids, modality=tags, **options)


def remove_documents(estimator, ids):
    """Remove documents from a fitted pipeline, in place.

    Parameters
    ----------
    estimator : fitted Pipeline, search object such as GridSearchCV, or retriever
        Its last step is a `MixedModalityRetriever` or another estimator with ``remove``.
    ids : id, collection of ids, mask, or pandas Series of bool indexed by id
        The documents to remove, named as ``among`` of `search` names them.

    Raises
    ------
    TypeError
        If the last step of `estimator` cannot remove documents.
    ValueError
        If an id is not indexed. No document is removed then.

    See Also
    --------
    add_documents : Adds documents.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline, remove_documents
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_search_pipeline().fit(X, y)
    >>> remove_documents(pipe, ["item0", "item1"])
    >>> pipe[-1].n_documents_
    198
    """
    _, retriever = _split_to(estimator, "remove")
    retriever.remove(ids)


def teach(estimator, queries, relevance=None, *, modality=None):
    """Let a fitted pipeline learn from queries and from what answered them, in place.

    The score calibration learns again, from these queries and those that it kept before: what
    is asked here, how often each modality answers, and what a question looks like that nothing
    answers. Queries teach with and without relevance.

    Parameters
    ----------
    estimator : fitted Pipeline, search object such as GridSearchCV, or retriever
        Its last step is a `MixedModalityRetriever` with a score calibration, or another
        estimator with ``partial_fit``.
    queries : object
        One query or a sequence of them, as `search` takes them.
    relevance : object, default=None
        For one query its relevance, for a sequence a sequence of the same length. The relevance
        of a query is the id of the document that answers it, a collection of ids, a dict id ->
        gain (of which those with the largest gain count), ``[]`` where nothing answers, or None
        where it is unknown. By default all are unknown.
    modality : str or sequence of str, default=None
        Modality of vectors without tags, as for `search`.

    Raises
    ------
    TypeError
        If the last step of `estimator` cannot learn from queries.
    NotFittedError
        If `estimator` is not fitted.
    ValueError
        If there is no score calibration, `relevance` has another length than `queries` or names
        a document that is not indexed, or `search` would refuse the queries. Nothing is learned
        then.

    See Also
    --------
    add_documents : Adds documents.
    search : Searches; it learns nothing from its queries.

    Notes
    -----
    The steps before the last stay as fitted. The query mean of a `ModalityGapRemover` is one of
    these: changed, it would move all later queries. `gapremoval.calibration.drift` tells
    whether queries have moved away from it.

    A question that is asked many times counts once. Its judgments add up: documents that were
    named at different times are all right answers, and ``[]`` counts where none was named. At
    most 1,024 questions of each modality are kept, as rows of numbers: judged ones first, then
    the newest, and a sample of older ones.

    Each call takes the time that ``fit`` spends on learning, one pass over the corpus, so teach
    many queries in one call.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline, search, teach
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> is_query = X.modality == "query:text"
    >>> pipe = make_search_pipeline().fit(X[~is_query], y[~is_query])
    >>> asked, answers = X[is_query], y[is_query]
    >>> teach(pipe, asked[:100])  # a log of queries
    >>> teach(pipe, asked[100:150], answers[100:150])  # what was clicked
    >>> hits = search(pipe, asked[150:], 1).ids[:, 0] == answers[150:]
    >>> hits.mean().round(1)
    np.float64(0.7)
    """
    steps, retriever = _split_to(estimator, "partial_fit")
    check_is_fitted(retriever)
    if getattr(retriever, "score_calibration_", True) is None:
        raise ValueError(
            f"{type(retriever).__name__} has no score calibration, so there is nothing that could "
            "learn from queries. make_search_pipeline() has one: "
            "MixedModalityRetriever(score_calibration=PosteriorOdds())."
        )
    queries = queries if is_item(queries) else _listed(queries)
    if _is_one(queries):
        relevance = [relevance]
    X, tags = _as_queries(queries, modality, [*steps, retriever])
    y = [None] * len(X) if relevance is None else check_y(relevance, len(X), "relevance")
    X, tags = transform_steps(steps, X, tags)
    retriever.partial_fit(X, y, modality=tags)


def split_steps(estimator):
    """The steps before the last and the last step of a pipeline or search object.

    Nested pipelines are flattened. A FrozenEstimator is replaced by its estimator, because it
    does not pass `modality` on.
    """
    steps, waiting = [], [estimator]
    while True:
        step = waiting.pop()
        if isinstance(step, Pipeline):
            waiting += [inner for _, inner in reversed(step.steps)]
        elif isinstance(step, FrozenEstimator):
            waiting.append(step.estimator)
        elif hasattr(step, "refit") and hasattr(step, "estimator"):
            message = "This %(name)s has no best_estimator_: fit it first, with refit=True."
            check_is_fitted(step, "best_estimator_", msg=message)
            waiting.append(step.best_estimator_)
        elif not waiting:
            return steps, step
        elif step is not None and step != "passthrough":
            steps.append(step)


def _split_to(estimator, method):
    """As `split_steps`; raises if the last step lacks a method."""
    steps, last = split_steps(estimator)
    if not hasattr(last, method):
        raise TypeError(
            f"{type(last).__name__} has no {method} method: the last step must be a "
            "MixedModalityRetriever, or another estimator that has one."
        )
    return steps, last


def transform_steps(steps, X, tags=None):
    """Transform rows or items by fitted steps, and keep their tags.

    No step adds, drops or reorders rows, so the tags of the input are those of the output,
    even where a stock step returns a bare array. The parts of combined queries are transformed
    as rows of their own, and then combined.

    Parameters
    ----------
    steps : list of fitted transformers
        From `split_steps`.
    X : EmbeddingArray, array or list of items of length n_rows
    tags : Tags, default=None
        The modality of each row; by default those of the EmbeddingArray.

    Returns
    -------
    X : object
        The output of the last step.
    tags : Tags or None
        Its tags, where they are known and it is not an EmbeddingArray.
    """
    is_items = isinstance(X, list | tuple) or getattr(getattr(X, "dtype", 0), "kind", "") == "O"
    if steps and is_items and any(map(combined_parts, X)):
        return _transform_combined(steps, list(X)), None
    for step in steps:
        known = X._tags if tags is None and isinstance(X, EmbeddingArray) else tags
        # Looking up the metadata requests of a step takes longer than a small search.
        if isinstance(step, GapEstimator):
            X = step.transform(X, modality=tags)
        elif known is not None and get_routing_for_object(step).consumes("transform", ["modality"]):
            X = step.transform(X, modality=known.to_array())
        else:
            X = step.transform(X)
        # What a stock step makes of rows is no longer in the space of their encoder.
        is_bare = known is not None and not isinstance(X, EmbeddingArray)
        tags = known.of_origin() if is_bare else None
    return X, tags


def _transform_combined(steps, items):
    """As `transform_steps`, for items with combined queries among them; an EmbeddingArray."""
    parts = [combined_parts(item) or [(item, np.nan)] for item in items]
    rows, weights = zip(*(part for some in parts for part in some))
    owner, weights = np.repeat(np.arange(len(items)), [*map(len, parts)]), np.array(weights)
    plain, combined = np.flatnonzero(np.isnan(weights)), np.flatnonzero(~np.isnan(weights))
    try:  # in one call, in which an encoder batches them
        X, tags = transform_steps(steps, list(rows), _tags_of_items(rows))
    except EncodingError as error:
        raise error.of_items(rows, owner, np.isnan(weights)) from None
    X = X if tags is None else EmbeddingArray(X, tags)
    queries = combine_queries(X[combined], weights[combined], owner[combined])
    X = EmbeddingArray.concatenate([X[plain], queries])
    return X[np.argsort([*owner[plain], *np.unique(owner[combined])])]


def _as_queries(queries, modality, steps):
    """Queries as the steps take them, Query items or rows; and their tags, if they carry none."""
    if isinstance(queries, EmbeddingArray) and modality is None and len(queries):
        return EmbeddingArray(queries.values, queries._tags.as_queries()), None
    retriever = steps[-1]
    check_is_fitted(retriever)
    queries = [queries] if is_item(queries) else _listed(queries)
    if isinstance(queries, list) and any(map(is_item, queries)):
        if modality is not None:
            raise ValueError(
                "modality= is for vectors only. The modality of texts, images and Query objects is "
                "known."
            )
        queries = [item if isinstance(item, Query) else Query(item) for item in queries]
        return queries, _tags_of_items(queries)
    if not hasattr(queries, "shape"):
        queries = np.asarray(queries)
    if not len(queries.shape) or not queries.shape[0]:
        raise ValueError(f"There is no query in {queries!r}.")
    if len(queries.shape) == 1:
        queries = queries[None, :]
    if modality is None:
        modality = _only_query_modality(getattr(retriever, "modalities_", ()))
    names = [modality] if isinstance(modality, str) else modality
    names = [as_query(name) if isinstance(name, str) else name for name in names]
    tags = Tags.encode(names[0] if isinstance(modality, str) else names, queries.shape[0])
    # The column names of a frame are for steps that were fitted with names.
    named = hasattr(queries, "iloc") and hasattr(steps[0], "feature_names_in_")
    return (queries, tags) if named else (EmbeddingArray(queries, tags), None)


def _listed(queries):
    """A column or sequence of queries as a list; an array of numbers as it is."""
    for as_list in ("to_pylist", "to_list"):  # a column of Arrow; of pandas or polars
        if hasattr(queries, as_list):
            return getattr(queries, as_list)()
    if hasattr(queries, "shape") or hasattr(queries, "__array__"):
        is_pictures = getattr(queries, "ndim", 0) == 4
        is_items = getattr(getattr(queries, "dtype", None), "kind", None) in ("O", "U", "T")
        return list(queries) if is_pictures else queries.tolist() if is_items else queries
    if not np.iterable(queries) or isinstance(queries, bytes | Mapping | Set):
        raise TypeError(
            f"{queries!r} is no query: ask with a text, a picture, a Query, a vector, or a "
            "sequence of them."
        )
    return list(queries)


def _is_one(queries):
    """Whether this is one query: a raw item, or the numbers of one vector."""
    if isinstance(queries, list):
        return bool(queries) and isinstance(queries[0], Real)
    return is_item(queries) or len(queries.shape) == 1


def _tags_of_items(items):
    """The tags that an encoder gives to raw items; None where some are no items.

    They are needed where the rows of several encoders are joined, as by a FeatureUnion.
    """
    if not all(map(is_item, items)):
        return None
    names = [item_modality(item) for item in items]
    return Tags.encode(names, len(names))


def _only_query_modality(fitted):
    """The query modality of bare vectors, if exactly one was fitted."""
    names = [name for name in fitted if is_query(name) or tuple(fitted) == (UNTAGGED,)]
    if len(names) == 1:
        return names[0]
    raise ValueError(
        "The modality of these vectors is not known: pass modality='text' or the like. Fitted were "
        f"{', '.join(map(repr, fitted))}."
    )


def make_search_pipeline(encoder=None, *, fusion_weight=0.5, n_neighbors=10):
    """The recommended pipeline, unfitted.

    It removes the modality gap and ranks by posterior odds, so that the right document reaches
    the top whatever its modality, and scores become probabilities. Fit it on tagged documents
    and, if there are any, ``query:`` rows, with or without relevance: it learns from them what
    questions look like and which modalities answer them.

    Parameters
    ----------
    encoder : transformer or str, default=None
        An encoder of texts and pictures, such as `CLIPEncoder`, or the name of its model as
        `gapremoval.encoders.make_encoder` takes it, for raw items; None for embeddings.
    fusion_weight : float in [0, 1] or dict of str to float, default=0.5
        Weight of each modality within a document; see `MixedModalityRetriever`.
    n_neighbors : int, default=10
        Number of documents per query.

    Returns
    -------
    Pipeline
        [encoder,] `ModalityGapRemover`, `MixedModalityRetriever` with
        ``score_calibration=PosteriorOdds()``.

    Raises
    ------
    TypeError
        If `encoder` is neither a transformer nor a str.

    See Also
    --------
    search : Searches with the fitted pipeline.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline, search
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_search_pipeline().fit(X, y)
    >>> found = search(pipe, X[-2:], 5)
    >>> found.probabilities.shape
    (2, 5)
    """
    retriever = MixedModalityRetriever(
        n_neighbors, fusion_weight=fusion_weight, score_calibration=PosteriorOdds()
    )
    encoder = make_encoder(encoder) if isinstance(encoder, str) else encoder
    if encoder is not None and not hasattr(encoder, "transform"):
        raise TypeError(
            f"{type(encoder).__name__} has no transform method: give an encoder such as "
            "CLIPEncoder, or the name of its model."
        )
    steps = [ModalityGapRemover(), retriever]
    return make_pipeline(*steps if encoder is None else [encoder, *steps])

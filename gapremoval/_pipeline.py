"""search: ask any fitted pipeline, search object or retriever."""

from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted

from ._array_api import is_device_array
from ._embeddings import EmbeddingArray
from ._items import Query
from ._modality import Tags, as_query, is_query
from ._validation import UNTAGGED


def search(estimator, queries, n_neighbors=None, *, modality=None, document_modality=None):
    """Search with one query or many.

    A stock ``Pipeline`` has no such method, and its ``predict`` takes rows as they are: a
    text that is not marked as a query would get the documents' mean. This marks what it is
    given as queries, takes it through the steps before the last, and asks the last.

    Parameters
    ----------
    estimator : fitted Pipeline, search object such as GridSearchCV, or retriever
        Ends in a `MixedModalityRetriever` or another estimator with a ``search`` method.
    queries : object
        One query or a sequence of them: texts (str), images (``Path``, PIL image, uint8
        array of shape (H, W, 3)) or `Query` objects, for a pipeline that begins with an
        encoder; else an EmbeddingArray (its document tags become query tags), an array of
        shape (n_queries, n_features) or one vector of shape (n_features,).
    n_neighbors : int, default=None
        How many documents to find, in place of the retriever's own number.
    modality : str or sequence of str, default=None
        What asks, for vectors that do not say it: ``"text"`` or ``"query:text"``. Not
        needed where the estimator was fitted with exactly one query modality.
    document_modality : str, default=None
        Search only documents of this modality, such as ``"image"``.

    Returns
    -------
    SearchResult
        With one row a query.

    Raises
    ------
    TypeError
        If `estimator` does not end in something that searches.
    NotFittedError
        If it is not fitted, or a search object without ``refit=True``.
    ValueError
        If nothing says what kind of query bare vectors are, there is no query, a `modality`
        is given for raw items, or raw items are given to a pipeline without an encoder.

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
    """
    steps, retriever = split_steps(estimator)
    if not hasattr(retriever, "search"):
        raise TypeError(
            f"{type(retriever).__name__} cannot search: the last step must be a "
            "MixedModalityRetriever, or another estimator with a search method."
        )
    check_is_fitted(retriever)
    X = _as_queries(queries, modality, getattr(retriever, "modalities_", ()))
    X = transform_steps(steps, X)
    return retriever.search(X, n_neighbors, document_modality=document_modality)


def split_steps(estimator):
    """The steps before the last and the last, of a pipeline or what a search selected."""
    if hasattr(estimator, "refit") and hasattr(estimator, "estimator"):
        message = "This %(name)s has no best_estimator_: fit it first, with refit=True."
        check_is_fitted(estimator, "best_estimator_", msg=message)
        estimator = estimator.best_estimator_
    if not isinstance(estimator, Pipeline):
        return [], estimator
    before, last = split_steps(estimator.steps[-1][1])
    return [step for _, step in estimator.steps[:-1]] + before, last


def transform_steps(steps, X):
    """Take rows or items through fitted steps; tags outlive a step that drops them.

    No step adds, drops or reorders rows, so the tags that went in hold for what comes out.
    """
    for step in steps:
        if step is None or step == "passthrough":
            continue
        if isinstance(step, Pipeline):
            X = transform_steps([inner for _, inner in step.steps], X)
            continue
        tags = X._tags if isinstance(X, EmbeddingArray) else None
        asks = get_routing_for_object(step).consumes("transform", ["modality"])
        X = step.transform(X, modality=X.modality) if tags and asks else step.transform(X)
        if tags and not isinstance(X, EmbeddingArray):
            X = EmbeddingArray(X, tags)
    return X


def _as_queries(queries, modality, fitted):
    """One query or many as a list of Query items or an EmbeddingArray of query rows."""
    if isinstance(queries, EmbeddingArray):
        names = queries._tags if modality is None else Tags.encode(modality, len(queries))
        marked = Tags(tuple(map(as_query, names.names)), names.codes)
        return EmbeddingArray(queries.values, marked)
    if _is_item(queries):
        queries = [queries]
    if not is_device_array(queries):
        # Not a list of a DataFrame: those are its columns' names.
        queries = np.asarray(queries) if hasattr(queries, "__array__") else list(queries)
        if isinstance(queries, np.ndarray) and queries.dtype.kind in "OU":
            queries = queries.tolist()
        if isinstance(queries, list) and any(map(_is_item, queries)):
            if modality is not None:
                raise ValueError(
                    "modality= is for vectors. Texts, images and Query objects say themselves "
                    "what they are."
                )
            return [item if isinstance(item, Query) else Query(item) for item in queries]
    values = queries if is_device_array(queries) else np.asarray(queries)
    if not values.shape or not values.shape[0]:
        raise ValueError(f"There is no query in {queries!r}.")
    if values.ndim == 1:
        values = values[None, :]
    if modality is None:
        modality = _only_query_modality(fitted)
    rows = EmbeddingArray(values, modality)
    return _as_queries(rows, None, fitted)


def _is_item(query):
    """Whether this is one raw item, not a vector and not several."""
    if isinstance(query, str | Path | Query):
        return True
    is_picture = isinstance(query, np.ndarray) and query.dtype == np.uint8 and query.ndim == 3
    return is_picture or type(query).__module__.startswith("PIL.")


def _only_query_modality(fitted):
    """The query modality of bare vectors, where only one was fitted."""
    asked = [name for name in fitted if is_query(name)]
    if len(asked) == 1:
        return asked[0]
    if list(fitted) == [UNTAGGED]:
        return UNTAGGED
    raise ValueError(
        "These vectors do not say what asks, a text or an image: pass modality='text' or the "
        f"like. Fitted were {', '.join(map(repr, fitted))}."
    )

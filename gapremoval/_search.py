"""search: ask any fitted pipeline, search object or retriever; the pipeline that we recommend."""

from collections.abc import Mapping, Set

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted

from ._base import GapEstimator
from ._embeddings import EmbeddingArray
from ._items import Query, is_picture
from ._modality import Tags, as_query, is_query
from ._validation import UNTAGGED
from .calibration import ModalityGapRemover
from .retrieval import MixedModalityRetriever
from .score_calibration import PosteriorOdds


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
    X, tags = transform_steps(steps, *_as_queries(queries, modality, [*steps, retriever]))
    return retriever.search(X, n_neighbors, modality=tags, document_modality=document_modality)


def split_steps(estimator):
    """The steps before the last and the last, of a pipeline or what a search selected.

    Steps that are pipelines give their own, and a FrozenEstimator, which hands no `modality`
    on, gives the estimator in it.
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


def transform_steps(steps, X, tags=None):
    """Take rows or items through fitted steps; tags outlive a step that drops them.

    No step adds, drops or reorders rows, so the tags that went in hold for what comes out.

    Parameters
    ----------
    steps : list of fitted transformers
        From `split_steps`.
    X : EmbeddingArray, array or list of items of length n_rows
    tags : Tags, default=None
        The modalities of the rows; those of an EmbeddingArray if None.

    Returns
    -------
    X : object
        What the last step returns.
    tags : Tags or None
        Its modalities, where they are known and it is no EmbeddingArray.
    """
    for step in steps:
        known = X._tags if tags is None and isinstance(X, EmbeddingArray) else tags
        # Looking up what a step asks for takes longer than a small search.
        if isinstance(step, GapEstimator):
            X = step.transform(X, modality=tags)
        elif known is not None and get_routing_for_object(step).consumes("transform", ["modality"]):
            X = step.transform(X, modality=known.to_array())
        else:
            X = step.transform(X)
        tags = None if isinstance(X, EmbeddingArray) else known
    return X, tags


def _as_queries(queries, modality, steps):
    """One query or many as steps take them: Query items, or rows; and tags of bare rows."""
    if isinstance(queries, EmbeddingArray) and modality is None and len(queries):
        return EmbeddingArray(queries.values, queries._tags.as_queries()), None
    retriever = steps[-1]
    check_is_fitted(retriever)
    if _is_item(queries):
        queries = [queries]
    elif getattr(queries, "ndim", 0) == 4:  # several pictures
        queries = list(queries)
    if not hasattr(queries, "shape") and not hasattr(queries, "__array__"):
        if not np.iterable(queries) or isinstance(queries, bytes | Mapping | Set):
            raise TypeError(
                f"{queries!r} is no query: ask with a text, a picture, a Query, a vector, or a "
                "sequence of them."
            )
        queries = list(queries)
    if getattr(getattr(queries, "dtype", None), "kind", None) in ("O", "U"):
        queries = queries.tolist()
    if isinstance(queries, list) and any(map(_is_item, queries)):
        if modality is not None:
            raise ValueError(
                "modality= is for vectors. Texts, images and Query objects say themselves what "
                "they are."
            )
        return [item if isinstance(item, Query) else Query(item) for item in queries], None
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
    # The names of a frame's columns are for steps that were fitted with names.
    named = hasattr(queries, "iloc") and hasattr(steps[0], "feature_names_in_")
    return (queries, tags) if named else (EmbeddingArray(queries, tags), None)


def _is_item(query):
    """Whether this is one raw item, not a vector and not several."""
    return isinstance(query, str | Query) or is_picture(query)


def _only_query_modality(fitted):
    """The query modality of bare vectors, where only one was fitted."""
    asked = [name for name in fitted if is_query(name) or tuple(fitted) == (UNTAGGED,)]
    if len(asked) == 1:
        return asked[0]
    raise ValueError(
        "These vectors do not say what asks, a text or an image: pass modality='text' or the "
        f"like. Fitted were {', '.join(map(repr, fitted))}."
    )


def make_search_pipeline(encoder=None, *, fusion_weight=0.5, n_neighbors=10):
    """The pipeline that the evidence recommends, unfitted.

    It removes the modality gap and ranks by posterior odds, so that answers of every
    modality reach the top and scores become probabilities. Fit it on tagged documents and,
    where there are any, ``query:`` rows, with or without relevance: they teach it what
    questions look like and which modalities answer them.

    Parameters
    ----------
    encoder : transformer, default=None
        What makes rows of texts and pictures, such as a `CLIPEncoder`, for raw items; None
        for embeddings.
    fusion_weight : float in [0, 1] or dict of str to float, default=0.5
        How the modalities of a document are weighed; see `MixedModalityRetriever`.
    n_neighbors : int, default=10
        How many documents a query finds.

    Returns
    -------
    Pipeline
        [encoder,] `ModalityGapRemover`, `MixedModalityRetriever` with
        ``score_calibration=PosteriorOdds()``.

    See Also
    --------
    search : Asks it.

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
    steps = [ModalityGapRemover(), retriever]
    return make_pipeline(*steps if encoder is None else [encoder, *steps])

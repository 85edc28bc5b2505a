"""combine_queries: the corrected rows of a query's parts become one row."""

import numpy as np

from ._array_api import array_namespace, beside, to_numpy, unit_rows
from ._embeddings import EmbeddingArray
from ._items import is_missing
from ._modality import QUERY, Tags, parts_of
from ._validation import check_lengths, compute_dtype
from ._warnings import shown
from .calibration._centers import ROUNDING


def combine_queries(X, weights=None, queries=None):
    """Combine the rows of each query's parts into one row: "this photo, but at night".

    Each part is brought to unit length. The weighted sum of a query's parts, brought to unit
    length, is its row. The gap must be removed from the parts before: a text and an image differ
    most by the gap, and in their sum it would hide what they say.

    Parameters
    ----------
    X : EmbeddingArray of shape (n_parts, n_features)
        The parts, as transformed by a fitted calibrator such as `ModalityGapRemover`. Tag them as
        queries before that (``query:text``, ``query:image``), so that the means of queries are
        subtracted.
    weights : array-like of shape (n_parts,), default=None
        The weight of each part, negative where it is subtracted; by default all 1. Only the
        ratios within a query matter. A part of weight 0 is left out.
    queries : sequence of length n_parts, default=None
        The query that each part belongs to: a number or another hashable value. By default all
        parts belong to one query.

    Returns
    -------
    EmbeddingArray of shape (n_queries, n_features)
        One row of unit length per query, in the order in which `queries` names them first, with
        the dtype, device and encoder of `X`. Its modality is made of those of its parts, as in
        ``query:image+text``.

    Raises
    ------
    TypeError
        If `X` is not an EmbeddingArray.
    ValueError
        If `weights` or `queries` do not have one entry a part, a weight is not finite, a query
        has no part with a weight above 0, a part has length zero or holds NaN, or the parts of a
        query cancel out.

    See Also
    --------
    Query : The same for texts and pictures, which `search` encodes, corrects and combines.

    Examples
    --------
    >>> from gapremoval import EmbeddingArray, combine_queries, make_search_pipeline, search
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_search_pipeline().fit(X, y)
    >>> photo, words = X[X.modality == "image"][:1], X[X.modality == "query:text"][:1]
    >>> parts = EmbeddingArray.concatenate({"query:image": photo, "query:text": words})
    >>> query = combine_queries(pipe[:-1].transform(parts), weights=[0.7, 0.3])
    >>> query
    EmbeddingArray(1 rows x 512, float32: 1 query:image+text)

    It is corrected already, so only the last step of the pipeline takes it:

    >>> search(pipe[-1], query, 5).ids.shape
    (1, 5)
    """
    if not isinstance(X, EmbeddingArray):
        raise TypeError(
            f"combine_queries takes an EmbeddingArray; got a {type(X).__name__}. Tag the corrected "
            "rows with EmbeddingArray(rows, modality)."
        )
    weights, queries, names = _checked(len(X), weights, queries)
    rows, lengths = unit_rows(to_numpy(X.values).astype(float))
    check_lengths(lengths)
    if (empty := (weights != 0) & (lengths == 0)).any():
        raise ValueError(
            f"A part of query {_shown(names, queries[empty])} has length zero and says nothing: "
            "its encoding failed, or its modality was centered on a single row. Leave it out, or "
            "fit on more rows."
        )
    largest = np.zeros(len(names))
    np.maximum.at(largest, queries, np.abs(weights))
    combined = np.zeros((len(names), X.shape[1]))
    np.add.at(combined, queries, rows * (weights / largest[queries])[:, None])
    combined, lengths = unit_rows(combined)
    xp, dtype = array_namespace(X.values), compute_dtype(X.values)
    if (gone := lengths <= ROUNDING * float(xp.finfo(dtype).eps)).any():
        raise ValueError(
            f"The parts of query {_shown(names, np.flatnonzero(gone))} cancel out, so nothing is "
            "left to look for: what is subtracted must differ from what is added."
        )
    dtype = X.values.dtype if xp.isdtype(X.values.dtype, "real floating") else dtype
    tags = _tags(X._tags[weights != 0], queries[weights != 0], len(names))
    return EmbeddingArray(beside(combined, X.values, dtype), tags)


def _checked(n_parts, weights, queries):
    """The weight of each part, the number of its query, and the names of the queries."""
    weights = np.ones(n_parts) if weights is None else to_numpy(weights).astype(float)
    if not n_parts:
        raise ValueError("There are no parts to combine: X has no rows.")
    if weights.shape != (n_parts,) or not np.isfinite(weights).all():
        raise ValueError(f"weights must be {n_parts} finite numbers, one a part; got {weights}.")
    queries = [0] * n_parts if queries is None else queries
    owners = to_numpy(queries).tolist() if hasattr(queries, "shape") else list(queries)
    if len(owners) != n_parts or any(map(is_missing, owners)):
        raise ValueError(
            f"queries must name the query of each of {n_parts} parts; got {shown(owners)}."
        )
    names = list(dict.fromkeys(owners))
    number = {name: i for i, name in enumerate(names)}
    queries = np.array([number[name] for name in owners])
    is_sought = np.bincount(queries, weights > 0) > 0
    if not is_sought.all():
        raise ValueError(
            f"Query {_shown(names, np.flatnonzero(~is_sought))} has no part with a weight above "
            "0: there is nothing to find."
        )
    return weights, queries, names


def _shown(names, numbers):
    """The names of the queries with some numbers, for a message."""
    return shown([names[i] for i in np.unique(numbers)])


def _tags(tags, queries, n_queries):
    """The tags of queries, made of those of their parts."""
    parts = [set() for _ in range(n_queries)]
    for query, code in zip(queries.tolist(), tags.codes.tolist()):
        parts[query].update(parts_of(tags.names[code]))
    names = [QUERY + "+".join(sorted(some)) for some in parts]
    return Tags.encode(names, n_queries).of_origin(tags.origin)

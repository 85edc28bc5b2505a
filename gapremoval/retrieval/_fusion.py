"""Fusion: the rows of a document become one vector."""

from collections.abc import Mapping
from numbers import Real
from typing import NamedTuple

import numpy as np

from .._array_api import (
    as_slice,
    beside,
    full_precision,
    is_mapped,
    namespace_and_device,
    row_blocks,
    row_lengths,
    take_rows,
    to_double,
    to_numpy,
    unit_rows,
)
from .._validation import compute_dtype
from .._warnings import shown, warn

# A tolerance above the rounding of marks, and below the differences between different rows.
SAME_MARK = 1e-3


class Documents(NamedTuple):
    """Fused documents, ready to be indexed.

    Attributes
    ----------
    ids : ndarray of int64 or object of shape (n_documents,)
        Document ids in the order of their first rows.
    made_of : ndarray of float64 of shape (n_documents, 2)
        The sum of the marks of each document's rows, which differs for other sets of rows.
    segments : dict of (str, bool) to tuple of ndarray of int and array
        By modality, sorted, and by whether the documents have a direction: their indices in
        `ids`, ascending, and their vectors, of unit length or zero. Vectors in a memory-mapped
        file may be float16, with unit length up to rounding.
    """

    ids: np.ndarray
    made_of: np.ndarray
    segments: dict

    @property
    def directed(self):
        """Indices and vectors of the documents with a direction: a dict by modality."""
        return {name: found for (name, is_so), found in self.segments.items() if is_so}

    @property
    def undirected(self):
        """The indices of documents of length zero, ascending."""
        found = [number for (_, is_so), (number, _) in self.segments.items() if not is_so]
        return np.sort(np.concatenate([np.empty(0, dtype=int), *found]))


def fuse_documents(rows, ids, document, fusion_weight):
    """Fuse the rows of each document.

    Parameters
    ----------
    rows : Rows
    ids : ndarray of shape (n_documents,)
    document : ndarray of int of shape (n_rows,)
        The document of each row, as an index into `ids`; every document has a row.
    fusion_weight : float or dict of str to float
        See `modality_weights`.

    Returns
    -------
    Documents
    """
    values, tags, lengths = rows.values, rows.tags, to_numpy(rows.lengths)
    warn_of_unlike_lengths(lengths, tags, document)
    names, codes = modalities_of(tags, document, len(ids))
    segments = {}
    for code, name in enumerate(names):
        number = np.flatnonzero(codes == code)
        at = as_slice(np.flatnonzero(codes[document] == code))
        if isinstance(at, slice) and _can_stay(values, lengths[at], document[at], len(number)):
            segments[name, True] = number, values[at]
            continue
        place = np.full(len(ids), -1)
        place[number] = np.arange(len(number))
        with full_precision(values):
            vectors, directed = fuse_rows(values, tags, place[document], len(number), fusion_weight)
        for is_so in (True, False):
            if len(some := np.flatnonzero(directed == is_so)):
                segments[name, is_so] = number[some], take_rows(vectors, as_slice(some))
    return Documents(ids, marks_of(rows, document, len(ids)), segments)


def _can_stay(values, lengths, document, n_documents):
    """Whether memory-mapped rows can be searched as they are, without a copy.

    They are one row per document, in the order of the documents, contiguous, and of unit length
    up to the rounding of their dtype.
    """
    if not is_mapped(values) or values.dtype.kind != "f" or len(document) != n_documents:
        return False
    in_order = (document[1:] > document[:-1]).all()
    return in_order and bool((np.abs(lengths - 1) <= 4 * np.finfo(values.dtype).eps).all())


def marks_of(rows, document, n_documents):
    """Marks of documents, which tell their rows apart: inner products with two random vectors.

    Parameters
    ----------
    rows : Rows
    document : ndarray of int of shape (n_rows,)
        The document of each row, below `n_documents`.
    n_documents : int

    Returns
    -------
    ndarray of float64 of shape (n_documents, 2)
    """
    values, lengths = rows.values, to_numpy(rows.lengths)
    xp, dtype = namespace_and_device(values)[0], compute_dtype(values)
    random = np.random.default_rng(0).standard_normal((values.shape[1], 2))
    random, marks = beside(random, values, dtype), np.empty((values.shape[0], 2))
    with full_precision(values):
        for some in row_blocks(values):
            block = xp.astype(values[some, ...], dtype, copy=False)
            marks[some] = to_numpy(xp.matmul(block, random))
    # The products of unit rows are about 1, so the constant 10 shows the number of rows.
    marks = 10 + marks / np.where(lengths > 0, lengths, 1)[:, None]
    return np.stack([np.bincount(document, mark, n_documents) for mark in marks.T], axis=1)


def warn_of_unlike_lengths(lengths, tags, document):
    """Warn if the parts of documents have very different lengths, which fusion does not change."""
    kinds = np.unique(document * len(tags.names) + tags.codes) // len(tags.names)
    n_modalities = np.bincount(kinds)
    fused = (n_modalities[document] > 1) & (lengths > 0)
    sums = np.bincount(tags.codes[fused], lengths[fused], minlength=len(tags.names))
    counts = np.bincount(tags.codes[fused], minlength=len(tags.names))
    means = {n: s / c for n, s, c in zip(tags.names, sums, counts) if c}
    if means and max(means.values()) > 2 * min(means.values()):
        listed = ", ".join(f"{name!r} {mean:.3g}" for name, mean in means.items())
        warn(
            f"Parts of documents have mean lengths {listed}: the longer part dominates the fused "
            "vector. Scale rows to unit length first, as ModalityGapRemover does.",
        )


def warn_of_zero_length(ids):
    if ids:
        warn(
            f"{len(ids)} document{'s have' if len(ids) > 1 else ' has'} length zero and so no "
            f"direction: {shown(ids)}. They are ranked after all others, with score 0; a store "
            "leaves them out.",
        )


def check_fusion_weight(fusion_weight):
    """Return `fusion_weight`; raise unless it is a share or a dict of relative weights."""
    weights = fusion_weight.values() if isinstance(fusion_weight, Mapping) else [fusion_weight]
    for weight in weights:
        if not isinstance(weight, Real) or not 0 <= weight < np.inf:
            raise ValueError(f"A fusion weight is a finite number of at least 0; got {weight!r}.")
    if not isinstance(fusion_weight, Mapping) and fusion_weight > 1:
        raise ValueError(
            f"fusion_weight={fusion_weight!r}: a single number is the weight of the text, from 0 "
            "to 1; a dict modality -> weight gives relative weights."
        )
    return fusion_weight


def modality_weights(present, names, fusion_weight):
    """The weight of each modality in each document; the weights of a document sum to 1.

    Parameters
    ----------
    present : ndarray of bool of shape (n_documents, n_modalities)
        The modalities of each document.
    names : sequence of str
        The names of the modalities.
    fusion_weight : float or dict of str to float
        A float `a` is the weight of text; the other modalities of a document share ``1 - a``
        equally, captions among them. A dict gives relative weights.

    Returns
    -------
    ndarray of float64 of shape (n_documents, n_modalities)
        Equal weights if all are 0.

    Raises
    ------
    ValueError
        If the dict has no weight for a modality of a document of several modalities.
    """
    if isinstance(fusion_weight, Mapping):
        fused = present[present.sum(axis=1) > 1].any(axis=0)
        missing = [n for n, used in zip(names, fused) if used and n not in fusion_weight]
        if missing:
            raise ValueError(
                f"fusion_weight has no weight for {', '.join(map(repr, missing))}, which "
                "documents of several modalities have; it has weights for "
                f"{', '.join(map(repr, fusion_weight))}."
            )
        given = np.array([float(fusion_weight.get(name, 1)) for name in names])
        relative = present * (given / max(given.max(), 1))  # whose sum stays finite
    else:
        is_text = np.array([name == "text" for name in names])
        n_others = (present & ~is_text).sum(axis=1, keepdims=True)
        share = (1 - fusion_weight) / np.maximum(n_others, 1)
        relative = present * np.where(is_text, fusion_weight, share)
    total = relative.sum(axis=1, keepdims=True)
    relative = np.where(total > 0, relative, present)
    return relative / relative.sum(axis=1, keepdims=True)


def modalities_of(tags, document, n_documents):
    """The modality of each document, from the modalities of its rows.

    Parameters
    ----------
    tags : Tags
        The modalities of the rows.
    document : ndarray of int of shape (n_rows,)
        The document of each row, below `n_documents`; every document has a row.
    n_documents : int

    Returns
    -------
    names : tuple of str
        Sorted; several modalities are sorted and joined by ``+``.
    codes : ndarray of int of shape (n_documents,)
        The modality of each document, as an index into `names`.
    """
    present = np.zeros((n_documents, len(tags.names)), dtype=bool)
    present[document, tags.codes] = True
    kind = np.zeros(n_documents, dtype=np.int64)
    for has in present.T:  # many times faster than np.unique of rows
        kind = np.unique(2 * kind + has, return_inverse=True)[1]
    first = np.unique(kind, return_index=True)[1]
    joined = ["+".join(sorted(np.array(tags.names)[has])) for has in present[first]]
    names, code = np.unique(joined, return_inverse=True)
    return tuple(names.tolist()), code[kind]


def fuse_rows(values, tags, document, n_documents, fusion_weight=0.5):
    """Average the rows of each modality of a document, add them by weight, scale to unit length.

    Five photos of a document weigh as much as one. Parts are not normalized. Sums are computed
    in float64 and in a fixed order, so they do not depend on the array library.

    Parameters
    ----------
    values : array of real numbers of shape (n_rows, n_features)
        Rows of any library that follows the array API standard.
    tags : Tags
        Their modalities.
    document : ndarray of int of shape (n_rows,)
        The document of each row, below `n_documents`, or -1; every document has a row.
    n_documents : int
    fusion_weight : float or dict of str to float, default=0.5
        See `modality_weights`. It does not matter for rows of a single modality.

    Returns
    -------
    vectors : array of shape (n_documents, n_features), float32 or float64
        Of unit length or zero, on the device of `values`.
    has_direction : ndarray of bool of shape (n_documents,)
        Whether a vector is not zero.
    """
    order = np.argsort(document, kind="stable")
    start = np.searchsorted(document[order], np.arange(n_documents + 1))
    is_sum = start[-1] - start[0] > n_documents
    if is_sum:
        n_names = len(tags.names)
        cell = document * n_names + tags.codes
        counts = np.bincount(cell[document >= 0], minlength=n_documents * n_names)
        counts = counts.reshape(n_documents, n_names)
        weights = modality_weights(counts > 0, tags.names, fusion_weight) / np.maximum(counts, 1)
        row_weights = np.where(document >= 0, weights.ravel()[cell], 0)

    xp, place = namespace_and_device(values)
    is_floating = xp.isdtype(values.dtype, "real floating")
    dtype = xp.float32 if is_floating and xp.finfo(values.dtype).bits <= 32 else xp.float64
    rounding = float(xp.finfo(values.dtype if is_floating else dtype).eps)
    vectors = xp.empty((n_documents, values.shape[1]), dtype=dtype, device=place)
    has_direction = np.empty(n_documents, dtype=bool)
    for block in row_blocks(vectors):
        rows = order[start[block.start] : start[block.stop]]
        fused, smallest = to_double(take_rows(values, as_slice(rows)), values), 0
        if is_sum:
            # Parts that cancel out leave a rounding error, which has no meaningful direction.
            longest = to_numpy(row_lengths(fused))
            smallest = np.maximum.reduceat(longest, start[block] - start[block.start])
            smallest *= 8 * rounding
            fused = _sum_runs(fused, row_weights[rows], document[rows])
        unit, lengths = unit_rows(fused)
        kept = to_numpy(lengths) > smallest
        vectors[block, ...] = beside(unit, vectors, dtype) * beside(kept, vectors, dtype)[:, None]
        has_direction[block] = kept
    return vectors, has_direction


def _sum_runs(rows, weights, run):
    """The weighted sum of each run of rows, by adding neighbors until each run is one row."""
    rows = rows * beside(weights, rows)[:, None]
    while len(run) > 1 and (same := run[1:] == run[:-1]).any():
        first = np.concatenate([[True], ~same])
        at = np.arange(len(run)) - np.flatnonzero(first)[np.cumsum(first) - 1]
        even = np.flatnonzero(at % 2 == 0)
        paired = np.append(same, False)[even]
        # A row without a partner gets zero added.
        partner = take_rows(rows, np.minimum(even + 1, len(run) - 1))
        partner = partner * beside(paired.astype(np.float64), rows)[:, None]
        rows, run = take_rows(rows, even) + partner, run[even]
    return rows

"""Fusion: rows that share an id become one document vector."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from scipy.sparse import csr_array


def check_fusion_weight(fusion_weight):
    """Return `fusion_weight` if it is a share or a dict of relative weights, else raise."""
    weights = fusion_weight.values() if isinstance(fusion_weight, Mapping) else [fusion_weight]
    for weight in weights:
        if not isinstance(weight, Real) or not 0 <= weight < np.inf:
            raise ValueError(f"A fusion weight is a finite number of at least 0; got {weight!r}.")
    if not isinstance(fusion_weight, Mapping) and fusion_weight > 1:
        raise ValueError(
            f"fusion_weight={fusion_weight!r}: a single number is the text's share, from 0 to 1; "
            "a dict modality -> weight gives relative weights."
        )
    return fusion_weight


def modality_weights(present, names, fusion_weight):
    """The weight of each modality in each document; a document's weights add up to 1.

    Parameters
    ----------
    present : ndarray of bool of shape (n_documents, n_modalities)
        Which modalities each document has.
    names : sequence of str
        The modalities.
    fusion_weight : float or dict of str to float
        A float `a` gives the text `a` and shares ``1 - a`` equally between the others that
        are present; a dict gives relative weights.

    Returns
    -------
    ndarray of float64 of shape (n_documents, n_modalities)
        Equal weights where all are 0.

    Raises
    ------
    ValueError
        If a document of several modalities has one that the dict leaves out.
    """
    if isinstance(fusion_weight, Mapping):
        fused = present[present.sum(axis=1) > 1].any(axis=0)
        missing = [n for n, used in zip(names, fused) if used and n not in fusion_weight]
        if missing:
            raise ValueError(
                f"fusion_weight has no weight for {', '.join(map(repr, missing))}, which "
                "documents of several modalities have; it names "
                f"{', '.join(map(repr, fusion_weight))}."
            )
        relative = present * [float(fusion_weight.get(name, 1)) for name in names]
    else:
        is_text = np.array([name == "text" for name in names])
        n_others = (present & ~is_text).sum(axis=1, keepdims=True)
        share = (1 - fusion_weight) / np.maximum(n_others, 1)
        relative = present * np.where(is_text, fusion_weight, share)
    total = relative.sum(axis=1, keepdims=True)
    relative = np.where(total > 0, relative, present)
    return relative / relative.sum(axis=1, keepdims=True)


def fuse_rows(values, tags, document, n_documents, fusion_weight):
    """Average a document's rows of one modality, then weight its modalities.

    Five photos of a document weigh as much as one. Nothing is normalised here.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features), float32 or float64
    tags : Tags
        Their modalities.
    document : ndarray of int of shape (n_rows,)
        The document of each row, below `n_documents`; every document has a row.
    n_documents : int
    fusion_weight : float or dict of str to float
        See `modality_weights`.

    Returns
    -------
    vectors : ndarray of shape (n_documents, n_features)
        A document of one row keeps it as it is.
    modality : ndarray of str of shape (n_documents,)
        The names of a document's modalities, sorted and joined by ``+``.
    """
    n_rows, n_names = len(document), len(tags.names)
    cell = document * n_names + tags.codes
    counts = np.bincount(cell, minlength=n_documents * n_names).reshape(n_documents, n_names)
    present = counts > 0
    weights = modality_weights(present, tags.names, fusion_weight) / np.maximum(counts, 1)
    if n_documents < n_rows:
        rows = (weights.ravel()[cell].astype(values.dtype), (document, np.arange(n_rows)))
        values = csr_array(rows, shape=(n_documents, n_rows)) @ values
    kinds, kind = np.unique(present, axis=0, return_inverse=True)
    names = ["+".join(sorted(np.array(tags.names)[has])) for has in kinds]
    return values, np.array(names)[kind.ravel()]

"""Exported vectors as lines: the scaled vector and the offset of each document."""

import numpy as np


def exported_lines(retriever, query_modality="query:text"):
    """An array whose rows are ``[scale * document, offset]``, in the order of the ids."""
    exported = retriever.export_vectors(query_modality)
    n = retriever.n_features_in_
    asked = exported.queries(np.eye(1, n)).astype(float)
    rows = exported.vectors.astype(float)
    return np.column_stack([rows[:, :n], rows[:, n:] @ asked[0, n:]])

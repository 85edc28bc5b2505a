"""A store of raw rows as a user would write one: the four methods of the protocol, by numpy."""

import numpy as np

from gapremoval.stores import StoreHits, StoreRows


class ExactStore:
    def __init__(self, ids, modalities, vectors):
        self.rows_ = StoreRows(
            np.array(ids, dtype=object), np.array(modalities), np.asarray(vectors, np.float32)
        )
        self.row = {x: i for i, x in enumerate(self.rows_.ids.tolist())}
        self.n_asked = []

    def count(self):
        names, counts = np.unique(self.rows_.modalities, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist()))

    def search(self, queries, k, *, modality=None, among=None, filter=None):
        self.n_asked.append(k)
        chosen = np.ones(len(self.row), dtype=bool)
        if modality is not None:
            chosen &= np.isin(self.rows_.modalities, list(modality))
        if among is not None:
            chosen &= np.isin(self.rows_.ids, list(among))
        if filter is not None:
            chosen &= np.array([filter(x) for x in self.rows_.ids])
        at = np.flatnonzero(chosen)
        products = queries @ self.rows_.vectors[at].T
        order = np.argsort(-products, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(products, order, axis=1).astype(float)
        return StoreHits(self.rows_.ids[at][order], best, self.rows_.modalities[at][order])

    def fetch(self, ids):
        at = [self.row[x] for x in ids]
        return StoreRows(*(column[at] for column in self.rows_[:3]))

    def sample(self, modality, n):
        at = np.flatnonzero(self.rows_.modalities == modality)
        at = np.random.default_rng(0).permutation(at)[:n]
        return StoreRows(*(column[at] for column in self.rows_[:3]))

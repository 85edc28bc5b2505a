"""The contract of stores, on the plainest one there can be."""

import copy
from contextlib import contextmanager

import numpy as np
import pytest
from store_contract import CONTRACT

from gapremoval.stores import StoreHits, StoreRows


class PlainStore:
    """Rows in a dict, searched by a sort."""

    def __init__(self):
        self.n_features, self.held, self.settings = None, {}, None

    def __repr__(self):
        return "PlainStore()"

    def count(self):
        modalities = [modality for modality, _ in self.held.values()]
        return {name: modalities.count(name) for name in set(modalities)}

    def search(self, queries, k, *, modality=None, among=None, filter=None):
        self._check(queries)
        wanted = [
            name
            for name, (own, _) in self.held.items()
            if (modality is None or own in modality) and (among is None or name in set(among))
        ]
        rows = self.fetch(wanted)
        products = queries.astype(float) @ rows.vectors.T.astype(float)
        best = np.argsort(-products, axis=1)[:, :k]
        return StoreHits(
            rows.ids[best], np.take_along_axis(products, best, 1), rows.modalities[best]
        )

    def fetch(self, ids):
        ids = list(ids)
        vectors = [self.held[name][1] for name in ids]
        is_int = all(isinstance(name, int | np.integer) for name in ids)
        return StoreRows(
            np.array(ids, dtype=np.int64 if is_int else object),
            np.array([self.held[name][0] for name in ids], dtype=str),
            np.array(vectors, dtype=np.float32).reshape(len(ids), self.n_features),
        )

    def sample(self, modality, n):
        return self.fetch([name for name, row in self.held.items() if row[0] == modality][:n])

    @contextmanager
    def build(self, n_features, *, overwrite=False):
        if self.held and not overwrite:
            raise ValueError("The store holds rows. Pass overwrite=True to replace them.")
        built = PlainStore()
        built.n_features = n_features
        yield built
        vars(self).update(vars(built))

    def upsert(self, rows):
        self._check(rows.vectors)
        own = zip(rows.modalities.tolist(), rows.vectors)
        self.held.update(zip(rows.ids.tolist(), own))

    def delete(self, ids):
        for name in ids:
            self.held.pop(name, None)

    def known(self, ids):
        return np.array([name in self.held for name in ids], dtype=bool)

    def rows(self, batch_size=8192):
        ids = list(self.held)
        for start in range(0, len(ids), batch_size):
            yield self.fetch(ids[start : start + batch_size])

    def write_settings(self, settings):
        self.settings = copy.copy(settings)

    def read_settings(self):
        return self.settings

    def _check(self, vectors):
        if not np.isfinite(vectors).all():
            raise ValueError("There is NaN or inf among the vectors.")
        if vectors.shape[1] != self.n_features:
            raise ValueError(f"{vectors.shape[1]} features, {self.n_features} were expected.")


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_the_plainest_store(check):
    check(PlainStore)

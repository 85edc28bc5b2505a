"""VectorLayout: the coordinates of exported vectors, how they are asked and what comes back."""

from dataclasses import dataclass

import numpy as np

from .._array_api import take_rows, to_numpy
from .._modality import as_query, parts_of
from ..score_calibration._score_map import mean_weights
from ._rest_mass import RestMass, rest_mass

METRICS = ("ip", "cosine", "l2")

# Documents whose rows are made at a time.
N_DOCUMENTS = 8192

# Of documents of length zero, where scores are cosines.
BELOW_COSINES = -2.0

# Stores fill the places of rows that they did not find with the largest numbers of float32.
MISSING = 3e38


@dataclass(frozen=True, eq=False)
class VectorLayout:
    """What the coordinates of exported vectors mean.

    A row is ``[scale * document, own offset]`` for each query modality, one after the other, and
    the one-hot of the document's modality. A query ``q`` of unit length is asked as ``[q, 1]`` in
    its block, zeros in the others, and the offsets that documents of a modality share, which
    depend on their number. The inner product is the score. For ``"cosine"`` and ``"l2"`` one
    more coordinate makes all rows equally long, and rows and queries are brought to unit length;
    the mean of the shared offsets is added to scores later, so that it takes no precision.

    Attributes
    ----------
    metric : {"ip", "cosine", "l2"}
    n_features : int
        Of documents and queries.
    query_modalities : tuple of str
        One for each block. Empty without a score calibration: the one block is for all.
    modalities : tuple of str
        Of documents, one for each coordinate of the one-hot; ``""`` is that of documents of
        length zero.
    shared : ndarray of float64 of shape (n_blocks, n_modalities)
    slopes : tuple of float or None
        Log odds per unit of score, for each block; None where scores are no log odds.
    rest : tuple of RestMass or None
        For each block, where its scores are log odds.
    n_documents : int
        The number of documents.
    length : float
        Of all rows before they are brought to unit length; 1 for ``"ip"``.
    """

    metric: str
    n_features: int
    query_modalities: tuple
    modalities: tuple
    shared: np.ndarray
    slopes: tuple
    rest: tuple
    n_documents: int
    length: float = 1.0

    def to_json(self):
        """The fields as JSON knows them."""
        rest = [x and [*(column.tolist() for column in x[:3]), x.n_documents] for x in self.rest]
        return {**vars(self), "shared": self.shared.tolist(), "rest": rest}

    @classmethod
    def from_json(cls, fields):
        """From what `to_json` returned; a ValueError or TypeError if it is malformed."""
        names = {name: tuple(fields[name]) for name in ("query_modalities", "modalities", "slopes")}
        rest = tuple(x and RestMass(*map(np.array, x[:3]), x[3]) for x in fields["rest"])
        shared = np.array(fields["shared"], dtype=float)
        layout = cls(**{**fields, **names, "shared": shared, "rest": rest})
        shape, n_rest = (layout.n_blocks, len(layout.modalities)), {len(layout.slopes), len(rest)}
        if layout.metric not in METRICS or shared.shape != shape or n_rest != {layout.n_blocks}:
            raise ValueError("the fields do not fit together")
        numbers = [shared, *(column for x in rest if x for column in x[:3])]
        numbers.append(np.array([layout.length, *(x for x in layout.slopes if x is not None)]))
        if not all(np.isfinite(x).all() for x in numbers) or not layout.length > 0:
            raise ValueError("a number is out of range")
        return layout

    @property
    def n_blocks(self):
        """The number of blocks."""
        return max(len(self.query_modalities), 1)

    @property
    def width(self):
        """The number of coordinates of a row."""
        n = self.n_blocks * (self.n_features + 1) + len(self.modalities)
        return n + (self.metric != "ip")

    def weights(self, query_modality):
        """The weight of each block in a query: ndarray of shape (n_blocks,).

        A query of several parts, which has no block, takes the mean of those of its parts.

        Raises
        ------
        ValueError
            If there is no block for the query modality.
        """
        have = self.query_modalities
        if not have:
            return np.ones(1)
        names = [query_modality]
        if query_modality not in have:
            names = [as_query(part) for part in parts_of(query_modality)]
        chosen = [have.index(name) for name in names if name in have]
        if not chosen:
            raise ValueError(
                f"These vectors are for {', '.join(map(repr, have))} and not for "
                f"{query_modality!r}: export vectors for that query modality, or add such queries "
                "to a StoreRetriever, with partial_fit."
            )
        weights = np.zeros(len(have))
        weights[chosen] = mean_weights([self.slopes[i] for i in chosen])
        return weights

    def slope(self, query_modality):
        """Log odds per unit of score; None where scores are no log odds."""
        used = [s for s, weight in zip(self.slopes, self.weights(query_modality)) if weight]
        return None if None in used else float(np.mean(used))

    def probabilities(self, scores, query_modality, of_all=True):
        """The probabilities of the documents found; see `ExportedVectors.probabilities`.

        Unless they were searched for among all documents, those found are taken for all.
        """
        slope, is_found = self.slope(query_modality), np.isfinite(scores)
        log_odds = np.where(is_found, slope * np.where(is_found, scores, 0), -np.inf)
        total = np.logaddexp.reduce(log_odds, axis=-1, initial=-np.inf)
        rest = [(w, x) for w, x in zip(self.weights(query_modality), self.rest) if w and x]
        n_found = is_found.sum(axis=-1)
        if of_all and rest and scores.shape[-1] < self.n_documents:
            last = np.where(is_found, scores, np.inf).min(axis=-1, initial=np.inf)
            last = np.where(n_found > 0, last, 0)
            below = sum(w * x.below(last, n_found, slope, self.n_documents) for w, x in rest)
            n_left = np.maximum(self.n_documents - n_found, 0)
            with np.errstate(divide="ignore"):
                below = np.minimum(below, slope * last + np.log(n_left))
            total = np.where(n_found > 0, np.logaddexp(total, below), total)
        total = np.where(n_found > 0, total, 0)
        return np.where(is_found, np.exp(log_odds - total[..., None]), 0)

    def queries(self, unit, query_modality):
        """The vectors that ask.

        Parameters
        ----------
        unit : ndarray of shape (n_queries, n_features)
            Of unit length.
        query_modality : str

        Returns
        -------
        ndarray of float32 of shape (n_queries, width)
        """
        weights = self.weights(query_modality)
        vectors = np.zeros((len(unit), self.width))
        for block, weight in enumerate(weights):
            start = block * (self.n_features + 1)
            vectors[:, start : start + self.n_features] = weight * unit
            vectors[:, start + self.n_features] = weight
        start = self.n_blocks * (self.n_features + 1)
        shared, _ = self._asked_shared(weights)
        vectors[:, start : start + len(self.modalities)] = shared
        if self.metric != "ip":
            vectors /= self._query_length(query_modality)
        return vectors.astype(np.float32)

    def _query_length(self, query_modality):
        """The length that all queries have before they are brought to unit length."""
        weights = self.weights(query_modality)
        shared, _ = self._asked_shared(weights)
        return float(np.sqrt(2 * (weights @ weights) + shared @ shared))

    def _asked_shared(self, weights):
        """The shared offsets that queries hold, and what they lack of the whole."""
        shared = weights @ self.shared
        rest = 0.0 if self.metric == "ip" else float(np.mean(shared))
        return shared - rest, rest

    def scores(self, found, query_modality, kind):
        """Scores from what a store returned; see `ExportedVectors.scores`."""
        found = np.asarray(found, dtype=float)
        is_missing = ~(np.abs(found) < MISSING)
        kind = self._kind(np.where(is_missing, np.nan, found), kind)
        scale = 1.0 if self.metric == "ip" else self.length * self._query_length(query_modality)
        if kind == "similarity":
            similarity = found
        elif self.metric == "l2":
            similarity = 1 - (found if kind == "squared" else found**2) / 2
        else:
            similarity = (self.metric == "cosine") - found
        _, rest = self._asked_shared(self.weights(query_modality))
        return np.where(is_missing, -np.inf, scale * similarity + rest)

    def _kind(self, found, kind):
        """The kind that was given, or that the order of the numbers tells, the best first."""
        known = ("distance", "squared") if self.metric == "l2" else ("distance", "similarity")
        if kind is not None:
            if kind not in known:
                raise ValueError(
                    f"kind is {kind!r}; a store with the metric {self.metric!r} returns one of "
                    f"{', '.join(map(repr, known))}."
                )
            return kind
        if not np.isfinite(found).any():  # nothing was found
            return "distance"
        steps = np.diff(found, axis=-1)
        rounding = 1e-5 * np.nanmax(np.abs(found), initial=0)
        rises, falls = bool((steps > rounding).any()), bool((steps < -rounding).any())
        if (rises and falls) or (falls and self.metric == "l2"):
            raise ValueError(
                "The numbers of a query are not in a store's order, the best first, so they do not "
                f"tell whether they are distances. Say it by kind=, one of "
                f"{', '.join(map(repr, known))}."
            )
        if not (rises or falls or self.metric == "l2"):
            raise ValueError(
                "Numbers that are all equal do not tell whether they are distances. Say it by "
                f"kind=, one of {', '.join(map(repr, known))}."
            )
        return "similarity" if falls else "distance"


def make_layout(documents, query_modalities):
    """The layout of the vectors of a corpus, for inner products.

    Parameters
    ----------
    documents : Snapshot
    query_modalities : sequence of str
        Empty for plain cosines.

    Returns
    -------
    VectorLayout
    """
    maps = [documents.score_map(name) for name in query_modalities]
    names = [*documents.directed] + [""] * bool(len(documents.undirected))
    shared = np.array([[{**x.shared, "": x.lowest}[name] for name in names] for x in maps])
    if not maps:
        shared = np.array([[BELOW_COSINES if name == "" else 0.0 for name in names]])
    slopes = tuple(x.slope for x in maps) or (None,)
    n_features = documents.like.shape[1]
    shared = shared.reshape(max(len(maps), 1), len(names))
    rest = [x.slope and rest_mass(documents, name) for name, x in zip(query_modalities, maps)]
    known = tuple(query_modalities), tuple(names), shared, slopes, tuple(rest) or (None,)
    return VectorLayout("ip", n_features, *known, len(documents))


def export_rows(documents, layout):
    """Yield vectors for inner products, of some documents of one modality at a time.

    Parameters
    ----------
    documents : Snapshot
    layout : VectorLayout
        From `make_layout`, for these documents or more of the same score calibration.

    Yields
    ------
    modality : str
    positions : ndarray of int of shape (n,)
        Of the documents.
    rows : ndarray of float32 of shape (n, layout.width)
    """
    n_features = layout.n_features
    maps = [documents.score_map(name) for name in layout.query_modalities]
    for (name, is_directed), segment in documents.segments.items():
        live = segment.of_live(np.arange(len(segment)))
        for start in range(0, len(live), N_DOCUMENTS):
            at = live[start : start + N_DOCUMENTS]
            rows = np.zeros((len(at), layout.width), dtype=np.float32)
            if is_directed:
                vectors = to_numpy(take_rows(segment.columns["vectors"], at))
                rows[:, :n_features] = vectors
                for block, score_map in enumerate(maps):
                    of_block = rows[:, block * (n_features + 1) :]
                    of_block[:, :n_features] = score_map.of[name].scale[at, None] * vectors
                    of_block[:, n_features] = score_map.own[name][at]
            column = layout.modalities.index(name if is_directed else "")
            rows[:, layout.n_blocks * (n_features + 1) + column] = 1
            yield name, segment.columns["position"][at], rows

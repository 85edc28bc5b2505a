"""What measures read: tagged rows at unit length, by modality, and pairs of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import check_random_state

from .._array_api import is_lazy, take_rows, to_numpy, unit_rows
from .._embeddings import EmbeddingArray
from .._modality import Tags, is_query, meant_modality
from .._relevance import check_ids, check_relevance, check_y, relevant_ids
from .._validation import HOW_TO_SAMPLE, checked_lengths, read_modality
from .._warnings import shown, warn
from ..calibration._moments import unit_moments

# Rows of pairs that are in memory at unit length at a time.
BLOCK = 4096


@dataclass(frozen=True)
class MeasuredRows:
    """Tagged rows, of which those of length zero are left out.

    Attributes
    ----------
    values : array of shape (n_rows, n_features)
        As given, in any library.
    tags : Tags
    positions : dict of str to ndarray of int
        The row numbers of each modality, ascending.
    """

    values: object
    tags: Tags
    positions: dict

    @cached_property
    def means(self):
        """The mean of all unit rows of each modality, ndarray of float64 by name."""
        names = self.tags.names
        _, means, _ = unit_moments(self.values, self.tags.codes, [True] * len(names))
        return {name: means[names.index(name)] for name in self.positions}

    def unit(self, rows):
        """Some rows at unit length, ndarray of float64 of shape (n, n_features)."""
        return unit_rows(to_numpy(take_rows(self.values, rows)).astype(float))[0]

    def sample(self, names, max_rows, random_state):
        """At most `max_rows` rows of each of some modalities, at unit length."""
        rng = check_random_state(random_state)
        return [self.unit(draw(self.positions[name], max_rows, rng)) for name in names]

    @property
    def documents(self):
        """The document modalities."""
        return [name for name in self.positions if not is_query(name)]

    def between(self, between, least=2):
        """The names of the two modalities to compare, sorted.

        Parameters
        ----------
        between : sequence of two str, or None
            By default the document modalities.
        least : int, default=2
            The number of rows that each must have.

        Raises
        ------
        ValueError
            If two are not named and the documents do not have exactly two modalities, a name
            is not among the rows, or a modality has too few rows.
        """
        if between is None and len(self.documents) != 2:
            how = f"Name two of {shown([*self.positions])}, such as between=('text', 'image')."
            raise ValueError(
                "Two modalities are compared, and the documents have "
                f"{shown(self.documents) or 'none'}. "
                + (how if len(self.positions) > 1 else "Add rows of another one.")
            )
        names = self.documents if between is None else between
        names = [*names] if isinstance(names, Iterable) and not isinstance(names, str) else []
        if len(names) != 2 or not all(isinstance(x, str) for x in names) or names[0] == names[1]:
            raise ValueError(
                f"between names two modalities, such as ('text', 'image'); got {between!r}."
            )
        for name in names:
            if name not in self.positions:
                raise ValueError(
                    f"No row has the modality {name!r}; there are {shown([*self.positions])}."
                    f"{meant_modality(name, self.positions)}"
                )
            if len(self.positions[name]) < least:
                raise ValueError(
                    f"Modality {name!r} has {len(self.positions[name])} row(s) that are not of "
                    f"length zero, and at least {least} are needed."
                )
        return sorted(names)

    def ids(self, y, name):
        """The ids of each row of a modality: a document's own, or those that answer a query."""
        if y is None:
            raise ValueError("Pairs are rows with the same id: give y, the id of each row.")
        at, y = self.positions[name], check_y(y, len(self.tags))
        if is_query(name):
            return [relevant_ids(gains) for gains in check_relevance(y[at])]
        # Of all documents together: 1 among the texts and '1' among the images is no pair.
        documents = np.flatnonzero(~self.tags.is_query)
        ids = check_ids(y[documents], documents)
        return [[x] for x in ids[np.searchsorted(documents, at)].tolist()]

    def id_matrix(self, y, names):
        """Which rows have which ids, as `ids` tells them.

        Parameters
        ----------
        y : sequence of length n_rows
        names : iterable of str
            The modalities whose rows have ids here.

        Returns
        -------
        csr_array of float64 of shape (n_rows, n_ids)
            1 where a row has an id.
        """
        column, entries = {}, []
        for name in names:
            for row, ids in zip(self.positions[name].tolist(), self.ids(y, name)):
                entries += [(row, column.setdefault(x, len(column))) for x in ids]
        rows, columns = np.array(entries, dtype=int).reshape(-1, 2).T
        return csr_array((np.ones(len(rows)), (rows, columns)), (len(self.tags), len(column)))

    def pairs(self, y, names, least=1):
        """Rows of two modalities that share an id, the first of each modality for every id.

        Parameters
        ----------
        y : sequence of length n_rows
            The id of each document row and the relevance of each query row.
        names : sequence of str
            Two modalities.
        least : int, default=1
            The number of pairs that are needed.

        Returns
        -------
        one, other : ndarray of int of shape (n_pairs,)
            Row numbers.

        Raises
        ------
        ValueError
            If `y` is None or malformed, or there are too few pairs.
        """
        one, other = (_first_rows(self.ids(y, name), self.positions[name]) for name in names)
        shared = [x for x in one if x in other]
        if len(shared) < least:
            raise ValueError(
                f"{len(shared) or 'No'} id(s) in y have rows of both {names[0]!r} and "
                f"{names[1]!r}, and at least {least} such pair(s) are needed."
            )
        return tuple(np.array([rows[x] for x in shared], dtype=int) for rows in (one, other))

    def pair_blocks(self, y, names, least=1):
        """As `pairs`: the rows themselves at unit length, block by block."""
        one, other = self.pairs(y, names, least)
        for start in range(0, len(one), BLOCK):
            block = slice(start, start + BLOCK)
            yield self.unit(one[block]), self.unit(other[block])


def _first_rows(ids, at):
    """The first row that has each id."""
    first = {}
    for row, some in zip(at.tolist(), ids):
        for x in some:
            first.setdefault(x, row)
    return first


def read(X, modality):
    """Check the rows that a measure is given.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
    modality : str or sequence of str of shape (n_rows,), or None

    Returns
    -------
    MeasuredRows

    Warns
    -----
    UserWarning
        If rows have length zero.

    Raises
    ------
    ValueError
        If the modalities are not known, rows are not numbers in 2-D, or hold NaN or infinity.
    TypeError
        If the rows are a Dask collection.
    """
    tags = read_modality(X, modality)
    if tags is None:
        raise ValueError(
            "The modality of each row is not known: give EmbeddingArray(X, modality), or pass "
            "modality=."
        )
    values = X.values if isinstance(X, EmbeddingArray) else X
    if is_lazy(values):
        raise TypeError(f"Measures take rows in memory. {HOW_TO_SAMPLE}")
    values = EmbeddingArray(values, tags).values
    is_zero = to_numpy(checked_lengths(values)) == 0
    if is_zero.any():
        warn(f"{is_zero.sum()} row(s) of length zero have no direction: they are left out.")
    at = {}
    for code, name in enumerate(tags.names):
        rows = np.flatnonzero((tags.codes == code) & ~is_zero)
        if len(rows):
            at[name] = rows
    return MeasuredRows(values, tags, at)


def draw(rows, max_rows, rng):
    """At most `max_rows` of some row numbers, ascending; None for all."""
    check_max_rows(max_rows)
    if max_rows is None or len(rows) <= max_rows:
        return rows
    return np.sort(rng.choice(rows, max_rows, replace=False))


def check_max_rows(max_rows):
    """Raise a ValueError unless this is None or an integer of at least 2."""
    is_integer = isinstance(max_rows, Integral) and not isinstance(max_rows, bool)
    if max_rows is not None and not (is_integer and max_rows >= 2):
        raise ValueError(f"max_rows must be an integer of at least 2, or None; got {max_rows!r}.")

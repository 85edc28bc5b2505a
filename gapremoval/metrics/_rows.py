"""What measures read: tagged rows at unit length, by modality, and pairs of them."""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from .._array_api import is_lazy, take_rows, to_numpy, unit_rows
from .._embeddings import EmbeddingArray
from .._modality import Tags, is_query, meant_modality
from .._relevance import check_ids, check_relevance, check_y
from .._validation import HOW_TO_SAMPLE, checked_lengths, read_modality
from .._warnings import shown, warn
from ..calibration._moments import unit_moments


@dataclass(frozen=True)
class MeasuredRows:
    """Tagged rows, of which those of length zero are left out.

    Attributes
    ----------
    values : array of shape (n_rows, n_features)
        As given, in any library.
    tags : Tags
    at : dict of str to ndarray of int
        The row numbers of each modality.
    """

    values: object
    tags: Tags
    at: dict

    @cached_property
    def means(self):
        """The mean of all unit rows of each modality, ndarray of float64 by name."""
        names = self.tags.names
        _, means, _ = unit_moments(self.values, self.tags.codes, [True] * len(names))
        return {name: means[names.index(name)] for name in self.at}

    def unit(self, rows):
        """Some rows at unit length, ndarray of float64 of shape (n, n_features)."""
        return unit_rows(to_numpy(take_rows(self.values, rows)).astype(float))[0]

    def sample(self, names, max_rows=None, random_state=0):
        """At most `max_rows` rows of each of some modalities, at unit length."""
        rng = check_random_state(random_state)
        return [self.unit(draw(self.at[name], max_rows, rng)) for name in names]

    def documents(self, caller):
        """The document modalities, at least one."""
        names = [name for name in self.at if not is_query(name)]
        if not names:
            raise ValueError(f"{caller} is about documents, and all rows are queries.")
        return names

    def between(self, between, least=1):
        """The two modalities to compare, each with at least `least` rows.

        Raises
        ------
        ValueError
            If two are not named and there are not exactly two document modalities, a name is
            not among the rows, or a modality has too few rows.
        """
        if between is None:
            names = [name for name in self.at if not is_query(name)]
            if len(names) != 2:
                raise ValueError(
                    "Two modalities are compared, and the documents have "
                    f"{shown(names) or 'none'}: name two of {shown([*self.at])}, such as "
                    "between=('text', 'image')."
                )
        else:
            names = list(between) if not isinstance(between, str) else [between]
            if len(names) != 2 or names[0] == names[1]:
                raise ValueError(f"between names two modalities; got {between!r}.")
            for name in names:
                if name not in self.at:
                    meant = meant_modality(name, self.at) if isinstance(name, str) else ""
                    raise ValueError(
                        f"No row has the modality {name!r}; there are {shown([*self.at])}.{meant}"
                    )
        for name in names:
            if len(self.at[name]) < least:
                raise ValueError(
                    f"The modality {name!r} has {len(self.at[name])} row (without rows of length "
                    f"zero), and at least {least} are needed."
                )
        return names

    def pairs(self, y, names):
        """Rows of two modalities that share an id, the first of each modality for every id.

        Parameters
        ----------
        y : sequence of length n_rows
            The id of each document row and the relevance of each query row.
        names : sequence of str
            Two modalities.

        Returns
        -------
        one, other : ndarray of int of shape (n_pairs,)
            Row numbers.

        Raises
        ------
        ValueError
            If `y` is None or malformed, or no id has rows of both modalities.
        """
        one, other = (_first_rows(ids, self.at[name]) for ids, name in self._ids(y, names))
        shared = [key for key in one if key in other]
        if not shared:
            raise ValueError(
                f"No id in y has rows of both {names[0]!r} and {names[1]!r}, so there are no pairs."
            )
        return tuple(np.array([rows[key] for key in shared]) for rows in (one, other))

    def _ids(self, y, names):
        """The ids of the rows of each modality, a list of ids for each row, and its name."""
        if y is None:
            raise ValueError("Pairs are rows with the same id: give y, the id of each row.")
        y = check_y(y, len(self.tags))
        for name in names:
            at = self.at[name]
            if is_query(name):
                yield [list(gains or ()) for gains in check_relevance(y[at])], name
            else:
                yield [[key] for key in check_ids(y[at], at).tolist()], name


def _first_rows(ids, at):
    """The first row that has each id, or that it answers."""
    first = {}
    for row, keys in zip(at.tolist(), ids):
        for key in keys:
            first.setdefault(key, row)
    return first


def read(X, modality=None):
    """Check the rows that a measure is given.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
    modality : str or sequence of str of shape (n_rows,), default=None

    Returns
    -------
    MeasuredRows

    Raises
    ------
    ValueError
        If the modalities are not known, rows are not numbers in 2-D, or hold NaN or infinity.
    TypeError
        If the rows are a Dask collection.
    """
    if isinstance(X, MeasuredRows):
        return X
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
        warn(f"{is_zero.sum()} rows have length zero, and no direction: they are left out.")
    codes = np.where(is_zero, -1, tags.codes.astype(np.int64))
    at = {name: np.flatnonzero(codes == tags.names.index(name)) for name in tags.counts()}
    return MeasuredRows(values, tags, {name: rows for name, rows in at.items() if len(rows)})


def draw(rows, max_rows, random_state):
    """At most `max_rows` of some row numbers, in ascending order; None for all."""
    if max_rows is not None:
        if not isinstance(max_rows, Integral) or isinstance(max_rows, bool) or max_rows < 2:
            raise ValueError(f"max_rows is an integer of at least 2, or None; got {max_rows!r}.")
        if len(rows) > max_rows:
            return np.sort(random_state.choice(rows, max_rows, replace=False))
    return rows

"""Rows that repeat: the same question asked again, up to the rounding of an encoder."""

import numpy as np

from .._array_api import row_blocks

# Rows are compared by their coordinates along a few random directions, on a grid. Batches of an
# encoder move a row by some 1e-6; another question is further away than 1e-2.
N_DIRECTIONS = 8
GRID = 1e-3


def group_rows(rows):
    """Group the rows that are equal up to rounding.

    Rows of different groups may be equal where rounding moves one of them over a line of the
    grid, which is rare.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Of unit length.

    Returns
    -------
    first : ndarray of int of shape (n_groups,)
        The first row of each group, ascending.
    group : ndarray of int of shape (n_rows,)
        The number of each row's group.
    lot : ndarray of float64 of shape (n_groups,)
        A number in [0, 1) as if drawn by chance, which depends on the rows of the group alone.
        The groups with the smallest ones are a random sample, whatever the order of the rows,
        and a sample of samples is one of all rows.
    """
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(rows.shape[1], N_DIRECTIONS)) / GRID
    blocks = [rows[block].astype(float) @ directions for block in row_blocks(rows)]
    coordinates = np.concatenate([np.empty((0, N_DIRECTIONS)), *blocks])
    # A sum modulo 2**64 tells cells apart as their eight coordinates do, and sorts faster.
    cells = np.rint(coordinates).astype(np.int64) @ rng.integers(2**62, size=N_DIRECTIONS)
    _, first, group = np.unique(cells, return_index=True, return_inverse=True)
    order = np.argsort(first)
    first = first[order]
    return first, np.argsort(order)[group], coordinates[first, 0] % 1

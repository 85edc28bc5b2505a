"""Rows whose mean lies far from that of the rows indexed before: a transform was forgotten."""

import numpy as np

from .._warnings import warn
from ..calibration._moments import pool_means, unit_moments

# The squared distance of the means that is not explained by sampling, as a part of the squared
# length of a row; and the distance in standard errors.
FAR, N_ERRORS = 1 / 4, 3


def unit_means(rows):
    """The number and the mean of the rows of each modality, brought to unit length: two dicts."""
    names = rows.tags.names
    counts, means, _ = unit_moments(rows.values, rows.tags.codes, [True] * len(names))
    found = [(name, int(n), mean) for name, n, mean in zip(names, counts, means) if n]
    return {name: n for name, n, _ in found}, {name: mean for name, _, mean in found}


def warn_of_far_means(seen, new, *, of_one_origin=False):
    """Warn about modalities whose new rows lie far from those seen before; return all means.

    Parameters
    ----------
    seen, new : tuple of dict
        The numbers and the means of rows, as of `unit_means`.
    of_one_origin : bool, default=False
        Whether all rows are known to have gone through the same steps.

    Returns
    -------
    tuple of dict
        Those of all rows.
    """
    both = sorted(seen[0].keys() & new[0].keys())
    far = [name for name in both if is_far(*(x[name] for x in (*seen, *new)))]
    if far:
        names = ", ".join(map(repr, far))
        cause = (
            "Were they transformed by the steps before the retriever? add_documents(pipe, X, "
            "ids) does it, and so does pipe[-1].partial_fit(pipe[:-1].transform(X), ids). If "
            "they were, they"
        )
        warn(
            f"The mean of the new rows of {names} lies far from that of the rows indexed before. "
            f"{'They' if of_one_origin else cause} come from another domain: fit the pipeline "
            "again with some of them."
        )
    return pool_means(*seen, *new)


def is_far(n, mean, n_new, new_mean):
    """Whether the means of two sets of unit rows differ by much, and not by chance.

    Parameters
    ----------
    n, n_new : int
        Numbers of rows.
    mean, new_mean : ndarray of shape (n_features,)

    Returns
    -------
    bool
    """
    # The expected squared distance if rows had no common direction: that is the largest there
    # is, so a few similar rows (one product in ten colors) do not count as many.
    chance = 1 / n + 1 / n_new
    square = np.sum((new_mean - mean) ** 2)
    return square - chance > FAR and square > N_ERRORS**2 * chance

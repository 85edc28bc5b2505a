"""Where generated rows lie: the means of modalities, and rows scattered about items."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import helmert

# Sparse coordinates give the scores of different items a long upper tail: with this shape of
# their gamma distribution a skewness of .6 across modalities, like CLIP's.
SPARSITY = 0.25

# Rounding must not break an equality that was meant.
SLACK = 1e-9


@dataclass(frozen=True)
class Part:
    """Unit rows scattered about the points of their items, themselves random unit rows.

    Attributes
    ----------
    kept : float
        Mean cosine of two rows of one item, in [0, 1].
    n_directions : float
        The inverse of the variance of the cosines of rows of different items, at least 2;
        their mean is 0.
    """

    kept: float
    n_directions: float

    @property
    def blocks(self):
        """Pairs of dimensions and squared length: what the rows are made of.

        Isotropic unit rows in d dimensions have cosines of variance 1 / d. Two dimensions
        more, of little length, make up for the fraction.
        """
        d = max(int(self.n_directions), 2)
        length = (d + np.sqrt(2 * d * max((d + 2) / self.n_directions - 1, 0))) / (d + 2)
        return (d, min(length, 1)), (2, max(1 - length, 0))

    @property
    def width(self):
        """Number of columns."""
        return sum(d for d, _ in self.blocks)

    def draw_points(self, n_items, rng):
        """Arrays of shape (n_items, d), one a block."""
        return [draw_directions(n_items, d, rng) for d, _ in self.blocks]

    def draw_rows(self, points, items, rng):
        """Rows of shape (n_rows, width) for items of shape (n_rows,), indices into `points`.

        A row is its point and a step at right angles. Drawn at right angles to the first axis
        and reflected as that axis is into the point, steps have mean zero about every point,
        and the rows of all items together are isotropic.
        """
        rows = []
        for (d, length), block in zip(self.blocks, points):
            point = block[items]
            step = np.zeros_like(point)
            step[:, 1:] = draw_directions(len(items), d - 1, rng)
            mirror = point.copy()
            mirror[:, 0] += np.copysign(1, point[:, 0])
            mirror /= np.linalg.norm(mirror, axis=1, keepdims=True)
            step -= 2 * mirror * np.vecdot(mirror, step)[:, None]
            row = np.sqrt(self.kept) * point + np.sqrt(1 - self.kept) * step
            rows.append(np.sqrt(length) * row)
        return np.hstack(rows)


def draw_directions(n_rows, d, rng):
    """Random unit rows of shape (n_rows, d), of mean zero and isotropic covariance.

    Exchangeable coordinates, projected onto those that sum to zero, have both exactly,
    however skewed they are.
    """
    rows = rng.standard_gamma(SPARSITY, (n_rows, d + 1)) @ helmert(d + 1).T
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def solve_means(n_modalities, cosine_within, cosine_across):
    """Means of shape (n_modalities, n_modalities) whose rows have these dot products.

    `cosine_within` is that of a row with itself, `cosine_across` that of two.

    Raises
    ------
    ValueError
        If there are none.
    """
    apart = cosine_within - cosine_across
    together = cosine_within + (n_modalities - 1) * cosine_across
    for eigenvalue, needed in (
        (apart, "cosine_across <= cosine_within"),
        (together, f"cosine_within + {n_modalities - 1} * cosine_across >= 0"),
    ):
        if eigenvalue < -SLACK:
            raise ValueError(
                f"No means of {n_modalities} modalities have these cosines, which need "
                f"{needed}; got cosine_within={cosine_within:.4g} and "
                f"cosine_across={cosine_across:.4g}. Change one of them."
            )
    # The square root of the matrix with one number on its diagonal and the other off it.
    apart, together = np.sqrt(max(apart, 0)), np.sqrt(max(together, 0))
    return apart * np.eye(n_modalities) + (together - apart) / n_modalities


def solve_parts(
    *,
    pair_cosine,
    pair_cosine_within,
    cosine_within,
    cosine_across,
    deviation_within,
    deviation_across,
):
    """The parts of unit residuals, in the directions of all modalities and in those of one.

    With the share s of their squared length in the shared part, and k, D and l, E the `kept`
    and `n_directions` of the shared and the own part, residuals have the cosines s k for
    pairs across modalities and s k + (1 - s) l for pairs within one, and the variances
    s^2 / D for different items across and s^2 / D + (1 - s)^2 / E within. That leaves s free
    between the bounds that k and l are at most 1, D and E at least 2.

    Returns
    -------
    s : float
    shared, own : Part

    Raises
    ------
    ValueError
        If no s lies between the bounds; the message names the inequality.
    """
    pair = (pair_cosine - cosine_across) / (1 - cosine_within)
    own = (pair_cosine_within - cosine_within) / (1 - cosine_within) - pair
    surplus = deviation_within**2 - deviation_across**2
    shared_room, own_room = np.sqrt(2) * deviation_across, np.sqrt(2 * max(surplus, 0))
    for left, right, needed in (
        (cosine_across, pair_cosine, "cosine_across <= pair_cosine"),
        (
            pair_cosine - cosine_across,
            pair_cosine_within - cosine_within,
            "pair_cosine - cosine_across <= pair_cosine_within - cosine_within",
        ),
        (deviation_across + 2 * SLACK, deviation_within, "deviation_across < deviation_within"),
        (pair, 1 - own_room, "pair <= 1 - sqrt(2 * surplus)"),
        (shared_room, 1 - own, "sqrt(2) * deviation_across <= 1 - own"),
        (shared_room, 1 - own_room, "sqrt(2) * deviation_across <= 1 - sqrt(2 * surplus)"),
    ):
        if left > right + SLACK:
            raise ValueError(
                f"No rows have these statistics, which need {needed}; got {left:.4g} on the left "
                f"and {right:.4g} on the right. Change one of them. Here pair = (pair_cosine - "
                "cosine_across) / (1 - cosine_within), own = (pair_cosine_within - cosine_within) "
                "/ (1 - cosine_within) - pair, surplus = deviation_within^2 - deviation_across^2."
            )
    # Of the shares allowed, the one that takes the fewest directions for two modalities.
    fewest = 2 * deviation_across**2 / (deviation_within**2 + deviation_across**2)
    s = np.clip(fewest, max(pair, shared_room), 1 - max(own, own_room))
    shared = Part(np.clip(pair / s, 0, 1), s**2 / deviation_across**2)
    return s, shared, Part(np.clip(own / (1 - s), 0, 1), (1 - s) ** 2 / surplus)

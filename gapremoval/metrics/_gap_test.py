"""modality_gap_test: is there a gap at all?"""

from dataclasses import dataclass
from math import comb

import numpy as np
from sklearn.utils import check_random_state

from ._rows import draw, read

SIGNIFICANCE = 0.05
NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class ModalityGapTest:
    """Result of `modality_gap_test`."""

    distance: float
    effect_size: float
    p_value: float
    n_rows: dict

    @property
    def should_correct(self):
        """Whether there is a gap worth removing."""
        return self.p_value < SIGNIFICANCE and self.effect_size >= NEGLIGIBLE


def modality_gap_test(
    X,
    y=None,
    between=None,
    *,
    n_permutations=999,
    max_rows=2000,
    random_state=0,
    modality=None,
):
    """Permutation test of whether two modalities have the same mean."""
    rows, rng = read(X, modality), check_random_state(random_state)
    names = rows.between(between, least=2)
    if y is None:
        one, other = (rows.unit(draw(rows.at[name], max_rows, rng)) for name in names)
        n_labelings = comb(len(one) + len(other), len(one)) // (1 + (len(one) == len(other)))
        distances = _relabeled_distances
    else:
        pairs = rows.pairs(y, names)
        chosen = draw(np.arange(len(pairs[0])), max_rows, rng)
        one, other = (rows.unit(at[chosen]) for at in pairs)
        n_labelings = 2 ** (len(one) - 1)
        distances = _exchanged_distances
    if n_labelings <= 1 / SIGNIFICANCE:
        raise ValueError(
            f"{len(one)} {'pairs' if y is not None else 'rows'} are too few to tell a gap from "
            "chance."
        )
    apart = one.mean(axis=0) - other.mean(axis=0)
    distance = np.linalg.norm(apart)
    as_far = distances(one, other, n_permutations, rng) >= distance - 1e-9
    return ModalityGapTest(
        distance=float(distance),
        effect_size=effect_size(one, other, paired=y is not None),
        p_value=float((1 + as_far.sum()) / (1 + n_permutations)),
        n_rows=dict(zip(names, (len(one), len(other)))),
    )


def effect_size(one, other, paired=False):
    """Share of the total variance that lies between two sets of rows, corrected for chance."""
    sizes = np.array([len(one), len(other)])
    both = np.concatenate([one, other])
    total = np.sum((both - both.mean(axis=0)) ** 2)
    apart = one.mean(axis=0) - other.mean(axis=0)
    between = sizes.prod() / sizes.sum() * (apart @ apart)
    if paired:
        by_chance = np.sum((one - other - apart) ** 2) / (2 * (len(one) - 1))
    else:
        by_chance = (total - between) / (sizes.sum() - 2)
    return float((between - by_chance) / total) if total > 0 else 0.0


def _relabeled_distances(one, other, n_permutations, rng):
    """Distances of the means where the rows' labels are permuted."""
    both = np.concatenate([one, other])
    n, total = len(one), both.sum(axis=0)
    found = np.empty(n_permutations)
    for i in range(n_permutations):
        mean = both[rng.permutation(len(both))[:n]].mean(axis=0)
        found[i] = np.linalg.norm(mean - (total - n * mean) / len(other))
    return found


def _exchanged_distances(one, other, n_permutations, rng):
    """Distances of the means where the two labels of pairs are exchanged at random."""
    signs = rng.choice([-1.0, 1.0], size=(n_permutations, len(one)))
    return np.linalg.norm(signs @ (one - other), axis=1) / len(one)

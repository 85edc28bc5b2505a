"""modality_gap_test: is there a gap at all, and is it worth removing?"""

from dataclasses import dataclass
from math import comb
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from ._rows import draw, read

# The gap is removed if both hold: it is no chance, and more than a small effect by Cohen (1988).
SIGNIFICANT = 0.05
SMALL = 0.01

# Permutations at a time, which bounds the memory.
BLOCK = 100


@dataclass(frozen=True)
class ModalityGapTest:
    """Result of `modality_gap_test`.

    Attributes
    ----------
    distance : float
        Distance of the means of the rows that were compared, in [0, 2].
    effect_size : float
        Share of the total variance that lies between the modalities, each with half of the
        weight, corrected for chance: at most 1, and 0 on average where there is no gap. Cohen
        calls .01 small, .06 medium and .14 large; CLIP has .2 to .3.
    p_value : float
        Share of the permutations with means at least as far apart, in (0, 1].
    n_rows : dict of str to int
        Number of rows of each modality that were compared.
    """

    distance: float
    effect_size: float
    p_value: float
    n_rows: dict

    @property
    def should_correct(self):
        """Whether there is a gap worth removing: p below .05, and an effect of at least .01."""
        return self.p_value < SIGNIFICANT and self.effect_size >= SMALL

    def __repr__(self):
        return (
            f"ModalityGapTest(should_correct={self.should_correct}, distance={self.distance:.3g}, "
            f"effect_size={self.effect_size:.3g}, p_value={self.p_value:.3g}, n_rows={self.n_rows})"
        )


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
    """Test whether there is a modality gap at all.

    The means of two modalities are never equal by chance. This test permutes the modalities of
    the rows, and counts how often their means are then as far apart as they are. It also says how
    large the gap is, since with many rows a gap of no importance is no chance either.

    A corpus whose texts are about one topic and whose images are about another has means that
    differ by the topic. With pairs, such as captions of images, the two modalities are exchanged
    within pairs only, and a difference of topics is no gap.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings as they come from the encoder; rows have unit length first. Rows of length zero
        are left out with a warning.
    y : sequence of length n_rows, default=None
        The id of each document row and the relevance of each query row, as for a fit. Two rows of
        the two modalities that share an id are a pair, and only pairs are compared; of each id the
        first row of each modality is taken. By default all rows are compared.
    between : sequence of two str, default=None
        The two modalities, such as ``("query:text", "image")``: by default the two that the
        documents have.
    n_permutations : int, default=999
        Number of random permutations, at least 19. The smallest p-value is
        ``1 / (n_permutations + 1)``.
    max_rows : int, default=2000
        Of a modality with more rows, or of more pairs, a sample of this size is taken; None takes
        all. `n_rows` of the result says how many there were.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample and of the permutations.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    ModalityGapTest
        `distance`, `effect_size`, `p_value`, `n_rows` and `should_correct`.

    Raises
    ------
    ValueError
        If there are too few rows for a p-value below .05, such as fewer than six pairs; also as
        in `centroid_distance`.

    See Also
    --------
    centroid_distance : The distance alone, of all rows.
    gap_components : What else than the means differs.

    Notes
    -----
    Without pairs this is a permutational analysis of variance [1]_ of two groups: for a fixed
    total variance, its F grows with the distance of the means. With pairs it is the test of
    random signs of the differences within pairs. Rows that repeat an item in one modality, such as
    five captions of an image, are no independent rows: give `y`, or one of them each.

    With D the squared distance of the means and W the mean of the variances within the two
    modalities, the effect size is ``(D - E) / (D + 4 W)``. E is what D is on average without a
    gap: ``V (1 / n + 1 / n')`` with the pooled variance V, and with pairs the variance of their
    differences over n. For equal numbers of rows this is epsilon squared; a rare modality has the
    same effect size as a frequent one.

    References
    ----------
    .. [1] Anderson, "A new method for non-parametric multivariate analysis of variance", Austral
       Ecology 26, 2001.
    .. [2] Phipson and Smyth, "Permutation P-values should never be zero", Statistical Applications
       in Genetics and Molecular Biology 9, 2010.
    .. [3] Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd edition, 1988,
       section 8.2; Kelley, "An unbiased correlation ratio measure", PNAS 21, 1935: epsilon
       squared.

    Examples
    --------
    >>> from gapremoval import ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import modality_gap_test
    >>> X, y = make_mixed_modality(random_state=0)
    >>> result = modality_gap_test(X)
    >>> result.p_value, round(result.effect_size, 2), result.should_correct
    (0.001, 0.27, True)
    >>> modality_gap_test(ModalityGapRemover().fit_transform(X)).should_correct
    False
    """
    check_scalar(n_permutations, "n_permutations", Integral, min_val=19)
    rows, rng = read(X, modality), check_random_state(random_state)
    names = rows.between(between)
    if y is None:
        one, other = rows.sample(names, max_rows, rng)
        n, n_possible = len(one) + len(other), comb(len(one) + len(other), len(one))
        n_possible = n_possible // 2 if len(one) == len(other) else n_possible
    else:
        at = rows.pairs(y, names, least=0)
        drawn = draw(np.arange(len(at[0])), max_rows, rng)
        one, other = (rows.unit(each[drawn]) for each in at)
        n, n_possible = len(one), 2 ** max(len(one) - 1, 0)
    if n_possible < 1 / SIGNIFICANT:
        what = "rows" if y is None else f"pairs of {names[0]!r} and {names[1]!r}"
        hint = "" if y is None else " Without y all rows are compared, and topics count as a gap."
        raise ValueError(f"{n} {what} are too few to tell a gap from chance.{hint}")
    apart = one.mean(axis=0) - other.mean(axis=0)
    distance = np.linalg.norm(apart)
    permuted = _permuted_distances if y is None else _exchanged_distances
    # Equal distances may differ by rounding.
    as_far = sum(
        int((permuted(one, other, n, rng) >= distance - 1e-9).sum())
        for n in np.diff([*range(0, n_permutations, BLOCK), n_permutations])
    )
    return ModalityGapTest(
        distance=float(distance),
        effect_size=effect_size(one, other, is_paired=y is not None),
        p_value=(1 + as_far) / (1 + n_permutations),
        n_rows=dict(zip(names, (len(one), len(other)))),
    )


def effect_size(one, other, is_paired=False):
    """Share of the total variance between two sets of rows, corrected for chance.

    Parameters
    ----------
    one, other : ndarray of float64 of shape (n, n_features)
        Three rows at least.
    is_paired : bool, default=False
        Whether rows at the same place are pairs.

    Returns
    -------
    float
        At most 1.
    """
    n, n_other = len(one), len(other)
    apart = one.mean(axis=0) - other.mean(axis=0)
    squares = [np.sum((x - x.mean(axis=0)) ** 2) for x in (one, other)]
    # Each modality has half of the weight: a rare one is no less apart.
    between = (apart @ apart) / 4
    total = between + (squares[0] / n + squares[1] / n_other) / 2
    if is_paired:
        by_chance = np.sum((one - other - apart) ** 2) / (4 * n * (n - 1))
    else:
        by_chance = sum(squares) / (n + n_other - 2) * (1 / n + 1 / n_other) / 4
    return float((between - by_chance) / total) if total > 1e-12 else 0.0


def _permuted_distances(one, other, n_permutations, rng):
    """Distances of the means where the modalities of the rows are permuted."""
    both = np.concatenate([one, other])
    both -= both.mean(axis=0)
    order = rng.random_sample((n_permutations, len(both))).argpartition(len(one) - 1, axis=1)
    is_one = np.zeros(order.shape)
    np.put_along_axis(is_one, order[:, : len(one)], 1.0, axis=1)
    # All rows together sum to zero.
    return np.linalg.norm(is_one @ both, axis=1) * (1 / len(one) + 1 / len(other))


def _exchanged_distances(one, other, n_permutations, rng):
    """Distances of the means where the modalities of some pairs are exchanged."""
    signs = rng.choice([-1.0, 1.0], size=(n_permutations, len(one)))
    return np.linalg.norm(signs @ (one - other), axis=1) / len(one)

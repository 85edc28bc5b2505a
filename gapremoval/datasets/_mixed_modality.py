"""make_mixed_modality: random embeddings of paired items with the statistics of CLIP."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
from scipy.linalg import helmert
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from .._embeddings import EmbeddingArray
from .._modality import as_query

# Items differ in how much their modalities share: the split s has a beta distribution. With
# this sum of its parameters, the cosines of pairs have a deviation of .03, as CLIP's have.
CONCENTRATION = 25

# Sparse coordinates give the cosines of different items a long upper tail: with this shape of
# their gamma distribution a skewness of .6 across modalities, as CLIP's have.
SPARSITY = 0.25

SPLIT_NEEDED = (
    "max(pair, sqrt(2) * deviation_across) <= 1 - max(own, sqrt(2 * surplus)), with pair, own and "
    "surplus as in the Notes"
)

# Rounding must not break an equality that was meant.
SLACK = 1e-9


@validate_params(
    {
        "n_items": [Interval(Integral, 1, None, closed="left")],
        "proportions": [Mapping, None],
        "queries": [Mapping, None],
        "distractors": [Mapping, None],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "pair_cosine": [Interval(Real, -1, 1, closed="both")],
        "pair_cosine_within": [Interval(Real, -1, 1, closed="both")],
        "cosine_within": [Interval(Real, 0, 1, closed="left")],
        "cosine_across": [Interval(Real, -1, 1, closed="both")],
        "deviation_within": [Interval(Real, 0, 1, closed="neither")],
        "deviation_across": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_mixed_modality(
    n_items=300,
    *,
    proportions=None,
    queries=None,
    distractors=None,
    n_features=512,
    pair_cosine=0.31,
    pair_cosine_within=0.77,
    cosine_within=0.52,
    cosine_across=0.16,
    deviation_within=0.15,
    deviation_across=0.09,
    random_state=None,
):
    """Generate a mixed corpus and queries with the statistics of CLIP embeddings.

    Each item is a document of one or several modalities. Its queries are other texts (or
    images) of the same item. There is a modality gap: raw cosine prefers documents of the
    query's modality, whether they are relevant or not.

    Parameters
    ----------
    n_items : int, default=300
        Number of items, at least 1. Each is one document.
    proportions : dict of str to float, default={"text": 1, "image": 1, "image+text": 1}
        Relative share of each kind of document, at least 0. A kind is a modality, or several
        joined by ``+``: such a document has several rows with the same id. Counts are rounded
        by largest remainder, and kinds are assigned to items at random.
    queries : dict of str to int, default={"text": 1}
        Number of queries of each modality for every item, at least 0. Documents need not have
        that modality.
    distractors : dict of str to int, default={}
        Number of additional documents of each kind that are relevant to no query.
    n_features : int, default=512
        Number of features. Smaller deviations and more modalities need more features: 67 for
        two modalities by default.
    pair_cosine : float, default=0.31
        Mean cosine of two rows of the same item in different modalities.
    pair_cosine_within : float, default=0.77
        Mean cosine of two rows of the same item in the same modality, such as two captions
        of one image.
    cosine_within : float, default=0.52
        Mean cosine of rows of different items in the same modality, at least 0 and below 1.
    cosine_across : float, default=0.16
        Mean cosine of rows of different items in different modalities. The modality means
        are ``sqrt(2 * (cosine_within - cosine_across))`` apart.
    deviation_within : float, default=0.15
        Standard deviation of the cosines of different items in the same modality, after the
        mean of each modality is subtracted and rows are normalized again.
    deviation_across : float, default=0.09
        The same for different modalities; smaller than `deviation_within`.
    random_state : int, RandomState instance or None, default=None
        Seed of the random numbers.

    Returns
    -------
    X : EmbeddingArray of float32 of shape (n_rows, n_features)
        Unit rows: the documents item by item, the distractors, and the queries item by item
        (tagged ``query:text`` and so on).
    y : ndarray of object of shape (n_rows,)
        The id of each document row (``"item0"``, ``"distractor0"``), and the id of the
        relevant document for each query row.

    Raises
    ------
    ValueError
        If a parameter is out of range, a kind is malformed, all proportions are 0, there are
        too few features, or no rows can have these statistics. The message names the
        inequality that does not hold.

    Notes
    -----
    A row is the mean of its modality plus a residual at right angles to all means. A residual
    is ``sqrt(s)`` times a unit row in `d` directions that all modalities share, plus
    ``sqrt(1 - s)`` times a unit row in `e` directions of its own modality. Each unit row is
    scattered about a point of its item. With a mean cosine of `k` and `l` between the shared
    and the own unit rows of one item, the residuals of a pair have the mean cosine ``s * k``
    across modalities and ``s * k + (1 - s) * l`` within one; those of different items have the
    variance ``s**2 / d`` across and ``s**2 / d + (1 - s)**2 / e`` within. `d` and `e` are
    rounded to whole numbers of at least 2.

    So ``pair = (pair_cosine - cosine_across) / (1 - cosine_within)`` is ``s * k``,
    ``own = (pair_cosine_within - cosine_within) / (1 - cosine_within) - pair`` is
    ``(1 - s) * l``, and ``surplus = deviation_within**2 - deviation_across**2`` is
    ``(1 - s)**2 / e``.

    The statistics are expected values. In a sample the means of n rows lie a little further
    apart: their squared distance grows by about ``2 * (1 - cosine_within) / n``.

    The defaults are those of CLIP ViT-B/16 on COCO and, for `pair_cosine_within`, of CLIP
    ViT-B/32 on the captions of Flickr8k.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(4, proportions={"text": 3, "image": 1}, random_state=0)
    >>> X
    EmbeddingArray(8 rows x 512, float32: 3 text, 1 image, 4 query:text)
    >>> print(*y)
    item0 item1 item2 item3 item0 item1 item2 item3
    """
    if proportions is None:
        proportions = {"text": 1, "image": 1, "image+text": 1}
    shares = _read_kinds("proportions", proportions, Real)
    asked = _read_kinds("queries", {"text": 1} if queries is None else queries, Integral)
    unasked = _read_kinds("distractors", distractors or {}, Integral)
    if not any(shares.values()):
        raise ValueError(f"At least one of the proportions must be above 0; got {proportions!r}.")
    if any(len(parts) > 1 for parts in asked):
        raise ValueError(
            f"A generated query has one modality; got queries={queries!r}. Give a number for each "
            "modality, such as {'image': 1, 'text': 1}."
        )
    modalities = sorted({part for kinds in (shares, asked, unasked) for k in kinds for part in k})
    n = len(modalities)
    together = cosine_within + (n - 1) * cosine_across
    # The statistics leave s free between two bounds: cosines are at most 1, and each part of a
    # residual has at least two directions (see Notes).
    pair = (pair_cosine - cosine_across) / (1 - cosine_within)
    own = (pair_cosine_within - cosine_within) / (1 - cosine_within) - pair
    surplus = max(deviation_within**2 - deviation_across**2, 0)
    lowest = max(pair, np.sqrt(2) * deviation_across)
    highest = 1 - max(own, np.sqrt(2 * surplus))
    for needed, left, right in (
        ("cosine_across <= cosine_within", cosine_across, cosine_within),
        (f"0 <= cosine_within + {n - 1} * cosine_across", 0, together),
        ("cosine_across <= pair_cosine", cosine_across, pair_cosine),
        (
            "pair_cosine - cosine_across <= pair_cosine_within - cosine_within",
            pair_cosine - cosine_across,
            pair_cosine_within - cosine_within,
        ),
        ("deviation_across < deviation_within", deviation_across + 2 * SLACK, deviation_within),
        (SPLIT_NEEDED, lowest, highest),
    ):
        if left > right + SLACK:
            raise ValueError(
                f"No rows have these statistics, which need {needed}; got {left:.4g} on the left "
                f"and {right:.4g} on the right. Change one of them."
            )
    # The square root of the matrix with cosine_within on its diagonal and cosine_across off it.
    apart, together = np.sqrt(max(cosine_within - cosine_across, 0)), np.sqrt(max(together, 0))
    means = apart * np.eye(n) + (together - apart) / n
    # Within the bounds, this takes the fewest directions for two modalities.
    split = 2 * deviation_across**2 / (deviation_within**2 + deviation_across**2)
    split = min(max(split, lowest), highest)
    n_shared = max(round((split / deviation_across) ** 2), 2)
    n_own = max(round((1 - split) ** 2 / surplus), 2)
    widths = [n, n_shared] + [n_own] * n
    if n_features < sum(widths):
        raise ValueError(
            f"n_features={n_features} is too small: these deviations need at least {sum(widths)} "
            f"for the modalities {', '.join(modalities)}. Raise n_features or the deviations."
        )

    rng = check_random_state(random_state)
    documents = _deal(n_items, shares, rng)
    documents += [parts for parts, count in unasked.items() for _ in range(count)]
    rows = [(i, part, part) for i, parts in enumerate(documents) for part in parts]
    for i in range(n_items):
        for (part,), count in asked.items():
            rows += [(i, part, as_query(part))] * count
    owners, names, tags = (np.array(column) for column in zip(*rows))

    basis, _ = np.linalg.qr(rng.standard_normal((n_features, sum(widths))))
    mean_basis, shared_basis, *own_bases = np.split(basis.T, np.cumsum(widths[:-1]))
    values = np.empty((len(rows), n_features), dtype=np.float32)
    splits = rng.beta(CONCENTRATION * split, CONCENTRATION * (1 - split), (len(documents), 1))
    shared_points = _draw_directions(len(documents), n_shared, rng)
    for name, mean, own_basis in zip(modalities, means @ mean_basis, own_bases):
        at = np.flatnonzero(names == name)
        i = owners[at]
        own_points = _draw_directions(len(documents), n_own, rng)
        shared_rows = _scatter(shared_points[i], pair / split, rng) @ shared_basis
        own_rows = _scatter(own_points[i], own / (1 - split), rng) @ own_basis
        residuals = np.sqrt(splits[i]) * shared_rows + np.sqrt(1 - splits[i]) * own_rows
        values[at] = mean + np.sqrt(1 - cosine_within) * residuals
    ids = [f"item{i}" for i in range(n_items)]
    ids += [f"distractor{i}" for i in range(len(documents) - n_items)]
    return EmbeddingArray(values, tags), np.array([ids[i] for i in owners], dtype=object)


def _draw_directions(n_rows, d, rng):
    """Unit rows of shape (n_rows, d), with mean zero and isotropic covariance.

    Exchangeable coordinates, projected on those that sum to zero, have both exactly, however
    skewed they are.
    """
    rows = rng.standard_gamma(SPARSITY, (n_rows, d + 1)) @ helmert(d + 1).T
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _scatter(points, kept, rng):
    """Unit rows about unit `points`, with a mean cosine of `kept` between two about one point."""
    steps = _draw_directions(*points.shape, rng)
    steps -= np.vecdot(steps, points)[:, None] * points
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    kept = min(max(kept, 0), 1)
    return np.sqrt(kept) * points + np.sqrt(1 - kept) * steps


def _read_kinds(name, numbers, number):
    """Validate a dict of numbers by kind; the kinds become sorted tuples of modalities."""
    read = {}
    for kind, value in numbers.items():
        parts = tuple(sorted(kind.split("+"))) if isinstance(kind, str) else ("",)
        if "" in parts or ":" in kind or len(set(parts)) < len(parts):
            raise ValueError(
                f"{name} has the malformed kind {kind!r}. A kind is a modality such as 'text', "
                "or several different ones joined by '+', such as 'image+text'."
            )
        if isinstance(value, bool) or not isinstance(value, number) or not 0 <= value < np.inf:
            what = "an integer" if number is Integral else "a finite number"
            raise ValueError(f"{name}[{kind!r}] must be {what}, at least 0; got {value!r}.")
        read[parts] = read.get(parts, 0) + value
    return read


def _deal(n_items, shares, rng):
    """Draw the kind of each item; the counts are rounded by largest remainder."""
    quotas = np.array(list(shares.values()), dtype=np.float64)
    quotas *= n_items / quotas.sum()
    counts = np.floor(quotas).astype(np.int64)
    n_left = n_items - counts.sum()
    counts[np.argsort(counts - quotas, kind="stable")[:n_left]] += 1
    kinds = list(shares)
    return [kinds[k] for k in rng.permutation(np.repeat(np.arange(len(kinds)), counts))]

"""make_mixed_modality: paired embeddings with the statistics of CLIP's, from a seed."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from .._embeddings import EmbeddingArray
from .._modality import as_query
from ._geometry import solve_means, solve_parts

# Items differ in how much of them their modalities share. With this sum of the parameters of
# its beta distribution, the cosines of pairs deviate by about .03, like CLIP's.
CONCENTRATION = 25


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
    """Generate a mixed corpus with its queries, whose statistics are CLIP's by default.

    Every item becomes a document of one modality or several, and is asked for by queries:
    other texts (or images) of the same item. The modalities lie apart, so that raw cosine
    prefers documents of the query's own modality, right or wrong.

    Parameters
    ----------
    n_items : int, default=300
        Number of items, at least 1: one document each.
    proportions : dict of str to float, default={"text": 1, "image": 1, "image+text": 1}
        The relative share of each kind of document, at least 0. A kind is a modality, or
        several sorted and joined by ``+``, which are several rows with the same id. The
        items are dealt out by largest remainder, then shuffled.
    queries : dict of str to int, default={"text": 1}
        Number of queries of each modality for every item. Documents need not have that
        modality.
    distractors : dict of str to int, default={}
        Number of further documents of each kind, which answer no query.
    n_features : int, default=512
        Number of features. The smaller the deviations and the more modalities, the more are
        needed: 72 for two modalities by default.
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
        Standard deviation of the cosines of different items in the same modality, once each
        modality's mean is subtracted and the rows have unit length again.
    deviation_across : float, default=0.09
        The same in different modalities; smaller than `deviation_within`.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    X : EmbeddingArray of float32 of shape (n_rows, n_features)
        Unit rows: the documents item by item, the distractors, the queries item by item
        (tagged ``query:text`` and the like).
    y : ndarray of object of shape (n_rows,)
        The id of a document row (``"item0"``, ``"distractor0"``), and for a query row the id
        of the document that it asks for.

    Raises
    ------
    ValueError
        If a parameter is out of range, a kind is malformed, all proportions are 0, or no
        rows can have these statistics (in so few features); the message names the
        inequality that does not hold.

    Notes
    -----
    A row is the mean of its modality plus a residual at right angles to all means. The
    residual has a part in directions that all modalities share, scattered about a point of
    the item, and a part in directions of its own modality, scattered about another. How
    close gives the cosines of pairs, and the numbers of directions give the deviations.

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
            f"A query made here has one modality; got queries={queries!r}. Name the modalities "
            "apart, such as {'image': 1, 'text': 1}."
        )
    modalities = sorted({part for kinds in (shares, asked, unasked) for k in kinds for part in k})
    means = solve_means(len(modalities), cosine_within, cosine_across)
    split, shared, own = solve_parts(
        pair_cosine=pair_cosine,
        pair_cosine_within=pair_cosine_within,
        cosine_within=cosine_within,
        cosine_across=cosine_across,
        deviation_within=deviation_within,
        deviation_across=deviation_across,
    )
    widths = [len(means), shared.width] + [own.width for _ in modalities]
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
    shared_points = shared.draw_points(len(documents), rng)
    for name, mean, own_basis in zip(modalities, means @ mean_basis, own_bases):
        at = np.flatnonzero(names == name)
        i = owners[at]
        own_points = own.draw_points(len(documents), rng)
        residuals = np.sqrt(splits[i]) * shared.draw_rows(shared_points, i, rng) @ shared_basis
        residuals += np.sqrt(1 - splits[i]) * own.draw_rows(own_points, i, rng) @ own_basis
        values[at] = mean + np.sqrt(1 - cosine_within) * residuals
    ids = [f"item{i}" for i in range(n_items)]
    ids += [f"distractor{i}" for i in range(len(documents) - n_items)]
    return EmbeddingArray(values, tags), np.array([ids[i] for i in owners], dtype=object)


def _read_kinds(name, numbers, number):
    """Check a dict kind -> number, and split its kinds into tuples of modalities."""
    for kind, value in numbers.items():
        parts = kind.split("+") if isinstance(kind, str) else [""]
        if "" in parts or ":" in kind or parts != sorted(set(parts)):
            raise ValueError(
                f"{name} has the malformed kind {kind!r}. A kind is a modality such as 'text', "
                "or several, sorted, distinct and joined by '+', such as 'image+text'."
            )
        if not isinstance(value, number) or not 0 <= value < np.inf:
            what = "an integer" if number is Integral else "a finite number"
            raise ValueError(f"{name}[{kind!r}] must be {what}, at least 0; got {value!r}.")
    return {tuple(kind.split("+")): value for kind, value in numbers.items()}


def _deal(n_items, shares, rng):
    """The kind of each item: counts by largest remainder, in random order."""
    quotas = np.array(list(shares.values()), dtype=np.float64)
    quotas *= n_items / quotas.sum()
    counts = np.floor(quotas).astype(np.int64)
    n_left = n_items - counts.sum()
    counts[np.argsort(counts - quotas, kind="stable")[:n_left]] += 1
    kinds = list(shares)
    return [kinds[k] for k in rng.permutation(np.repeat(np.arange(len(kinds)), counts))]

"""Alignment of pairs and uniformity of rows, on the sphere."""

import numpy as np
from scipy.special import logsumexp

from ._rows import read


def alignment(X, y, between=None, *, modality=None):
    """Mean squared distance of the two rows of a pair.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    y : sequence of length n_rows
        The id of each document row and the relevance of each query row, as for a fit. Two rows of
        the two modalities that share an id are a pair; of each id the first row of each modality
        is taken.
    between : sequence of two str, default=None
        The two modalities, such as ``("query:text", "image")``: by default the two that the
        documents have.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    float
        In [0, 4]; 0 where pairs coincide. The mean cosine of pairs is ``1 - alignment / 2``.

    Raises
    ------
    ValueError
        If there are no pairs; also as in `centroid_distance`.

    References
    ----------
    .. [1] Wang and Isola, "Understanding Contrastive Representation Learning through Alignment
       and Uniformity on the Hypersphere", ICML 2020, section 4; the exponent is 2.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import alignment
    >>> X, y = make_mixed_modality(random_state=0)
    >>> round(1 - alignment(X, y) / 2, 2)
    0.31
    """
    rows = read(X, modality)
    squares = [
        np.sum((one - other) ** 2, axis=1)
        for one, other in rows.pair_blocks(y, rows.between(between))
    ]
    return float(np.concatenate(squares).mean())


def uniformity(X, *, max_rows=2000, random_state=0, modality=None):
    """How evenly the rows of each modality fill the sphere.

    The logarithm of the mean of ``exp(-2 |x - y|^2)`` over different rows. It does not depend on
    where a cloud lies, so it is no measure of the gap, but centering widens the cone of each
    modality and lowers it.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings; rows have unit length first. Rows of length zero are left out with a warning.
    max_rows : int, default=2000
        Of a modality with more rows, a sample of this size is taken; None takes all. Time and
        memory grow with its square.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    dict of str to float
        For each modality at most 0, where all rows are equal; about -4 where they are spread
        evenly. NaN for a single row.

    Raises
    ------
    ValueError
        If modalities are not known, or rows hold NaN or infinity.

    References
    ----------
    .. [1] Wang and Isola, "Understanding Contrastive Representation Learning through Alignment
       and Uniformity on the Hypersphere", ICML 2020, section 4; t is 2.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import uniformity
    >>> X, y = make_mixed_modality(random_state=0)
    >>> {name: round(value, 1) for name, value in uniformity(X).items()}
    {'image': -1.9, 'text': -1.9, 'query:text': -1.9}
    """
    rows, found = read(X, modality), {}
    for name in rows.positions:
        (unit,) = rows.sample([name], max_rows, random_state)
        cosines = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
        potential = logsumexp(4 * cosines - 4) if len(cosines) else np.nan
        found[name] = float(potential - np.log(max(len(cosines), 1)))
    return found

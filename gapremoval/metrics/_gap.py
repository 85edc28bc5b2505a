"""How far two modalities are apart, and whether a line tells them apart."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from ._rows import read


def centroid_distance(X, between=None, *, modality=None):
    """Distance of the mean rows of two modalities.

    The simplest measure of the gap. Rows have unit length first, so it is at most 2; for CLIP it
    is about .8.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings. Rows of length zero are left out with a warning.
    between : sequence of two str, default=None
        The two modalities, which may be those of queries, such as ``("query:text", "image")``.
        By default the two that the documents have.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    float
        In [0, 2]; 0 where the means are equal. The distance of n and n' rows that are drawn alike
        is about ``sqrt(1 / n + 1 / n')`` times their spread, not 0: `modality_gap_test` tells
        whether a distance is more than that.

    Raises
    ------
    ValueError
        If modalities are not known, the documents have more or fewer than two and `between` names
        none, a modality has fewer than two rows, or rows hold NaN or infinity.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap: Understanding the Modality Gap in Multi-modal Contrastive
       Representation Learning", NeurIPS 2022, section 4.2.

    Examples
    --------
    >>> from gapremoval import ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import centroid_distance
    >>> X, y = make_mixed_modality(random_state=0)
    >>> round(centroid_distance(X), 2)
    0.85
    >>> round(centroid_distance(ModalityGapRemover().fit_transform(X)), 2)
    0.0
    """
    rows = read(X, modality)
    one, other = rows.between(between)
    return float(np.linalg.norm(rows.means[one] - rows.means[other]))


def relative_modality_gap(X, y, between=None, *, modality=None):
    """Distance of pairs, relative to that of unrelated rows of one modality.

    Encoders differ in how much of the space their rows fill, so distances of different encoders
    cannot be compared. This ratio can: it sets the mean cosine distance of the two rows of a pair
    against that of different rows of the same modality.

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings. Rows of length zero are left out with a warning.
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
        In [0, 1]: 0 where pairs coincide, .5 where they are as far apart as unrelated rows.

    Raises
    ------
    ValueError
        If there are fewer than two pairs; also as in `centroid_distance`.

    References
    ----------
    .. [1] Schrodi et al., "Two Effects, One Trigger: On the Modality Gap, Object Bias, and
       Information Imbalance in Contrastive Vision-Language Models", ICLR 2025, section 4.

    Examples
    --------
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import relative_modality_gap
    >>> X, y = make_mixed_modality(random_state=0)
    >>> round(relative_modality_gap(X, y), 2)
    0.59
    """
    rows = read(X, modality)
    n, cosines, sums = 0, 0.0, 0.0
    for pair in rows.pair_blocks(y, rows.between(between), least=2):
        n += len(pair[0])
        cosines += np.vecdot(*pair).sum()
        sums = sums + np.sum(pair, axis=1)
    of_pairs = 1 - cosines / n
    # The mean over different rows, from the length of their sum.
    within = 1 - np.mean(np.vecdot(sums, sums) - n) / (n * (n - 1))
    total = of_pairs + within
    return float(max(of_pairs, 0) / total) if total > 1e-12 else 0.0


def linear_separability(X, between=None, *, max_rows=1000, random_state=0, modality=None):
    """Accuracy of a linear classifier that tells two modalities apart, on held-out rows.

    Logistic regression with scikit-learn's default penalty, in five stratified folds (fewer
    where a modality has fewer rows).

    Parameters
    ----------
    X : EmbeddingArray or array-like of shape (n_rows, n_features)
        Embeddings. Rows of length zero are left out with a warning.
    between : sequence of two str, default=None
        The two modalities; by default the two that the documents have.
    max_rows : int, default=1000
        Of a modality with more rows, a sample of this size is taken; None takes all.
    random_state : int, RandomState instance or None, default=0
        Seed of the sample and of the folds.
    modality : str or sequence of str of shape (n_rows,), default=None
        The modality of each row; not needed for an EmbeddingArray.

    Returns
    -------
    float
        The mean of both modalities' accuracies, in [0, 1]: 1 where a line separates them, .5
        by chance. After centering it lies *below* .5: a row above the mean of the training folds
        belongs to a modality whose held-out rows are below it.

    Raises
    ------
    ValueError
        As in `centroid_distance`.

    References
    ----------
    .. [1] Shi et al., "Towards understanding the modality gap in CLIP", ICLR 2023 workshop on
       multimodal representation learning.
    .. [2] Belrose et al., "LEACE: Perfect linear concept erasure in closed form", NeurIPS 2023:
       no linear classifier beats a constant if and only if the means are equal.

    Examples
    --------
    >>> from gapremoval import ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.metrics import linear_separability
    >>> X, y = make_mixed_modality(random_state=0)
    >>> linear_separability(X)
    1.0
    >>> linear_separability(ModalityGapRemover().fit_transform(X)) < 0.5
    True
    """
    rows = read(X, modality)
    both = rows.sample(rows.between(between), max_rows, random_state)
    is_other = np.repeat([False, True], [*map(len, both)])
    folds = StratifiedKFold(min(5, *map(len, both)), shuffle=True, random_state=random_state)
    accuracies = cross_val_score(
        LogisticRegression(class_weight="balanced"),
        np.concatenate(both),
        is_other,
        cv=folds,
        scoring="balanced_accuracy",
    )
    return float(accuracies.mean())

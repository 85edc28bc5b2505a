"""The centers of modalities: fitted means, shrunk towards the means that stand behind them."""

import numpy as np

from .._array_api import namespace_and_device, row_lengths
from .._modality import QUERY, is_query, parts_of
from ._question_means import question_mean

# A shorter residual, in units of the precision, is a rounding error, and has no direction.
ROUNDING = 32


def fallback_modalities(name, centers):
    """The modalities whose average center serves as the center of `name`.

    Parameters
    ----------
    name : str
        A modality.
    centers : collection of str
        The modalities that have a center.

    Returns
    -------
    list of str
        `name` itself, if it has a center; else, for a query modality, the modalities of its
        parts (``["text"]`` for ``query:text``, ``["query:text", "image"]`` for
        ``query:image+text``). Empty if one of them has no center either.
    """
    if name in centers or not is_query(name):
        return [name] if name in centers else []
    parts = parts_of(name)
    if len(parts) == 1:
        return [parts[0]] if parts[0] in centers else []
    found = [fallback_modalities(QUERY + part, centers) for part in parts]
    return [names[0] for names in found] if all(found) else []


def shrunken_centers(counts, means, prior, shrinkage, questions):
    """Shrink fitted means towards their prior means.

    A center is ``(n * mean + shrinkage * prior_mean) / (n + shrinkage)``. The prior mean of a
    document modality comes from `prior`. That of a query modality is the corpus's own center
    of the same modality, else the query mean in `prior`, else the document mean in `prior`.

    Parameters
    ----------
    counts : dict of str to int
        The number of fitted rows of each modality.
    means, prior : dict of str to ndarray of shape (n_features,)
        Fitted and prior means by modality.
    shrinkage : float in [0, inf]
        The pseudo-count of the prior mean. With ``inf`` every center is the prior's, where
        `prior` has one. With 0 every center is the fitted mean.
    questions : dict of str to ndarray of shape (n_questions, n_features)
        By query modality, a sample of the questions asked. Its mean takes the place of the
        fitted one, so that repetitions have no more weight than one question.

    Returns
    -------
    centers : dict of str to ndarray of float64 of shape (n_features,)
        For all modalities in `counts` or `prior`.
    from_prior : set of str
        The modalities whose center comes from `prior` alone.
    """
    centers, from_prior = {}, set()
    # Documents first, then queries, then queries of several parts: each may fall back on the
    # centers before it.
    for name in sorted({*counts, *prior}, key=lambda x: (is_query(x), len(parts_of(x)), x)):
        fitted = {k: c for k, c in centers.items() if counts.get(k) and k not in from_prior}
        own = fitted if is_query(name) else {}
        sources = [own, prior] if shrinkage < np.inf else [prior, own]
        n, mean, prior_mean, uses_prior = counts.get(name, 0), means.get(name), None, False
        for source in (*sources, {**prior, **own}):
            if names := fallback_modalities(name, source):
                prior_mean = np.mean([source[k] for k in names], axis=0)
                uses_prior = any(source[k] is prior.get(k) for k in names)
                break
        if n and name in questions and shrinkage > 0:
            n, mean = question_mean(questions[name], prior_mean)
        if prior_mean is None:
            centers[name] = mean
        elif n == 0 or shrinkage == np.inf:
            centers[name] = prior_mean
            if uses_prior:
                from_prior.add(name)
        else:
            centers[name] = (n * mean + shrinkage * prior_mean) / (n + shrinkage)
    return centers, from_prior


def clouds(counts):
    """The modalities that lie somewhere of their own.

    Parameters
    ----------
    counts : dict of str to int
        The number of fitted rows of each modality.

    Returns
    -------
    list of str
        All document modalities with rows, sorted; then the query modalities with rows that none
        of them stands behind, such as ``query:text`` in a corpus of images alone.
    """
    seen = sorted(name for name, n in counts.items() if n)
    documents = [name for name in seen if not is_query(name)]
    return documents + [
        name for name in seen if is_query(name) and not fallback_modalities(name, documents)
    ]


def aligned(found):
    """Those of some clouds that are aligned with each other.

    A query of several parts whose documents were not fitted has no unit rows, and is centered
    only.
    """
    return [name for name in found if len(parts_of(name)) == 1]


def target_cloud(target, found):
    """The cloud that the others are moved to, which is the only one or that of `target`.

    Parameters
    ----------
    target : str
        A document modality.
    found : list of str
        The clouds.

    Raises
    ------
    ValueError
        If there are several, and `target` is not among them.
    """
    for name in (target, QUERY + target):
        if name in found:
            return name
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"target={target!r} names no fitted modality; fitted were "
        f"{', '.join(map(repr, found))}. Set target to one of them, or fit on rows of {target!r} "
        "too."
    )


def residual(rows, center):
    """Rows less their center, zero where only a rounding error is left.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
    center : ndarray of float64 of shape (n_features,)

    Returns
    -------
    array of shape (n_rows, n_features)
    """
    xp, place = namespace_and_device(rows)
    rounding = ROUNDING * float(xp.finfo(rows.dtype).eps * np.linalg.norm(center))
    left = rows - xp.asarray(center, dtype=rows.dtype, device=place)
    return xp.where(row_lengths(left)[:, None] > rounding, left, xp.zeros_like(left))

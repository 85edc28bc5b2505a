"""Centers: what is subtracted from a modality, and whose mean stands behind it."""

import numpy as np

from .._modality import QUERY, is_query, parts_of


def standing_for(name, centers):
    """The modalities whose centers stand for that of `name`: itself, else for a query the
    modality that asks, else all its parts'; empty where some are missing.
    """
    if name in centers or not is_query(name):
        return [name] if name in centers else []
    parts = parts_of(name)
    if len(parts) == 1:
        return [parts[0]] if parts[0] in centers else []
    found = [standing_for(QUERY + part, centers) for part in parts]
    return [names[0] for names in found] if all(found) else []


def shrunk_centers(counts, means, prior, shrinkage):
    """Draw fitted means towards what stands behind them.

    A center is (n x mean + shrinkage x behind) / (n + shrinkage). Behind a document
    modality stands the prior's mean; behind a query modality the corpus's own center of the
    modality that asks, then the prior's for queries, then the prior's for documents.

    Parameters
    ----------
    counts : dict of str to int
    means, prior : dict of str to ndarray of shape (n_features,)
    shrinkage : float in [0, inf]
        In rows. With ``inf`` the prior wins wherever it has a mean.

    Returns
    -------
    centers : dict of str to ndarray of float64 of shape (n_features,)
        For all modalities in `counts` or `prior`.
    borrowed : set of str
        Those whose center is the prior's alone.
    """
    centers, borrowed = {}, set()
    # Documents first, then queries, then queries of several parts: each leans on the former.
    for name in sorted({*counts, *prior}, key=lambda x: (is_query(x), len(parts_of(x)), x)):
        n, behind, from_prior = counts.get(name, 0), None, False
        fitted = {k: c for k, c in centers.items() if counts.get(k) and k not in borrowed}
        own = fitted if is_query(name) else {}
        sources = [own, prior] if shrinkage < np.inf else [prior, own]
        for source in (*sources, {**prior, **own}):
            if names := standing_for(name, source):
                behind = np.mean([source[k] for k in names], axis=0)
                from_prior = any(source[k] is prior.get(k) for k in names)
                break
        if behind is None:
            centers[name] = means[name]
        elif n == 0 or shrinkage == np.inf:
            centers[name] = behind
            if from_prior:
                borrowed.add(name)
        else:
            centers[name] = (n * means[name] + shrinkage * behind) / (n + shrinkage)
    return centers, borrowed

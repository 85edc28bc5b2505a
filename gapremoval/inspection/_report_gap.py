"""The gap of a report: is there one, how large, what the correction leaves, and a map."""

from itertools import combinations

import numpy as np
from sklearn.decomposition import PCA

from .. import metrics
from .._array_api import unit_rows
from .._embeddings import EmbeddingArray
from ..calibration import ModalityGapRemover
from ..evaluation._mixed_corpora import sample_rows
from ..metrics._rows import draw

MOST_MODALITIES = 4  # every two of which are compared
MEASURED_ROWS = 500  # of each modality
LEAST_ROWS = 5  # of a modality, which can be tested at all
LEAST_PAIRS = 10
POINTS = 120  # on the map, of each modality

# The label, whether it is a share, and the meaning of each.
MEASURES = {
    "centroid_distance": (
        "distance of the centers",
        False,
        "How far apart the mean rows of the two modalities are, where every row has length 1.",
    ),
    "variance_between": (
        "differences explained by modality",
        True,
        (
            "What the modality says about a row, whatever the row is about. 1% of all "
            "differences is small, 6% medium, 14% large."
        ),
    ),
    "linear_separability": (
        "told apart by a straight cut",
        True,
        (
            "How often a linear classifier names the modality of a row that it has not seen. Half "
            "of the time is guessing."
        ),
    ),
    "same_modality_neighbors": (
        "neighbors of the same modality",
        True,
        "Of the ten nearest rows to a row, how many have its modality.",
    ),
    "score_scale": (
        "spread of scores within over across",
        False,
        (
            "How much more cosines vary within a modality than across. Above 1, the highest scores "
            "go to rows of the query's modality even where the centers agree."
        ),
    ),
    "pair_cosine": (
        "cosine of two parts of a document",
        False,
        (
            "How similar the two modalities find the same document. It matters only against the "
            "cosines of documents that have nothing in common."
        ),
    ),
}


def gap_facts(data, random_state):
    """Whether there is a gap between document modalities, and how large it is.

    Parameters
    ----------
    data : ReportData
    random_state : int

    Returns
    -------
    facts : dict
        ``pairs`` (one test of each two modalities), ``n_measured`` (rows by modality),
        ``measures`` (of the two modalities that are farthest apart, ``between``) and ``map``.
    shown : list of int
        The rows of `data.documents` on the map, followed by those of `data.queries`.
    """
    random = np.random.default_rng(random_state)
    at = sample_rows(data.documents, data.ids.tolist(), MEASURED_ROWS, random)
    is_long = np.linalg.norm(data.documents.values[at], axis=1) > 0
    X, ids = data.documents[at[is_long]], data.ids[at[is_long]]
    # Rows of length zero are counted as none, not as no modality.
    counts = {x: X._tags.counts().get(x, 0) for x in data.documents[at]._tags.counts()}
    names = sorted(counts, key=counts.get, reverse=True)[:MOST_MODALITIES]
    pairs = [
        _pair(X, ids, between, counts, random_state) for between in combinations(sorted(names), 2)
    ]
    facts = {"pairs": pairs, "n_measured": counts, "measures": [], "between": None}
    tested = [pair for pair in pairs if pair["p_value"] is not None]
    if tested:
        between = max(tested, key=lambda pair: pair["effect_size"])["between"]
        is_pair = np.isin(X.modality, between)
        facts["between"] = between
        facts["measures"] = _measures(X[is_pair], ids[is_pair], tuple(between), random_state)
    facts["map"], shown = _map(data, at, random)
    return facts, shown


def _pair(X, ids, between, counts, random_state):
    """The test of two modalities; None in place of its figures where rows are too few."""
    of_first, of_second = (set(ids[X.modality == name].tolist()) for name in between)
    n_shared, fewest = len(of_first & of_second), min(counts[name] for name in between)
    is_paired = n_shared >= LEAST_PAIRS
    facts = {"between": list(between), "n_shared_documents": n_shared, "is_paired": is_paired}
    facts |= {"fewest_rows": fewest, "should_correct": False}
    if fewest < LEAST_ROWS:
        return facts | dict.fromkeys(("distance", "effect_size", "p_value"))
    test = metrics.modality_gap_test(
        X,
        ids if is_paired else None,
        between=between,
        max_rows=MEASURED_ROWS,
        random_state=random_state,
    )
    figures = {name: float(getattr(test, name)) for name in ("distance", "effect_size", "p_value")}
    return facts | figures | {"should_correct": bool(test.should_correct)}


def _measures(X, y, between, random_state):
    """Measures before and after the correction, each with its level without a gap."""
    corrected = ModalityGapRemover(shrinkage=0).fit_transform(X)
    is_left = np.linalg.norm(corrected.values, axis=1) > 0
    if min(np.count_nonzero(is_left & (X.modality == name)) for name in between) < LEAST_ROWS:
        return []  # equal rows, of which a correction leaves nothing
    X, y, corrected = X[is_left], y[is_left], corrected[is_left]
    before, after = (_values(rows, y, between, random_state) for rows in (X, corrected))
    without_gap = {"centroid_distance": 0.0, "variance_between": 0.0, "linear_separability": 0.5}
    without_gap |= {"same_modality_neighbors": before["chance"], "score_scale": 1.0}
    return [
        {
            "name": name,
            "label": label,
            "meaning": meaning,
            "is_share": is_share,
            "before": before[name],
            "after": after[name],
            "without_gap": without_gap.get(name),
        }
        for name, (label, is_share, meaning) in MEASURES.items()
        if before[name] is not None
    ]


def _values(X, y, between, random_state):
    options = {"between": between, "random_state": random_state}
    test = metrics.modality_gap_test(X, n_permutations=19, **options)
    neighbors = metrics.same_modality_neighbors(X, random_state=random_state).values()
    one, other = (set(y[X.modality == name].tolist()) for name in between)
    is_paired = not one.isdisjoint(other)
    return {
        "centroid_distance": float(metrics.centroid_distance(X, between=between)),
        "variance_between": max(float(test.effect_size), 0.0),
        # Held-out rows were centered too, which puts a classifier below guessing.
        "linear_separability": max(float(metrics.linear_separability(X, between=between)), 0.5),
        "same_modality_neighbors": float(np.mean([each.share for each in neighbors])),
        "chance": float(np.mean([each.chance for each in neighbors])),
        "score_scale": float(metrics.score_scale(X, between=between)),
        "pair_cosine": 1 - metrics.alignment(X, y, between) / 2 if is_paired else None,
    }


def _map(data, at, random):
    """Principal components before and after the correction: a point for each of some rows."""
    asked = draw(np.arange(len(data.queries)), MEASURED_ROWS, random)
    X = EmbeddingArray.concatenate([data.documents[at], data.queries[asked]])
    row = [*at.tolist(), *(len(data.documents) + asked).tolist()]
    names = X.modality
    drawn = [draw(np.flatnonzero(names == x), POINTS, random) for x in np.unique(names)]
    some = np.sort(np.concatenate(drawn))
    before = unit_rows(X.values.astype(float))[0]
    after = ModalityGapRemover(shrinkage=0).fit_transform(X).values
    panels = {}
    for name, rows in (("before", before), ("after", after)):
        n = min(2, *rows.shape)
        pca = PCA(n, random_state=0).fit(rows)
        flat = np.zeros((len(some), 2))
        flat[:, :n] = pca.transform(rows[some])
        panels[name] = {
            "points": np.round(_into_unit_square(flat), 4).tolist(),
            "variance_shown": float(np.nansum(pca.explained_variance_ratio_)),
        }
    return {"modality": names[some].tolist(), **panels}, [row[i] for i in some]


def _into_unit_square(points):
    """Scale points into the unit square, by one factor in both directions."""
    low, high = points.min(axis=0), points.max(axis=0)
    width = max((high - low).max(), 1e-12)
    return 0.5 + (points - (low + high) / 2) / width

"""The scores of many fusion weights in one fold, from one set of transformed rows."""

import numpy as np
from sklearn.base import clone

from .._array_api import to_double, to_numpy, unit_rows
from .._modality import as_query
from .._relevance import check_y
from .._validation import check_rows, read_modality
from ..metrics._ranking import Gains, get_ranking_metric
from ..retrieval._fusion import Documents
from ..retrieval._index import Segment, Snapshot
from ..retrieval._query_banks import make_banks, teaching_scores
from ..retrieval._scoring import judged_queries, score_queries
from ..score_calibration import ScoreCalibrator, ScoreMap
from . import _parts
from ._parts import FusedScores, FusedVectors, Fusion, Parts

# Products of parts with the rows that teach, which are held for all weights: 1 GiB in float32.
MOST_PRODUCTS = 2**28


def weight_scores(retriever, weights, learn, test, metric):
    """The mean metric of a retriever with each of some fusion weights.

    Parameters
    ----------
    retriever : MixedModalityRetriever
        Cloned, never fitted.
    weights : sequence of float or dict
    learn : dict of str to object
        What is given to its ``fit``: X, y and modality.
    test : dict of str to object
        What it is scored with: X, y, sample_weight and modality.
    metric : str
        As `get_ranking_metric` takes it.

    Returns
    -------
    list of float
    """
    calibration = retriever.score_calibration
    tags = read_modality(test["X"], test["modality"])
    has_lines = calibration is None or (
        isinstance(calibration, ScoreCalibrator) and calibration.folds
    )
    if has_lines and tags is not None and tags.is_query.all():
        scores = _from_parts(retriever, weights, learn, test, metric)
        if scores is not None:
            return scores
    retrievers = (clone(retriever).set_params(fusion_weight=weight) for weight in weights)
    return [score_queries(one.fit(**learn), **test, metric=metric) for one in retrievers]


def _from_parts(retriever, weights, learn, test, metric):
    """`weight_scores` without fitting, or None where that would take too much memory."""
    first = {"fusion_weight": weights[0], "score_calibration": None}
    first = clone(retriever).set_params(**first).fit(**learn)
    documents = first._index.now
    rows, asked = (
        check_rows(first, some["X"], some["modality"], known=documents.modalities)
        for some in (learn, test)
    )
    judged = judged_queries(asked, test["y"], test["sample_weight"], documents)
    groups = _by_modality(judged.queries)
    place = {x: number for number, x in enumerate(documents.ids.tolist())}
    at = np.flatnonzero(~rows.tags.is_query)
    document = np.full(len(rows.tags), -1)
    y = None if learn["y"] is None else check_y(learn["y"], len(rows.tags))
    document[at] = [place[x] for x in first._document_ids(y, at, 0).tolist()]
    banks = {}
    if retriever.score_calibration is not None:
        banks = make_banks(rows, document, y, documents.ids, weights[0])
        banks = {name: banks[name] for name in groups if name in banks}
    n_teach = sum(len(bank.queries) + len(bank.stand_ins) for bank in banks.values())
    if n_teach * len(at) > MOST_PRODUCTS:
        return None
    parts = Parts(rows[at], document[at])
    fusions = [Fusion(parts, weight) for weight in weights]
    lines = [
        _lines(fusion, retriever.score_calibration, banks, documents.ids) for fusion in fusions
    ]

    metric, k = get_ranking_metric(metric)
    answers = [
        (query, place[x], gain)
        for query, gains in enumerate(judged.relevance)
        for x, gain in gains.items()
        if gain > 0
    ]
    query, answer, gain = np.array(answers).reshape(-1, 3).T
    query, column = query.astype(int), parts.column[answer.astype(int)]
    rank = np.empty((len(weights), len(query)), dtype=int)
    queries = to_numpy(unit_rows(to_double(judged.queries.values, documents.like))[0])
    step = max(_parts.BLOCK_SIZE // (len(parts.rows) + len(parts.number)), 1)
    for name, group in groups.items():
        for start in range(0, len(group), step):
            some = group[start : start + step]
            pairs = np.flatnonzero(np.isin(query, some))
            args = queries[some], np.searchsorted(some, query[pairs]), column[pairs], k
            products = parts.products_with(queries[some])
            for ranks, fusion, of in zip(rank, fusions, lines):
                ranks[pairs] = fusion.ranks(products, *args, of.get(name))
    gains = Gains.before_a_search(judged.relevance, k, min(k, len(place)))
    means = []
    for ranks in rank:
        found, seen = np.zeros_like(gains.found), ranks < k
        found[query[seen], ranks[seen]] = gain[seen]
        means.append(judged.mean(metric, gains._replace(found=found), k))
    return means


def _by_modality(queries):
    """Row numbers by query modality; by None those of length zero, which have no scores."""
    asks = np.array([as_query(name) for name in queries.tags.names])[queries.tags.codes]
    directed = to_numpy(queries.lengths) > 0
    groups = {name: np.flatnonzero(directed & (asks == name)) for name in np.unique(asks).tolist()}
    return {name: at for name, at in {**groups, None: np.flatnonzero(~directed)}.items() if len(at)}


def _lines(fusion, calibration, banks, ids):
    """By query modality that is taught, the ScoreMap of all columns."""
    if not banks:
        return {}
    number, columns, segments = fusion.parts.number, {}, {}
    for name, here in fusion.parts.columns.items():
        directed = fusion.directed[here]
        for is_so, some in ((True, here[directed]), (False, here[~directed])):
            if len(some):
                segments[name, is_so] = number[some], None
                if is_so:
                    columns[name] = some
    teaching = teaching_scores(banks, Documents(ids, None, segments))
    vectors = FusedVectors(fusion, columns)
    teaching = {
        name: FusedScores(**{**vars(scores), "vectors": vectors})
        for name, scores in teaching.items()
    }
    calibration = clone(calibration)
    statistics, start = calibration.learn(teaching), 0
    for (name, is_so), (numbers, _) in segments.items():
        of_segment = {"position": numbers}
        if is_so:
            rows = slice(start, start := start + len(numbers))
            of_segment |= {asks: values[rows] for asks, values in statistics.items()}
        segments[name, is_so] = Segment(of_segment)
    documents, lines = Snapshot(None, segments, calibration=calibration), {}
    for name in statistics:
        in_order = documents.in_order(documents.score_map(name))
        lines[name] = ScoreMap(in_order.scale[number], in_order.offset[number])
    return lines

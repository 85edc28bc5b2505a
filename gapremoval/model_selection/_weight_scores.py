"""The scores of many fusion weights in one fold, from one set of transformed rows."""

from dataclasses import fields

import numpy as np
from sklearn.base import clone

from .._array_api import take_rows, to_double, to_numpy
from .._ranking_metrics import Gains, get_ranking_metric
from .._relevance import check_y
from .._threads import threaded_map
from .._validation import check_rows, read_modality
from ..retrieval._query_banks import make_banks, teaching_scores
from ..retrieval._ranking import rows_by_modality
from ..retrieval._scoring import judged_queries, score_queries
from ..retrieval._snapshot import Segment, Snapshot
from ..retrieval._top_k import unit_queries
from ..score_calibration import ScoreCalibrator
from . import _ranks
from ._parts import CorpusParts, FusedScores
from ._ranks import FusedCorpus

# Products of parts with the example rows, which are held for all weights: 1 GiB in float32.
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
    is_linear = calibration is None or (
        isinstance(calibration, ScoreCalibrator) and calibration.is_linear
    )
    if is_linear and tags is not None and tags.is_query.all():
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
    rows, tested = (
        check_rows(first, some["X"], some["modality"], known=documents.modalities)
        for some in (learn, test)
    )
    judged = judged_queries(tested, test["y"], test["sample_weight"], lambda ids: documents.ids)
    groups = rows_by_modality(judged.queries)
    place = {x: number for number, x in enumerate(documents.ids.tolist())}
    at = np.flatnonzero(~rows.tags.is_query)
    document = np.full(len(rows.tags), -1)
    y = None if learn["y"] is None else check_y(learn["y"], len(rows.tags))
    document[at] = [place[x] for x in first._document_ids(y, at, 0).tolist()]
    banks = {}
    if retriever.score_calibration is not None:
        banks = make_banks(rows, document, y, documents.ids, groups)
    n_example_rows = sum(len(bank.own) for bank in banks.values())
    if n_example_rows * len(at) > MOST_PRODUCTS:
        return None
    parts = CorpusParts(rows[at], document[at])
    corpora = [FusedCorpus(parts, weight) for weight in weights]
    options = retriever.score_calibration, banks, documents.ids, {}
    maps = list(threaded_map(lambda corpus: _score_maps(corpus, *options), corpora))

    metric, k = get_ranking_metric(metric)
    answers = [
        (query, place[x], gain)
        for query, gains in enumerate(judged.relevance)
        for x, gain in gains.items()
        if gain > 0
    ]
    query, answer, gain = np.array(answers).reshape(-1, 3).T
    query, column = query.astype(int), np.argsort(parts.number)[answer.astype(int)]
    rank = np.empty((len(weights), len(query)), dtype=int)
    directed = np.flatnonzero(to_numpy(judged.queries.lengths) > 0)
    queries = np.zeros(judged.queries.values.shape)
    given = to_double(take_rows(judged.queries.values, directed), documents.like)
    queries[directed] = to_numpy(unit_queries(given))
    step = max(_ranks.BLOCK_SIZE // sum(some.sizes.size for some in parts.of.values()), 1)
    for name, group in groups.items():
        for start in range(0, len(group), step):
            some = group[start : start + step]
            pairs = np.flatnonzero(np.isin(query, some))
            args = queries[some], np.searchsorted(some, query[pairs]), column[pairs], k

            def ranks_of(one, args=args, name=name):
                corpus, score_maps = one
                return corpus.ranks(*args, score_maps.get(name))

            rank[:, pairs] = list(threaded_map(ranks_of, list(zip(corpora, maps))))
    gains = Gains.before_a_search(judged.relevance, k, min(k, len(place)))
    means = []
    for ranks in rank:
        found, seen = np.zeros_like(gains.found), ranks < k
        found[query[seen], ranks[seen]] = gain[seen]
        means.append(judged.mean(metric, gains._replace(found=found), k))
    return means


def _fused(scores, corpus):
    """TeachingScores with the documents of a FusedCorpus."""
    known = {field.name: getattr(scores, field.name) for field in fields(scores)}
    return FusedScores(**{**known, "vectors": corpus.fused}, parts=corpus.parts)


def _score_maps(corpus, calibration, banks, ids, made):
    """By query modality that is learned from, a dict of ScoreMap by document modality.

    What is the same for all weights that leave the same documents a direction is kept in `made`.
    """
    if not banks:
        return {}
    numbers = {name: fused.number for name, fused in corpus.fused.items()}
    key = tuple(number.tobytes() for number in numbers.values())
    if key not in made:
        documents = {name: (n, ids[n], corpus.fused[name]) for name, n in numbers.items()}
        made[key] = teaching_scores(banks, documents)
    teaching = {}
    for name, scores in made[key].items():
        teaching[name] = fused = _fused(scores, corpus)
        vars(fused).update(cache=scores.cache)
    calibration = clone(calibration)
    statistics = calibration.learn(teaching)
    segments = {(name, True): Segment({"position": n}) for name, n in numbers.items()}
    documents = Snapshot(None, segments).taught(calibration, statistics)
    return {name: documents.score_map(name).of for name in statistics}

"""False alarms: how often a question that nothing answers would look as well answered."""

from typing import NamedTuple

import numpy as np

from .._array_api import full_precision, take_rows, to_numpy
from ._query_banks import scattered
from ._top_k import top_k

# The lead of the best document is its distance from the mean of this many next ones.
N_NEXT = 10

HALVES = slice(N_NEXT // 2), slice(N_NEXT // 2, None)

# Lead over spread where nothing answers, mean and standard deviation: 2.3 and 1.2 for scores with
# an exponential tail, 1.7 to 2.3 and 0.6 to 1.2 on real embeddings of all kinds.
STANDARD = 2.0, 1.0

# The weight of the standard, in null queries. The same for a mean by kind against that of all, for
# the fallback queries' spread against that of the queries. With as many unanswered queries the
# fallback queries count half, and with ever more of them as so many.
STRENGTH = 16

# The smallest share of the standard: rarer leads were not measured.
RAREST = 0.01

# More null queries, or more queries, say little that is new.
MOST_ROWS = 256


def false_alarms(documents, query_modality, found):
    """The share of questions without an answer that would look at least as well answered.

    A p-value. What is compared is the lead of a query's best document over the next ones,
    relative to their spread. The null sample holds fallback queries (documents' own rows of the
    query modality, with their own document left out) and judged queries that nothing answers.
    It is kept, and follows the changes of the corpus.

    Parameters
    ----------
    documents : Snapshot
        The corpus, or a part of it. Its calibration has learned about the query modality.
    query_modality : str
    found : Leads
        Of the best scores of each modality of documents with a direction.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
        In (0, 1], and not below a hundredth of what the standard contributes. NaN where there
        are too few documents or example rows to compare with, and in
        a part of the corpus that does not consist of whole modalities: the null sample would
        have to be searched there as well.
    """
    whole, names = documents.whole, tuple(documents.directed)
    lead, _ = found.means()
    if any(documents.directed[name] is not whole.directed[name] for name in names):
        return np.full(len(lead), np.nan)
    key = "false alarms", query_modality, names
    if key not in whole.cache:
        sample = updated(whole.null_samples.get(query_modality), whole, query_modality)
        whole.null_samples[query_modality] = sample
        whole.cache[key] = _distribution(sample, whole, query_modality, names)
    null = whole.cache[key]
    return null.tail(lead / null.scale, found.kind)


class NullDistribution(NamedTuple):
    """The distribution of leads where nothing answers, in units of spread.

    Attributes
    ----------
    values : ndarray of float64 of shape (n,)
        Of the null sample, ascending, less the offsets of their kinds.
    above : ndarray of float64 of shape (n + 1,)
        The weight of all values from the i-th on.
    offsets : ndarray of float64 of shape (n_modalities,)
        By the modality of the best document, which is the kind of a query.
    scale : float
        The spread of the queries' scores.
    mean, deviation : float
        Of the values and the standard.
    """

    values: np.ndarray
    above: np.ndarray
    offsets: np.ndarray
    scale: float
    mean: float
    deviation: float

    def tail(self, lead, kind):
        """The share of the null distribution from a lead on: ndarray of shape (n_queries,).

        A mean of the share of the null sample and a Gumbel distribution, the limit of maxima,
        whose share is at least `RAREST`.
        """
        lead = lead - self.offsets[kind]
        width = self.deviation * np.sqrt(6) / np.pi
        # As scipy.stats.gumbel_r.sf, which takes longer than a small search.
        standard = (lead - self.mean) / width + np.euler_gamma
        smooth = np.maximum(-np.expm1(-np.exp(-np.maximum(standard, -100))), RAREST)
        above = self.above[np.searchsorted(self.values, lead)]
        return (above + STRENGTH * smooth) / (self.above[0] + STRENGTH)


def null_distribution(lead, kind, weights, n_kinds, scale):
    """The null distribution of a sample.

    Parameters
    ----------
    lead, kind, weights : ndarray of shape (n,)
        Leads in units of spread, the modalities of the best documents by number, and weights.
    n_kinds : int
        The number of modalities.
    scale : float
        See NullDistribution.

    Returns
    -------
    NullDistribution
    """
    mean, deviation = STANDARD
    total = weights.sum()
    excess = lead - np.average(lead, weights=weights) if total else lead
    sums, sizes = (np.bincount(kind, weights * x, n_kinds) for x in (excess, np.ones(len(lead))))
    offsets = sums / (sizes + STRENGTH)
    order = np.argsort(lead - offsets[kind])
    values, weights = (lead - offsets[kind])[order], weights[order]
    shrunken = (weights @ values + STRENGTH * mean) / (total + STRENGTH)
    squares = weights @ (values - shrunken) ** 2
    squares += STRENGTH * (deviation**2 + (mean - shrunken) ** 2)
    above = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
    deviation = np.sqrt(squares / (total + STRENGTH))
    return NullDistribution(values, above, offsets, scale, shrunken, deviation)


class Leads(NamedTuple):
    """How far the best document of each query lies before the next ones.

    Attributes
    ----------
    lead : ndarray of shape (2, n_queries)
        The best score less the mean of the next ten: of all documents, and of those of the best
        one's modality. Where there is no next document, the score itself.
    spread : ndarray of shape (2, n_queries)
        The mean of the next five less that of the five after them; NaN if there are none.
    kind : ndarray of int of shape (n_queries,)
        The modality of the best document, by number.
    """

    lead: np.ndarray
    spread: np.ndarray
    kind: np.ndarray

    def means(self):
        """Lead and spread, two arrays of shape (n_queries,); NaN where no spread is known.

        If the scores of wrong documents have an exponential tail, the differences between the
        best of them are proportional to its scale, and so are lead and spread.
        """
        known = np.isfinite(self.spread)
        if known.all():
            return self.lead.mean(axis=0), self.spread.mean(axis=0)
        with np.errstate(invalid="ignore"):
            n = known.sum(axis=0)
            return [np.where(known, x, 0).sum(axis=0) / n for x in (self.lead, self.spread)]


def leads(scores, everywhere=None):
    """The Leads of some queries.

    Parameters
    ----------
    scores : sequence of ndarray of shape (n_queries, n_found)
        The best scores of each modality, descending, -inf where there is none.
    everywhere : ndarray of shape (n_queries, n_found), default=None
        The best scores of all of them, descending.

    Returns
    -------
    Leads
    """
    if everywhere is None:
        everywhere = -np.sort(-np.concatenate(scores, axis=1), axis=1)
    kind = np.argmax([x[:, 0] for x in scores], axis=0)
    if len(kind) == 1:
        within = _lead_and_spread(scores[kind[0]])
    else:
        within = np.stack([_lead_and_spread(x) for x in scores])[kind, :, np.arange(len(kind))].T
    return Leads(*np.stack([_lead_and_spread(everywhere), within], axis=1), kind)


def _lead_and_spread(scores):
    """The best score less the mean of the next; the mean of the next five less that of the rest."""
    first, following = scores[:, 0], scores[:, 1 : N_NEXT + 1]
    if following.shape[1] == N_NEXT and following.min() > -np.inf:
        near, far = (following[:, half].sum(axis=1) for half in HALVES)
        return np.stack([first - (near + far) / N_NEXT, (near - far) * 2 / N_NEXT])
    there = following > -np.inf
    following = np.where(there, following, 0)
    near, far = ((following[:, x].sum(axis=1), there[:, x].sum(axis=1)) for x in HALVES)
    with np.errstate(invalid="ignore"):
        spread = near[0] / near[1] - far[0] / far[1]
    return np.stack([first - (near[0] + far[0]) / np.maximum(near[1] + far[1], 1), spread])


class NullSample(NamedTuple):
    """Example rows with the best documents of each modality, for one state of a corpus.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features)
    own : ndarray of int of shape (n_rows,)
        The position of the document that a fallback query is a part of; -1 for queries.
    is_unanswered : ndarray of bool of shape (n_rows,)
        Whether a judged query is known to have no answer.
    weights : ndarray of float64 of shape (n_rows,)
        Under which repetitions of a question count once; 1 for fallback queries.
    best : dict of str to tuple of ndarray of shape (n_rows, 11)
        By modality the cosines of the best documents, best first, and their positions: -inf
        and -1 where there is none. A row's own document is left out.
    next_position : int
        Documents from this position on are not among them.
    """

    rows: np.ndarray
    own: np.ndarray
    is_unanswered: np.ndarray
    weights: np.ndarray
    best: dict
    next_position: int


def updated(before, documents, query_modality):
    """The null sample of a corpus, made from that of an earlier state.

    Only the documents that have come are searched for rows that were there, and all documents
    for new rows and for those that lost one of their best. So the scores of a modality may
    change by a constant only as documents come and go, as those of PosteriorOdds do.

    Parameters
    ----------
    before : NullSample or None
        Of an earlier state with the same fitted calibration.
    documents : Snapshot
    query_modality : str

    Returns
    -------
    NullSample
    """
    rows, own, *more_of_rows = _example_rows(documents, query_modality)
    at, seen = np.full(len(own), -1), 0
    if before is not None:
        number = {key: i for i, key in enumerate(_keys(before.rows, before.own))}
        at = np.array([number.get(key, -1) for key in _keys(rows, own)], dtype=int)
        seen = before.next_position
    best = {}
    with full_precision(documents.like):
        for name, segment in documents.directed.items():
            score_map = documents.score_map(query_modality).of[name]
            cosines, positions = np.full((2, len(own), N_NEXT + 1), -np.inf)
            positions = positions.clip(-1).astype(np.int64)
            if before is not None and name in before.best:
                cosines[at >= 0], positions[at >= 0] = (x[at[at >= 0]] for x in before.best[name])
            lost = (positions >= 0) & ~_find(segment, positions)[1]
            anew = (at < 0) | lost.any(axis=1)
            cosines[anew], positions[anew] = -np.inf, -1
            since = int(np.searchsorted(segment.columns["position"], seen))
            for some, start in ((anew, 0), (~anew, since)):
                more = _best(rows[some], own[some], segment, score_map, start)
                had = cosines[some], positions[some]
                cosines[some], positions[some] = _merged(had, more, segment, score_map)
            best[name] = cosines, positions
    return NullSample(rows, own, *more_of_rows, best, documents.next_position)


def _example_rows(documents, query_modality):
    """The first entries of a NullSample.

    Equal rows of one document, or of queries, count once. A fallback query stays as long as its
    document, unless there are many.
    """
    banks = [bank[query_modality] for bank in documents.banks if query_modality in bank]
    rows, own, known = (
        np.concatenate([getattr(bank, column) for bank in banks])
        for column in ("rows", "own", "known")
    )
    weights = np.ones(len(own))
    if (own < 0).any():
        # Banks of later documents hold no queries.
        weights[own < 0] = np.concatenate([bank.weights for bank in banks if bank.n_queries])
    is_unanswered = np.array([isinstance(x, list) and not x for x in known], dtype=bool)
    others = np.flatnonzero((own < 0) & ~is_unanswered)
    others = np.random.default_rng(0).permutation(others)[:MOST_ROWS]
    is_there = np.any([_find(s, own)[1] for s in documents.directed.values()], axis=0)
    fallback = np.flatnonzero(is_there)
    fallback = fallback[np.argsort(scattered(own[fallback]), kind="stable")[:MOST_ROWS]]
    chosen = np.concatenate([np.flatnonzero(is_unanswered), others, fallback])
    distinct = {key: i for i, key in zip(chosen[::-1], _keys(rows[chosen], own[chosen])[::-1])}
    chosen = np.array([*distinct.values()][::-1], dtype=int)
    return [x[chosen] for x in (rows, own, is_unanswered, weights)]


def _keys(rows, own):
    """What tells rows apart."""
    return [(row.tobytes(), position) for row, position in zip(rows, own.tolist())]


def _find(segment, positions):
    """The rows of the documents at some positions, and whether they are in a segment."""
    have = segment.columns["position"]
    rows = np.searchsorted(have, positions).clip(max=len(have) - 1)
    return rows, (have[rows] == positions) & (segment.live is None or segment.live[rows])


def _best(rows, own, segment, score_map, start):
    """The best documents from a row of the segment on: their cosines and positions."""
    live = None if segment.live is None else segment.live[start:]
    k = min(N_NEXT + 1, len(segment) - start if live is None else int(np.count_nonzero(live)))
    if not (len(rows) and k):
        return np.empty((len(rows), 0)), np.empty((len(rows), 0), dtype=np.int64)
    rows_of_own, is_there = _find(segment, own)
    scale, offset = (x[start:] for x in score_map)
    top = top_k(
        rows,
        segment.columns["vectors"][start:, ...],
        k,
        live=live,
        scale=scale,
        offset=offset,
        without=np.where(is_there & (rows_of_own >= start), rows_of_own - start, -1),
    )
    # Not from the scores, whose rounding depends on the offsets of the moment.
    found = take_rows(segment.columns["vectors"][start:, ...], top.rows.ravel())
    cosines = np.vecdot(
        to_numpy(found).astype(float).reshape(*top.rows.shape, -1),
        rows[:, None].astype(float),
    )
    cosines[np.isneginf(top.scores)] = -np.inf
    return cosines, np.where(cosines > -np.inf, segment.columns["position"][start:][top.rows], -1)


def _merged(some, others, segment, score_map):
    """The eleven best of two sets of documents: their cosines and positions."""
    cosines, positions = (np.concatenate(both, axis=1) for both in zip(some, others))
    scores = _scores(cosines, positions, segment, score_map)
    order = np.lexsort((positions, -scores), axis=1)[:, : N_NEXT + 1]
    return np.take_along_axis(cosines, order, 1), np.take_along_axis(positions, order, 1)


def _scores(cosines, positions, segment, score_map):
    """The scores of documents, -inf where there is none."""
    rows, _ = _find(segment, positions)
    scores = score_map.scale[rows] * cosines + score_map.offset[rows]
    return np.where(positions < 0, -np.inf, scores)


def _distribution(sample, documents, query_modality, modalities):
    """The null distribution of the leads over documents of some modalities."""
    score_map = documents.score_map(query_modality).of
    scores = [
        _scores(*sample.best[name], documents.directed[name], score_map[name])
        for name in modalities
    ]
    found = leads(scores)
    (lead, spread), kind = found.means(), found.kind
    known, is_fallback = np.isfinite(lead), sample.own >= 0
    fallback, queries = known & is_fallback, known & ~is_fallback
    n, total = np.count_nonzero(fallback), sample.weights[queries].sum()
    sums = sample.weights[queries] @ spread[queries]
    units = np.full(len(lead), np.nan)
    if n:
        units[fallback] = spread[fallback].mean()
        sums, total = sums + STRENGTH * spread[fallback].mean(), total + STRENGTH
    scale = sums / total if sums > 0 else np.nan  # Equal documents have no spread.
    units[queries] = scale
    weights = np.where(queries & sample.is_unanswered, sample.weights, 0)
    # The more unanswered queries there are, the less the others count.
    weights[fallback] = max(min(1, STRENGTH / max(n, 1)), STRENGTH / (STRENGTH + weights.sum()))
    chosen = (weights > 0) & (units > 0)
    lead, kind = lead[chosen] / units[chosen], kind[chosen]
    return null_distribution(lead, kind, weights[chosen], len(modalities), scale)

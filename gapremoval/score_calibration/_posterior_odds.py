"""PosteriorOdds: rank documents by the posterior odds that they answer."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from ._answer_shares import TAIL, BestScores, learn_shares, prior_shares, right_score
from ._base import ScoreCalibrator
from ._shrinkage import certain_mean, credibility
from ._teaching import SMALLEST_DEVIATION

# The ranks, from 0, whose scores hardly know whether a query is answered.
DEEP_RANKS = slice(2, 12)


class PosteriorOdds(ScoreCalibrator):
    """Rank by the posterior odds that a document answers, learned without labels.

    Removing the gap leaves scores of different modalities with different spreads, so texts
    still fill the top of the list for a text query. This divides a document's cosine by the
    spread of its cosines with queries that it does not answer, and adds an offset for how
    likely its modality is to hold the answer::

        cosine / s_d + log(pi_m / N_m) / slope

    where s_d is the document's spread, pi_m the share of queries that modality m answers and
    N_m its number of documents. All of it is learned from queries without labels, by EM over
    each query's best and second-best score in every modality. The EM is run under several
    explanations of these scores, which are weighted by their evidence. Judged queries, if there
    are any, are counted as judged. Repetitions of a question count once. Where queries are few
    or missing, the documents' own rows of the query modality serve as fallback queries.

    Parameters
    ----------
    prior_count : float, default=16.0
        Weight of the priors and of all fallback queries together, in pseudo-queries, above 0.
        With as many real queries, both have the same weight.
    hubness : float in [0, 1], default=1/3
        How much a document's own spread matters beside that of its modality, as an exponent.
        With 0 all documents of a modality have the same spread.
    recenter : bool, default=True
        Whether to subtract the remaining mean of the queries, and that of the fallback
        queries, before learning. It is zero when the gap was removed with the corpus's own
        means, and not when they came from elsewhere. Of the queries' mean only the part beyond
        sampling noise is subtracted, shrunken towards the mean of the fallback queries. With
        False each modality's mean score is subtracted instead.
    answer_share : dict of str to float, default=None
        The share of queries that each document modality answers, above 0, if it is known.
        Normalized to a sum of 1. By default the shares are learned.

    Attributes
    ----------
    answer_share_ : dict of str to dict of str to float
        By query modality and document modality, the share of queries that the modality
        answers; they add up to 1.
    slope_ : dict of str to float
        By query modality, the log odds per unit of calibrated score. Like the shares, the
        right score and the tail, it is a mean over the explanations.
    spread_ : dict of str to dict of str to float
        By query modality and document modality, the root mean square of the documents'
        spreads: standard deviations of a document's cosines over the queries.
    credibility_ : dict of str to dict of str to float
        By query modality and document modality, the weight in [0, 1] of a document's own
        spread against that of its modality: the part of their differences that is no
        sampling noise.
    norm_ : dict of str to dict of str to float
        By query modality and document modality, the root mean square of the documents' own
        spreads after weighting, in units of ``spread_``.
    shift_ : dict of str to dict of str to float
        By query modality and document modality, the mean cosine that is subtracted; 0 with
        ``recenter=True``.
    right_score_ : dict of str to tuple of float
        By query modality, the mean and the standard deviation of the scores of right
        documents, in units of spread.
    tail_ : dict of str to float
        By query modality, the scale of the exponential tail of wrong scores, in units of
        spread.
    query_modalities_ : tuple of str
        The query modalities that were learned from. Other queries get plain cosines and have
        no probabilities.
    document_modalities_ : tuple of str
        The modalities of the documents that were learned about.

    See Also
    --------
    gapremoval.make_search_pipeline : The recommended pipeline, which ends in this.

    Notes
    -----
    ``exp(slope * score)``, normalized over the documents, is the probability that a document
    answers, given that one of them does.

    At least two rows, queries and fallback queries together, are needed to learn about a query
    modality.

    The page on posterior odds in the documentation has the derivation, what was tried, and the
    figures.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from gapremoval import MixedModalityRetriever, ModalityGapRemover, PosteriorOdds
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(random_state=0)
    >>> is_query = X.modality == "query:text"
    >>> y_unjudged = [None if query else id_ for id_, query in zip(y, is_query)]
    >>> for odds in (None, PosteriorOdds()):
    ...     retriever = MixedModalityRetriever(score_calibration=odds)
    ...     pipe = make_pipeline(ModalityGapRemover(), retriever).fit(X, y_unjudged)
    ...     print(f"{pipe.score(X[is_query], y[is_query]):.2f}")
    0.75
    0.85
    >>> shares = pipe[-1].score_calibration_.answer_share_["query:text"]
    >>> {name: round(share, 2) for name, share in shares.items()}
    {'image': 0.23, 'image+text': 0.44, 'text': 0.33}
    """

    _parameter_constraints = {
        "prior_count": [Interval(Real, 0, None, closed="neither")],
        "hubness": [Interval(Real, 0, 1, closed="both")],
        "recenter": ["boolean"],
        "answer_share": [Mapping, None],
    }

    _by_modality = ("answer_share_", "spread_", "credibility_", "norm_", "shift_")
    _learned = (*_by_modality, "slope_", "right_score_", "tail_")

    def __init__(self, *, prior_count=16.0, hubness=1 / 3, recenter=True, answer_share=None):
        self.prior_count = prior_count
        self.hubness = hubness
        self.recenter = recenter
        self.answer_share = answer_share

    def _weights(self, scores):
        """Those of the queries; those of the fallback queries add up to `prior_count`."""
        n_fallback = len(scores.fallback)
        return np.append(scores.weights, np.full(n_fallback, self.prior_count / max(n_fallback, 1)))

    def _document_statistics(self, scores):
        """The variance of each document's scores, its noise, and its score with the mean query."""
        excess, centered = np.zeros(scores.n_documents), scores
        if self.recenter:
            centered, center = scores.centered(self.prior_count)
            excess = scores.scores_with(center)
        _, variance, noise = centered.spreads(self._weights(scores))
        return np.stack([variance, noise, excess], axis=1)

    def _learn(self, scores, statistics):
        if self.recenter:
            scores, _ = scores.centered(self.prior_count)
        names, segments = list(scores.vectors), list(scores.segments.values())
        spread, believed, norm = self._learn_spreads(statistics, segments, scores)
        shift = np.zeros(len(names))
        if not self.recenter:
            shift = certain_mean(scores.mean_scores(), scores.weights)
        prior = prior_shares(list(scores.counts.values()))
        known = self._known_shares(names)
        shares, tail = prior if known is None else known, TAIL
        pairs = [z / spread[names.index(m)] for m, z in scores.pairs.items() if m in names]
        match = right_score(np.concatenate([np.empty(0), *pairs]), self.prior_count)
        slope = 1 / match.deviation + 1 / tail
        if scores.n_queries:
            scale = [
                1 / self._spread(statistics[segment], *of_modality)
                for segment, *of_modality in zip(segments, spread, believed, norm)
            ]
            best, ranked = _best_scores(scores, np.concatenate(scale), shift)
            own = np.array([share > 0 for share in scores.overlap.values()])
            moves = _moves(scores, ranked, spread) if len(scores.fallback) else ()
            shares, slope, tail, match = learn_shares(
                best, prior, match, self.prior_count, own=own, moves=moves, shares=known
            )
        values = zip(self._by_modality, (shares, spread, believed, norm, shift))
        return {name: dict(zip(names, value.tolist())) for name, value in values} | {
            "right_score_": (float(match.mean), float(match.deviation)),
            "tail_": float(tail),
            "slope_": float(slope),
        }

    def _learn_spreads(self, statistics, segments, scores):
        """The spread, the credibility and the norm of each modality, three arrays."""
        variances = [statistics[segment, 0] for segment in segments]
        spread = np.sqrt([variance.mean() for variance in variances])
        weights = scores.weights.sum(), self._weights(scores)[scores.n_queries :]
        believed = [credibility(*statistics[s, :2].T, *weights, self.prior_count) for s in segments]
        believed = np.array(believed)
        # Documents that met only equal rows, or their own, have the spread of the others.
        unknown = spread <= SMALLEST_DEVIATION
        others = spread[~unknown]
        spread[unknown] = np.sqrt(np.mean(np.square(others))) if len(others) else 1
        believed[unknown] = 0
        own = map(_own_spread, variances, spread, believed)
        return spread, believed, np.sqrt([np.mean(x**2) for x in own])

    def _spread(self, statistics, spread, believed, norm):
        """The divisor of a cosine, for documents of one modality."""
        return spread * (_own_spread(statistics[:, 0], spread, believed) / norm) ** self.hubness

    def scale_range(self, query_modality, modality):
        """The smallest and the largest scale that a document of a modality can have.

        Parameters
        ----------
        query_modality, modality : str
            That were learned about.

        Returns
        -------
        tuple of float
        """
        _, *spreads, _ = (
            getattr(self, name)[query_modality][modality] for name in self._by_modality
        )
        # The variance of cosines with centered rows, which are shorter than 2, is below 4.
        low, high = 1 / self._spread(np.array([[4.0], [0.0]]), *spreads)
        return float(low), float(high)

    def _score_map(self, query_modality, modality, statistics):
        _, *spreads, shift = (
            getattr(self, name)[query_modality][modality] for name in self._by_modality
        )
        scale = 1 / self._spread(statistics, *spreads)
        return scale, -(shift + statistics[:, 2]) * scale

    def _shared_offset(self, query_modality, modality, n_documents):
        share = self.answer_share_[query_modality][modality]
        return np.log(share / n_documents) / self.slope_[query_modality]

    def _known_shares(self, names):
        """The shares that were given, in the order of the names; None if there are none."""
        if self.answer_share is None:
            return None
        missing = [name for name in names if name not in self.answer_share]
        if missing:
            raise ValueError(
                f"answer_share has no share for {', '.join(map(repr, missing))}; it names "
                f"{', '.join(map(repr, self.answer_share))}. Give one for every modality of "
                "documents."
            )
        shares = np.array([self.answer_share[name] for name in names], dtype=float)
        if not (np.isfinite(shares).all() and (shares > 0).all()):
            raise ValueError(
                f"answer_share must hold finite numbers above 0; got {self.answer_share!r}. To "
                "leave a modality out of an answer, search with document_modality."
            )
        return shares / shares.sum()


def _own_spread(variance, spread, believed):
    """Each document's spread in units of its modality's, as far as it is believed."""
    return np.sqrt(np.maximum(1 + believed * (variance / spread**2 - 1), 0.05))


def _best_scores(scores, scale, shift):
    """The best scores of each query, and where judged queries have their right document."""
    first, second, *_ = best = scores.best(DEEP_RANKS.stop, scale, shift)
    second = np.where(np.array(list(scores.counts.values()))[:, None] == 1, 0, second)
    n = scores.n_queries
    modality = np.repeat(np.arange(len(shift)), list(scores.counts.values()))
    right, right_is_first = np.full(n, -1), np.zeros(n, dtype=bool)
    judged = [i for i, documents in enumerate(scores.answers) if documents is not None]
    n_answers = np.array([len(scores.answers[i]) for i in judged], dtype=int)
    right[judged] = -2
    if n_answers.any():
        query = np.repeat(judged, n_answers)
        document = np.concatenate([scores.answers[i] for i in judged])
        cosine = scores.scores_of(query, document)
        # The best answer of a query is the right one; of equal ones the first.
        ordered = np.lexsort((np.arange(len(query)), -cosine, query))
        ordered = ordered[np.unique(query[ordered], return_index=True)[1]]
        query, document, m = query[ordered], document[ordered], modality[document[ordered]]
        right[query] = m
        z = (cosine[ordered] - shift[m]) * scale[document]
        right_is_first[query] = z >= first[m, query] - 1e-5
    of_queries = first[:, :n].T, second[:, :n].T, first[:, n:].T
    return BestScores(*of_queries, right, right_is_first, scores.weights), best


def _moves(scores, best, spread):
    """How much higher the best wrong scores of queries may lie than those of fallback queries.

    Two answers. A row's own mean holds the row itself, which makes its cosines smaller by one
    part in the number of rows. And queries of another domain or kind differ at ranks that
    hardly know whether a query is answered.
    """
    n, n_fallback = scores.n_queries, max(len(scores.fallback), 1)
    biases = np.array(list(scores.overlap.values())) / n_fallback / spread
    moves = biases.copy()
    for m, count in enumerate(scores.counts.values()):
        deep = best[DEEP_RANKS.start : min(DEEP_RANKS.stop, count // 2), m]
        if len(deep) > 1:
            mean = deep.mean(axis=0)
            of_queries = scores.weights @ mean[:n] / scores.weights.sum()
            moves[m] = of_queries - mean[n:][np.isfinite(mean[n:])].mean()
    return biases, moves

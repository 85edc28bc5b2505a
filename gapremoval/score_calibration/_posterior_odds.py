"""PosteriorOdds: rank documents by the posterior odds that they answer."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from ._base import ScoreCalibrator
from ._odds_model import (
    TAIL,
    BestScores,
    certain_mean,
    credibility,
    fit_shares,
    prior_shares,
    right_score,
)
from ._score_map import ScoreMap
from ._teaching import SMALLEST_DEVIATION


class PosteriorOdds(ScoreCalibrator):
    """Rank by the posterior odds that a document answers, learnt without labels.

    Removing the gap leaves scores of different modalities with different spreads, so texts
    still fill the top of the list for a text query. Here a document's cosine is divided by
    the spread of its scores with queries that it does not answer, and gets an offset that
    says how likely its modality is to hold the answer::

        cosine / s_d + log(pi_m / N_m) / slope

    with s_d the document's spread, pi_m the share of queries that modality m answers and N_m
    its number of documents. All of it is learnt from unlabelled queries, by EM over each
    query's best and second-best score in every modality. The corpus's own rows of the
    query's modality stand in where queries are few or none. Judged queries, where there are
    any, fix their own part.

    Parameters
    ----------
    strength : float, default=16.0
        How many queries the stand-ins count for in all, and the priors.
    hubness : float in [0, 1], default=1/3
        The power to which a document's own spread enters, beside its modality's; 0 gives all
        documents of a modality one spread.
    recenter : bool, default=True
        Whether the mean of the queries, and that of the stand-ins, is taken off them where it
        is certainly not zero: the means that were removed then came from elsewhere, or from
        another domain of the corpus. For the queries this is part of each document's offset.
        With False each modality's mean score is taken off instead.
    answer_share : dict of str to float, default=None
        For each document modality the share of queries that it answers, above 0, for users
        who know it; brought to a sum of 1. By default it is learnt.

    Attributes
    ----------
    learnt_ : dict of str to dict
        By query modality: ``match`` (mean and deviation of right scores, in units of
        spread), ``tail`` (of the wrong ones), ``slope`` (log odds a unit of score), and
        ``modalities``, a dict with ``share``, ``spread``, ``shift``, ``credibility``, ``norm``
        and ``count`` (of documents then) of each document modality.

    See Also
    --------
    gapremoval.make_search_pipeline : The recommended pipeline, which ends in this.

    Notes
    -----
    ``exp(slope * score)``, normalised over the documents, is the probability that a document
    answers, given that one does.

    With fewer than two queries and stand-ins in all, and for query modalities that were not
    taught, scores are the plain cosines and have no probability.

    The derivation, what was tried and the figures are on the page on posterior odds in the
    documentation.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from gapremoval import MixedModalityRetriever, ModalityGapRemover, PosteriorOdds
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(random_state=0)
    >>> is_query = X.modality == "query:text"
    >>> y_unjudged = [None if asks else id_ for id_, asks in zip(y, is_query)]
    >>> for odds in (None, PosteriorOdds()):
    ...     retriever = MixedModalityRetriever(score_calibration=odds)
    ...     pipe = make_pipeline(ModalityGapRemover(), retriever).fit(X, y_unjudged)
    ...     print(f"{pipe.score(X[is_query], y[is_query]):.2f}")
    0.75
    0.85
    >>> learnt = pipe[-1].score_calibration_.learnt_["query:text"]
    >>> {name: round(values["share"], 2) for name, values in learnt["modalities"].items()}
    {'image': 0.22, 'image+text': 0.43, 'text': 0.35}
    """

    gives_odds = True

    _parameter_constraints = {
        "strength": [Interval(Real, 0, None, closed="neither")],
        "hubness": [Interval(Real, 0, 1, closed="both")],
        "recenter": ["boolean"],
        "answer_share": [Mapping, None],
    }

    def __init__(self, *, strength=16.0, hubness=1 / 3, recenter=True, answer_share=None):
        self.strength = strength
        self.hubness = hubness
        self.recenter = recenter
        self.answer_share = answer_share

    def _weights(self, scores):
        """One a query; the stand-ins count as much as `strength` queries in all."""
        n_stand_ins = len(scores.stand_ins)
        each = self.strength / max(n_stand_ins, 1)
        return np.concatenate([np.ones(len(scores.queries)), np.full(n_stand_ins, each)])

    def _centered(self, scores):
        """The scores of rows whose mean is zero, as far as is certain."""
        return scores.centered if self.recenter else scores

    def _document_statistics(self, scores):
        _, variance, noise = self._centered(scores).spreads(self._weights(scores))
        # What a document's scores with all queries have too much.
        excess = np.zeros(scores.n_documents)
        if self.recenter:
            excess = scores.scores_with(scores.centers[0])
        return np.stack([variance, noise, excess], axis=1)

    def _learn(self, scores, statistics):
        scores = self._centered(scores)
        weights, names = self._weights(scores), list(scores.vectors)
        modalities = {}
        for name, segment in scores.segments.items():
            variance, noise, _ = statistics[segment].T
            believed = credibility(variance, noise, weights, self.strength)
            spread = float(np.sqrt(variance.mean()))
            learnt = {"spread": spread, "credibility": float(believed), "norm": 1.0}
            learnt["norm"] = float(np.sqrt(np.mean(_own_spread(variance, **learnt) ** 2)))
            modalities[name] = learnt
        _fill_in_spreads(modalities)
        shift = np.zeros(len(names))
        if len(scores.queries) > 1 and not self.recenter:
            shift = certain_mean(scores.mean_scores())
        counts = np.array(list(scores.counts.values()))
        known = self._known_shares(names)
        shares = prior_shares(counts) if known is None else known
        pairs = [z / modalities[m]["spread"] for m, z in scores.pairs.items() if m in modalities]
        match = right_score(np.concatenate([np.empty(0), *pairs]), self.strength)
        tail = TAIL
        if len(scores.queries):
            spread = np.concatenate(
                [
                    self._spread(statistics[segment], **modalities[name])
                    for name, segment in scores.segments.items()
                ]
            )
            best = _best_scores(scores, 1 / spread, shift)
            shares, tails, match = fit_shares(
                best, prior_shares(counts), match, self.strength, known
            )
            tail = (shares * tails).sum()
        for m, name in enumerate(names):
            modalities[name] |= {"shift": float(shift[m]), "share": float(shares[m])}
            modalities[name]["count"] = int(counts[m])
        return {
            "match": (float(match.mean), float(match.deviation)),
            "tail": float(tail),
            "slope": float(1 / match.deviation + 1 / tail),
            "modalities": modalities,
        }

    def _spread(self, statistics, *, spread, credibility, norm, **_):
        """What a cosine is divided by, for documents of one modality."""
        own = _own_spread(statistics[:, 0], spread=spread, credibility=credibility, norm=norm)
        return spread * own**self.hubness

    def _score_map(self, learnt, statistics, modality, n_documents):
        mine = learnt["modalities"][modality]
        scale = 1 / self._spread(statistics, **mine)
        prior = np.log(mine["share"] / n_documents) / learnt["slope"]
        return ScoreMap(scale, prior - (mine["shift"] + statistics[:, 2]) * scale)

    def _with_new_modalities(self, learnt, scores, statistics):
        longer = super()._with_new_modalities(learnt, scores, statistics)
        before, modalities = learnt["modalities"], longer["modalities"]
        # No query has told how often they answer: as much as their size says beside the others.
        names = [*before, *sorted(modalities.keys() - before.keys())]
        sizes = self._known_shares(names)
        if sizes is None:
            sizes = prior_shares([modalities[name]["count"] for name in names])
        there = sum(known["share"] for known in before.values()) / sizes[: len(before)].sum()
        for name, size in zip(names[len(before) :], sizes[len(before) :]):
            modalities[name] = {**modalities[name], "share": float(size * there)}
        return longer

    def _known_shares(self, names):
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


def _fill_in_spreads(modalities):
    """Give a modality whose documents met equal rows, or only their own, the others' spread."""
    seen = [learnt["spread"] for learnt in modalities.values()]
    seen = [spread for spread in seen if spread > SMALLEST_DEVIATION]
    usual = float(np.sqrt(np.mean(np.square(seen)))) if seen else 1.0
    for learnt in modalities.values():
        if learnt["spread"] <= SMALLEST_DEVIATION:
            learnt |= {"spread": usual, "credibility": 0.0, "norm": 1.0}


def _own_spread(variance, *, spread, credibility, norm):
    """Each document's spread over its modality's, as far as it is believed."""
    ratio = 1 + credibility * (variance / spread**2 - 1)
    return np.sqrt(np.maximum(ratio, 0.05)) / norm


def _best_scores(scores, scale, shift):
    """The best scores of each query, and where judged ones have their right document."""
    first, second = scores.best_two(scale, shift)
    n = len(scores.queries)
    modality = np.empty(scores.n_documents, dtype=int)
    for m, segment in enumerate(scores.segments.values()):
        modality[segment] = m
    right, right_is_first = np.full(n, -1), np.zeros(n, dtype=bool)
    judged = [i for i, documents in enumerate(scores.answers) if documents is not None]
    n_answers = np.array([len(scores.answers[i]) for i in judged], dtype=int)
    right[judged] = -2
    if n_answers.any():
        query = np.repeat(judged, n_answers)
        document = np.concatenate([scores.answers[i] for i in judged])
        cosine = scores.scores_of(query, document)
        # The best of a query's answers is the right one; of equal ones the first.
        best = np.lexsort((np.arange(len(query)), -cosine, query))
        best = best[np.unique(query[best], return_index=True)[1]]
        query, document, m = query[best], document[best], modality[document[best]]
        right[query] = m
        z = (cosine[best] - shift[m]) * scale[document]
        right_is_first[query] = z >= first[m, query] - 1e-5
    return BestScores(first[:, :n].T, second[:, :n].T, first[:, n:].T, right, right_is_first)

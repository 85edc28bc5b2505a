"""Cut-offs: how many of the documents found are shown, by false alarm and by probability."""

from numbers import Real

import numpy as np

from .._warnings import warn


def check_cut_offs(calibration, **cut_offs):
    """Raise a ValueError if a cut-off is not in [0, 1], or there are no probabilities.

    Parameters
    ----------
    calibration : ScoreCalibrator or None
        That of the corpus.
    **cut_offs : float or None
        By the names of the parameters.
    """
    for name, value in cut_offs.items():
        if value is None:
            continue
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value <= 1:
            raise ValueError(f"{name} must be a number in [0, 1]; got {value!r}.")
        if not hasattr(calibration, "slope_"):
            have = "has none" if calibration is None else f"has {type(calibration).__name__}"
            raise ValueError(
                f"{name}= needs a score calibration that estimates probabilities, and this "
                f"retriever {have}: fit MixedModalityRetriever(score_calibration="
                "PosteriorOdds()), or make_search_pipeline()."
            )


def count_kept(ranking, names, calibration, *, max_false_alarm=None, min_probability=None):
    """The number of the first documents of each query that no cut-off takes away.

    Parameters
    ----------
    ranking : Ranking
    names : ndarray of str of shape (n_queries,)
        The modalities of the queries, for the warning.
    calibration : ScoreCalibrator or None
        That of the corpus.
    max_false_alarm, min_probability : float, default=None
        See `MixedModalityRetriever.search`.

    Returns
    -------
    ndarray of int of shape (n_queries,)
    """
    keep = ranking.scores > -np.inf
    if min_probability is not None:
        keep &= ~(ranking.probabilities < min_probability)
    if max_false_alarm is not None:
        keep &= ~(ranking.false_alarm > max_false_alarm)[:, None]
        # Of queries without evidence the ranking has warned.
        unknown = np.isnan(ranking.false_alarm) & ~np.isnan(ranking.evidence)
        _warn_of_no_alarm(set(names[unknown].tolist()), calibration)
    return keep.sum(axis=1)


def _warn_of_no_alarm(names, calibration):
    """Warn about query modalities whose false alarm is not known, and say why."""
    known = [name for name in names if name in calibration.query_modalities_]
    if known:
        warn(
            f"No false alarm is known for {', '.join(map(repr, sorted(known)))}, so "
            "max_false_alarm= cuts nothing off. It takes eight documents that differ, and a "
            "search without among=."
        )
    if mixed := sorted(names.difference(known)):
        warn(
            f"No false alarm is known for {', '.join(map(repr, mixed))}, so max_false_alarm= cuts "
            f"nothing off: {type(calibration).__name__} learned about the parts of such queries "
            "only, by whose mean they are ranked. teach(pipe, queries) teaches it queries of this "
            "modality."
        )

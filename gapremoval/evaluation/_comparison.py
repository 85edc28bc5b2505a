"""Comparison: the table that `compare` returns."""

import warnings

import numpy as np
import pandas as pd

from .._warnings import did_you_mean

N_RESAMPLES = 2000
MOST_WEIGHTS = 2**23  # at once
QUANTILES = (0.025, 0.975)


class Comparison(pd.DataFrame):
    """Means and intervals by pipeline, corpus and modality of the answer.

    A DataFrame with one row for each pipeline, corpus, fusion weight (if there are any) and
    modality of the answer. Its columns are those keys, then ``answer_modality`` (``"all"`` for
    all queries), ``n_queries`` (over all draws), ``mean``, ``low`` and ``high``: the mean over
    these queries, and a 95 % bootstrap interval. Pipelines and corpora can be selected as in any
    DataFrame, before a method is called.

    Attributes
    ----------
    by_query : DataFrame
        The value of each query: the keys, ``draw``, ``query`` (its number), ``group``,
        ``answer_modality`` and ``value``.
    metric : str
        The metric, such as ``"ndcg@10"``.

    See Also
    --------
    compare : Makes it; has an example.
    ComparisonDisplay : Draws it.

    Notes
    -----
    The bootstrap resamples groups of queries, by default single queries, in 2,000 resamples
    that all pipelines and all draws of a corpus share. It tells what other questions would
    change. What other draws of a corpus would change is not in the intervals. With a single
    group they are NaN.
    """

    _metadata = ["by_query", "metric", "random_state"]
    # Of a table that was joined from others.
    by_query, metric, random_state = None, "", 0

    # What pandas makes of it by selecting rows is one too.
    @property
    def _constructor(self):
        return Comparison

    @classmethod
    def from_queries(cls, by_query, metric="ndcg@10", random_state=0):
        """Summarize values by query.

        Parameters
        ----------
        by_query : DataFrame or dict of arrays
            The columns of the attribute `by_query`; all before ``draw`` are keys.
        metric : str, default="ndcg@10"
            The name of the metric.
        random_state : int, default=0
            Seed of the bootstrap.

        Returns
        -------
        Comparison
        """
        by_query = pd.DataFrame(by_query).infer_objects()
        if by_query["group"].dtype == object:  # of several types, which have no order
            by_query["group"] = by_query["group"].astype(str)
        keys = _keys(by_query)
        rows = []
        for key, some in by_query.groupby(keys, sort=False, observed=True):
            for name, values, n_queries in _resampled(some, random_state):
                rows.append([*key, name, n_queries, *_summary(values)])
        table = cls(rows, columns=[*keys, "answer_modality", "n_queries", "mean", "low", "high"])
        table.by_query, table.metric, table.random_state = by_query, metric, random_state
        return table

    def difference_to(self, baseline):
        """Differences to a pipeline, query by query.

        Parameters
        ----------
        baseline : str
            The name of a pipeline.

        Returns
        -------
        Comparison
            The same table of the differences: positive where a pipeline is better than the
            baseline. An interval without 0 means that chance hardly explains the difference.

        Raises
        ------
        ValueError
            If there is no such pipeline, names were changed, or the table was joined from others.
        """
        by_query = self._known_queries
        names = by_query["pipeline"].unique().tolist()
        if baseline not in names:
            raise ValueError(
                f"There is no pipeline {baseline!r} in this comparison; there are "
                f"{', '.join(map(repr, names))}.{did_you_mean(baseline, names)}"
            )
        same = [*(key for key in _keys(by_query) if key != "pipeline"), "draw", "query"]
        of_baseline = by_query.loc[by_query["pipeline"] == baseline, [*same, "value"]]
        both = self._selected.merge(of_baseline, on=same, how="left", suffixes=("", "_baseline"))
        difference = both["value"] - both.pop("value_baseline")
        metric = f"{self.metric} minus that of {baseline}"
        return self.from_queries(both.assign(value=difference), metric, self.random_state)

    @property
    def _selected(self):
        """The values by query of the pipelines and corpora that are in this table."""
        by_query = self._known_queries
        keys = [key for key in _keys(by_query) if key in self]
        kept = pd.DataFrame(self)[keys].drop_duplicates()
        if not keys or not kept.isin(by_query[keys].to_dict("list")).all(axis=None):
            raise ValueError(
                "The names of pipelines and corpora were changed or dropped: take differences and "
                "means before."
            )
        return by_query.merge(kept, on=keys)

    @property
    def _known_queries(self):
        if self.by_query is None:
            raise ValueError(
                "This table was joined from others, and does not know the values by query. Compare "
                "all pipelines at once: with cache= nothing is computed twice."
            )
        return self.by_query

    def over_corpora(self, *, same_items=False):
        """The mean over the corpora, each with the same weight.

        Parameters
        ----------
        same_items : bool, default=False
            Whether equal groups in several corpora are the same items, which are then
            resampled together. By default corpora are taken as independent.

        Returns
        -------
        DataFrame
            Columns as here, without ``corpus``.

        Raises
        ------
        ValueError
            If there is no column ``corpus``, or as in `difference_to`.
        """
        by_query = self._selected
        if "corpus" not in by_query:
            raise ValueError("This comparison has no column 'corpus' to take a mean over.")
        keys = [key for key in _keys(by_query) if key != "corpus"]
        seeds = {name: (self.random_state, i) for i, name in enumerate(by_query["corpus"].unique())}
        groups = by_query["group"].unique() if same_items else None
        rows = []
        for key, some in by_query.groupby(keys, sort=False, observed=True):
            values, counts = {}, {}
            for corpus, of_corpus in some.groupby("corpus", sort=False, observed=True):
                seed = self.random_state if same_items else seeds[corpus]
                for name, mean, n_queries in _resampled(of_corpus, seed, groups):
                    values.setdefault(name, []).append(mean)
                    counts[name] = counts.get(name, 0) + n_queries
            for name, means in values.items():
                rows.append([*key, name, counts[name], *_summary(np.mean(means, axis=0))])
        return pd.DataFrame(
            rows, columns=[*keys, "answer_modality", "n_queries", "mean", "low", "high"]
        )


def _keys(by_query):
    return by_query.columns[: by_query.columns.get_loc("draw")].tolist()


def _resampled(some, seed, groups=None):
    """By modality of the answer its name, the mean and its resamples, and the queries.

    Parameters
    ----------
    some : DataFrame
        Values by query of one pipeline and corpus.
    seed : int or tuple of int
    groups : array, default=None
        The groups that are resampled; by default those of these queries.

    Yields
    ------
    name : str
        ``"all"`` first.
    values : ndarray of shape (1 + N_RESAMPLES,)
        The mean of the values, and that of each resample.
    n_queries : int
    """
    value, modality = some["value"].to_numpy(), some["answer_modality"].to_numpy()
    # Sorted, so that the resamples do not depend on the order of the queries.
    groups = np.unique(some["group"] if groups is None else groups)
    group, n_groups = np.searchsorted(groups, some["group"]), len(groups)
    names = ["all", *sorted(set(modality))]
    chosen = [np.full(len(value), True), *(modality == name for name in names[1:])]
    # By group, the sum of the values of each modality and their number.
    sums = [
        np.bincount(group[at], weights=weights, minlength=n_groups)
        for at in chosen
        for weights in (value[at], np.ones(at.sum()))
    ]
    sums, random = np.stack(sums, axis=1), np.random.default_rng(seed)
    resampled = [sums.sum(axis=0, keepdims=True)]
    n_block = max(1, MOST_WEIGHTS // n_groups)
    for start in range(0, N_RESAMPLES, n_block):
        n = min(n_block, N_RESAMPLES - start)
        weights = random.multinomial(n_groups, np.full(n_groups, 1 / n_groups), n)
        resampled.append(weights @ sums)
    total, count = np.concatenate(resampled).T.reshape(len(names), 2, -1).swapaxes(0, 1)
    with np.errstate(invalid="ignore"):  # a resample may hold no query of a rare modality
        means = total / count
    if n_groups < 2:
        means[:, 1:] = np.nan
    for name, mean, at in zip(names, means, chosen):
        yield name, mean, int(at.sum())


def _summary(values):
    with warnings.catch_warnings():  # of one group all resamples are NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        return values[0], *np.nanquantile(values[1:], QUANTILES)

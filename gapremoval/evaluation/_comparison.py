"""Comparison: the table that `compare` returns."""

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
    all queries), ``n_queries``, ``mean``, ``low`` and ``high``: the mean over the queries of all
    draws, and a 95 % bootstrap interval.

    Attributes
    ----------
    by_query : DataFrame
        The value of each query: the keys, ``draw``, ``query`` (its number), ``group``,
        ``answer_modality`` and ``value``.

    Notes
    -----
    The bootstrap resamples groups of queries, by default single queries. The draws of a corpus
    and all pipelines share the resamples, and so do corpora with the same groups.

    `compare` makes it; see there for an example.
    """

    _metadata = ["by_query", "random_state"]

    # What pandas makes of it by selecting rows is one too.
    @property
    def _constructor(self):
        return Comparison

    @classmethod
    def from_queries(cls, by_query, random_state=0):
        """Summarize values by query.

        Parameters
        ----------
        by_query : DataFrame or dict of arrays
            The columns of the attribute `by_query`; all before ``draw`` are keys.
        random_state : int, default=0
            Seed of the bootstrap.

        Returns
        -------
        Comparison
        """
        by_query = pd.DataFrame(by_query).infer_objects()
        keys = _keys(by_query)
        rows = []
        for key, some in by_query.groupby(keys, sort=False, observed=True):
            for name, values, n_queries in _resampled(some, random_state):
                rows.append([*key, name, n_queries, *_summary(values)])
        table = cls(rows, columns=[*keys, "answer_modality", "n_queries", "mean", "low", "high"])
        table.by_query, table.random_state = by_query, random_state
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
            If there is no such pipeline.
        """
        by_query = self.by_query
        names = by_query["pipeline"].unique().tolist()
        if baseline not in names:
            raise ValueError(
                f"There is no pipeline {baseline!r} in this comparison; there are "
                f"{', '.join(map(repr, names))}.{did_you_mean(baseline, names)}"
            )
        same = [*(key for key in _keys(by_query) if key != "pipeline"), "draw", "query"]
        of_baseline = by_query.loc[by_query["pipeline"] == baseline, [*same, "value"]]
        both = by_query.merge(of_baseline, on=same, how="left", suffixes=("", "_of_baseline"))
        difference = (both["value"] - both["value_of_baseline"]).to_numpy()
        return self.from_queries(by_query.assign(value=difference), self.random_state)

    def over_corpora(self):
        """The mean over the corpora, each with the same weight.

        Returns
        -------
        DataFrame
            Columns as here, without ``corpus``.
        """
        keys = [key for key in _keys(self.by_query) if key != "corpus"]
        rows = []
        for key, some in self.by_query.groupby(keys, sort=False, observed=True):
            values, counts = {}, {}
            for _, of_corpus in some.groupby("corpus", sort=False, observed=True):
                for name, mean, n_queries in _resampled(of_corpus, self.random_state):
                    values.setdefault(name, []).append(mean)
                    counts[name] = counts.get(name, 0) + n_queries
            for name, means in values.items():
                rows.append([*key, name, counts[name], *_summary(np.mean(means, axis=0))])
        return pd.DataFrame(
            rows, columns=[*keys, "answer_modality", "n_queries", "mean", "low", "high"]
        )


def _keys(by_query):
    return by_query.columns[: by_query.columns.get_loc("draw")].tolist()


def _resampled(some, random_state):
    """By modality of the answer its name, the mean and its resamples, and the queries.

    Yields
    ------
    name : str
        ``"all"`` first.
    values : ndarray of shape (1 + N_RESAMPLES,)
        The mean of the values, and that of each resample.
    n_queries : int
    """
    value, modality = some["value"].to_numpy(), some["answer_modality"].to_numpy()
    group, _ = pd.factorize(some["group"])
    n_groups = group.max(initial=-1) + 1
    names = ["all", *sorted(set(modality))]
    chosen = [np.full(len(value), True), *(modality == name for name in names[1:])]
    # By group, the sum of the values of each modality and their number.
    sums = [
        np.bincount(group[at], weights=weights, minlength=n_groups)
        for at in chosen
        for weights in (value[at], np.ones(at.sum()))
    ]
    sums, random = np.stack(sums, axis=1), np.random.default_rng(random_state)
    resampled = [sums.sum(axis=0, keepdims=True)]
    n_block = max(1, MOST_WEIGHTS // n_groups)
    for start in range(0, N_RESAMPLES, n_block):
        n = min(n_block, N_RESAMPLES - start)
        weights = random.multinomial(n_groups, np.full(n_groups, 1 / n_groups), n)
        resampled.append(weights @ sums)
    total, count = np.concatenate(resampled).T.reshape(len(names), 2, -1).swapaxes(0, 1)
    with np.errstate(invalid="ignore"):  # a resample may hold no query of a rare modality
        means = total / count
    for name, mean, at in zip(names, means, chosen):
        yield name, mean, int(at.sum())


def _summary(values):
    return values[0], *np.nanquantile(values[1:], QUANTILES)

"""Experiments that the paper leaves out: other calibrations, fewer queries, noise."""

from collections import Counter
from dataclasses import replace
from numbers import Integral

import numpy as np

from .._relevance import check_y
from ._compare import draw_generators, draws_of, run
from ._corpus import modalities_of, take
from ._mixed_corpora import sample_rows
from ._query_noise import noisy_queries

NO_QUERIES = "own, without queries"
SIZES = (8, 16, 32, 64, 128, 256)


def _varied(corpora, column, values, variant, n_draws=1, random_state=0, certain=()):
    """Cases in which corpora vary in one column.

    Parameters
    ----------
    corpora : dict
        As in `compare`.
    column : str
        The name of the column.
    values : sequence
        What it holds.
    variant : callable
        ``variant(corpus, value, random)`` makes a corpus, with a generator of random numbers.
    n_draws, random_state : int
        At least so many variants of each corpus, in turn of its draws, and the seed.
    certain : collection
        The values for which nothing is random: each draw of the corpus has one variant.

    Returns
    -------
    list of (dict, list of Corpus)
    """
    draw_generators(n_draws, random_state)
    cases = []
    for name, given in corpora.items():
        draws = draws_of(name, given)
        for value in dict.fromkeys(values):
            n = len(draws) if value in certain else max(n_draws, len(draws))
            randoms = enumerate(draw_generators(n, random_state))
            some = [variant(draws[i % len(draws)], value, random) for i, random in randoms]
            cases.append(({"corpus": name, column: value}, some))
    return cases


def sweep_calibration_size(
    pipelines, corpora, *, sizes=SIZES, calibration=None, n_draws=3, random_state=0, **options
):
    """Fit the steps before the retriever on few rows of each modality.

    Parameters
    ----------
    pipelines, corpora : dict
        As in `compare`.
    sizes : sequence of int, default=(8, 16, 32, 64, 128, 256)
        Numbers of rows of each modality, at most. The parts of a document are drawn together.
        All rows follow as the last.
    calibration : tuple of (X, y), default=None
        The rows to draw from, such as those of another domain, and their ids. By default each
        corpus's own.
    n_draws : int, default=3
        The number of random samples of each size.
    random_state : int, default=0
        Seed of the samples and the bootstrap.
    **options
        Passed to `compare`: `metric`, `fusion_weights`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the column ``n_rows``; the last is the number of rows of the largest modality.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.evaluation import sweep_calibration_size
    >>> corpora = {"drawn": make_mixed_modality(200, random_state=0)}
    >>> ours = {"ours": make_search_pipeline()}
    >>> result = sweep_calibration_size(ours, corpora, sizes=[16], n_draws=1)
    >>> result.loc[result.answer_modality == "all", ["n_rows", "mean"]].round(2)
       n_rows  mean
    0      16  0.89
    4     200  0.89
    """

    for size in sizes:
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(f"Sizes are integers of at least 1; got {size!r}.")

    def rows_of(corpus):
        X, y = calibration or corpus.calibration or corpus.fitted_rows
        return X, [None] * len(X) if y is None else check_y(y, len(X)).tolist()

    def calibrated(corpus, size, random):
        X, y = rows_of(corpus)
        at = sample_rows(X, y, size, random)
        return replace(corpus, calibration=(take(X, at), [y[i] for i in at]))

    first = [draws_of(name, given)[0] for name, given in corpora.items()]
    most = max(max(Counter(modalities_of(rows_of(corpus)[0])).values()) for corpus in first)
    values = [*(size for size in sizes if size < most), most]
    cases = _varied(corpora, "n_rows", values, calibrated, n_draws, random_state, certain=[most])
    return run(pipelines, cases, random_state=random_state, **options)


def compare_calibrations(pipelines, corpora, *, others=None, random_state=0, **options):
    """Fit the steps before the retriever on other rows than the corpus's own.

    The retriever is fitted on the corpus in any case, with the queries that teach.

    Parameters
    ----------
    pipelines, corpora : dict
        As in `compare`.
    others : dict of str to (X, y), default=None
        Rows and ids by name, such as those of another domain.
    random_state : int, default=0
        Seed of the bootstrap.
    **options
        Passed to `compare`: `metric`, `fusion_weights`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the column ``calibration``: ``"own"``, ``"own, without queries"`` (which leaves the
        query mean to its fallback), and the names of `others`.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.evaluation import compare_calibrations
    >>> corpora = {"drawn": make_mixed_modality(200, random_state=0)}
    >>> result = compare_calibrations({"ours": make_search_pipeline()}, corpora)
    >>> result.loc[result.answer_modality == "all", ["calibration", "mean"]].round(2)
                calibration  mean
    0                   own  0.89
    4  own, without queries  0.89
    """
    others = dict(others or {})

    def calibrated(corpus, name, random):
        own = {"own": corpus.calibration, NO_QUERIES: (corpus.documents, corpus.ids)}
        return replace(corpus, calibration=(own | others)[name])

    names = ["own", NO_QUERIES, *others]
    cases = _varied(corpora, "calibration", names, calibrated, certain=names)
    return run(pipelines, cases, random_state=random_state, **options)


def sweep_teaching_size(
    pipelines, corpora, *, sizes=(0, *SIZES), n_draws=3, random_state=0, **options
):
    """Fit on few of the queries that teach, without their relevance.

    Parameters
    ----------
    pipelines, corpora : dict
        As in `compare`.
    sizes : sequence of int, default=(0, 8, 16, 32, 64, 128, 256)
        Numbers of queries, at most; ``np.inf`` takes all.
    n_draws : int, default=3
        The number of random samples of each size.
    random_state : int, default=0
        Seed of the samples and the bootstrap.
    **options
        Passed to `compare`: `metric`, `fusion_weights`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the column ``n_teaching``.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.evaluation import sweep_teaching_size
    >>> corpora = {"drawn": make_mixed_modality(200, random_state=0)}
    >>> ours = {"ours": make_search_pipeline()}
    >>> result = sweep_teaching_size(ours, corpora, sizes=[0, 16], n_draws=1)
    >>> result.loc[result.answer_modality == "all", ["n_teaching", "mean"]].round(2)
       n_teaching  mean
    0           0  0.89
    4          16  0.87
    """
    for size in sizes:
        if not size >= 0:
            raise ValueError(f"Sizes are numbers of queries, at least 0; got {size!r}.")

    def taught(corpus, size, random):
        n = len(corpus.taught)
        at = random.permutation(n)[: int(min(size, n))] if 0 < size < n else np.arange(min(size, n))
        return replace(corpus, teaching=take(corpus.taught, at), teaching_relevance=None)

    cases = _varied(corpora, "n_teaching", sizes, taught, n_draws, random_state, (0, np.inf))
    return run(pipelines, cases, random_state=random_state, **options)


def sweep_query_noise(
    pipelines, corpora, *, amounts=(0, 0.2, 0.4, 0.6, 0.8), n_draws=3, random_state=0, **options
):
    """Ask with noisy queries, of a pipeline that was fitted with clean ones.

    Parameters
    ----------
    pipelines, corpora : dict
        As in `compare`.
    amounts : sequence of float, default=(0, 0.2, 0.4, 0.6, 0.8)
        The amounts of noise; see `noisy_queries`.
    n_draws : int, default=3
        The number of random draws of each amount.
    random_state : int, default=0
        Seed of the noise and the bootstrap.
    **options
        Passed to `compare`: `metric`, `fusion_weights`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the column ``noise``.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.evaluation import sweep_query_noise
    >>> corpora = {"drawn": make_mixed_modality(200, random_state=0)}
    >>> ours = {"ours": make_search_pipeline()}
    >>> result = sweep_query_noise(ours, corpora, amounts=[0, 2], n_draws=1)
    >>> result.loc[result.answer_modality == "all", ["noise", "mean"]].round(2)
       noise  mean
    0      0  0.89
    4      2  0.57
    """

    def noisy(corpus, amount, random):
        seed = int(random.integers(2**31))
        queries = noisy_queries(corpus.queries, amount, random_state=seed)
        # By default the clean queries would be replaced in the fit too.
        return replace(corpus, queries=queries, teaching=corpus.taught)

    cases = _varied(corpora, "noise", amounts, noisy, n_draws, random_state, certain=[0])
    return run(pipelines, cases, random_state=random_state, **options)

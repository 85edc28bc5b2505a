"""The experiments of the paper, and those that it leaves out, on any data."""

from collections import Counter
from dataclasses import replace
from numbers import Integral

import numpy as np

from .._relevance import check_y
from ._compare import compare, draws_of, run
from ._corpus import modalities_of, take
from ._mixed_corpora import mixed_corpus, sample_rows
from ._query_noise import noisy_queries

SHARES = tuple(np.linspace(0, 1, 11).round(2).tolist())
NO_QUERIES = "own, without queries"
SIZES = (8, 16, 32, 64, 128, 256)


def sweep_image_share(
    pipelines, text, image, *, questions, shares=SHARES, n_draws=5, random_state=0, **options
):
    """Setting 1 of the paper: a growing share of the documents are images.

    At share 0 every item is a text document. In each draw the items become images one after
    the other, in a random order: the images of a share stay images in all higher ones. A
    method without a modality gap draws a flat line; a gap makes it sag in the middle.

    Parameters
    ----------
    pipelines : dict of str to estimator
        As in `compare`.
    text, image, questions : array or list
        Items, as in `mixed_corpus`.
    shares : sequence of float in [0, 1], default=(0, 0.1, ..., 1)
        The shares of images.
    n_draws : int, default=5
        The number of random orders.
    random_state : int, default=0
        Seed of the orders and the bootstrap.
    **options
        Passed to `compare`: `metric`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the share of images as ``image_share`` in place of ``corpus``.

    See Also
    --------
    sag : How deep such a curve sags.

    References
    ----------
    .. [1] "Closing the Modality Gap for Mixed Modality Search" (GR-CLIP), arXiv 2507.19054,
       section 5, setting 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.evaluation import sweep_image_share
    >>> text, image = np.random.default_rng(0).normal(size=(2, 40, 8))
    >>> raw = {"raw": MixedModalityRetriever()}
    >>> result = sweep_image_share(raw, text, image, questions=text, shares=[0, 1], n_draws=1)
    >>> result[result.answer_modality == "all"].round(2)
      pipeline  image_share answer_modality  n_queries  mean   low  high
    0      raw            0             all         40  1.00  1.00  1.00
    2      raw            1             all         40  0.12  0.06  0.19
    """
    orders = [random.permutation(len(text)) for random in _randoms(n_draws, random_state)]
    cases = []
    for share in dict.fromkeys(shares):
        if not 0 <= share <= 1:
            raise ValueError(f"A share of images is between 0 and 1; got {share!r}.")
        n_images = round(share * len(text))
        kinds = [np.where(np.argsort(order) < n_images, "image", "text") for order in orders]
        draws = [mixed_corpus(text, image, questions=questions, proportions=kind) for kind in kinds]
        cases.append(({"image_share": share}, draws))
    return run(pipelines, cases, random_state=random_state, **options)


def sag(comparison):
    """How deep each curve of `sweep_image_share` sags.

    Parameters
    ----------
    comparison : Comparison
        From `sweep_image_share`.

    Returns
    -------
    Series of float
        By pipeline, 1 - lowest point / mean of both ends; 0 for a curve without a sag.

    Raises
    ------
    ValueError
        If the comparison has no such curve, or several of a pipeline.
    """
    if "image_share" not in comparison or "fusion_weight" in comparison:
        raise ValueError("sag takes the result of sweep_image_share, with one fusion weight.")
    every = comparison[comparison["answer_modality"] == "all"]
    curves = every.pivot(index="image_share", columns="pipeline", values="mean").sort_index()
    ends = (curves.iloc[0] + curves.iloc[-1]) / 2
    return (1 - curves.min() / ends).loc[list(dict.fromkeys(every["pipeline"]))]


def sweep_fusion_weight(
    pipelines, text, image, *, questions, fusion_weights=SHARES, random_state=0, **options
):
    """Setting 2 of the paper: every document has a text and an image, with growing weight.

    Parameters
    ----------
    pipelines : dict of str to estimator
        As in `compare`.
    text, image, questions : array or list
        Items, as in `mixed_corpus`.
    fusion_weights : sequence of float in [0, 1], default=(0, 0.1, ..., 1)
        The weights of the text.
    random_state : int, default=0
        Seed of the bootstrap.
    **options
        Passed to `compare`: `metric`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the column ``fusion_weight``.

    References
    ----------
    .. [1] "Closing the Modality Gap for Mixed Modality Search" (GR-CLIP), arXiv 2507.19054,
       section 5, setting 2.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.evaluation import sweep_fusion_weight
    >>> text, image = np.random.default_rng(0).normal(size=(2, 40, 8))
    >>> raw = {"raw": MixedModalityRetriever()}
    >>> result = sweep_fusion_weight(raw, text, image, questions=text, fusion_weights=[0, 1])
    >>> result.loc[result.answer_modality == "all", ["fusion_weight", "mean"]].round(2)
       fusion_weight  mean
    0              0  0.12
    2              1  1.00
    """
    both = mixed_corpus(text, image, questions=questions, proportions={"image+text": 1})
    options |= {"fusion_weights": fusion_weights, "random_state": random_state}
    return compare(pipelines, {"image+text": both}, **options)


def compare_mixes(
    pipelines, text, image, *, questions, mixes=None, extra_images=None, n_draws=5, random_state=0,
    **options,
):  # fmt: skip
    """Setting 3 of the paper: texts, images and image+text documents, in any proportions.

    Parameters
    ----------
    pipelines : dict of str to estimator
        As in `compare`.
    text, image, questions : array or list
        Items, as in `mixed_corpus`.
    mixes : sequence of str or dict of str to proportions, default=("1:1:1",)
        Mixes such as ``"7:2:1"``, of texts, images and image+text documents; or their
        proportions by name, as in `mixed_corpus`.
    extra_images : array or list, default=None
        Images that answer no question.
    n_draws : int, default=5
        The number of random corpora of each mix.
    random_state : int, default=0
        Seed of the corpora and the bootstrap.
    **options
        Passed to `compare`: `metric`, `fusion_weights`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the mixes as ``corpus``.

    Raises
    ------
    ValueError
        If a mix is not three numbers.

    References
    ----------
    .. [1] "Closing the Modality Gap for Mixed Modality Search" (GR-CLIP), arXiv 2507.19054,
       section 5, setting 3.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.evaluation import compare_mixes
    >>> text, image = np.random.default_rng(0).normal(size=(2, 40, 8))
    >>> raw = {"raw": MixedModalityRetriever()}
    >>> result = compare_mixes(raw, text, image, questions=text, mixes=["1:3:0"], n_draws=2)
    >>> result[["corpus", "answer_modality", "n_queries", "mean"]].round(2)
      corpus answer_modality  n_queries  mean
    0  1:3:0             all         80  0.35
    1  1:3:0           image         60  0.13
    2  1:3:0            text         20  1.00
    """
    if mixes is None or not hasattr(mixes, "items"):
        mixes = {mix: proportions_of(mix) for mix in (["1:1:1"] if mixes is None else mixes)}
    seeds = [random_state + draw for draw, _ in enumerate(_randoms(n_draws, random_state))]
    asked = {"questions": questions, "extra_images": extra_images}
    corpora = {
        name: [mixed_corpus(text, image, proportions=x, random_state=i, **asked) for i in seeds]
        for name, x in mixes.items()
    }
    return compare(pipelines, corpora, random_state=random_state, **options)


def _randoms(n_draws, random_state):
    """A generator of random numbers for each draw."""
    for name, value, least in (("n_draws", n_draws, 1), ("random_state", random_state, 0)):
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}; got {value!r}.")
    return [np.random.default_rng(random_state + draw) for draw in range(n_draws)]


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
    _randoms(n_draws, random_state)
    cases = []
    for name, given in corpora.items():
        draws = draws_of(name, given)
        for value in dict.fromkeys(values):
            n = len(draws) if value in certain else max(n_draws, len(draws))
            randoms = enumerate(_randoms(n, random_state))
            some = [variant(draws[i % len(draws)], value, random) for i, random in randoms]
            cases.append(({"corpus": name, column: value}, some))
    return cases


def proportions_of(mix):
    """The proportions of a mix such as ``"7:2:1"``."""
    try:
        text, image, both = map(float, mix.split(":"))
    except (ValueError, AttributeError):
        raise ValueError(
            f"A mix is three numbers, such as '7:2:1' for texts, images and image+text documents; "
            f"got {mix!r}."
        ) from None
    return {"text": text, "image": image, "image+text": both}


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

"""compare: score pipelines on corpora, in parallel, with results kept in a folder."""

import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from joblib import hash as content_hash
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from .._files import replacing
from .._items import Query
from .._optional import import_optional
from .._search import search, split_steps, transform_steps
from .._version import __version__
from .._warnings import warn
from ..metrics._ranking import gains_of, get_ranking_metric
from ._corpora import Corpus, take


def compare(
    pipelines,
    corpora,
    *,
    metric="ndcg@10",
    fusion_weights=None,
    n_jobs=None,
    cache=None,
    random_state=0,
    verbose=0,
):
    """Compare pipelines on corpora, with paired intervals.

    Each pipeline is fitted on each corpus, unlabeled, and asked all its queries. Intervals are
    95 % bootstrap intervals over the queries. All pipelines see the same resamples, so their
    differences have intervals too: see `Comparison.difference_to`.

    Parameters
    ----------
    pipelines : dict of str to estimator
        Unfitted pipelines that end in a retriever, or retrievers. They are cloned.
    corpora : dict of str to Corpus, (X, y) or list of them
        What is searched. A list holds several draws of one corpus, such as of several seeds;
        their values are averaged. Keys may be numbers, such as a share of images.
    metric : str, default="ndcg@10"
        ``"ndcg"``, ``"recall"``, ``"mrr"`` or ``"precision"``, ``@`` and a number of documents.
    fusion_weights : sequence, default=None
        Values of the retriever's `fusion_weight`, each of which is tried.
    n_jobs : int, default=None
        Number of processes, as in joblib; each takes one draw of a corpus at a time.
    cache : str or Path, default=None
        A folder that keeps results by content. A later or interrupted comparison does not
        repeat what is there. The code of your own estimators is not part of their content, nor
        are the weights in an encoder's checkpoint: empty the folder when those change.
    random_state : int, default=0
        Seed of the bootstrap.
    verbose : int, default=0
        Verbosity of joblib, which tells the progress on stderr.

    Returns
    -------
    Comparison
        A DataFrame with a row for each pipeline, corpus, fusion weight (if there are any) and
        modality of the answer: see there.

    Raises
    ------
    ValueError
        If the metric is unknown, there is no pipeline or corpus, or a fit fails.
    ImportError
        If pandas is not installed.

    Warns
    -----
    UserWarning
        Each warning of a fit or a search once, with the number of times that it occurred.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever, make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.evaluation import compare
    >>> pipelines = {"raw": MixedModalityRetriever(), "ours": make_search_pipeline()}
    >>> result = compare(pipelines, {"drawn": make_mixed_modality(random_state=0)})
    >>> result[result.answer_modality == "image"].round(2)
      pipeline corpus answer_modality  n_queries  mean   low  high
    1      raw  drawn           image        100   0.0  0.00  0.00
    5     ours  drawn           image        100   0.8  0.74  0.85
    """
    cases = [({"corpus": name}, draws_of(given)) for name, given in corpora.items()]
    return run(
        pipelines,
        cases,
        metric=metric,
        fusion_weights=fusion_weights,
        n_jobs=n_jobs,
        cache=cache,
        random_state=random_state,
        verbose=verbose,
    )


def run(
    pipelines,
    cases,
    *,
    metric="ndcg@10",
    fusion_weights=None,
    n_jobs=None,
    cache=None,
    random_state=0,
    verbose=0,
):
    """Score pipelines on cases, each with labels of its own.

    Parameters
    ----------
    cases : list of (dict, list of Corpus)
        The labels of a case, which become columns, and its draws. All have the same labels.
    pipelines, metric, fusion_weights, n_jobs, cache, random_state, verbose : object
        As in `compare`.

    Returns
    -------
    Comparison
    """
    import_optional("pandas", extra="pandas", purpose="Comparing pipelines")
    from ._comparison import Comparison

    get_ranking_metric(metric)
    if not pipelines or not cases:
        raise ValueError("A comparison needs at least one pipeline and one corpus.")
    folder = None if cache is None else Path(cache)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    candidates = [
        ({"pipeline": name} | ({} if weight is None else {"fusion_weight": weight}), estimator)
        for name, pipeline in pipelines.items()
        for weight, estimator in _with_weights(pipeline, fusion_weights)
    ]
    draws = [(labels, i, corpus) for labels, some in cases for i, corpus in enumerate(some)]
    results = Parallel(n_jobs=n_jobs, verbose=verbose)(
        delayed(_score)([estimator for _, estimator in candidates], corpus, metric, folder)
        for _, _, corpus in draws
    )
    _warn_once(message for _, caught in results for message in caught)
    tables = []
    for (labels, draw, corpus), (values, _) in zip(draws, results):
        n = len(corpus.queries)
        groups = np.arange(n) if corpus.groups is None else np.asarray(corpus.groups)
        queries = {"draw": np.full(n, draw), "query": np.arange(n), "group": groups}
        queries["answer_modality"] = corpus.answer_modality
        for (named, _), value in zip(candidates, values):
            keys = {key: np.full(n, x, dtype=object) for key, x in (named | labels).items()}
            tables.append(keys | queries | {"value": value})
    columns = {key: np.concatenate([x[key] for x in tables]) for key in tables[0]}
    return Comparison.from_queries(columns, random_state)


def draws_of(given):
    """The draws of a corpus, a list of Corpus."""
    draws = given if isinstance(given, list) else [given]
    return [x if isinstance(x, Corpus) else Corpus.from_rows(*x) for x in draws]


def single_corpora(corpora):
    """Corpora of one draw each, a dict of Corpus."""
    for name, given in corpora.items():
        if isinstance(given, list) and len(given) != 1:
            raise ValueError(f"Corpus {name!r} has {len(given)} draws: give one.")
    return {name: draws_of(given)[0] for name, given in corpora.items()}


def _with_weights(pipeline, fusion_weights):
    """Pairs of a fusion weight and the pipeline with it."""
    if fusion_weights is None:
        return [(None, pipeline)]
    last = f"{pipeline.steps[-1][0]}__" if isinstance(pipeline, Pipeline) else ""
    name = f"{last}fusion_weight"
    return [(weight, clone(pipeline).set_params(**{name: weight})) for weight in fusion_weights]


def _score(estimators, corpus, metric, folder):
    """The metric of each query by each estimator, and the warnings on the way."""
    values, caught = [], []
    for estimator in estimators:
        path = None
        if folder is not None:
            key = content_hash([__version__, metric, estimator, _content(corpus)])
            path = folder / f"{key}.npy"
        kept = _read(path, len(corpus.queries))
        if kept is None:
            with warnings.catch_warnings(record=True) as some:
                warnings.simplefilter("always")
                kept = evaluate(estimator, corpus, metric)
            caught += [str(x.message) for x in some]
            if path is not None:
                with replacing(path) as file:
                    np.save(file, kept)
        values.append(kept)
    return values, caught


def evaluate(estimator, corpus, metric):
    """Fit an estimator on a corpus and score its queries.

    Parameters
    ----------
    estimator : estimator
        An unfitted pipeline or retriever.
    corpus : Corpus
    metric : str
        Such as ``"ndcg@10"``.

    Returns
    -------
    ndarray of float64 of shape (n_queries,)
    """
    metric, k = get_ranking_metric(metric)
    (X, y), estimator = corpus.fitted_rows, clone(estimator)
    has_steps = isinstance(estimator, Pipeline) and len(estimator) > 1
    if corpus.calibration is None or not has_steps:
        estimator.fit(X, y)
    else:
        calibrator = estimator[:-1].fit(*corpus.calibration)
        estimator[-1].fit(calibrator.transform(X), y)
    ids = np.full((len(corpus.queries), k), None, dtype=object)
    for name, at in _told(corpus).items():
        found = _found(estimator, take(corpus.queries, at), k, name)
        ids[at, : found.shape[1]] = found
    ranking = [[x for x in row if x is not None] for row in ids.tolist()]
    gains = gains_of(list(corpus.relevance), ranking, k)
    return metric(gains, k)


def _found(estimator, queries, k, document_modality):
    """The ids of the best documents of each query."""
    steps, retriever = split_steps(estimator)
    if not hasattr(retriever, "kneighbors"):
        return search(estimator, queries, k, document_modality=document_modality).ids
    # Without the probabilities and false alarms of `search`, which take longer than the ranking.
    X, tags = transform_steps(steps, queries)
    options = {"modality": tags, "document_modality": document_modality}
    return retriever.ids_[retriever.kneighbors(X, k, return_distance=False, **options)]


def _told(corpus):
    """The queries by the modality of documents that they are searched among."""
    if not corpus.told:
        return {None: np.arange(len(corpus.queries))}
    modality = corpus.answer_modality
    names = {name: None if name in ("", "several") else name for name in np.unique(modality)}
    return {told: np.flatnonzero(modality == name) for name, told in names.items()}


def _content(corpus):
    """What a corpus is made of, with files by their state and not only by name."""
    rows = [corpus.documents, corpus.queries, corpus.teaching, *(corpus.calibration or ())]
    files = []
    for item in (x for some in rows if isinstance(some, list) for x in some):
        parts = (item.item, item.image) if isinstance(item, Query) else (item,)
        states = [x.stat() for x in parts if isinstance(x, Path)]
        files += [(state.st_size, state.st_mtime_ns) for state in states]
    answers = [list(corpus.ids), list(corpus.relevance), corpus.teaching_relevance, corpus.told]
    return [rows, files, answers]


def _read(path, n_queries):
    """The values kept in a file, or None where it is absent or broken."""
    try:
        values = np.load(path, allow_pickle=False) if path is not None else None
    except (OSError, ValueError, EOFError):
        return None
    return values if values is not None and values.shape == (n_queries,) else None


def _warn_once(caught):
    """Warn about what happened, once for messages that differ in numbers only."""
    first, count = {}, Counter()
    for message in caught:
        kind = re.sub(r"\d+", "0", message)
        first.setdefault(kind, message)
        count[kind] += 1
    for kind, message in first.items():
        warn(message if count[kind] == 1 else f"{message} (So or similarly {count[kind]} times.)")

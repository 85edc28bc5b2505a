"""compare: score pipelines on corpora, in parallel, with results kept in a folder."""

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from functools import cache
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from joblib import effective_n_jobs
from joblib import hash as content_hash
from sklearn import get_config
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.parallel import Parallel, delayed

from .._embeddings import EmbeddingArray
from .._files import replacing
from .._optional import import_optional
from .._ranking_metrics import gains_of, get_ranking_metric
from .._search import search, split_steps, transform_steps
from .._warnings import warn
from ._corpus import Corpus, states_of, take


@validate_params(
    {
        "pipelines": [Mapping],
        "corpora": [Mapping],
        "metric": [str],
        "fusion_weights": ["array-like", None],
        "n_jobs": [Integral, None],
        "cache": [str, Path, None],
        "random_state": [Interval(Integral, 0, None, closed="left")],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=False,
)
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

    Each pipeline is fitted on the documents and the queries without their relevance, and then
    searched with every query. Methods that learn from queries thus learn from those that are
    scored; `Corpus` takes others as `teaching`. Intervals are 95 % bootstrap intervals over the
    queries. All pipelines see the same resamples, so their differences have intervals too: see
    `Comparison.difference_to`.

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
        Number of processes, as in joblib.
    cache : str or Path, default=None
        Folder of results, one file for each pipeline and draw of a corpus. A file is read if the
        parameters, rows, relevance and metric are the same, without repeating its warnings. The
        code of your own estimators and the weights in an encoder's checkpoint are not compared:
        empty the folder when they change.
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
        If the metric is unknown, there is no pipeline or corpus, or a key is no string or
        number. An error of a fit says in which pipeline and corpus it was raised.
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
    options = {"metric": metric, "fusion_weights": fusion_weights, "n_jobs": n_jobs}
    options |= {"cache": cache, "random_state": random_state, "verbose": verbose}
    cases = [({"corpus": name}, draws_of(name, given)) for name, given in corpora.items()]
    return run(pipelines, cases, **options)


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
        The labels of a case, which become columns, and its draws. All cases have the same label
        names.
    pipelines, metric, fusion_weights, n_jobs, cache, random_state, verbose : object
        As in `compare`.

    Returns
    -------
    Comparison
    """
    import_optional("pandas", extra="pandas", purpose="Comparing pipelines")
    from ._comparison import Comparison

    get_ranking_metric(metric)
    candidates = _candidates(pipelines, fusion_weights)
    if not candidates or not cases:
        raise ValueError("A comparison needs at least one pipeline, fusion weight and corpus.")
    for key in {x for labels, _ in [*candidates, *cases] for x in labels.values()}:
        if not isinstance(key, str | Real) or key != key:
            raise ValueError(f"{key!r} is no name: use strings or numbers as keys.")
    folder = None if cache is None else Path(cache)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    draws = [(labels, i, corpus) for labels, some in cases for i, corpus in enumerate(some)]
    # A corpus is sent to a process once, unless there are too few to keep all processes busy.
    n_parts = int(np.clip(4 * effective_n_jobs(n_jobs) // len(draws), 1, len(candidates)))
    parts = np.array_split(np.arange(len(candidates)), n_parts)
    results = Parallel(n_jobs=n_jobs, verbose=verbose)(
        delayed(_score)([candidates[i] for i in part], labels, corpus, metric, folder)
        for labels, _, corpus in draws
        for part in parts
    )
    _warn_once(message for _, caught in results for message in caught)
    values = iter([x for some, _ in results for x in some])
    tables = []
    for labels, draw, corpus in draws:
        n = len(corpus.queries)
        groups = np.arange(n) if corpus.groups is None else corpus.groups
        queries = {"draw": np.full(n, draw), "query": np.arange(n), "group": groups}
        queries["answer_modality"] = corpus.answer_modality
        for named, _ in candidates:
            keys = {key: np.full(n, x, dtype=object) for key, x in (named | labels).items()}
            tables.append(keys | queries | {"value": next(values)})
    columns = {key: np.concatenate([x[key] for x in tables]) for key in tables[0]}
    return Comparison.from_queries(columns, metric, random_state)


def draws_of(name, given):
    """The draws of a corpus, a list of Corpus."""
    is_draws = isinstance(given, list | tuple) and all(isinstance(x, Corpus) for x in given)
    draws = list(given) if isinstance(given, list) or is_draws else [given]
    is_pair = [isinstance(x, tuple) and len(x) == 2 for x in draws]
    if not draws or not all(pair or isinstance(x, Corpus) for x, pair in zip(draws, is_pair)):
        raise ValueError(
            f"Corpus {name!r} must be a Corpus, a tuple (X, y), or a list of draws, one at least."
        )
    return [Corpus.from_rows(*x) if pair else x for x, pair in zip(draws, is_pair)]


def draw_generators(n_draws, random_state):
    """A generator of random numbers for each draw."""
    for name, value, least in (("n_draws", n_draws, 1), ("random_state", random_state, 0)):
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}; got {value!r}.")
    return [np.random.default_rng(random_state + draw) for draw in range(n_draws)]


def _candidates(pipelines, fusion_weights):
    """The labels and the estimator of each pipeline with each weight."""
    if fusion_weights is None:
        return [({"pipeline": name}, pipeline) for name, pipeline in pipelines.items()]
    candidates, labels = [], {_weight_label(weight): weight for weight in fusion_weights}
    for name, pipeline in pipelines.items():
        last = f"{pipeline.steps[-1][0]}__" if isinstance(pipeline, Pipeline) else ""
        if f"{last}fusion_weight" not in pipeline.get_params():
            raise ValueError(
                f"fusion_weights are for pipelines that end in a retriever; {name!r} is a "
                f"{type(pipeline).__name__}."
            )
        for label, weight in labels.items():
            weighted = clone(pipeline).set_params(**{f"{last}fusion_weight": weight})
            candidates.append(({"pipeline": name, "fusion_weight": label}, weighted))
    return candidates


def _weight_label(weight):
    return str(dict(weight)) if isinstance(weight, Mapping) else weight


def _score(candidates, labels, corpus, metric, folder):
    """The metric of each query by each estimator, and the warnings on the way."""
    values, caught = [], []
    content = None if folder is None else content_hash([_code(), metric, _content(corpus)])
    for named, estimator in candidates:
        path = None if folder is None else folder / f"{content}-{_key(estimator)}.npy"
        kept = _read(path, len(corpus.queries))
        if kept is None:
            with warnings.catch_warnings(record=True) as some:
                warnings.simplefilter("always")
                try:
                    kept = evaluate(estimator, corpus, metric)
                except Exception as error:
                    error.add_note(f"It was raised for {named | labels}.")
                    raise
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
    if corpus.calibration is None or _is_retriever(estimator):
        estimator.fit(X, y, **_modality_of(X))
    else:
        rows, ids = corpus.calibration
        calibrator = estimator[:-1].fit(rows, ids, **_modality_of(rows))
        steps, last = split_steps(calibrator)
        steps = [step for step in (*steps, last) if step not in (None, "passthrough")]
        X, tags = transform_steps(steps, X)
        estimator[-1].fit(X, y, **({} if tags is None else {"modality": tags}))
    ids = np.full((len(corpus.queries), k), None, dtype=object)
    for name, at in _told(corpus):
        found = _found(estimator, take(corpus.queries, at), k, name)
        ids[at, : found.shape[1]] = found
    ranking = [[x for x in row if x is not None] for row in ids.tolist()]
    return metric(gains_of(corpus.relevance, ranking, k), k)


def _is_retriever(estimator):
    """Whether an estimator has no steps that could be fitted on other rows."""
    if isinstance(estimator, Pipeline):
        return len(estimator) == 1
    if hasattr(estimator, "estimator") and not isinstance(estimator, FrozenEstimator):
        raise ValueError(
            f"Rows to calibrate on are for pipelines, not for a {type(estimator).__name__}: fit "
            "it, and compare its best_estimator_."
        )
    return True


def _modality_of(X):
    """The modality for steps that return bare arrays, where metadata is routed."""
    is_routed = get_config()["enable_metadata_routing"] and isinstance(X, EmbeddingArray)
    return {"modality": X.modality} if is_routed else {}


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
    """Pairs of the modality of documents that are searched, and the queries that search them."""
    if not corpus.told:
        return [(None, np.arange(len(corpus.queries)))]
    modality = corpus.answer_modality
    return [
        (None if name in ("none", "several") else name, np.flatnonzero(modality == name))
        for name in np.unique(modality)
    ]


def _content(corpus):
    """What a corpus is made of, with files by their state and not only by name."""
    rows = [corpus.documents, corpus.queries, corpus.teaching, *(corpus.calibration or ())]
    files = [states_of(some) for some in rows if isinstance(some, list)]
    answers = [corpus.ids, corpus._gains, corpus.teaching_relevance, corpus.told]
    return [rows, files, answers]


@cache
def _code():
    """A checksum of the code of this library, whose changes may change results."""
    files = sorted(Path(__file__).parent.parent.rglob("*.py"))
    return content_hash([file.read_bytes() for file in files])


def _key(estimator):
    """A checksum of an estimator and its parameters."""
    try:
        return content_hash(estimator)
    except Exception as error:
        raise ValueError(
            f"cache= needs pipelines that can be pickled, which {estimator!r} cannot: {error}"
        ) from error


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

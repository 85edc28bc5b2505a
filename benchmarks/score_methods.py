"""What the benchmarks of score calibration share: the methods, fitting them, tables."""

import re
import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    make_search_pipeline,
    search,
)
from gapremoval.metrics import ndcg_at_k
from gapremoval.score_calibration import (
    CSLS,
    DistributionBasedScoreFusion,
    NearestNeighborNormalization,
    PseudoPositiveZ,
    QBNorm,
    ReciprocalRankFusion,
    RelativeScoreFusion,
    ScoreScale,
    ScoreZ,
)

CALIBRATORS = [
    ScoreScale(),
    ScoreZ(),
    PseudoPositiveZ(),
    NearestNeighborNormalization(),
    CSLS(),
    QBNorm(),
    ReciprocalRankFusion(),
    DistributionBasedScoreFusion(),
    RelativeScoreFusion(),
]

# GR is the gap removed, without a score calibration. The last is the recommended pipeline.
METHODS = {
    "raw": make_pipeline(MixedModalityRetriever()),
    "GR": make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
    **{
        f"GR + {type(calibrator).__name__}": make_pipeline(
            ModalityGapRemover(), MixedModalityRetriever(score_calibration=calibrator)
        )
        for calibrator in CALIBRATORS
    },
    "GR + PosteriorOdds": make_search_pipeline(),
}
OURS = "GR + PosteriorOdds"

# The corpora are small on purpose, and some means are another corpus's on purpose.
EXPECTED = re.compile("Few rows|.*comes from the prior alone|No query has been seen")


def fitted(method, documents, ids, queries=None, answers=None):
    """Fit a method on a corpus and the queries that teach, unlabelled where `answers` is None."""
    X = documents
    if queries is not None and len(queries):
        X = EmbeddingArray.concatenate([documents, queries])
    unjudged = [None] * (len(X) - len(documents))
    estimator = METHODS[method] if isinstance(method, str) else method
    return clone(estimator).fit(X, [*ids, *(unjudged if answers is None else answers)])


def ndcg(pipe, queries, relevance, document_modality=None):
    """NDCG@10 of each query: an array of shape (n_queries,)."""
    found = search(pipe, queries, 10, document_modality=document_modality)
    return ndcg_at_k(relevance, found.ids)


def each(function, jobs):
    """The results of ``function(*job)``, without the warnings that are meant to be.

    In parallel inside ``joblib.parallel_config``.
    """
    return Parallel()(delayed(_quietly)(function, job) for job in jobs)


def _quietly(function, job):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=EXPECTED.pattern)
        return function(*job)


def standard_error(values):
    """That of the mean over the first axis."""
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def signed(values, digits=4):
    """The mean of differences with its standard error, as text."""
    return f"{np.mean(values):+.{digits}f} ± {standard_error(values):.{digits}f}"


def setting_name(pattern, extra):
    """Such as "1:1:1 + extra"."""
    return pattern + (" + extra" if extra else "")


def print_table(title, header, rows):
    """A heading and a table in markdown."""
    print(f"\n**{title}**\n")
    print("| " + " | ".join(header) + " |")
    print("|---" * len(header) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)

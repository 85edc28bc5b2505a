"""The methods that are compared. A line here is a line in every table."""

from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    make_search_pipeline,
)
from gapremoval.score_calibration import (
    CSLS,
    NearestNeighborNormalization,
    PseudoPositiveZ,
    QBNorm,
    ReciprocalRankFusion,
    ScoreScale,
    ScoreZ,
)


def rows(*steps):
    """A pipeline that corrects rows, and ranks by cosine."""
    return make_pipeline(*steps, MixedModalityRetriever())


def scores(calibration):
    """A pipeline that removes the gap, and corrects scores."""
    retriever = MixedModalityRetriever(score_calibration=calibration)
    return make_pipeline(ModalityGapRemover(), retriever)


GR, OURS = "GR", "GR + posterior odds"

METHODS = {
    "raw": rows(),
    GR: rows(ModalityGapRemover()),
    "GR + scale": scores(ScoreScale()),
    "GR + z": scores(ScoreZ()),
    "GR + pseudo-positive z": scores(PseudoPositiveZ()),
    "GR + nearest-neighbor normalization": scores(NearestNeighborNormalization()),
    "GR + CSLS": scores(CSLS()),
    "GR + QB-Norm": scores(QBNorm()),
    "GR + reciprocal rank fusion": scores(ReciprocalRankFusion()),
    OURS: make_search_pipeline(),
}


def fitted(method, documents, ids, queries=None, answers=None):
    """A method fitted on documents, and on queries without their answers or with some."""
    X = documents
    if queries is not None and len(queries):
        X = EmbeddingArray.concatenate([documents, queries])
    unjudged = [None] * (len(X) - len(documents))
    return clone(METHODS[method]).fit(X, [*ids, *(unjudged if answers is None else answers)])

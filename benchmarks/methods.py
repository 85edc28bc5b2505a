"""The methods that are compared. A line here is a line in every table."""

from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    make_search_pipeline,
)
from gapremoval.calibration import (
    AnchorAndScale,
    ByModality,
    CovarianceAligner,
    GapShift,
    GapSubspaceEraser,
    OrthogonalAligner,
    ShrunkWhitener,
    TopComponentsRemover,
)
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
    # The paper ranks by inner product; the retriever ranks by cosine whatever `norm` is.
    "distribution normalization, by cosine": rows(ModalityGapRemover(strength=0.25, norm=None)),
    "gap shift": rows(GapShift()),
    "standardizer": rows(ByModality(StandardScaler())),
    "whitener": rows(ByModality(ShrunkWhitener())),
    "top components removed": rows(ByModality(TopComponentsRemover())),
    "anchor and scale": rows(AnchorAndScale()),
    "covariance aligner": rows(CovarianceAligner()),
    "gap-subspace eraser": rows(GapSubspaceEraser()),
    "gap-subspace eraser, centered": rows(GapSubspaceEraser(center=True)),
    "orthogonal aligner": rows(OrthogonalAligner()),
    "GR + scale": scores(ScoreScale()),
    "GR + z": scores(ScoreZ()),
    "GR + pseudo-positive z": scores(PseudoPositiveZ()),
    "GR + nearest-neighbor normalization": scores(NearestNeighborNormalization()),
    "GR + CSLS": scores(CSLS()),
    "GR + QB-Norm": scores(QBNorm()),
    "GR + reciprocal rank fusion": scores(ReciprocalRankFusion()),
    "GR + distribution-based score fusion": scores(DistributionBasedScoreFusion()),
    "GR + relative score fusion": scores(RelativeScoreFusion()),
    OURS: make_search_pipeline(),
}

# They learn from documents with a text and an image, and cannot do without.
NEED_PAIRS = ["orthogonal aligner"]


def fitted(method, documents, ids, queries=None, answers=None):
    """A method fitted on documents, and on queries without their answers or with some."""
    X = documents
    if queries is not None and len(queries):
        X = EmbeddingArray.concatenate([documents, queries])
    unjudged = [None] * (len(X) - len(documents))
    return clone(METHODS[method]).fit(X, [*ids, *(unjudged if answers is None else answers)])

"""published_methods: one pipeline for each published correction, to compare with."""

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .._search import make_search_pipeline
from ..calibration import (
    AnchorAndScale,
    ByModality,
    CovarianceAligner,
    GapShift,
    GapSubspaceEraser,
    ModalityGapRemover,
    OrthogonalAligner,
    ShrunkWhitener,
    TopComponentsRemover,
)
from ..retrieval import MixedModalityRetriever
from ..score_calibration import (
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


def published_methods(*, paired=True):
    """Unfitted pipelines of all published corrections, by name.

    Corrections of rows rank by cosine. Corrections of scores, whose names begin with ``GR +``,
    come after the removed gap.

    Parameters
    ----------
    paired : bool, default=True
        Whether to include what can only be fitted on documents with a text and an image: the
        orthogonal aligner.

    Returns
    -------
    dict of str to Pipeline
        The raw embeddings (``"raw"``) come first, then the removed gap (``"GR"``), and the
        recommended pipeline (``"GR + posterior odds"``) last.

    See Also
    --------
    compare : Scores them on corpora.

    Examples
    --------
    >>> from gapremoval.evaluation import published_methods
    >>> methods = published_methods()
    >>> len(methods), [*methods][:2], [*methods][-1]
    (22, ['raw', 'GR'], 'GR + posterior odds')
    """
    methods = {
        "raw": _corrected_rows(),
        "GR": _corrected_rows(ModalityGapRemover()),
        # The paper ranks by inner product; the retriever ranks by cosine whatever `norm` is.
        "distribution normalization, by cosine": _corrected_rows(
            ModalityGapRemover(strength=0.25, norm=None)
        ),
        "gap shift": _corrected_rows(GapShift()),
        "standardizer": _corrected_rows(ByModality(StandardScaler())),
        "whitener": _corrected_rows(ByModality(ShrunkWhitener())),
        "top components removed": _corrected_rows(ByModality(TopComponentsRemover())),
        "anchor and scale": _corrected_rows(AnchorAndScale()),
        "covariance aligner": _corrected_rows(CovarianceAligner()),
        "gap-subspace eraser": _corrected_rows(GapSubspaceEraser()),
        "gap-subspace eraser, centered": _corrected_rows(GapSubspaceEraser(center=True)),
        "orthogonal aligner": _corrected_rows(OrthogonalAligner()),
        "GR + scale": _corrected_scores(ScoreScale()),
        "GR + z": _corrected_scores(ScoreZ()),
        "GR + pseudo-positive z": _corrected_scores(PseudoPositiveZ()),
        "GR + nearest-neighbor normalization": _corrected_scores(NearestNeighborNormalization()),
        "GR + CSLS": _corrected_scores(CSLS()),
        "GR + QB-Norm": _corrected_scores(QBNorm()),
        "GR + reciprocal rank fusion": _corrected_scores(ReciprocalRankFusion()),
        "GR + distribution-based score fusion": _corrected_scores(DistributionBasedScoreFusion()),
        "GR + relative score fusion": _corrected_scores(RelativeScoreFusion()),
        "GR + posterior odds": make_search_pipeline(),
    }
    if not paired:
        del methods["orthogonal aligner"]
    return methods


def _corrected_rows(*steps):
    return make_pipeline(*steps, MixedModalityRetriever())


def _corrected_scores(calibration):
    retriever = MixedModalityRetriever(score_calibration=calibration)
    return make_pipeline(ModalityGapRemover(), retriever)

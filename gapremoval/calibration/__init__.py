"""Calibrators, which remove the modality gap, and their diagnosis."""

from ._anchor_and_scale import AnchorAndScale
from ._by_modality import ByModality
from ._covariance_aligner import CovarianceAligner
from ._drift import drift
from ._gap_remover import ModalityGapRemover
from ._gap_shift import GapShift
from ._gap_subspace_eraser import GapSubspaceEraser
from ._noise import add_noise
from ._orthogonal_aligner import OrthogonalAligner
from ._save_transformed import save_transformed
from ._transformers import ShrunkWhitener, TopComponentsRemover

__all__ = [
    "AnchorAndScale",
    "ByModality",
    "CovarianceAligner",
    "GapShift",
    "GapSubspaceEraser",
    "ModalityGapRemover",
    "OrthogonalAligner",
    "ShrunkWhitener",
    "TopComponentsRemover",
    "add_noise",
    "drift",
    "save_transformed",
]

"""Calibrators, which remove the modality gap, and their diagnosis."""

from ._drift import drift
from ._gap_remover import ModalityGapRemover
from ._save_transformed import save_transformed

__all__ = ["ModalityGapRemover", "drift", "save_transformed"]

"""Calibrators: what lays the clouds of the modalities over each other."""

from ._drift import drift
from ._gap_remover import ModalityGapRemover
from ._save_transformed import save_transformed

__all__ = ["ModalityGapRemover", "drift", "save_transformed"]

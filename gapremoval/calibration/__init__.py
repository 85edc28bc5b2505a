"""Calibrators: what lays the clouds of the modalities over each other."""

from ._drift import drift
from ._gap_remover import ModalityGapRemover

__all__ = ["ModalityGapRemover", "drift"]

"""Data to try things on: generated here, and small enough to look at."""

from ._mixed_modality import make_mixed_modality
from ._scenes import make_scenes

__all__ = ["make_mixed_modality", "make_scenes"]

"""Data to try things on: generated here, and small enough to look at."""

from ._captions import load_ordinary_captions
from ._mixed_modality import make_mixed_modality
from ._scenes import make_scenes

__all__ = ["load_ordinary_captions", "make_mixed_modality", "make_scenes"]

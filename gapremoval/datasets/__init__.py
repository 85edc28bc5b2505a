"""Data to try things on, generated here and small enough to look at; and readers of files."""

from ._captions import load_ordinary_captions
from ._folder import read_folder
from ._mixed_modality import make_mixed_modality
from ._parquet import iter_parquet
from ._scenes import make_scenes

__all__ = [
    "iter_parquet",
    "load_ordinary_captions",
    "make_mixed_modality",
    "make_scenes",
    "read_folder",
]

"""Generated data for examples and tests, and readers of records, folders and files."""

from ._captions import load_ordinary_captions
from ._folder import read_folder
from ._mixed_modality import make_mixed_modality
from ._parquet import iter_parquet
from ._records import explode_documents
from ._scenes import make_scenes

__all__ = [
    "explode_documents",
    "iter_parquet",
    "load_ordinary_captions",
    "make_mixed_modality",
    "make_scenes",
    "read_folder",
]

"""Generated data for examples and tests, and readers of records, folders and files."""

from ._beir import load_beir
from ._captions import load_ordinary_captions
from ._fetch_mixbench import fetch_mixbench
from ._folder import read_folder
from ._make_mixbench import make_mixbench
from ._mixbench import load_mixbench
from ._mixed_modality import make_mixed_modality
from ._parquet import iter_parquet
from ._records import explode_documents
from ._render_text import render_text
from ._scenes import make_scenes

__all__ = [
    "explode_documents",
    "fetch_mixbench",
    "iter_parquet",
    "load_beir",
    "load_mixbench",
    "load_ordinary_captions",
    "make_mixbench",
    "make_mixed_modality",
    "make_scenes",
    "read_folder",
    "render_text",
]

"""Encoders: texts and pictures in, tagged embeddings out."""

from ._add_texts import add_texts
from ._clip import CLIPEncoder
from ._error import EncodingError, ReadingError

__all__ = ["CLIPEncoder", "EncodingError", "ReadingError", "add_texts"]

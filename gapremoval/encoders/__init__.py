"""Encoders: texts and pictures in, tagged embeddings out."""

from ._clip import CLIPEncoder
from ._error import EncodingError

__all__ = ["CLIPEncoder", "EncodingError"]

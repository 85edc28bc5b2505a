"""Encoders: texts and pictures in, tagged embeddings out."""

from ._clip import CLIPEncoder

__all__ = ["CLIPEncoder"]

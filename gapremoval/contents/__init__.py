"""Texts and pictures: decoded, known by their content, cached, and texts read from pictures."""

from ._add_texts import add_texts
from ._error import ReadingError

__all__ = ["ReadingError", "add_texts"]

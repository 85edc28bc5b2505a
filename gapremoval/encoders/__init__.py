"""Encoders: texts and pictures in, tagged embeddings out."""

from ._add_texts import add_texts
from ._clip import CLIPEncoder
from ._error import EncodingError, ReadingError
from ._make_encoder import make_encoder
from ._sentence_transformer import SentenceTransformerEncoder

__all__ = [
    "CLIPEncoder",
    "EncodingError",
    "ReadingError",
    "SentenceTransformerEncoder",
    "add_texts",
    "make_encoder",
]

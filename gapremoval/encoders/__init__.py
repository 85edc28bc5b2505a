"""Encoders: texts and pictures in, tagged embeddings out."""

from ._clip import CLIPEncoder
from ._encode_parts import encode_parts
from ._error import EncodingError
from ._make_encoder import make_encoder
from ._sentence_transformer import SentenceTransformerEncoder

__all__ = [
    "CLIPEncoder",
    "EncodingError",
    "SentenceTransformerEncoder",
    "encode_parts",
    "make_encoder",
]

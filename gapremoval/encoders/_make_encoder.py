"""make_encoder: an encoder from one string, for command lines and tables."""

from ._clip import CLIPEncoder
from ._sentence_transformer import SentenceTransformerEncoder


def make_encoder(name, **parameters):
    """An encoder by the name of its model.

    Parameters
    ----------
    name : str
        ``"st:MODEL"`` for a `SentenceTransformerEncoder`, any other name for a `CLIPEncoder`.
    **parameters : object
        Further parameters of the encoder, such as ``memory``.

    Returns
    -------
    CLIPEncoder or SentenceTransformerEncoder

    Examples
    --------
    >>> from gapremoval.encoders import make_encoder
    >>> make_encoder("pocket", batch_size=8)
    CLIPEncoder(batch_size=8, model='pocket')
    >>> make_encoder("st:clip-ViT-B-32")
    SentenceTransformerEncoder(model='clip-ViT-B-32')
    """
    prefix = SentenceTransformerEncoder._prefix
    if isinstance(name, str) and name.startswith(prefix):
        return SentenceTransformerEncoder(name.removeprefix(prefix), **parameters)
    return CLIPEncoder(name, **parameters)

"""A network of open_clip with its tokenizer and its preprocessing."""

import dataclasses
import functools
import hashlib
import json
import re
from typing import Any

import numpy as np

from ..contents._locks import process_lock
from ..contents._weights import SAMPLE_TEXT, update_by_weights
from ._loading import load_network
from ._model_names import check_model_name
from ._models import LoadedModel, shared_model
from ._trimming import can_trim, encode_trimmed

# A JPEG that is decoded at this multiple of the network's input keeps its embedding
# (cosine > .9999).
REDUCING_GAP = 4


@dataclasses.dataclass(frozen=True, eq=False)
class CLIPModel(LoadedModel):
    """A network of open_clip, in float32.

    Attributes
    ----------
    preprocess : callable
        open_clip's transform of an RGB PIL image to a float32 tensor of shape (3, H, W).
    tokenizer : callable
        open_clip's tokenizer of the network.
    settings : dict
        open_clip's configuration of the network and of its preprocessing.
    """

    preprocess: Any
    tokenizer: Any
    settings: dict = dataclasses.field(repr=False)

    kinds = frozenset({"text", "image"})

    @property
    def context_length(self):
        """Number of tokens that the text tower reads."""
        return int(self.tokenizer.context_length)

    @property
    def n_features(self):
        """Number of features of an embedding."""
        return int(self.settings["model"]["embed_dim"])

    @property
    def reading(self):
        """Options of `read_picture`: pictures are preprocessed where they are decoded."""
        least_edge = REDUCING_GAP * np.max(self.network.visual.preprocess_cfg["size"])
        return {"least_edge": least_edge, "then": self.preprocess}

    @functools.cached_property
    def can_trim(self):
        """Whether `encode_text` accepts token batches that are cut to their longest text."""
        return can_trim(self.network, self.tokenizer)

    @functools.cached_property
    def fingerprint(self):
        """Sha256 of the weights, the architecture, the preprocessing and the tokenizer.

        The first access takes seconds.
        """
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True, default=str).encode())
        digest.update(self.tokenize([SAMPLE_TEXT])[0].numpy())
        update_by_weights(digest, self.network)
        return digest.hexdigest()

    def prepare_texts(self, kind, texts):
        """See `LoadedModel`; short texts come first."""
        tokens, lengths = self.tokenize(texts)

        def take(at):
            width = min(lengths[at].max(), self.context_length) if self.can_trim else None
            return tokens[at][:, :width]

        order = np.argsort(lengths, kind="stable") if self.can_trim else np.arange(len(texts))
        return order, lengths > self.context_length, take

    def stack(self, kind, contents):
        """See `LoadedModel`."""
        import torch

        return torch.stack(contents)

    def encode(self, kind, batch, precision):
        """See `LoadedModel`."""
        import torch

        encode = self.network.encode_image if kind == "image" else self.encode_text
        batch = batch.pin_memory() if self.device.type == "cuda" else batch
        is_half = precision != "float32"
        with torch.autocast(self.device.type, getattr(torch, precision), enabled=is_half):
            return encode(batch.to(self.device, non_blocking=True))

    def tokenize(self, texts):
        """Convert texts to tokens, padded and truncated to the context length.

        Parameters
        ----------
        texts : list of str

        Returns
        -------
        tokens : LongTensor of shape (n_texts, context_length)
            On the CPU.
        lengths : ndarray of int, shape (n_texts,)
            Number of tokens of each text, including those that mark its start and its end.
            Above `context_length` if the text was truncated.
        """
        import open_clip
        import torch

        tokenizer, width = self.tokenizer, self.context_length
        if not texts:
            return torch.zeros((0, width), dtype=torch.long), np.zeros(0, dtype=int)
        if isinstance(tokenizer, open_clip.SimpleTokenizer):
            # Its time is quadratic in the length of a word, and a token has 16 letters at most.
            endless = re.compile(rf"(\S{{{64 * width}}})\S+")
            # One token more than the network reads shows which texts are truncated.
            tokens = tokenizer([endless.sub(r"\1", text) for text in texts], width + 1)
            lengths = width + 1 - (tokens.flip(1) != 0).int().argmax(1)
            tokens = tokens[:, :width].contiguous()
            tokens[lengths > width, -1] = tokenizer.eot_token_id
            return tokens, lengths.numpy()
        is_clips = getattr(tokenizer, "tokenizer_mode", "") == "clips"
        clean = getattr(tokenizer, "clean_fn", open_clip.tokenizer.get_clean_fn("canonicalize"))
        texts = [clean(text) for text in texts]
        # Fast tokenizers keep their padding and truncation as a state.
        with process_lock("tokenizer"):
            whole = tokenizer.tokenizer(texts, add_special_tokens=not is_clips, verbose=False)
            tokens = tokenizer(texts)
        return tokens, np.array([len(ids) + 3 * is_clips for ids in whole["input_ids"]])

    def encode_text(self, tokens):
        """Embeddings of tokens, as the network's ``encode_text``.

        Parameters
        ----------
        tokens : LongTensor of shape (n_texts, n_tokens)
            On the network's device. n_tokens is `context_length`; with `can_trim`, any number
            from the length of the longest text on.

        Returns
        -------
        embeddings : Tensor of shape (n_texts, n_features)
            Not normalized.
        """
        if self.can_trim:
            return encode_trimmed(self.network, tokens)
        return self.network.encode_text(tokens)


def load_model(model, device=None):
    """Load the network of a name, once per process; see `shared_model`.

    A name is loaded again if the size or the time of its local files changed.

    Parameters
    ----------
    model : str
        Name of the model, see `check_model_name`.
    device : None, str or torch.device
        See `choose_device`.

    Returns
    -------
    CLIPModel

    Raises
    ------
    ValueError
        If the name, the device or the files are wrong.
    FileNotFoundError
        If weights, tokenizer or configuration are neither on this machine nor available from
        the hub.
    """
    name = check_model_name(model)
    return shared_model((model, name.files), device, lambda: CLIPModel(*load_network(model, name)))


def choose_precision(precision, device):
    """The precision for ``"auto"``: bfloat16 on CUDA (or float16), float32 elsewhere."""
    if precision != "auto" or device.type != "cuda":
        return "float32" if precision == "auto" else precision
    import torch

    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"

"""The networks of this process: loaded once, with their tokenizers and preprocessing."""

import dataclasses
import functools
import hashlib
import json
import re
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import numpy as np

from ._devices import choose_device, place, usable_device
from ._loading import load_network
from ._locks import process_lock
from ._model_names import check_model_name
from ._trimming import can_trim, encode_trimmed

MAX_NETWORKS = 2

_networks = OrderedDict()  # the least recently used first


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network with its tokenizer and its preprocessing, ready to encode.

    Attributes
    ----------
    network : torch.nn.Module
        In float32 and eval mode, without gradients, on `device`.
    preprocess : callable
        open_clip's transform of an RGB PIL image to a float32 tensor of shape (3, H, W).
    tokenizer : callable
        open_clip's tokenizer of the network.
    device : torch.device
        Device of the network.
    settings : dict
        open_clip's configuration of the network and of its preprocessing.
    """

    network: Any
    preprocess: Any
    tokenizer: Any
    device: Any
    settings: dict = dataclasses.field(repr=False)

    @property
    def context_length(self):
        """Number of tokens that the text tower reads."""
        return int(self.tokenizer.context_length)

    @property
    def n_features(self):
        """Number of features of an embedding."""
        return int(self.settings["model"]["embed_dim"])

    @functools.cached_property
    def can_trim(self):
        """Whether `encode_text` accepts token batches that are cut to their longest text."""
        return can_trim(self.network, self.tokenizer)

    @functools.cached_property
    def fingerprint(self):
        """Sha256 of the weights, the architecture, the preprocessing and the tokenizer.

        Equal weights have equal fingerprints, whatever their file, name or device. The first
        access takes seconds.
        """
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True, default=str).encode())
        digest.update(self.tokenize(["Two cafés, 3 red bicycles!"])[0].numpy())
        for name, values in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
            digest.update(values.cpu().contiguous().numpy())
        return digest.hexdigest()

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
    """Load the network of a name, once per process.

    The two networks that were used last are kept. A name is loaded again if the size or the
    time of its local files changed.

    Parameters
    ----------
    model : str
        Name of the model, see `check_model_name`.
    device : None, str or torch.device
        See `choose_device`. None takes MPS only if a text and a picture get the same
        embeddings there as on the CPU.

    Returns
    -------
    loaded : LoadedModel

    Raises
    ------
    ValueError
        If the name, the device or the files are wrong.
    FileNotFoundError
        If weights, tokenizer or configuration are neither on this machine nor available from
        the hub.
    RuntimeError
        If the device is a GPU that was used before this process was forked.
    """
    name, chosen = check_model_name(model), usable_device(choose_device(device))
    key = (model, str(chosen), device is None, name.files)
    loaded = _recall(key)
    if loaded is None:
        with process_lock("load"):
            loaded = _recall(key)  # another thread may have loaded it meanwhile
            if loaded is None:
                while len(_networks) >= MAX_NETWORKS:  # before loading: never three in memory
                    _networks.popitem(last=False)
                loaded = LoadedModel(*load_network(model, name))
                loaded = _networks[key] = place(loaded, chosen, by_itself=device is None)
    return loaded


def _recall(key):
    with suppress(KeyError):
        _networks.move_to_end(key)
        return _networks[key]

"""The networks of this process: loaded once, shared by all encoders."""

import dataclasses
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import numpy as np

from ..contents._locks import process_lock
from ..contents._pictures import read_picture
from ..contents._weights import SAMPLE_TEXT
from ._devices import choose_device, place, usable_device

MAX_NETWORKS = 2

_networks = OrderedDict()  # the least recently used first


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network that is ready to encode the parts of items; the base of two.

    Attributes
    ----------
    network : torch.nn.Module
        In eval mode, without gradients, on `device`.
    device : torch.device
        Device of the network.
    kinds : set of str
        What it encodes: of ``"text"``, ``"image"`` and ``"joint"``.
    n_features : int
        Number of features of an embedding.
    context_length : int or None
        Number of tokens that it reads of a text; None if it has no limit.
    fingerprint : str
        Sha256 of all that determines an embedding, but for the precision. Equal weights have
        equal fingerprints, whatever their file, name or device.
    reading : dict
        Options of `read_picture` for its pictures.
    """

    network: Any
    device: Any

    def made_by(self, kind):
        """What determines the embeddings of a kind of part: the fingerprint, or less."""
        return self.fingerprint

    def prepare_texts(self, kind, texts):
        """Tokenize texts, as far as this is done ahead of the batches.

        Parameters
        ----------
        kind : {"text", "query:text"}
        texts : list of str

        Returns
        -------
        order : ndarray of int of shape (n_texts,)
            In which they are encoded fastest.
        is_cut : ndarray of bool of shape (n_texts,)
            Whether a text is longer than the network reads.
        take : callable
            Takes indices of texts, and returns a batch for `encode`.
        """

    def stack(self, kind, contents):
        """A batch for `encode`, of what `read_picture` returned for pictures or their joints."""

    def is_cut(self, kind, batch):
        """Whether the texts of a batch are longer than the network reads, an array of bool."""
        return np.zeros(len(batch), dtype=bool)

    def encode(self, kind, batch, precision):
        """Encode a batch, which has a length and can be sliced.

        Returns
        -------
        Tensor of shape (n_parts, n_features)
            Not normalized, on the device.

        Raises
        ------
        ValueError
            If a part cannot be encoded.
        """

    def samples(self):
        """A batch of a text and one of a picture, by kind, as far as the network takes them."""
        noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
        batches = {}
        if "text" in self.kinds:
            batches["text"] = self.prepare_texts("text", [SAMPLE_TEXT])[2]([0])
        if "image" in self.kinds:
            batches["image"] = self.stack("image", [read_picture(noise, **self.reading)])
        return batches

    def probe(self):
        """The embeddings of `samples` on the CPU, which a wrong device changes."""
        import torch

        with torch.inference_mode():
            return {
                kind: self.encode(kind, batch, "float32").float().cpu()
                for kind, batch in self.samples().items()
            }


def shared_model(name, device, load):
    """The model of a name on a device, loaded once per process.

    The two models that were used last are kept.

    Parameters
    ----------
    name : hashable
        Tells models apart, as their files are now.
    device : None, str or torch.device
        See `choose_device`. None takes MPS only if a text and a picture get the same
        embeddings there as on the CPU.
    load : callable
        Returns the `LoadedModel`, on the CPU.

    Returns
    -------
    LoadedModel

    Raises
    ------
    ValueError
        If the device is not available.
    RuntimeError
        If the device is a GPU that was used before this process was forked.
    """
    chosen = usable_device(choose_device(device))
    key = (name, str(chosen), device is None)
    loaded = _recall(key)
    if loaded is None:
        with process_lock("load"):
            loaded = _recall(key)  # another thread may have loaded it meanwhile
            if loaded is None:
                while len(_networks) >= MAX_NETWORKS:  # before loading: never three in memory
                    _networks.popitem(last=False)
                loaded = _networks[key] = place(load(), chosen, by_itself=device is None)
    return loaded


def _recall(key):
    with suppress(KeyError):
        _networks.move_to_end(key)
        return _networks[key]

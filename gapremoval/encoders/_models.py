"""CLIP networks built from their names, loaded once a process, with what encodes texts."""

import copy
import dataclasses
import functools
import hashlib
import json
import logging
import os
import re
import textwrap
import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from .._optional import import_optional
from ._devices import choose_device, place, usable_device
from ._hub import Fetch, call_offline, offline, replaced
from ._model_names import check_model_name

MAX_NETWORKS = 2
OLDEST_TORCH = "2.6"  # before, open_clip reads as a pickle what is no plain checkpoint

_optional = functools.partial(import_optional, extra="clip", purpose="CLIPEncoder")
_networks = OrderedDict()  # the least recently used first
_networks_lock, _loading_lock, _tokenizer_lock = (threading.Lock() for _ in range(3))


def _after_fork():
    # The parent's other threads may have held the locks.
    global _networks_lock, _loading_lock, _tokenizer_lock
    _networks_lock, _loading_lock, _tokenizer_lock = (threading.Lock() for _ in range(3))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network ready to encode, with what belongs to it.

    Attributes
    ----------
    network : torch.nn.Module
        In float32, in eval mode and without gradients, on `device`.
    preprocess : callable
        open_clip's transform of an RGB PIL image to a float32 tensor (3, H, W).
    tokenizer : callable
        open_clip's tokenizer of the network.
    device : torch.device
        Where the network is.
    context_length : int
        Number of tokens that the text tower reads.
    n_features : int
        Length of an embedding.
    can_trim : bool
        Whether `encode_text` takes token batches cut to their longest text: a causal text
        tower that reads a text off at its end never looks at the padding behind it.
    settings : dict
        open_clip's configuration of the network and of its preprocessing.
    """

    network: Any
    preprocess: Any
    tokenizer: Any
    device: Any
    context_length: int
    n_features: int
    can_trim: bool
    settings: dict = dataclasses.field(repr=False)

    @functools.cached_property
    def fingerprint(self):
        """Sha256 of weights, architecture, preprocessing and tokenizer; takes seconds once.

        The same weights have the same fingerprint whatever file, name or device they are on.
        """
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True, default=str).encode())
        digest.update(self.tokenize(["Two cafés, 3 red bicycles!"])[0].numpy())
        for name, values in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
            digest.update(values.cpu().contiguous().numpy())
        return digest.hexdigest()

    def tokenize(self, texts):
        """Tokens of texts, padded and cut to the context length.

        Parameters
        ----------
        texts : list of str

        Returns
        -------
        tokens : LongTensor of shape (n_texts, context_length)
            On the CPU.
        lengths : ndarray of int, shape (n_texts,)
            How many tokens each text has uncut, with those that mark its start and end; more
            than `context_length` where it was cut.
        """
        torch, tokenizer, width = _optional("torch"), self.tokenizer, self.context_length
        if not texts:
            return torch.zeros((0, width), dtype=torch.long), np.zeros(0, dtype=int)
        if hasattr(tokenizer, "encode"):  # open_clip's own, in Python: encode only once
            start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
            # A run of letters takes the square of its length, and a token is 16 of them at most.
            endless = re.compile(rf"(\S{{{64 * width}}})\S+")
            texts = [endless.sub(r"\1", text) for text in texts]
            encoded = [[start, *tokenizer.encode(text), end] for text in texts]
            tokens = torch.zeros((len(texts), width), dtype=torch.long)
            for row, ids in zip(tokens, encoded):
                row[: len(ids)] = torch.tensor(
                    ids if len(ids) <= width else [*ids[: width - 1], end]
                )
            return tokens, np.array([len(ids) for ids in encoded])
        clips = getattr(tokenizer, "tokenizer_mode", "") == "clips"
        clean = getattr(tokenizer, "clean_fn", None) or _clean_of_siglip
        with _tokenizer_lock:  # the fast tokenizers keep how to cut and pad as their state
            whole = tokenizer.tokenizer(
                [clean(text) for text in texts], add_special_tokens=not clips, verbose=False
            )
            tokens = tokenizer(texts)
        return tokens, np.array([len(ids) + 3 * clips for ids in whole["input_ids"]])

    def encode_text(self, tokens):
        """Embeddings of tokens, as the network's ``encode_text``.

        Parameters
        ----------
        tokens : LongTensor of shape (n_texts, n_tokens)
            On the network's device. With `can_trim`, n_tokens may be anything from the length
            of the longest text to `context_length`; without, it is `context_length`.

        Returns
        -------
        embeddings : Tensor of shape (n_texts, n_features)
            Not normalised.
        """
        n_tokens = tokens.shape[1]
        if not self.can_trim or n_tokens == self.context_length:
            return self.network.encode_text(tokens)
        # A view of the text tower that knows shorter texts only; it shares the weights.
        tower = copy.copy(getattr(self.network, "text", self.network))
        short = tower.positional_embedding[:n_tokens]
        tower._parameters = {**tower._parameters, "positional_embedding": short}
        mask = tower.attn_mask[:n_tokens, :n_tokens]
        tower._buffers = {**tower._buffers, "attn_mask": mask}
        return tower.encode_text(tokens) if hasattr(tower, "encode_text") else tower(tokens)


def _clean_of_siglip(text):
    tokenizer = _optional("open_clip.tokenizer")
    return tokenizer.canonicalize_text(tokenizer.basic_clean(text))


def _can_trim(network, tokenizer):
    tower = getattr(network, "text", network)
    return (
        # Another tokenizer may pad with the highest number, which 'argmax' would read.
        hasattr(tokenizer, "encode")
        and getattr(tower, "attn_mask", None) is not None
        and getattr(tower, "text_pool_type", getattr(tower, "pool_type", None)) == "argmax"
        and getattr(tower, "cls_emb", None) is None
        and not getattr(tower, "output_tokens", False)
    )


def load_model(model, device=None):
    """The network of a name, loaded once a process.

    The last two networks are kept, by name, device, and size and time of local files.

    Parameters
    ----------
    model : str
        As `check_model_name` takes it.
    device : None, str or torch.device
        As `choose_device` takes it. MPS is chosen for None only if a text and a picture get
        the embeddings there that they get on the CPU.

    Returns
    -------
    loaded : LoadedModel

    Raises
    ------
    ValueError, FileNotFoundError
        If the name, the device or the files cannot be right, or weights, tokenizer or
        configuration are neither on this machine nor to be had from the hub.
    RuntimeError
        If a GPU is asked for in a process forked from one that had used it.
    """
    name, chosen = check_model_name(model), usable_device(choose_device(device))
    key = (model, str(chosen), device is None, name.files)
    loaded = _recall(key)
    if loaded is not None:
        return loaded
    with _loading_lock:
        loaded = _recall(key)  # another thread may have loaded it meanwhile
        if loaded is not None:
            return loaded
        with _networks_lock:
            while len(_networks) >= MAX_NETWORKS:  # before loading: never three in memory
                _networks.popitem(last=False)
        with replaced(_optional("open_clip").factory, "logging", _open_clip_log()):
            loaded = _build(model, name)
        loaded = place(loaded, chosen, by_itself=device is None)
        with _networks_lock:
            _networks[key] = loaded
    return loaded


def _recall(key):
    with _networks_lock:
        if key in _networks:
            _networks.move_to_end(key)
        return _networks.get(key)


def _build(model, name):
    """Load a network on the CPU; `model` is the name as it was given, for the errors."""
    torch, open_clip = _optional("torch"), _optional("open_clip")
    if torch.__version__ < OLDEST_TORCH:
        raise ImportError(
            f"CLIPEncoder needs torch {OLDEST_TORCH} or later; this is {torch.__version__}, with "
            "which a checkpoint file may run code. Mend it with pip install --upgrade torch"
        )
    factory, transform = open_clip.factory, open_clip.transform
    source, checkpoint, record, preprocess = name.architecture, None, {}, {}
    if name.form == "hub":
        source, fetch, get = model, Fetch(model, name.rest), factory.download_pretrained_from_hf
        fetch("open_clip_config.json", lambda: get(name.rest, filename="open_clip_config.json"))
    elif name.form == "folder":
        source = f"local-dir:{name.rest}"
    with offline():  # what a hub repository has is in the cache by now
        config = open_clip.get_model_config(source)
    text = config.get("text_cfg")
    if not isinstance(text, dict):
        raise ValueError(f"The open_clip_config.json of model={model!r} is not one of open_clip.")
    tokenizer_name, tower_name = text.get("hf_tokenizer_name"), text.get("hf_model_name")
    if not tokenizer_name and "siglip" in (name.architecture or "").lower():
        tokenizer_name = name.architecture  # open_clip goes by the name
    if tokenizer_name or tower_name:  # before the weights come over the network
        transformers = import_optional(
            "transformers", extra="clip", purpose=f"The text tower of {model!r}"
        )

    if name.form == "tag":
        record = preprocess = open_clip.get_pretrained_cfg(name.architecture, name.rest)
        fetch = Fetch(model, record.get("hf_hub", "").rstrip("/"), _offline_form(name, record))
        checkpoint = fetch("weights", lambda: factory.download_pretrained(record))
    elif name.form == "file":
        checkpoint, preprocess = name.rest, _preprocess_of_tags(name.architecture)
    elif name.form == "hub":
        checkpoint = fetch("weights", lambda: get(name.rest))
    get_tokenizer = functools.partial(open_clip.get_tokenizer, source)
    merges = (text.get("tokenizer_kwargs") or {}).get("bpe_path")
    if merges and name.form == "folder":  # a file there, wherever Python was started
        get_tokenizer.keywords["bpe_path"] = os.path.join(name.rest, merges)
    if tokenizer_name:
        # A configuration may ask to run code that lies beside the tokenizer.
        get_tokenizer.keywords["trust_remote_code"] = False
        fetch = Fetch(model, name.rest if name.form == "folder" else tokenizer_name)
        tokenizer = fetch("tokenizer", get_tokenizer)
    else:
        tokenizer = call_offline(get_tokenizer)
    if tower_name:  # such a tower asks the hub for its configuration, whatever the weights
        get_config = functools.partial(
            transformers.AutoConfig.from_pretrained, tower_name, trust_remote_code=False
        )
        Fetch(model, tower_name)("text tower's configuration", get_config)

    create = functools.partial(
        open_clip.create_model,
        source,
        pretrained=checkpoint if name.architecture else None,
        # By path instead of by tag, with what the tag's record says beside it.
        force_quick_gelu=bool(record.get("quick_gelu")),
        force_preprocess_cfg=preprocess,
        pretrained_text=False,
        require_pretrained=name.form != "random",
    )
    # A seed of its own: random weights are the same in every process, and the user's are kept.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        try:
            network = call_offline(create)
        except (OSError, ImportError, MemoryError):
            raise
        except Exception as error:
            raise ValueError(
                f"{checkpoint or name.rest} cannot be read as the weights of model={model!r}: "
                "it is no checkpoint, is damaged, or belongs to another architecture "
                f"({textwrap.shorten(str(error), 300)})."
            ) from error
    network = network.float().eval().requires_grad_(False)
    config["quick_gelu"] = bool(config.get("quick_gelu") or record.get("quick_gelu"))
    shown = transform.PreprocessCfg(**network.visual.preprocess_cfg)
    return LoadedModel(
        network=network,
        preprocess=transform.image_transform_v2(shown, is_train=False),
        tokenizer=tokenizer,
        device=torch.device("cpu"),
        context_length=int(tokenizer.context_length),
        n_features=int(config["embed_dim"]),
        can_trim=_can_trim(network, tokenizer),
        settings={"model": config, "preprocess": vars(shown)},
    )


def _preprocess_of_tags(architecture):
    """What the records of an architecture's tags say in one voice; a file has no record.

    open_clip prepares pictures for a SigLIP file with CLIP's mean and crop.
    """
    open_clip = _optional("open_clip")
    keys = ("mean", "std", "interpolation", "resize_mode")
    records = [
        {key: open_clip.get_pretrained_cfg(architecture, tag).get(key) for key in keys}
        for tag in open_clip.list_pretrained_tags_by_model(architecture)
    ]
    return records[0] if records and all(record == records[0] for record in records) else {}


def _offline_form(name, record):
    """How to name a tag's weights once they are a file, if a file can be named at all."""
    open_clip = _optional("open_clip")
    architecture = name.architecture
    if record.get("quick_gelu") and not open_clip.get_model_config(architecture).get("quick_gelu"):
        architecture += "-quickgelu"
    told = _preprocess_of_tags(architecture)
    if architecture in open_clip.list_models() and told == {key: record[key] for key in told} != {}:
        return f"model='{architecture}/FILE' with its weights, or "
    return ""


def _open_clip_log():
    # open_clip logs to the root logger, which would install a handler there.
    log = logging.getLogger(f"{__name__}.open_clip")
    log.setLevel(logging.CRITICAL)
    return log

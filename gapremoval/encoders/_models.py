"""Named CLIP networks: the `model` string read, weights found, networks loaded once a process."""

import contextlib
import copy
import dataclasses
import functools
import hashlib
import json
import logging
import os
import re
import sys
import textwrap
import threading
import warnings
from collections import OrderedDict
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._optional import import_optional

FORMS = (
    "'ARCHITECTURE/TAG', 'ARCHITECTURE/CHECKPOINT-FILE', 'ARCHITECTURE/random', "
    "'hf-hub:ORG/NAME' or 'local-dir:PATH'"
)
MAX_NETWORKS = 2
HUB_ANSWERS_WITHIN = 5.0  # seconds; the hub's own retries take 46

_optional = functools.partial(import_optional, extra="clip", purpose="CLIPEncoder")
_networks = OrderedDict()  # the least recently used first
_networks_lock, _loading_lock, _tokenizer_lock = (threading.Lock() for _ in range(3))
_forked_with_torch = _threads_limited = False


def _after_fork():
    # The parent's other threads may have held the locks, and torch's pool of threads did
    # not come along: a parallel loop in the child would wait for it forever.
    global _networks_lock, _loading_lock, _tokenizer_lock, _forked_with_torch, _threads_limited
    _networks_lock, _loading_lock, _tokenizer_lock = (threading.Lock() for _ in range(3))
    _forked_with_torch, _threads_limited = "torch" in sys.modules, False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _ModelName(NamedTuple):
    """A `model` string that was read: ``form`` is tag, file, random, hub or folder."""

    form: str
    architecture: str | None
    rest: str

    @property
    def files(self):
        """What is on disk behind the name: (path, size, time) of each file."""
        paths = [Path(self.rest)] if self.form == "file" else []
        if self.form == "folder":
            paths = sorted(path for path in Path(self.rest).iterdir() if path.is_file())
        states = [(str(path), path.stat()) for path in paths]
        return tuple((path, state.st_size, state.st_mtime_ns) for path, state in states)


def check_model_name(model):
    """Read the name of a model, without loading anything.

    Parameters
    ----------
    model : str
        ``"ARCHITECTURE/TAG"`` or ``"ARCHITECTURE/CHECKPOINT-FILE"`` with an architecture that
        open_clip lists, ``"ARCHITECTURE/random"``, ``"hf-hub:ORG/NAME"`` or
        ``"local-dir:PATH"``. A checkpoint file says neither its activation nor how its pictures
        were prepared: weights trained with QuickGELU need the architecture's name that ends in
        ``-quickgelu``, and pictures are prepared as the architecture's tags have it where all
        agree, else as for OpenAI's CLIP. A folder's configuration says both.

    Returns
    -------
    name : tuple (form, architecture, rest)
        Form is "tag", "file", "random", "hub" or "folder".

    Raises
    ------
    TypeError
        If `model` is not a str.
    ValueError
        If the name cannot be right; near misses are offered.
    FileNotFoundError
        If it names a file or a folder that is not there or lacks a part.
    ImportError
        If open_clip is not installed.
    """
    if not isinstance(model, str):
        raise TypeError(f"model must be one string, {FORMS}; got {model!r}.")
    if model != model.strip():
        raise ValueError(f"model={model!r} has blanks around it: write {model.strip()!r}.")
    if model.startswith("local-dir:"):
        return _check_folder(model, Path(os.path.expanduser(model.removeprefix("local-dir:"))))
    if model.startswith("hf-hub:"):
        repository = model.removeprefix("hf-hub:")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise ValueError(f"model={model!r} is not of the form 'hf-hub:ORG/NAME'.")
        return _ModelName("hub", None, repository)
    if not model:
        raise ValueError(f"model is an empty string; the forms are {FORMS}.")
    architecture, _, rest = model.partition("/")
    open_clip = _optional("open_clip")
    if architecture not in open_clip.list_models():
        raise ValueError(_unknown_architecture(model, open_clip.list_models()))
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if not rest:
        raise ValueError(
            f"model={model!r} names an architecture alone. Write '{architecture}/TAG' with one of "
            f"its tags: {', '.join(tags) or 'it has none'}; '{architecture}/CHECKPOINT-FILE'; or "
            f"'{architecture}/random' for random weights."
        )
    if rest == "random":
        return _ModelName("random", architecture, rest)
    if open_clip.get_pretrained_cfg(architecture, rest):
        return _ModelName("tag", architecture, rest)
    path = Path(os.path.expanduser(rest))
    if path.is_dir():
        raise ValueError(
            f"model={model!r} names the folder {path} where a checkpoint file is meant. A folder "
            f"with open_clip_config.json and weights is 'local-dir:{path}'."
        )
    if path.is_file():
        if not path.stat().st_size:
            raise ValueError(f"The checkpoint file {path} of model={model!r} is empty (0 bytes).")
        return _ModelName("file", architecture, os.path.abspath(path))
    if re.search(r"[/\\]|^~|\.(pt|pth|bin|ckpt|npz|safetensors)$", rest, re.IGNORECASE):
        raise FileNotFoundError(
            f"No checkpoint file at {os.path.abspath(path)} (from model={model!r})."
        )
    raise ValueError(
        f"{rest!r} in model={model!r} is neither a file nor a tag of {architecture}. "
        f"{_did_you_mean(_near(rest, tags), architecture + '/')}Its tags: "
        f"{', '.join(tags) or 'none'}. A checkpoint file is '{architecture}/PATH'."
    )


def _check_folder(model, path):
    if not path.is_dir():
        raise FileNotFoundError(f"No folder at {path.absolute()} (from model={model!r}).")
    try:
        config = json.loads((path / "open_clip_config.json").read_text(encoding="utf-8"))
        config["model_cfg"]["text_cfg"], config["model_cfg"]["vision_cfg"]
    except FileNotFoundError:
        raise FileNotFoundError(
            f"The folder {path} of model={model!r} has no open_clip_config.json: take the one "
            "that belongs to the weights, or name the weights as 'ARCHITECTURE/FILE'."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path / 'open_clip_config.json'} of model={model!r} is not a configuration of "
            f"open_clip with 'model_cfg' in it ({type(error).__name__}: {error})."
        ) from error
    weights = [
        file for suffix in ("safetensors", "bin", "pth") for file in path.glob(f"*.{suffix}")
    ]
    if not any(file.stat().st_size for file in weights):
        raise FileNotFoundError(
            f"The folder {path} of model={model!r} has no weights: open_clip looks for "
            "open_clip_model.safetensors, open_clip_pytorch_model.bin, *.safetensors, *.bin and "
            f"*.pth{' and those here are empty' if weights else ''}."
        )
    return _ModelName("folder", None, os.path.abspath(path))


def _unknown_architecture(model, architectures):
    by_folded = {name.casefold(): name for name in architectures}
    parts = model.split("/")
    for n in range(len(parts), 0, -1):  # "ViT-B/32" is how papers write ViT-B-32
        exact = by_folded.get("-".join(parts[:n]).casefold())
        if exact:
            return f"model={model!r}: did you mean {'/'.join([exact, *parts[n:]])!r}?"
    if os.path.exists(os.path.expanduser(model)):
        return (
            f"model={model!r} is a path alone. Name the architecture before a checkpoint file, "
            f"'ARCHITECTURE/{model}', or write 'local-dir:{model}' for a folder."
        )
    near = _did_you_mean(_near(parts[0], architectures))
    if not near and len(parts) == 2:
        near = f"If it is a repository of the Hugging Face hub, write 'hf-hub:{model}'. "
    return (
        f"{parts[0]!r} in model={model!r} is no architecture of open_clip. {near}The forms are "
        f"{FORMS}; open_clip.list_models() lists the architectures."
    )


def _near(word, words):
    by_folded = {name.casefold(): name for name in words}
    return [by_folded[match] for match in get_close_matches(word.casefold(), by_folded)]


def _did_you_mean(names, before=""):
    return f"Did you mean {' or '.join(repr(before + name) for name in names)}? " if names else ""


def choose_device(device=None):
    """The device to run on: the one that is asked for, or the first of CUDA, MPS and CPU.

    Parameters
    ----------
    device : None, str, int or torch.device
        As torch takes it; capitals are read as small letters.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If there is no such device here; the message lists those that there are.
    """
    torch = _optional("torch")
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = [f"cuda:{k}" for k in range(n_cuda)]
    here += ["mps"] * torch.backends.mps.is_available() + ["cpu"]
    if device is None:
        return torch.device(here[0].removesuffix(":0"))
    advice = (
        f"Here there is {', '.join(here)}. With device=None the encoder chooses: "
        "set_params(device=None), or in a pipeline set_params(clipencoder__device=None)."
    )
    try:
        wanted = torch.device(device.strip().lower() if isinstance(device, str) else device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is no device that torch knows. {advice}") from error
    named = {*here, *(name.removesuffix(":0") for name in here), "mps:0" * ("mps" in here), "cpu:0"}
    if str(wanted) not in named:
        try:  # another accelerator that torch can use
            torch.zeros(1, device=wanted).cpu()
        except (RuntimeError, AssertionError, ImportError) as error:
            raise ValueError(f"device={device!r} is not to be had here. {advice}") from error
    return wanted


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
    name, chosen = check_model_name(model), _usable(choose_device(device))
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
        with _replaced(_optional("open_clip").factory, "logging", _open_clip_log()):
            loaded = _build(model, name)
        loaded = _place(loaded, chosen, by_itself=device is None)
        with _networks_lock:
            _networks[key] = loaded
    return loaded


def _recall(key):
    with _networks_lock:
        if key in _networks:
            _networks.move_to_end(key)
        return _networks.get(key)


def _usable(device):
    """The device with its index, or an error where a fork made it unusable."""
    global _threads_limited
    torch = _optional("torch")
    if _forked_with_torch and not _threads_limited:
        torch.set_num_threads(1)
        _threads_limited = True
    forked = _forked_with_torch and device.type == "mps"
    if device.type == "cuda":
        try:
            device = torch.zeros(1, device=device).device
        except RuntimeError as error:
            if "fork" not in str(error):
                raise
            forked = True
    if forked:
        raise RuntimeError(
            f"CLIPEncoder cannot use {device} in this process: it was forked from one that had "
            "used torch, and a GPU does not survive a fork. Start the workers with 'spawn' (or "
            "joblib's loky), load nothing before the fork, or use device='cpu'."
        )
    return device


def _build(model, name):
    """Load a network on the CPU; `model` is the name as it was given, for the errors."""
    torch, open_clip = _optional("torch"), _optional("open_clip")
    factory, transform = open_clip.factory, open_clip.transform
    source, checkpoint, record, preprocess = name.architecture, None, {}, {}
    if name.form == "hub":
        source, fetch, get = model, _Fetch(model, name.rest), factory.download_pretrained_from_hf
        fetch("open_clip_config.json", lambda: get(name.rest, filename="open_clip_config.json"))
    elif name.form == "folder":
        source = f"local-dir:{name.rest}"
    with _offline():  # what a hub repository has is in the cache by now
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
        fetch = _Fetch(model, record.get("hf_hub", "").rstrip("/"), _offline_form(name, record))
        checkpoint = fetch("weights", lambda: factory.download_pretrained(record))
    elif name.form == "file":
        checkpoint, preprocess = name.rest, _preprocess_of_tags(name.architecture)
    elif name.form == "hub":
        checkpoint = fetch("weights", lambda: get(name.rest))
    get_tokenizer = functools.partial(open_clip.get_tokenizer, source)
    if tokenizer_name:
        fetch = _Fetch(model, name.rest if name.form == "folder" else tokenizer_name)
        tokenizer = fetch("tokenizer", get_tokenizer)
    else:
        tokenizer = _call_offline(get_tokenizer)
    if tower_name:  # such a tower asks the hub for its configuration, whatever the weights
        get_config = functools.partial(transformers.AutoConfig.from_pretrained, tower_name)
        _Fetch(model, tower_name)("text tower's configuration", get_config)

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
            network = _call_offline(create)
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


class _Fetch(NamedTuple):
    """Get files of a repository from the hub's cache, else from the hub if it answers."""

    model: str
    repository: str | None
    offline_form: str = ""

    def __call__(self, what, get):
        constants = _optional("huggingface_hub").constants
        try:
            return _call_offline(get)
        except (ImportError, MemoryError):
            raise
        except Exception as error:
            cause = error
        if constants.HF_HUB_OFFLINE:
            hub = "HF_HUB_OFFLINE forbids to ask the hub"
        elif not _hub_answers():
            hub = f"{constants.ENDPOINT} does not answer"
        else:
            try:
                return get()
            except (ImportError, MemoryError):
                raise
            except Exception as error:
                cause, hub = error, f"{constants.ENDPOINT} did not give it: {error}"
        raise FileNotFoundError(
            f"The {what} of model={self.model!r} cannot be had: {self.repository} is not (or not "
            f"whole) on this machine, where it was looked for in {constants.HF_HUB_CACHE}, and "
            f"{hub}. Without a network, download {self.repository} on another machine and use "
            f"{self.offline_form}model='local-dir:PATH' with a folder that holds "
            "open_clip_config.json, the weights and the tokenizer's files if it has any; or copy "
            "that machine's hub cache and set HF_HUB_CACHE to it before Python starts."
        ) from cause


def _hub_answers():
    """Whether the hub sends any answer at all; proxies and certificates are the hub's own."""
    hub, answers = _optional("huggingface_hub"), []

    def ask():
        # Whatever goes wrong, from a name not found to a refused certificate: no answer.
        with contextlib.suppress(Exception):
            session = hub.utils.get_session()
            answers.append(session.head(hub.constants.ENDPOINT, timeout=HUB_ANSWERS_WITHIN))

    # In a thread, since looking up the name has no timeout of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_ANSWERS_WITHIN)
    return bool(answers)


def _call_offline(get):
    with _offline():
        return get()


def _offline():
    return _replaced(_optional("huggingface_hub").constants, "HF_HUB_OFFLINE", True)


def _open_clip_log():
    # open_clip logs to the root logger, which would install a handler there.
    log = logging.getLogger(f"{__name__}.open_clip")
    log.setLevel(logging.CRITICAL)
    return log


@contextlib.contextmanager
def _replaced(owner, name, value):
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _place(loaded, device, *, by_itself):
    """Move a network to its device; on MPS, only if it answers there as on the CPU."""
    if device.type == "mps":
        fault = _fault_on(loaded, device)
        if fault:
            what = "stays on the CPU" if by_itself else "gives wrong embeddings"
            warnings.warn(
                f"CLIPEncoder {what}: on {device} this network does not answer as on the CPU "
                f"({fault}). device={'mps' if by_itself else 'cpu'!r} chooses the other.",
                UserWarning,
                stacklevel=3,
            )
            if by_itself:
                return loaded
    return dataclasses.replace(loaded, network=loaded.network.to(device), device=device)


def _fault_on(loaded, device):
    """What is wrong with a text's and a picture's embedding on a device; "" for nothing."""
    torch = _optional("torch")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    picture = loaded.preprocess(_optional("PIL.Image").fromarray(noise))[None]
    tokens = loaded.tokenize(["a red bicycle in snow"])[0]
    try:
        there = copy.deepcopy(loaded.network).to(device)
        for part, inputs in (("encode_text", tokens), ("encode_image", picture)):
            with torch.inference_mode():
                here = getattr(loaded.network, part)(inputs)
                other = getattr(there, part)(inputs.to(device)).cpu()
            cosine = float(torch.nn.functional.cosine_similarity(here, other))
            if not cosine > 0.999:
                return f"{part}: cosine {cosine:.3f}"
    except (RuntimeError, TypeError, AssertionError) as error:  # what the device cannot do
        return textwrap.shorten(str(error), 200)
    return ""

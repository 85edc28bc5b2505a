"""A model of sentence-transformers, loaded from a folder or the hub."""

import dataclasses
import hashlib
import json
import re
import textwrap
from functools import partial
from importlib import import_module
from pathlib import Path

import joblib
import numpy as np

from .._files import file_states
from .._modality import is_query
from .._optional import import_optional
from .._warnings import warn
from ..contents._locks import process_lock
from ..contents._weights import update_by_weights
from ._hub import fetch_folder
from ._models import LoadedModel, shared_model

ORGANIZATION = "sentence-transformers"  # of models that are named without one
UNUSED = ["*.onnx", "*.h5", "*.msgpack", "*.ot", "*.gguf", "onnx/*", "openvino/*"]
MODALITIES = {"text": "text", "image": "image", "joint": ("image", "text")}  # by kind
# Arguments that tell where a model comes from, not what it computes.
SOURCE = {"revision", "token", "local_files_only", "trust_remote_code"}
# Arguments of a network that tell how it computes; its dtype is that of the weights.
MEANS = {"attn_implementation", "device_map", "dtype", "low_cpu_mem_usage", "torch_dtype"}
NO_LIMIT = 2**20  # tokens; tokenizers without a limit state one of about 10**30


@dataclasses.dataclass(frozen=True, eq=False)
class SentenceModel(LoadedModel):
    """A model of sentence-transformers, in the dtype of its weights.

    Attributes
    ----------
    made_of : str
        Sha256 of the weights, the configuration and the preprocessing.
    prompts : dict of str to str
        Prompts of ``"query"`` and ``"document"`` in place of the model's own.
    """

    made_of: str
    prompts: dict

    reading = {}

    @property
    def fingerprint(self):
        """`made_of`, together with the prompts."""
        prompts = json.dumps({role: self._prompt(role) for role in ("query", "document")})
        return hashlib.sha256(f"{self.made_of} {prompts}".encode()).hexdigest()

    def made_by(self, kind):
        """See `LoadedModel`: the prompt of queries does not change documents."""
        return f"{self.made_of} {json.dumps(self._prompt(role_of(kind)))}"

    @property
    def kinds(self):
        """See `LoadedModel`."""
        return {kind for kind, modality in MODALITIES.items() if self.network.supports(modality)}

    @property
    def n_features(self):
        """Number of features of an embedding."""
        return self.network.get_embedding_dimension() or next(iter(self.probe().values())).shape[1]

    @property
    def context_length(self):
        """Number of tokens that the model reads of a text, or None."""
        length = self._full_length or getattr(self.network, "max_seq_length", None)
        return length if length and length < NO_LIMIT else None

    @property
    def _full_length(self):
        """Number of tokens of every text, padding included, of a SigLIP model; else None."""
        config = getattr(self.network[0], "config", None)
        if getattr(config, "model_type", None) not in {"siglip", "siglip2"}:
            return None
        return config.text_config.max_position_embeddings

    def _prompt(self, role):
        """What stands before each query or document; sentence-transformers has several names."""
        names = ["query"] if role == "query" else ["document", "passage", "corpus"]
        own = [self.network.prompts[name] for name in names if name in self.network.prompts]
        return self.prompts.get(role, next(iter(own), ""))

    def prepare_texts(self, kind, texts):
        """See `LoadedModel`; long texts come first, as in sentence-transformers."""
        texts = [_readable(text) for text in texts]
        order = np.argsort([-len(text) for text in texts], kind="stable")
        batch = self._inputs(texts)
        return order, self.is_cut(kind, batch), lambda at: [batch[i] for i in at]

    def stack(self, kind, contents):
        """See `LoadedModel`."""
        if kind.endswith("image"):
            return [{"image": picture} for picture in contents]
        return [
            {"image": pictures if len(pictures) > 1 else pictures[0], "text": _readable(text)}
            for text, pictures in contents
        ]

    def encode(self, kind, batch, precision):
        """See `LoadedModel`; the precision is that of the weights."""
        import torch

        role = role_of(kind)
        encode = getattr(self.network, f"encode_{role}")
        options = {}
        if self._full_length:
            # SigLIP reads a text off its last position and was trained on padding up to it, seen
            # as any token; sentence-transformers pads to the longest text of a batch.
            text = {"padding": "max_length", "max_length": self._full_length}
            options["processing_kwargs"] = {"text": {**text, "return_attention_mask": False}}
        try:
            with process_lock("tokenizer"):  # which keeps its padding and truncation as a state
                return encode(
                    batch,
                    prompt=self.prompts.get(role),  # None is the model's own
                    batch_size=len(batch),
                    show_progress_bar=False,
                    convert_to_tensor=True,
                    **options,
                )
        except (torch.OutOfMemoryError, ValueError):
            raise
        except (RuntimeError, TypeError, LookupError) as error:  # as of a text without tokens
            raise ValueError(f"{type(error).__name__}: {error}") from error

    def is_cut(self, kind, batch):
        """See `LoadedModel`; with the prompt, the template and the pictures of each text."""
        width, tokenizer = self.context_length, getattr(self.network, "tokenizer", None)
        if width is None or not callable(tokenizer):
            return np.zeros(len(batch), dtype=bool)
        role, texts = role_of(kind), [x if isinstance(x, str) else x["text"] for x in batch]

        def around(rest):
            try:
                features = self.network.preprocess([rest], prompt=self._prompt(role), task=role)
            except ValueError:  # `encode` tells it
                return 0
            return features["input_ids"].shape[-1]

        with process_lock("tokenizer"):
            empty, *lengths = map(len, tokenizer(["", *texts], verbose=False)["input_ids"])
            if kind.endswith("text"):
                n_around = around(*self._inputs([""]))
            else:  # to count the tokens of pictures, they are prepared once more
                n_around = [
                    around({**item, "text": ""})
                    if length > width / 8 or isinstance(item["image"], list)
                    else 0
                    for item, length in zip(batch, lengths)
                ]
        return np.array(lengths) - empty + n_around > width

    def _inputs(self, texts):
        """Texts as dicts, since a bare text may be taken for the address or name of a picture."""
        return [{"text": text} for text in texts] if "image" in self.kinds else texts


def role_of(kind):
    """Whether a part is encoded as a query or as a document."""
    return "query" if is_query(kind) else "document"


def _readable(text):
    """The text without halves of surrogate pairs, which tokenizers refuse."""
    return text.encode(errors="replace").decode()


def check_sentence_model(model):
    """Check the name of a model of sentence-transformers; nothing is loaded.

    Parameters
    ----------
    model : str
        A folder, or a repository of the hub (``"ORG/NAME"``, or ``"NAME"`` of the organization
        ``sentence-transformers``).

    Returns
    -------
    Path or str
        The folder, or the name of the repository.

    Raises
    ------
    TypeError
        If `model` is not a str.
    ValueError
        If it is neither a folder nor the name of a repository.
    FileNotFoundError
        If it is a folder that does not exist, or has no configuration.
    """
    if not isinstance(model, str):
        raise TypeError(
            f"model must be one string, a folder or 'ORG/NAME'; got a {type(model).__name__}. A "
            "model in memory is saved by model.save_pretrained(folder), and named by the folder."
        )
    if not model or model.startswith("st:"):
        raise ValueError(
            f"model={model!r} names no model: give a folder or 'ORG/NAME', without 'st:', which is "
            "for make_encoder and the command line."
        )
    folder = Path(model).expanduser().absolute()
    if folder.is_dir():
        if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
            raise FileNotFoundError(
                f"The folder {folder} has neither a modules.json nor a config.json, so it holds no "
                "model of sentence-transformers or transformers."
            )
        return folder
    if re.search(r"^[./~]|\\|/.*/", model):
        raise FileNotFoundError(f"No folder at {folder} (from model={model!r}).")
    if not re.fullmatch(r"([\w.-]+/)?[\w.-]+", model):
        raise ValueError(
            f"model={model!r} is neither a folder nor a repository of the hub ('ORG/NAME')."
        )
    return model if "/" in model else f"{ORGANIZATION}/{model}"


def load_sentence_model(model, device, load_kwargs, prompts):
    """Load a model, once per process; see `shared_model`.

    Parameters
    ----------
    model : str
        See `check_sentence_model`.
    device : None, str or torch.device
        See `choose_device`.
    load_kwargs : dict
        Arguments of ``SentenceTransformer``.
    prompts : dict of str to str
        See `SentenceModel`.

    Returns
    -------
    SentenceModel

    Raises
    ------
    ValueError
        If the name or the device is wrong, or the files are no model.
    FileNotFoundError
        If the model is neither on this machine nor available from the hub.
    ImportError
        If a package is missing.
    """
    import_optional(
        "sentence_transformers", extra="sentence-transformers", purpose="SentenceTransformerEncoder"
    )
    source = check_sentence_model(model)
    files = file_states(sorted(source.rglob("*")) if isinstance(source, Path) else [])
    name = (model, files, joblib.hash(load_kwargs))
    loaded = shared_model(name, device, lambda: _load(model, source, load_kwargs))
    return dataclasses.replace(loaded, prompts=dict(prompts))


def _load(model, source, load_kwargs):
    """The model on the CPU, from a folder or a repository."""
    if isinstance(source, Path):
        return _build(model, source, load_kwargs)
    load_kwargs = dict(load_kwargs)
    fetched = partial(
        fetch_folder,
        "files",
        model,
        source,
        folder="the folder as model",
        revision=load_kwargs.pop("revision", None),
        token=load_kwargs.get("token"),
        ignore_patterns=UNUSED,
    )
    try:
        return _build(model, fetched(["modules.json", "config.json"]), load_kwargs)
    except ValueError as error:
        if not isinstance(error.__cause__, OSError):
            raise
    # An interrupted download leaves files out.
    return _build(model, fetched([]), load_kwargs)


def _build(model, folder, load_kwargs):
    from sentence_transformers import SentenceTransformer

    options = {"local_files_only": True, **load_kwargs}
    log = import_module("transformers.utils.logging")
    has_bar = log.is_progress_bar_enabled()
    try:
        log.disable_progress_bar()
        network = SentenceTransformer(str(folder), device="cpu", **options)
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        code = (
            " If you trust the code that comes with it, load_kwargs={'trust_remote_code': True} "
            "runs it."
        ) * ("trust_remote_code" in str(error))
        raise ValueError(
            f"model={model!r} cannot be loaded by sentence-transformers from {folder} "
            f"({textwrap.shorten(str(error), 300)}).{code}"
        ) from error
    finally:
        if has_bar:
            log.enable_progress_bar()
    is_pooled = getattr(network[0], "module_output_name", None) != "token_embeddings"
    if not is_pooled and not (Path(folder) / "modules.json").is_file():
        warn(
            f"model={model!r} has no modules.json, so sentence-transformers chose "
            f"{network[1].pooling_mode!r} to make one vector of those of the tokens. Generative "
            "embedders such as VLM2Vec read the last token: if it was trained so, save it with a "
            "Pooling(..., 'lasttoken')."
        )
    network = network.eval().requires_grad_(False)
    return SentenceModel(network, network.device, _digest(network, load_kwargs), {})


def _digest(network, load_kwargs):
    """Sha256 of all that determines embeddings, but for the prompts."""
    digest = hashlib.sha256(str(network).encode())  # the modules and their settings
    # Settings that show in long texts, in large pictures or in a model's own code only.
    given = {name: value for name, value in load_kwargs.items() if name not in SOURCE}
    kwargs = given.pop("model_kwargs", None) or {}
    if kwargs := {name: value for name, value in kwargs.items() if name not in MEANS}:
        given["model_kwargs"] = kwargs
    processor = getattr(network, "processor", None)
    pictures = getattr(processor, "image_processor", processor)
    pictures = pictures.to_json_string() if hasattr(pictures, "to_json_string") else ""
    length = getattr(network, "max_seq_length", None)
    digest.update(json.dumps([given, pictures, length], sort_keys=True, default=str).encode())
    config = getattr(network[0], "config", None)
    settings = config.to_diff_dict() if hasattr(config, "to_diff_dict") else {}
    settings = {k: v for k, v in settings.items() if k[0] != "_" and k != "transformers_version"}
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    # What the processor makes of a text and a picture tells its settings.
    for batch in SentenceModel(network, network.device, "", {}).samples().values():
        for name, values in sorted(network.preprocess(batch).items()):
            digest.update(f"{name} {np.asarray(values).tolist()}".encode())
    update_by_weights(digest, network)
    return digest.hexdigest()

"""A network built by open_clip, from files that are on this machine by then."""

import contextlib
import logging
import os
import textwrap
import threading
from functools import partial

from .._optional import import_optional
from ._hub import fetch, fetch_folder
from ._model_names import CONFIG, check_folder

FOLDER = (
    "model='local-dir:PATH', a folder with open_clip_config.json, the weights and the tokenizer's "
    "files, if any"
)
OLDEST_TORCH = "2.6"  # before, checkpoints could run code in spite of weights_only=True


@contextlib.contextmanager
def _quiet_log():
    """Keep open_clip from installing a handler on a root logger that has none.

    open_clip calls ``logging.info``, which would configure the log of the program. The records
    of other threads are shown as they are without a handler.
    """
    root, thread = logging.getLogger(), threading.get_ident()
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: record.thread != thread)
    if not root.handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def load_network(model, name):
    """Build the network of a name on the CPU.

    Parameters
    ----------
    model : str
        The name as it was given, for errors.
    name : ModelName
        The name as it was parsed.

    Returns
    -------
    network, device, preprocess, tokenizer, settings
        See `CLIPModel`.

    Raises
    ------
    ValueError, FileNotFoundError
        See `load_model`.
    ImportError
        If torch is too old, or the text tower needs transformers.
    """
    open_clip = import_optional("open_clip", extra="clip", purpose="CLIPEncoder")
    import torch

    if torch.__version__ < OLDEST_TORCH:
        raise ImportError(
            f"CLIPEncoder needs torch {OLDEST_TORCH} or later; this is {torch.__version__}, with "
            "which a checkpoint may run code. Run pip install --upgrade torch."
        )
    source, checkpoint, record = name.architecture, None, {}
    if name.form == "file":
        checkpoint, record = name.rest, _common_preprocessing(source)
    elif name.form == "tag":
        record = open_clip.get_pretrained_cfg(source, name.rest)
        checkpoint = _fetch_weights(model, record)
    elif name.form == "hub":
        _fetch_weights(model, {"hf_hub": f"{name.rest}/"})
        name = check_folder(model, _fetch_folder("configuration", model, name.rest, CONFIG))
    if name.form == "folder":
        source = f"local-dir:{name.rest}"
    config = open_clip.get_model_config(source)
    text_config = config["text_cfg"]
    if text_config.get("hf_tokenizer_name") or text_config.get("hf_model_name"):
        import_optional("transformers", extra="clip", purpose=f"The text tower of {model!r}")
    tokenizer = _load_tokenizer(model, name, source, text_config)
    tower = _local_tower(model, text_config)
    try:
        # A seed of its own: random weights are the same in every process, the user's are kept.
        with _quiet_log(), torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            network = open_clip.create_model(
                source,
                checkpoint,
                force_quick_gelu=bool(record.get("quick_gelu")),
                force_preprocess_cfg=record,
                pretrained_text=False,
                require_pretrained=name.form != "random",
                **tower,
            )
    except (OSError, ImportError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"{checkpoint or name.rest} cannot be read as the weights of model={model!r}: it is "
            "not a checkpoint, is damaged, or belongs to another architecture "
            f"({textwrap.shorten(str(error), 300)})."
        ) from error
    config["quick_gelu"] = bool(config.get("quick_gelu") or record.get("quick_gelu"))
    shown = open_clip.transform.PreprocessCfg(**open_clip.get_model_preprocess_cfg(network))
    preprocess = open_clip.transform.image_transform_v2(shown, is_train=False)
    settings = {"model": config, "preprocess": vars(shown)}
    network = network.float().eval().requires_grad_(False)
    return network, torch.device("cpu"), preprocess, tokenizer, settings


def _common_preprocessing(architecture):
    """The preprocessing of an architecture's tags if they agree, since a file has no record.

    open_clip prepares pictures for a SigLIP file with CLIP's mean and crop.
    """
    import open_clip

    keys = ("mean", "std", "interpolation", "resize_mode")
    records = [
        {key: open_clip.get_pretrained_cfg(architecture, tag).get(key) for key in keys}
        for tag in open_clip.list_pretrained_tags_by_model(architecture)
    ]
    return records[0] if records and all(record == records[0] for record in records) else {}


def _fetch_weights(model, record):
    """Path of the file that ``open_clip.download_pretrained(record)`` downloads."""
    if "file" in record:
        return record["file"]
    import open_clip

    repository, _, filename = record["hf_hub"].rpartition("/")
    filenames = [open_clip.constants.HF_SAFE_WEIGHTS_NAME, open_clip.constants.HF_WEIGHTS_NAME]
    if filename:
        filenames = [f"{os.path.splitext(filename)[0]}.safetensors", filename]
    download = partial(open_clip.download_pretrained, record)
    return fetch("weights", model, repository, filenames, download, folder=FOLDER)


def _fetch_folder(what, model, repository, *patterns):
    """Folder of the hub's cache that has the file of the first pattern."""
    return fetch_folder(
        what, model, repository, patterns[:1], folder=FOLDER, allow_patterns=[*patterns]
    )


def _load_tokenizer(model, name, source, text_config):
    """open_clip's tokenizer of a network, from files that are on this machine by then."""
    import open_clip

    options = dict(text_config.get("tokenizer_kwargs") or {})
    folder = name.rest if name.form == "folder" else ""
    repository = text_config.get("hf_tokenizer_name")
    if not repository:
        if folder and "bpe_path" in options:
            options["bpe_path"] = os.path.join(folder, options["bpe_path"])
        with _quiet_log():
            return open_clip.get_tokenizer(source, **options)
    # The files of a tokenizer lie beside the weights, or in a repository of their own.
    if not (folder and os.path.exists(os.path.join(folder, "tokenizer_config.json"))):
        files = "tokenizer_config.json", "*.json", "*.txt", "*.model"
        folder = _fetch_folder("tokenizer", model, repository, *files)
    options["trust_remote_code"] = False  # it would run code that lies beside the tokenizer
    try:
        return open_clip.tokenizer.HFTokenizer(
            folder,
            context_length=text_config.get("context_length", 77),
            tokenizer_mode=text_config.get("tokenizer_mode"),
            **options,
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"The tokenizer of model={model!r} in {folder} cannot be loaded; code beside it is "
            f"never run: {error}"
        ) from error


def _local_tower(model, text_config):
    """Arguments of ``create_model`` that keep a tower of transformers from asking the hub."""
    repository = text_config.get("hf_model_name")
    if not repository:
        return {}
    from transformers import AutoConfig

    folder = _fetch_folder("text tower's configuration", model, repository, "config.json")
    # Raises if the configuration asks for code that lies beside it.
    AutoConfig.from_pretrained(folder, trust_remote_code=False)
    return {"text_cfg": {**text_config, "hf_model_name": folder, "hf_model_pretrained": False}}

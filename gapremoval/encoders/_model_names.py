"""The `model` string of CLIPEncoder, read and checked without loading anything."""

import json
import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from .._optional import import_optional

FORMS = (
    "'ARCHITECTURE/TAG', 'ARCHITECTURE/CHECKPOINT-FILE', 'ARCHITECTURE/random', "
    "'hf-hub:ORG/NAME', 'local-dir:PATH' or 'pocket'"
)
POCKET = Path(__file__).parent / "pocket"  # the folder of the model that comes with the library


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
        open_clip lists, ``"ARCHITECTURE/random"``, ``"hf-hub:ORG/NAME"``, ``"local-dir:PATH"``
        or ``"pocket"``. A checkpoint file says neither its activation nor how its pictures
        were prepared: weights trained with QuickGELU need the architecture's name that ends in
        ``-quickgelu``, and pictures are prepared as the architecture's tags have it where all
        agree, else as for OpenAI's CLIP. A folder's configuration says both.

    Returns
    -------
    name : tuple (form, architecture, rest)
        Form is "tag", "file", "random", "hub" or "folder"; the pocket model is a folder.

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
    if model == "pocket":
        return _check_folder(model, POCKET)
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
    open_clip = import_optional("open_clip", extra="clip", purpose="CLIPEncoder")
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
    near = _did_you_mean(_near(parts[0], [*architectures, "pocket"]))
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

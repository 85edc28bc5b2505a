"""The `model` string of CLIPEncoder, parsed and checked without loading anything."""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from .._files import file_states
from .._optional import import_optional
from .._warnings import did_you_mean

FORMS = (
    "'ARCHITECTURE/TAG', 'ARCHITECTURE/CHECKPOINT-FILE', 'ARCHITECTURE/random', "
    "'hf-hub:ORG/NAME', 'local-dir:PATH' or 'pocket'"
)
POCKET = Path(__file__).parent / "pocket"  # the model that comes with the library
CONFIG = "open_clip_config.json"


class ModelName(NamedTuple):
    """A parsed `model` string; `form` is tag, file, random, hub or folder."""

    form: str
    architecture: str | None
    rest: str

    @property
    def files(self):
        """The states of the local files of the model."""
        paths = [Path(self.rest)] if self.form == "file" else []
        if self.form == "folder":
            paths = sorted(Path(self.rest).iterdir())
        return file_states(paths)


def check_model_name(model):
    """Parse the name of a model, and check what can be checked without loading it.

    Parameters
    ----------
    model : str
        ``"ARCHITECTURE/TAG"`` or ``"ARCHITECTURE/CHECKPOINT-FILE"`` with an architecture that
        open_clip lists, ``"ARCHITECTURE/random"``, ``"hf-hub:ORG/NAME"``, ``"local-dir:PATH"``
        or ``"pocket"``. A checkpoint file does not tell its activation: weights that were
        trained with QuickGELU need the architecture whose name ends in ``-quickgelu``. Nor
        does it tell how pictures are prepared: as for the architecture's tags if they all
        agree, otherwise as for OpenAI's CLIP. The configuration in a folder tells both.

    Returns
    -------
    name : tuple (form, architecture, rest)
        The form is "tag", "file", "random", "hub" or "folder"; the pocket model is a folder.

    Raises
    ------
    TypeError
        If `model` is not a str.
    ValueError
        If the name is not of one of the forms, or names an architecture or a tag that
        open_clip does not know; similar names are suggested.
    FileNotFoundError
        If the file or the folder does not exist, or the folder is incomplete.
    ImportError
        If open_clip is not installed.
    """
    if not isinstance(model, str):
        raise TypeError(f"model must be one string, {FORMS}; got {model!r}.")
    if model != model.strip():
        raise ValueError(f"model={model!r} has blanks around it: write {model.strip()!r}.")
    if model == "pocket":
        return check_folder(model, POCKET)
    if model.startswith("local-dir:"):
        return check_folder(model, os.path.expanduser(model.removeprefix("local-dir:")))
    if model.startswith("hf-hub:"):
        repository = model.removeprefix("hf-hub:")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise ValueError(f"model={model!r} is not of the form 'hf-hub:ORG/NAME'.")
        return ModelName("hub", None, repository)
    open_clip = import_optional("open_clip", extra="clip", purpose="CLIPEncoder")
    architecture, _, rest = model.partition("/")
    path = os.path.abspath(os.path.expanduser(rest))
    if architecture not in open_clip.list_models():
        problem = f"{architecture!r} is not an architecture of open_clip"
        if os.path.exists(os.path.expanduser(model)):
            problem = f"a path alone; write 'ARCHITECTURE/{model}', 'local-dir:{model}', or"
            problem += f" 'st:{model}' for a model of sentence-transformers or transformers"
    elif rest == "random":
        return ModelName("random", architecture, rest)
    elif open_clip.get_pretrained_cfg(architecture, rest):
        return ModelName("tag", architecture, rest)
    elif not rest:
        problem = f"an architecture alone has no weights; '{architecture}/random' has random ones"
    elif os.path.isdir(path):
        problem = f"{path} is a folder: write 'local-dir:{path}'"
    elif os.path.isfile(path) and os.path.getsize(path):
        return ModelName("file", architecture, path)
    elif os.path.isfile(path):
        problem = f"the checkpoint file {path} is empty (0 bytes)"
    elif re.search(r"[/\\]|^~|\.(pt|pth|bin|ckpt|npz|safetensors)$", rest, re.IGNORECASE):
        raise FileNotFoundError(f"No checkpoint file at {path} (from model={model!r}).")
    else:
        problem = f"{rest!r} is neither a tag of {architecture} nor a file"
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture))
    raise ValueError(
        f"model={model!r}: {problem}.{_suggest(model, open_clip)}"
        + (f" Tags of {architecture}: {tags}." if tags else "")
        + f" The forms of model are {FORMS}. A model of sentence-transformers is 'st:NAME' where "
        "names are taken, and SentenceTransformerEncoder(NAME)."
    )


def check_folder(model, folder):
    """The `ModelName` of a folder that has a configuration and weights for open_clip."""
    path = Path(folder).absolute()
    if not path.is_dir():
        raise FileNotFoundError(f"No folder at {path} (from model={model!r}).")
    files = [file.name for file in path.iterdir() if file.is_file() and file.stat().st_size]
    if CONFIG not in files:
        raise FileNotFoundError(
            f"The folder {path} of model={model!r} has no {CONFIG}. Copy the one that belongs to "
            "the weights, or name the weights as 'ARCHITECTURE/CHECKPOINT-FILE'."
        )
    if not any(name.endswith((".safetensors", ".bin", ".pth")) for name in files):
        raise FileNotFoundError(
            f"The folder {path} of model={model!r} has no weights: open_clip looks for "
            "open_clip_model.safetensors, open_clip_pytorch_model.bin, *.safetensors, *.bin and "
            "*.pth, and they must not be empty."
        )
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))["model_cfg"]
        config["text_cfg"], config["vision_cfg"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path / CONFIG} of model={model!r} is not a configuration of open_clip with a "
            f"'model_cfg' ({type(error).__name__}: {error})."
        ) from error
    return ModelName("folder", None, str(path))


def _suggest(model, open_clip):
    """A sentence with names that are similar, or that a repository of the hub may be meant."""
    known = ["pocket", *open_clip.list_models()]
    known += [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]
    if model in known:
        return ""
    is_repository = re.fullmatch(r"[\w.-]+/[\w.-]+", model)
    hub = f" A repository of the hub is 'hf-hub:{model}'." if is_repository else ""
    return did_you_mean(model, known) or hub

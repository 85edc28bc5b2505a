"""The tiny networks: known to open_clip, saved in files, and none of them loaded yet."""

import copy
import functools
import shutil

import pytest


@pytest.fixture(scope="session")
def tiny_architectures(tmp_path_factory):
    """Make them known; open_clip may not be installed, so only who asks imports it."""
    from networks import register

    register(tmp_path_factory.mktemp("architectures"))


@pytest.fixture
def nothing_loaded(tiny_architectures):
    """Forget the networks that other tests loaded, and those that this one loads."""
    from gapremoval.encoders import _models

    _models._networks.clear()
    yield
    _models._networks.clear()


@pytest.fixture(scope="session")
def checkpoint(tiny_architectures, tmp_path_factory):
    """Make a network with random weights as open_clip does, once, and save its weights."""
    import open_clip
    import torch

    folder = tmp_path_factory.mktemp("checkpoints")

    @functools.cache
    def make(architecture):
        with torch.random.fork_rng():
            torch.manual_seed(7)
            network, _, preprocess = open_clip.create_model_and_transforms(architecture)
        path = folder / f"{architecture}.pt"
        torch.save(network.state_dict(), path)
        return network.eval(), preprocess, path

    return make


@pytest.fixture
def plain(checkpoint, tmp_path):
    """A network, its preprocessing and its weights in a file, all to be changed at will."""

    def make(architecture):
        network, preprocess, path = checkpoint(architecture)
        copied = shutil.copyfile(path, tmp_path / path.name)
        return copy.deepcopy(network), preprocess, copied

    return make


@pytest.fixture
def tag(tiny_architectures, monkeypatch):
    """Give a tiny architecture a tag whose download is a file at hand."""
    import open_clip

    def make(architecture, name, path, **record):
        record = {
            **open_clip.get_pretrained_cfg("ViT-B-32", "laion2b_s34b_b79k"),
            "hf_hub": "org/tiny/",
            "file": str(path),
            **record,
        }
        tags = open_clip.pretrained._PRETRAINED
        monkeypatch.setitem(tags, architecture, {**tags.get(architecture, {}), name: record})
        return f"{architecture}/{name}"

    return make


@pytest.fixture(scope="session")
def sentence_models(tmp_path_factory):
    """Folders of a tiny CLIP model and of a tiny generative embedder with prompts, by name."""
    from sentence_models import save_clip, save_embedder, save_qwen

    folder = tmp_path_factory.mktemp("sentence_models")
    save_clip(folder / "clip")
    save_qwen(folder / "qwen")
    save_embedder(folder / "embedder", folder / "qwen")
    return {name: str(folder / name) for name in ("clip", "embedder")}

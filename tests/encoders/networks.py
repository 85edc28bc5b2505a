"""Tiny networks in open_clip's architectures, with random weights."""

import json

import numpy as np
import pytest

pytest.importorskip("open_clip")

import open_clip
import torch
from PIL import Image

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
CONFIGS = {
    "tiny-vit": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": TEXT,
    },
    "tiny-resnet": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": TEXT,
    },
    # As SigLIP, it pools the last position, which is padding: a text must fill its full length.
    "tiny-last": {
        "embed_dim": 24,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 64,
            "patch_size": 8,
            "pool_type": "avg",
        },
        "text_cfg": {**TEXT, "no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
    },
}
CONFIGS["tiny-vit-quickgelu"] = {**CONFIGS["tiny-vit"], "quick_gelu": True}
CONFIGS["tiny-custom"] = {**CONFIGS["tiny-vit"], "custom_text": True}
TEXTS = ["", "two dogs", "a red bicycle in snow", "word " * 40]


def register(folder):
    """Make the architectures known to open_clip; their configurations lie in a folder."""
    for name, config in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)


def save(name, folder):
    """Save a network as a ``local-dir:``, which other processes can load too."""
    torch.manual_seed(0)
    config = {"model_cfg": CONFIGS[name], "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    network = open_clip.create_model(name)
    torch.save(network.state_dict(), folder / "open_clip_pytorch_model.bin")
    return f"local-dir:{folder}"


def folder_of(path, architecture, **config):
    """Move a checkpoint file into a folder of its own, beside its configuration."""
    folder = path.parent / "folder"
    folder.mkdir()
    path.rename(folder / "open_clip_pytorch_model.bin")
    config = {"model_cfg": CONFIGS[architecture], **config}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


@torch.inference_mode()
def embed(network, tokens, pixels):
    rows = torch.cat([network.encode_text(tokens), network.encode_image(pixels[None])])
    return torch.nn.functional.normalize(rows.double(), dim=-1).numpy()


def embed_loaded(loaded):
    return embed(loaded.network, loaded.tokenize(TEXTS)[0], loaded.preprocess(picture()))


def embed_plain(network, preprocess):
    return embed(network, open_clip.tokenize(TEXTS, 16), preprocess(picture()))

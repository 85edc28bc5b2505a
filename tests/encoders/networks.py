"""Tiny networks in open_clip's architectures, with random weights."""

import json

import open_clip
import torch

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}

CONFIGS = {
    "tiny-vit": {
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": TEXT,
    },
    "tiny-resnet": {
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": TEXT,
    },
    # Pools the last position, which is padding: a text must fill its full length.
    "tiny-last": {
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {**TEXT, "no_causal_mask": True, "pool_type": "last", "proj_type": "linear"},
        "custom_text": True,
    },
}


def register(folder):
    """Make the architectures known to open_clip; their configurations lie in a folder."""
    for name, config in CONFIGS.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps({"embed_dim": 24, **config}))
        open_clip.add_model_config(path)


def save(name, folder):
    """Save a network as a ``local-dir:``, which other processes can load too."""
    torch.manual_seed(0)
    config = {"model_cfg": {"embed_dim": 24, **CONFIGS[name]}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    network = open_clip.create_model(name)
    torch.save(network.state_dict(), folder / "open_clip_pytorch_model.bin")
    return f"local-dir:{folder}"

"""Train the pocket model from nothing.

usage: python benchmarks/train_pocket.py [--steps N] [--scale fixed|free] [--out DIR]
"""

import argparse
import gzip
import json
import re
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy, normalize

from gapremoval.datasets import make_scenes

SEED = 20210226  # not a seed that people choose, so that the scenes of 0 and 42 stay unseen
STEPS, BATCH = 3600, 128
LEARNING_RATE, WARM_UP, WEIGHT_DECAY, MAX_GRADIENT = 1e-3, 200, 0.05, 1.0
# CLIP's own training ends at this scale. Held from the start it keeps much of the gap that two
# towers begin with; a free scale begins at 14 and lets half of it close (gap_origin.py).
LOGIT_SCALE = 100.0
THREADS = 1  # sums depend on it, and so do the weights

POCKET = Path(__file__).parent.parent / "gapremoval" / "encoders" / "pocket"
MERGES = "bpe_merges.txt.gz"
MODEL = {
    "embed_dim": 128,
    "vision_cfg": {
        "image_size": 64,
        "patch_size": 16,
        "width": 128,
        "head_width": 32,
        "layers": 4,
        "mlp_ratio": 2.0,
    },
    "text_cfg": {
        "context_length": 64,
        "width": 96,
        "heads": 3,
        "layers": 3,
        "mlp_ratio": 2.0,
        "tokenizer_kwargs": {"bpe_path": MERGES},
    },
}
PREPROCESS = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def needed_merges(words):
    """Those of CLIP's 48,894 byte pair merges that make these words.

    With them alone the words become the tokens that they are in CLIP, and other words fall
    into smaller pieces: hundreds of rows in the table of embeddings, not 49,408.
    """
    rank = open_clip.SimpleTokenizer().bpe_ranks
    needed = set()
    for word in words:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while pairs := [pair for pair in pairwise(pieces) if pair in rank]:
            first = min(pairs, key=rank.get)
            needed.add(first)
            merged = []
            for piece in pieces:
                if merged and (merged[-1], piece) == first:
                    merged[-1] += piece
                else:
                    merged.append(piece)
            pieces = merged
    return sorted(needed, key=rank.get)


def write_tokenizer(folder):
    """Write the merges and read them as open_clip's tokenizer."""
    captions = make_scenes(3000, random_state=SEED).captions
    words = {word for kinds in captions for text in kinds for word in re.findall("[a-z]+", text)}
    lines = ["#version: 0.2", *(" ".join(pair) for pair in needed_merges(words))]
    (folder / MERGES).write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    context_length = MODEL["text_cfg"]["context_length"]
    return open_clip.SimpleTokenizer(str(folder / MERGES), context_length=context_length)


def tell(captions, rng):
    """A caption of each scene, a third of them with words left out.

    People ask in fewer words, and texts that tell less than the pictures widen the gap.
    """
    for kinds in captions:
        words = kinds[rng.randint(len(kinds))].split()
        if rng.randint(3) == 0:
            kept = rng.rand(len(words)) < rng.rand()
            words = [word for word, keep in zip(words, kept) if keep]
        yield " ".join(words)


def pixels(images):
    """Pictures as open_clip prepares them when they have the network's size already."""
    values = torch.from_numpy(np.stack([np.asarray(image) for image in images])) / 255
    mean, std = torch.tensor(PREPROCESS["mean"]), torch.tensor(PREPROCESS["std"])
    return ((values - mean) / std).permute(0, 3, 1, 2).contiguous()


def train(config, tokenizer, steps, scale="fixed", watch=None):
    """Contrast scenes that are drawn as it goes, each seen once.

    Parameters
    ----------
    config : dict
        The sizes of the network, as open_clip takes them.
    tokenizer : callable
    steps : int
    scale : {"fixed", "free"}
        Whether the logit scale stays at `LOGIT_SCALE`, or is learned from CLIP's start on.
    watch : callable, default=None
        Called with the number of steps so far and the network, first with 0.

    Returns
    -------
    network : open_clip.CLIP
    is_seen : bool tensor of shape (vocab_size,)
        Which tokens there were in the captions.
    """
    torch.manual_seed(SEED)
    rng = np.random.RandomState(SEED)
    network = open_clip.CLIP(**config)
    if scale == "fixed":
        network.logit_scale.requires_grad_(False).fill_(np.log(LOGIT_SCALE))
    trained = [values for values in network.parameters() if values.requires_grad]
    groups = [
        {"params": [v for v in trained if v.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [v for v in trained if v.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    is_seen = torch.zeros(config["text_cfg"]["vocab_size"], dtype=torch.bool)
    own = torch.arange(BATCH)
    begun = time.perf_counter()
    if watch:
        watch(0, network)
    for step in range(steps):
        warm, cooled = (step + 1) / WARM_UP, (1 + np.cos(np.pi * step / steps)) / 2
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(warm, cooled)
        scenes = make_scenes(BATCH, rng)
        tokens = tokenizer(list(tell(scenes.captions, rng)))
        is_seen[tokens] = True
        images = normalize(network.encode_image(pixels(scenes.images)), dim=1)
        texts = normalize(network.encode_text(tokens), dim=1)
        factor = LOGIT_SCALE if scale == "fixed" else network.logit_scale.exp()
        logits = factor * images @ texts.T
        loss = (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, MAX_GRADIENT)
        optimizer.step()
        if watch:
            watch(step + 1, network)
        elif (step + 1) % 100 == 0:
            right = (logits.argmax(dim=1) == own).float().mean()
            gap = (images.mean(dim=0) - texts.mean(dim=0)).norm()
            print(
                f"step {step + 1}, {time.perf_counter() - begun:.0f} s: loss {loss:.3f}, "
                f"{right:.2f} of {BATCH} right, centroid distance {gap:.3f}",
                flush=True,
            )
    return network, is_seen


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--scale", choices=["fixed", "free"], default="fixed")
    parser.add_argument("--out", type=Path, default=POCKET)
    arguments = parser.parse_args()
    folder = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(THREADS)
    tokenizer = write_tokenizer(folder)
    config = {**MODEL, "text_cfg": {**MODEL["text_cfg"], "vocab_size": tokenizer.vocab_size}}
    network, is_seen = train(
        # The tower would look for the merges where Python was started.
        config,
        tokenizer,
        arguments.steps,
        arguments.scale,
    )
    weights = {name: values.half() for name, values in network.state_dict().items()}
    weights["token_embedding.weight"][~is_seen] = 0  # nothing was learned for these
    save_file(weights, folder / "open_clip_model.safetensors")
    written = {"model_cfg": config, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()

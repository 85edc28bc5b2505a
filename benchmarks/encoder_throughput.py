"""How fast is CLIPEncoder beside a plain batched open_clip loop?

ViT-B-32 with random weights, the same batches, in turn; medians of the rounds and their spread.

usage: python benchmarks/encoder_throughput.py [--pictures N] [--rounds N] [--device DEVICE]
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import open_clip
import torch
from PIL import Image

from gapremoval import CLIPEncoder
from gapremoval.encoders._clip_model import load_model

BATCH = 64


SIZES = {"photos of the web": (640, 480), "photos of a phone": (4000, 3000)}


def make_jpegs(folder, n, size):
    """Smooth color with grain, of quality 90."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    paths = [folder / f"{i}.jpg" for i in range(n)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        picture = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(np.float32)
        picture += rng.standard_normal((*size[::-1], 1), dtype=np.float32) * 12
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def plain(network, tensors, device):
    """Batches of tensors through the network, as its documentation does it."""
    rows = []
    with torch.inference_mode():
        for start in range(0, len(tensors), BATCH):
            batch = torch.stack(tensors[start : start + BATCH]).to(device)
            rows.append(torch.nn.functional.normalize(network.encode_image(batch), dim=1).cpu())
    return torch.cat(rows)


def forward_alone(network, tensors, device):
    """Batches that lie on the device already, in the encoder's own precision."""
    batches = torch.stack(tensors).to(device).split(BATCH)
    half = torch.autocast("cuda", dtype=torch.bfloat16, enabled=device == "cuda")

    def run():
        with torch.inference_mode(), half:
            return torch.cat([network.encode_image(batch) for batch in batches]).float().cpu()

    return run


def plain_texts(network, tokenizer, texts, device):
    rows = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            tokens = tokenizer(texts[start : start + BATCH]).to(device)
            rows.append(torch.nn.functional.normalize(network.encode_text(tokens), dim=1).cpu())
    return torch.cat(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    device = arguments.device
    print(
        torch.cuda.get_device_name()
        if device == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )

    encoder = CLIPEncoder("ViT-B-32/random", device=device, precision="float32", batch_size=BATCH)
    model = load_model(encoder.model, torch.device(device))
    network, prepare = model.network, model.preprocess
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    words = "a red blue green small large dog cat bicycle tree house in on under the snow"
    rng = np.random.default_rng(0)
    texts = [
        " ".join(rng.choice(words.split(), rng.integers(4, 16))) for _ in range(arguments.pictures)
    ]

    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: make_jpegs(Path(folder) / name, arguments.pictures, size)
            for name, size in SIZES.items()
        }
        arrays = [
            np.asarray(Image.open(path).resize((224, 224))) for path in files["photos of the web"]
        ]
        tensors = [prepare(Image.fromarray(array)) for array in arrays]

        def from_files(paths):
            return plain(network, [prepare(Image.open(p).convert("RGB")) for p in paths], device)

        pairs = {
            "texts": (
                lambda: encoder.transform(texts),
                lambda: plain_texts(network, tokenizer, texts, device),
            ),
            "pictures in memory, the loop's as tensors": (
                lambda: encoder.transform(arrays),
                lambda: plain(network, tensors, device),
            ),
        }
        if device == "cuda":
            fast = CLIPEncoder("ViT-B-32/random", device=device, batch_size=BATCH)
            web = files["photos of the web"]
            pairs["JPEG files in bfloat16, beside the forward pass alone"] = (
                lambda: fast.transform(web),
                forward_alone(network, [prepare(Image.open(p)) for p in web], device),
            )
        for name, paths in files.items():
            width, height = SIZES[name]
            pairs[f"JPEG files, {name}, {width} x {height}"] = (
                lambda paths=paths: encoder.transform(paths),
                lambda paths=paths: from_files(paths),
            )
        print(
            "| what | items a second | times the plain loop (median, range) | largest 1 - cosine |"
        )
        print("|---|---|---|---|")
        for name, (ours, loop) in pairs.items():
            got, want = np.asarray(ours()), torch.nn.functional.normalize(loop(), dim=1).numpy()
            off = (1 - (got * want).sum(axis=1)).max()
            took, ratios = [], []
            for _ in range(arguments.rounds):
                start = time.perf_counter()
                ours()
                middle = time.perf_counter()
                loop()
                end = time.perf_counter()
                took.append(middle - start)
                ratios.append((end - middle) / (middle - start))
            rate = arguments.pictures / median(took)
            spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"| {name} | {rate:.0f} | {spread} | {off:.1e} |")


if __name__ == "__main__":
    main()

"""What does an item cost to encode, and what do correction and search add?

Forward passes of one item are counted on torch's meta device, which needs no weights and no
memory. A multiplication and an addition are two FLOPs; norms, activations and softmax are not
counted, as in torch's counter. Needs the extra `clip`; no network.

usage: python benchmarks/encoder_cost.py
"""

import logging
import re
from typing import NamedTuple

import numpy as np
import open_clip
import torch
from tables import print_table
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.datasets import make_mixed_modality

# open_clip's names, with the figures of GR-CLIP (arXiv 2507.19054) in GFLOPs where they are known.
# Its range begins with 22.6, and its smallest encoder is a ViT-B-16.
SIGLIP = "ViT-SO400M-14-SigLIP-384"
CLIP = {"ViT-B-16": 22.6, "ViT-L-14": None, "ViT-L-14-336": None, SIGLIP: 601}
QWEN = "Qwen2-VL-7B"
QWEN_PAPER = 44_990

# config.json of Qwen/Qwen2-VL-7B-Instruct: the network of VLM2Vec-Qwen2VL-7B.
QWEN_TEXT = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
}
QWEN_VISION = {
    "depth": 32,
    "embed_dim": 1280,
    "hidden_size": 3584,
    "num_heads": 16,
    "mlp_ratio": 4,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
# About as many tokens as "\nRepresent the given image\n" has, the prompt behind an image in the
# paper's code; and those of a short question behind an instruction.
PROMPT, QUESTION = 6, 32
# Height and width of images there; and what Qwen's processor makes of a photo of 640 x 480 pixels.
PAPER, PHOTO = (1344, 1344), (476, 644)

N_DOCUMENTS = 100_000


class Cost(NamedTuple):
    """FLOPs of a forward pass: all, all but products in attention, MLPs and patches alone."""

    total: int
    linear: int
    mlp: int

    def __add__(self, other):
        return Cost(*map(sum, zip(self, other)))


class Costs(NamedTuple):
    """Size of an image, tokens of a text, features of an embedding, and the Cost of both items."""

    size: tuple[int, int]
    n_tokens: int
    n_features: int
    image: Cost
    text: Cost


def count(forward, *shape, dtype=torch.float32, **keywords):
    """The Cost of calling a network, or a method of it, on a tensor of zeros without memory."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        forward(torch.zeros(shape, dtype=dtype, device="meta"), **keywords)
    counts = counter.get_flop_counts()
    ops = {str(op).removeprefix("aten."): flops for op, flops in counts["Global"].items()}
    if unknown := ops.keys() - {"convolution", "addmm", "mm", "bmm"}:
        raise ValueError(f"It is not known whether {unknown} are products in attention.")
    mlp = sum(sum(x.values()) for name, x in counts.items() if re.search(r"\.\d+\.mlp$", name))
    total = counter.get_total_flops()
    return Cost(total, total - ops.get("bmm", 0), mlp + ops.get("convolution", 0))


def clip_costs(name):
    """The Costs of an encoder of open_clip."""
    logging.disable(logging.WARNING)  # that the weights are random
    with torch.device("meta"):
        network = open_clip.create_model(name, device="meta").eval().requires_grad_(False)
    logging.disable(logging.NOTSET)
    size, n_tokens = network.visual.image_size, network.context_length
    size = size if isinstance(size, tuple) else (size, size)
    image = count(network.encode_image, 1, 3, *size)
    text = count(network.encode_text, 1, n_tokens, dtype=torch.long)
    return Costs(size, n_tokens, open_clip.get_model_config(name)["embed_dim"], image, text)


def make_qwen(text=QWEN_TEXT, vision=QWEN_VISION):
    """A Qwen2-VL without weights."""
    rotary = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    config = Qwen2VLConfig(
        text_config={**text, "rope_parameters": rotary},
        vision_config=vision,
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        return Qwen2VLForConditionalGeneration(config).eval().requires_grad_(False)


def qwen_text(network, n_tokens):
    """The Cost of the language model without its output layer, which an embedding does without."""
    language = network.model.language_model
    positions = torch.zeros((3, 1, n_tokens), dtype=torch.long, device="meta")

    def read(rows):
        return language(inputs_embeds=rows, position_ids=positions, use_cache=False)

    return count(read, 1, n_tokens, language.config.hidden_size)


def qwen_image(network, height, width):
    """Number of tokens of an image and its prompt, and the Cost of both."""
    vision = network.config.vision_config
    grid = height // vision.patch_size, width // vision.patch_size
    n_patches = grid[0] * grid[1]
    n_values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    seen = count(
        network.model.visual,
        n_patches,
        n_values,
        grid_thw=torch.tensor([[1, *grid]]),  # its values are read
        position_ids=torch.zeros((n_patches, 2), dtype=torch.long, device="meta"),
    )
    n_tokens = n_patches // vision.spatial_merge_size**2 + PROMPT
    return n_tokens, seen + qwen_text(network, n_tokens)


def qwen_output(network, n_tokens):
    """The Cost of the output layer, which predicts the next word after each token."""
    return count(network.lm_head, 1, n_tokens, network.lm_head.in_features)


def remover_flops(n_features):
    """Of ModalityGapRemover.transform, a row: its length, / length, - mean, and both again."""
    return 7 * n_features


def search_flops(n_features, n_documents):
    """Of the cosines of a query with all documents."""
    return 2 * n_features * n_documents


def odds_flops(n_documents):
    """Of posterior odds, a query: scale, offset, exponential and sum for each document."""
    return 4 * n_documents


def learned_cosines(n_documents=2000):
    """Cosines a document that posterior odds are learned from, counted in a fit and a first search.

    They do not grow with the corpus. Here they are learned for texts and images that ask, from at
    most 1,024 queries and 1,024 fallback queries of each.
    """
    X, y = make_mixed_modality(n_documents, random_state=0)
    X = EmbeddingArray(torch.from_numpy(X.values), X.modality)
    query = X[np.flatnonzero(X.modality == "query:text")[:1]]

    def counted(score_calibration):
        with FlopCounterMode(display=False) as counter:
            MixedModalityRetriever(score_calibration=score_calibration).fit(X, y).search(query)
        return counter.get_total_flops()

    return (counted(PosteriorOdds()) - counted(None)) // search_flops(X.shape[1], n_documents)


def share(flops, whole):
    """FLOPs as percent of a Cost, to one digit, as text."""
    percent = np.format_float_positional(100 * flops / whole.total, 1, fractional=False, trim="-")
    return f"{percent} %"


def giga(flops):
    """FLOPs in thousands of millions, to three digits or to the unit, as text."""
    return f"{flops / 1e9:,.0f}" if flops >= 1e11 else f"{flops / 1e9:.3g}"


def print_images(clip, network):
    """Print the Costs of an image by all encoders."""

    def row(name, size, n_tokens, cost, paper=None):
        height, width = size
        figures = [giga(flops) for flops in cost]
        return [name, f"{width} x {height}", n_tokens, *figures, f"{paper:,}" if paper else ""]

    rows = [row(name, costs.size, "", costs.image, CLIP[name]) for name, costs in clip.items()]
    (n_tokens, large), (n_of_photo, photo) = (qwen_image(network, *x) for x in (PAPER, PHOTO))
    both = large + qwen_output(network, n_tokens)
    rows += [
        row(QWEN, PAPER, n_tokens, large),
        row(f"{QWEN}, with its output layer", PAPER, n_tokens, both, QWEN_PAPER),
        row(QWEN, PHOTO, n_of_photo, photo),
    ]
    header = ["encoder", "image", "tokens", "GFLOPs", "without products in attention"]
    print_table("One image", [*header, "MLPs and patches alone", "the paper"], rows)
    siglip = clip[SIGLIP].image.total
    print(
        f"\n{QWEN} costs {large.total / siglip:.0f} times SigLIP's image at 1344 x 1344 "
        f"({both.total / siglip:.0f} with its output layer, {QWEN_PAPER / CLIP[SIGLIP]:.0f} in the "
        f"paper), and {photo.total / siglip:.0f} times at the size of the photo."
    )


def print_additions(costs):
    """Print what correction and search add to the Costs of an image and of a text."""
    n_cosines, n = learned_cosines(), N_DOCUMENTS
    rows = []
    for name, (_, _, d, image, _) in costs.items():
        added = share(remover_flops(d), image), share(search_flops(d, n_cosines), image)
        rows.append([name, d, giga(image.total), *added])
    print_table(
        f"Indexing: what is added to an image, with {n_cosines:,} cosines to learn odds from",
        ["encoder", "features", "GFLOPs an image", "the gap removed", "posterior odds learned"],
        rows,
    )
    rows = []
    for name, (_, n_tokens, d, _, text) in costs.items():
        added = remover_flops(d), search_flops(d, n), odds_flops(n)
        rows.append([name, n_tokens, giga(text.total), *(share(x, text) for x in added)])
    print_table(
        f"Searching {n:,} documents: what is added to a text",
        ["encoder", "tokens", "GFLOPs a text", "the gap removed", "exact search", "posterior odds"],
        rows,
    )


def main():
    clip, network = {name: clip_costs(name) for name in CLIP}, make_qwen()
    print_images(clip, network)
    large, text = qwen_image(network, *PAPER)[1], qwen_text(network, QUESTION)
    qwen = Costs(PAPER, QUESTION, QWEN_TEXT["hidden_size"], large, text)
    print_additions({**clip, QWEN: qwen})


if __name__ == "__main__":
    main()

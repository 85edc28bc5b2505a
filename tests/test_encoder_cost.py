"""The counts of benchmarks/encoder_cost.py, against products worked by hand."""

import numpy as np
import pytest

from gapremoval import EmbeddingArray, MixedModalityRetriever
from gapremoval.datasets import make_mixed_modality

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

import encoder_cost  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402


def product(*sizes):
    """FLOPs of a matrix product: a multiplication and an addition for each triple."""
    return 2 * int(np.prod(sizes, dtype=np.int64))


def blocks(depth, tokens, width, hidden):
    """Linear maps and products in attention of a transformer: 4 w^2 + 2 w h, and 2 n w a token."""
    linear = product(tokens, 4 * width**2 + 2 * width * hidden)
    return depth * linear, depth * 2 * product(tokens, tokens, width)


def decoder(depth, tokens, width, hidden, heads, shared_heads):
    """The same with keys and values that heads share, and gated MLPs of three maps."""
    keys = width * shared_heads // heads
    linear = product(tokens, 2 * width**2 + 2 * width * keys + 3 * width * hidden)
    return depth * linear, depth * 2 * product(tokens, tokens, width)


def test_a_vit_b_16_costs_what_its_paper_describes():
    size, n_tokens, n_features, image, text = encoder_cost.clip_costs("ViT-B-16")
    assert (size, n_tokens, n_features) == ((224, 224), 77, 512)
    # 14 x 14 patches of 16 x 16 pixels and a class token, 12 layers, 768 wide, projected to 512.
    linear, attention = blocks(12, 197, 768, 3072)
    patches, projection = product(196, 16 * 16 * 3, 768), product(768, 512)
    assert image.total == patches + linear + attention + projection
    assert image.linear == patches + linear + projection
    assert image.mlp == patches + 12 * product(197, 2 * 768 * 3072)
    linear, attention = blocks(12, 77, 512, 2048)
    assert text.total == linear + attention + product(512, 512)


def test_a_larger_image_costs_more_patches():
    image = encoder_cost.clip_costs("ViT-L-14-336").image
    linear, attention = blocks(24, 24 * 24 + 1, 1024, 4096)
    patches, projection = product(24 * 24, 14 * 14 * 3, 1024), product(1024, 768)
    assert image.total == patches + linear + attention + projection


def test_siglip_pools_with_one_more_attention():
    _, n_tokens, width, image, text = encoder_cost.clip_costs(encoder_cost.SIGLIP)
    linear, attention = blocks(27, 27 * 27, width, 4304)
    # One learned token asks for 27 x 27 keys and values, and goes through an MLP.
    pool = product(width, 2 * width + 2 * 4304) + product(729, width, 2 * width)
    asked = 2 * product(729, width)
    assert image.linear == product(729, 14 * 14 * 3, width) + linear + pool
    assert image.total == image.linear + attention + asked
    linear, attention = blocks(27, n_tokens, width, 4304)
    assert text.total == linear + attention + product(width, width)


def test_a_generative_embedder_merges_four_patches_into_a_token():
    network = encoder_cost.make_qwen()
    n_tokens, image = encoder_cost.qwen_image(network, *encoder_cost.PAPER)
    assert n_tokens == 48 * 48 + encoder_cost.PROMPT
    seen, looked = blocks(32, 96 * 96, 1280, 4 * 1280)
    merged = product(48 * 48, 4 * 1280, 4 * 1280 + 3584)
    read, attended = decoder(28, n_tokens, 3584, 18944, 28, 4)
    assert image.linear == product(96 * 96, 2 * 14 * 14 * 3, 1280) + seen + merged + read
    assert image.total == image.linear + looked + attended
    assert encoder_cost.qwen_output(network, n_tokens).total == product(n_tokens, 3584, 152064)
    # As published: 8.29 thousand million parameters.
    assert round(sum(p.numel() for p in network.parameters()) / 1e9, 2) == 8.29


def test_the_figures_of_the_paper_leave_attention_out():
    network = encoder_cost.make_qwen()
    n_tokens, image = encoder_cost.qwen_image(network, *encoder_cost.PAPER)
    qwen = image + encoder_cost.qwen_output(network, n_tokens)
    siglip = encoder_cost.clip_costs(encoder_cost.SIGLIP).image
    smallest = encoder_cost.clip_costs("ViT-B-16").image
    for paper, as_there, ours in [
        (encoder_cost.QWEN_PAPER, qwen.linear, qwen.total),
        (encoder_cost.CLIP[encoder_cost.SIGLIP], siglip.linear, siglip.total),
        (encoder_cost.CLIP["ViT-B-16"], smallest.mlp, smallest.linear),
    ]:
        assert as_there / 1e9 == pytest.approx(paper, rel=0.012)
        assert ours / 1e9 > 1.1 * paper


def test_an_exact_search_multiplies_each_document_once():
    X, y = make_mixed_modality(500, random_state=0)
    X = EmbeddingArray(torch.from_numpy(X.values), X.modality)
    queries = X[np.flatnonzero(X.modality == "query:text")[:7]]
    retriever = MixedModalityRetriever().fit(X, y)
    with FlopCounterMode(display=False) as counter:
        retriever.predict(queries)
    assert counter.get_total_flops() == 7 * encoder_cost.search_flops(X.shape[1], 500)


def test_what_posterior_odds_learn_does_not_grow_with_the_corpus():
    assert 0 < encoder_cost.learned_cosines(3000) <= encoder_cost.learned_cosines(2000)

"""Tiny models with random weights, saved as sentence-transformers and transformers load them."""

import pytest

pytest.importorskip("sentence_transformers")

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

PROMPTS = {"query": "Find what shows: ", "document": "Read: "}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
)


def byte_tokenizer(special):
    """A tokenizer of bytes and some merges, trained on the spot."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["a red bicycle in snow", "two dogs"], trainer)
    return tokenizer


def save_clip(folder):
    """A CLIP model as transformers saves it, which sentence-transformers loads."""
    start, end = special = ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = byte_tokenizer(special)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, 0), (end, 1)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=end,
        pad_token=end,
        model_max_length=16,
    )
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 16,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    config = transformers.CLIPConfig(
        text_config={**tower, **text},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.CLIPModel(config).save_pretrained(folder)
    pictures = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    transformers.CLIPProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(
        folder
    )


def save_qwen(folder):
    """A Qwen2-VL model as transformers saves it."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"]
    special += ["<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(special),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special[1:],
        model_max_length=512,
        padding_side="left",
    )
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rope_scaling": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    patches = {"patch_size": 8, "temporal_patch_size": 2}
    vision = {
        **patches,
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": 32,
        "num_heads": 2,
        "mlp_ratio": 2,
        "spatial_merge_size": 2,
    }
    ids = {
        name: tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in (
            ("image_token_id", "image_pad"),
            ("video_token_id", "video_pad"),
            ("vision_start_token_id", "vision_start"),
            ("vision_end_token_id", "vision_end"),
        )
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.Qwen2VLConfig(text_config=text, vision_config=vision, **ids)
        transformers.Qwen2VLModel(config).save_pretrained(folder)
    transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(
            **patches, merge_size=2, min_pixels=16 * 16, max_pixels=64 * 64
        ),
        video_processor=transformers.Qwen2VLVideoProcessor(**patches, merge_size=2),
        tokenizer=tokenizer,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)


def save_embedder(folder, plain):
    """A generative embedder with prompts, of a Qwen2-VL in another folder."""
    transformer = Transformer(str(plain))
    pooling = Pooling(transformer.get_embedding_dimension(), "lasttoken")
    model = SentenceTransformer(modules=[transformer, pooling], prompts=PROMPTS, device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)

"""Tiny captioning networks with random weights, saved as transformers saves them."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WORDS = ["a red bicycle in snow", "two dogs", "Describe the image."]


def save_blip(folder, seed=0):
    """A network that continues a prompt, without chats."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[DEC]"]
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.decoder = decoders.WordPiece()
    words.train_from_iterator(
        WORDS, trainers.WordPieceTrainer(vocab_size=100, special_tokens=special)
    )
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        bos_token="[DEC]",
        model_max_length=32,
    )
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    ids = {"bos_token_id": 4, "eos_token_id": 2, "pad_token_id": 0, "sep_token_id": 2}
    config = transformers.BlipConfig(
        text_config={**tower, **ids, "vocab_size": len(tokenizer), "encoder_hidden_size": 32},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
    )
    _save(folder, transformers.BlipForConditionalGeneration, config, seed)
    images = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    transformers.BlipProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return str(folder)


def save_qwen(folder, seed=0):
    """A generative network that answers chats."""
    import sentence_models

    sentence_models.save_qwen(folder)  # without the layer that writes
    config = transformers.AutoConfig.from_pretrained(folder)
    _save(folder, transformers.Qwen2VLForConditionalGeneration, config, seed)
    return str(folder)


def _save(folder, network, config, seed):
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        made = network(config)
        # Larger weights than those of training's start, so that pictures have different texts.
        for values in made.parameters():
            values.mul_(12 if values.ndim > 1 else 1)
    made.save_pretrained(folder)

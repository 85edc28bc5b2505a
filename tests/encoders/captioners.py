"""Tiny captioning networks with random weights, saved as transformers saves them."""

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
    torch.manual_seed(seed)
    _save(folder, transformers.BlipForConditionalGeneration(config))
    images = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    transformers.BlipProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return str(folder)


TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_qwen(folder, seed=0):
    """A generative network that answers chats."""
    names = [
        "endoftext",
        "im_start",
        "im_end",
        "vision_start",
        "vision_end",
        "image_pad",
        "video_pad",
    ]
    special = [f"<|{name}|>" for name in names]
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(
        WORDS,
        trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet),
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special[1:],
        model_max_length=512,
        padding_side="left",
    )
    token = dict(zip(names, tokenizer.convert_tokens_to_ids(special)))
    config = transformers.Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2], "rope_type": "default"},
            "bos_token_id": token["endoftext"],
            "eos_token_id": token["im_end"],
            "pad_token_id": token["endoftext"],
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        image_token_id=token["image_pad"],
        video_token_id=token["video_pad"],
        vision_start_token_id=token["vision_start"],
        vision_end_token_id=token["vision_end"],
    )
    torch.manual_seed(seed)
    _save(folder, transformers.Qwen2VLForConditionalGeneration(config))
    patches = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2}
    transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(
            **patches, min_pixels=16 * 16, max_pixels=64 * 64
        ),
        video_processor=transformers.Qwen2VLVideoProcessor(**patches),
        tokenizer=tokenizer,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return str(folder)


def _save(folder, network):
    # Larger weights than those of training's start, so that pictures have different texts.
    with torch.no_grad():
        for values in network.parameters():
            values.mul_(12 if values.ndim > 1 else 1)
    network.save_pretrained(folder)

"""SigLIP models by way of sentence-transformers, against transformers' own embeddings."""

import numpy as np
import pytest

pytest.importorskip("sentence_transformers")

import torch
import transformers
from PIL import Image
from sentence_models import byte_tokenizer

from gapremoval import Query, SentenceTransformerEncoder

pytestmark = pytest.mark.usefixtures("nothing_loaded")

LENGTH = 16
TEXTS = ["two dogs", "a red bicycle in snow", "", "a"]
MASKED = ["input_ids", "attention_mask"]


def save_siglip(folder, limit, names):
    """A tiny SigLIP model, whose tokenizer knows its length or not, and gives a mask or not."""
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(["<pad>", "</s>"]),
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=limit,
        model_input_names=names,
    )
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": LENGTH, "projection_size": 32}
    text |= {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    config = transformers.SiglipConfig(
        text_config={**tower, **text},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.SiglipModel(config).eval()
    model.save_pretrained(folder)
    pictures = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    transformers.SiglipProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(
        folder
    )
    return model, tokenizer, pictures


@torch.inference_mode()
def embed(model, tokenizer, texts):
    """As the models' descriptions say: every text at full length, and no mask."""
    tokens = tokenizer(
        texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    )
    return model.get_text_features(input_ids=tokens["input_ids"]).pooler_output


@pytest.mark.parametrize("limit", [LENGTH, 10**30])
@pytest.mark.parametrize("names", [MASKED[:1], MASKED], ids=["no mask", "mask"])
def test_every_text_is_read_at_full_length(tmp_path, limit, names):
    model, tokenizer, pictures = save_siglip(tmp_path, limit, names)
    want = torch.nn.functional.normalize(embed(model, tokenizer, TEXTS)).numpy()
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype="u1"))
    with torch.inference_mode():
        pixels = pictures(photo, return_tensors="pt")
        shown = torch.nn.functional.normalize(model.get_image_features(**pixels).pooler_output)
    for batch_size in (1, 3):
        encoder = SentenceTransformerEncoder(str(tmp_path), device="cpu", batch_size=batch_size)
        rows = encoder.transform([*TEXTS, photo, *map(Query, TEXTS)]).values
        np.testing.assert_allclose(rows[:4], want, atol=1e-5)
        np.testing.assert_allclose(rows[4:5], shown.numpy(), atol=1e-5)
        np.testing.assert_allclose(rows[5:], want, atol=1e-5)


@pytest.mark.parametrize("limit", [LENGTH, 10**30])
def test_a_longer_text_is_cut_and_counted(tmp_path, limit):
    model, tokenizer, _ = save_siglip(tmp_path, limit, MASKED[:1])
    texts = ["two dogs", "two dogs " * 20]
    want = torch.nn.functional.normalize(embed(model, tokenizer, texts)).numpy()
    with pytest.warns(UserWarning, match="1 text is longer than the 16 tokens"):
        rows = SentenceTransformerEncoder(str(tmp_path), device="cpu").transform(texts).values
    np.testing.assert_allclose(rows, want, atol=1e-5)

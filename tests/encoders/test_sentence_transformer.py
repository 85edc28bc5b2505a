"""SentenceTransformerEncoder against sentence-transformers' own encode_query, encode_document."""

import os
import shutil
import warnings

import numpy as np
import pytest

pytest.importorskip("sentence_transformers")

import torch
from PIL import Image
from sentence_models import PROMPTS
from sentence_transformers import SentenceTransformer

from gapremoval import Joint, Query, SentenceTransformerEncoder, Tagged
from gapremoval.encoders import EncodingError, _devices, make_encoder

MODELS = ["clip", "embedder"]


def pictures(n, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(40, 90, (n, 2))
    return [Image.fromarray(rng.integers(0, 255, (h, w, 3), dtype="u1")) for h, w in sizes]


def unit(rows):
    rows = np.array(rows)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def encoder(folder, **parameters):
    return SentenceTransformerEncoder(folder, device="cpu", **parameters)


@pytest.fixture
def plain(sentence_models):
    """The model as sentence-transformers loads it."""
    return lambda name: SentenceTransformer(sentence_models[name], device="cpu")


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("name", MODELS)
def test_rows_in_mixed_order_are_those_of_sentence_transformers(
    sentence_models, plain, name, batch_size
):
    texts = ["a red bicycle", "", "two dogs", "the cat", "a tree"]
    photos = pictures(5)
    items, want, model = [], [], plain(name)
    for text, photo in zip(texts, photos):
        items += [text, photo, Query(text), Query(photo), Tagged(text, "caption")]
        want += [
            model.encode_document([text])[0],
            model.encode_document([photo])[0],
            model.encode_query([text])[0],
            model.encode_query([photo])[0],
            model.encode_document([text])[0],
        ]
    got = encoder(sentence_models[name], batch_size=batch_size).fit(items).transform(items)
    assert (got.values * unit(want)).sum(axis=1).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(got.values, axis=1), 1, atol=1e-6)
    assert got.modality.tolist() == ["text", "image", "query:text", "query:image", "caption"] * 5
    assert got.dtype == np.float32
    whole = plain(name).encode_document([{"text": text} for text in texts], batch_size=2)
    assert (got.values[::5] * unit(whole)).sum(axis=1).min() > 0.9999


def test_a_text_is_never_taken_for_an_address_or_a_file(
    sentence_models, plain, tmp_path, monkeypatch
):
    texts = ["http://a/b.png", "data:image/a,b", "notes.mp4", "www.a.c/d.gif"]
    (tmp_path / "notes.mp4").write_bytes(b"no video")
    monkeypatch.chdir(tmp_path)
    for name in MODELS:
        model = plain(name)
        with pytest.warns(UserWarning, match="end like the name of a picture"):
            got = encoder(sentence_models[name]).transform(texts)
        assert got.modality.tolist() == ["text"] * 4
        want = model.encode_document([{"text": text} for text in texts])
        assert (got.values * unit(want)).sum(axis=1).min() > 0.9999


def test_queries_and_documents_have_prompts_of_their_own(sentence_models, plain):
    model, folder = plain("embedder"), sentence_models["embedder"]
    assert model.prompts == PROMPTS
    document, query = encoder(folder).transform(["two dogs", Query("two dogs")]).values
    assert document @ query < 0.9999
    other = {"query": "Another instruction: "}
    given = encoder(folder, prompts=other).transform(["two dogs", Query("two dogs")])
    assert given.values[0] @ document > 0.9999  # the model's own
    want = model.encode_query(["two dogs"], prompt=other["query"])
    assert (given.values[1:] * unit(want)).sum() > 0.9999
    none = encoder(folder, prompts={"query": "", "document": ""}).transform(["a", Query("a")])
    assert none.values[0] @ none.values[1] > 0.9999


def test_other_prompts_are_another_encoder(sentence_models):
    folder = sentence_models["embedder"]
    own, same, other = (
        encoder(folder, prompts=prompts).transform(["a"]).encoder
        for prompts in (None, PROMPTS, {"query": "x"})
    )
    assert own == same != other
    assert own.startswith(f"st:{folder} @ ")


def test_a_text_and_pictures_are_one_row_where_the_model_reads_both(sentence_models, plain):
    first, second = pictures(2)
    items = [
        Joint(text="a dog", image=first),
        "a dog",
        Joint(text="a cat", image=[first, second]),
        Query(Joint(text="a dog", image=second)),
    ]
    got = encoder(sentence_models["embedder"], batch_size=2).transform(items)
    assert got.modality.tolist() == ["joint", "text", "joint", "query:joint"]
    model = plain("embedder")
    want = [
        model.encode_document([{"image": first, "text": "a dog"}])[0],
        model.encode_document(["a dog"])[0],
        model.encode_document([{"image": [first, second], "text": "a cat"}])[0],
        model.encode_query([{"image": second, "text": "a dog"}])[0],
    ]
    assert (got.values * unit(want)).sum(axis=1).min() > 0.9999
    # A query with a text and an image that is not joint stays the mean of its parts.
    both = Query(text="a dog", image=first)
    row, text, image = encoder(sentence_models["embedder"]).transform(
        [both, Query("a dog"), Query(first)]
    )
    np.testing.assert_allclose(row, (text + image) / 2, atol=1e-6)


def test_a_model_that_cannot_join_says_so_and_names_the_other_way(sentence_models):
    items = ["a", Joint(text="a dog", image=pictures(1)[0])]
    with pytest.raises(ValueError, match=r"1 of 2 items \(row 1\).*explode_documents\(records\)"):
        encoder(sentence_models["clip"]).transform(items)


def test_a_model_of_texts_refuses_pictures(sentence_models, tmp_path):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(sentence_models["clip"]).backend_tokenizer
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    model.save_pretrained(str(tmp_path), create_model_card=False)
    texts = ["two dogs", "a cat"]
    got = encoder(str(tmp_path)).transform(texts)
    assert (got.values * unit(model.encode(texts))).sum(axis=1).min() > 0.9999
    with pytest.raises(ValueError, match="1 of 2 items .row 1.: it does not encode images"):
        encoder(str(tmp_path)).transform(["a", pictures(1)[0]])


def test_texts_that_are_cut_are_counted_with_prompt_and_template(sentence_models, tmp_path):
    words = " ".join(["word"] * 40)
    with pytest.warns(UserWarning, match="2 texts are longer than the 16 tokens") as caught:
        encoder(sentence_models["clip"]).transform([words, "short", words + " more"])
    assert len(caught) == 1
    prompts = {"document": "x" * 480}
    for memory in (tmp_path, tmp_path):  # encoded, and read from the cache
        with pytest.warns(UserWarning, match="1 text is longer than the 512 tokens"):
            encoder(sentence_models["embedder"], prompts=prompts, memory=memory).transform(
                ["two dogs " * 20, Query("two dogs " * 20), "a"]
            )


def test_an_item_that_the_model_refuses_is_named_and_the_others_are_kept(sentence_models):
    narrow = Image.new("RGB", (4000, 4))  # of a ratio that Qwen's processor refuses
    items = ["a dog", *pictures(2), narrow]
    with pytest.raises(EncodingError, match=r"row 3 .*the network refuses it") as raised:
        encoder(sentence_models["embedder"]).transform(items)
    assert raised.value.rows.tolist() == [0, 1, 2]
    want = encoder(sentence_models["embedder"]).transform(items[:3]).values
    np.testing.assert_allclose(raised.value.embeddings.values, want, atol=1e-6)


def test_equal_models_have_equal_fingerprints_and_others_have_not(sentence_models, tmp_path):
    folder = sentence_models["clip"]
    copied = shutil.copytree(folder, tmp_path / "copied")
    mark = lambda model, **kwargs: encoder(str(model), **kwargs).transform(["a"]).encoder[-16:]  # noqa: E731
    first = mark(folder)
    assert mark(copied) == first
    half = {"model_kwargs": {"dtype": "bfloat16"}}
    assert mark(folder, load_kwargs=half) != first
    config = copied / "processor_config.json"
    before = config.read_text()
    config.write_text(before.replace('"shortest_edge": 32', '"shortest_edge": 48'))
    assert config.read_text() != before
    assert mark(copied) != first


@pytest.mark.parametrize(
    "settings",
    [
        {"processor_kwargs": {"size": {"longest_edge": 100_000, "shortest_edge": 256}}},
        {"processor_kwargs": {"model_max_length": 64}},
        {"truncate_dim": 8},
    ],
)
def test_settings_that_few_items_show_are_another_encoder_with_rows_of_its_own(
    sentence_models, settings, tmp_path
):
    # Neither a short text nor a small picture shows these; the cache must tell them apart.
    items = ["two dogs " * 30, Image.effect_noise((600, 400), 80).convert("RGB")]
    plain = encoder(sentence_models["embedder"], memory=tmp_path).transform(items)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* longer than the 64 tokens", UserWarning)
        cached, alone = (
            encoder(sentence_models["embedder"], load_kwargs=settings, memory=memory).transform(
                items
            )
            for memory in (tmp_path, None)
        )
    assert cached.encoder != plain.encoder
    np.testing.assert_allclose(cached.values, alone.values, atol=1e-5)


def test_another_prompt_of_queries_does_not_encode_documents_again(
    sentence_models, tmp_path, monkeypatch
):
    folder, items = sentence_models["embedder"], ["two dogs", "a cat", Query("a dog")]
    first = encoder(folder, memory=tmp_path).transform(items)
    monkeypatch.setattr(SentenceTransformer, "encode_document", None)
    other = encoder(folder, memory=tmp_path, prompts={"query": "Another: "}).transform(items)
    np.testing.assert_array_equal(other.values[:2], first.values[:2])
    assert other.values[2] @ first.values[2] < 0.9999


def test_a_checkpoint_that_does_not_tell_its_pooling_is_warned_of(tmp_path, sentence_models):
    from sentence_models import save_qwen

    save_qwen(tmp_path / "qwen")
    with pytest.warns(UserWarning, match="no modules.json.*chose 'mean'.*'lasttoken'"):
        rows = encoder(str(tmp_path / "qwen")).transform(["two dogs"])
    told = encoder(sentence_models["embedder"], prompts={"document": ""}).transform(["two dogs"])
    assert rows.values[0] @ told.values[0] < 0.99  # the same weights, and the last token


def test_a_model_of_pictures_alone_is_an_encoder_too(tmp_path):
    import transformers

    sizes = {"hidden_size": 32, "intermediate_size": 32, "image_size": 32, "patch_size": 8}
    config = transformers.ViTConfig(num_hidden_layers=1, num_attention_heads=2, **sizes)
    transformers.ViTModel(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    photos = pictures(2)
    with pytest.warns(UserWarning, match="no modules.json"):
        got = encoder(str(tmp_path)).transform(photos)
    want = SentenceTransformer(str(tmp_path), device="cpu").encode(photos)
    assert (got.values * unit(want)).sum(axis=1).min() > 0.9999
    with pytest.raises(ValueError, match="it does not encode texts"):
        encoder(str(tmp_path)).transform(["a"])


def test_a_text_without_tokens_is_named_and_has_no_row_of_length_zero(tmp_path, sentence_models):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(sentence_models["clip"]).backend_tokenizer
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    model.save_pretrained(str(tmp_path), create_model_card=False)
    with pytest.raises(EncodingError, match="row 1 .''.: the network gives a row of length zero"):
        encoder(str(tmp_path)).transform(["two dogs", ""])


def test_the_text_of_a_joint_item_is_counted_when_it_is_cut(sentence_models):
    photo = pictures(1)[0]
    items = [Joint("two dogs " * 200, photo), Joint("two dogs", photo)]
    with pytest.warns(UserWarning, match="1 text is longer than the 512 tokens"):
        encoder(sentence_models["embedder"]).transform(items)
    # With the tokens of its picture a text may be too long that is not so alone.
    text = "~" * 480
    encoder(sentence_models["embedder"], prompts={"document": ""}).transform([text])
    with pytest.warns(UserWarning, match="1 text is longer"):
        encoder(sentence_models["embedder"], prompts={"document": ""}).transform(
            [Joint(text, [Image.new("RGB", (64, 64))] * 3)]
        )
    with pytest.warns(UserWarning, match="1 text is longer"):
        encoder(sentence_models["embedder"]).transform(
            [Joint("x y " * 20, [Image.new("RGB", (64, 64))] * 24)]
        )
    with pytest.raises(EncodingError, match=r"row 1 \(Joint\): the network refuses it"):
        encoder(sentence_models["embedder"]).transform(
            ["a", Joint("two dogs", [Image.new("RGB", (64, 64))] * 40)]
        )


@pytest.mark.parametrize("cached", [False, True])
def test_a_picture_of_a_joint_item_that_cannot_be_read_is_named(sentence_models, tmp_path, cached):
    joint = Joint("two dogs", [*pictures(1), tmp_path / "gone.png"])
    memory = tmp_path / "rows" if cached else None
    with pytest.raises(EncodingError, match=r"row 0 \(Joint\): .*gone.png: no such file"):
        encoder(sentence_models["embedder"], memory=memory).transform([joint, "a"])


@pytest.mark.parametrize("how", [{"attn_implementation": "eager"}, {"dtype": torch.float32}])
def test_what_only_tells_how_to_compute_is_the_same_encoder(sentence_models, how):
    folder = sentence_models["embedder"]
    plain, other = (
        encoder(folder, load_kwargs=kwargs).transform(["two dogs"])
        for kwargs in (None, {"model_kwargs": how})
    )
    assert other.encoder == plain.encoder
    np.testing.assert_allclose(other.values, plain.values, atol=1e-5)


def test_a_device_that_cannot_compute_is_found_out(sentence_models):
    loaded = encoder(sentence_models["embedder"])._load()[0]
    assert _devices._fault_on(loaded, torch.device("cpu")) == ""
    assert _devices._fault_on(loaded, torch.device("meta"))


def test_half_precision_comes_from_the_weights(sentence_models):
    items = ["two dogs", *pictures(2)]
    half = {"model_kwargs": {"dtype": "bfloat16"}}
    whole = encoder(sentence_models["clip"]).transform(items)
    got = encoder(sentence_models["clip"], load_kwargs=half).transform(items)
    assert got.dtype == np.float32
    cosines = (got.values * whole.values).sum(axis=1)
    assert cosines.min() > 0.99
    assert cosines.max() < 1 - 1e-7


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("no folder/at all", ValueError, "neither a folder nor a repository"),
        ("./nothing", FileNotFoundError, "No folder at"),
        ("a b", ValueError, "neither a folder nor a repository"),
        ("a/b/c", FileNotFoundError, "No folder at"),
        ("", ValueError, "names no model"),
        ("st:org/name", ValueError, "without 'st:'"),
    ],
)
def test_a_wrong_name_is_told_at_fit(model, error, message):
    with pytest.raises(error, match=message):
        encoder(model).fit(["a"])


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither a modules.json nor a config.json"):
        encoder(str(tmp_path)).fit(["a"])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be loaded by sentence-transformers"):
        encoder(str(tmp_path)).transform(["a"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"prompts": {"question": "x"}}, "prompts are a dict"),
        ({"prompts": {"query": 3}}, "prompts are a dict"),
        ({"load_kwargs": {"device": "cpu"}}, "give it as device="),
        ({"load_kwargs": {"prompts": {}}}, "give it as prompts="),
        ({"load_kwargs": {"cache_folder": "x"}}, "set the environment variable HF_HUB_CACHE"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_parameters_are_told_at_fit(sentence_models, parameters, message):
    with pytest.raises(ValueError, match=message):
        encoder(sentence_models["clip"]).set_params(**parameters).fit(["a"])


def test_a_model_in_memory_is_named_by_its_folder(plain):
    with pytest.raises(TypeError, match=r"is saved by model.save_pretrained\(folder\)"):
        SentenceTransformerEncoder(plain("clip")).fit(["a"])


def test_tensors_are_on_the_device_of_the_model(sentence_models):
    got = encoder(sentence_models["clip"], output="torch").transform(["a", *pictures(1)])
    assert isinstance(got.values, torch.Tensor)


def test_an_encoder_is_made_from_one_name(sentence_models, monkeypatch):
    folder = sentence_models["clip"]
    made = make_encoder(f"st:{folder}", device="cpu", batch_size=2)
    assert isinstance(made, SentenceTransformerEncoder)
    assert (made.model, made.batch_size) == (folder, 2)
    monkeypatch.chdir(os.path.dirname(folder))
    assert make_encoder("st:clip")._lasting_name() == f"st:{folder}"

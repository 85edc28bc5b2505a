import dataclasses
import gc
import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

from PIL import Image  # noqa: E402

from gapremoval.encoders import _models  # noqa: E402
from gapremoval.encoders._models import check_model_name, choose_device, load_model  # noqa: E402

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
CONFIGS = {
    "Tiny-ViT": {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": TEXT,
    },
    "Tiny-ResNet": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
        "text_cfg": TEXT,
    },
    "Tiny-Sigmoid": {
        "embed_dim": 24,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
            "pool_type": "avg",
        },
        "text_cfg": {**TEXT, "no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
    },
}
CONFIGS["Tiny-ViT-quickgelu"] = {**CONFIGS["Tiny-ViT"], "quick_gelu": True}
CONFIGS["Tiny-Custom"] = {**CONFIGS["Tiny-ViT"], "custom_text": True}
ARCHITECTURES = sorted(CONFIGS)
TEXTS = ["", "two dogs", "a red bicycle in snow", "word " * 40]


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    for name, config in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    known = open_clip.factory._MODEL_CONFIGS.copy()
    open_clip.add_model_config(folder)
    yield
    open_clip.factory._MODEL_CONFIG_PATHS.remove(folder)
    open_clip.factory._MODEL_CONFIGS = known


@pytest.fixture(autouse=True)
def empty_cache():
    _models._networks.clear()
    yield
    _models._networks.clear()


@pytest.fixture
def plain(tmp_path):
    """Make a network with random weights as open_clip does, and save its weights."""

    def make(architecture, **kwargs):
        with torch.random.fork_rng():
            torch.manual_seed(7)
            network, _, preprocess = open_clip.create_model_and_transforms(architecture, **kwargs)
        path = tmp_path / f"{architecture}.pt"
        torch.save(network.state_dict(), path)
        return network.eval(), preprocess, path

    return make


@pytest.fixture
def tag(monkeypatch):
    """Give a tiny architecture a tag whose download is a file at hand."""

    def make(architecture, name, path, **record):
        record = {
            **open_clip.get_pretrained_cfg("ViT-B-32", "laion2b_s34b_b79k"),
            "hf_hub": "org/tiny/",
            "file": str(path),
            **record,
        }
        tags = open_clip.pretrained._PRETRAINED
        monkeypatch.setitem(tags, architecture, {**tags.get(architecture, {}), name: record})
        return f"{architecture}/{name}"

    return make


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub with an empty cache that never answers, and a count of who asked it."""
    asked = []
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_models, "_hub_answers", lambda: asked.append(1))
    return asked


def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


@torch.inference_mode()
def embed(network, tokens, pixels):
    rows = torch.cat([network.encode_text(tokens), network.encode_image(pixels[None])])
    return torch.nn.functional.normalize(rows.double(), dim=-1).numpy()


def embed_loaded(loaded):
    return embed(loaded.network, loaded.tokenize(TEXTS)[0], loaded.preprocess(picture()))


def embed_plain(network, preprocess):
    return embed(network, open_clip.tokenize(TEXTS, 16), preprocess(picture()))


def folder_of(path, architecture, **config):
    folder = path.parent / "folder"
    folder.mkdir()
    path.rename(folder / "open_clip_pytorch_model.bin")
    config = {"model_cfg": CONFIGS[architecture], **config}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


# --- the same network as open_clip's, through every form of the name ---


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("form", ["pt", "safetensors", "folder", "tag"])
def test_every_form_of_the_name_gives_the_network_of_open_clip(plain, tag, architecture, form):
    network, preprocess, path = plain(architecture)
    want = embed_plain(network, preprocess)
    if form == "safetensors":
        path = path.with_suffix(".safetensors")
        pytest.importorskip("safetensors.torch").save_file(network.state_dict(), path)
    name = f"{architecture}/{path}"
    if form == "folder":
        name = f"local-dir:{folder_of(path, architecture)}"
    elif form == "tag":
        name = tag(architecture, "mine", path)
    loaded = load_model(name, "cpu")
    assert np.abs(embed_loaded(loaded) - want).max() < 1e-6
    assert loaded.n_features == 24
    assert loaded.context_length == 16
    assert not loaded.network.training
    assert {p.dtype for p in loaded.network.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in loaded.network.parameters())
    assert loaded.preprocess(picture()).shape == (3, 32, 32)


def test_a_home_folder_is_found_and_names_are_relative_to_where_python_is(plain, monkeypatch):
    path = plain("Tiny-ViT")[2]
    monkeypatch.setenv("HOME", str(path.parent))
    monkeypatch.setenv("USERPROFILE", str(path.parent))
    monkeypatch.chdir(path.parent)
    assert check_model_name(f"Tiny-ViT/~/{path.name}").rest == str(path)
    assert check_model_name(f"Tiny-ViT/{path.name}").rest == str(path)


def test_half_precision_checkpoints_run_in_float32(plain):
    network, _, path = plain("Tiny-ViT")
    torch.save(network.half().state_dict(), path)
    loaded = load_model(f"Tiny-ViT/{path}", "cpu")
    assert {p.dtype for p in loaded.network.parameters()} == {torch.float32}


def test_random_weights_are_the_same_in_every_load_and_leave_the_users_seed_alone():
    torch.manual_seed(3)
    want = torch.rand(2)
    torch.manual_seed(3)
    first = load_model("Tiny-ViT/random", "cpu")
    assert torch.equal(torch.rand(2), want)
    _models._networks.clear()
    assert load_model("Tiny-ViT/random", "cpu").fingerprint == first.fingerprint


@pytest.mark.parametrize("architecture", ["Tiny-ViT", "Tiny-ViT-quickgelu"])
def test_a_tag_recorded_as_quick_gelu_runs_with_it_whatever_the_architecture(
    plain, tag, architecture
):
    network, preprocess, path = plain("Tiny-ViT-quickgelu")
    loaded = load_model(tag(architecture, "openai", path, quick_gelu=True), "cpu")
    assert np.array_equal(embed_loaded(loaded), embed_plain(network, preprocess))
    by_file = load_model(f"Tiny-ViT-quickgelu/{path}", "cpu")
    assert by_file.fingerprint == loaded.fingerprint


def test_an_architecture_whose_own_configuration_says_quick_gelu_keeps_it(plain, tag):
    network, preprocess, path = plain("Tiny-ViT-quickgelu")
    loaded = load_model(tag("Tiny-ViT-quickgelu", "plain", path), "cpu")
    assert np.array_equal(embed_loaded(loaded), embed_plain(network, preprocess))


def test_pictures_are_prepared_for_a_file_as_for_the_tags_of_its_architecture(plain, tag):
    path = plain("Tiny-Sigmoid")[2]
    half = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash"}
    name = tag("Tiny-Sigmoid", "webli", path, **half)
    by_tag, by_file = load_model(name, "cpu"), load_model(f"Tiny-Sigmoid/{path}", "cpu")
    assert torch.equal(by_tag.preprocess(picture()), by_file.preprocess(picture()))
    assert float(by_tag.preprocess(Image.new("RGB", (9, 9), "white")).min()) == 1
    # Tags that disagree say nothing about a file: it gets what open_clip gives it.
    tag("Tiny-Sigmoid", "other", path)
    _models._networks.clear()
    by_file = load_model(f"Tiny-Sigmoid/{path}", "cpu")
    _, preprocess, _ = plain("Tiny-Sigmoid")
    assert torch.equal(by_file.preprocess(picture()), preprocess(picture()))


def test_a_folder_prepares_pictures_as_its_configuration_says(plain):
    path = plain("Tiny-ViT")[2]
    folder = folder_of(path, "Tiny-ViT", preprocess_cfg={"mean": [0.5] * 3, "std": [0.5] * 3})
    loaded = load_model(f"local-dir:{folder}", "cpu")
    assert float(loaded.preprocess(Image.new("RGB", (9, 9), "white")).min()) == 1


def test_loading_leaves_logging_and_the_hub_as_they_were(plain, monkeypatch, capfd):
    constants = pytest.importorskip("huggingface_hub").constants
    path, before = plain("Tiny-ViT")[2], constants.HF_HUB_OFFLINE
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    capfd.readouterr()
    load_model(f"Tiny-ViT/{path}", "cpu")
    load_model("Tiny-ResNet/random", "cpu")
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(f"Tiny-ResNet/{path}", "cpu")
    assert logging.getLogger().handlers == []
    assert open_clip.factory.logging is logging
    assert constants.HF_HUB_OFFLINE is before
    assert capfd.readouterr().err == ""


# --- texts ---


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tokens_are_those_of_open_clip_and_lengths_those_of_the_uncut_texts(architecture):
    loaded = load_model(f"{architecture}/random", "cpu")
    tokens, lengths = loaded.tokenize(TEXTS)
    assert torch.equal(tokens, open_clip.tokenize(TEXTS, 16))
    assert lengths.tolist() == [2, 4, 7, 42]
    tokens, lengths = loaded.tokenize([])
    assert tokens.shape == (0, 16)
    assert tokens.dtype == torch.int64
    assert lengths.shape == (0,)


@pytest.mark.parametrize("architecture", ["Tiny-ViT", "Tiny-ResNet", "Tiny-Custom"])
@torch.inference_mode()
def test_texts_without_their_padding_get_the_same_embedding(architecture):
    loaded = load_model(f"{architecture}/random", "cpu")
    assert loaded.can_trim
    tokens, lengths = loaded.tokenize(TEXTS[:3])
    want = loaded.network.encode_text(tokens)
    for n_tokens in range(lengths.max(), 17):
        torch.testing.assert_close(
            loaded.encode_text(tokens[:, :n_tokens]), want, atol=1e-5, rtol=0
        )
    assert torch.equal(loaded.network.encode_text(tokens), want)  # untouched by all that


def test_a_tower_that_looks_at_the_padding_is_never_trimmed():
    loaded = load_model("Tiny-Sigmoid/random", "cpu")
    assert not loaded.can_trim
    tokens = loaded.tokenize(TEXTS)[0]
    with torch.inference_mode():
        assert torch.equal(loaded.encode_text(tokens), loaded.network.encode_text(tokens))


class WordTokenizer:
    """Stands for a fast tokenizer of transformers: one number a word, and an end."""

    def __call__(self, texts, *, add_special_tokens=True, return_tensors=None, **options):
        rows = [[len(word) for word in text.split()] + [9] * add_special_tokens for text in texts]
        if return_tensors is None:
            assert not options.get("truncation", False)
            rows_or_tensor = {"input_ids": rows}
            return rows_or_tensor
        width = options["max_length"]
        rows = [(row + [1] * width)[:width] for row in rows]
        return type("Encoding", (), {"input_ids": torch.tensor(rows)})


@pytest.mark.parametrize("kind", ["HFTokenizer", "SigLipTokenizer"])
def test_tokenizers_of_transformers_are_padded_to_the_full_length_and_counted(kind):
    tokenizer = object.__new__(getattr(open_clip.tokenizer, kind))
    tokenizer.tokenizer, tokenizer.context_length = WordTokenizer(), 4
    if kind == "HFTokenizer":
        tokenizer.tokenizer_mode, tokenizer.strip_sep_token = "", False
        tokenizer.clean_fn = open_clip.tokenizer.get_clean_fn("canonicalize")
    loaded = _models.LoadedModel(None, None, tokenizer, None, 4, 24, False, {})
    tokens, lengths = loaded.tokenize(["Two, dogs!", "", "a b c d e f"])
    assert tokens.tolist() == [[3, 4, 9, 1], [9, 1, 1, 1], [1, 1, 1, 1]]
    assert lengths.tolist() == [3, 1, 7]


def test_a_folder_brings_its_own_tokenizer_of_transformers(plain):
    pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2, "two": 3, "dogs": 4}
    fast = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    folder = folder_of(plain("Tiny-Sigmoid")[2], "Tiny-Sigmoid")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] |= {
        "hf_tokenizer_name": "org/siglip",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    fast.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"})
    )
    loaded = load_model(f"local-dir:{folder}", "cpu")
    tokens, lengths = loaded.tokenize(["Two, dogs!", "", "two " * 30])
    assert tokens.shape == (3, 16)
    assert tokens[0].tolist() == [3, 4, 1] + [0] * 13
    assert lengths.tolist() == [3, 1, 31]
    assert not loaded.can_trim


# --- fingerprints and the cache of networks ---


def test_the_fingerprint_follows_weights_and_settings_and_not_the_name(plain):
    network, _, path = plain("Tiny-ViT")
    first = load_model(f"Tiny-ViT/{path}", "cpu").fingerprint
    assert len(first) == hashlib.sha256().digest_size * 2
    other = path.with_name("copy.pt")
    other.write_bytes(path.read_bytes())
    assert load_model(f"Tiny-ViT/{other}", "cpu").fingerprint == first
    assert load_model(f"Tiny-ViT-quickgelu/{path}", "cpu").fingerprint != first
    weights = network.state_dict()
    weights["ln_final.bias"] = weights["ln_final.bias"].clone()
    weights["ln_final.bias"][0] += 1e-3
    torch.save(weights, other)
    assert load_model(f"Tiny-ViT/{other}", "cpu").fingerprint != first
    folder = folder_of(path, "Tiny-ViT", preprocess_cfg={"resize_mode": "squash"})
    assert load_model(f"local-dir:{folder}", "cpu").fingerprint != first


def test_a_network_is_loaded_once_and_anew_where_its_file_changed(plain):
    network, _, path = plain("Tiny-ViT")
    first = load_model(f"Tiny-ViT/{path}", "cpu")
    assert load_model(f"Tiny-ViT/{path}", torch.device("cpu")) is first
    torch.save({name: 2 * values for name, values in network.state_dict().items()}, path)
    os.utime(path, ns=(1, 1))
    assert load_model(f"Tiny-ViT/{path}", "cpu") is not first


def test_two_networks_are_kept_and_the_one_used_longest_ago_goes():
    first = load_model("Tiny-ViT/random", "cpu")
    second = weakref.ref(load_model("Tiny-ResNet/random", "cpu"))
    assert load_model("Tiny-ViT/random", "cpu") is first
    load_model("Tiny-Custom/random", "cpu")
    gc.collect()
    assert second() is None
    assert load_model("Tiny-ViT/random", "cpu") is first


def test_threads_that_ask_at_once_load_once(monkeypatch):
    built, build = [], _models._build
    monkeypatch.setattr(_models, "_build", lambda *args: built.append(1) or build(*args))
    start, loaded = threading.Barrier(4), []

    def ask():
        start.wait()
        loaded.append(load_model("Tiny-ViT/random", "cpu"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert len(set(loaded)) == 1


FORKED = """
import json, multiprocessing, sys, threading
import open_clip, torch
from gapremoval.encoders import _models

open_clip.add_model_config(sys.argv[1])

def embed(text):
    loaded = _models.load_model("Forked/random", "cpu")
    with torch.inference_mode():
        return loaded.encode_text(loaded.tokenize([text] * 64)[0]).numpy()

def embed_in_a_thread(text):
    rows = []
    thread = threading.Thread(target=lambda: rows.append(embed(text)))
    thread.start()
    thread.join()
    return rows[0]

torch.set_num_threads(2)
want = embed("two dogs")
_models._loading_lock.acquire()  # as if another thread of the parent were loading
for function in (embed, embed_in_a_thread):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for rows in pool.map_async(function, ["two dogs"] * 4).get(timeout=50):
            assert abs(rows - want).max() < 1e-4
print("the same in the children")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_network_used_before_a_fork_answers_in_the_children(tmp_path):
    # Large enough for torch to share the work between threads, which a fork leaves behind.
    text = {"context_length": 77, "width": 256, "heads": 4, "layers": 2}
    (tmp_path / "Forked.json").write_text(json.dumps({**CONFIGS["Tiny-ViT"], "text_cfg": text}))
    run = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert run.stdout == "the same in the children\n", run.stderr


def test_a_gpu_used_before_a_fork_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(_models, "_forked_with_torch", True)
    monkeypatch.setattr(_models, "_threads_limited", True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(RuntimeError, match="forked.*'spawn'.*device='cpu'"):
        load_model("Tiny-ViT/random", "mps")


# --- names that cannot be right ---


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (3, TypeError, "must be one string"),
        (None, TypeError, "'hf-hub:ORG/NAME' or 'local-dir:PATH'; got None"),
        ("", ValueError, "empty string"),
        (" ViT-B-32/openai", ValueError, "blanks around it: write 'ViT-B-32/openai'"),
        ("ViT-B-32/openai\n", ValueError, "blanks around it: write 'ViT-B-32/openai'"),
        ("ViT-B-32 /openai", ValueError, "Did you mean 'ViT-B-32'"),
        ("vit-b-32/openai", ValueError, "did you mean 'ViT-B-32/openai'?"),
        ("ViT-B/32", ValueError, "did you mean 'ViT-B-32'?"),
        ("ViT-B/32/openai", ValueError, "did you mean 'ViT-B-32/openai'?"),
        ("ViT-B-33/openai", ValueError, "no architecture of open_clip. Did you mean 'ViT-B-32'"),
        ("acme/nothing-like-it", ValueError, "write 'hf-hub:acme/nothing-like-it'"),
        ("ViT-B-32", ValueError, "an architecture alone.*laion2b_s34b_b79k.*'ViT-B-32/random'"),
        ("ViT-B-32/", ValueError, "an architecture alone"),
        ("Tiny-ViT", ValueError, "it has none"),
        (
            "ViT-B-32/laion2b_s34b_b97k",
            ValueError,
            "Did you mean 'ViT-B-32/laion2b_s34b_b79k'.*'ViT-B-32/PATH'",
        ),
        ("ViT-B-32/no/such.pt", FileNotFoundError, r"No checkpoint file at .*such.pt"),
        ("ViT-B-32/w.safetensors", FileNotFoundError, r"No checkpoint file at .*w.safetensors"),
        ("ViT-B-32/C:\\models\\w", FileNotFoundError, r"No checkpoint file at .*models"),
        ("local-dir:no/such", FileNotFoundError, r"No folder at .*such"),
        ("hf-hub:", ValueError, "'hf-hub:ORG/NAME'"),
        ("hf-hub: org/name", ValueError, "'hf-hub:ORG/NAME'"),
        ("hf-hub:org/name/file", ValueError, "'hf-hub:ORG/NAME'"),
    ],
)
def test_a_name_that_cannot_be_right_says_what_would_be(model, error, message):
    with pytest.raises(error, match=message):
        check_model_name(model)


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("ViT-B-32/openai", "tag"),
        ("ViT-B-32/LAION2B-s34b-b79k", "tag"),  # as open_clip reads it
        ("ViT-B-32/random", "random"),
        ("hf-hub:org/name", "hub"),
    ],
)
def test_a_good_name_is_known_without_loading(model, form):
    assert check_model_name(model).form == form


def test_folders_and_empty_files_in_place_of_a_checkpoint_are_told_apart(tmp_path):
    with pytest.raises(ValueError, match=f"names the folder.*'local-dir:{tmp_path}'"):
        check_model_name(f"Tiny-ViT/{tmp_path}")
    with pytest.raises(ValueError, match="a path alone"):
        check_model_name(str(tmp_path))
    (tmp_path / "w.pt").touch()
    with pytest.raises(ValueError, match=r"w.pt .*is empty \(0 bytes\)"):
        check_model_name(f"Tiny-ViT/{tmp_path / 'w.pt'}")


def test_a_folder_that_lacks_a_part_says_which(tmp_path):
    name, config = f"local-dir:{tmp_path}", tmp_path / "open_clip_config.json"
    with pytest.raises(FileNotFoundError, match="has no open_clip_config.json"):
        check_model_name(name)
    for content in ("{", "[]", '{"embed_dim": 3}', '{"model_cfg": {}}'):
        config.write_text(content)
        with pytest.raises(ValueError, match="not a configuration of open_clip"):
            check_model_name(name)
    config.write_text(json.dumps({"model_cfg": CONFIGS["Tiny-ViT"]}))
    with pytest.raises(FileNotFoundError, match="has no weights"):
        check_model_name(name)
    (tmp_path / "model.bin").touch()
    with pytest.raises(FileNotFoundError, match="those here are empty"):
        check_model_name(name)


# --- weights that cannot be had or read ---


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "ViT-B-32/laion2b_s34b_b79k",
            "weights of.*s34B-b79K is not.*not answer.*ViT-B-32/FILE.*local-dir:PATH.*HF_HUB_CACHE",
        ),
        ("ViT-B-32/openai", "model='ViT-B-32-quickgelu/FILE'"),
        ("hf-hub:org/none", "open_clip_config.json of.*org/none.*does not answer.*local-dir:PATH"),
    ],
)
def test_what_cannot_be_had_is_named_with_what_works_offline(no_hub, tmp_path, model, message):
    with pytest.raises(FileNotFoundError, match=message) as raised:
        load_model(model, "cpu")
    assert str(tmp_path / "hub") in str(raised.value)
    assert len(no_hub) == 1


def test_a_file_is_advised_only_where_it_would_give_the_same_embeddings(no_hub):
    # The tags of ViT-L-14 disagree on how to prepare pictures.
    with pytest.raises(FileNotFoundError, match="and use model='local-dir:PATH'"):
        load_model("ViT-L-14/laion2b_s32b_b82k", "cpu")


def test_the_hub_is_not_asked_where_the_environment_forbids_it(no_hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE forbids to ask the hub"):
        load_model("ViT-B-32/openai", "cpu")
    assert not no_hub


def test_a_hub_that_answers_is_asked_and_its_answer_is_told(no_hub, monkeypatch, plain):
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(_models, "_hub_answers", lambda: True)
    offline = []

    def download(record, **kwargs):
        offline.append(constants.HF_HUB_OFFLINE)
        raise FileNotFoundError("404 Client Error")

    monkeypatch.setattr(open_clip.factory, "download_pretrained", download)
    with pytest.raises(FileNotFoundError, match="did not give it: 404 Client Error"):
        load_model("ViT-B-32/openai", "cpu")
    assert offline == [True, False]


@pytest.mark.parametrize("form", ["hub", "tag"])
@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_files_in_the_cache_of_the_hub_need_no_network(no_hub, tmp_path, plain, tag, form, suffix):
    network, preprocess, path = plain("Tiny-ViT")
    repository = tmp_path / "hub" / "models--org--tiny"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    config = {"model_cfg": CONFIGS["Tiny-ViT"]}
    (snapshot / "open_clip_config.json").write_text(json.dumps(config))
    if suffix == "bin":
        path.rename(snapshot / "open_clip_pytorch_model.bin")
    else:
        save = pytest.importorskip("safetensors.torch").save_file
        save(network.state_dict(), snapshot / "open_clip_model.safetensors")
    name = "hf-hub:org/tiny"
    if form == "tag":
        name = tag("Tiny-ViT", "mine", path)
        del open_clip.get_pretrained_cfg("Tiny-ViT", "mine")["file"]
    loaded = load_model(name, "cpu")
    assert np.abs(embed_loaded(loaded) - embed_plain(network, preprocess)).max() < 1e-6
    assert not no_hub


def test_a_missing_tokenizer_is_told_apart_from_missing_weights(no_hub, monkeypatch, plain):
    folder = folder_of(plain("Tiny-Sigmoid")[2], "Tiny-Sigmoid")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "org/siglip"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match="needs transformers: pip install 'gapremoval.clip.'"):
        load_model(f"local-dir:{folder}", "cpu")

    def no_tokenizer(*args, **kwargs):
        raise OSError("no tokenizer.json")

    monkeypatch.setattr(_models, "import_optional", lambda *args, **kwargs: None)
    monkeypatch.setattr(open_clip, "get_tokenizer", no_tokenizer)
    with pytest.raises(FileNotFoundError, match="The tokenizer of.*tokenizer's files"):
        load_model(f"local-dir:{folder}", "cpu")


def test_a_dead_network_is_noticed_within_the_limit():
    """By hand: 0 s for a name that is not found or a dead proxy, 5 s for one that hangs."""
    code = (
        "from gapremoval.encoders._models import load_model\n"
        "try: load_model('ViT-B-32/laion2b_s34b_b79k', 'cpu')\n"
        "except FileNotFoundError as error: print(error)"
    )
    dead = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), dead)
    environment = {**os.environ, **proxies, "HF_HUB_CACHE": os.devnull, "HF_HUB_OFFLINE": ""}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert "does not answer" in run.stdout, run.stderr


@pytest.mark.parametrize("content", [b"not a checkpoint", b"PK\x03\x04" + bytes(99)])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content, suffix):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"w.{suffix} cannot be read as the weights"):
        load_model(f"Tiny-ViT/{path}", "cpu")


@pytest.mark.parametrize("content", [{}, [1, 2], {"a": 1}, torch.zeros(3)])
def test_a_pickle_of_something_else_is_no_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="w.pt cannot be read as the weights"):
        load_model(f"Tiny-ViT/{tmp_path / 'w.pt'}", "cpu")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    torch.save(Harmful(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match="w.pt cannot be read as the weights"):
        load_model(f"Tiny-ViT/{tmp_path / 'w.pt'}", "cpu")
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_architecture_are_refused(plain):
    path = plain("Tiny-ViT")[2]
    with pytest.raises(ValueError, match="another architecture.*Missing key"):
        load_model(f"Tiny-ResNet/{path}", "cpu")


# --- devices ---


@pytest.mark.parametrize("device", ["cpu", "CPU", torch.device("cpu")])
def test_devices_are_taken_as_torch_takes_them(device):
    assert choose_device(device) == torch.device("cpu")


@pytest.fixture
def only_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:7", "MPS", "meta", 3.5, ["cpu"]])
def test_a_device_that_is_not_here_says_what_is(only_cpu, device):
    with pytest.raises(ValueError, match=r"Here there is cpu\..*set_params\(device=None\)"):
        choose_device(device)


def test_none_takes_cuda_then_mps_then_the_cpu(only_cpu, monkeypatch):
    assert choose_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device() == torch.device("mps")
    assert choose_device("MPS") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device() == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="Here there is cuda:0, cuda:1, mps, cpu"):
        choose_device("cuda:7")


def test_mps_that_answers_otherwise_leaves_the_network_on_the_cpu_with_one_warning(
    only_cpu, monkeypatch
):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(_models, "_fault_on", lambda loaded, device: "encode_image: cosine 0.41")
    with pytest.warns(UserWarning, match="stays on the CPU.*cosine 0.41") as caught:
        loaded = load_model("Tiny-ViT/random")
    assert len(caught) == 1
    assert loaded.device == torch.device("cpu")
    assert load_model("Tiny-ViT/random") is loaded  # and no second warning


class Deceptive:
    """A network whose copy, the one that moves to the device, answers with noise."""

    def __init__(self, network, part, is_copy=False):
        self.network, self.part, self.is_copy = network, part, is_copy

    def __deepcopy__(self, memo):
        return Deceptive(self.network, self.part, is_copy=True)

    def to(self, device):
        return self

    def __getattr__(self, name):
        if self.is_copy and name == self.part:
            return lambda rows: torch.rand(len(rows), 24) - 0.5
        return getattr(self.network, name)


@pytest.mark.parametrize("part", ["encode_text", "encode_image"])
def test_a_device_whose_forward_pass_is_noise_is_found_out(part):
    loaded, cpu = load_model("Tiny-ViT/random", "cpu"), torch.device("cpu")
    assert _models._fault_on(loaded, cpu) == ""
    noisy = dataclasses.replace(loaded, network=Deceptive(loaded.network, part))
    assert _models._fault_on(noisy, cpu).startswith(f"{part}: cosine")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_the_fingerprint_and_the_embeddings_are_those_of_the_cpu():
    here, there = load_model("Tiny-ViT/random", "cpu"), load_model("Tiny-ViT/random", "cuda")
    assert here.fingerprint == there.fingerprint
    assert there.device == torch.device("cuda:0")
    tokens, _ = here.tokenize(TEXTS)
    with torch.inference_mode():
        torch.testing.assert_close(
            there.encode_text(tokens.cuda()).cpu(), here.encode_text(tokens), atol=1e-3, rtol=1e-3
        )

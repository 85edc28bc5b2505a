import json
import logging
import shutil
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("open_clip")

import huggingface_hub
import open_clip
from networks import CONFIGS, TEXT, embed_loaded, embed_plain, folder_of

from gapremoval import SentenceTransformerEncoder
from gapremoval.encoders._clip_model import load_model

pytestmark = pytest.mark.usefixtures("nothing_loaded")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with an empty cache that never answers, and a list of who asked it."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    class Hub:
        asked = []
        answers = False

        def head(self, url, timeout):
            self.asked.append(url)
            if not self.answers:
                raise OSError("no network")

        def folder(self, repository):
            """A folder of the cache for the files of a repository."""
            path = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
            (path / "refs").mkdir(parents=True)
            (path / "refs" / "main").write_text("a" * 40)
            snapshot = path / "snapshots" / ("a" * 40)
            snapshot.mkdir(parents=True)
            return snapshot

    hub = Hub()
    monkeypatch.setattr(huggingface_hub.utils, "get_session", lambda: hub)
    return hub


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "ViT-B-32/laion2b_s34b_b79k",
            "weights of.*s34B-b79K is not in.*not answer.*local-dir:PATH.*HF_HUB_CACHE",
        ),
        ("ViT-B-32/openai", "weights of.*timm/vit_base_patch32_clip_224.openai is not in"),
        ("ViTamin-S/datacomp1b", "pytorch_model.bin of jienengchen/ViTamin-S is not in"),
        ("hf-hub:org/none", "weights of.*org/none.*does not answer.*local-dir:PATH"),
    ],
)
def test_what_cannot_be_had_is_named_with_what_works_offline(hub, tmp_path, model, message):
    with pytest.raises(FileNotFoundError, match=message) as raised:
        load_model(model, "cpu")
    assert str(tmp_path / "hub") in str(raised.value)
    assert len(hub.asked) == 1


def test_the_hub_is_not_asked_where_the_environment_forbids_it(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE forbids a download"):
        load_model("ViT-B-32/openai", "cpu")
    assert not hub.asked


def test_a_hub_that_answers_is_asked_and_its_answer_is_told(hub, monkeypatch):
    hub.answers = True

    def download(record, **kwargs):
        assert record == open_clip.get_pretrained_cfg("ViT-B-32", "openai")
        raise FileNotFoundError("404 Client Error")

    monkeypatch.setattr(open_clip, "download_pretrained", download)
    with pytest.raises(FileNotFoundError, match="download from .* failed: 404 Client Error"):
        load_model("ViT-B-32/openai", "cpu")


@pytest.mark.parametrize("form", ["hub", "tag"])
@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_files_in_the_cache_of_the_hub_need_no_network(hub, no_network, plain, tag, form, suffix):
    network, preprocess, path = plain("tiny-vit")
    snapshot = hub.folder("org/tiny")
    config = {"model_cfg": CONFIGS["tiny-vit"]}
    (snapshot / "open_clip_config.json").write_text(json.dumps(config))
    if suffix == "bin":
        path.rename(snapshot / "open_clip_pytorch_model.bin")
    else:
        save = pytest.importorskip("safetensors.torch").save_file
        save(network.state_dict(), snapshot / "open_clip_model.safetensors")
        (snapshot / "open_clip_pytorch_model.bin").write_text("not preferred")
    name = "hf-hub:org/tiny"
    if form == "tag":
        name = tag("tiny-vit", "mine", path)
        del open_clip.get_pretrained_cfg("tiny-vit", "mine")["file"]
    loaded = load_model(name, "cpu")
    assert np.abs(embed_loaded(loaded) - embed_plain(network, preprocess)).max() < 1e-6
    assert not hub.asked


def test_a_missing_file_of_a_repository_is_downloaded_beside_those_that_are_there(
    hub, monkeypatch, plain
):
    path = plain("tiny-vit")[2]
    snapshot = hub.folder("org/tiny")
    path.rename(snapshot / "open_clip_pytorch_model.bin")
    hub.answers, asked = True, []

    def download(repository, *, allow_patterns):
        asked.append((repository, allow_patterns))
        config = {"model_cfg": CONFIGS["tiny-vit"]}
        (snapshot / "open_clip_config.json").write_text(json.dumps(config))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert load_model("hf-hub:org/tiny", "cpu").n_features == 24
    assert asked == [("org/tiny", ["open_clip_config.json"])]


def save_tokenizer(folder):
    """Save a tokenizer of transformers that knows two words."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2, "two": 3, "dogs": 4}
    fast = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    fast.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def folder_with_tokenizer(path, **tokenizer_kwargs):
    """A model's folder whose configuration names a tokenizer on the hub."""
    folder = folder_of(path, "tiny-last")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] |= {
        "hf_tokenizer_name": "org/siglip",
        "tokenizer_kwargs": {"clean": "canonicalize", **tokenizer_kwargs},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("place", ["beside the weights", "in the cache"])
def test_a_tokenizer_of_transformers_needs_no_network(hub, no_network, plain, place):
    pytest.importorskip("transformers")
    folder = folder_with_tokenizer(plain("tiny-last")[2])
    save_tokenizer(folder if place == "beside the weights" else hub.folder("org/siglip"))
    loaded = load_model(f"local-dir:{folder}", "cpu")
    tokens, lengths = loaded.tokenize(["Two, dogs!", "", "two " * 30])
    assert tokens.shape == (3, 16)
    assert tokens[0].tolist() == [3, 4, 1] + [0] * 13
    assert lengths.tolist() == [3, 1, 31]
    assert not loaded.can_trim
    assert not hub.asked


def test_a_missing_tokenizer_is_told_apart_from_missing_weights(hub, monkeypatch, plain):
    folder = folder_with_tokenizer(plain("tiny-last")[2])
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "transformers", None)
        with pytest.raises(ImportError, match="needs transformers: pip install 'gapremoval.clip.'"):
            load_model(f"local-dir:{folder}", "cpu")
    pytest.importorskip("transformers")
    message = "The tokenizer of.*tokenizer_config.json of org/siglip is not in.*tokenizer's files"
    with pytest.raises(FileNotFoundError, match=message):
        load_model(f"local-dir:{folder}", "cpu")


def test_no_code_beside_a_tokenizer_is_run_whatever_the_configuration_says(hub, plain, tmp_path):
    pytest.importorskip("transformers")
    folder = folder_with_tokenizer(plain("tiny-last")[2], trust_remote_code=True)
    (folder / "harmful.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n")
    names = {"tokenizer_class": "Harmful", "auto_map": {"AutoTokenizer": ["harmful.Harmful", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    with pytest.raises(ValueError, match="(?s)code beside it is never run.*trust_remote_code"):
        load_model(f"local-dir:{folder}", "cpu")
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def tower(hub, tmp_path):
    """An architecture whose text tower is one of transformers, and its folder in the cache."""
    transformers = pytest.importorskip("transformers")
    folder = hub.folder("org/tower")
    sizes = {"vocab_size": 9, "hidden_size": 16, "intermediate_size": 16, "pad_token_id": 0}
    sizes |= {"num_hidden_layers": 1, "num_attention_heads": 2}
    transformers.RobertaConfig(**sizes).save_pretrained(folder)
    save_tokenizer(folder)
    names = {"hf_model_name": "org/tower", "hf_tokenizer_name": "org/tower"}
    pooling = {"hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"}
    text = {"context_length": TEXT["context_length"], **names, **pooling}
    (tmp_path / "tiny-tower.json").write_text(json.dumps({**CONFIGS["tiny-vit"], "text_cfg": text}))
    open_clip.add_model_config(tmp_path / "tiny-tower.json")
    return folder


def test_a_text_tower_of_transformers_needs_no_network(hub, no_network, tower):
    loaded = load_model("tiny-tower/random", "cpu")
    tokens, lengths = loaded.tokenize(["two dogs", "two"])
    assert lengths.tolist() == [3, 2]
    assert loaded.encode_text(tokens).shape == (2, 24)
    assert not loaded.can_trim
    assert loaded.settings["model"]["text_cfg"]["hf_model_name"] == "org/tower"
    assert not hub.asked


def test_no_code_beside_a_text_tower_is_run(hub, tower, tmp_path):
    (tower / "harmful.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n")
    config = json.loads((tower / "config.json").read_text())
    config |= {"model_type": "harmful", "auto_map": {"AutoConfig": "harmful.Harmful"}}
    (tower / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_model("tiny-tower/random", "cpu")
    assert not (tmp_path / "ran").exists()


def test_a_hub_that_cannot_be_reached_is_noticed(monkeypatch, tmp_path):
    """By hand: 0 s for a name that is not found or a dead proxy, 5 s for one that hangs."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FileNotFoundError, match=r"http://127.0.0.1:9 does not answer"):
        load_model("ViT-B-32/laion2b_s34b_b79k", "cpu")


def test_other_threads_feel_nothing_of_a_load(hub, plain, monkeypatch, capfd):
    path = plain("tiny-vit")[2]
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    capfd.readouterr()
    seen = []

    def look():
        logging.getLogger("another").warning("still heard")
        seen.append((huggingface_hub.constants.HF_HUB_OFFLINE, open_clip.factory.logging))

    def beside_another_thread(function):
        def call(*args, **kwargs):
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            return function(*args, **kwargs)

        return call

    for name in ("create_model", "get_tokenizer"):
        monkeypatch.setattr(open_clip, name, beside_another_thread(getattr(open_clip, name)))
    load_model(f"tiny-vit/{path}", "cpu")
    load_model("tiny-resnet/random", "cpu")
    with pytest.raises(ValueError, match="cannot be read"):
        load_model(f"tiny-resnet/{path}", "cpu")
    assert seen == [(False, logging)] * 6
    assert root.handlers == []
    assert capfd.readouterr().err == "still heard\n" * 6


def test_a_log_that_the_program_configured_hears_of_the_loading(caplog):
    with caplog.at_level(logging.INFO):
        load_model("tiny-vit/random", "cpu")
    assert "Model initialized randomly" in caplog.text
    assert Path(caplog.records[0].pathname).parent.name == "open_clip"


# --- models of sentence-transformers ---


@pytest.fixture
def repository(hub, sentence_models):
    """Fill the cache with the files of a tiny model, as if they had been downloaded."""

    def fill(name, *, except_for=()):
        snapshot = hub.folder(name)
        for file in Path(sentence_models["clip"]).iterdir():
            if file.name not in except_for:
                shutil.copy(file, snapshot / file.name)
        return snapshot

    return fill


@pytest.mark.parametrize("name", ["org/tiny", "tiny"])
def test_a_cached_repository_of_sentence_transformers_needs_no_network(
    hub, no_network, repository, name
):
    repository(name if "/" in name else f"sentence-transformers/{name}")
    rows = SentenceTransformerEncoder(name, device="cpu").transform(["two dogs"])
    assert rows.encoder.startswith(f"st:{name} @ ")
    assert not hub.asked


def test_a_repository_that_cannot_be_had_is_named_within_seconds(hub):
    encoder = SentenceTransformerEncoder("org/none", device="cpu").fit(["a"])
    with pytest.raises(FileNotFoundError, match="files of.*org/none.*the folder as model"):
        encoder.transform(["a"])
    assert len(hub.asked) == 1


def test_an_interrupted_download_of_a_repository_is_completed(hub, repository, monkeypatch):
    snapshot = repository("org/tiny", except_for={"model.safetensors"})
    encoder = SentenceTransformerEncoder("org/tiny", device="cpu")
    with pytest.raises(FileNotFoundError, match="does not answer"):
        encoder.transform(["a"])
    hub.answers = True

    def download(name, *, revision, token, ignore_patterns):
        assert (name, revision, token) == ("org/tiny", None, None)
        return str(repository("org/whole"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert encoder.transform(["a"]).shape == (1, 24)
    assert not (snapshot / "model.safetensors").exists()

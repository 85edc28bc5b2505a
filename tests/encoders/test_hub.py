import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("open_clip")

import open_clip
from networks import CONFIGS, embed_loaded, embed_plain, folder_of

from gapremoval.encoders import _hub, _models
from gapremoval.encoders._models import load_model

pytestmark = pytest.mark.usefixtures("nothing_loaded")


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub with an empty cache that never answers, and a count of who asked it."""
    asked = []
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_hub, "_hub_answers", lambda: asked.append(1))
    return asked


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
    monkeypatch.setattr(_hub, "_hub_answers", lambda: True)
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
    network, preprocess, path = plain("tiny-vit")
    repository = tmp_path / "hub" / "models--org--tiny"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    config = {"model_cfg": CONFIGS["tiny-vit"]}
    (snapshot / "open_clip_config.json").write_text(json.dumps(config))
    if suffix == "bin":
        path.rename(snapshot / "open_clip_pytorch_model.bin")
    else:
        save = pytest.importorskip("safetensors.torch").save_file
        save(network.state_dict(), snapshot / "open_clip_model.safetensors")
    name = "hf-hub:org/tiny"
    if form == "tag":
        name = tag("tiny-vit", "mine", path)
        del open_clip.get_pretrained_cfg("tiny-vit", "mine")["file"]
    loaded = load_model(name, "cpu")
    assert np.abs(embed_loaded(loaded) - embed_plain(network, preprocess)).max() < 1e-6
    assert not no_hub


def test_a_missing_tokenizer_is_told_apart_from_missing_weights(no_hub, monkeypatch, plain):
    folder = folder_of(plain("tiny-last")[2], "tiny-last")
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

import gc
import hashlib
import json
import os
import pickle
import threading
import weakref

import numpy as np
import pytest

pytest.importorskip("open_clip")

import open_clip
import torch
from networks import CONFIGS, TEXTS, embed_loaded, embed_plain, folder_of, picture
from PIL import Image

from gapremoval import CLIPEncoder
from gapremoval.encoders import _clip_model, _models
from gapremoval.encoders._clip_model import load_model

pytestmark = pytest.mark.usefixtures("nothing_loaded")


@pytest.mark.parametrize("architecture", CONFIGS)
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
    size = CONFIGS[architecture]["vision_cfg"]["image_size"]
    assert loaded.preprocess(picture()).shape == (3, size, size)


def test_half_precision_checkpoints_run_in_float32(plain):
    network, _, path = plain("tiny-vit")
    torch.save(network.half().state_dict(), path)
    loaded = load_model(f"tiny-vit/{path}", "cpu")
    assert {p.dtype for p in loaded.network.parameters()} == {torch.float32}


def test_random_weights_are_the_same_in_every_load_and_leave_the_users_seed_alone():
    torch.manual_seed(3)
    want = torch.rand(2)
    torch.manual_seed(3)
    first = load_model("tiny-vit/random", "cpu")
    assert torch.equal(torch.rand(2), want)
    _models._networks.clear()
    assert load_model("tiny-vit/random", "cpu").fingerprint == first.fingerprint


@pytest.mark.parametrize("architecture", ["tiny-vit", "tiny-vit-quickgelu"])
def test_a_tag_recorded_as_quick_gelu_runs_with_it_whatever_the_architecture(
    plain, tag, architecture
):
    network, preprocess, path = plain("tiny-vit-quickgelu")
    loaded = load_model(tag(architecture, "openai", path, quick_gelu=True), "cpu")
    assert np.array_equal(embed_loaded(loaded), embed_plain(network, preprocess))
    by_file = load_model(f"tiny-vit-quickgelu/{path}", "cpu")
    assert by_file.fingerprint == loaded.fingerprint


def test_an_architecture_whose_own_configuration_says_quick_gelu_keeps_it(plain, tag):
    network, preprocess, path = plain("tiny-vit-quickgelu")
    loaded = load_model(tag("tiny-vit-quickgelu", "plain", path), "cpu")
    assert np.array_equal(embed_loaded(loaded), embed_plain(network, preprocess))


def test_pictures_are_prepared_for_a_file_as_for_the_tags_of_its_architecture(plain, tag):
    path = plain("tiny-last")[2]
    half = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash"}
    name = tag("tiny-last", "webli", path, **half)
    by_tag, by_file = load_model(name, "cpu"), load_model(f"tiny-last/{path}", "cpu")
    assert torch.equal(by_tag.preprocess(picture()), by_file.preprocess(picture()))
    assert float(by_tag.preprocess(Image.new("RGB", (9, 9), "white")).min()) == 1
    # Tags that disagree say nothing about a file: it gets what open_clip gives it.
    tag("tiny-last", "other", path)
    _models._networks.clear()
    by_file = load_model(f"tiny-last/{path}", "cpu")
    _, preprocess, _ = plain("tiny-last")
    assert torch.equal(by_file.preprocess(picture()), preprocess(picture()))


def test_a_folder_prepares_pictures_as_its_configuration_says(plain):
    path = plain("tiny-vit")[2]
    folder = folder_of(path, "tiny-vit", preprocess_cfg={"mean": [0.5] * 3, "std": [0.5] * 3})
    loaded = load_model(f"local-dir:{folder}", "cpu")
    assert float(loaded.preprocess(Image.new("RGB", (9, 9), "white")).min()) == 1


# --- texts ---


@pytest.mark.parametrize("architecture", CONFIGS)
def test_tokens_are_those_of_open_clip_and_lengths_tell_which_texts_are_cut(architecture):
    loaded = load_model(f"{architecture}/random", "cpu")
    texts = [*TEXTS, "word " * 14, "word " * 15, "!", "<end_of_text> dogs !", "x" * 9999]
    tokens, lengths = loaded.tokenize(texts)
    assert torch.equal(tokens, open_clip.tokenize(texts, 16))
    assert lengths.tolist() == [2, 4, 7, 17, 16, 17, 3, 5, 17]
    tokens, lengths = loaded.tokenize([])
    assert tokens.shape == (0, 16)
    assert tokens.dtype == torch.int64
    assert lengths.shape == (0,)


@pytest.mark.parametrize("architecture", ["tiny-vit", "tiny-resnet", "tiny-custom"])
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


@pytest.mark.parametrize("version", ["2.32.0", "3.30.0", "4.0.0"])
def test_nothing_is_trimmed_in_a_version_of_open_clip_that_is_not_known(version, monkeypatch):
    monkeypatch.setattr(open_clip, "__version__", version)
    loaded = load_model("tiny-vit/random", "cpu")
    assert not loaded.can_trim
    tokens = loaded.tokenize(TEXTS)[0]
    with torch.inference_mode():
        assert torch.equal(loaded.encode_text(tokens), loaded.network.encode_text(tokens))
    encoder = CLIPEncoder("tiny-vit/random", device="cpu")
    alone = encoder.transform(["two dogs"]).values[0]
    assert alone @ encoder.transform([*TEXTS[:3]]).values[1] == pytest.approx(1)


def test_the_trimming_is_known_for_the_open_clip_that_is_installed():
    assert load_model("tiny-vit/random", "cpu").can_trim


def test_a_tower_that_looks_at_the_padding_is_never_trimmed():
    loaded = load_model("tiny-last/random", "cpu")
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
    loaded = _clip_model.CLIPModel(None, None, None, tokenizer, {})
    tokens, lengths = loaded.tokenize(["Two, dogs!", "", "a b c d e f"])
    assert tokens.tolist() == [[3, 4, 9, 1], [9, 1, 1, 1], [1, 1, 1, 1]]
    assert lengths.tolist() == [3, 1, 7]


# --- fingerprints and the cache of networks ---


def test_the_fingerprint_follows_weights_and_settings_and_not_the_name(plain):
    network, _, path = plain("tiny-vit")
    first = load_model(f"tiny-vit/{path}", "cpu").fingerprint
    assert len(first) == hashlib.sha256().digest_size * 2
    other = path.with_name("copy.pt")
    other.write_bytes(path.read_bytes())
    assert load_model(f"tiny-vit/{other}", "cpu").fingerprint == first
    assert load_model(f"tiny-vit-quickgelu/{path}", "cpu").fingerprint != first
    weights = network.state_dict()
    weights["ln_final.bias"] = weights["ln_final.bias"].clone()
    weights["ln_final.bias"][0] += 1e-3
    torch.save(weights, other)
    assert load_model(f"tiny-vit/{other}", "cpu").fingerprint != first
    folder = folder_of(path, "tiny-vit", preprocess_cfg={"resize_mode": "squash"})
    assert load_model(f"local-dir:{folder}", "cpu").fingerprint != first


def test_a_network_is_loaded_once_and_anew_where_its_file_changed(plain):
    network, _, path = plain("tiny-vit")
    first = load_model(f"tiny-vit/{path}", "cpu")
    assert load_model(f"tiny-vit/{path}", torch.device("cpu")) is first
    torch.save({name: 2 * values for name, values in network.state_dict().items()}, path)
    os.utime(path, ns=(1, 1))
    assert load_model(f"tiny-vit/{path}", "cpu") is not first


def test_two_networks_are_kept_and_the_one_used_longest_ago_goes():
    first = load_model("tiny-vit/random", "cpu")
    second = weakref.ref(load_model("tiny-resnet/random", "cpu"))
    assert load_model("tiny-vit/random", "cpu") is first
    load_model("tiny-custom/random", "cpu")
    gc.collect()
    assert second() is None
    assert load_model("tiny-vit/random", "cpu") is first


def test_threads_that_ask_at_once_load_once(monkeypatch):
    built, build = [], open_clip.create_model
    monkeypatch.setattr(
        open_clip, "create_model", lambda *args, **kwargs: built.append(1) or build(*args, **kwargs)
    )
    start, loaded = threading.Barrier(4), []

    def ask():
        start.wait()
        loaded.append(load_model("tiny-vit/random", "cpu"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert len(set(loaded)) == 1


# --- weights that cannot be read ---


@pytest.mark.parametrize("content", [b"not a checkpoint", b"PK\x03\x04" + bytes(99)])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content, suffix):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"w.{suffix} cannot be read as the weights"):
        load_model(f"tiny-vit/{path}", "cpu")


@pytest.mark.parametrize("content", [{}, [1, 2], {"a": 1}, torch.zeros(3)])
def test_a_pickle_of_something_else_is_no_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="w.pt cannot be read as the weights"):
        load_model(f"tiny-vit/{tmp_path / 'w.pt'}", "cpu")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    torch.save(Harmful(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match="w.pt cannot be read as the weights"):
        load_model(f"tiny-vit/{tmp_path / 'w.pt'}", "cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("written_by", ["pickle", "torch.save", "the old torch.save"])
@pytest.mark.parametrize("form", ["file", "folder"])
def test_no_code_in_a_checkpoint_is_run(tmp_path, written_by, form):
    class Harmful:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "open_clip_pytorch_model.bin"
    content = {"state_dict": {"logit_scale": torch.zeros(()), "visual.proj": Harmful()}}
    if written_by == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        new = written_by == "torch.save"
        torch.save(content, path, _use_new_zipfile_serialization=new)
    config = {"model_cfg": CONFIGS["tiny-vit"], "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    name = f"tiny-vit/{path}" if form == "file" else f"local-dir:{folder}"
    with pytest.raises(ValueError, match="cannot be read as the weights"):
        load_model(name, "cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("version", ["2.5.1+cu121", "1.13.0"])
def test_a_torch_with_which_checkpoints_may_run_code_is_refused(monkeypatch, plain, version):
    path = plain("tiny-vit")[2]
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)(version))
    with pytest.raises(ImportError, match=rf"2.6 or later; this is {version[:4]}.*pip install"):
        load_model(f"tiny-vit/{path}", "cpu")


@pytest.mark.parametrize("version", ["2.6.0", "2.10.1", "3.0.0+cpu"])
def test_later_versions_of_torch_are_taken(monkeypatch, version):
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)(version))
    assert load_model("tiny-vit/random", "cpu").n_features == 24


def test_weights_of_another_architecture_are_refused(plain):
    path = plain("tiny-vit")[2]
    with pytest.raises(ValueError, match="another architecture.*Missing key"):
        load_model(f"tiny-resnet/{path}", "cpu")

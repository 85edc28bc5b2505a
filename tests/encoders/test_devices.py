import dataclasses
import json
import re
import threading

import pytest

pytest.importorskip("open_clip")

import open_clip
import torch
from forked import child_pool, needs_fork
from networks import CONFIGS, TEXTS

from gapremoval import CLIPEncoder
from gapremoval.contents._locks import process_lock
from gapremoval.encoders import _devices
from gapremoval.encoders._clip_model import load_model
from gapremoval.encoders._devices import choose_device

pytestmark = pytest.mark.usefixtures("nothing_loaded")


@pytest.mark.parametrize("device", ["cpu", "CPU", torch.device("cpu")])
def test_devices_are_taken_as_torch_takes_them(device):
    assert choose_device(device) == torch.device("cpu")


@pytest.fixture
def only_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:7", "MPS", "meta", 3.5, ["cpu"]])
def test_a_device_that_is_not_here_says_what_is(only_cpu, device):
    with pytest.raises(ValueError, match=r"Available here: cpu\..*set_params\(device=None\)"):
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
    with pytest.raises(ValueError, match="Available here: cuda:0, cuda:1, mps, cpu"):
        choose_device("cuda:7")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="needs an MPS that fails")
def test_mps_that_fails_leaves_the_network_on_the_cpu_with_one_warning(only_cpu, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.warns(UserWarning, match="stays on the CPU.*selects the other") as caught:
        loaded = load_model("tiny-vit/random")
    assert len(caught) == 1
    assert loaded.device == torch.device("cpu")
    assert load_model("tiny-vit/random") is loaded  # and no second warning
    CLIPEncoder("tiny-vit/random").transform(["two dogs"])  # nor one from the encoder


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
    loaded, cpu = load_model("tiny-last/random", "cpu"), torch.device("cpu")
    assert _devices._fault_on(loaded, cpu) == ""
    noisy = dataclasses.replace(loaded, network=Deceptive(loaded.network, part))
    assert _devices._fault_on(noisy, cpu).startswith(f"{part.removeprefix('encode_')}: cosine")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_the_fingerprint_and_the_embeddings_are_those_of_the_cpu():
    here, there = load_model("tiny-vit/random", "cpu"), load_model("tiny-vit/random", "cuda")
    assert here.fingerprint == there.fingerprint
    assert there.device == torch.device("cuda:0")
    tokens, _ = here.tokenize(TEXTS)
    with torch.inference_mode():
        torch.testing.assert_close(
            there.encode_text(tokens.cuda()).cpu(), here.encode_text(tokens), atol=1e-3, rtol=1e-3
        )


def embed(text):
    loaded = load_model("forked/random", "cpu")
    with torch.inference_mode():
        return loaded.encode_text(loaded.tokenize([text] * 16)[0]).numpy()


def embed_in_a_thread(text):
    rows = []
    thread = threading.Thread(target=lambda: rows.append(embed(text)))
    thread.start()
    thread.join()
    return rows[0]


def call_in_children(function, argument):
    with child_pool() as pool:
        return pool.map_async(function, [argument] * 4).get(timeout=60)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_network_used_before_a_fork_answers_in_the_children(tmp_path):
    # Large enough for torch to share the work between threads, which a fork leaves behind.
    text = {"context_length": 77, "width": 256, "heads": 4, "layers": 2}
    (tmp_path / "forked.json").write_text(json.dumps({**CONFIGS["tiny-vit"], "text_cfg": text}))
    open_clip.add_model_config(tmp_path)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        want = embed("two dogs")
        with process_lock("load"):  # as if another thread of the parent were loading
            for function in (embed, embed_in_a_thread):
                for rows in call_in_children(function, "two dogs"):
                    assert abs(rows - want).max() < 1e-4
    finally:
        torch.set_num_threads(n_threads)


def message_of_a_load_on_mps(model):
    torch.backends.mps.is_available = lambda: True
    try:
        load_model(model, "mps")
    except RuntimeError as error:
        return str(error)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_gpu_used_before_a_fork_is_one_clear_error():
    for message in call_in_children(message_of_a_load_on_mps, "tiny-vit/random"):
        assert re.search("forked.*'spawn'.*device='cpu'", message)

"""CLIPEncoder names its weights, and a pipeline refuses others than those it was fitted with."""

import re

import numpy as np
import pytest

pytest.importorskip("open_clip")

import torch
from networks import picture

from gapremoval import CLIPEncoder, Query, add_documents, make_search_pipeline, search

pytestmark = pytest.mark.usefixtures("nothing_loaded")

NOTES = [f"note {i} of {word}" for i in range(8) for word in ("dogs", "snow")]
TINY = {"device": "cpu", "batch_size": 8}


def fitted(model, **parameters):
    encoder = CLIPEncoder(model, **TINY | parameters)
    items = [*NOTES, Query("which dogs?")]
    return make_search_pipeline(encoder).fit(items, [*range(len(NOTES)), None])


def encoder_of(model, **parameters):
    return CLIPEncoder(model, **TINY | parameters).transform(["a note"]).encoder


def test_the_name_is_that_of_the_model_and_its_weights():
    name = encoder_of("tiny-vit/random")
    assert re.fullmatch("tiny-vit/random @ [0-9a-f]{16}", name)
    assert name != encoder_of("tiny-vit-quickgelu/random")


@pytest.mark.parametrize(
    "parameters",
    [{"precision": "bfloat16"}, {"batch_size": 1}, {"output": "torch"}, {"device": None}],
)
def test_the_same_weights_are_taken_whatever_computes_with_them(parameters):
    pipe = fitted("tiny-vit/random")
    pipe.set_params(**{f"clipencoder__{name}": value for name, value in parameters.items()})
    assert search(pipe, NOTES[3], 1).ids.tolist() == [[3]]


@pytest.mark.parametrize("other", ["tiny-vit-quickgelu/random", "pocket"])
def test_another_model_is_refused(other):
    pipe = fitted("tiny-vit/random").set_params(clipencoder__model=other)
    both = f"encoded by '{other} @ [0-9a-f]*'.*by 'tiny-vit/random @ [0-9a-f]*'"
    for ask in ("two dogs", Query(text="two dogs", image=picture()), picture()):
        with pytest.raises(ValueError, match=both):
            search(pipe, ask)
    with pytest.raises(ValueError, match=both):
        add_documents(pipe, ["a new note"], [100])


def test_other_weights_in_the_same_file_are_refused(plain):
    network, _, path = plain("tiny-vit")
    pipe = fitted(model := f"tiny-vit/{path}")
    before = search(pipe, NOTES[3], 3)
    old = path.read_bytes()
    with torch.no_grad():
        network.text_projection += 1
    torch.save(network.state_dict(), path)
    with pytest.raises(ValueError, match=f"encoded by '{model} @ .*by '{model} @ "):
        search(pipe, NOTES[3], 3)
    path.write_bytes(old)
    np.testing.assert_array_equal(search(pipe, NOTES[3], 3).scores, before.scores)


def test_weights_that_were_moved_are_taken(plain):
    _, _, path = plain("tiny-vit")
    pipe = fitted(f"tiny-vit/{path}")
    moved = path.rename(path.with_name("moved.pt"))
    assert search(pipe.set_params(clipencoder__model=f"tiny-vit/{moved}"), NOTES[3], 1).ids == 3


def test_weights_are_read_for_their_name_once(monkeypatch):
    encoder = CLIPEncoder("tiny-vit/random", **TINY)
    name = encoder.transform(["a note"]).encoder
    monkeypatch.setattr(torch.nn.Module, "state_dict", None)
    assert encoder.transform(["another note"]).encoder == name

import functools
import json
import pickle
import runpy
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

pytest.importorskip("open_clip")

import open_clip
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import gapremoval.datasets
from gapremoval import (
    CLIPEncoder,
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    search,
)
from gapremoval.datasets import make_scenes
from gapremoval.encoders._clip_model import load_model

FOLDER = Path(gapremoval.__file__).parent / "encoders" / "pocket"
TRAINING = Path(__file__).parents[2] / "benchmarks" / "train_pocket.py"
WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def encoder():
    return CLIPEncoder("pocket", device="cpu")


@pytest.fixture(scope="module")
def unseen():
    """Scenes of a seed of their own; training took all of its scenes from another."""
    return make_scenes(500, random_state=7)


@pytest.fixture(scope="module")
def rows(encoder, unseen):
    """Embeddings of the pictures, and of each kind of caption."""
    images = encoder.transform(unseen.images).values
    return images, [encoder.transform(list(texts)).values for texts in zip(*unseen.captions)]


@pytest.fixture(scope="module")
def pipe(encoder, unseen):
    """A fitted pipeline: scenes 0 to 99 are texts, 100 to 199 images; 200 to 299 ask."""
    documents = [captions[0] for captions in unseen.captions[:100]] + unseen.images[100:200]
    questions = [Query(captions[1]) for captions in unseen.captions[200:300]]
    steps = (ModalityGapRemover(), MixedModalityRetriever())
    return make_pipeline(encoder, *steps).fit(
        documents + questions, [*range(200), *[None] * len(questions)]
    )


def recall_at_1(queries, documents):
    return np.mean(np.argmax(queries @ documents.T, axis=1) == np.arange(len(queries)))


def test_a_caption_finds_its_picture_among_500_unseen(rows):
    images, texts = rows
    for kind in texts:
        assert recall_at_1(kind, images) >= 0.9
        assert recall_at_1(images, kind) >= 0.9


def test_there_is_a_gap(rows):
    images, texts = rows
    for kind in texts:
        assert np.linalg.norm(kind.mean(axis=0) - images.mean(axis=0)) >= 0.7


@pytest.mark.parametrize("start", [0, 250])
def test_the_gap_hides_pictures_from_texts_and_removing_it_finds_them(rows, start):
    """Every other scene is an image, the others are texts; each is asked for by a text."""
    part = slice(start, start + 250)
    images, (told, asked) = rows[0][part], [kind[part] for kind in rows[1][:2]]
    is_image = np.arange(250) % 2 == 1
    documents = {"image": images[is_image], "text": told[~is_image]}
    ids = [*np.flatnonzero(is_image), *np.flatnonzero(~is_image)]
    X = EmbeddingArray.concatenate({**documents, "query:text": asked[::2]})
    ndcg = {}
    for steps in ([], [ModalityGapRemover()]):
        pipe = make_pipeline(*steps, MixedModalityRetriever()).fit(X, [*ids, *[None] * 125])
        for answer, which in (("image", is_image), ("text", ~is_image)):
            queries = EmbeddingArray(asked[which], "query:text")
            ndcg[answer, len(steps)] = pipe.score(queries, np.flatnonzero(which))
    assert ndcg["image", 0] <= 0.1
    assert ndcg["image", 1] >= 0.85
    assert min(ndcg["text", 0], ndcg["text", 1]) >= 0.9


def test_it_searches_texts_and_pictures_together(pipe, unseen):
    asked = [captions[2] for captions in unseen.captions[:200]]
    found = search(pipe, asked, 10)
    is_found = (found.ids == np.arange(200)[:, None]).any(axis=1)
    assert is_found[:100].mean() > 0.95
    assert is_found[100:].mean() > 0.9
    by_picture = search(pipe, unseen.images[150], 1)
    assert by_picture.ids.tolist() == [[150]]


def test_it_is_open_clips_own_network(unseen, encoder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    name = f"local-dir:{FOLDER}"
    network, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name, bpe_path=str(FOLDER / "bpe_merges.txt.gz"))
    with torch.inference_mode():
        texts = network.eval().encode_text(tokenizer(unseen.captions[0]), normalize=True)
        image = network.encode_image(preprocess(unseen.images[0])[None], normalize=True)
    want = torch.cat([texts, image]).numpy()
    have = encoder.transform([*unseen.captions[0], unseen.images[0]]).values
    assert np.abs(have - want).max() < 1e-6


def test_a_copy_of_its_folder_gives_the_same_rows_by_the_same_fingerprint(
    tmp_path, encoder, unseen, nothing_loaded
):
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    copied = CLIPEncoder(f"local-dir:{tmp_path}", device="cpu")
    items = [unseen.captions[0][0], unseen.images[0]]
    assert np.array_equal(copied.transform(items).values, encoder.transform(items).values)
    both = (load_model(name, "cpu").fingerprint for name in ("pocket", copied.model))
    assert len(set(both)) == 1


def test_it_asks_no_network(monkeypatch, nothing_loaded, unseen):
    def refuse(*args, **kwargs):
        raise AssertionError("the pocket model asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    rows = CLIPEncoder("pocket", device="cpu").fit_transform(["a red circle", unseen.images[0]])
    assert rows.values.shape == (2, 128)


@settings(max_examples=10)
@given(st.lists(st.text(max_size=40), min_size=10, max_size=20))
def test_any_text_has_an_embedding(texts):
    rows = CLIPEncoder("pocket", device="cpu").transform([text + "?" for text in texts])
    np.testing.assert_allclose(np.linalg.norm(rows.values, axis=1), 1, atol=1e-5)


def test_words_of_captions_are_clips_tokens(unseen):
    own, clips = load_model("pocket", "cpu").tokenizer, open_clip.SimpleTokenizer()
    for captions in unseen.captions[:50]:
        for caption in captions:
            have, want = ([t.decoder[i] for i in t.encode(caption)] for t in (own, clips))
            assert have == want


def test_its_files_are_small_and_so_is_a_pickle_of_the_encoder(encoder):
    sizes = {file.name: file.stat().st_size for file in FOLDER.iterdir()}
    assert set(sizes) == {"open_clip_config.json", "bpe_merges.txt.gz", WEIGHTS}
    assert sum(sizes.values()) < 2e6
    weights = load_file(FOLDER / WEIGHTS)
    assert {values.dtype for values in weights.values()} == {torch.float16}
    assert np.exp(weights["logit_scale"].item()) == pytest.approx(100, rel=0.01)
    assert len(pickle.dumps(encoder)) < 10_000


@pytest.fixture
def torch_as_it_was():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


def test_a_seed_trains_to_the_same_weights(tmp_path, monkeypatch, torch_as_it_was):
    # The captions that the tokenizer is made of take seconds, and are the same both times.
    captions = functools.cache(make_scenes)
    monkeypatch.setattr(
        gapremoval.datasets,
        "make_scenes",
        lambda n, random_state: (captions if n == 3000 else make_scenes)(n, random_state),
    )
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        torch.manual_seed(len(folder.name))
        monkeypatch.setattr(sys, "argv", [str(TRAINING), "--steps", "2", "--out", str(folder)])
        trained = runpy.run_path(str(TRAINING), run_name="__main__")
    assert trained["SEED"] != 7  # the seed of the scenes of these tests
    one, two = ({file.name: file.read_bytes() for file in f.iterdir()} for f in folders)
    assert one == two
    assert json.loads(one["open_clip_config.json"]) == json.loads(
        (FOLDER / "open_clip_config.json").read_text()
    )
    assert one["bpe_merges.txt.gz"] == (FOLDER / "bpe_merges.txt.gz").read_bytes()
    assert one[WEIGHTS] != (FOLDER / WEIGHTS).read_bytes()
    assert CLIPEncoder(f"local-dir:{folders[0]}").transform(["a red circle"]).values.shape[1] == 128

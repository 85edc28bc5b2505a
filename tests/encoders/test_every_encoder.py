"""What every encoder promises, whatever its library."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("open_clip")
pytest.importorskip("sentence_transformers")

import torch
from forked import child_pool, needs_fork
from PIL import Image
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from gapremoval import (
    CLIPEncoder,
    Joint,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    SentenceTransformerEncoder,
    Tagged,
    make_search_pipeline,
    search,
)
from gapremoval.encoders import EncodingError, _models

ENCODERS = ["clip-network", "clip", "embedder"]

pytestmark = pytest.mark.usefixtures("tiny_architectures")


@pytest.fixture(params=ENCODERS)
def encoder(request, sentence_models):
    if request.param == "clip-network":
        return CLIPEncoder("tiny-vit/random", device="cpu")
    return SentenceTransformerEncoder(sentence_models[request.param], device="cpu")


def pictures(n, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(40, 90, (n, 2))
    return [Image.fromarray(rng.integers(0, 255, (h, w, 3), dtype="u1")) for h, w in sizes]


def mixed_items(folder):
    photos = pictures(4)
    photos[3].save(folder / "d.png")
    return [
        "two dogs",
        photos[0],
        Query("a red bicycle"),
        folder / "d.png",
        np.asarray(photos[1]),
        Query(photos[2]),
        Tagged("a cat", "caption"),
        Query(text="two dogs", image=photos[0]),
        "",
    ]


def test_items_are_tagged_by_what_they_are(encoder, tmp_path):
    got = encoder.transform(mixed_items(tmp_path))
    assert got.modality.tolist() == [
        "text",
        "image",
        "query:text",
        "image",
        "image",
        "query:image",
        "caption",
        "query:image+text",
        "text",
    ]
    assert got.dtype == np.float32
    lengths = np.linalg.norm(got.values, axis=1)
    np.testing.assert_allclose(np.delete(lengths, 7), 1, atol=1e-6)
    assert len(encoder.get_feature_names_out()) == got.shape[1]


def test_order_and_batches_do_not_change_rows(encoder, tmp_path):
    items = mixed_items(tmp_path)
    whole = encoder.transform(items).values
    order = np.random.default_rng(0).permutation(len(items))
    for batch_size in (1, 2):
        some = clone(encoder).set_params(batch_size=batch_size)
        got = some.transform([items[i] for i in order]).values
        np.testing.assert_allclose(got, whole[order], atol=1e-5)


def test_any_text_has_a_row(encoder):
    texts = ["", " ", "\x00", "\ud800 half a pair", "漢字", "é\n\t"]
    lengths = np.linalg.norm(encoder.transform([*texts, *map(Query, texts)]).values, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


def test_cached_rows_are_those_that_were_encoded(encoder, tmp_path, monkeypatch):
    items = mixed_items(tmp_path)
    cached = clone(encoder).set_params(memory=tmp_path / "rows")
    first = cached.transform(items).values
    np.testing.assert_allclose(first, encoder.transform(items).values, atol=1e-5)
    monkeypatch.delattr(type(cached._load()[0]), "encode")  # nothing is encoded again
    again = clone(cached).transform(items[::-1]).values[::-1]
    np.testing.assert_array_equal(again, first)


def test_a_pickle_has_no_weights_and_nothing_is_loaded_at_fit(encoder, nothing_loaded):
    encoder.fit(["two dogs", *pictures(1)])
    assert not _models._networks
    want = encoder.transform(["two dogs"]).values
    assert len(pickle.dumps(encoder)) < 10_000
    again = pickle.loads(pickle.dumps(encoder)).transform(["two dogs"]).values
    np.testing.assert_array_equal(again, want)
    assert len(_models._networks) == 1  # shared by clones and copies


def test_what_cannot_be_read_is_named_in_one_error(encoder, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    items = ["two dogs", tmp_path / "broken.jpg", *pictures(1), tmp_path / "gone.png"]
    with pytest.raises(EncodingError, match=r"broken.jpg.*gone.png.*no such file") as raised:
        encoder.transform(items)
    assert raised.value.rows.tolist() == [0, 2]
    want = encoder.transform([items[0], items[2]]).values
    np.testing.assert_allclose(raised.value.embeddings.values, want, atol=1e-6)


def test_rows_that_are_encoded_already_are_refused(encoder):
    rows = encoder.transform(["two dogs"])
    with pytest.raises(TypeError, match=r"encoded already: pass them to .*pipe\[1:\]"):
        encoder.transform(rows)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_rows_on_cuda_are_those_of_the_cpu(encoder, tmp_path):
    items = mixed_items(tmp_path)
    there = clone(encoder).set_params(device="cuda", output="torch")
    if isinstance(encoder, CLIPEncoder):
        there.set_params(precision="float32")
    got = there.transform(items)
    assert got.values.is_cuda
    np.testing.assert_allclose(got.to_host().values, encoder.transform(items).values, atol=2e-3)
    assert got.encoder == encoder.transform(items).encoder


def test_threads_may_share_an_encoder(encoder, tmp_path):
    items = mixed_items(tmp_path)
    want = encoder.transform(items).values
    with ThreadPoolExecutor(4) as pool:
        shared = [clone(encoder).set_params(batch_size=2) for _ in range(8)]
        for got in pool.map(lambda some: some.transform(items).values, shared):
            np.testing.assert_allclose(got, want, atol=1e-5)


def rows_in_a_child(encoder):
    return encoder.transform(["two dogs", *pictures(2)]).values


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_encoder_used_before_a_fork_works_in_the_child(encoder):
    want = rows_in_a_child(encoder)
    with child_pool() as pool:
        got = pool.map_async(rows_in_a_child, [encoder]).get(timeout=60)[0]
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_pipeline_of_items_finds_what_one_of_their_rows_finds(encoder):
    items = [*pictures(20), *(f"a note on {i} dogs" for i in range(20))]
    asked = [*map(Query, items[10:30])]
    pipe = make_search_pipeline(encoder).fit(items, range(40))
    of_rows = make_search_pipeline().fit(encoder.transform(items), range(40))
    found = search(of_rows, encoder.transform(asked), 3)
    np.testing.assert_array_equal(search(pipe, asked, 3).ids, found.ids)
    assert (found.ids == np.arange(10, 30)[:, None]).any(axis=1).mean() > 0.3


def test_a_joint_document_is_centered_apart_and_never_fused(sentence_models):
    photos = pictures(40)
    items, ids = [], []
    for i, photo in enumerate(photos):
        text = f"{i} dogs in snow"
        together = i % 2 == 0
        items += [Joint(text=text, image=photo)] if together else [text, photo]
        ids += [i] if together else [i, i]
    encoder = SentenceTransformerEncoder(sentence_models["embedder"], device="cpu")
    X = encoder.transform(items)
    remover = ModalityGapRemover(shrinkage=0).fit(X)
    mean = X.values[X.modality == "joint"].mean(axis=0)
    np.testing.assert_allclose(remover.centers_["joint"], mean, atol=1e-6)
    pipe = make_pipeline(encoder, remover, MixedModalityRetriever()).fit(items, ids)
    assert pipe[-1].document_modality_.tolist() == ["joint", "image+text"] * 20
    found = search(pipe, ["dogs"], document_modality="joint")
    assert set(found.modalities.ravel()) == {"joint"}
    assert set(found.ids.ravel()) <= set(range(0, 40, 2))
    asked = Query(Joint(text="4 dogs in snow", image=photos[4]))
    assert search(pipe, asked, 1, document_modality="joint").ids[0, 0] == 4

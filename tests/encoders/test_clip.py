import contextlib
import enum
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("open_clip")

import open_clip
import torch
from forked import child_pool, needs_fork
from networks import CONFIGS, save
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from gapremoval import (
    CLIPEncoder,
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    QueryKFold,
    make_search_pipeline,
    search,
)
from gapremoval.encoders import EncodingError, _forward
from gapremoval.encoders._clip_model import load_model

TEXTS = ["a red bicycle in snow", "", "two dogs", "the cat", "a tree by a house"]

pytestmark = pytest.mark.usefixtures("tiny_architectures")


def pictures(n, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(20, 90, (n, 2))
    return [Image.fromarray(rng.integers(0, 255, (h, w, 3), dtype="u1")) for h, w in sizes]


def files(folder, n, seed=0):
    paths = [folder / f"{seed}-{i}.png" for i in range(n)]
    for path, picture in zip(paths, pictures(n, seed)):
        picture.save(path)
    return paths


def tiny(architecture="tiny-vit", **parameters):
    return CLIPEncoder(f"{architecture}/random", device="cpu", **parameters)


def plain_loop(model, items):
    """One item after the other, as open_clip's documentation has it."""
    loaded = load_model(model, torch.device("cpu"))
    tokenizer = open_clip.get_tokenizer(model.split("/")[0])
    rows = []
    for item in items:
        with torch.inference_mode():
            if isinstance(item, str):
                row = loaded.network.encode_text(tokenizer([item]))
            else:
                picture = item if isinstance(item, Image.Image) else Image.open(item)
                row = loaded.network.encode_image(loaded.preprocess(picture.convert("RGB"))[None])
        rows.append((row / row.norm()).numpy()[0])
    return np.stack(rows)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_rows_are_those_of_a_plain_loop_whatever_the_batch(architecture, batch_size, tmp_path):
    photos = pictures(4) + files(tmp_path, 3, seed=1)
    items = [x for pair in zip(TEXTS, photos) for x in pair] + photos[5:]
    got = tiny(architecture, batch_size=batch_size).fit(items).transform(items)
    want = plain_loop(f"{architecture}/random", items)
    assert (1 - (got.values * want).sum(axis=1)).max() < 1e-5
    assert got.dtype == np.float32
    assert got.modality.tolist() == ["text" if isinstance(x, str) else "image" for x in items]
    np.testing.assert_allclose(np.linalg.norm(got.values, axis=1), 1, atol=1e-6)


def test_queries_are_encoded_like_their_items_and_marked():
    picture = pictures(1)[0]
    array = np.asarray(picture)
    items = ["a", picture, Query("a"), Query(array), Query(text="a", image=picture)]
    Z = tiny().transform(items)
    assert Z.modality.tolist() == ["text", "image", "query:text", "query:image", "query:image+text"]
    np.testing.assert_allclose(Z.values[2:4], Z.values[:2], atol=1e-6)
    np.testing.assert_allclose(Z.values[4], (Z.values[0] + Z.values[1]) / 2, atol=1e-6)


def test_tensors_stay_tensors():
    Z = tiny(output="torch").transform(["a", *pictures(2)])
    assert isinstance(Z.values, torch.Tensor)
    assert not Z.values.is_inference()
    np.testing.assert_allclose(Z.to_host().values, tiny().transform(["a", *pictures(2)]).values)


def test_texts_that_are_cut_are_counted_in_one_warning():
    long = " ".join(["word"] * 40)
    with pytest.warns(UserWarning, match="2 texts are longer than the 16 tokens") as caught:
        tiny(batch_size=1).transform([long, "short", long + " more"])
    assert len(caught) == 1


def test_texts_that_are_cut_are_counted_alike_with_a_cache_and_without(tmp_path, encoded):
    long = " ".join(["word"] * 40)
    for items, told in (
        ([long, "short"], "1 text is longer"),
        (
            [long, "short", *pictures(1), Query(text=long, image=pictures(1)[0]), long],
            "3 texts are",
        ),
        ([long + " more", long, "short", "word", long], "3 texts are longer"),
    ):
        for memory in (None, tmp_path / "rows", tmp_path / "rows"):
            before = len(encoded)
            with pytest.warns(UserWarning, match=told) as caught:
                tiny(memory=memory).transform(items)
            assert len(caught) == 1
        assert len(encoded) == before
    tiny(memory=tmp_path / "rows").transform(["short", "word"])  # without a warning


def test_cut_texts_are_counted_where_some_pictures_cannot_be_read(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    items = [tmp_path / "broken.jpg", " ".join(["word"] * 40), "short"]
    for _ in range(2):
        with (
            pytest.warns(UserWarning, match="1 text is longer"),
            pytest.raises(ValueError, match="1 of 3 texts and pictures cannot"),
        ):
            tiny(memory=tmp_path / "rows").transform(items)


def test_everything_that_cannot_be_read_is_named_in_one_error(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    items = [*files(tmp_path, 2), tmp_path / "broken.jpg", "a", Query(tmp_path / "missing.png")]
    for encoder in (tiny(), tiny(batch_size=1), tiny(memory=tmp_path / "cache")):
        with pytest.raises(ValueError, match="2 of 5 texts and pictures cannot") as error:
            encoder.transform(items)
        assert "row 2 (" in str(error.value)
        assert "broken.jpg" in str(error.value)
        assert "row 4 (" in str(error.value)
        assert "missing.png" in str(error.value)


# Half precision, memory, damaged weights.


@pytest.fixture
def network(monkeypatch):
    """The tiny network, whose encode_image may be replaced for a test."""
    network = load_model("tiny-vit/random", torch.device("cpu")).network
    monkeypatch.setattr(network, "encode_image", network.encode_image)
    return network


def test_half_precision_is_near_and_float32_comes_out():
    items = ["a", *pictures(3)]
    half = tiny(precision="bfloat16").transform(items)
    assert half.dtype == np.float32
    cosine = (half.values * tiny().transform(items).values).sum(axis=1)
    assert 0.99 < cosine.min() < cosine.max() < 1 - 1e-7


def test_rows_that_overflow_in_half_precision_are_encoded_again(network, monkeypatch):
    encode = network.encode_image

    def overflow(batch):
        rows = encode(batch).clone()
        if torch.is_autocast_enabled("cpu"):
            rows[0] = torch.inf
        return rows

    items = pictures(5)
    want = tiny().transform(items).values
    monkeypatch.setattr(network, "encode_image", overflow)
    with pytest.warns(
        UserWarning, match="2 rows overflowed in bfloat16 .* again in float32"
    ) as caught:
        got = tiny(precision="bfloat16", batch_size=3).transform(items).values
    assert len(caught) == 1
    np.testing.assert_allclose(got[[0, 3]], want[[0, 3]], atol=1e-6)


def test_rows_that_stay_not_finite_are_an_error_and_never_cached(network, monkeypatch, tmp_path):
    encode, paths = network.encode_image, files(tmp_path, 5)

    def damaged(batch):
        rows = encode(batch).clone()
        rows[1] = torch.nan
        return rows

    encoder = tiny(memory=tmp_path / "cache", batch_size=3)
    with monkeypatch.context() as patch:
        patch.setattr(network, "encode_image", damaged)
        with pytest.raises(ValueError, match="2 of 6 .* not finite.*weights") as error:
            encoder.transform(["a", *paths])
    assert f"row 2 ({str(paths[1])!r})" in str(error.value)
    assert f"row 5 ({str(paths[4])!r})" in str(error.value)
    np.testing.assert_allclose(
        encoder.transform(paths).values, tiny().transform(paths).values, atol=1e-6
    )


def test_a_network_all_of_whose_rows_are_not_finite_is_told_as_such(network, monkeypatch, tmp_path):
    monkeypatch.setattr(
        network, "encode_text", lambda batch: torch.full((len(batch), 24), torch.nan)
    )
    for memory in (None, tmp_path / "cache"):
        with pytest.raises(EncodingError, match="2 of 2 .* not finite.*weights") as error:
            tiny(memory=memory).transform(["a", "b"])
        assert error.value.embeddings.shape == (0, 24)


def test_a_batch_too_large_for_the_device_is_halved_with_one_warning(network, monkeypatch):
    encode, sizes = network.encode_image, []

    def small(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return encode(batch)

    items = pictures(25)
    want = tiny().transform(items).values
    monkeypatch.setattr(network, "encode_image", small)
    with pytest.warns(UserWarning, match="memory of cpu is too small") as caught:
        got = tiny(batch_size=8).transform(items).values
    assert len(caught) == 1
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert sizes == [8, 4, 2, 2, 2, 2, *[2] * 8, 1]


def test_at_most_two_batches_of_pictures_wait(monkeypatch, tmp_path):
    alive, most = set(), []
    read = _forward.read_picture

    def counted(path, **options):
        alive.add(path)
        most.append(len(alive))
        return read(path, **options)

    paths = files(tmp_path, 60)
    monkeypatch.setattr(_forward, "read_picture", counted)
    rows = _forward.Forward._rows

    def done(self, positions, inputs, encode):
        result = rows(self, positions, inputs, encode)
        alive.difference_update(paths[i] for i in positions)
        return result

    monkeypatch.setattr(_forward.Forward, "_rows", done)
    tiny(batch_size=5, n_jobs=4).transform(paths)
    assert 5 < max(most) <= 10


# The cache.


@pytest.fixture
def encoded(monkeypatch):
    """Counts the texts and pictures that go through a network."""
    counted = []
    rows = _forward.Forward._rows

    def count(self, positions, inputs, encode):
        counted.extend(positions)
        return rows(self, positions, inputs, encode)

    monkeypatch.setattr(_forward.Forward, "_rows", count)
    return counted


def test_the_cache_knows_rows_by_their_content(encoded, tmp_path):
    paths = files(tmp_path, 3)
    picture = Image.open(paths[0]).copy()
    items = ["a", "b", *paths, picture, "a", Query("a"), Query(text="b", image=paths[1])]
    encoder = tiny(memory=tmp_path / "cache")
    first = encoder.transform(items)
    n_first = len(encoded)
    assert n_first <= 6
    again = clone(encoder).transform(items[::-1])
    assert len(encoded) == n_first
    np.testing.assert_array_equal(first.values, again.values[::-1])
    np.testing.assert_allclose(first.values, tiny().transform(items).values, atol=1e-6)
    tensors = tiny(memory=tmp_path / "cache", output="torch").transform(items)
    np.testing.assert_array_equal(tensors.to_host().values, first.values)


def test_a_changed_file_is_encoded_anew_and_a_moved_one_is_not(encoded, tmp_path):
    path = files(tmp_path, 1)[0]
    encoder = tiny(memory=tmp_path / "cache")
    before = encoder.transform([path]).values
    moved = path.rename(tmp_path / "moved.png")
    np.testing.assert_array_equal(encoder.transform([moved]).values, before)
    assert len(encoded) == 1
    pictures(1, seed=5)[0].save(moved)
    assert not np.allclose(encoder.transform([moved]).values, before, atol=1e-4)
    assert len(encoded) == 2


def test_a_file_that_changes_after_it_was_hashed_is_named_and_never_cached(monkeypatch, tmp_path):
    before, after = pictures(1)[0], pictures(1, seed=5)[0]
    path, copy = tmp_path / "x.png", tmp_path / "copy.png"
    for each in (path, copy):
        before.save(each)
    read = _forward.read_picture

    def read_later(item, **options):
        if item == path:
            after.save(path)
        return read(item, **options)

    encoder = tiny(memory=tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(_forward, "read_picture", read_later)
        with pytest.raises(EncodingError, match=r"x\.png'\): the file changed meanwhile"):
            encoder.transform([path, copy])
    np.testing.assert_allclose(
        encoder.transform([path, copy]).values, tiny().transform([path, copy]).values, atol=1e-6
    )


def test_another_network_or_precision_has_rows_of_its_own(encoded, tmp_path):
    for parameters in ({}, {"architecture": "tiny-last"}, {"precision": "bfloat16"}, {}):
        tiny(**parameters, memory=tmp_path / "cache").transform(["a"])
    assert len(encoded) == 3


class CountingEncoder(CLIPEncoder):
    """Notes in a file how many texts and pictures go through the network, in any process."""

    def _bar(self, n_parts):
        return contextlib.nullcontext(self.note)

    def note(self, n):
        with open(f"{self.memory}.count", "a") as file:
            file.write(f"{n}\n")


@pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_grid_search_encodes_each_row_at_most_once_a_process(n_jobs, tmp_path):
    texts, paths = [f"note {i}" for i in range(10)], files(tmp_path, 10)
    items = [*texts, *paths, *[Query(f"asks {i}") for i in range(6)]]
    y = [*range(10), *range(10), *range(6)]
    (tmp_path / "network").mkdir()
    encoder = CountingEncoder(
        save("tiny-vit", tmp_path / "network"), device="cpu", batch_size=4, memory=tmp_path / "rows"
    )
    pipe = make_pipeline(encoder, ModalityGapRemover(), MixedModalityRetriever())
    grid = {"mixedmodalityretriever__fusion_weight": [0.1, 0.5, 0.9]}
    folds = QueryKFold(3, shuffle=True, random_state=0)
    with joblib.parallel_config("threading"):
        best = GridSearchCV(pipe, grid, cv=folds, error_score="raise", n_jobs=n_jobs)
        best.fit(items, y)
    counts = (tmp_path / "rows.count").read_text().split()
    assert 26 <= sum(map(int, counts)) <= 26 * n_jobs
    assert search(best, "note 3", 2).ids.shape == (1, 2)
    assert len((tmp_path / "rows.count").read_text().split()) == len(counts)


# scikit-learn manners.


def test_nothing_is_loaded_before_it_is_needed_and_pickles_are_small():
    encoder = CLIPEncoder("tiny-vit/random", device="cpu")
    encoder.fit(["a"]).transform(["a"])
    assert vars(encoder).keys() == encoder.get_params().keys()
    assert len(pickle.dumps(encoder)) < 10_000
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.transform(["a"]).values, encoder.transform(["a"]).values)


def test_names_of_features_are_numbered():
    names = tiny().get_feature_names_out()
    assert names.tolist() == [f"clipencoder{i}" for i in range(24)]


def test_a_wrong_name_is_told_at_fit_with_near_misses():
    with pytest.raises(ValueError, match="ViT-B-32"):
        CLIPEncoder("vit-b-32/openai").fit(["a"])


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"precision": "half"}, {"output": "jax"}, {"model": 3}, {"n_jobs": 0}],
)
def test_wrong_parameters_are_told_at_fit(wrong):
    encoder = CLIPEncoder(**{"model": "tiny-vit/random", **wrong})
    for method in (encoder.fit, encoder.transform):
        with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
            method(["a"])


def test_a_device_may_be_one_of_torch():
    encoder = CLIPEncoder("tiny-vit/random", device=torch.device("cpu"))
    np.testing.assert_array_equal(
        encoder.fit_transform(["a"]).values, tiny().fit_transform(["a"]).values
    )
    with pytest.raises(ValueError, match="device='gpu' cannot be used"):
        CLIPEncoder("tiny-vit/random", device="gpu").transform(["a"])


def test_equal_files_that_cannot_be_read_are_all_named(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"the same rubbish")
    items = [tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "a.jpg", "x"]
    for encoder in (tiny(), tiny(memory=tmp_path / "rows")):
        with pytest.raises(ValueError, match="3 of 4 .*row 0 .*row 1 .*b.jpg.*row 2 "):
            encoder.transform(items)


def test_a_generator_is_no_list_and_a_member_of_an_enum_is_its_text():
    with pytest.raises(TypeError, match="takes a list"):
        tiny().fit(text for text in TEXTS)
    color = enum.Enum("Color", {"RED": "red dog"}, type=str)
    one, other = tiny().transform([color.RED, "red dog"]).values
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_endless_word_is_cut_like_any_long_text():
    word = "".join(np.random.default_rng(0).choice(list("abcdefghij"), 200_000))
    with pytest.warns(UserWarning, match="1 text is longer"):
        row = tiny().transform([word]).values
    np.testing.assert_allclose(row, plain_loop("tiny-vit/random", [word[:2000]]), atol=1e-5)


def test_lone_items_are_refused_by_every_method():
    pipe = make_pipeline(tiny(), ModalityGapRemover(), MixedModalityRetriever())
    for method in (tiny().fit, tiny().transform, pipe.fit):
        with pytest.raises(TypeError, match="gapremoval.search"):
            method("a red bicycle")


def test_progress_is_shown_on_demand(capfd, tmp_path):
    tiny().transform(["a"] * 3)
    assert capfd.readouterr().err == ""
    for _ in range(2):
        tiny(verbose=True, memory=tmp_path / "rows").transform(["a", "b", "a"])
        assert "3/3" in capfd.readouterr().err


@pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
def test_a_pipeline_answers_raw_items(tmp_path):
    paths = files(tmp_path, 5)
    items = [*TEXTS, *paths]
    pipe = make_pipeline(tiny(), ModalityGapRemover(), MixedModalityRetriever())
    pipe.fit(items, [f"d{i}" for i in range(10)])
    assert search(pipe, "two dogs", 3).ids.shape == (1, 3)
    with Image.open(paths[2]) as opened:
        for one in (paths[2], opened, Query(paths[2])):
            assert search(pipe, one, document_modality="image").ids[0, 0] == "d7"
    assert len(search(pipe, ["two dogs", Query(text="a", image=paths[0])])) == 2
    tensors = make_pipeline(tiny(output="torch"), ModalityGapRemover(), MixedModalityRetriever())
    tensors.fit(items, [f"d{i}" for i in range(10)])
    np.testing.assert_array_equal(search(pipe, TEXTS).ids, search(tensors, TEXTS).ids)
    again = pickle.loads(pickle.dumps(tensors))
    np.testing.assert_array_equal(search(pipe, TEXTS).ids, search(again, TEXTS).ids)


def _transform(text):
    return tiny().transform([text]).values


@needs_fork
def test_an_encoder_used_before_a_fork_works_in_the_child():
    want = [_transform("b"), _transform("c")]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        with child_pool() as pool:
            got = pool.map_async(_transform, ["b", "c"]).get(60)
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_what_comes_out_goes_through_the_array():
    Z = tiny().transform(["a", "b"])
    assert isinstance(Z, EmbeddingArray)
    assert repr(Z) == "EmbeddingArray(2 rows x 24, float32: 2 text)"


@pytest.mark.filterwarnings("ignore:Few rows to take a mean from")
@pytest.mark.parametrize("absent", [None, float("nan"), pd.NA])
def test_a_query_of_one_part_behaves_like_that_part(absent):
    photos = pictures(6)
    items = [*photos, *TEXTS, Query("which dogs?")]
    pipe = make_search_pipeline(tiny()).fit(items, [*range(len(items) - 1), None])
    for item, alone in (
        (photos[1], Query(image=photos[1], text=absent)),
        (TEXTS[2], Query(text=TEXTS[2], image=absent)),
    ):
        want, found = search(pipe, item, 3), search(pipe, alone, 3)
        for name in ("ids", "scores", "probabilities", "evidence"):
            np.testing.assert_array_equal(getattr(found, name), getattr(want, name))
            assert (getattr(found, name) == getattr(found, name)).all()

"""Pipelines of transformers as readers of add_texts: tiny networks, loaded by the real library."""

import pytest

from gapremoval import add_texts

pytest.importorskip("PIL.Image")

# Pipelines of transformers


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    pytest.importorskip("transformers")
    from captioners import save_blip

    return save_blip(tmp_path_factory.mktemp("blip"))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    pytest.importorskip("transformers")
    from captioners import save_qwen

    return save_qwen(tmp_path_factory.mktemp("qwen"))


def load(folder, **settings):
    from transformers import pipeline

    return pipeline("image-text-to-text", folder, **{"max_new_tokens": 5, **settings})


@pytest.fixture(scope="module")
def scenes():
    from gapremoval.datasets import make_scenes

    return make_scenes(5, random_state=3).images


def test_a_model_that_chats_is_asked_about_each_picture(qwen, scenes):
    pipe = load(qwen)
    added = add_texts([{"image": x} for x in scenes], pipe, prompt="Describe it.", batch_size=2)
    texts = [record["caption"] for record in added]
    for picture, text in zip(scenes, texts):
        content = [{"type": "image", "image": picture}, {"type": "text", "text": "Describe it."}]
        (told,) = pipe(text=[{"role": "user", "content": content}])
        assert told["generated_text"][-1]["content"].strip() == (text or "")
    assert len(set(texts)) == len(texts)


def test_a_model_without_chats_continues_the_prompt(blip, scenes):
    pipe = load(blip)
    added = add_texts([{"image": x} for x in scenes], pipe, prompt="a dog", batch_size=2)
    for picture, record in zip(scenes, added):
        (told,) = pipe(images=[picture], text=["a dog"])
        assert told["generated_text"] == f"a dog {record['caption']}"
    (record,) = add_texts([{"image": scenes[0]}], pipe, prompt="")
    assert record["caption"]


def test_a_pipeline_needs_a_prompt(qwen, scenes):
    with pytest.raises(ValueError, match="needs prompt=: .*'Describe the image.'"):
        add_texts([{"image": scenes[0]}], load(qwen))


@pytest.mark.parametrize("network", ["blip", "qwen"])
def test_a_pipeline_is_known_by_its_weights_and_settings(network, request, tmp_path, scenes):
    folder = request.getfixturevalue(network)
    import captioners

    other = getattr(captioners, f"save_{network}")(tmp_path / "other", seed=1)
    cases = [
        (folder, {}, "two dogs", True),
        (folder, {}, "two dogs", False),
        (folder, {}, "two dogs in snow", True),
        (folder, {"max_new_tokens": 4}, "two dogs", True),
        (folder, {"num_beams": 2}, "two dogs", True),
        (other, {}, "two dogs", True),
    ]
    for number, (where, settings, prompt, is_read) in enumerate(cases):
        pipe = load(where, **settings)
        records = [{"image": x} for x in scenes[:2]]
        add_texts(records, pipe, prompt=prompt, memory=tmp_path / "cache")
        assert (pipe.call_count > 0) == is_read, number


def test_a_name_stands_for_the_weights_of_a_pipeline_and_the_prompt_counts(qwen, tmp_path, scenes):
    for prompt, is_read in [("two dogs", True), ("two dogs", False), ("snow", True)]:
        pipe = load(qwen)
        known = {"memory": tmp_path, "reader_name": "qwen", "prompt": prompt}
        add_texts([{"image": scenes[0]}], pipe, **known)
        assert (pipe.call_count > 0) == is_read

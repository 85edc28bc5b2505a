import json

import pytest

pytest.importorskip("open_clip")

from networks import CONFIGS

from gapremoval.encoders._model_names import check_model_name

pytestmark = pytest.mark.usefixtures("tiny_architectures")


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (3, TypeError, "must be one string"),
        (None, TypeError, "'local-dir:PATH' or 'pocket'; got None"),
        ("", ValueError, "'' is not an architecture.*The forms of model are"),
        (" ViT-B-32/openai", ValueError, "blanks around it: write 'ViT-B-32/openai'"),
        ("ViT-B-32/openai\n", ValueError, "blanks around it: write 'ViT-B-32/openai'"),
        ("ViT-B-32 /openai", ValueError, "Did you mean 'ViT-B-32/openai'"),
        ("vit-b-32/openai", ValueError, "Did you mean 'ViT-B-32/openai'"),
        ("ViT-B/32", ValueError, "Did you mean 'ViT-B-32'"),
        ("ViT-B/32/openai", ValueError, "Did you mean 'ViT-B-32/openai'"),
        ("ViT-B-33/openai", ValueError, "not an architecture.* Did you mean 'ViT-B-32/openai'"),
        ("acme/nothing-like-it", ValueError, "hub is 'hf-hub:acme/nothing-like-it'"),
        ("ViT-B-32", ValueError, "an architecture alone.*'ViT-B-32/random'.*laion2b_s34b_b79k"),
        ("ViT-B-32/", ValueError, "an architecture alone"),
        ("tiny-vit", ValueError, r"an architecture alone.* random ones\. The forms"),
        ("Pocket", ValueError, r"not an architecture.*\. Did you mean 'pocket'"),
        ("pocket/random", ValueError, r"not an architecture.*\. Did you mean 'pocket'"),
        ("pocket ", ValueError, "blanks around it: write 'pocket'"),
        (
            "ViT-B-32/laion2b_s34b_b97k",
            ValueError,
            "neither a tag of ViT-B-32 nor a file.*Did you mean 'ViT-B-32/laion2b_s34b_b79k'",
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
        ("pocket", "folder"),
    ],
)
def test_a_good_name_is_known_without_loading(model, form):
    assert check_model_name(model).form == form


def test_a_home_folder_is_found_and_names_are_relative_to_where_python_is(tmp_path, monkeypatch):
    (tmp_path / "w.pt").write_bytes(b"weights")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert check_model_name("tiny-vit/~/w.pt").rest == str(tmp_path / "w.pt")
    assert check_model_name("tiny-vit/w.pt").rest == str(tmp_path / "w.pt")


def test_folders_and_empty_files_in_place_of_a_checkpoint_are_told_apart(tmp_path):
    with pytest.raises(ValueError, match=f"is a folder: write 'local-dir:{tmp_path}'"):
        check_model_name(f"tiny-vit/{tmp_path}")
    with pytest.raises(ValueError, match=f"a path alone; .*'local-dir:{tmp_path}'"):
        check_model_name(str(tmp_path))
    (tmp_path / "w.pt").touch()
    with pytest.raises(ValueError, match=r"w.pt .*is empty \(0 bytes\)"):
        check_model_name(f"tiny-vit/{tmp_path / 'w.pt'}")


def test_a_folder_that_lacks_a_part_says_which(tmp_path):
    name, config = f"local-dir:{tmp_path}", tmp_path / "open_clip_config.json"
    with pytest.raises(FileNotFoundError, match="has no open_clip_config.json"):
        check_model_name(name)
    config.write_text(json.dumps({"model_cfg": CONFIGS["tiny-vit"]}))
    with pytest.raises(FileNotFoundError, match="has no weights"):
        check_model_name(name)
    (tmp_path / "model.bin").touch()
    with pytest.raises(FileNotFoundError, match="has no weights.* must not be empty"):
        check_model_name(name)
    (tmp_path / "model.bin").write_bytes(b"weights")
    assert check_model_name(name) == ("folder", None, str(tmp_path))
    for content in ("{", "[]", '{"embed_dim": 3}', '{"model_cfg": {}}'):
        config.write_text(content)
        with pytest.raises(ValueError, match="not a configuration of open_clip"):
            check_model_name(name)

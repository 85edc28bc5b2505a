"""replacing: a file is complete, or what was there before."""

import os

import pytest

from gapremoval._files import replacing


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_what_fails_midway_leaves_what_was_there(tmp_path, before, error):
    path = tmp_path / "a.bin"
    if before is not None:
        path.write_bytes(before)

    def fail():
        with replacing(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert os.listdir(tmp_path) == (["a.bin"] if before else [])
    assert before is None or path.read_bytes() == before


def test_what_is_written_is_there_whole_and_replaces_the_old(tmp_path):
    for content in (b"first", b"second"):
        with replacing(tmp_path / "no suffix") as file:
            file.write(content)
        assert (tmp_path / "no suffix").read_bytes() == content
        assert os.listdir(tmp_path) == ["no suffix"]


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="no folder .*absent to save a.bin in"),
        replacing(tmp_path / "absent" / "a.bin"),
    ):
        pass

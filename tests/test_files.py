"""replacing: a file is complete, or what was there before."""

import errno
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


def test_permissions_are_kept_and_links_followed(tmp_path):
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_the_longest_names_can_be_written_and_errors_name_the_file(tmp_path):
    with replacing(tmp_path / ("x" * 255)) as file:
        file.write(b"content")
    with pytest.raises(OSError, match="xxx") as caught:
        full_disk(tmp_path / "xxx")
    assert caught.value.filename == str(tmp_path / "xxx")


def full_disk(path):
    with replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")

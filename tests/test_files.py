"""replacing: a file is complete, or what was there before; read_arrays: as saved, or refused."""

import errno
import io
import os
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapremoval import _files
from gapremoval._files import read_arrays, replacing


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


# --- partial files ---


def start_writing(path):
    """A process that is in the midst of writing a file, and ends once its input is closed."""
    script = (  # without the rest of the package, which takes seconds to import
        f"import runpy, sys; replacing = runpy.run_path({_files.__file__!r})['replacing']\n"
        "with replacing(sys.argv[1]) as file:\n"
        "    file.write(b'x' * 100_000); print('writing', flush=True); sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    writer = subprocess.Popen([sys.executable, "-c", script, path], **pipes)
    assert writer.stdout.readline().strip() == b"writing"
    return writer


def write(path, content=b"whole"):
    with replacing(path) as file:
        file.write(content)


@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")
def test_what_killed_writers_left_is_removed_by_the_next_and_a_running_ones_is_kept(tmp_path):
    path = tmp_path / "a.gap"
    killed, running = start_writing(path), start_writing(path)
    killed.kill()
    killed.communicate()
    assert len(os.listdir(tmp_path)) == 2
    write(path)
    assert len(os.listdir(tmp_path)) == 2  # the file, and what the running one has written
    running.communicate()
    assert running.returncode == 0
    assert path.read_bytes() == b"x" * 100_000
    assert os.listdir(tmp_path) == ["a.gap"]


names = st.text("ab.0\u00e9", min_size=1, max_size=3).filter(lambda name: name.strip("."))


@pytest.mark.skipif(os.name == "nt", reason="removes what is no longer open at once")
@given(st.sets(names, min_size=2, max_size=3), st.sampled_from(["", "x" * 70]))
def test_a_partial_file_is_removed_by_writers_of_its_own_name_only(tmp_path_factory, drawn, start):
    folder = tmp_path_factory.mktemp("partial")
    first, *others = (folder / f"{start}{name}" for name in sorted(drawn))
    with replacing(first):
        (partial,) = os.listdir(folder)
    abandoned = folder / partial
    abandoned.write_bytes(b"half")  # as a killed writer leaves it
    for other in others:
        write(other)
    assert abandoned.exists()
    write(first)
    assert not abandoned.exists()


def test_writers_of_one_file_at_once_all_succeed_and_leave_one_whole_file(tmp_path):
    path = tmp_path / "a.bin"
    contents = [bytes([i]) * 10_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: [write(path, content) for _ in range(20)], contents))
    assert os.listdir(tmp_path) == ["a.bin"]
    assert path.read_bytes() in contents


# --- arrays ---

ARRAYS = {"values": np.arange(6.0).reshape(3, 2), "names": np.array(["text", "image"])}


def npz(arrays, save=np.savez):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def zipped(members):
    """A zip file of pairs of a name and a content, each with the right checksum."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def npy(header, content=b""):
    header = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + content


def read(path, content, names=tuple(ARRAYS)):
    path.write_bytes(content)
    return dict(zip(names, read_arrays(path, names)))


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name, array in want.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(got[name], array)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays") / "arrays.npz"


dtypes = st.one_of(
    hnp.integer_dtypes(), hnp.floating_dtypes(), hnp.boolean_dtypes(), hnp.unicode_string_dtypes()
)


@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.tuples(hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, min_side=0)), st.booleans()).map(
            lambda drawn: np.asfortranarray(drawn[0]) if drawn[1] else drawn[0]
        ),
    )
)
def test_arrays_come_back_as_they_were_saved_in_the_order_asked(path, arrays):
    names = sorted(arrays, reverse=True)
    assert_same(read(path, npz(arrays), names), {name: arrays[name] for name in names})


def test_a_flipped_bit_in_any_byte_is_noticed_or_changes_nothing(path):
    whole = npz(ARRAYS)
    noticed = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        try:
            arrays = read(path, damaged)
        except Exception:
            noticed += 1
        else:
            assert_same(arrays, ARRAYS)
    assert noticed > len(whole) / 2


def test_a_file_that_ends_too_early_is_refused_wherever_it_ends(path):
    whole = npz(ARRAYS)
    for length in range(len(whole)):
        with pytest.raises((ValueError, zipfile.BadZipFile, EOFError)):
            read(path, whole[:length])


HEADER = "{'descr': %r, 'fortran_order': False, 'shape': %r}"
VALID = npy(HEADER % ("<f8", (2,)), bytes(16))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (npz({"values": np.zeros(2**24)}, np.savez_compressed), "compressed"),
        (zipped([("values.npy", VALID)] * 2), "holds"),
        (zipped([("values.npy", VALID), ("more.npy", VALID)]), "holds"),
        (zipped([("other.npy", VALID)]), "holds"),
        (zipped([("values.npy", VALID + b"\0")]), "17 bytes for"),
        (zipped([("values.npy", VALID[:-1])]), "15 bytes for"),
        (zipped([("values.npy", npy(HEADER % ("<f8", (2**27,)), bytes(16)))]), "16 bytes"),
        (zipped([("values.npy", npy(HEADER % ("<f8", (2**62, 8)), bytes(16)))]), "16 bytes"),
        (zipped([("values.npy", npy(HEADER % ("<U450000000", (1,)), bytes(16)))]), "16 bytes"),
        (zipped([("values.npy", npy(HEADER % ("<U0", (2**40,))))]), "0 bytes"),
        (zipped([("values.npy", npy(HEADER % ("|O", (2,)), bytes(16)))]), "Object arrays"),
        (zipped([("values.npy", npy("-" * 900))]), "header"),
        (zipped([("values.npy", npy("-" * 20000))]), "Header info length"),
        (zipped([("values.npy", VALID.replace(b"NUMPY\1", b"NUMPY\2"))]), "format"),
    ],
    ids=[
        "compressed",
        "an array twice",
        "one more",
        "another",
        "too long",
        "too short",
        "made-up size",
        "size that overflows",
        "made-up length of strings",
        "strings of no length",
        "objects",
        "nested header",
        "long header",
        "another format",
    ],
)
def test_what_is_not_of_its_own_size_is_refused_before_memory_is_taken(path, content, told):
    tracemalloc.start()
    try:
        with pytest.raises(Exception, match=told) as caught:
            read(path, content, ["values"])
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert not isinstance(caught.value, MemoryError)


def test_members_that_overlap_are_no_more_than_the_file(path):
    """Two entries of the directory that lead to one member."""
    whole = npz({"a": np.zeros(1000), "b": np.zeros(1000)})
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        second = archive.infolist()[1].header_offset
        directory = archive.start_dir
    moved = whole[directory:].replace(second.to_bytes(4, "little"), bytes(4))
    with pytest.raises((ValueError, zipfile.BadZipFile)):
        read(path, whole[:second] + moved, ["a", "b"])


def test_reading_takes_the_memory_of_the_arrays_once(path):
    arrays = {"values": np.ones((2**18, 16), np.float32), "codes": np.zeros(2**18, np.uint8)}
    content = npz(arrays)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        read_arrays(path, list(arrays))
        assert tracemalloc.get_traced_memory()[1] < 1.1 * len(content)
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_arrays(tmp_path / "pipe", ["values"])


def test_a_missing_file_and_a_folder_are_told_apart_from_damage(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_arrays(tmp_path / "absent", ["values"])
    with pytest.raises(ValueError, match="not a regular file"):
        read_arrays(tmp_path, ["values"])

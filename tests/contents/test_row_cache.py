import hashlib
import os
import re
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
import tracemalloc
import warnings
from contextlib import closing, contextmanager
from pathlib import Path

import joblib
import numpy as np
import pytest
from forked import child_pool, needs_fork, start_child
from hypothesis import given
from hypothesis import strategies as st

from gapremoval.contents._row_cache import DAMAGED_FILE, FILE, cached_rows

N_FEATURES = 24

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def key_of(content):
    return hashlib.sha256(str(content).encode()).digest()


def truth(contents, n_features=N_FEATURES):
    """The row of each content, by its digest alone."""
    seeds = [int.from_bytes(key_of(content)[:8], "little") for content in contents]
    rows = [np.random.default_rng(seed).normal(size=n_features) for seed in seeds]
    return np.array(rows, dtype=np.float32).reshape(len(seeds), n_features)


class Encoder:
    """Encodes numbers in chunks and counts, in a file that other processes may share."""

    def __init__(self, contents, log, *, chunk=3, seconds=0.0, fails_after=None):
        self.contents = contents
        self.log = Path(log)
        self.chunk = chunk
        self.seconds = seconds
        self.fails_after = fails_after

    def __call__(self, positions):
        for start in range(0, len(positions), self.chunk):
            if self.fails_after is not None and start >= self.fails_after * self.chunk:
                raise InterruptedError("no more")
            chunk = positions[start : start + self.chunk]
            with open(self.log, "a") as log:
                log.write("".join(f"{self.contents[position]}\n" for position in chunk))
            time.sleep(self.seconds)
            yield chunk, truth([self.contents[position] for position in chunk])

    def rows(self, memory, **kwargs):
        return cached_rows(memory, [key_of(c) for c in self.contents], self, N_FEATURES, **kwargs)


def encoded(log):
    """What was encoded so far, in order."""
    return [int(line) for line in log.read_text().split()] if log.exists() else []


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@contextmanager
def warns_once(match):
    with pytest.warns(UserWarning, match=match) as record:
        yield
    assert len(record) == 1


contents = st.lists(st.integers(0, 12), max_size=30)


@given(st.lists(st.tuples(contents, st.integers(1, 7)), max_size=4))
def test_rows_are_the_same_as_without_a_cache_and_each_is_encoded_once(calls):
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        for numbers, chunk in calls:
            plain = Encoder(numbers, os.devnull, chunk=chunk).rows(None)
            rows = Encoder(numbers, log, chunk=chunk).rows(folder)
            np.testing.assert_array_equal(rows, plain)
            np.testing.assert_array_equal(rows, truth(numbers))
            assert rows.dtype == plain.dtype == np.float32
        once = list(dict.fromkeys(number for numbers, _ in calls for number in numbers))
        assert encoded(log) == once


@given(contents, st.randoms(use_true_random=False))
def test_chunks_may_come_in_any_order(numbers, random):
    def encode(positions):
        shuffled = random.sample(positions, len(positions))
        for position in shuffled:
            yield np.array([position]), truth([numbers[position]]).astype(np.float64)

    keys = [key_of(number) for number in numbers]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            rows = cached_rows(folder, keys, encode, N_FEATURES)
            np.testing.assert_array_equal(rows, truth(numbers))


@given(st.data())
def test_no_damage_to_a_byte_is_read_as_a_row(data):
    numbers = list(range(100))
    with tempfile.TemporaryDirectory() as folder:
        Encoder(numbers, os.devnull, chunk=100).rows(folder)
        path = Path(folder, FILE)
        content = bytearray(path.read_bytes())
        written = np.flatnonzero(np.frombuffer(bytes(content), dtype=np.uint8))
        for _ in range(data.draw(st.integers(1, 20))):
            at = written[data.draw(st.integers(0, len(written) - 1))]
            content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the cache", UserWarning)
            rows = Encoder(numbers, os.devnull, chunk=100).rows(folder)
        np.testing.assert_array_equal(rows, truth(numbers))


def test_a_file_cut_off_anywhere_is_never_read_as_good_and_is_mended(tmp_path, folder):
    numbers = list(range(40))
    Encoder(numbers, os.devnull).rows(folder)
    content = (folder / FILE).read_bytes()
    for size in [*range(0, 120, 13), *range(120, len(content), 2477), len(content) - 1]:
        log = tmp_path / f"log{size}"
        (folder / FILE).write_bytes(content[:size])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rows = Encoder(numbers, log, chunk=64).rows(folder)
        np.testing.assert_array_equal(rows, truth(numbers))
        assert len(caught) <= 1
        np.testing.assert_array_equal(Encoder(numbers, log).rows(folder), truth(numbers))
        assert len(encoded(log)) == len(set(encoded(log)))


def test_a_file_that_is_no_database_is_set_aside_with_one_warning(log, folder):
    folder.mkdir()
    (folder / FILE).write_text("photos " * 1000)
    (folder / f"{FILE}-journal").write_text("of something else")
    with warns_once("damaged .*a new one is started"):
        Encoder([1, 2, 3, 4], log, chunk=1).rows(folder)
    assert (folder / DAMAGED_FILE).read_text().startswith("photos")
    assert sorted(os.listdir(folder)) == sorted([FILE, DAMAGED_FILE])
    Encoder([4, 3, 2, 1], log).rows(folder)
    assert encoded(log) == [1, 2, 3, 4]


def test_a_file_with_other_tables_is_set_aside_with_one_warning(log, folder):
    folder.mkdir()
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("CREATE TABLE rows (key, colour)")
    with warns_once("damaged"):
        np.testing.assert_array_equal(Encoder([1, 2], log).rows(folder), truth([1, 2]))
    Encoder([1, 2], log).rows(folder)
    assert encoded(log) == [1, 2]


def test_a_file_damaged_over_and_over_is_given_up(log, folder):
    def encode(positions):
        for chunk in np.split(np.array(positions), 4):
            (folder / FILE).write_text("photos " * 1000)
            yield chunk, truth(chunk)

    folder.mkdir()
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        rows = cached_rows(folder, [key_of(n) for n in range(8)], encode, N_FEATURES)
    np.testing.assert_array_equal(rows, truth(range(8)))
    messages = [str(warning.message) for warning in record]
    assert ["renamed" in message for message in messages] == [True, False]
    assert "cannot be used (file is not a database)" in messages[1]


def test_a_key_stored_twice_is_read_once(log, folder):
    Encoder([1, 2], log).rows(folder)
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("CREATE TABLE twice AS SELECT * FROM rows UNION ALL SELECT * FROM rows")
        connection.execute("DROP TABLE rows")
        connection.execute("ALTER TABLE twice RENAME TO rows")
    np.testing.assert_array_equal(Encoder([2, 1], log).rows(folder), truth([2, 1]))
    assert encoded(log) == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        "row = zeroblob(96)",
        "row = substr(row, 1, 92)",
        "row = NULL",
        "row = 'text \u00e9'",
        "row = CAST(x'ff00fe' AS TEXT)",
        "row = 12",
        "checksum = checksum + 1",
        "checksum = 'a'",
        "(row, checksum) = (SELECT row, checksum FROM rows WHERE key = :other)",
    ],
)
def test_a_damaged_row_alone_is_encoded_anew(change, log, folder):
    Encoder([1, 2, 3], log).rows(folder)
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        named = {"key": key_of(2), "other": key_of(3)}
        connection.execute(f"UPDATE rows SET {change} WHERE key = :key", named)
    for _ in range(2):
        np.testing.assert_array_equal(Encoder([1, 2, 3], log).rows(folder), truth([1, 2, 3]))
    assert encoded(log) == [1, 2, 3, 2]


def test_rows_of_another_length_are_encoded_anew(folder):
    def narrow(positions):
        yield positions, np.ones((len(positions), 4))

    assert cached_rows(folder, ["a", "b"], narrow, 4).shape == (2, 4)
    assert cached_rows(folder, [b"b", b"a"], None, 4).shape == (2, 4)

    def wide(positions):
        yield positions, np.ones((len(positions), 5))

    assert cached_rows(folder, ["a", "b"], wide, 5).shape == (2, 5)
    with pytest.raises(ValueError, match=r"Expected finite rows of shape \(1, 5\).* got"):
        cached_rows(folder, ["a", "c"], narrow, 5)


def test_no_keys_need_no_folder(folder):
    assert cached_rows(folder, [], None, 7).shape == (0, 7)
    assert cached_rows(None, [], None, 7).shape == (0, 7)
    assert not folder.exists()


def test_memory_may_be_a_string_a_path_or_a_joblib_memory(log, folder, monkeypatch, tmp_path):
    for memory in [str(folder), folder, joblib.Memory(folder, verbose=0)]:
        Encoder([1, 2], log).rows(memory)
    assert encoded(log) == [1, 2]
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for memory in [None, joblib.Memory(None)]:
        Encoder([1, 2, 1], log).rows(memory)
    assert encoded(log) == [1, 2] * 3
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(TypeError, match="memory must be a folder"):
        Encoder([1], log).rows(3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("is_cached", [True, False])
def test_rows_that_are_not_finite_are_refused_and_not_stored(value, is_cached, log, folder):
    def encode(positions):
        yield [0], truth([1])
        yield [2, 1], np.array([truth([3])[0], np.full(N_FEATURES, value)])

    memory = folder if is_cached else None
    with pytest.raises(ValueError, match=r"Expected finite rows.* \[2, 1\]"):
        cached_rows(memory, [key_of(n) for n in [1, 2, 3]], encode, N_FEATURES)
    Encoder([1, 2, 3], log).rows(memory)
    assert encoded(log) == ([2, 3] if is_cached else [1, 2, 3])


@pytest.mark.parametrize("is_cached", [True, False])
def test_what_the_encoder_leaves_out_comes_back_as_nan_and_is_asked_for_again(is_cached, folder):
    def encode_the_first(positions):
        assert positions == [0, 1]
        yield [0], np.ones((1, 2))

    def encode_nothing(positions):
        assert positions == [1] if is_cached else [0, 1]
        yield from ()

    keys, memory = [key_of(n) for n in [1, 2, 1, 2]], folder if is_cached else None
    rows = cached_rows(memory, keys, encode_the_first, 2)
    assert (rows[[0, 2]] == 1).all()
    assert np.isnan(rows[[1, 3]]).all()
    again = cached_rows(memory, keys, encode_nothing, 2)
    assert np.array_equal(again, rows if is_cached else np.full((4, 2), np.nan), equal_nan=True)


@pytest.mark.parametrize(
    "chunks",
    [
        [([0, 2], np.ones((1, 2)))],
        [([0, 2], np.ones(2))],
        [([0], np.ones((1, 2))), ([2], np.ones((1, 3)))],
        [([0, 1], np.ones((2, 2)))],
        [([0, 3], np.ones((2, 2)))],
        [([0, -1], np.ones((2, 2)))],
        [([0], np.ones((1, 2))), ([0], np.ones((1, 2)))],
    ],
)
def test_an_encoder_that_gives_other_rows_than_asked_is_an_error(chunks, folder):
    def encode(positions):
        assert positions == [0, 2]
        yield from chunks

    wrong = re.escape(str(chunks[-1][0]))
    with pytest.raises(ValueError, match=rf"(?s)at most one for each of the positions .*{wrong}\."):
        cached_rows(folder, ["a", "a", "b"], encode, 2)


def test_an_interrupted_call_keeps_the_chunks_before(log, folder):
    numbers = list(range(10))
    with pytest.raises(InterruptedError, match="no more"):
        Encoder(numbers, log, fails_after=2).rows(folder)
    assert encoded(log) == numbers[:6]
    np.testing.assert_array_equal(Encoder(numbers, log).rows(folder), truth(numbers))
    assert encoded(log) == numbers


def test_threads_on_one_folder_encode_each_row_once(log, folder):
    numbers = [list(range(start, start + 12)) for start in (0, 4, 8, 0)]
    rows = joblib.Parallel(n_jobs=4, prefer="threads")(
        joblib.delayed(Encoder(part, log, seconds=0.02).rows)(folder) for part in numbers
    )
    for part, part_rows in zip(numbers, rows):
        np.testing.assert_array_equal(part_rows, truth(part))
    assert sorted(encoded(log)) == list(range(20))


@needs_fork
def test_processes_on_one_folder_get_the_right_rows_and_encode_none_twice_themselves(log, folder):
    def encode(number):
        own = list(range(number * 4, number * 4 + 24))
        rows = Encoder(own, f"{log}{number}", seconds=0.02).rows(folder)
        np.testing.assert_array_equal(rows, truth(own))

    both = [start_child(encode, number) for number in range(3)]
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    for number in range(3):
        once = encoded(Path(f"{log}{number}"))
        assert len(once) == len(set(once))
    np.testing.assert_array_equal(Encoder(range(32), log).rows(folder), truth(range(32)))
    assert encoded(log) == []


def test_loky_workers_may_share_a_folder(log, folder):
    numbers = [list(range(start, start + 12)) for start in (0, 4, 8, 0)]
    rows = joblib.Parallel(n_jobs=2)(
        joblib.delayed(Encoder(part, log).rows)(folder) for part in numbers
    )
    for part, part_rows in zip(numbers, rows):
        np.testing.assert_array_equal(part_rows, truth(part))
    assert set(encoded(log)) == set(range(20))


@needs_fork
def test_many_processes_may_begin_a_cache_at_once(folder, log):
    def encode(number):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for content in range(number, number + 3):
                Encoder([content], os.devnull).rows(folder)

    processes = [start_child(encode, number) for number in range(12)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    Encoder(range(14), log).rows(folder)
    assert encoded(log) == []


@needs_fork
def test_a_killed_process_holds_nobody_up(log, folder):
    first = start_child(Encoder(list(range(9)), log, chunk=2, seconds=60).rows, folder)
    while len(encoded(log)) < 2:
        assert first.is_alive()
        time.sleep(0.02)
    first.kill()
    first.join()
    np.testing.assert_array_equal(Encoder(range(9), log).rows(folder), truth(range(9)))
    assert encoded(log) == [0, 1, *range(9)]  # the two were under way


@needs_fork
@pytest.mark.parametrize("steps", [5, 60, 250, 1000, 2500])
def test_a_process_killed_in_the_middle_of_a_write_leaves_nothing_wrong(
    steps, log, folder, monkeypatch
):
    connect = sqlite3.connect

    # With a cache of one page sqlite writes to the disk long before the transaction ends.
    def connect_and_die(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.execute("PRAGMA cache_size = 1")
        (n_rows,) = connection.execute("SELECT count(*) FROM rows").fetchone()
        if n_rows > 3:
            connection.set_progress_handler(lambda: os.kill(os.getpid(), signal.SIGKILL), steps)
        return connection

    def encode():
        monkeypatch.setattr(sqlite3, "connect", connect_and_die)
        Encoder(list(range(3, 1000)), log, chunk=400).rows(folder)

    Encoder([0, 1, 2], os.devnull).rows(folder)
    process = start_child(encode)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    if steps > 1000:
        assert (folder / f"{FILE}-wal").stat().st_size > 2 * 16384
    log.unlink()
    np.testing.assert_array_equal(Encoder(range(1000), log).rows(folder), truth(range(1000)))
    assert encoded(log) == list(range(403, 1000))


@needs_fork
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_cache_in_use_works_in_a_child_process(method, log, folder):
    Encoder([1, 2], log).rows(folder)
    busy = Encoder([3, 4, 5], log, chunk=1, seconds=0.3)
    thread = threading.Thread(target=busy.rows, args=[folder])
    thread.start()
    with child_pool(method) as pool:
        parts = [[1, 3, 6], [2, 4, 6]]
        jobs = [pool.apply_async(Encoder(part, log).rows, [folder]) for part in parts]
        rows = [job.get(timeout=60) for job in jobs]
    thread.join()
    for part, part_rows in zip(parts, rows):
        np.testing.assert_array_equal(part_rows, truth(part))
    assert set(encoded(log)) == {1, 2, 3, 4, 5, 6}
    Encoder([1, 2, 3, 4, 5, 6], folder.with_name("other")).rows(folder)
    assert encoded(folder.with_name("other")) == []


def test_a_folder_under_a_file_warns_once_and_encodes(log, tmp_path):
    (tmp_path / "file").write_text("")
    with warns_once("cannot be used .*encoded and not stored"):
        rows = Encoder([1, 2, 1, 3, 4], log, chunk=1).rows(tmp_path / "file" / "cache")
    np.testing.assert_array_equal(rows, truth([1, 2, 1, 3, 4]))
    assert encoded(log) == [1, 2, 3, 4]


@pytest.mark.parametrize("is_filled", [True, False])
def test_a_database_that_cannot_be_opened_warns_once_and_encodes(
    is_filled, log, folder, monkeypatch
):
    def refuse(*args, **kwargs):
        raise sqlite3.OperationalError("unable to open database file")

    if is_filled:
        Encoder([1, 2], os.devnull).rows(folder)
    monkeypatch.setattr(sqlite3, "connect", refuse)
    for _ in range(2):
        with warns_once("unable to open database file"):
            rows = Encoder([1, 2, 3], log, chunk=1).rows(folder)
        np.testing.assert_array_equal(rows, truth([1, 2, 3]))
    assert encoded(log) == [1, 2, 3] * 2


@pytest.fixture
def without_permission():
    """Call a function in a process that may not write everywhere, as root may."""

    def call(function):
        def without_rights():
            if os.geteuid() == 0:
                os.setuid(65534)
            function()

        process = start_child(without_rights)
        process.join(60)
        assert process.exitcode == 0

    return call


@needs_fork
@pytest.mark.parametrize("is_filled", [True, False])
def test_a_folder_without_permission_to_write_is_read(is_filled, without_permission):
    with tempfile.TemporaryDirectory() as outer:  # below a folder that others may enter
        os.chmod(outer, 0o755)
        folder = Path(outer, "caf\u00e9 100% #1")
        folder.mkdir()
        if is_filled:
            Encoder([1, 2], os.devnull).rows(folder)
        folder.chmod(0o555)

        def read():
            log = Path(tempfile.mkdtemp(), "log")
            if is_filled:
                np.testing.assert_array_equal(Encoder([2, 1], log).rows(folder), truth([2, 1]))
                assert encoded(log) == []
            with warns_once("cannot be used"):
                rows = Encoder([1, 2, 3, 4], log, chunk=1).rows(folder)
            np.testing.assert_array_equal(rows, truth([1, 2, 3, 4]))
            assert encoded(log) == ([3, 4] if is_filled else [1, 2, 3, 4])

        without_permission(read)
        folder.chmod(0o755)


def test_a_full_disk_warns_once_and_keeps_what_was_stored(log, folder, monkeypatch):
    def connect_to_small_disk(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.execute("PRAGMA page_size = 16384")
        connection.execute("PRAGMA max_page_count = 6")
        return connection

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect_to_small_disk)
    with warns_once("database or disk is full"):
        rows = Encoder(range(1000), log, chunk=50).rows(folder)
    np.testing.assert_array_equal(rows, truth(range(1000)))
    monkeypatch.setattr(sqlite3, "connect", connect)
    n_encoded = len(encoded(log))
    np.testing.assert_array_equal(Encoder(range(1000), log).rows(folder), truth(range(1000)))
    again = encoded(log)[n_encoded:]
    assert again == list(range(again[0], 1000))
    assert again[0] % 50 == 0
    assert again[0] > 0


def test_a_database_locked_by_others_is_read_and_warns_once(log, folder):
    Encoder([1, 2], log).rows(folder)
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with warns_once("database is locked"):
            rows = Encoder([1, 2, 3, 4], log, chunk=1).rows(folder, _busy_seconds=0.1)
        np.testing.assert_array_equal(rows, truth([1, 2, 3, 4]))
    Encoder([1, 2, 3], log).rows(folder)
    assert encoded(log) == [1, 2, 3, 4, 3]


@needs_fork
def test_a_short_lock_of_another_process_is_waited_for(log, folder):
    Encoder([1], log).rows(folder)
    connection = sqlite3.connect(folder / FILE, check_same_thread=False)
    with closing(connection):
        connection.execute("BEGIN EXCLUSIVE")
        unlocking = threading.Timer(0.3, connection.rollback)
        unlocking.start()
        Encoder([1, 2], log).rows(folder)
        unlocking.join()
    Encoder([1, 2], log).rows(folder)
    assert encoded(log) == [1, 2]


def test_a_folder_removed_between_calls_is_made_anew(log, folder):
    for _ in range(2):
        Encoder([1, 2], log).rows(folder)
        Encoder([2, 1], log).rows(folder)
        shutil.rmtree(folder)
    assert encoded(log) == [1, 2, 1, 2]


def test_a_folder_removed_during_a_call_is_made_anew(log, folder):
    def encode(positions):
        yield positions[:1], truth([1])
        shutil.rmtree(folder)
        yield positions[1:], truth([2, 3])

    rows = cached_rows(folder, [key_of(n) for n in [1, 2, 3]], encode, N_FEATURES)
    np.testing.assert_array_equal(rows, truth([1, 2, 3]))
    Encoder([1, 2, 3], log).rows(folder)
    assert encoded(log) == [1]


def test_a_call_that_finds_all_its_rows_waits_for_nobody(log, folder):
    Encoder([1, 2], log).rows(folder)
    is_encoding, may_end = threading.Event(), threading.Event()

    def encode(positions):
        is_encoding.set()
        may_end.wait(60)
        yield positions, truth([3])

    busy = threading.Thread(target=cached_rows, args=[folder, [key_of(3)], encode, N_FEATURES])
    busy.start()
    is_encoding.wait(60)
    np.testing.assert_array_equal(Encoder([2, 1], log).rows(folder), truth([2, 1]))
    may_end.set()
    busy.join()
    assert encoded(log) == [1, 2]


def test_many_keys_take_few_queries_and_little_memory(folder):
    numbers = np.arange(10_000)
    rows = np.random.default_rng(0).normal(size=(10_000, 128)).astype(np.float32)
    keys = [key_of(number) for number in numbers]

    def encode(positions):
        for start in range(0, len(positions), 1000):
            chunk = positions[start : start + 1000]
            yield chunk, rows[chunk]

    cached_rows(folder, keys, encode, 128)
    tracemalloc.start()
    try:
        found = cached_rows(folder, keys[::-1], None, 128)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, rows[::-1])
    assert peak < 2 * rows.nbytes

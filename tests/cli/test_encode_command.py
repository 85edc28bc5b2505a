"""Shards encoded by processes that may be killed, and the index of what they wrote."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from forked import needs_fork, start_child

pytest.importorskip("typer")
pytest.importorskip("open_clip")

from gapremoval import CLIPEncoder, EmbeddingArray, read_folder
from gapremoval.cli._index_file import IndexFile
from gapremoval.datasets import iter_parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "many_machines.md"
POCKET = ["--model", "pocket", "--out", "parts"]


@pytest.fixture
def album(tmp_path, scenes):
    """Eight photos as a camera makes them, which take a while to decode, and notes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = io.BytesIO()
    scenes.images[0].resize((4000, 2400)).save(photo, "jpeg", progressive=True)
    for i, captions in enumerate(scenes.captions[:8]):
        (folder / f"{i}.jpg").write_bytes(photo.getvalue() + bytes([i]))
        (folder / f"{i}.txt").write_text(captions[0])
    return folder


def task_of_the_page(number, folder):
    """The arguments that the page's script for Slurm types in a task of the array."""
    script = re.search("```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    (folder / "encode.sh").write_text(script.replace("/100", "/2"))
    typed = subprocess.run(
        ["bash", "-c", """gapremoval() { printf '%s\\0' "$@"; }; . ./encode.sh"""],
        cwd=folder,
        env={**os.environ, "SLURM_ARRAY_TASK_ID": str(number)},
        capture_output=True,
        check=True,
        text=True,
    )
    return [*typed.stdout.split("\0")[:-1], "--model", "pocket", "--part-size", "1"]


def type_alone(arguments):
    """Run a command in a child, and end it with its exit code."""
    from gapremoval.cli._app import run

    sys.exit(run(arguments))


@needs_fork
def test_two_tasks_of_a_slurm_array_of_which_one_is_killed_and_run_again(run, album, tmp_path):
    typed = [task_of_the_page(i, tmp_path) for i in range(2)]
    tasks = [start_child(type_alone, arguments) for arguments in typed]
    parts = tmp_path / "parts"
    even = [parts / f"part-{i:08}.parquet" for i in range(0, 16, 2)]  # the photos
    while not even[0].exists() and tasks[0].is_alive():
        time.sleep(0.002)
    tasks[0].kill()
    for task in tasks:
        task.join()
    assert [task.exitcode for task in tasks] == [-signal.SIGKILL, 0]
    finished = {path: path.stat().st_ino for path in parts.glob("*.parquet")}
    assert 1 <= len(finished.keys() & {*even}) < len(even)  # it was killed in the middle
    assert all(pq.read_table(path).num_rows == 1 for path in finished)  # none is half a file

    refused = run("index", "parts")
    assert (refused.code, refused.out) == (1, "")
    assert re.search(r"There is no part-\d{8}\.parquet in parts: some shard was not", refused.err)

    done = run(*typed[0])
    assert (done.code, done.out) == (0, "")
    n_left = len(even) - len(finished.keys() & {*even})
    assert done.err == f"gapremoval: shard 0/2: 8 parts in parts, {n_left} of them encoded now\n"
    assert all(path.stat().st_ino == finished[path] for path in finished)
    assert sorted(os.listdir(parts)) == [f"part-{i:08}.parquet" for i in range(16)]

    batches = list(iter_parquet(parts, modality_column="modality", id="id"))
    rows = EmbeddingArray.concatenate([rows for rows, _ in batches])
    items, ids = read_folder(album)
    whole = CLIPEncoder("pocket").transform(items)
    assert [x for _, ids in batches for x in ids] == ids
    assert rows.modality.tolist() == whole.modality.tolist()
    np.testing.assert_allclose(rows.values, whole.values, atol=1e-6)


def encode(run, source, n_shards=2, *options):
    return [
        run("encode", source, *POCKET, *options, "--shard", f"{i}/{n_shards}").code
        for i in range(n_shards)
    ]


def test_the_index_of_parts_is_that_of_the_folder(run, photos, scenes):
    (photos / "broken.jpg").write_bytes(b"xx")
    (photos / "blank.txt").write_text(" ")
    assert sorted(encode(run, photos, 2, "--part-size", "30")) == [0, 3]
    of_folder = run("index", photos, "--model", "pocket", "--out", "folder.gap")
    of_parts = run("index", "parts", "--out", "parts.gap")
    assert (of_parts.code, of_parts.out) == (3, "")
    assert of_parts.err == of_folder.err.replace("folder.gap", "parts.gap")
    one, other = IndexFile.load("folder.gap"), IndexFile.load("parts.gap")
    assert (one.names, one.folder, one.model) == (other.names, other.folder, other.model)
    assert (one.files.modality == other.files.modality).all()
    np.testing.assert_allclose(one.files.values, other.files.values, atol=1e-6)
    question = scenes.captions[4][1]
    assert run("search", "parts.gap", question).out == run("search", "folder.gap", question).out
    assert run("index", "parts", "--hidden").code == 2
    assert run("encode", "", *POCKET).code == 2
    # The index stays that of the folder, whichever makes it.
    assert run("index", photos, "--out", "parts.gap").code == 3
    assert run("index", "parts", "--out", "parts.gap").code == 3


def test_rows_of_a_table_are_found_by_their_ids(run, tmp_path, scenes):
    ids = ["p1", "a/b", "..", "50%", "", "x.y"]
    records = [{"id": x, "text": scenes.captions[i][0]} for i, x in enumerate(ids)]
    pq.write_table(pa.Table.from_pylist(records + records[:1]), tmp_path / "items.parquet")
    assert encode(run, "items.parquet", 2, "--part-size", "2") == [3, 0]
    done = run("index", "parts", "--out", "items.gap")
    assert done.code == 3
    assert "left out: items.parquet row 4 (): it has no id" in done.err
    found = run("search", "items.gap", scenes.captions[1][1], "-n", "9").out
    for name in ("p1.text + items.parquet/p1.text2", "a%2Fb.text", "%2E..text", "50%25.text"):
        assert f"items.parquet/{name}\n" in found
    assert "items.parquet/x.y.text\n" in found


def test_files_whose_names_are_not_utf8_are_found_again(run, tmp_path, scenes):
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    try:
        with open(os.path.join(folder, b"caf\xe9.png"), "wb") as file:
            scenes.images[0].save(file, format="PNG")
    except OSError:
        pytest.skip("such names cannot be given here")
    assert encode(run, "odd", 1) == [0]
    done = run("index", "parts", "--out", "odd.gap")
    assert done.code == 0
    assert "no texts in the folder: 32 ordinary captions are encoded too" in done.err
    assert len(IndexFile.load("odd.gap").captions) == 32
    assert IndexFile.load("odd.gap").names == [os.fsdecode(b"caf\xe9.png")]
    ((_, ids),) = iter_parquet("parts", modality_column="modality", id="id")
    assert ids.tolist() == ["caf\\xe9"]


@pytest.mark.parametrize("shard", ["2/2", "1", "-1/2", "0/0", "one/two"])
def test_shards_that_do_not_exist_are_wrong_use(run, photos, shard):
    done = run("encode", photos, *POCKET, f"--shard={shard}")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"gapremoval: error: --shard is i/n, from 0/4 to 3/4 for four shards; got '{shard}'. See "
        "'gapremoval encode --help'.\n"
    )


def test_parts_that_another_model_made_are_no_part_of_an_index(run, photos, network):
    model = network("tiny")
    assert encode(run, photos, 1, "--part-size", "50") == [0]
    done = run("encode", photos, "--out", "parts", "--model", model, "--part-size", "50")
    assert done.code == 1
    assert "parts that were encoded by 'pocket' with other weights than 'local-dir:" in done.err
    done = run("index", "parts", "--model", model)
    assert done.code == 1
    assert "were encoded by 'pocket' with other weights than 'local-dir:" in done.err
    assert run("encode", photos, "--out", "others", "--model", model, "--part-size", "50").code == 0
    shutil.copy("others/part-00000001.parquet", "parts/part-00000001.parquet")
    done = run("index", "parts")
    assert done.code == 1
    assert "parts holds parts of 2 encoders: 'local-dir:" in done.err
    Path("parts/part-00000001.parquet").write_bytes(b"something else")
    done = run("index", "parts")
    assert (done.code, "'part-00000001.parquet' in parts" in done.err) == (1, True)

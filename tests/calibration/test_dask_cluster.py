"""A cluster of two worker processes, one of which is killed in the middle of a fit."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import save_transformed
from gapremoval.datasets import iter_parquet

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")
pytest.importorskip("pyarrow")

N_CHUNKS, N_ROWS = 12, 256


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


def rows(number):
    """A chunk of rows in single precision."""
    return np.random.default_rng(number).normal(1, 1, (N_ROWS, 16)).astype("f4")


def chunk(block_id, folder):
    """A chunk of rows; whoever makes the sixth of them first never comes to an end."""
    if block_id[0] == 5:
        try:
            with open(os.path.join(folder, "pid"), "x") as file:
                file.write(f"{os.getpid()}\n")
        except FileExistsError:
            return rows(5)
        time.sleep(600)
    return rows(block_id[0])


def lazy(folder):
    tags = np.tile(["text", "image", "query:text", "text"], N_CHUNKS * N_ROWS // 4)
    values = da.map_blocks(
        chunk,
        folder=str(folder),
        chunks=((N_ROWS,) * N_CHUNKS, (16,)),
        dtype="f4",
        meta=np.empty((0, 0), "f4"),
    )
    return values, tags


def kill_the_worker(file):
    """Kill the process whose number is, or will be, in a file."""
    while not (file.exists() and file.read_text().endswith("\n")):
        time.sleep(0.05)
    os.kill(int(file.read_text()), signal.SIGKILL)


@pytest.mark.usefixtures("client")
def test_fit_and_files_are_right_although_a_worker_was_killed_in_the_middle_of_the_fit(tmp_path):
    values, tags = lazy(tmp_path)
    X = EmbeddingArray(np.concatenate([rows(number) for number in range(N_CHUNKS)]), tags)
    want = ModalityGapRemover().fit(X)
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_the_worker, tmp_path / "pid")
        got = ModalityGapRemover().fit(values, modality=da.from_array(tags, chunks=N_ROWS))
        killed.result()
    assert got.counts_ == want.counts_
    for name, mean in want.means_.items():
        np.testing.assert_allclose(got.means_[name], mean, rtol=0, atol=1e-15)

    save_transformed(want, values, tmp_path / "Z", modality=tags)
    Z = [Z for Z, _ in iter_parquet(tmp_path / "Z", modality_column="modality")]
    Z = EmbeddingArray.concatenate(Z)
    np.testing.assert_array_equal(Z.modality, tags)
    np.testing.assert_array_equal(Z.values, want.transform(X).values)

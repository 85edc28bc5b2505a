"""The retriever on torch tensors: the same answers as numpy's, where the tensors lie."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover, search
from gapremoval.retrieval import _top_k
from gapremoval.retrieval._top_k import top_k

pytestmark = pytest.mark.filterwarnings("ignore:y was not given:UserWarning")

torch = pytest.importorskip("torch")
array_api_torch = pytest.importorskip("array_api_compat.torch")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])


def corpus(seed=0, n_documents=60, n_features=8, n_distinct=None, dtype="f4", n_queries=7):
    """Rows of two modalities, ids and queries.

    With few distinct rows each is a document, and there are ties everywhere; else some rows
    are parts of one document.
    """
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_distinct or n_documents, n_features)).astype(dtype)
    rows = rows[rng.integers(0, len(rows), n_documents)]
    modality = np.array(["text", "image"])[rng.integers(0, 2, n_documents)]
    numbers = rng.permutation(n_documents) if n_distinct else rng.integers(0, 40, n_documents)
    ids = [f"d{i}" for i in numbers]
    queries = rng.normal(size=(n_queries, n_features)).astype(dtype)
    return EmbeddingArray(rows, modality), ids, EmbeddingArray(queries, "query:text")


def tensors(X, device="cpu", dtype=None):
    return EmbeddingArray(torch.tensor(X.values, device=device, dtype=dtype), X._tags)


def assert_same_answers(one, other, asked_one, asked_other, n_neighbors=None):
    """Answers are those of an index in numpy; what comes out is numpy."""
    want, got = one.search(asked_one, n_neighbors), other.search(asked_other, n_neighbors)
    np.testing.assert_array_equal(want.ids, got.ids)
    np.testing.assert_array_equal(want.modalities, got.modalities)
    np.testing.assert_allclose(want.scores, got.scores, atol=1e-15, rtol=0)
    for array in (got.ids, got.scores, *other.kneighbors(asked_other), other.ids_):
        assert type(array) is np.ndarray
    assert got.scores.dtype == np.float64


# The same answers.


@devices
@given(
    seed=st.integers(0, 2**32 - 1),
    n_distinct=st.sampled_from([1, 3, None]),
    dtype=st.sampled_from(["f4", "f8"]),
    weight=st.sampled_from([0.0, 0.3, 0.5, {"text": 1, "image": 3}]),
    k=st.integers(1, 80),
)
def test_answers_are_those_of_numpy(device, seed, n_distinct, dtype, weight, k):
    X, ids, queries = corpus(seed, n_distinct=n_distinct, dtype=dtype)
    one = MixedModalityRetriever(k, fusion_weight=weight).fit(X, ids)
    other = MixedModalityRetriever(k, fusion_weight=weight).fit(tensors(X, device), ids)
    assert_same_answers(one, other, queries, tensors(queries, device))
    found = other.search(tensors(queries, device), document_modality="text")
    np.testing.assert_array_equal(one.search(queries, document_modality="text").ids, found.ids)
    difference = one.transform(queries) - other.transform(tensors(queries, device))
    assert abs(difference).max() < 1e-15


@devices
@given(seed=st.integers(0, 2**32 - 1), n_distinct=st.sampled_from([1, 20, None]), data=st.data())
def test_no_batch_and_no_block_size_changes_a_digit(device, seed, n_distinct, data):
    X, _, queries = corpus(seed, 40, 9, n_distinct, n_queries=4)
    documents, asked = (
        torch.nn.functional.normalize(tensors(x, device).values) for x in (X, queries)
    )
    want = top_k(asked, documents, 5)
    blocks, numbers = st.integers(1, 60), st.integers(1, 600)
    steps = _top_k.Steps(
        *(data.draw(x) for x in (blocks, numbers, numbers, numbers)),
        groups=data.draw(blocks),
        crowd=data.draw(st.sampled_from([1, 2, 4])),
        crowded_block=data.draw(blocks),
    )
    got = top_k(asked, documents, 5, steps=steps)
    np.testing.assert_array_equal(want[0], got[0])
    np.testing.assert_array_equal(want[1], got[1])


@devices
def test_the_same_vectors_give_the_same_digits_as_in_numpy(device):
    rng = np.random.default_rng(0)
    documents, queries = rng.normal(size=(3000, 100)), rng.normal(size=(50, 100))
    documents[1000:] = documents[:2000]
    for dtype in ("f4", "f8"):
        given = (documents.astype(dtype), queries.astype(dtype))
        given = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in given]
        want = top_k(given[1], given[0], 300)
        got = top_k(*(torch.tensor(x, device=device) for x in (given[1], given[0])), 300)
        np.testing.assert_array_equal(want[0], got[0])
        np.testing.assert_array_equal(want[1], got[1])


@devices
def test_a_query_is_answered_the_same_alone_and_in_a_batch(device):
    X, ids, queries = corpus(0, 3000, 512, n_queries=100)
    retriever = MixedModalityRetriever().fit(tensors(X, device), ids)
    queries = tensors(queries, device)
    distances, indices = retriever.kneighbors(queries)
    for i in (0, 7, 99):
        alone = retriever.kneighbors(queries[i : i + 1])
        np.testing.assert_array_equal(distances[i], alone[0][0])
        np.testing.assert_array_equal(indices[i], alone[1][0])


@devices
def test_equal_documents_come_in_the_order_in_which_they_were_added(device):
    rows = torch.tensor([[3.0, 4.0]], device=device).repeat(500, 1)
    X = EmbeddingArray(rows, "image")
    retriever = MixedModalityRetriever(700).fit(X).partial_fit(X)
    query = EmbeddingArray(torch.tensor([[1.0, 0.5]], device=device), "query:image")
    np.testing.assert_array_equal(retriever.predict(query), [range(700)])


@devices
@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
def test_rows_without_direction_come_last_and_ask_for_the_corpus_in_order(device):
    X, _, queries = corpus()
    X.values[[1, 4]] = 0
    queries.values[2] = 0
    one = MixedModalityRetriever(60).fit(X)
    other = MixedModalityRetriever(60).fit(tensors(X, device))
    assert_same_answers(one, other, queries, tensors(queries, device))
    assert (other.predict(tensors(queries, device))[[0, 1, 3], -2:] == [1, 4]).all()


@devices
def test_half_precision_is_searched_in_single_precision(device):
    X, ids, queries = corpus(n_documents=500)
    for dtype in (torch.float16, torch.bfloat16):
        half, asked = tensors(X, device, dtype), tensors(queries, device, dtype)
        one = MixedModalityRetriever().fit(half.to_host(), ids)
        other = MixedModalityRetriever().fit(half, ids)
        assert_same_answers(one, other, asked.to_host(), asked)
        assert other._index.now.like.dtype == torch.float32


def test_a_product_in_lower_precision_changes_no_answer(monkeypatch):
    steps = _top_k.ON_HOST._replace(groups=4000)
    monkeypatch.setattr(_top_k, "_steps", lambda documents: steps)
    X, _, queries = corpus(n_documents=4000, n_features=64, n_queries=50)
    one, other = (MixedModalityRetriever(50).fit(rows) for rows in (X, tensors(X)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same_answers(one, other, queries, tensors(queries))

    def truncated(bits):
        def cut(x):  # TF32 keeps 10 bits of a float32's fraction, bfloat16 7.
            return (x.view(torch.int32) & -(2 ** (23 - bits))).view(torch.float32)

        return lambda a, b: torch.matmul(cut(a), cut(b.contiguous()))

    for bits in (10, 7):
        monkeypatch.setattr(array_api_torch, "matmul", truncated(bits))
        assert_same_answers(one, other, queries, tensors(queries))


@pytest.mark.parametrize("name", ["equal", "a millionth apart"])
def test_very_many_documents_near_the_last_place_are_not_all_scored_exactly(name, monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1, 24)) + 1e-6 * rng.normal(size=(40_000, 24))
    rows = rows[:1].repeat(40_000, axis=0) if name == "equal" else rows
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("f4")
    queries = rng.normal(size=(20, 24))
    n_pairs, inner_products = [], _top_k.inner_products

    def counted(queries, query, documents, row, steps):
        n_pairs.append(len(query))
        return inner_products(queries, query, documents, row, steps)

    monkeypatch.setattr(_top_k, "inner_products", counted)
    want = top_k(queries, rows, 10)
    got = top_k(queries, torch.tensor(rows), 10)
    np.testing.assert_array_equal(want.scores, got.scores)
    np.testing.assert_array_equal(want.rows, got.rows)
    assert sum(n_pairs) < 2 * 20 * 200
    assert len(n_pairs) < 2 * 10


# Where things lie.


@devices
def test_queries_follow_the_index(device):
    X, ids, queries = corpus()
    host = MixedModalityRetriever().fit(X, ids)
    there = MixedModalityRetriever().fit(tensors(X, device), ids)
    assert there._index.now.like.device.type == device
    assert_same_answers(host, host, queries, tensors(queries, device))
    assert_same_answers(host, there, queries, queries)
    double = EmbeddingArray(queries.values.astype("f8")[:, ::-1][:, ::-1], "query:text")
    double.values.flags.writeable = False
    assert_same_answers(host, there, double, double)


@devices
def test_added_documents_follow_the_index(device):
    X, _, queries = corpus()
    want = MixedModalityRetriever().fit(X)
    for first, second in ((X, tensors(X, device)), (tensors(X, device), X)):
        retriever = MixedModalityRetriever().fit(first[:30]).partial_fit(second[30:])
        assert type(retriever._index.now.like) is type(first.values)
        assert_same_answers(want, retriever, queries, queries)
    retriever.remove(range(60)).partial_fit(X)
    assert retriever._index.now.like.device.type == device


@devices
def test_gradients_and_inference_mode_do_not_matter(device):
    X, ids, queries = corpus()
    want = MixedModalityRetriever().fit(X, ids)
    X, asked = tensors(X, device), tensors(queries, device)
    X.values.requires_grad_()
    asked.values.requires_grad_()
    retriever = MixedModalityRetriever().fit(X, ids)
    assert not retriever._index.now.like.requires_grad
    assert_same_answers(want, retriever, queries, asked)
    with torch.inference_mode():
        retriever = MixedModalityRetriever().fit(X[:30], ids[:30])
    known = [i for i in range(30, 60) if ids[i] not in ids[:30]]
    retriever.partial_fit(X[known], [ids[i] for i in known])
    assert retriever.predict(asked).shape == (7, 10)


WITHOUT_TORCH = """
import pickle, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTorch())
import numpy as np
pipe, queries = pickle.load(sys.stdin.buffer)
found = pipe.predict(queries)
assert type(pipe[-1]._index.now.like) is np.ndarray
sys.stdout.buffer.write(pickle.dumps(found))
"""


@devices
def test_a_pipeline_fitted_on_tensors_is_loaded_where_there_is_no_torch(device):
    X, ids, queries = corpus(n_documents=300)
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    pipe.fit(tensors(X, device), ids)
    want = pipe.predict(tensors(queries, device))
    again = pickle.loads(pickle.dumps(pipe))
    np.testing.assert_array_equal(want, again.predict(tensors(queries, device).to_host()))
    np.testing.assert_array_equal(want, search(again, queries.values, modality="text").ids)
    asked = pickle.dumps((pipe, tensors(queries, device)))
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], input=asked, capture_output=True, check=True
    )
    np.testing.assert_array_equal(want, pickle.loads(run.stdout))


# Only on a GPU.


def copied_to_host(task, folder):
    """Bytes of each copy from the device to the host while a task runs."""
    task()
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        task()
        torch.cuda.synchronize()
    profile.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    return [event["args"]["bytes"] for event in events if "DtoH" in event.get("name", "")]


@needs_cuda
def test_only_the_best_documents_come_to_the_host(tmp_path):
    X, _, queries = corpus(0, 100_000, 512, n_queries=256)
    X, queries = tensors(X, "cuda"), tensors(queries, "cuda")
    retriever = MixedModalityRetriever(10).fit(X)
    copies = copied_to_host(lambda: retriever.kneighbors(queries), tmp_path)
    results = 256 * 10 * 8
    assert max(copies) == results
    assert sum(copies) < 3 * results

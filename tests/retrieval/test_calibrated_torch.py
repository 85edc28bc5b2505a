"""A score calibration on torch tensors: the answers that it gives in numpy."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import assert_same_results, small_corpus

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds, make_search_pipeline

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:y was not given:UserWarning"),
]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])


def tensors(X, device, dtype=None):
    return EmbeddingArray(torch.tensor(X.values, device=device, dtype=dtype), X._tags)


def rows_and_queries(seed, dtype="f4"):
    documents, queries, ids, relevance = small_corpus(seed, dtype)
    return EmbeddingArray.concatenate([documents, queries]), [*ids, *relevance], queries


@devices
@given(
    seed=st.integers(0, 2**16),
    dtype=st.sampled_from(["f4", "f8"]),
    k=st.integers(1, 30),
    kind=st.sampled_from([None, "image"]),
)
def test_calibrated_answers_are_those_of_numpy(device, seed, dtype, k, kind):
    X, y, queries = rows_and_queries(seed, dtype)
    retriever = MixedModalityRetriever(k, score_calibration=PosteriorOdds())
    want = retriever.fit(X, y).search(queries, document_modality=kind)
    retriever.fit(tensors(X, device), y)
    assert retriever._index.now.like.device.type == device
    tolerance = 1e-4 if dtype == "f4" else 1e-9
    for asked in (queries, tensors(queries, device)):
        found = retriever.search(asked, document_modality=kind)
        assert_same_results(want, found, tolerance)
        for array in (
            *(x for name, x in vars(found).items() if name != "contents"),
            *retriever.kneighbors(asked),
            retriever.export_vectors().vectors,
        ):
            assert type(array) is np.ndarray


@devices
def test_documents_come_and_go_and_pickles_hold_numpy(device):
    X, y, queries = rows_and_queries(0)
    more = small_corpus(3, "f4")[0][:6]
    found = []
    for rows, added in ((X, more), (tensors(X, device), tensors(more, device))):
        retriever = MixedModalityRetriever(40, score_calibration=PosteriorOdds()).fit(rows, y)
        retriever.remove(["d2", "d23"]).partial_fit(added, [*"abcdef"])
        found.append(retriever.search(queries))
    assert_same_results(*found, 1e-4)
    again = pickle.loads(pickle.dumps(retriever))
    assert type(again._index.now.like) is np.ndarray
    assert_same_results(found[1], again.search(queries), 1e-12)
    again.partial_fit(more[:1], ["z"]).remove("z")
    assert_same_results(found[1], again.search(queries), 1e-12)


@devices
def test_the_recommended_pipeline_takes_half_precision(device):
    X, y, queries = rows_and_queries(0)
    pipe, half = make_search_pipeline(), tensors(X, device, torch.float16)
    want = pipe.fit(half.to_host(), y)[-1].search(pipe[:-1].transform(queries))
    found = pipe.fit(half, y)[-1].search(pipe[:-1].transform(queries))
    np.testing.assert_allclose(found.scores, want.scores, atol=0.1)
    np.testing.assert_allclose(found.probabilities, want.probabilities, atol=0.05)


@devices
@pytest.mark.filterwarnings("ignore:.*length zero:UserWarning")
def test_documents_of_length_zero_come_last(device):
    X, y, queries = rows_and_queries(0)
    X.values[[1, 14]] = 0
    retriever = MixedModalityRetriever(27, score_calibration=PosteriorOdds())
    found = retriever.fit(tensors(X, device), y).search(tensors(queries, device))
    assert (found.ids[:, -2:] == ["d1", "d14"]).all()
    assert (found.probabilities[:, -2:] == 0).all()

"""Exported vectors: another store ranks, scores and weighs as the retriever does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import N_FEATURES, fitted, small_corpus
from mixed_corpora import SETTINGS, mixed_corpora

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds, make_search_pipeline
from gapremoval.retrieval import ExportedVectors
from gapremoval.score_calibration import ScoreCalibrator

pytestmark = [
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*length zero:UserWarning"),
]
METRICS = ("ip", "cosine", "l2")
metrics = pytest.mark.parametrize("metric", METRICS)
CALIBRATIONS = [None, PosteriorOdds(), PosteriorOdds(hubness=1, prior_count=2)]


def asked_store(exported, queries):
    """What a store returns for all rows, in the order of the rows, and of what kind that is."""
    asked, rows = exported.queries(queries), exported.vectors
    products = asked @ rows.T
    if exported.metric == "ip":
        return products, "similarity"
    if exported.metric == "cosine":
        lengths = np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
        return 1 - products / lengths, "distance"
    return np.linalg.norm(asked[:, None] - rows, axis=2), "distance"


def scores_in_order(retriever, queries):
    """The scores of all documents, in the order of their ids."""
    distances, indices = retriever.kneighbors(queries, retriever.n_documents_)
    scores = np.empty(distances.shape)
    np.put_along_axis(scores, indices, 1 - distances, axis=1)
    return scores


@given(
    st.integers(0, 2**16),
    st.sampled_from(["f4", "f8"]),
    st.sampled_from(CALIBRATIONS),
    st.sets(st.integers(0, 21), max_size=4),
    st.sampled_from(METRICS),
)
def test_what_a_store_returns_gives_the_scores(seed, dtype, calibration, without, metric):
    documents, queries, ids, _ = small_corpus(seed, dtype)
    documents.values[sorted(without)] = 0
    X = EmbeddingArray.concatenate([documents, queries])
    retriever = MixedModalityRetriever(27, score_calibration=calibration)
    retriever.fit(X, [*ids, *[None] * len(queries)])
    directed = ~np.isin(retriever.ids_, [f"d{i}" for i in without])
    for asks in ("query:text", "query:image", "query:image+text"):
        exported = retriever.export_vectors(asks, metric=metric)
        assert exported.vectors.dtype == np.float32
        assert exported.vectors.flags.c_contiguous
        np.testing.assert_array_equal(exported.ids, retriever.ids_)
        np.testing.assert_array_equal(exported.modalities, retriever.document_modality_)
        if metric != "ip":
            np.testing.assert_allclose(np.linalg.norm(exported.vectors, axis=1), 1, atol=1e-6)
        mine = EmbeddingArray(queries.values, asks)
        found = exported.scores(*asked_store(exported, mine))
        scores = scores_in_order(retriever, mine)
        tolerance = 3e-6 * max(abs(scores).max(), 1)
        tolerance *= 1 if metric == "ip" else max(exported.length, 1)
        np.testing.assert_allclose(found[:, directed], scores[:, directed], atol=tolerance)
        if without:
            assert (found[:, ~directed].max(1) < found[:, directed].min(1)).all()


@given(st.integers(0, 2**16), st.sampled_from(CALIBRATIONS), st.sampled_from(METRICS), st.data())
def test_documents_that_come_and_go_change_no_other_row(seed, calibration, metric, data):
    documents, queries, ids, _ = small_corpus(seed, "f4")
    X = EmbeddingArray.concatenate([documents, queries])
    retriever = MixedModalityRetriever(27, score_calibration=calibration)
    retriever.fit(X, [*ids, *[None] * len(queries)])
    before = retriever.export_vectors(metric=metric)
    gone = data.draw(st.lists(st.sampled_from(retriever.ids_.tolist()), max_size=9, unique=True))
    # Not the last of a modality, without which there is one column less.
    modality = dict(zip(retriever.ids_.tolist(), retriever.document_modality_.tolist()))
    last = {name: x for x, name in modality.items()}
    gone = [x for x in gone if x not in last.values()]
    retriever.remove(gone)
    more = small_corpus(seed + 1, "f4")[0][:6]
    retriever.partial_fit(more, [f"new{i}" for i in range(6)])
    length = None if metric == "ip" else before.length
    after = retriever.export_vectors(metric=metric, length=length)
    changes = after.changes(before)
    assert set(changes.removed.tolist()) == set(gone)
    assert [after.ids[i] for i in changes.rows] == [f"new{i}" for i in range(6)]
    mine = EmbeddingArray(queries.values, "query:text")
    found = after.scores(*asked_store(after, mine))
    np.testing.assert_allclose(found, scores_in_order(retriever, mine), atol=1e-4)


def test_what_was_learned_since_changes_all_rows():
    retriever, queries = fitted()
    before = retriever.export_vectors()
    retriever.partial_fit(queries[:2], [["d1"], ["d2"]])
    assert len(retriever.export_vectors().changes(before).rows) == retriever.n_documents_


@metrics
def test_another_export_is_not_compared(metric):
    retriever, _ = fitted()
    others = [
        retriever.export_vectors(metric="l2" if metric == "ip" else "ip"),
        retriever.export_vectors("query:image", metric=metric),
    ]
    if metric != "ip":
        others.append(retriever.export_vectors(metric=metric, length=99.0))
    for other in others:
        with pytest.raises(ValueError, match="does not fit: fill the store anew"):
            retriever.export_vectors(metric=metric).changes(other)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_document_that_is_longer_than_the_rows_says_to_export_anew(metric):
    retriever, _ = fitted()
    length = retriever.export_vectors(metric=metric).length / 1.25
    assert retriever.export_vectors(metric=metric, length=length * 1.001).length > length
    with pytest.raises(ValueError, match="The row of document 'd.*' has length .*export all anew"):
        retriever.export_vectors(metric=metric, length=length * 0.999)


def test_the_layout_is_the_stated_one():
    retriever, queries = fitted()
    exported, n = retriever.export_vectors(), N_FEATURES
    modalities = sorted(set(retriever.document_modality_))
    assert exported.vectors.shape[1] == n + 1 + len(modalities)
    one_hot = np.array(modalities) == retriever.document_modality_[:, None]
    np.testing.assert_array_equal(exported.vectors[:, n + 1 :], one_hot)
    asked = exported.queries(queries.values[:1])
    np.testing.assert_allclose(np.linalg.norm(asked[0, :n]), 1, atol=1e-6)
    assert asked[0, n] == 1
    odds = retriever.score_calibration_
    share, slope = odds.answer_share_["query:text"], odds.slope_["query:text"]
    count = {name: (retriever.document_modality_ == name).sum() for name in modalities}
    want = [np.log(share[name] / count[name]) / slope for name in modalities]
    np.testing.assert_allclose(asked[0, n + 1 :], want, rtol=1e-5)


def test_without_a_score_calibration_scale_is_one_and_offset_zero():
    documents, queries, ids, _ = small_corpus()
    exported = MixedModalityRetriever().fit(documents, ids).export_vectors()
    n = N_FEATURES
    np.testing.assert_array_equal(exported.vectors[:, n], 0)
    np.testing.assert_allclose(np.linalg.norm(exported.vectors[:, :n], axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(exported.queries(queries.values[:1])[0, n + 1 :], 0)
    assert (fitted()[0].export_vectors("query:text").vectors[:, n] != 0).any()
    with pytest.raises(ValueError, match="no log odds.*PosteriorOdds"):
        exported.probabilities([[1.0]])


def test_a_query_modality_that_taught_nothing_is_refused_and_those_that_did_are_named():
    calibrated, _ = fitted()
    with pytest.raises(ValueError, match="nothing about 'query:txet'.*'query:image', 'query:text'"):
        calibrated.export_vectors("txet")
    documents, _, ids, _ = small_corpus()
    plain = MixedModalityRetriever().fit(documents, ids)
    assert plain.export_vectors("txet").vectors.shape[0] == 27


def test_each_query_modality_has_vectors_of_its_own():
    retriever, queries = fitted()
    of_text = retriever.export_vectors().vectors
    np.testing.assert_array_equal(retriever.export_vectors("text").vectors, of_text)
    np.testing.assert_array_equal(retriever.export_vectors("query:text").vectors, of_text)
    of_images = retriever.export_vectors("query:image")
    assert not np.allclose(of_images.vectors, of_text)
    with pytest.raises(ValueError, match="for 'query:image' and not for 'query:text'"):
        of_images.queries(EmbeddingArray(queries.values, "query:text"))


class ByRank(ScoreCalibrator):
    def nearest(self, documents, queries, k, query_modality, *, without=None):
        return documents.nearest(queries, k, without=without)


def test_what_is_no_inner_product_is_not_exported():
    documents, _, ids, _ = small_corpus()
    retriever = MixedModalityRetriever().fit(documents, ids)
    retriever._index.now = replace(retriever._index.now, calibration=ByRank())
    with pytest.raises(ValueError, match="ByRank cannot be exported.*PosteriorOdds"):
        retriever.export_vectors()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "dot"}, "metric must be one of 'ip', 'cosine', 'l2'; got 'dot'"),
        ({"length": 3.0}, "only for the metrics 'cosine' and 'l2'; got 3.0 for 'ip'"),
        ({"metric": "l2", "length": -1}, "a number above 0"),
        ({"metric": "l2", "length": "long"}, "a number above 0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fitted()[0].export_vectors(**options)


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        (np.ones((2, N_FEATURES + 1)), "the documents have"),
        (np.full((2, N_FEATURES), np.nan), "NaN in row 0, 1"),
        (np.zeros((1, N_FEATURES)), "Query 0 has length zero"),
    ],
)
def test_wrong_queries_are_refused(queries, message):
    with pytest.raises(ValueError, match=message):
        fitted()[0].export_vectors().queries(queries)


# What stores return.


@pytest.mark.parametrize(
    ("metric", "kind", "returned"),
    [
        ("ip", "similarity", lambda product, _: product),
        ("ip", "distance", lambda product, _: -product),
        ("cosine", "similarity", lambda product, _: product),
        ("cosine", "distance", lambda product, _: 1 - product),
        ("l2", "distance", lambda _, squared: np.sqrt(squared)),
        ("l2", "squared", lambda _, squared: squared),
    ],
)
def test_every_kind_of_number_gives_the_scores(metric, kind, returned):
    retriever, queries = fitted()
    queries = EmbeddingArray(queries.values, "query:text")
    exported = retriever.export_vectors(metric=metric)
    asked, rows = exported.queries(queries).astype(float), exported.vectors.astype(float)
    products = asked @ rows.T
    squared = np.square(asked[:, None] - rows).sum(axis=2)
    order = np.argsort(-products, axis=1)[:, :9]
    found = np.take_along_axis(returned(products, squared), order, axis=1)
    want = retriever.search(queries, 9).scores
    np.testing.assert_allclose(exported.scores(found, kind), want, atol=1e-5)
    np.testing.assert_allclose(exported.scores(found[0], kind), want[0], atol=1e-5)
    if kind != "squared":
        np.testing.assert_allclose(exported.scores(found), want, atol=1e-5)


def test_numbers_whose_kind_is_unclear_are_refused():
    retriever, _ = fitted()
    for metric in ("ip", "cosine"):
        exported = retriever.export_vectors(metric=metric)
        for unclear in ([[0.5]], [[0.3, 0.3], [0.2, 0.2]]):
            with pytest.raises(ValueError, match="all equal.*kind="):
                exported.scores(unclear)
        with pytest.raises(ValueError, match="not in a store's order.*kind="):
            exported.scores([[0.5, 0.4], [0.4, 0.5]])
        with pytest.raises(ValueError, match="kind is 'squared'; .* 'distance', 'similarity'"):
            exported.scores([[0.5, 0.4]], "squared")
    of_l2 = retriever.export_vectors(metric="l2")
    with pytest.raises(ValueError, match="not in a store's order"):
        of_l2.scores([[0.5, 0.4]])
    assert of_l2.scores([[0.5]]).shape == (1, 1)


def test_places_without_a_document_have_no_probability():
    retriever, queries = fitted()
    exported = retriever.export_vectors()
    found = -np.sort(-(exported.queries(queries.values) @ exported.vectors.T), axis=1)[:, :6]
    alone = exported.probabilities(exported.scores(found[:, :4]))
    # As faiss and usearch fill them.
    for filler in (-np.finfo("f4").max, np.inf, np.nan):
        some = found.copy()
        some[:, 4:] = filler
        scores = exported.scores(some)
        assert np.isneginf(scores[:, 4:]).all()
        odds = exported.probabilities(scores)
        np.testing.assert_allclose(odds[:, 4:], 0)
        np.testing.assert_allclose(odds[:, :4], alone)
        assert exported.scores(np.full((2, 3), filler)).tolist() == [[-np.inf] * 3] * 2
        assert exported.probabilities(np.full((2, 3), -np.inf)).tolist() == [[0.0] * 3] * 2


# Files.


@metrics
@pytest.mark.parametrize("calibrated", [False, True])
def test_a_file_gives_the_same_vectors_questions_and_scores(tmp_path, metric, calibrated):
    documents, queries, ids, _ = small_corpus()
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds() if calibrated else None)
    retriever.fit(documents, ids)
    exported = retriever.export_vectors(metric=metric)
    exported.save(tmp_path / "vectors")
    loaded = ExportedVectors.load(tmp_path / "vectors")
    for name in ("vectors", "ids", "modalities"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(exported, name))
    assert loaded.ids.dtype == exported.ids.dtype
    assert repr(loaded) == repr(exported)
    np.testing.assert_array_equal(loaded.queries(queries.values), exported.queries(queries.values))
    found = [[0.9, 0.5, 0.4]]
    np.testing.assert_array_equal(
        loaded.scores(found, "distance"), exported.scores(found, "distance")
    )
    assert len(loaded.changes(exported).rows) == 0


def test_integer_ids_are_saved_and_others_are_refused(tmp_path):
    rows = np.eye(3)
    exported = MixedModalityRetriever().fit(rows, [3, 1, 2], modality="text").export_vectors()
    exported.save(tmp_path / "a")
    assert ExportedVectors.load(tmp_path / "a").ids.tolist() == [3, 1, 2]
    ids = [0.5, 1.5, 2.5]
    exported = MixedModalityRetriever().fit(rows, ids, modality="text").export_vectors()
    with pytest.raises(ValueError, match="Only ids that are strings or integers"):
        exported.save(tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(FileNotFoundError):
        ExportedVectors.load(path)
    fitted()[0].export_vectors().save(path)
    content = path.read_bytes()
    for broken in (b"", b"hello", content[: len(content) // 2], content.replace(b'"l', b'"m', 1)):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="holds no exported vectors, or is damaged"):
            ExportedVectors.load(path)


# Real embeddings.


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_faiss_ranks_real_embeddings_as_the_retriever_does(real, setting):
    faiss = pytest.importorskip("faiss")
    documents, queries, ids, _, _ = next(mixed_corpora(real("flickr8k_clip_vitb32.npz"), *setting))
    X = EmbeddingArray.concatenate([documents, queries])
    pipe = make_search_pipeline(n_neighbors=20).fit(X, [*ids, *[None] * len(queries)])
    corrected = pipe[:-1].transform(queries)
    distances, want = pipe[-1].kneighbors(corrected)
    # Scores that single precision cannot tell apart may change places.
    apart = np.diff(distances, axis=1) > 2e-5
    clear = np.ones(want.shape, dtype=bool)
    clear[:, 1:] &= apart
    clear[:, :-1] &= apart
    clear[:, -1] = False  # whose neighbor is not seen
    assert clear.mean() > 0.9
    exact = pipe[-1].search(corrected, 20)
    for metric in METRICS:
        exported = pipe[-1].export_vectors(metric=metric)
        index = (faiss.IndexFlatL2 if metric == "l2" else faiss.IndexFlatIP)(
            exported.vectors.shape[1]
        )
        index.add(exported.vectors)
        returned, indices = index.search(exported.queries(corrected), 100)
        scores = exported.scores(returned, "squared" if metric == "l2" else "similarity")
        np.testing.assert_allclose(scores[:, :20], 1 - distances, atol=1e-5)
        np.testing.assert_array_equal(indices[:, :20][clear], want[clear])
        odds = exported.probabilities(scores)
        np.testing.assert_allclose(odds[:, 0], exact.probabilities[:, 0], atol=0.01)

"""Documents come and go; what a score calibration learned stays until it learns again."""

import copy
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from exported_lines import exported_lines
from hypothesis import given
from hypothesis import strategies as st
from mixed_cases import (
    N_FEATURES,
    assert_same_results,
    fitted,
    learned_by,
    lines_of,
    slow_spreads,
    small_corpus,
    with_what_was_learned,
)
from sklearn.base import clone

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds
from gapremoval.retrieval import _index
from gapremoval.score_calibration._shrinkage import query_centers

pytestmark = [
    pytest.mark.filterwarnings("ignore:y was not given:UserWarning"),
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*length zero:UserWarning"),
]


def pool():
    """Documents of four modalities, two of length zero: rows, queries, the rows of each id."""
    documents, queries, ids, _ = small_corpus()
    documents.values[[3, 15]] = 0
    audio = EmbeddingArray(small_corpus(9)[0].values[:6], "audio")
    rows_of = {}
    for row, id_ in enumerate([*ids, *[f"a{i}" for i in range(6)]]):
        rows_of.setdefault(id_, []).append(row)
    return EmbeddingArray.concatenate([documents, audio]), queries, rows_of


def chosen(X, rows_of, documents):
    """The rows and ids of some documents, one after the other."""
    rows = [row for id_ in documents for row in rows_of[id_]]
    return X[rows], [id_ for id_ in documents for _ in rows_of[id_]]


@given(st.data())
def test_adding_and_removing_equals_an_index_of_what_is_there_with_what_was_learned(data):
    X, queries, rows_of = pool()
    there = [f"d{i}" for i in (*range(5), *range(12, 16), 22, 23)]
    rows, ids = chosen(X, rows_of, there)
    rows, y = EmbeddingArray.concatenate([rows, queries]), [*ids, "d0", *[None] * 8]
    living = MixedModalityRetriever(100, score_calibration=PosteriorOdds()).fit(rows, y)
    for _ in range(data.draw(st.integers(1, 5))):
        absent = [id_ for id_ in rows_of if id_ not in there]
        if there and data.draw(st.booleans()):
            gone = data.draw(st.lists(st.sampled_from(there), unique=True))
            living.remove(gone)
            there = [id_ for id_ in there if id_ not in gone]
        elif absent:
            new = data.draw(st.lists(st.sampled_from(absent), unique=True, min_size=1))
            living.partial_fit(*chosen(X, rows_of, new))
            there += new
        if there and data.draw(st.booleans()):
            living.search(queries)  # which may keep lines
    assert living.ids_.tolist() == there
    if not there:
        with pytest.raises(ValueError, match="corpus is empty"):
            living.search(queries)
        return
    fresh = with_what_was_learned(living, *chosen(X, rows_of, there))
    found = living.search(queries)
    assert_same_results(fresh.search(queries), found, 1e-9)
    np.testing.assert_allclose(exported_lines(living), exported_lines(fresh), atol=1e-5)
    assert np.isfinite(found.scores).all()
    assert np.isfinite(found.probabilities).all()


def test_one_fit_is_the_first_partial_fit():
    documents, queries, ids, relevance = small_corpus()
    X, y = EmbeddingArray.concatenate([documents, queries]), [*ids, *relevance]
    one, other = (MixedModalityRetriever(100, score_calibration=PosteriorOdds()) for _ in "ab")
    assert_same_results(one.fit(X, y).search(queries), other.partial_fit(X, y).search(queries))


def test_a_new_document_gets_the_scale_that_the_kept_rows_give_it():
    retriever, _ = fitted(hubness=1)
    odds = retriever.score_calibration_
    new = np.random.default_rng(5).normal(size=N_FEATURES)
    retriever.partial_fit(EmbeddingArray(new[None], "text"), ["new"])
    for name, bank in retriever._index.now.banks[0].items():
        both = np.split(bank.rows, [bank.n_queries])
        centers = query_centers(both[0], bank.weights, both[1], 16)
        rows = np.concatenate([x - center for x, center in zip(both, centers)])
        weights = np.append(bank.weights, np.full(len(both[1]), 16 / len(both[1])))
        table = rows @ new[:, None] / np.linalg.norm(new)
        variance = slow_spreads(table, weights)[1, 0]
        spread, believed, norm = (
            getattr(odds, x)[name]["text"] for x in ("spread_", "credibility_", "norm_")
        )
        ratio = 1 + believed * (variance / spread**2 - 1)
        spread *= np.sqrt(max(ratio, 0.05)) / norm
        lines = lines_of(retriever, name)
        assert lines.scale[-1] == pytest.approx(1 / spread)
        before = lines_of(fitted(hubness=1)[0], name)
        np.testing.assert_allclose(lines.scale[:-1], before.scale, rtol=1e-12)


def test_the_number_of_documents_of_a_modality_follows_the_corpus():
    retriever, _ = fitted()
    lines = lines_of(retriever, "query:text")
    kind = retriever.document_modality_
    gone = retriever.ids_[kind == "text"][:9]
    kept = ~np.isin(retriever.ids_, gone)
    retriever.remove(gone)
    after = lines_of(retriever, "query:text")
    np.testing.assert_array_equal(after.scale, lines.scale[kept])
    slope = retriever.score_calibration_.slope_["query:text"]
    change = np.where(kind[kept] == "text", np.log(12 / 3) / slope, 0)
    np.testing.assert_allclose(after.offset - lines.offset[kept], change, atol=1e-12)


@pytest.mark.parametrize("n_new", [1, 7])
@pytest.mark.parametrize("with_others", [False, True])
@pytest.mark.parametrize("known", [None, {"text": 4, "image": 3, "image+text": 1, "audio": 2}])
def test_a_modality_that_was_not_there_is_learned_about_as_at_once(n_new, with_others, known):
    retriever, queries = fitted(answer_share=known)
    rng = np.random.default_rng(0)
    tags = ["audio"] * n_new + ["text"] * 3 * with_others
    new = EmbeddingArray(rng.normal(size=(len(tags), N_FEATURES)), tags)
    new_ids = [f"new{i}" for i in range(len(tags))]
    retriever.partial_fit(new, new_ids)
    documents, asked, ids, relevance = small_corpus()
    X = EmbeddingArray.concatenate([documents, new, asked])
    at_once = clone(retriever).fit(X, [*ids, *new_ids, *relevance])
    found = retriever.search(queries)
    assert_same_results(at_once.search(queries), found, 1e-9)
    assert "audio" in found.modalities
    assert retriever.search(queries, document_modality="audio").ids.shape == (9, n_new)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-9)


def test_all_documents_may_go_and_others_come():
    retriever, queries = fitted()
    learned = learned_by(retriever)
    retriever.remove(retriever.ids_)
    assert retriever.export_vectors().vectors.shape == (0, N_FEATURES + 1)
    documents, _, ids, _ = small_corpus(4)
    retriever.partial_fit(documents, ids)
    assert learned_by(retriever) == learned
    found = retriever.search(queries)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-9)


def test_documents_of_length_zero_that_are_added_come_last():
    retriever, queries = fitted()
    retriever.partial_fit(EmbeddingArray(np.zeros((2, N_FEATURES)), ["text", "audio"]), ["a", "b"])
    found = retriever.search(queries)
    assert (found.ids[:, -2:] == ["a", "b"]).all()
    assert (found.probabilities[:, -2:] == 0).all()
    assert (found.scores[:, -2] < found.scores[:, -3]).all()


def test_copies_do_not_share_what_changes():
    retriever, queries = fitted()
    odds, want = retriever.score_calibration_, retriever.search(queries)
    before = copy.deepcopy(learned_by(retriever))
    retriever.partial_fit(EmbeddingArray(np.eye(3, N_FEATURES), "audio"), [*"abc"]).remove("d0")
    assert {name: getattr(odds, name) for name in before} == before
    np.testing.assert_array_equal(fitted()[0].search(queries).scores, want.scores)


def test_where_only_documents_of_length_zero_are_left_nothing_answers():
    retriever, queries = fitted()
    retriever.partial_fit(EmbeddingArray(np.zeros((2, N_FEATURES)), ["text", "audio"]), ["a", "b"])
    retriever.remove([x for x in retriever.ids_ if x not in "ab"])
    found = retriever.search(queries)
    assert found.ids.tolist() == [["a", "b"]] * len(queries)
    assert (found.probabilities == 0).all()
    assert (found.evidence == -np.inf).all()


# In place.


@pytest.mark.parametrize("calibration", [None, PosteriorOdds()])
def test_a_document_comes_and_goes_without_memory_in_proportion_to_the_corpus(calibration):
    n_documents, n_features = 20_000, 64
    rng = np.random.default_rng(0)
    tags = [*["text", "image"] * (n_documents // 2), *["query:text"] * 20]
    X = EmbeddingArray(rng.normal(size=(len(tags), n_features)).astype("f4"), tags)
    retriever = MixedModalityRetriever(score_calibration=calibration).fit(X)
    new = X[:100]
    # The first change makes room for more, and looks up the ids.
    retriever.partial_fit(new[:2], [-1, -2]).remove([0, 1])
    tracemalloc.start()
    for i in range(2, 100):
        retriever.partial_fit(new[i : i + 1], [-1 - i]).remove([i])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n_documents * n_features * 4 / 3
    assert retriever.n_documents_ == n_documents


@pytest.mark.parametrize("calibration", [None, PosteriorOdds()])
@pytest.mark.parametrize("change", ["partial_fit", "remove"])
@pytest.mark.parametrize("from_a_copy", [False, True])
def test_where_memory_runs_out_the_corpus_stays_as_it_was(
    monkeypatch, calibration, change, from_a_copy
):
    X, queries, rows_of = pool()
    documents, ids = chosen(X, rows_of, [f"d{i}" for i in range(20)])
    rows, y = EmbeddingArray.concatenate([documents, queries]), [*ids, *[None] * len(queries)]
    moved = [0, np.inf]

    def failing(step):
        def fails(*args):
            moved[0] += 1
            if moved[0] > moved[1]:
                raise MemoryError
            return step(*args)

        return fails

    for step in ("appended", "compacted"):
        monkeypatch.setattr(_index, step, failing(getattr(_index, step)))
    for n_done in range(100):
        moved[1] = np.inf
        living = MixedModalityRetriever(50, score_calibration=calibration).fit(rows, y)
        keep = copy.copy(living) if from_a_copy else None
        want = living.search(queries)
        gone = [f"d{i}" for i in (*range(1, 5), 13)]
        what = [gone] if change == "remove" else chosen(X, rows_of, ["d22", "a0", "d21"])
        moved[:] = 0, n_done
        try:
            getattr(living, change)(*what)
        except MemoryError:
            moved[1] = np.inf
            np.testing.assert_array_equal(living.search(queries).scores, want.scores)
            np.testing.assert_array_equal(living.search(queries).ids, want.ids)
            assert getattr(living, change)(*what).n_documents_ == (15 if change == "remove" else 23)
        else:
            break
    assert n_done == moved[0]
    assert n_done >= 4 or change == "remove"
    assert n_done
    if keep is not None:
        np.testing.assert_array_equal(keep.search(queries).ids, want.ids)


@pytest.mark.parametrize("calibration", [None, PosteriorOdds()])
def test_a_corpus_that_has_changed_answers_many_threads_alike(calibration):
    retriever, queries = fitted()
    retriever.set_params(score_calibration=calibration)
    documents, _, ids, _ = small_corpus(3)
    retriever.fit(EmbeddingArray.concatenate([documents, queries]), [*ids, *[None] * 9])
    want = copy.deepcopy(retriever).remove(["d3", "d20"]).kneighbors(queries)
    for _ in range(5):
        living = copy.deepcopy(retriever).remove(["d3", "d20"])
        with ThreadPoolExecutor(8) as threads:
            for found in threads.map(living.kneighbors, [queries] * 16):
                np.testing.assert_array_equal(found[1], want[1])
                np.testing.assert_array_equal(found[0], want[0])

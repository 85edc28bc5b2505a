"""`search` over every kind of estimator and every kind of query."""

from pathlib import Path

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    QueryKFold,
    search,
)
from gapremoval.datasets import make_mixed_modality

N_ITEMS, N_FEATURES = 60, 96


@pytest.fixture(scope="module")
def corpus():
    return make_mixed_modality(N_ITEMS, n_features=N_FEATURES, random_state=0)


@pytest.fixture(scope="module")
def queries(corpus):
    X, _ = corpus
    return X[X.modality == "query:text"]


@pytest.fixture(scope="module")
def pipe(corpus):
    return make_pipeline(ModalityGapRemover(), MixedModalityRetriever()).fit(*corpus)


def tagged(rows, name):
    return EmbeddingArray(rows, name)


# Ways to ask with the same rows: what is given as queries, and as modality.
WAYS = {
    "query rows": lambda rows: (tagged(rows, "query:text"), None),
    "text rows": lambda rows: (tagged(rows, "text"), None),
    "mistagged rows and the right tag": lambda rows: (tagged(rows, "image"), "text"),
    "an array": lambda rows: (rows, None),
    "an array of texts": lambda rows: (rows, "text"),
    "an array of queries": lambda rows: (rows, "query:text"),
    "an array and a list of tags": lambda rows: (rows, ["text"] * len(rows)),
    "an array and an array of tags": lambda rows: (rows, np.array(["query:text"] * len(rows))),
    "a list of vectors": lambda rows: (list(rows), None),
    "a tuple of lists": lambda rows: (tuple(rows.tolist()), "text"),
    "an array of objects": lambda rows: (rows.astype(object), None),
}


@given(
    st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=8),
    st.integers(1, 2 * N_ITEMS),
    st.sampled_from(sorted(WAYS)),
)
def test_it_is_to_mark_the_rows_as_queries_and_predict(corpus, queries, pipe, at, k, way):
    asked, modality = WAYS[way](queries.values[at])
    found = search(pipe, asked, k, modality=modality)
    marked = tagged(queries.values[at], "query:text")
    whole = pipe[-1].search(pipe[:-1].transform(marked), N_ITEMS)
    assert found.ids.shape == (len(at), min(k, N_ITEMS))
    np.testing.assert_array_equal(found.ids, whole.ids[:, :k])
    np.testing.assert_allclose(found.scores, whole.scores[:, :k], atol=1e-6)
    np.testing.assert_array_equal(search(pipe, asked, modality=modality).ids, pipe.predict(marked))


@given(st.integers(0, N_ITEMS - 1), st.sampled_from([None, "text", "query:text"]))
def test_one_vector_is_one_query(queries, pipe, at, modality):
    want = search(pipe, queries[[at]])
    for vector in (queries.values[at], queries.values[at].tolist(), tuple(queries[at])):
        found = search(pipe, vector, modality=modality)
        assert len(found) == 1
        np.testing.assert_array_equal(found.ids, want.ids)


def test_it_finds_what_the_retriever_finds_on_corrected_rows(corpus, queries, pipe):
    X, y = corpus
    right = search(pipe, queries, 1).ids[:, 0] == y[X.modality == "query:text"]
    assert right.mean() > 0.6


def test_document_tags_become_query_tags(corpus, queries, pipe):
    asked = EmbeddingArray(queries.values[:3], ["text", "query:text", "image"])
    marked = EmbeddingArray(queries.values[:3], ["query:text", "query:text", "query:image"])
    np.testing.assert_array_equal(search(pipe, asked).ids, pipe.predict(marked))
    assert asked.modality.tolist() == ["text", "query:text", "image"]


def test_a_query_of_another_modality_is_another_query(queries, pipe):
    as_image = search(pipe, queries, modality="image").scores
    assert np.abs(as_image - search(pipe, queries).scores).max() > 0.01


def test_a_data_frame_or_a_series_of_queries_is_read_by_its_rows(queries, pipe):
    pandas = pytest.importorskip("pandas")
    want = search(pipe, queries)
    frame = pandas.DataFrame(queries.values, index=range(100, 100 + N_ITEMS))
    np.testing.assert_array_equal(search(pipe, frame).ids, want.ids)
    named = frame.rename(columns=str)
    np.testing.assert_array_equal(search(pipe, named, modality="text").ids, want.ids)
    rows = pandas.Series(list(queries.values))
    np.testing.assert_array_equal(search(pipe, rows).ids, want.ids)


class TestBareVectors:
    """Which modality asks, where vectors do not say it."""

    @pytest.fixture(params=["retriever", "pipeline"])
    def make(self, request):
        if request.param == "retriever":
            return MixedModalityRetriever
        return lambda: make_pipeline(ModalityGapRemover(), MixedModalityRetriever())

    def test_is_the_only_query_modality_that_was_fitted(self, make, corpus, queries):
        X, y = corpus
        modality = np.where(X.modality == "query:text", "query:image", X.modality)
        X = EmbeddingArray(X.values, modality)
        fitted = make().fit(X, y)
        want = search(fitted, tagged(queries.values, "query:image"))
        found = search(fitted, queries.values)
        np.testing.assert_array_equal(found.ids, want.ids)
        np.testing.assert_array_equal(found.scores, want.scores)

    def test_must_be_given_where_no_query_was_fitted(self, make, corpus, queries):
        X, y = corpus
        documents = X.modality != "query:text"
        fitted = make().fit(X[documents], y[documents])
        for rows in (queries.values, queries.values[0], queries.values.tolist()):
            with pytest.raises(ValueError, match=r"pass modality='text'") as error:
                search(fitted, rows)
            assert "'text'" in str(error.value)
            assert "'image'" in str(error.value)
        assert len(search(fitted, queries.values, modality="text")) == N_ITEMS

    def test_must_be_given_where_two_query_modalities_were_fitted(self, make, corpus, queries):
        X, y = corpus
        modality = [*X.modality[:-5], *["query:image"] * 5]
        fitted = make().fit(EmbeddingArray(X.values, modality), y)
        with pytest.raises(ValueError, match=r"pass modality='text'.*'query:text', 'query:image'"):
            search(fitted, queries.values)
        assert len(search(fitted, queries.values, modality="text")) == N_ITEMS

    def test_does_not_matter_where_the_rows_of_the_fit_had_none(self, make, corpus, queries):
        X, y = corpus
        documents = X.modality == "image"
        with pytest.warns(UserWarning, match="without modalities"):
            fitted = make().fit(X.values[documents], y[documents])
        found = search(fitted, queries.values)
        np.testing.assert_array_equal(found.ids, fitted.predict(queries.values))


class AddByModality(TransformerMixin, BaseEstimator):
    """Takes plain rows, and asks for their modality."""

    __metadata_request__fit = {"modality": True}
    __metadata_request__transform = {"modality": True}

    def fit(self, X, y=None, *, modality=None):
        self.offsets_ = {name: i / 50 for i, name in enumerate(np.unique(modality))}
        return self

    def transform(self, X, *, modality=None):
        return np.asarray(X) + np.array([self.offsets_[name] for name in modality])[:, None]

    def fit_transform(self, X, y=None, *, modality=None):
        return self.fit(X, y, modality=modality).transform(X, modality=modality)


class TestSteps:
    """What the steps before the retriever may be."""

    @pytest.mark.parametrize("stock", [PCA(32), Normalizer()], ids=lambda s: type(s).__name__)
    def test_one_that_drops_the_tags(self, corpus, queries, stock):
        X, y = corpus
        with sklearn.config_context(enable_metadata_routing=True):
            pipe = make_pipeline(stock, ModalityGapRemover(), MixedModalityRetriever())
            pipe.fit(X.values, y, modality=X.modality)
            want = pipe.predict(queries.values, modality=queries.modality)
            np.testing.assert_array_equal(search(pipe, queries).ids, want)
        for asked in (queries, queries.values, tagged(queries.values, "text")):
            np.testing.assert_array_equal(search(pipe, asked).ids, want)

    def test_one_that_asks_for_the_modality(self, corpus, queries):
        X, y = corpus
        with sklearn.config_context(enable_metadata_routing=True):
            pipe = make_pipeline(
                Normalizer(), AddByModality(), ModalityGapRemover(), MixedModalityRetriever()
            )
            pipe.fit(X.values, y, modality=X.modality)
            want = pipe.predict(queries.values, modality=queries.modality)
        np.testing.assert_array_equal(search(pipe, queries.values).ids, want)
        np.testing.assert_array_equal(search(pipe, queries.values, modality="text").ids, want)

    @pytest.mark.parametrize("nothing", [None, "passthrough"])
    def test_none(self, corpus, queries, pipe, nothing):
        steps = [("a", nothing), ("gap", ModalityGapRemover()), ("b", nothing)]
        idle = Pipeline([*steps, ("search", MixedModalityRetriever())]).fit(*corpus)
        np.testing.assert_array_equal(search(idle, queries).ids, search(pipe, queries).ids)

    def test_a_frozen_one(self, corpus, queries, pipe):
        gap = FrozenEstimator(ModalityGapRemover().fit(corpus[0]))
        frozen = make_pipeline(gap, MixedModalityRetriever()).fit(*corpus)
        for asked in (queries, queries.values):
            np.testing.assert_array_equal(search(frozen, asked).ids, search(pipe, queries).ids)

    def test_pipelines_first_and_last(self, corpus, queries, pipe):
        gap, retriever = ModalityGapRemover(), MixedModalityRetriever()
        want = search(pipe, queries).ids
        for nested in (
            make_pipeline(make_pipeline("passthrough", gap), retriever),
            make_pipeline("passthrough", make_pipeline(gap, retriever)),
            make_pipeline(make_pipeline(make_pipeline(gap)), make_pipeline(retriever)),
        ):
            np.testing.assert_array_equal(search(nested.fit(*corpus), queries).ids, want)

    def test_a_pipeline_that_drops_the_tags_within(self, corpus, queries):
        X, y = corpus
        with sklearn.config_context(enable_metadata_routing=True):
            first = make_pipeline(PCA(32), ModalityGapRemover())
            pipe = make_pipeline(first, make_pipeline(Normalizer(), MixedModalityRetriever()))
            pipe.fit(X.values, y, modality=X.modality)
            want = pipe.predict(queries.values, modality=queries.modality)
        np.testing.assert_array_equal(search(pipe, queries.values).ids, want)

    def test_a_search_object_around_them_or_as_the_last(self, corpus, queries, pipe):
        want = search(pipe, queries).ids
        options = {"cv": QueryKFold(2), "error_score": "raise"}
        around = GridSearchCV(pipe, {"modalitygapremover__strength": [1.0]}, **options)
        last = GridSearchCV(MixedModalityRetriever(), {"fusion_weight": [0.5]}, **options)
        for grid in (around, make_pipeline(ModalityGapRemover(), last)):
            np.testing.assert_array_equal(search(grid.fit(*corpus), queries).ids, want)

    def test_no_step_at_all(self, corpus, queries):
        retriever = MixedModalityRetriever(4).fit(*corpus)
        np.testing.assert_array_equal(
            search(retriever, queries.values).ids, retriever.predict(queries)
        )
        found = search(make_pipeline(retriever), queries, 7)
        np.testing.assert_array_equal(found.ids, retriever.search(queries, 7).ids)


def number_in(item):
    """The number that an item of the tests below shows, and its modality."""
    if isinstance(item, str):
        return int(item), "text"
    if isinstance(item, Path):
        return int(item.stem), "image"
    return int(np.asarray(item).max()), "image"


class NumberEncoder(TransformerMixin, BaseEstimator):
    """Encodes the texts, paths and pictures that show a number from 0 to 59."""

    def fit(self, items, y=None):
        return self

    def transform(self, items):
        self.seen_ = items
        rows, tags = zip(*map(self._encode, items))
        return EmbeddingArray(np.stack(rows), list(tags))

    def _encode(self, item):
        if not isinstance(item, Query):
            number, modality = number_in(item)
            return self._embed(number, modality), modality
        if item.item is not None:
            row, modality = self._encode(item.item)
            return row, "query:" + modality
        parts = {"text": item.text, "image": item.image}
        parts = {name: part for name, part in parts.items() if part is not None}
        rows = [self._embed(number_in(part)[0], name) for name, part in parts.items()]
        return np.mean(rows, axis=0), "query:" + "+".join(sorted(parts))

    @staticmethod
    def _embed(number, modality):
        row = np.random.default_rng(number).normal(size=32)
        row /= np.linalg.norm(row)
        row[0 if modality == "text" else 1] += 2
        return row / np.linalg.norm(row)


def picture(number):
    return np.full((4, 5, 3), number, dtype=np.uint8)


# Raw queries for number 7, each one query.
SEVENS = {
    "a text": "7",
    "a path": Path("7.png"),
    "a picture": Image.fromarray(picture(7)),
    "a grey picture": Image.fromarray(picture(7)).convert("L"),
    "an array": picture(7),
    "a Query": Query("7"),
    "a Query of a path": Query(Path("7.png")),
    "a Query by its text": Query(text="7"),
    "a Query of both": Query(text="7", image=Path("7.png")),
    "a text of numpy's": np.str_("7"),
}


@pytest.fixture(scope="module")
def reader():
    """A pipeline fitted on texts of odd numbers and paths of even ones."""
    items = [str(i) if i % 2 else Path(f"{i}.png") for i in range(N_ITEMS)]
    pipe = make_pipeline(NumberEncoder(), ModalityGapRemover(), MixedModalityRetriever(2))
    return pipe.fit(items, list(range(N_ITEMS)))


class TestRawItems:
    """Texts and pictures, for a pipeline that begins with an encoder."""

    @pytest.mark.parametrize("name", SEVENS)
    def test_one_item_is_one_query(self, reader, name):
        found = search(reader, SEVENS[name])
        assert found.ids.shape == (1, 2)
        assert found.ids[0, 0] == 7
        (seen,) = reader[0].seen_
        assert isinstance(seen, Query)
        if not isinstance(SEVENS[name], Query):
            assert seen.item is SEVENS[name]

    @pytest.mark.parametrize("container", [list, tuple, iter])
    def test_several_are_as_many(self, reader, container):
        found = search(reader, container([*SEVENS.values(), "8"]))
        assert found.ids[:, 0].tolist() == [7] * len(SEVENS) + [8]
        assert isinstance(reader[0].seen_, list)
        assert all(isinstance(item, Query) for item in reader[0].seen_)

    @pytest.mark.parametrize("dtype", [str, object])
    def test_arrays_and_series_of_texts_are_as_many(self, reader, dtype):
        pandas = pytest.importorskip("pandas")
        for asked in (np.array(["7", "9"], dtype=dtype), pandas.Series(["7", "9"], dtype=dtype)):
            assert search(reader, asked).ids[:, 0].tolist() == [7, 9]
            assert [item.item for item in reader[0].seen_] == ["7", "9"]

    def test_a_text_is_not_found_by_the_mean_of_documents(self, reader):
        marked = reader[0].transform([Query("7")])
        np.testing.assert_allclose(
            search(reader, "7", 5).scores,
            reader[-1].search(reader[1].transform(marked), 5).scores,
        )
        assert marked.modality.tolist() == ["query:text"]

    def test_vectors_cannot_be_mixed_with_a_modality_that_items_have_themselves(self, reader):
        for items in ("7", ["7", Path("8.png")], Query("7")):
            with pytest.raises(ValueError, match="modality= is for vectors"):
                search(reader, items, modality="image")

    def test_a_missing_item_is_an_error(self, reader):
        with pytest.raises(TypeError, match="item of a Query is missing"):
            search(reader, ["7", None])

    @pytest.mark.parametrize("item", [SEVENS["a text"], SEVENS["a path"], SEVENS["a Query"]])
    @pytest.mark.parametrize("several", [False, True])
    def test_without_an_encoder_are_an_error_that_says_so(self, corpus, item, several):
        for last in (
            MixedModalityRetriever(),
            make_pipeline(ModalityGapRemover(), MixedModalityRetriever()),
        ):
            with pytest.raises(ValueError, match=r"got raw items.*put an encoder before it"):
                search(last.fit(*corpus), [item] * 2 if several else item)


def test_a_document_modality_narrows_the_search(pipe, queries):
    whole = search(pipe, queries, N_ITEMS)
    for name in ("text", "image", "image+text"):
        found = search(pipe, queries, 5, document_modality=name)
        assert found.ids.shape == (N_ITEMS, 5)
        assert (found.modalities == name).all()
        for row, (ids, modalities) in enumerate(zip(whole.ids, whole.modalities)):
            assert found.ids[row].tolist() == ids[modalities == name][:5].tolist()


def test_fewer_documents_than_asked_for_give_fewer_columns(pipe, queries):
    assert search(pipe, queries, N_ITEMS + 1).ids.shape == (N_ITEMS, N_ITEMS)
    n_images = int((pipe[-1].document_modality_ == "image").sum())
    found = search(pipe, queries, N_ITEMS, document_modality="image")
    assert found.ids.shape == found.scores.shape == found.modalities.shape == (N_ITEMS, n_images)
    assert len(set(found.ids[0])) == n_images


@pytest.mark.parametrize("name", ["audio", "Image", "query:text", "text+audio"])
def test_an_unknown_document_modality_is_an_error_that_lists_the_known(pipe, queries, name):
    with pytest.raises(ValueError, match=r"No document has the modality.*'image\+text'"):
        search(pipe, queries, document_modality=name)


@pytest.mark.parametrize("n_neighbors", [0, -1, 2.5, "3"])
def test_a_wrong_number_of_neighbors_is_an_error(pipe, queries, n_neighbors):
    with pytest.raises(ValueError, match="n_neighbors must be a whole number of at least 1"):
        search(pipe, queries, n_neighbors)


@pytest.mark.parametrize("nothing", [[], (), np.empty((0, N_FEATURES)), np.empty(0, object)])
@pytest.mark.parametrize("modality", [None, "text"])
def test_no_query_is_an_error(pipe, nothing, modality):
    with pytest.raises(ValueError, match="There is no query"):
        search(pipe, nothing, modality=modality)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda Q: Q[:, :5], "5 features.*expecting 96"),
        (lambda Q: Q.values[0, :5], "5 features.*expecting 96"),
        (lambda Q: Q.values[None], "2-D"),
        (lambda Q: Q.values[0] * np.nan, "NaN in row 0"),
        (lambda Q: np.float64(3), "There is no query"),
        (lambda Q: [{"text": "a bicycle"}], "values must be numbers"),
    ],
)
def test_rows_that_are_no_embeddings_are_an_error(pipe, queries, wrong, message):
    with pytest.raises(ValueError, match=message):
        search(pipe, wrong(queries))


def test_wrong_tags_are_an_error(pipe, queries):
    for modality, message in (
        ("Query:text", "Query:text"),
        ("text+text", "names a part twice"),
        (["text"] * 3, "3 tags for 60 rows"),
        ("audio", "'query:audio' was not fitted"),
    ):
        with pytest.raises(ValueError, match=message):
            search(pipe, queries.values, modality=modality)


def test_an_estimator_that_does_not_search_is_an_error(corpus, queries):
    for estimator in (
        ModalityGapRemover().fit(corpus[0]),
        make_pipeline(ModalityGapRemover()).fit(*corpus),
        LogisticRegression(),
        make_pipeline(Normalizer(), "passthrough"),
        "a pipeline",
        None,
    ):
        with pytest.raises(TypeError, match=r"has no search method: the last step must be a Mixed"):
            search(estimator, queries)


def test_an_unfitted_estimator_is_an_error(corpus, queries):
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    grid = GridSearchCV(pipe, {"modalitygapremover__strength": [1.0]}, cv=QueryKFold(2))
    for estimator in (pipe, pipe[-1], grid, make_pipeline(grid)):
        for asked in (queries, queries.values, "a red bicycle"):
            with pytest.raises(NotFittedError):
                search(estimator, asked)
    half = make_pipeline(ModalityGapRemover(), MixedModalityRetriever().fit(*corpus))
    with pytest.raises(NotFittedError, match="ModalityGapRemover"):
        search(half, queries)


def test_a_search_object_that_kept_no_best_estimator_says_so(corpus, queries):
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    grid = GridSearchCV(
        pipe, {"modalitygapremover__strength": [1.0]}, cv=QueryKFold(2), refit=False
    )
    with pytest.raises(NotFittedError, match="refit=True"):
        search(grid.fit(*corpus), queries)


def test_queries_are_not_changed(pipe, queries):
    before, values = queries.modality.copy(), queries.values.copy()
    search(pipe, queries)
    search(pipe, queries.values, modality="image")
    np.testing.assert_array_equal(queries.values, values)
    assert (queries.modality == before).all()


def test_an_answer_does_not_depend_on_the_other_queries(pipe, queries):
    whole = search(pipe, queries)
    for at in (0, 17, N_ITEMS - 1):
        alone = search(pipe, queries[[at]])
        np.testing.assert_array_equal(alone.ids[0], whole.ids[at])
        np.testing.assert_allclose(alone.scores[0], whole.scores[at], atol=1e-6)

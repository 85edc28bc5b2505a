"""Pipelines evaluated by mteb itself, offline, on drawn scenes with the pocket model."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

pytest.importorskip("mteb")
pytest.importorskip("open_clip")

import datasets
import mteb
from mixbench_files import write_parquet
from mteb.models.models_protocols import SearchProtocol

from gapremoval import CLIPEncoder, MixedModalityRetriever, make_search_pipeline, search
from gapremoval.datasets import load_mixbench, make_mixbench
from gapremoval.evaluation import MtebSearch, mixbench_task
from gapremoval.metrics import ndcg_at_k


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return CLIPEncoder("pocket", memory=tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("mixbench")
    return {
        "text": make_mixbench(root / "Drawn_Scenes", 60, n_queries=40, random_state=0),
        "image+text": make_mixbench(root / "Both", 24, image_queries=True, random_state=1),
    }


def run(model, task, tmp_path):
    cache = mteb.ResultCache(tmp_path / "results")
    result = mteb.evaluate(model, task, cache=cache, show_progress_bar=False)
    return result.task_results[0].scores["test"][0]


@pytest.mark.parametrize("queries", ["text", "image+text"])
def test_the_score_of_mteb_is_ours(encoder, folders, queries, tmp_path):
    subset = load_mixbench(folders[queries])
    pipe = make_search_pipeline(encoder)
    task = mixbench_task(folders[queries])
    scores = run(MtebSearch(pipe, "gapremoval/pocket"), task, tmp_path)
    found = search(pipe.fit(subset.documents, subset.ids), subset.queries, 10)
    ours = ndcg_at_k(subset.relevance, found.ids)
    # mteb rounds this one.
    assert scores["ndcg_at_10"] == scores["main_score"] == pytest.approx(ours.mean(), abs=5.1e-6)
    assert scores["ndcg_at_10_all"] == pytest.approx(ours.mean(), abs=1e-6)
    modality = dict(zip(pipe[-1].ids_.tolist(), pipe[-1].document_modality_.tolist()))
    answered = np.array([modality[next(iter(gains))] for gains in subset.relevance])
    for name in ("text", "image", "image+text"):
        expected = ours[answered == name].mean()
        assert scores[f"ndcg_at_10_{name}"] == pytest.approx(expected, abs=1e-6)
    if queries == "text":
        assert 0 < ours.mean() < 1


def test_the_release_of_2026_is_scored_alike(encoder, folders, tmp_path):
    later = write_parquet(folders["text"], tmp_path / "Later")
    model = MtebSearch(make_search_pipeline(encoder), "gapremoval/pocket")
    tasks = [mixbench_task(folders["text"]), mixbench_task(later, qrels=folders["text"])]
    scores = [run(model, task, tmp_path) for task in tasks]
    assert scores[0]["main_score"] == scores[1]["main_score"]


def test_documents_of_equal_scores_keep_our_order(encoder, folders):
    # The same text twenty times over: trec_eval alone would rank it by id, descending.
    corpus = datasets.Dataset.from_dict(
        {"id": [f"d{i}" for i in range(20)], "text": ["a red star"] * 20}
    )
    queries = datasets.Dataset.from_dict({"id": ["q"], "text": ["a scarlet star"]})
    model = MtebSearch(encoder_and_retriever(encoder), "gapremoval/pocket")
    model.index(corpus)
    found = model.search(queries, top_k=12)["q"]
    assert [*found] == [f"d{i}" for i in range(12)]
    assert (np.diff(np.float32([*found.values()])) < 0).all()


def encoder_and_retriever(encoder):
    return make_pipeline(encoder, MixedModalityRetriever())


def test_it_is_a_model_whose_revision_is_what_it_is_made_of(encoder):
    pipe = make_search_pipeline(encoder)
    model = MtebSearch(pipe, "me/pocket")
    assert isinstance(model, SearchProtocol)
    same = MtebSearch(make_search_pipeline(encoder), "me/pocket")
    others = [
        MtebSearch(make_search_pipeline(encoder, fusion_weight=0.4), "me/pocket"),
        MtebSearch(pipe, "me/pocket", teaching=["a red star"]),
    ]
    meta = model.mteb_model_meta
    assert meta.name == "me/pocket"
    assert {*meta.modalities} == {"text", "image"}
    assert same.mteb_model_meta.revision == meta.revision
    assert len({meta.revision, *(x.mteb_model_meta.revision for x in others)}) == 3


def test_queries_that_teach_are_fitted_and_never_found(encoder, folders):
    task = mixbench_task(folders["text"])
    task.load_data()
    split = task.dataset["default"]["test"]
    subset = load_mixbench(folders["text"])
    pipe = make_search_pipeline(encoder)
    model = MtebSearch(pipe, "me/pocket", teaching=[query.item for query in subset.queries])
    model.index(split["corpus"])
    runs = model.search(split["queries"], top_k=1000)
    unknown = [None] * len(subset.queries)
    pipe.fit([*subset.documents, *subset.queries], [*subset.ids, *unknown])
    expected = search(pipe, subset.queries, 60).ids
    assert [[*runs[x]] for x in subset.query_ids] == expected.tolist()


def test_only_given_documents_are_ranked_where_a_task_gives_some(encoder):
    corpus = datasets.Dataset.from_dict(
        {
            "id": ["a", "b", "c", "d"],
            "title": ["a red star", "", None, ""],
            "text": ["on grey", "a blue box", "a green ring", " "],
        }
    )
    queries = datasets.Dataset.from_dict(
        {"id": ["q", "r"], "text": ["a red star"] * 2, "instruction": ["find it", None]}
    )
    model = MtebSearch(encoder_and_retriever(encoder), "me/pocket")
    with pytest.warns(UserWarning, match="1 documents are empty and were not indexed: 'd'"):
        model.index(corpus)
    runs = model.search(queries, top_k=2, top_ranked={"q": ["c", "b", "d"], "r": ["a"]})
    assert {*runs["q"]} == {"b", "c"}
    assert [*runs["r"]] == ["a"]


def test_pictures_may_come_as_files_and_as_bytes(encoder, folders):
    image = next((folders["text"] / "images").iterdir())
    model = MtebSearch(encoder_and_retriever(encoder), "me/pocket")
    features = datasets.Features({"id": datasets.Value("string"), "image": datasets.Image()})
    for cell in (str(image), {"bytes": image.read_bytes(), "path": None}):
        rows = [{"id": "a", "image": cell}]
        dataset = datasets.Dataset.from_list(rows, features=features)
        model.index(dataset)
        assert model.search(dataset, top_k=1)["a"]["a"] == pytest.approx(1, abs=1e-6)


def test_what_cannot_be_searched_is_an_error(encoder):
    with pytest.raises(TypeError, match="takes a Pipeline that begins with an encoder"):
        MtebSearch(MixedModalityRetriever(), "me/none")
    model = MtebSearch(encoder_and_retriever(encoder), "me/pocket")
    texts = datasets.Dataset.from_dict({"id": ["a"], "text": ["a red star"]})
    with pytest.raises(ValueError, match="no use for precision"):
        model.index(texts, encode_kwargs={"precision": "int8"})
    with pytest.raises(ValueError, match="the column 'audio'"):
        model.index(texts.add_column("audio", [None]))
    model.index(texts)
    empty = datasets.Dataset.from_dict({"id": ["q"], "text": [""]})
    with pytest.raises(ValueError, match="1 queries are empty: 'q'"):
        model.search(empty, top_k=1)


def test_a_task_is_named_after_its_folder_and_its_revision_is_its_content(folders, tmp_path):
    metadata = mixbench_task(folders["text"]).metadata
    assert (metadata.name, metadata.category) == ("MixBenchDrawnScenes", "t2it")
    assert mixbench_task(folders["image+text"]).metadata.category == "it2it"
    again = make_mixbench(tmp_path / "Drawn_Scenes", 60, n_queries=40, random_state=0)
    other = make_mixbench(tmp_path / "other" / "Drawn_Scenes", 60, n_queries=40, random_state=9)
    revisions = [mixbench_task(x).metadata.dataset["revision"] for x in (again, other)]
    assert revisions[0] == metadata.dataset["revision"]
    assert revisions[1] != metadata.dataset["revision"]

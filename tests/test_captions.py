"""Texts of machines beside images, and joint items: each is a modality of its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline

from gapremoval import (
    EmbeddingArray,
    FusionWeightSearchCV,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    Query,
    add_texts,
    explode_documents,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_mixed_modality

WEIGHT = "mixedmodalityretriever__fusion_weight"


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def captioned(n=300, seed=0, joint=False):
    """A corpus in which the texts of image+text documents are captions, with a bias of their own.

    With `joint`, a half of these documents is one row each, the mean of its parts, with a bias.
    """
    X, y = make_mixed_modality(n, random_state=seed)
    rng = np.random.default_rng(seed)
    values, tags, y = X.values.astype(float), X.modality.astype(object), np.array(y)
    is_document = ~np.char.startswith(X.modality.astype(str), "query:")
    ids, counts = np.unique(y[is_document].astype(str), return_counts=True)
    both = np.isin(y.astype(str), ids[counts == 2]) & is_document
    caption = both & (tags == "text")
    tags[caption] = "caption"
    values[caption] += 0.5 * unit(rng.normal(size=values.shape[1]))
    if joint:
        some = np.flatnonzero(caption)[::2]
        images = np.array([np.flatnonzero(both & (y == y[i]) & (tags == "image"))[0] for i in some])
        values[some] += values[images] + 0.5 * unit(rng.normal(size=values.shape[1]))
        tags[some] = "joint"
        keep = np.setdiff1d(np.arange(len(y)), images)
        values, tags, y = values[keep], tags[keep], y[keep]
    return EmbeddingArray(unit(values), tags.astype(str)), y.tolist()


def modalities_of(found):
    return {record["modality"] for record in found.to_records()}


@pytest.mark.parametrize("name", ["caption", "joint"])
def test_captions_and_joint_items_are_centered_on_their_own_mean(name):
    X, y = captioned(joint=True)
    is_it = X.modality == name
    gap = ModalityGapRemover().fit(X, y)
    np.testing.assert_allclose(gap.centers_[name], X.values[is_it].mean(axis=0), atol=1e-6)
    without = ModalityGapRemover().fit(X[~is_it], [id_ for id_, x in zip(y, is_it) if not x])
    assert set(gap.centers_) - set(without.centers_) == {name}
    for other, center in without.centers_.items():
        np.testing.assert_allclose(gap.centers_[other], center, atol=1e-6)
    removed = gap.transform(X)
    assert np.linalg.norm(X.values[is_it].mean(axis=0)) > 0.5
    assert np.linalg.norm(removed.values[is_it].mean(axis=0)) < 0.05


def test_documents_are_of_the_modalities_of_their_parts_and_are_filtered_by_them():
    X, y = captioned(joint=True)
    pipe = make_search_pipeline().fit(X, y)
    names, counts = np.unique(pipe[-1].document_modality_, return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist())) == {
        "caption+image": 50,
        "image": 100,
        "joint": 50,
        "text": 100,
    }
    queries = X[X.modality == "query:text"][:20]
    for name in names:
        found = search(pipe, queries, 5, document_modality=name)
        assert modalities_of(found) == {name}
    both = search(pipe, queries, 5, document_modality="image+caption")
    assert modalities_of(both) == {"caption+image"}
    with pytest.raises(ValueError, match=r"image\+text"):
        search(pipe, queries, 5, document_modality="image+text")


def test_a_joint_row_is_not_fused_whatever_the_weight():
    X, y = captioned(joint=True)
    is_joint = X.modality == "joint"
    queries = X[X.modality == "query:text"][:9]
    for weight in (0.0, 0.3, {"image": 1, "caption": 0.2}):
        retriever = MixedModalityRetriever(fusion_weight=weight).fit(X, y)
        found = retriever.search(queries, 1, document_modality="joint")
        cosines = queries.values @ X.values[is_joint].T
        np.testing.assert_allclose(found.scores[:, 0], cosines.max(axis=1), atol=1e-6)


weights = st.floats(0, 1).map(lambda x: round(x, 3))
relative = st.fixed_dictionaries(dict.fromkeys(("image", "text", "caption"), weights)).filter(
    lambda weight: sum(weight.values()) > 0
)


def fused(rows, tags, weight):
    """The sum of the parts of a document by the weights that are given or documented."""
    if not isinstance(weight, dict):
        others = [name for name in tags if name != "text"]
        share = (1 - weight) / len(others)
        weight = {**dict.fromkeys(others, share), "text": weight}
    total = sum(weight[name] for name in tags)
    parts = [(weight[name] if total else 1) * row for name, row in zip(tags, rows)]
    return unit(np.sum(parts, axis=0))


@pytest.mark.parametrize("tags", [("caption", "image"), ("text", "caption", "image")], ids=str)
@given(weights | relative)
def test_a_caption_has_the_weight_that_is_given_or_shares_that_of_the_image(tags, weight):
    rows = unit(np.random.default_rng(0).normal(size=(len(tags), 8)))
    queries = EmbeddingArray(unit(np.random.default_rng(1).normal(size=(5, 8))), "query:text")
    X = EmbeddingArray(rows, list(tags))
    retriever = MixedModalityRetriever(fusion_weight=weight).fit(X, ["a"] * len(tags))
    scores = retriever.search(queries, 1).scores[:, 0]
    np.testing.assert_allclose(scores, queries.values @ fused(rows, tags, weight), atol=1e-6)


@given(weights)
def test_a_float_does_not_matter_for_images_with_captions_alone(weight):
    X, y = captioned(60)
    queries = X[X.modality == "query:text"]
    kept = X.modality != "text"
    documents, ids = X[kept], [id_ for id_, keep in zip(y, kept) if keep]
    found = [
        MixedModalityRetriever(fusion_weight=w).fit(documents, ids).search(queries)
        for w in (weight, {"image": 1, "caption": 1})
    ]
    np.testing.assert_array_equal(found[0].ids, found[1].ids)


@pytest.mark.parametrize("is_noise", [False, True], ids=["good captions", "random captions"])
def test_the_weight_of_captions_is_found_by_cross_validation(is_noise):
    X, y = captioned()
    if is_noise:
        values, is_caption = X.values.copy(), X.modality == "caption"
        random = np.random.default_rng(0).normal(size=(is_caption.sum(), X.shape[1]))
        values[is_caption] = unit(random)
        X = EmbeddingArray(values, X.modality)
    candidates = [{"image": 1, "text": 1, "caption": weight} for weight in (0, 1)]
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    tuned = FusionWeightSearchCV(pipe, candidates, cv=3).fit(X, y)
    assert tuned.best_params_[WEIGHT]["caption"] == (0 if is_noise else 1)


@pytest.mark.parametrize("is_judged", [False, True], ids=["unjudged", "judged"])
def test_captioned_images_have_an_answer_share_of_their_own(is_judged):
    X, y = captioned()
    modality = dict(zip(y, [None] * len(y)))
    retriever = MixedModalityRetriever().fit(X, y)
    modality.update(zip(retriever.ids_, retriever.document_modality_))
    is_query = X.modality == "query:text"
    # Of the queries, three in four are about captioned images.
    rng = np.random.default_rng(0)
    asked = np.array([q and modality[id_] == "caption+image" for q, id_ in zip(is_query, y)])
    others = rng.permutation(np.flatnonzero(is_query & ~asked))[: asked.sum() // 3]
    rows = np.concatenate([np.flatnonzero(~is_query | asked), others])
    answers = [y[i] if is_judged or not is_query[i] else None for i in rows]
    pipe = make_search_pipeline().fit(X[rows], answers)
    shares = pipe[-1].score_calibration_.answer_share_["query:text"]
    assert set(shares) == {"caption+image", "image", "text"}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["caption+image"] == pytest.approx(0.75, abs=0.05 if is_judged else 0.12)


def test_a_share_may_be_given_for_captioned_images():
    X, y = captioned()
    known = {"caption+image": 2, "image": 1, "text": 1}
    retriever = MixedModalityRetriever(score_calibration=PosteriorOdds(answer_share=known))
    pipe = make_pipeline(ModalityGapRemover(), retriever).fit(X, y)
    shares = pipe[-1].score_calibration_.answer_share_["query:text"]
    assert shares == pytest.approx({"caption+image": 0.5, "image": 0.25, "text": 0.25})


def test_scenes_are_found_by_captions_that_were_read_from_them():
    pytest.importorskip("open_clip")
    from gapremoval import CLIPEncoder
    from gapremoval.datasets import make_scenes

    scenes = make_scenes(100, random_state=0)
    captions = {image.tobytes(): words[1] for image, words in zip(scenes.images, scenes.captions)}
    records = [
        {"id": i, "text": scenes.captions[i][0]} if i % 2 else {"id": i, "image": image}
        for i, image in enumerate(scenes.images)
    ]
    read = add_texts(records, lambda images: [captions[image.tobytes()] for image in images])
    items, ids = explode_documents(read, text_columns=("text", "caption"))
    queries = [Query(words[2]) for words in scenes.captions]
    X, y = CLIPEncoder("pocket").transform([*items, *queries]), [*ids, *range(100)]
    gap = ModalityGapRemover().fit(X, y)
    # The pocket model has a gap too, and captions are on the side of the texts.
    apart = {
        name: np.linalg.norm(gap.centers_[name] - gap.centers_["text"]) for name in gap.centers_
    }
    assert apart["caption"] < apart["image"] / 3
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    plain = X.modality != "caption"
    without = pipe.fit(X[plain], [id_ for id_, x in zip(y, plain) if x])
    about_images, answers = X[X.modality == "query:text"][::2], list(range(0, 100, 2))
    score = without.score(about_images, answers)
    assert set(without[-1].document_modality_) == {"text", "image"}
    pipe.fit(X, y)
    assert set(pipe[-1].document_modality_) == {"text", "caption+image"}
    assert pipe.score(about_images, answers) > score

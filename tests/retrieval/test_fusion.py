import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover

rng = np.random.default_rng(0)
TEXT, IMAGE, OTHER_IMAGE, AUDIO = rng.normal(size=(4, 8))
TEXT, IMAGE, OTHER_IMAGE, AUDIO = (v / np.linalg.norm(v) for v in (TEXT, IMAGE, OTHER_IMAGE, AUDIO))


def fused(parts, fusion_weight):
    """The vector of one document, read off its cosines with the axes."""
    tags, rows = zip(*parts)
    retriever = MixedModalityRetriever(1, fusion_weight=fusion_weight)
    retriever.fit(EmbeddingArray(np.array(rows), list(tags)), ["d"] * len(rows))
    distances, _ = retriever.kneighbors(EmbeddingArray(np.eye(8), "query:text"))
    return 1 - distances[:, 0]


def unit(vector):
    return vector / np.linalg.norm(vector)


def assert_fused(parts, fusion_weight, want):
    np.testing.assert_allclose(fused(parts, fusion_weight), unit(want), atol=1e-12)


@given(st.floats(0, 1))
def test_a_float_is_the_texts_share(a):
    parts = [("text", TEXT), ("image", IMAGE)]
    assert_fused(parts, a, a * TEXT + (1 - a) * IMAGE)


@given(st.floats(0, 1))
def test_the_rest_is_shared_equally_by_the_other_modalities(a):
    parts = [("text", TEXT), ("image", IMAGE), ("audio", AUDIO)]
    assert_fused(parts, a, a * TEXT + (1 - a) / 2 * (IMAGE + AUDIO))


def test_without_a_text_the_others_weigh_the_same_whatever_its_share():
    for a in (0.0, 0.3, 1.0):
        assert_fused([("image", IMAGE), ("audio", AUDIO)], a, IMAGE + AUDIO)


@given(st.integers(1, 6))
def test_several_rows_of_a_modality_weigh_as_one(n):
    parts = [("text", TEXT), *[("image", IMAGE)] * n]
    assert_fused(parts, 0.5, TEXT + IMAGE)


def test_rows_of_one_modality_are_averaged_first():
    parts = [("text", TEXT), ("image", IMAGE), ("image", OTHER_IMAGE)]
    assert_fused(parts, 0.25, 0.25 * TEXT + 0.75 * (IMAGE + OTHER_IMAGE) / 2)
    assert_fused(parts[1:], 0.25, IMAGE + OTHER_IMAGE)


@given(st.floats(0, 1), st.sampled_from(["text", "image", "audio"]))
def test_fusing_one_part_is_the_identity(a, modality):
    assert_fused([(modality, TEXT)], a, TEXT)
    assert_fused([(modality, TEXT)], {"other": 1}, TEXT)


def test_a_dict_gives_relative_weights():
    parts = [("text", TEXT), ("image", IMAGE), ("audio", AUDIO)]
    assert_fused(parts, {"text": 2, "image": 6, "audio": 0, "video": 1}, TEXT + 3 * IMAGE)


def test_weights_may_be_as_large_as_numbers_are():
    assert_fused([("text", TEXT), ("image", IMAGE)], {"text": 1e308, "image": 1e308}, TEXT + IMAGE)


def test_weights_that_are_all_zero_count_as_equal():
    assert_fused([("text", TEXT), ("image", IMAGE)], {"text": 0, "image": 0}, TEXT + IMAGE)


def test_a_modality_without_a_weight_is_named():
    with pytest.raises(ValueError, match="no weight for 'image'.*it has weights for 'text'"):
        fused([("text", TEXT), ("image", IMAGE)], {"text": 1})


@pytest.mark.parametrize("weight", [{"text": -1, "image": 1}, {"text": np.nan, "image": 1}, np.nan])
def test_a_weight_is_a_number_of_at_least_zero(weight):
    with pytest.raises(ValueError, match="(fusion weight is a finite number|fusion_weight)"):
        fused([("text", TEXT), ("image", IMAGE)], weight)


def test_weights_zero_and_one_give_the_ranking_of_a_single_part():
    texts, images = rng.normal(size=(2, 30, 8))
    both = EmbeddingArray.concatenate({"text": texts, "image": images})
    queries = EmbeddingArray(rng.normal(size=(20, 8)), "query:text")
    ids = list(range(30))
    for weight, part in ((1, both[:30]), (0, both[30:])):
        fused = MixedModalityRetriever(30, fusion_weight=weight).fit(both, ids * 2)
        alone = MixedModalityRetriever(30).fit(part, ids)
        np.testing.assert_array_equal(fused.predict(queries), alone.predict(queries))


def test_without_renormalisation_fusion_is_the_papers_formula():
    t, i = (rng.normal(size=(20, 8)) for _ in range(2))
    t, i = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (t, i))
    X = EmbeddingArray.concatenate({"text": t, "image": i})
    Z = ModalityGapRemover(norm=None).fit_transform(X)
    retriever = MixedModalityRetriever(20, fusion_weight=0.3).fit(Z, list(range(20)) * 2)
    axes = EmbeddingArray(np.eye(8), "query:text")
    want = 0.3 * (t - t.mean(axis=0)) + 0.7 * (i - i.mean(axis=0))
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(retriever.transform(axes).toarray().T, want, atol=1e-12)


def test_parts_of_unlike_length_are_warned_of():
    with pytest.warns(UserWarning, match="mean lengths 'text' 10, 'image' 3"):
        fused([("text", 10 * TEXT), ("image", 3 * IMAGE)], 0.5)


@pytest.mark.filterwarnings("error")
def test_unlike_lengths_are_harmless_where_nothing_is_fused_across_modalities():
    X = EmbeddingArray(np.array([10 * TEXT, 3 * IMAGE, 40 * IMAGE]), ["text", "image", "image"])
    MixedModalityRetriever().fit(X, ["a", "b", "b"])


def test_the_modality_of_a_document_is_its_parts_sorted_and_joined():
    X = EmbeddingArray(np.eye(4), ["text", "image", "audio", "image"])
    retriever = MixedModalityRetriever().fit(X, ["b", "b", "b", "a"])
    assert retriever.ids_.tolist() == ["b", "a"]
    assert retriever.document_modality_.tolist() == ["audio+image+text", "image"]

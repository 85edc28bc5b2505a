import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from gapremoval import EmbeddingArray, ModalityGapRemover, make_search_pipeline
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import CosineDisplay

PAIRS = [
    ("text", "text"),
    ("text", "image"),
    ("image", "image"),
    ("query:text", "text"),
    ("query:text", "image"),
]


@pytest.fixture(scope="module")
def rows():
    return make_mixed_modality(60, random_state=0)


def by_hand(X, y, pair):
    """The cosines of all pairs of rows of two modalities, wrong answers and right ones."""
    cosines = {True: [], False: []}
    C = cosine_similarity(X.values)
    for i in np.flatnonzero(X.modality == pair[0]):
        for j in np.flatnonzero(X.modality == pair[1]):
            if pair[0] != pair[1] or i < j:
                cosines[y[i] == y[j]].append(C[i, j])
    return cosines[False], cosines[True]


def test_cosines_are_those_of_scikit_learn_with_right_answers_apart(rows):
    X, y = rows
    display = CosineDisplay.from_embeddings(X, y)
    (cosines,), (right,) = display.cosines.values(), display.right_cosines.values()
    assert [*cosines] == PAIRS
    for pair in PAIRS:
        wanted, wanted_right = by_hand(X, y, pair)
        np.testing.assert_allclose(np.sort(cosines[pair]), np.sort(wanted), atol=1e-5)
        np.testing.assert_allclose(np.sort(right[pair]), np.sort(wanted_right), atol=1e-5)


def test_lines_are_histograms_of_the_same_height_above_their_floors(rows):
    X, y = rows
    display = CosineDisplay.from_embeddings(X, y)
    (axes,) = display.axes_
    (cosines,), (right,) = display.cosines.values(), display.right_cosines.values()
    labels = {x.get_text(): x.get_position()[1] for x in axes.get_yticklabels()}
    assert [*labels] == [", ".join(pair) for pair in PAIRS]
    shapes = [x for x in axes.patches if x.get_label() != "right answers"]
    for pair in PAIRS:
        floor = labels[", ".join(pair)]
        here = [x.get_data() for x in shapes if x.get_data().baseline == floor]
        of_pair = [values for values in (cosines[pair], right[pair]) if len(values)]
        for shape, values in zip(here, of_pair, strict=True):
            counts = np.histogram(values, shape.edges)[0]
            assert counts.sum() == len(values)
            np.testing.assert_allclose(shape.values - floor, 0.85 * counts / counts.max())


def test_before_the_gap_is_removed_right_images_lie_below_wrong_texts(rows):
    X, y = rows
    display = CosineDisplay.from_estimator(make_search_pipeline().fit(X, y), X, y)
    lead = [
        np.median(display.right_cosines[name]["query:text", "image"])
        - np.median(display.cosines[name]["query:text", "text"])
        for name in ("raw embeddings", "after ModalityGapRemover")
    ]
    assert lead[0] < 0 < lead[1]
    assert [axes.get_title() for axes in display.axes_] == [*display.cosines]


def test_on_real_rows_right_images_lie_below_wrong_texts_until_the_gap_is_removed(real):
    data = real("flickr8k_clip_vitb32.npz")
    parts = {"text": data["text"][:, 0], "image": data["image"], "query:text": data["text"][:, 1]}
    X, ids = EmbeddingArray.concatenate(parts), [*range(len(data["image"]))] * 3
    display = CosineDisplay.from_estimator(ModalityGapRemover().fit(X), X, ids)
    (raw, removed), (raw_right, removed_right) = (
        found.values() for found in (display.cosines, display.right_cosines)
    )
    image, text = ("query:text", "image"), ("query:text", "text")
    assert np.mean(raw_right[image] > np.median(raw[text])) < 0.05
    assert np.mean(removed_right[image] > np.median(removed[text])) > 0.95


def test_relevance_may_name_several_documents_or_be_unknown():
    X = EmbeddingArray(
        [[1.0, 0], [0, 1], [1, 1], [1, 0], [0, 1]], ["text", "text", "image", *["query:text"] * 2]
    )
    display = CosineDisplay.from_embeddings(X, ["a", "b", "c", {"a": 1, "c": 2, "b": 0}, None])
    (cosines,), (right,) = display.cosines.values(), display.right_cosines.values()
    assert sorted(right["query:text", "text"]) == [1]
    assert sorted(cosines["query:text", "text"]) == [0, 0, 1]
    np.testing.assert_allclose(right["query:text", "image"], [0.5**0.5])
    np.testing.assert_allclose(cosines["query:text", "image"], [0.5**0.5])


def test_without_ids_nothing_is_marked_as_right(rows):
    display = CosineDisplay.from_embeddings(rows[0])
    (axes,) = display.axes_
    assert axes.get_legend() is None
    assert len(axes.patches) == len(PAIRS)


def test_many_rows_are_sampled_with_a_seed_but_right_answers_are_all_there(rows):
    X, y = rows
    one, two = (CosineDisplay.from_embeddings(X, y, max_rows=10) for _ in range(2))
    (cosines,), (again,) = one.cosines.values(), two.cosines.values()
    for pair in PAIRS:
        np.testing.assert_array_equal(cosines[pair], again[pair])
        assert len(cosines[pair]) <= 100
    (right,) = one.right_cosines.values()
    assert len(right["query:text", "image"]) == len(by_hand(X, y, ("query:text", "image"))[1])


def test_an_answer_that_is_no_document_is_refused():
    X = EmbeddingArray(np.eye(3), ["text", "image", "query:text"])
    with pytest.raises(ValueError, match="relevance names 1 unknown document: 'z'"):
        CosineDisplay.from_embeddings(X, ["a", "b", "z"])
    with pytest.raises(ValueError, match="y has 2 entries for 3 rows"):
        CosineDisplay.from_embeddings(X, ["a", "b"])


def test_queries_alone_have_no_cosines_and_are_refused():
    X = EmbeddingArray(np.eye(3), "query:text")
    with pytest.raises(ValueError, match="No row is a document"):
        CosineDisplay.from_embeddings(X)


def test_the_legend_lies_above_the_distributions_and_takes_no_width(rows):
    display = CosineDisplay.from_embeddings(*rows)
    (axes,), figure = display.axes_, display.figure_
    figure.canvas.draw()
    legend, frame = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert frame.x0 <= legend.x0 < legend.x1 <= frame.x1 + 0.01
    top = max(np.nanmax(x.get_data().values) for x in axes.patches[:-1])
    assert axes.transData.transform((0, top))[1] <= legend.y0


def test_one_axes_is_divided(rows):
    _, ax = plt.subplots()
    display = CosineDisplay.from_embeddings({"one": rows[0], "two": rows[0]}, ax=ax, bins=7)
    assert [axes.get_title() for axes in display.axes_] == ["one", "two"]
    assert len(display.axes_[0].patches[0].get_data().values) == 7

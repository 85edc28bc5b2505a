import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from gapremoval import (
    EmbeddingArray,
    MixedModalityRetriever,
    Query,
    make_search_pipeline,
    search,
)
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import SearchResultDisplay
from gapremoval.retrieval import SearchResult

CONTENTS = {
    "dog": "a dog",
    "sea": np.full((30, 60, 3), (0, 0, 200), np.uint8),
    "both": ["a red bicycle in the snow", np.full((60, 30, 3), 99, np.uint8)],
}
X = EmbeddingArray(np.eye(4), ["text", "image", "text", "image"])
IDS = ["dog", "sea", "both", "both"]


@pytest.fixture(scope="module")
def retriever():
    return MixedModalityRetriever().fit(X, IDS)


def asked(*rows):
    return EmbeddingArray(np.array(rows, dtype=float), "query:text")


def texts(cell):
    return " ".join(" ".join(text.get_text() for text in cell.texts).split())


def test_cells_are_the_query_and_what_was_found_best_first(retriever):
    queries = asked([1, 0.5, 0.2, 0.2], [0, 0, 1, 1])
    found = search(retriever, queries)
    display = SearchResultDisplay(found, ["animals", "bicycles"], CONTENTS, ["dog", ["sea"]]).plot()
    assert display.axes_.shape == (2, 4)
    assert [texts(cell) for cell in display.axes_[:, 0]] == ["animals", "bicycles"]
    for cells, one, answer in zip(display.axes_[:, 1:], found, ("dog", "sea")):
        for cell, id_, modality, score in zip(cells, one.ids[0], one.modalities[0], one.scores[0]):
            mark = "✓ " if id_ == answer else ""
            assert cell.get_title() == f"{mark}{modality} {score:.2f}"
            assert cell.title.get_fontweight() == ("bold" if mark else "normal")
            assert len(cell.images) == (id_ != "dog")
            assert ("a dog" in texts(cell)) == (id_ == "dog")
            assert ("red bicycle" in texts(cell)) == (id_ == "both")


def test_frames_have_the_color_of_the_modality(retriever):
    (cells,) = SearchResultDisplay.from_estimator(
        retriever, asked([1, 0.5, 0.2, 0.2]), CONTENTS
    ).axes_
    colors = {
        cell.get_title().split()[0]: to_hex(cell.spines["left"].get_edgecolor())
        for cell in cells[1:]
    }
    assert colors == {"text": "#0077bb", "image": "#ee7733", "image+text": "#009988"}


def test_a_picture_keeps_its_shape_and_leaves_room_for_the_text(retriever):
    (cells,) = SearchResultDisplay.from_estimator(
        retriever, asked([0, 1, 0.5, 0.5]), CONTENTS, n_neighbors=2
    ).axes_
    for cell, shape in zip(cells[1:], (2, 0.5)):
        left, right, bottom, top = cell.images[0].get_extent()
        assert (right - left) / (top - bottom) == pytest.approx(shape)
        assert 0 <= left < right <= 1
        assert 0 <= bottom < top <= 1
    (words,) = cells[2].texts
    assert words.get_position()[1] < cells[2].images[0].get_extent()[2]


def test_probabilities_are_shown_in_percent():
    X, y = make_mixed_modality(60, random_state=0)
    is_query = X.modality == "query:text"
    pipe = make_search_pipeline().fit(X[~is_query], y[~is_query])
    contents = dict.fromkeys(y[~is_query], "a document")
    queries, answers = X[is_query][:3], y[is_query][:3]
    display = SearchResultDisplay.from_estimator(pipe, queries, contents, answers)
    found = search(pipe, queries, 5)
    for cells, one in zip(display.axes_[:, 1:], found):
        shown = [cell.get_title().split()[-1] for cell in cells]
        percents = [float(re.fullmatch(r"[<>]?([\d.]+)%", x)[1]) for x in shown]
        np.testing.assert_allclose(percents, 100 * one.probabilities[0], atol=0.1)
    assert texts(display.axes_[2, 0]) == "query 2"


def test_each_of_several_searches_has_a_strip(retriever):
    other = MixedModalityRetriever(fusion_weight=1).fit(X, IDS)
    display = SearchResultDisplay.from_estimator(
        {"equal": retriever, "text": other}, asked([0, 0, 1, 0], [1, 0, 0, 0]), CONTENTS
    )
    names = [texts(cell) for cell in display.axes_[:, 0]]
    assert names == ["query 0 equal", "text", "query 1 equal", "text"]
    assert [cells[1].get_title() for cells in display.axes_[:2]] == [
        "image+text 0.71",
        "image+text 1.00",
    ]


def test_one_raw_query_may_be_given_alone(retriever):
    found = search(retriever, asked([1, 0, 0, 0]))
    for query in ("a puppy", Query("a puppy"), Query(text="a puppy", image=CONTENTS["sea"])):
        display = SearchResultDisplay(found, query, CONTENTS).plot()
        assert texts(display.axes_[0, 0]) == "a puppy"


def test_texts_are_shown_as_they_are_and_cut_where_they_do_not_fit(retriever):
    contents = {"dog": "costs $5 or $6_x", "sea": "a word " * 200, "both": "bad \x00 control"}
    display = SearchResultDisplay.from_estimator(retriever, asked([3, 2, 1, 1]), contents)
    dog, *rest = display.axes_[0, 1:]
    assert not dog.texts[0].get_parse_math()
    assert texts(dog) == "costs $5 or $6_x"
    words = {texts(cell) for cell in rest}
    assert "bad \\x00 control" in words
    (long,) = (x for x in words if x.endswith("..."))
    assert len(long) < 250
    display.figure_.canvas.draw()


def test_documents_without_contents_or_pictures_are_named(retriever, tmp_path):
    contents = {"sea": tmp_path / "none.jpg"}
    display = SearchResultDisplay.from_estimator(retriever, asked([1, 0.5, 0.2, 0.2]), contents)
    words = [texts(cell) for cell in display.axes_[0, 1:]]
    assert words[0] == "dog"
    assert any(word.startswith("no picture: ") for word in words)


def test_places_that_a_cut_off_left_empty_have_no_frame():
    ids = np.array([["dog", None], ["sea", "dog"]], dtype=object)
    scores = np.array([[0.9, np.nan], [0.8, 0.7]])
    found = SearchResult(ids, scores, np.array([["text", ""], ["image", "text"]]))
    display = SearchResultDisplay(found, ["one", "two"], CONTENTS).plot()
    assert [cell.axison for cell in display.axes_[0, 1:]] == [True, False]
    assert [cell.axison for cell in display.axes_[1, 1:]] == [True, True]


def test_axes_may_be_given(retriever):
    found = search(retriever, asked([1, 0, 0, 0]), 2)
    figure, given = plt.subplots(1, 3)
    display = SearchResultDisplay(found, ["q"], CONTENTS).plot(given)
    assert display.axes_[0].tolist() == given.tolist()
    _, one = plt.subplots()
    assert display.plot(one).axes_.shape == (1, 3)
    assert display.figure_ is one.figure is not figure
    with pytest.raises(ValueError, match="3 cells to draw, and ax holds 2 axes"):
        display.plot(given[:2])


def test_what_does_not_fit_is_refused(retriever):
    found = search(retriever, asked([1, 0, 0, 0]))
    with pytest.raises(ValueError, match="those of 1 queries, but 2 queries are given"):
        SearchResultDisplay(found, ["a", "b"], CONTENTS).plot()
    with pytest.raises(ValueError, match="relevance has 2 entries"):
        SearchResultDisplay(found, ["a"], CONTENTS, ["dog", "sea"]).plot()
    with pytest.raises(TypeError, match="contents must be a dict"):
        SearchResultDisplay(found, ["a"], ["a dog"]).plot()
    with pytest.raises(ValueError, match="results is empty"):
        SearchResultDisplay({}, ["a"], CONTENTS).plot()
    with pytest.raises(TypeError, match="must be what search returned"):
        SearchResultDisplay([["dog"]], ["a"], CONTENTS).plot()

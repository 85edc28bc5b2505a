import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("PIL")

from gapremoval.datasets import make_scenes

seeds = st.integers(0, 2**32 - 1)

COLORS = {
    "red scarlet crimson": (214, 39, 40),
    "orange tangerine": (255, 140, 20),
    "yellow golden": (250, 220, 40),
    "green emerald": (40, 160, 60),
    "blue azure cobalt": (40, 90, 220),
    "purple violet": (130, 50, 170),
    "pink rose": (255, 120, 190),
    "white ivory": (250, 250, 250),
    "black ebony": (20, 20, 20),
}
SIZES = {"small little tiny": "small", "large big huge": "large"}
SHAPES = {
    words: words.split("|")[0]
    for words in (
        *("circle|disc", "square|box", "triangle|wedge", "diamond|rhombus", "star"),
        *("cross|plus sign", "ring|hoop", "crescent|moon"),
    )
}
PLACES = {
    "at the top left|in the upper left corner": (0, 0),
    "at the top|at the upper edge": (0, 1),
    "at the top right|in the upper right corner": (0, 2),
    "on the left|at the left edge": (1, 0),
    "in the centre|in the middle": (1, 1),
    "on the right|at the right edge": (1, 2),
    "at the bottom left|in the lower left corner": (2, 0),
    "at the bottom|at the lower edge": (2, 1),
    "at the bottom right|in the lower right corner": (2, 2),
}


def meanings(table, separator="|"):
    """What each word means, and a pattern for the words, the longer first."""
    meaning = {word: value for words, value in table.items() for word in words.split(separator)}
    return meaning, "|".join(sorted(map(re.escape, meaning), key=len, reverse=True))


(color_of, COLOR), (size_of, SIZE) = meanings(COLORS, " "), meanings(SIZES, " ")
(shape_of, SHAPE), (place_of, PLACE) = meanings(SHAPES), meanings(PLACES)
SENTENCES = [
    rf"a (?P<size>{SIZE}) (?P<color>{COLOR}) (?P<shape>{SHAPE}) (?P<place>{PLACE})",
    rf"(?P<place>{PLACE}) a (?P<size>{SIZE}) (?P<color>{COLOR}) (?P<shape>{SHAPE})",
    rf"(?P<color>{COLOR}) (?P<shape>{SHAPE}) that is (?P<size>{SIZE}) lies (?P<place>{PLACE})",
    rf"(?P<place>{PLACE}): (?P<size>{SIZE}) (?P<shape>{SHAPE}), (?P<color>{COLOR})",
]


def read(caption, sentence):
    """What a caption says: a set of (place, size, color, shape)."""
    return {
        (
            place_of[found["place"]],
            size_of[found["size"]],
            color_of[found["color"]],
            shape_of[found["shape"]],
        )
        for found in re.finditer(sentence, caption)
    }


def cell(image, place):
    """The ninth of a picture that a place names, as pixels."""
    (row, column), edges = place, [0, 21, 43, 64]
    pixels = np.asarray(image).astype(int)
    return pixels[edges[row] : edges[row + 1], edges[column] : edges[column + 1]]


def has_color(pixels, color):
    return np.linalg.norm(pixels - np.array(color), axis=-1) < 60


@given(st.integers(1, 8), seeds)
def test_a_seed_gives_pictures_with_four_captions_in_different_words(n, seed):
    scenes = make_scenes(n, seed)
    assert len(scenes.images) == len(scenes.captions) == n
    for image, captions in zip(scenes.images, scenes.captions):
        assert (image.mode, image.size) == ("RGB", (64, 64))
        assert len(captions) == 4
        said = [frozenset(read(*pair)) for pair in zip(captions, SENTENCES)]
        assert len(set(captions)) == 4
        assert len(set(said)) == 1
        assert 1 <= len(said[0]) <= 3


@given(st.integers(1, 6), st.integers(0, 6), seeds)
def test_fewer_scenes_are_the_first_of_more(n, n_more, seed):
    few, many = make_scenes(n, seed), make_scenes(n + n_more, random_state=seed)
    assert few.captions == many.captions[:n]
    assert [im.tobytes() for im in few.images] == [im.tobytes() for im in many.images[:n]]


@given(seeds)
def test_captions_are_true_of_their_pictures(seed):
    scenes = make_scenes(3, seed)
    for image, captions in zip(scenes.images, scenes.captions):
        things = {place: rest for place, *rest in read(captions[0], SENTENCES[0])}
        ground = np.median([np.median(cell(image, p), axis=(0, 1)) for p in place_of.values()], 0)
        for place in set(place_of.values()):
            pixels = cell(image, place)
            if place not in things:  # nothing reaches in from beside it
                assert np.linalg.norm(pixels - ground, axis=-1).max() < 70
                continue
            size, color, _ = things[place]
            rows, columns = np.nonzero(has_color(pixels, color))
            extent = max(np.ptp(rows), np.ptp(columns)) + 1
            assert 7 <= extent <= 13 if size == "small" else 14 <= extent <= 21


def test_the_word_for_a_shape_tells_what_it_looks_like():
    scenes = make_scenes(600, 0)
    masks, names = [], []
    for image, captions in zip(scenes.images, scenes.captions):
        for place, size, color, shape in read(captions[0], SENTENCES[0]):
            rows, columns = np.nonzero(has_color(cell(image, place), color))
            if size == "large":
                mask = np.zeros((22, 22))
                mask[rows - (rows.min() + rows.max()) // 2 + 11, columns - columns.min() + 1] = 1
                masks.append(mask.ravel())
                names.append(shape)
    masks, names = np.array(masks), np.array(names)
    kinds = sorted(set(names))
    assert kinds == sorted(SHAPES.values())
    means = np.array([masks[names == kind].mean(axis=0) for kind in kinds])
    nearest = np.square(masks[:, None] - means).sum(axis=-1).argmin(axis=1)
    assert np.mean(np.array(kinds)[nearest] == names) > 0.95


def test_scenes_differ_and_all_words_come():
    captions = [text for kinds in make_scenes(400, 0).captions for text in kinds]
    assert len(set(captions)) > 0.99 * len(captions)
    said = " ".join(captions)
    for words in (color_of, size_of, shape_of, place_of):
        assert all(re.search(rf"\b{word}\b", said) for word in words)


def test_a_seed_does_not_depend_on_numpys_global_state_and_leaves_it_alone():
    np.random.seed(1)  # noqa: NPY002
    want = make_scenes(2, 5).captions
    np.random.seed(2)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert make_scenes(2, 5).captions == want
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_a_generator_goes_on_where_it_was():
    rng = np.random.RandomState(3)
    first, second = make_scenes(2, rng), make_scenes(2, rng)
    assert first.captions + second.captions == make_scenes(4, 3).captions


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (True, TypeError, "an int; got True of type bool"),
        (2.0, TypeError, "an int; got 2.0 of type float"),
        ("3", TypeError, "an int; got '3' of type str"),
        (None, TypeError, "an int; got None"),
        (0, ValueError, "n=0 scenes cannot be made at once: ask for 1 to 1,000,000"),
        (-1, ValueError, "n=-1 scenes"),
        (10**9, ValueError, "several calls with different seeds"),
    ],
)
def test_what_is_no_number_of_scenes_is_refused(n, error, message):
    with pytest.raises(error, match=message):
        make_scenes(n)


def test_numpys_ints_are_numbers_of_scenes():
    assert make_scenes(np.int64(2), 0).captions == make_scenes(2, 0).captions


def test_importing_the_library_does_not_import_pillow():
    code = "import sys, gapremoval.datasets; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("PIL")

from gapremoval.datasets import render_text

words = st.lists(st.text("aeinrst", min_size=1, max_size=12), min_size=1, max_size=40)


def ink(picture):
    """Where a picture is not white."""
    return np.asarray(picture).min(axis=2) < 128


@given(words, st.integers(96, 400))
def test_every_text_that_fits_leaves_a_white_margin(words, size):
    seen = ink(render_text(" ".join(words), size))
    assert seen.shape == (size, size)
    assert seen.any()
    seen[2:-2, 2:-2] = False
    assert not seen.any()


@given(words)
def test_the_same_text_gives_the_same_picture(words):
    first, second = render_text(" ".join(words), 224), render_text(" ".join(words), 224)
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


def test_letters_shrink_as_texts_grow():
    heights = []
    for n in (1, 60, 200):
        rows = np.flatnonzero(ink(render_text("nnn " * n)).any(axis=1))
        heights.append(np.flatnonzero(np.diff(rows) > 1)[0] + 1 if n > 1 else len(rows))
    assert heights[0] > heights[1] > heights[2] >= 3


def test_line_breaks_are_kept_and_long_words_are_broken():
    lines = ink(render_text("n\n\nn")).any(axis=1)
    assert np.count_nonzero(np.diff(lines.astype(int)) == 1) == 2
    seen = ink(render_text("n" * 200, 224))
    assert not seen[:, -5:].any()
    assert np.count_nonzero(np.diff(seen.any(axis=1).astype(int)) == 1) > 1


def test_what_does_not_fit_is_left_out_and_counted():
    with pytest.warns(UserWarning, match=r"last \d+ of 9000 characters do not fit on a picture"):
        render_text("a word to read " * 600, 128)


def test_characters_that_the_font_lacks_are_named():
    with pytest.warns(UserWarning, match="The font has no '雪', drawn as empty boxes"):
        render_text("snow is 雪")


def test_a_font_is_a_file(tmp_path):
    with pytest.raises(OSError, match="cannot open resource"):
        render_text("snow", font=tmp_path / "no.ttf")


def test_a_blank_text_or_a_tiny_picture_is_an_error():
    with pytest.raises(ValueError, match="The text is blank"):
        render_text(" \n")
    with pytest.raises(ValueError, match="'size' parameter"):
        render_text("snow", 8)
    with pytest.raises(ValueError, match="'text' parameter"):
        render_text(None)

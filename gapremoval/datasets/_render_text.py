"""render_text: draws a text to a picture, as a screenshot shows it."""

from bisect import bisect
from numbers import Integral

from sklearn.utils._param_validation import Interval, validate_params

from .._optional import import_optional, import_pillow
from .._warnings import shown, warn

SMALLEST = 8  # height of a letter in pixels; smaller ones cannot be read
LARGEST = 32
MARGIN = 1 / 24  # of the edge of the picture


@validate_params(
    {"text": [str], "size": [Interval(Integral, 32, None, closed="left")], "font": [object]},
    prefer_skip_nested_validation=True,
)
def render_text(text, size=336, *, font=None):
    """Draw a text to a picture: black on white, in lines that are as wide as the picture.

    It makes an image document of a text, for the question of how an encoder searches
    screenshots. The letters are as large as the text allows, from 32 down to 8 pixels. What
    does not fit in the smallest is left out, with a warning: put a long text on several
    pictures, which are parts of one document if they have the same id.

    Parameters
    ----------
    text : str
        The text. Line breaks are kept; words that are longer than a line are broken.
    size : int, default=336
        Edge of the square picture in pixels, at least 32. Encoders reduce larger pictures to
        224 to 448 pixels, and letters with them.
    font : str or Path, default=None
        A TrueType or OpenType file. By default the font that Pillow ships, which has the
        letters of European languages only.

    Returns
    -------
    PIL.Image.Image
        In mode RGB.

    Raises
    ------
    ValueError
        If the text is blank.
    OSError
        If `font` cannot be read.
    ImportError
        If pillow is not installed, or was built without FreeType.

    Warns
    -----
    UserWarning
        If the end of the text does not fit, or the font lacks some of its characters.

    See Also
    --------
    load_beir : Texts, queries and relevance of a collection.

    References
    ----------
    .. [1] Li et al., "Closing the Modality Gap for Mixed Modality Search", 2025, which searches
       screenshots of texts, https://arxiv.org/abs/2507.19054

    Examples
    --------
    >>> from gapremoval.datasets import render_text
    >>> picture = render_text("Snow falls on the red bicycle.", size=224)
    >>> picture.size, picture.mode
    ((224, 224), 'RGB')
    """
    Image = import_pillow()
    draw_on = import_optional("PIL.ImageDraw", extra="clip", purpose="render_text").Draw
    if not text.strip():
        raise ValueError("The text is blank: there is nothing to draw.")
    margin = max(1, round(size * MARGIN))
    width = size - 2 * margin
    low, high = SMALLEST, LARGEST
    while low < high:  # the largest letters with which everything fits
        middle = (low + high + 1) // 2
        if _fits(text, _font(font, middle), width):
            low = middle
        else:
            high = middle - 1
    letters = _font(font, low)
    if lacking := _lacking(text, letters):
        warn(
            f"The font has no {shown(lacking)}, drawn as empty boxes. Pass font=, a TrueType file "
            "that has them."
        )
    lines, height = _wrap(text, letters, width), _line_height(letters)
    n_lines = width // height
    if n_lines < len(lines):
        rest = len(" ".join(lines[n_lines:]))
        warn(
            f"The last {rest} of {len(text)} characters do not fit on a picture of {size} pixels "
            "and were left out. Draw a larger one, or split the text into several with one id."
        )
    picture = Image.new("RGB", (size, size), "white")
    draw = draw_on(picture)
    for number, line in enumerate(lines[:n_lines]):
        draw.text((margin, margin + number * height), line, fill="black", font=letters)
    return picture


def _font(file, size):
    ImageFont = import_optional("PIL.ImageFont", extra="clip", purpose="render_text")
    if file is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(file), size)


def _line_height(font):
    return sum(font.getmetrics())


def _fits(text, font, width):
    return len(_wrap(text, font, width)) * _line_height(font) <= width


def _wrap(text, font, width):
    """The lines of a text, none wider than `width` pixels unless a letter is."""
    lines = []
    for paragraph in text.strip().splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if font.getlength(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            line = word
            while font.getlength(line) > width and len(line) > 1:
                lengths = range(1, len(line))
                n = max(1, bisect(lengths, width, key=lambda n: font.getlength(line[:n])))
                lines.append(line[:n])
                line = line[n:]
        lines.append(line)
    return lines


def _lacking(text, font):
    """Characters that the font draws as it draws one that no font has."""
    unknown = bytes(font.getmask("\U0010ffff"))
    return sorted(x for x in set(text) if not x.isspace() and bytes(font.getmask(x)) == unknown)

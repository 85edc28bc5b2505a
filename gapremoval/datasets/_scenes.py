"""make_scenes: small pictures of colored shapes, each with captions in different words."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch, check_random_state

from .._optional import import_optional

SIZE = 64  # pixels, of an edge
MAX_SCENES = 1_000_000  # 12 GB of pixels
OVERSAMPLED = 4  # drawn larger and reduced: smooth edges
MIN_CONTRAST = 110  # between the RGB of a shape and of its background

# The words for each value. The pocket model was trained on this spelling.
COLORS = {
    (214, 39, 40): ("red", "scarlet", "crimson"),
    (255, 140, 20): ("orange", "tangerine"),
    (250, 220, 40): ("yellow", "golden"),
    (40, 160, 60): ("green", "emerald"),
    (40, 90, 220): ("blue", "azure", "cobalt"),
    (130, 50, 170): ("purple", "violet"),
    (255, 120, 190): ("pink", "rose"),
    (250, 250, 250): ("white", "ivory"),
    (20, 20, 20): ("black", "ebony"),
}
BACKGROUNDS = {
    (190, 190, 190): ("grey", "silver"),
    (225, 205, 165): ("beige", "sandy"),
    (165, 205, 235): ("pale blue", "sky blue"),
    (25, 35, 95): ("dark blue", "navy"),
    (20, 75, 45): ("dark green", "forest green"),
    (105, 70, 45): ("brown", "chestnut"),
}
PATTERNS = {
    "plain": ("plain", "solid"),
    "stripes": ("striped", "stripy"),
    "dots": ("dotted", "spotted"),
}
SIZES = {5.5: ("small", "little", "tiny"), 9.5: ("large", "big", "huge")}  # radius in pixels
SHAPES = {
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle", "wedge"),
    "diamond": ("diamond", "rhombus"),
    "star": ("star",),
    "cross": ("cross", "plus sign"),
    "ring": ("ring", "hoop"),
    "crescent": ("crescent", "moon"),
}
PLACES = {  # row and column of a grid of nine
    (0, 0): ("at the top left", "in the upper left corner"),
    (0, 1): ("at the top", "at the upper edge"),
    (0, 2): ("at the top right", "in the upper right corner"),
    (1, 0): ("on the left", "at the left edge"),
    (1, 1): ("in the centre", "in the middle"),
    (1, 2): ("on the right", "at the right edge"),
    (2, 0): ("at the bottom left", "in the lower left corner"),
    (2, 1): ("at the bottom", "at the lower edge"),
    (2, 2): ("at the bottom right", "in the lower right corner"),
}


class _Thing(NamedTuple):
    """A shape of a scene; each field is a key of the table of that name."""

    size: float
    color: tuple
    shape: str
    place: tuple


class _Scene(NamedTuple):
    background: tuple
    pattern: str
    things: list


def make_scenes(n=100, random_state=None):
    """Draw scenes of colored shapes, and describe each in four captions.

    A scene has one to three shapes in different places on a plain, striped or dotted
    background. The pocket model of `CLIPEncoder` was trained on such scenes, so a whole search
    over pictures and texts can be tried without a download.

    Parameters
    ----------
    n : int, default=100
        Number of scenes, from 1 to 1,000,000. Each takes 12 kB of memory.
    random_state : int, RandomState instance or None, default=None
        Seed. With the same int, a smaller `n` gives the first scenes of a larger one.

    Returns
    -------
    scenes : Bunch
        With the attributes

        images : list of PIL.Image.Image, of length n
            RGB pictures of 64 x 64 pixels.
        captions : list of list of str, of length n
            Four captions per picture, each a sentence of another form. Each names the
            background and, for all shapes, size, color and place, in words that are drawn
            anew ("a large red circle", "a big scarlet disc").

    Raises
    ------
    TypeError, ValueError
        If `n` is not an int, or out of range.
    ImportError
        If pillow is not installed.

    See Also
    --------
    make_mixed_modality : Embeddings with the statistics of CLIP's, without pictures.

    Examples
    --------
    >>> from gapremoval.datasets import make_scenes
    >>> scenes = make_scenes(2, random_state=0)
    >>> scenes.images[0].size
    (64, 64)
    >>> for caption in scenes.captions[0]:
    ...     print(caption)
    a small purple moon at the bottom and a little scarlet disc in the upper right corner on a
    plain forest green background
    solid forest green backdrop with in the upper right corner a little scarlet disc, at the
    bottom a small violet crescent
    a red circle that is tiny lies at the top right, a purple moon that is small lies at the
    lower edge, and behind it all plain dark green
    at the top right: little disc, red; at the lower edge: tiny crescent, violet; drawn on
    solid forest green
    """
    if isinstance(n, bool | np.bool_) or not isinstance(n, Integral):
        raise TypeError(f"n is the number of scenes, an int; got {n!r} of type {type(n).__name__}.")
    if not 1 <= n <= MAX_SCENES:
        raise ValueError(
            f"n={n} scenes cannot be made at once: ask for 1 to {MAX_SCENES:,}, and for more by "
            "several calls with different seeds."
        )
    import_optional("PIL", extra="clip", purpose="make_scenes")
    rng = check_random_state(random_state)
    images, captions = [], []
    for _ in range(n):
        scene = _draw_scene(rng)
        images.append(_paint(scene, rng))
        captions.append([_describe(scene, rng, *sentence) for sentence in SENTENCES])
    return Bunch(images=images, captions=captions)


def _choose(choices, rng):
    """One item of a sequence, or one key of a table."""
    return list(choices)[rng.randint(len(choices))]


def _draw_scene(rng):
    background = _choose(BACKGROUNDS, rng)
    seen = [c for c in COLORS if np.linalg.norm(np.subtract(c, background)) > MIN_CONTRAST]
    where = rng.permutation(len(PLACES))[: rng.randint(1, 4)]
    things = [
        _Thing(_choose(SIZES, rng), _choose(seen, rng), _choose(SHAPES, rng), list(PLACES)[i])
        for i in where
    ]
    return _Scene(background, _choose(PATTERNS, rng), things)


# Pictures


def _arc(start, stop, radius=1.0, center=0.0):
    """Points of a circle between two angles in turns; 0 is right, 0.25 below."""
    angles = 2 * np.pi * np.linspace(start, stop, 48)
    return np.stack([radius * np.cos(angles) + center, radius * np.sin(angles)], axis=1)


def _star():
    angles = 2 * np.pi * (np.arange(10) / 10 - 0.25)
    radii = np.where(np.arange(10) % 2, 0.42, 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _cross(arm=0.32):
    right = [(arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm), (arm, 1)]
    return np.array([*right, *((-x, y) for x, y in reversed(right))])


OUTLINES = {  # of radius about one
    "circle": _arc(0, 1),
    "square": 0.85 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]),
    "triangle": np.array([(0, -1), (1, 0.85), (-1, 0.85)]),
    "diamond": np.array([(0, -1), (0.7, 0), (0, 1), (-0.7, 0)]),
    "star": _star(),
    "cross": _cross(),
    "ring": np.concatenate([_arc(0, 1), _arc(1, 0, radius=0.5)]),
    "crescent": np.concatenate([_arc(0.143, 0.857), _arc(0.785, 0.215, radius=0.8, center=0.45)]),
}


def _paint(scene, rng):
    """The picture of a scene; brightness and exact places differ from picture to picture."""
    from PIL import Image, ImageDraw

    full = SIZE * OVERSAMPLED
    ground = np.array(scene.background) + rng.randint(-6, 7, 3)
    image = Image.new("RGB", (full, full), tuple(np.clip(ground, 0, 255)))
    draw = ImageDraw.Draw(image)
    shade = tuple(np.clip(ground + (24 if ground.mean() < 128 else -24), 0, 255))
    step, offset = full // 8, rng.randint(full // 8)
    if scene.pattern == "stripes":
        for x in range(offset - step, full, step):
            draw.rectangle((x, 0, x + step // 2, full), fill=shade)
    elif scene.pattern == "dots":
        for x in range(offset - step, full, step):
            for y in range(offset - step, full, step):
                draw.ellipse((x, y, x + step // 2, y + step // 2), fill=shade)
    cell = SIZE / 3
    for thing in scene.things:
        row, column = thing.place
        center = (np.array([column, row]) + 0.5) * cell + rng.uniform(-1, 1, 2)
        outline = (center + thing.size * OUTLINES[thing.shape]) * OVERSAMPLED
        color = np.clip(np.array(thing.color) + rng.randint(-12, 13, 3), 0, 255)
        draw.polygon([tuple(point) for point in outline], fill=tuple(color))
    return image.reduce(OVERSAMPLED)


# Captions


# Of each sentence: the whole, one shape, and what stands between shapes and before the last.
SENTENCES = (
    ("{things} on {a_ground} background", "a {size} {color} {shape} {place}", ", ", " and "),
    ("{ground} backdrop with {things}", "{place} a {size} {color} {shape}", ", "),
    ("{things}, and behind it all {ground}", "{a_color} {shape} that is {size} lies {place}", ", "),
    ("{things}; drawn on {ground}", "{place}: {size} {shape}, {color}", "; "),
)


def _with_article(words):
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _describe(scene, rng, whole, name, comma, last_comma=None):
    """One caption; the order of the shapes and the words are drawn."""
    names = []
    for i in rng.permutation(len(scene.things)):
        tables = zip(_Thing._fields, scene.things[i], (SIZES, COLORS, SHAPES, PLACES))
        words = {field: _choose(table[value], rng) for field, value, table in tables}
        names.append(name.format(a_color=_with_article(words["color"]), **words))
    pattern = _choose(PATTERNS[scene.pattern], rng)
    ground = f"{pattern} {_choose(BACKGROUNDS[scene.background], rng)}"
    if names[1:]:
        names[-2:] = [f"{names[-2]}{last_comma or comma}{names[-1]}"]
    things = comma.join(names)
    return whole.format(things=things, ground=ground, a_ground=_with_article(ground))

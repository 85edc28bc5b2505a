"""Drawn scenes and the same in other colors, for queries such as "this scene, but red"."""

import numpy as np
from sklearn.utils import Bunch

from gapremoval.datasets import _scenes as drawn

# Other words for the colors than those that are asked for: a log of questions.
OTHER_WORDS = [word for words in drawn.COLORS.values() for word in words[1:]]


def recolored_scenes(n_scenes, seed, *, n_colors=3):
    """Draw scenes of one color each, and a mixed corpus of the same scenes in other colors.

    Parameters
    ----------
    n_scenes : int
        The number of scenes. Their own pictures only ask, and are no documents.
    seed : int
    n_colors : int, default=3
        The number of other colors in which each scene is a document. Every other scene is
        documents as pictures, the others as captions.

    Returns
    -------
    Bunch
        With ``documents`` and ``ids``; and, for each scene, ``pictures``, the words ``old`` and
        ``new`` for its color and the one asked for, ``answers`` (the id of the scene in
        that color), and ``is_picture`` (whether that document is a picture).
    """
    rng = np.random.RandomState(seed)
    out = Bunch(documents=[], ids=[], pictures=[], old=[], new=[], answers=[])
    for number in range(n_scenes):
        scene = drawn._draw_scene(rng)
        seen = [
            color
            for color in drawn.COLORS
            if np.linalg.norm(np.subtract(color, scene.background)) > drawn.MIN_CONTRAST
        ]
        old, *others = (seen[i] for i in rng.permutation(len(seen))[: 1 + n_colors])
        out.pictures.append(drawn._paint(_in_color(scene, old), rng))
        for color in others:
            twin = _in_color(scene, color)
            caption = drawn._describe(twin, rng, *drawn.SENTENCES[0])
            out.documents.append(drawn._paint(twin, rng) if number % 2 else caption)
            out.ids.append(f"{number} in {drawn.COLORS[color][0]}")
        out.old.append(drawn.COLORS[old][0])
        out.new.append(drawn.COLORS[others[0]][0])
        out.answers.append(f"{number} in {out.new[-1]}")
    out.is_picture = np.arange(n_scenes) % 2 == 1
    return out


def _in_color(scene, color):
    return scene._replace(things=[thing._replace(color=color) for thing in scene.things])

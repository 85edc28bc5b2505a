"""Warnings that point at the user's own code, and lists and hints in messages."""

import sys
import warnings
from difflib import get_close_matches

INSIDE = {"gapremoval", "sklearn", "joblib"}


def warn(message):
    """Issue a UserWarning that points at the caller of this library or of scikit-learn.

    The number of frames in between varies with pipelines, decorators and generators.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def shown(values, most=5):
    """The first values of a list, for a message: ``'a', 'b', ...``."""
    return ", ".join(map(repr, values[:most])) + (", ..." if len(values) > most else "")


def nearest_name(name, known):
    """The known name nearest to `name`, or None if there is none like it."""
    by_folded = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[near[0]] if near else None


def did_you_mean(name, known):
    """A question that offers the known name nearest to `name`, or an empty string."""
    near = nearest_name(name, known)
    return "" if near is None else f" Did you mean {near!r}?"

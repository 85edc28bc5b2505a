"""Warnings that point at the user's own line, and lists in messages."""

import sys
import warnings
from difflib import get_close_matches

INSIDE = {"gapremoval", "sklearn", "joblib"}


def warn(message):
    """Issue a UserWarning at the nearest line outside of this library and scikit-learn.

    How deep a method lies varies: pipelines, decorators and generators come between.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def shown(values, most=5):
    """The first values of a list, for a message: ``'a', 'b', ...``."""
    return ", ".join(map(repr, values[:most])) + (", ..." if len(values) > most else "")


def did_you_mean(name, known):
    """A question that offers the known name nearest to `name`, or an empty string."""
    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""

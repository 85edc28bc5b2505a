"""Numbers and texts as a report writes them."""

import re
from importlib import import_module

from .. import _html

UNKNOWN = "\N{EN DASH}"

_MARKS = re.compile(r"([\\`*_\[\]#|~$])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def percent(share):
    """A share in percent, or a dash where it is unknown."""
    return UNKNOWN if share is None else _html.percent(share)


def number(value, digits=3):
    """A number with some decimals, or a dash where it is unknown."""
    if value is None:
        return UNKNOWN
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if not float(text) else text.replace("-", "\N{MINUS SIGN}")


def escape_markdown(text):
    """Text that Markdown shows as it is, on one line."""
    text = " ".join(_html.writable(text).split())
    text = re.sub("[&<>]", lambda found: _ENTITIES[found[0]], text)
    return import_module("markupsafe").Markup(_MARKS.sub(r"\\\1", text))

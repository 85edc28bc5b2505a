"""HTML pages: jinja2's templates, links, and text that a page or a terminal can hold."""

import os
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from urllib.parse import quote_from_bytes

from ._optional import import_optional


def html_templates(package):
    """The jinja2 environment of a package's folder ``templates``, and of the one beside this file.

    Whatever a template prints is escaped; code points that a page cannot hold are written
    out. The filter ``percent`` is the function of that name, and ``thousands`` writes ``1,234``.

    Raises
    ------
    ImportError
        If jinja2 is not installed (extra ``html``).
    """
    import_optional("jinja2", extra="html", purpose="An HTML page")
    return _html_templates(package)


@cache
def _html_templates(package):
    jinja2 = import_module("jinja2")
    folders = [jinja2.PackageLoader(name) for name in (package, __package__)]
    templates = jinja2.Environment(
        loader=jinja2.ChoiceLoader(folders),
        autoescape=True,
        finalize=writable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"percent": percent, "thousands": "{:,}".format}
    return templates


# What UTF-8 cannot encode, and what HTML forbids even when escaped: controls but for tab and
# line feed, surrogates, and the code points that are no characters.
_UNWRITABLE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 2**16))
    + "]"
)


def writable(value):
    """A value's text; ``\\xe9`` for a byte that is no UTF-8, ``\\x00`` for a control."""
    if hasattr(value, "__html__"):  # safe already
        return value
    return _UNWRITABLE.sub(_write_out, str(value).replace("\r\n", "\n"))


def _write_out(found):
    code = ord(found[0])
    code -= 0xDC00 if 0xDC80 <= code <= 0xDCFF else 0  # how Python keeps such a byte
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def percent(share):
    """A share in [0, 1] in percent, as all pages and tables have it: ``12.5%``.

    What is not quite nothing, or not quite all, never looks as if it were.
    """
    if 0 < share < 0.0005:
        return "<0.1%"
    return ">99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def file_url(path, folder=None):
    """The link to a file; None if there is none at this path.

    Parameters
    ----------
    path : str or Path
        Any text is a path, most of them of no file.
    folder : str or Path, default=None
        Where the page lies that holds the link, which is then relative to it. By default, and
        if both lie on different drives, the link is an absolute ``file:`` URL.
    """
    if not os.path.isfile(path):
        return None
    path = os.path.abspath(path)
    try:
        if folder is not None:
            relative = os.path.relpath(path, os.path.abspath(folder))
            # The letters of a colon would be read as a scheme.
            return quote_from_bytes(os.fsencode(Path(relative).as_posix()))
    except ValueError:  # on another drive
        pass
    return Path(path).as_uri()

"""HTML pages: jinja2's templates, and text that a page or a terminal can hold."""

import re
from functools import cache
from importlib import import_module

from ._optional import import_optional


def html_templates(package):
    """The jinja2 environment of a package's folder ``templates``.

    Whatever a template prints is escaped; code points that a page cannot hold are written
    out.

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
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        finalize=writable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


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

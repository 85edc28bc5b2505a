"""Optional dependencies: imported on first use, with an error that names the extra."""

import re
from contextlib import suppress
from functools import cache
from importlib import import_module


def import_optional(module, *, extra, purpose):
    """Import a module that an extra installs.

    Parameters
    ----------
    module : str
        Full name of the module.
    extra : str
        Name of the extra.
    purpose : str
        What needs the module, for the message.

    Raises
    ------
    ImportError
        If the module is not installed. The message has the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {module.split('.')[0]}: pip install 'gapremoval[{extra}]'"
        ) from error


def import_pillow():
    """Import PIL.Image, which also opens HEIC files if pillow-heif is installed.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """
    Image = import_optional("PIL.Image", extra="clip", purpose="Reading pictures")
    _register_heif()
    return Image


@cache
def _register_heif():
    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()


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

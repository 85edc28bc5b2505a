"""Optional dependencies: imported where used, with an error that names the extra."""

from contextlib import suppress
from functools import cache
from importlib import import_module


def import_optional(module, *, extra, purpose):
    """Import a module of an extra, or say which extra to install.

    Raises
    ------
    ImportError
        If the module is not installed; the message holds the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {module.split('.')[0]}: pip install 'gapremoval[{extra}]'"
        ) from error


def import_pillow():
    """The module PIL.Image; it opens HEIC too where pillow-heif is installed.

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

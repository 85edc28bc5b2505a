"""Optional dependencies: imported on first use, with an error that names the extra."""

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

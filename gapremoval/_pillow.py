"""Pillow, with the formats that a plugin adds to it."""

from functools import cache

from ._optional import import_optional


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
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()

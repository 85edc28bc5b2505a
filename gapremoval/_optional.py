"""Optional dependencies: imported where used, with an error that names the extra."""

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

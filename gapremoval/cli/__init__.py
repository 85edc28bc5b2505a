"""The command line: index a folder of photos and notes, and search it."""

import os
import signal
import sys

from .._optional import import_optional

INTERRUPTED = 130  # exit code, as a shell has it


def main():
    """Run the command ``gapremoval``; the extra ``cli`` brings what it needs."""
    # Asked to end, it removes what is half written.
    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
        number = getattr(signal, name)
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 -- until the end
        getattr(sys, name).reconfigure(errors="backslashreplace")
    try:
        import_optional("typer", extra="cli", purpose="The command line")
        from ._app import run
    except ImportError as error:
        sys.exit(f"gapremoval: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(run())

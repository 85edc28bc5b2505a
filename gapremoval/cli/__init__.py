"""The command line: index a folder of photos and notes, and search it."""

import signal
import sys

from .._optional import import_optional


def main():
    """Run the command ``gapremoval``; the extra ``cli`` brings what it needs."""
    try:
        import_optional("typer", extra="cli", purpose="The command line")
    except ImportError as error:
        sys.exit(f"gapremoval: {error}")
    from ._app import run

    # Asked to end, it removes what is half written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    sys.exit(run())

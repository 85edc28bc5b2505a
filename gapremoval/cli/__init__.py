"""The command line: index a folder of photos and notes, and search it."""

import os
import signal
import socket
import sys
import time
from threading import Thread

from .._optional import import_optional

INTERRUPTED = 128 + signal.SIGINT  # exit code, as shells have it
INTERRUPT_MESSAGE = "interrupted: the same command goes on where this one stopped."
PATIENCE = 1.5  # seconds between a signal and the end


def main():
    """Run the command ``gapremoval``, which needs the extra ``cli``."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 -- until the end
        getattr(sys, name).reconfigure(errors="backslashreplace")
    _end_on_signals()
    try:
        import_optional("typer", extra="cli", purpose="The command line")
        from ._app import run

        code = run()
    except ImportError as error:
        code = f"gapremoval: {error}"
    except KeyboardInterrupt:
        code = INTERRUPTED
    if isinstance(code, int) and code > 128:
        os._exit(code)  # without waiting for threads that still read pictures
    sys.exit(code)


def _end_on_signals():
    """End on the first Ctrl-C, SIGTERM or SIGHUP, at the latest after `PATIENCE` seconds.

    The main thread gets an exception, so that it tidies up. Python raises it only between two
    operations of that thread, and a large batch may take longer: a second thread, which
    learns of a signal at once, sees to the end. Whatever is lost then is safe on disk: the
    cache of rows is a database, and half a file is never taken for a whole one.
    """
    known = [getattr(signal, x) for x in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, x)]
    # `nohup`, and shells for jobs in the background, have some of them ignored.
    heeded = [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]
    receiver, sender = socket.socketpair()
    sender.setblocking(False)

    def end(number, _):
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def watch(receiver, sender):
        while (number := receiver.recv(1)[0]) not in heeded:
            pass
        time.sleep(PATIENCE)
        if number == signal.SIGINT:
            os.write(2, f"\ngapremoval: {INTERRUPT_MESSAGE}\n".encode())
        os._exit(128 + number)

    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    for number in heeded:
        signal.signal(number, end)
    Thread(target=watch, args=(receiver, sender), daemon=True).start()

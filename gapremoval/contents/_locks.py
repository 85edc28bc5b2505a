"""Locks of this process, which a fork cannot leave locked in a child."""

import os
import threading

_locks = {}


def process_lock(*names):
    """The lock of some names in this process.

    A thread that holds a lock does not come along when its process is forked, so a child that
    inherited the lock would wait for it forever.
    """
    return _locks.setdefault((os.getpid(), *names), threading.RLock())

"""Forked children that end by themselves, whatever becomes of the test that made them.

A child holds the pipes of the worker it was forked from. One that outlived its worker would hide
that worker's end from pytest, and the run would wait for it.
"""

import multiprocessing
import os
import signal

import pytest

SECONDS = 60

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def start_child(function, *args):
    """Start a child that calls a function and never returns into the test."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_call, args=(function, *args), daemon=True)
    process.start()
    return process


def child_pool(method="fork"):
    """Two children that call what they are given."""
    context = multiprocessing.get_context(method)
    return context.Pool(2, initializer=signal.alarm, initargs=[SECONDS])


def _call(function, *args):
    signal.alarm(SECONDS)
    function(*args)

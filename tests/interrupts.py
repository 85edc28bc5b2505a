"""KeyboardInterrupt at a chosen line of the package, as Ctrl-C would raise it there."""

import ast
import dis
import sys
from functools import cache
from pathlib import Path

import gapremoval

PACKAGE = str(Path(gapremoval.__file__).parent / "_")[:-1]
# What the compiler begins the end of a with block with; no expression begins with these.
LEAVES_WITH = {"LOAD_CONST", "SWAP", "PUSH_EXC_INFO", "NOP"}


def lines_of(call):
    """The lines of the package that a call executes, in order.

    Returns
    -------
    list of (str, int)
        File and line number, once for each visit.
    """
    return _Trace(call).seen


def each_line(call):
    """The first and the last visit of every line that a call executes, counted from 1.

    Returns
    -------
    list of int
        Ascending, to be given to `interrupted`.
    """
    first, last = {}, {}
    for visit, line in enumerate(lines_of(call), 1):
        first.setdefault(line, visit)
        last[line] = visit
    return sorted({*first.values(), *last.values()})


def interrupted(call, visit):
    """Make a call and interrupt it at a line of the package.

    Parameters
    ----------
    call : callable without parameters
    visit : int
        The number of lines, visits of one line counted each, at the last of which the
        KeyboardInterrupt is raised. A call that executes fewer is not interrupted.

    Returns
    -------
    bool
        Whether the call was interrupted.

    Raises
    ------
    AssertionError
        If the call returned although it was interrupted.
    """
    try:
        trace = _Trace(call, visit)
    except KeyboardInterrupt:
        return True
    assert not trace.raised, f"the interrupt at visit {visit} was swallowed at {trace.seen[-1]}"
    return False


class _Trace:
    """A call whose lines in the package are counted, and that ends at one of them."""

    def __init__(self, call, stop=None):
        self.stop, self.seen, self.raised = stop, [], False
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            call()
        finally:
            sys.settrace(before)

    def _enter(self, frame, event, arg):
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame, event, arg):
        if event == "line" and not _leaves_with(frame):
            self.seen.append((frame.f_code.co_filename, frame.f_lineno))
            if len(self.seen) == self.stop:
                self.raised = True
                raise KeyboardInterrupt
        return self._line


def _leaves_with(frame):
    """Whether a with block is about to be left.

    CPython heeds no signal between the end of the block and the call of ``__exit__``.
    """
    code = frame.f_code
    if frame.f_lineno not in _with_lines(code.co_filename):
        return False
    return _operations(code).get(frame.f_lasti) in LEAVES_WITH


@cache
def _with_lines(filename):
    tree = ast.parse(Path(filename).read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.With)]
    return {line for x in found for line in range(x.lineno, x.body[0].lineno)}


@cache
def _operations(code):
    return {x.offset: x.opname for x in dis.get_instructions(code)}

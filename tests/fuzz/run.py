"""Reads one input in a process of its own, with limits of time and memory, and says how that ended."""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable

from ltr.common.errors import UserError

SECONDS = 20
MEMORY = 2 << 30
"""Bytes of address space that reading an input may take beyond what the process has."""

READ, REFUSED, TRACEBACK, CRASH, HANG = OUTCOMES = ("read", "refused in a sentence", "traceback", "crash", "hang")


def run_in_process(read: Callable[[], object]) -> tuple[str, str]:
    """One of OUTCOMES, and what explains the last three."""
    sys.stdout.flush()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        code = 1
        try:
            code = _read(read, theirs)
        finally:
            os._exit(code)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return (HANG if number == signal.SIGALRM else CRASH), f"ended by {signal.Signals(number).name}"
    return (READ, REFUSED, TRACEBACK)[min(os.WEXITSTATUS(status), 2)], said


def _read(read: Callable[[], object], pipe: int) -> int:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    try:
        read()
    except UserError as error:
        if "\n" not in str(error):
            return 1
        os.write(pipe, f"a message of several lines: {error}"[:4000].encode("utf-8", "replace"))
        return 2
    except BaseException:
        os.write(pipe, traceback.format_exc()[-4000:].encode("utf-8", "replace"))
        return 2
    return 0

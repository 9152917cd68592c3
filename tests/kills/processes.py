"""A command in a process of its own, with all the processes that it starts, and signals to them. Linux only."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.helpers.process_tree import descendants

PATIENCE = 15.0
"""Seconds in which all processes of a command have to be gone after the signal."""


class Command:
    """A function that runs in a fork of this process, as the leader of a session.

    Args:
        run: the main function of a command; returns its exit code.
    """

    def __init__(self, run: Callable[[], int | None]) -> None:
        sys.stdout.flush()
        ours, theirs = os.pipe()
        self.pid = os.fork()
        self.code: int | None = None
        if self.pid == 0:
            os.close(ours)
            _work(run, theirs)
        os.close(theirs)
        self._family = {self.pid: _start_of(self.pid)}
        self._said: list[bytes] = []
        self._listener = threading.Thread(target=self._listen, args=(ours,), daemon=True)
        self._listener.start()

    def _listen(self, pipe: int) -> None:
        with open(pipe, "rb", buffering=0) as opened:
            while data := opened.read(2**16):
                self._said.append(data)

    def said(self) -> str:
        """What it printed, once it has ended."""
        self._listener.join(PATIENCE)
        return b"".join(self._said).decode("utf-8", "replace")

    def wait(self, seconds: float = 600.0) -> int | None:
        """The exit code, negative for a signal; None if it takes longer."""
        end = time.monotonic() + seconds
        while self.code is None and time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.002)
        return self.code

    def signal(self, way: str) -> None:
        """Send a signal in one of WAYS, and remember which processes have to end."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)  # so that it starts none unseen
            self._family |= {pid: _start_of(pid) for pid in descendants(self.pid)}
            _send[way](self.pid)

    def survivors(self) -> list[str]:
        """The command lines of its processes that are not gone after PATIENCE; they are killed then."""
        end = time.monotonic() + PATIENCE
        while (left := [pid for pid, start in self._family.items() if _lives(pid, start)]) and time.monotonic() < end:
            self.wait(0)
            time.sleep(0.02)
        lines = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:200] for pid in left]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return lines


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def _ask(number: signal.Signals, times: int) -> Callable[[int], None]:
    def send(pid: int) -> None:
        os.kill(pid, signal.SIGCONT)
        for time_left in range(times, 0, -1):
            # a terminal sends its Ctrl-C to the whole group
            (os.killpg if number == signal.SIGINT else os.kill)(pid, number)
            if time_left > 1:
                time.sleep(random.uniform(0, 0.3))

    return send


_send: dict[str, Callable[[int], None]] = {
    "kill": _kill,
    "kill the group": _kill_group,
    "terminate": _ask(signal.SIGTERM, 1),
    "ctrl-c": _ask(signal.SIGINT, 1),
    "ctrl-c twice": _ask(signal.SIGINT, 2),
}
WAYS = tuple(_send)
"""'kill' is SIGKILL to the command alone; 'kill the group' to all that a terminal's Ctrl-C would reach."""


def _work(run: Callable[[], int | None], output: int) -> None:
    code: int | str | None = 1
    try:
        os.setsid()
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.close(output)
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell's background ignores it
        code = run()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _start_of(pid: int) -> str:
    """When a process was started: its number may be given to another one later."""
    fields = _fields(pid)
    return fields[19] if fields else ""


def _lives(pid: int, start: str) -> bool:
    fields = _fields(pid)
    return bool(fields) and fields[19] == start and fields[0] != "Z"

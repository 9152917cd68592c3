"""Work in a process of its own: a crash or an endless loop there ends that work alone, and the report says so.

    python -m pytracking.check.jobs MODULE:FUNCTION ARGUMENTS

calls a generator function with keyword arguments in JSON, and prints each value that it yields as a line of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any

SHOWN = 6  # lines of what a failed process printed


class JobError(Exception):
    """The process did not finish. The message says how it ended."""


def run_job(target: str, seconds: float, environment: Mapping[str, str] | None = None, **arguments: Any) -> Iterator:
    """The values that a generator function yields in a process of its own, each as soon as it is there.

    Args:
        target: the function, as 'package.module:name'.
        seconds: after which the process is ended.
        environment: variables beside those of this process.
        arguments: of the function, plain data.

    Raises:
        JobError: if the process crashes, raises an exception or takes too long; what it yielded before has come.
    """
    command = [sys.executable, "-m", __name__, target, json.dumps(arguments)]
    yield from read_values(command, seconds, environment)


def read_values(command: list[str], seconds: float, environment: Mapping[str, str] | None = None) -> Iterator:
    """The values that a process prints as lines of JSON; raises as :func:`run_job`."""
    late = threading.Event()
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends that one
        )

        def end() -> None:
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(seconds, end)
        timer.start()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield json.loads(line)
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdout.close()
        if late.is_set():
            raise JobError(f"had not finished after {seconds:.0f} s and was ended")
        if code:
            raise JobError(how_it_ended(code, errors))


def how_it_ended(code: int, errors: IO[str]) -> str:
    """In words, with the last lines of what the process printed about it."""
    errors.seek(0)
    lines = [line.rstrip() for line in errors if line.strip()]
    if code < 0:
        how = f"ended by {signal.Signals(-code).name}"
        lines = lines[-SHOWN:]
    else:
        how = f"ended with code {code}"
        lines = lines[-1:] if lines and not lines[-1].startswith(" ") else lines[-SHOWN:]
    return "; ".join([how, *lines])


def main() -> None:
    """Print on what was the standard output; whatever else prints goes to the standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, _, name = sys.argv[1].partition(":")
    for value in getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2])):
        print(json.dumps(value), file=out, flush=True)


if __name__ == "__main__":
    main()

"""A log that cannot grow without bound, whatever is sent to the server that writes it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LINES = 200
WIDTH = 300


class BoundedLog(logging.Handler):
    """Prints each message once, as one line of at most WIDTH characters without a traceback, and LINES lines in all."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit
            message = str(record.msg)
        line = " ".join(message[: 2 * WIDTH].split())
        if record.exc_info and record.exc_info[1]:
            line = f"{line} ({type(record.exc_info[1]).__name__}: {str(record.exc_info[1])[:WIDTH]})"
        line = "".join(c if c.isprintable() else "?" for c in line)[:WIDTH]
        if line in self._said or len(self._said) >= LINES:
            return
        self._said.add(line)
        if len(self._said) == LINES:
            line += "\n(nothing more is reported)"
        with suppress(OSError, ValueError):  # nobody reads it any more
            print(line, file=sys.stderr, flush=True)


@contextmanager
def bounded_log() -> Iterator[None]:
    """Let all loggers write into one such log, instead of where they do."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, [BoundedLog()]
    try:
        yield
    finally:
        root.handlers = before

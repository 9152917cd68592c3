"""Stopping a training by SIGINT (Ctrl-C) or SIGTERM."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


class StopSignal:
    """The signal that asked this process to stop.

    Attributes:
        number: of the signal; None as long as there is none.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    @contextlib.contextmanager
    def listening(self, say: Callable[[str], None]) -> Iterator[None]:
        """A block in which the first SIGINT or SIGTERM is only noted; a second one acts as it did before the block."""
        before: dict[int, Any] = {}

        def note(number: int, frame: Any) -> None:
            self.number = number
            signal.signal(number, before[number])
            say("stopping after this step; once more to stop at once")

        try:
            for stop in (signal.SIGINT, signal.SIGTERM):
                before[stop] = signal.signal(stop, note)
        except ValueError:  # only the main thread may set handlers
            pass
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

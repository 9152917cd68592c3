"""What the user of the page does: pausing, stepping, and switching blocks on and off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

REPEAT = 0.05
"""Seconds within which the same key is one press: the page may report one from several of its windows."""

CLOSING = 1.0
"""Seconds for which a window that was closed here is reported back as closed by the page."""


class Controls:
    """Thread-safe: events come from one thread, the run waits in another.

    Args:
        blocks: those that can be switched; all are on at first.
        changed: called after anything changed.
        clock: seconds.
    """

    def __init__(
        self,
        blocks: Iterable[str],
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._condition = threading.Condition()
        self._blocks = dict.fromkeys(blocks, True)
        self._switched: dict[str, float] = {}
        self._changed = changed
        self._clock = clock
        self._paused = False
        self._steps = 0
        self._last_key: tuple[str, float] = ("", -1.0)

    @property
    def paused(self) -> bool:
        """Whether the run waits, or will after the coming frame."""
        with self._condition:
            return self._paused

    @property
    def blocks(self) -> dict[str, bool]:
        """By name, whether each is on."""
        with self._condition:
            return dict(self._blocks)

    def hold(self) -> None:
        """Return at once while running; while paused, wait for a step, or for going on."""
        with self._condition:
            self._condition.wait_for(lambda: not self._paused or self._steps > 0)
            self._steps = max(self._steps - 1, 0)

    def release(self) -> bool:
        """Go on if paused; whether it was."""
        with self._condition:
            was = self._paused
            self._set(False)
        return was

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take one of visdom's events; those that mean nothing here are ignored."""
        kind = event.get("event_type")
        with self._condition:
            if kind == "KeyPress":
                known = self._press(str(event.get("key")))
            elif kind == "PropertyUpdate":
                known = self._switch(event.get("propertyId"), event.get("value"))
            elif kind == "close":
                known = self._close(str(event.get("target")))
            else:
                known = False
        if known:
            self._changed()

    def _press(self, key: str) -> bool:
        now = self._clock()
        repeated = key == self._last_key[0] and now - self._last_key[1] < REPEAT
        self._last_key = key, now
        if repeated or key not in (" ", "ArrowRight"):
            return False
        if key == " ":
            self._set(not self._paused)
        elif self._paused:
            self._steps += 1
            self._condition.notify_all()
        else:
            self._set(True)
        return True

    def _set(self, paused: bool) -> None:
        self._paused, self._steps = paused, 0
        self._condition.notify_all()

    def _switch(self, number: Any, on: Any) -> bool:
        if not isinstance(number, int) or not 0 <= number < len(self._blocks):
            return False
        block = list(self._blocks)[number]
        self._blocks[block] = bool(on)
        self._switched[block] = self._clock()
        return True

    def _close(self, window: str) -> bool:
        """A block whose window was closed by its cross goes off. The page also reports those closed from here."""
        if window in self._blocks and self._clock() - self._switched.get(window, -CLOSING) >= CLOSING:
            self._blocks[window] = False
        return True

"""What the user of the page controls: pausing, stepping, and switching blocks on and off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

REPEAT = 0.05
"""Seconds within which the same key counts once: the page may report one press from several of its windows."""

CLOSING = 1.0
"""Seconds after a switch during which the page may report a window as closed that the view itself closed."""


class Controls:
    """The state of the controls. Thread-safe: events come from one thread, the run waits in another.

    Args:
        blocks: names of those that can be switched; all are on at first.
        changed: called after anything changed.
        clock: returns seconds.
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
        """Whether the run waits, or will wait after the coming frame."""
        with self._condition:
            return self._paused

    @property
    def blocks(self) -> dict[str, bool]:
        """By name, whether each block is on."""
        with self._condition:
            return dict(self._blocks)

    def wait_while_paused(self) -> None:
        """Return at once while running; while paused, return at the next step or when the run resumes."""
        with self._condition:
            self._condition.wait_for(lambda: not self._paused or self._steps > 0)
            self._steps = max(self._steps - 1, 0)

    def resume(self) -> bool:
        """Resume if paused.

        Returns:
            Whether it was paused.
        """
        with self._condition:
            was_paused = self._paused
            self._set(False)
        return was_paused

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take one of visdom's events; others than keys, check boxes and closed windows are ignored."""
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
        if type(number) is not int or not 0 <= number < len(self._blocks):
            return False
        block = list(self._blocks)[number]
        self._blocks[block] = bool(on)
        self._switched[block] = self._clock()
        return True

    def _close(self, window: str) -> bool:
        """Switch off a block whose window the user closed. The page reports windows that the view closed as well."""
        if window in self._blocks and self._clock() - self._switched.get(window, -CLOSING) >= CLOSING:
            self._blocks[window] = False
        return True

"""A tracker on one target, watched: what the views wish for is asked of the tracker and timed by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.tracker.events import Event
from pytracking.view.scene import NOTHING, Target, Wish


class Follower:
    """Follows one target.

    Args:
        tracker: of its own; no other target may use it at the same time.
        name: of the target, see :class:`Target`.

    Raises:
        UserError: (by `start`) the box cannot be tracked.
        ArithmeticError: the tracker returned a box that is not finite.
    """

    def __init__(self, tracker: BaseTracker, name: str = "target"):
        self.tracker = tracker
        self.name = name
        self._first_box = np.full(4, np.nan)

    def start(
        self, image: np.ndarray, box: np.ndarray, wish: Wish = NOTHING, truth: np.ndarray | None = None
    ) -> Target:
        """The first frame, uint8 (H, W, 3) RGB, and the target's box (4,) in it."""
        self._first_box = np.asarray(box, np.float64)
        return self._watched(lambda: self.tracker.initialize(image, box), wish, truth)

    def follow(self, image: np.ndarray, wish: Wish = NOTHING, truth: np.ndarray | None = None) -> Target:
        """The next frame, uint8 (H, W, 3) RGB."""
        return self._watched(lambda: self.tracker.track(image), wish, truth)

    def _watched(self, work: Callable[[], TrackerOutput], wish: Wish, truth: np.ndarray | None) -> Target:
        events: list[Event] = []
        self.tracker.observer = events.append if wish.events else None
        try:
            start = time.perf_counter()
            output = work()
            tracked = time.perf_counter()
        finally:
            self.tracker.observer = None
        if not np.isfinite(output.box).all():
            raise ArithmeticError(f"the tracker returned the box {np.asarray(output.box).tolist()}")
        if wish.density:
            output = replace(output, density=self.tracker.density())
        seen = time.perf_counter()
        return Target(self.name, output, self._first_box, truth, tuple(events), tracked - start, seen - tracked)

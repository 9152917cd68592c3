"""The objects that a run on a video tracks: each begins at a box, goes on by its tracker, and can be put right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pytracking.tracker.base import TrackerOutput
from pytracking.view.base import NOT_STARTED, Request, Target, TargetTracker, track_targets


class Targets:
    """Several targets, tracked by a tracker each, with shared passes through the network.

    Args:
        trackers: one for each object.
    """

    def __init__(self, trackers: Sequence[TargetTracker]):
        self._trackers = trackers
        self.forget()

    def forget(self) -> None:
        """Begin anew: no object is there until it is given a box."""
        self._started = [False] * len(self._trackers)

    def step(
        self,
        image: np.ndarray,
        given: Mapping[int, np.ndarray],
        request: Request,
        known: Mapping[int, Target] | None = None,
    ) -> tuple[Target, ...]:
        """Go on to the next frame.

        Args:
            image: uint8 (H, W, 3) RGB.
            given: boxes (4,) by the object's number. Its tracker begins there, whatever it saw before, and this is its
                box in this frame.
            known: objects that need no tracking in this frame.

        Returns:
            The targets; the box of one that was not given a box yet is NaN.
        """
        known = known or {}
        targets: dict[int, Target] = {}
        tracked = []
        for number, tracker in enumerate(self._trackers):
            if number in given:
                target = tracker.initialize(image, given[number], request)
                self._started[number] = True
                output = replace(target.output, box=np.array(given[number], np.float64))
                targets[number] = replace(target, output=output, given=True)
            elif number in known:
                targets[number] = known[number]
            elif self._started[number]:
                tracked.append(number)
            else:
                nothing = np.full(4, np.nan)
                targets[number] = Target(tracker.name, TrackerOutput(nothing, np.nan, NOT_STARTED), nothing)
        found = track_targets([self._trackers[number] for number in tracked], image, request)
        targets.update(zip(tracked, found, strict=True))
        return tuple(targets[number] for number in range(len(self._trackers)))

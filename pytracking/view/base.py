"""What passes between a tracker's run and its views: before a frame a view's request, after it the tracked frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.tracker.events import Event
from pytracking.tracker.together import track_together


class Request(NamedTuple):
    """What a view requests of the coming frame besides the boxes: the density, the tracker's events."""

    density: bool = False
    events: bool = False

    def __or__(self, other: Request) -> Request:
        """The request for everything that either of the two asks for."""
        return Request(self.density or other.density, self.events or other.events)


NO_REQUEST = Request()

NOT_STARTED = "not_started"
"""The flag of a target before its first box."""


@dataclass(frozen=True)
class Target:
    """One target in one frame. Boxes are (4,): x, y, w, h in pixels, and the image's first pixel covers [0, 1].

    Attributes:
        name: 'target', or the object's number or name if the run has several.
        output: the tracker's answer; `output.density` is there if a view requested it. Before its first box the target
            has the flag `NOT_STARTED` and a box of NaN.
        first_box: the box that the tracker started from.
        truth: the annotated box; None if there is none.
        events: what the tracker reported of this frame; empty unless a view requested events.
        seconds: the tracker's time, without the time for views.
        view_seconds: the time for what only the views requested.
        given: the box is one that the tracker was given in this frame, and no prediction.
    """

    name: str
    output: TrackerOutput
    first_box: np.ndarray
    truth: np.ndarray | None = None
    events: tuple[Event, ...] = ()
    seconds: float = 0.0
    view_seconds: float = 0.0
    given: bool = False


@dataclass(frozen=True)
class TrackedFrame:
    """One frame of a run.

    Attributes:
        title: name of the sequence or video.
        index: of the frame, from 0.
        total: number of frames; None if unknown.
        image: uint8 (H, W, 3) RGB. Views must not change it.
        targets: at least one.
        time: seconds at which a video shows the frame; None without a clock, as in a folder of images.
    """

    title: str
    index: int
    total: int | None
    image: np.ndarray
    targets: tuple[Target, ...]
    time: float | None = None


class View(Protocol):
    """Something that shows or records a run's frames."""

    def request(self) -> Request:
        """What the view needs of the coming frame; called before the frame is tracked."""

    def show(self, frame: TrackedFrame) -> bool:
        """Take a frame. A paused view blocks here, and the tracker waits with it.

        Returns:
            False if the user wants the run to stop after this frame.
        """

    def close(self, complete: bool) -> None:
        """End the run; `complete` says whether every frame was shown. What was recorded is kept either way."""


class Views:
    """Several views as one. Closing it closes all of them, even if one fails."""

    def __init__(self, views: Iterable[View] = ()):
        self.views = list(views)

    def request(self) -> Request:
        request = NO_REQUEST
        for view in self.views:
            request |= view.request()
        return request

    def show(self, frame: TrackedFrame) -> bool:
        return all([view.show(frame) for view in self.views])  # a list: every view is shown the frame

    def close(self, complete: bool) -> None:
        failures = []
        for view in self.views:
            try:
                view.close(complete)
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise failures[0]


class TargetTracker:
    """Tracks one target for a run that has views: asks the tracker for what they request, and times it separately.

    Args:
        tracker: serves this target alone.
        name: of the target, see :class:`Target`.
    """

    def __init__(self, tracker: BaseTracker, name: str = "target"):
        self.tracker = tracker
        self.name = name
        self._first_box = np.full(4, np.nan)

    def initialize(
        self, image: np.ndarray, box: np.ndarray, request: Request = NO_REQUEST, truth: np.ndarray | None = None
    ) -> Target:
        """Start on the first frame, uint8 (H, W, 3) RGB, with the target's box (4,) in it.

        Raises:
            UserError: if the box cannot be tracked.
            ArithmeticError: if the tracker returns a box that is not finite.
        """
        self._first_box = np.asarray(box, np.float64)
        return self._run(lambda: self.tracker.initialize(image, box), request, truth)

    def track(self, image: np.ndarray, request: Request = NO_REQUEST, truth: np.ndarray | None = None) -> Target:
        """Track the target in the next frame, uint8 (H, W, 3) RGB.

        Raises:
            ArithmeticError: if the tracker returns a box that is not finite.
        """
        return self._run(lambda: self.tracker.track(image), request, truth)

    def _run(self, step: Callable[[], TrackerOutput], request: Request, truth: np.ndarray | None) -> Target:
        with self._observed(request) as events:
            start = time.perf_counter()
            output = step()
            seconds = time.perf_counter() - start
        return self._target(output, events, request, truth, seconds)

    @contextmanager
    def _observed(self, request: Request) -> Iterator[list[Event]]:
        """The events that the tracker reports meanwhile, if they are requested."""
        events: list[Event] = []
        self.tracker.observer = events.append if request.events else None
        try:
            yield events
        finally:
            self.tracker.observer = None

    def _target(
        self, output: TrackerOutput, events: list[Event], request: Request, truth: np.ndarray | None, seconds: float
    ) -> Target:
        start = time.perf_counter()
        if not np.isfinite(output.box).all():
            raise ArithmeticError(f"the tracker returned the box {np.asarray(output.box).tolist()}")
        if request.density:
            output = replace(output, density=self.tracker.density())
        view_seconds = time.perf_counter() - start
        return Target(self.name, output, self._first_box, truth, tuple(events), seconds, view_seconds)


def track_targets(targets: Sequence[TargetTracker], image: np.ndarray, request: Request = NO_REQUEST) -> list[Target]:
    """Track all targets in the next frame, uint8 (H, W, 3) RGB, with shared passes through their network.

    Each target's time is an equal share of the time for all.

    Raises:
        ArithmeticError: if a tracker returns a box that is not finite.
    """
    with ExitStack() as stack:
        events = [stack.enter_context(target._observed(request)) for target in targets]
        start = time.perf_counter()
        outputs = track_together([target.tracker for target in targets], image)
        seconds = (time.perf_counter() - start) / max(len(targets), 1)
    return [
        target._target(output, reported, request, None, seconds)
        for target, output, reported in zip(targets, outputs, events, strict=True)
    ]

"""What a view is given of a frame, and what a view is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from pytracking.tracker.base import TrackerOutput
from pytracking.tracker.events import Event


@dataclass(frozen=True)
class Target:
    """One target in one frame. Boxes are (4,): x, y, w, h in pixels, and the image's first pixel covers [0, 1].

    Attributes:
        name: 'target', or the object's number or name where there are several.
        output: the tracker's answer; with `output.density` where a view wished for it.
        first_box: the box that the tracker started from.
        truth: the annotated box; None where there is none.
        events: what the tracker told of this frame; none where no view wished for it.
        seconds: the tracker's time, without what only the views wished for.
        view_seconds: the time for what only the views wished for.
    """

    name: str
    output: TrackerOutput
    first_box: np.ndarray
    truth: np.ndarray | None = None
    events: tuple[Event, ...] = ()
    seconds: float = 0.0
    view_seconds: float = 0.0


@dataclass(frozen=True)
class Scene:
    """One frame of a run.

    Attributes:
        title: name of the sequence or video.
        index: of the frame, from 0.
        total: number of frames; None where it is not known.
        image: uint8 (H, W, 3) RGB. Views must not change it.
        targets: at least one.
        time: seconds at which a video shows the frame; None where there is no clock, as for a folder of images.
    """

    title: str
    index: int
    total: int | None
    image: np.ndarray
    targets: tuple[Target, ...]
    time: float | None = None


class Wish(NamedTuple):
    """What a view wants to be told of the coming frame, beyond the boxes."""

    density: bool = False
    events: bool = False


NOTHING = Wish()


class View(Protocol):
    """Something that shows or keeps a run's frames."""

    def wish(self) -> Wish:
        """What is wanted of the coming frame; asked before it is tracked."""

    def show(self, scene: Scene) -> bool:
        """Take a frame. It may block, as a view does that is paused: nothing of the tracker moves meanwhile.

        Returns:
            False where the user wants the run to stop after this frame.
        """

    def close(self, complete: bool) -> None:
        """The run is over; `complete` says whether every frame was shown. What was taken is kept either way."""


class Views:
    """Several views as one. Closing it closes all of them, even if one fails."""

    def __init__(self, views: Iterable[View] = ()):
        self.views = list(views)

    def wish(self) -> Wish:
        wishes = [view.wish() for view in self.views]
        return Wish(any(w.density for w in wishes), any(w.events for w in wishes))

    def show(self, scene: Scene) -> bool:
        return all([view.show(scene) for view in self.views])  # a list: every view is shown the frame

    def close(self, complete: bool) -> None:
        failures = []
        for view in self.views:
            try:
                view.close(complete)
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

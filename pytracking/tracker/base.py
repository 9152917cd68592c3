"""The interface of a tracker: it takes a first box, then frame after frame, and returns a box for each."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ltr.common.errors import UserError
from pytracking.tracker.density import TrackedBoxDensity
from pytracking.tracker.events import Event
from pytracking.tracker.together import Steps


@dataclass
class TrackerOutput:
    """A tracker's answer for one frame.

    Attributes:
        box: float64 (4,), x, y, w, h in pixels; the first pixel of the image covers [0, 1].
        score: the tracker's confidence, on a scale of its own.
        flag: 'normal', 'not_found' if the target is lost, or another problem ('uncertain', 'hard_negative').
        density: p(y | x) around the box, if it was asked for and the tracker has one.
        extra: further values by name.
        xyxy: float64 (4,), the same box by its left, top, right and bottom edge.
    """

    box: np.ndarray
    score: float
    flag: str = "normal"
    density: TrackedBoxDensity | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def xyxy(self) -> np.ndarray:
        return np.concatenate([self.box[:2], self.box[:2] + self.box[2:]])


class BaseTracker(ABC):
    """Tracks one target. It may be initialised again at any time, for another sequence.

    Attributes:
        observer: called with the events of a frame while the tracker works on it; None computes no events.
    """

    observer: Callable[[Event], None] | None = None

    @abstractmethod
    def initialize(self, image: np.ndarray, box: np.ndarray) -> TrackerOutput:
        """Start on `image`, uint8 (H, W, 3) RGB, with the target's box (4,) as x, y, w, h.

        Grey images, tensors and pictures of Pillow will do too, see
        :func:`pytracking.tracker.given_image.check_image`.

        Raises:
            UserError: if the image or the box cannot be used; see :func:`check_first_box`.
        """

    @abstractmethod
    def track(self, image: np.ndarray, density: bool = False) -> TrackerOutput:
        """The target's box in the next frame; with `density`, what :meth:`density` returns is in the output."""

    def track_steps(self, image: np.ndarray, density: bool = False) -> Steps[TrackerOutput]:
        """:meth:`track` as a generator of the steps that several trackers can share, see :mod:`~.together`. A tracker
        that shares none has no step."""
        return self.track(image, density)
        yield

    def density(self) -> TrackedBoxDensity | None:
        """p(y | x) in the last frame, around its box. Does not change the tracker's state.

        None before a frame is tracked, and for a tracker that has no density.
        """
        return None


SMALLEST, LARGEST = 0.01, 1e6
"""The sides that a first box can have, in pixels."""


def check_first_box(box: np.ndarray, image: np.ndarray) -> np.ndarray:
    """`box` as float64 (4,), if a target can be there.

    Raises:
        UserError: if it is not four finite numbers, has no positive size or one that no image has, or lies outside the
            image.
    """
    try:
        box = np.array(box, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"the first box must be four numbers x, y, w, h, not {str(box)[:60]}") from None
    text = ", ".join(f"{v:g}" for v in box)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise UserError(f"the first box must be four finite numbers x, y, w, h, not ({text})")
    x, y, w, h = box
    if w <= 0 or h <= 0:
        raise UserError(f"the first box ({text}) has no area: its width and height must be positive")
    if max(abs(box)) > LARGEST or min(w, h) < SMALLEST:
        raise UserError(
            f"the first box ({text}) is none in pixels: its sides must be from {SMALLEST:g} to {LARGEST:g}, and it "
            "must lie as near"
        )
    height, width = image.shape[:2]
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise UserError(f"the first box ({text}) lies outside the image, which is {width} x {height} pixels")
    return box

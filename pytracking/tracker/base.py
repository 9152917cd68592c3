"""What every tracker is to its callers: started by a box in one image, then given one image after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ebm_common.errors import UserError


class FirstBoxError(UserError):
    """A first box that no tracker can start from."""


@dataclass
class TrackerOutput:
    """A tracker's answer for one frame.

    ``box`` is (4,) float64: x, y, w, h in pixels counted from 0. ``score`` is higher for surer, on the tracker's own
    scale. ``flag`` is 'normal', or says what was special, as 'not_found'. ``density`` is there when it was asked for.
    """

    box: np.ndarray
    score: float
    flag: str = "normal"
    density: object | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class BaseTracker(ABC):
    """A single-target tracker. ``initialize`` forgets everything before, so one tracker serves many sequences, each
    with the same result as a fresh one."""

    @abstractmethod
    def initialize(self, image: np.ndarray, box: np.ndarray) -> TrackerOutput:
        """Start on the target in ``box`` (x, y, w, h) of ``image``, uint8 (H, W, 3) RGB. Returns that box."""

    @abstractmethod
    def track(self, image: np.ndarray, density: bool = False) -> TrackerOutput:
        """Find the target in the next image; with ``density``, also the density around it where the tracker has one."""


def check_first_box(box: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The first box as (4,) float64 when a tracker can start from it.

    Raises FirstBoxError where it is not four finite numbers, has no area, or lies outside the image.
    """
    box = np.asarray(box, np.float64).reshape(-1)
    shown = "(" + ", ".join(f"{value:g}" for value in box) + ")"
    if box.shape != (4,) or not np.isfinite(box).all():
        raise FirstBoxError(f"the first box has to be four finite numbers x, y, w, h, and is {shown}")
    x, y, w, h = box
    if w <= 0 or h <= 0:
        raise FirstBoxError(f"the first box {shown} has a width or height that is not positive")
    height, width = image.shape[:2]
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise FirstBoxError(f"the first box {shown} lies outside the image of {width} x {height} pixels")
    return box

"""Tiny benchmarks on disk, and trackers that behave as a test wants them to."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ltr.common.errors import UserError
from pytracking.evaluation.running import TrackerSpec
from pytracking.tracker.base import BaseTracker, TrackerOutput

WIDTH, HEIGHT = 48, 36
#: A first box of one of these heights makes the fake tracker misbehave on its third frame.
RAISES, KILLED, INTERRUPTED, RETURNS_NAN = 11, 12, 13, 14


def write_images(folder: Path, numbers, digits: int = 4, suffix: str = ".png") -> None:
    """Images whose red value is their frame number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[:, :, 2] = number % 256  # OpenCV's order: red is last
        cv2.imwrite(str(folder / f"{number:0{digits}d}{suffix}"), image)


def write_sequence(
    root: Path, name: str, length: int, height: float = 8.0, first: int = 1, lines: int | None = None, **images
) -> Path:
    """A sequence in OTB's layout whose box starts at (5, 6) and moves a pixel a frame."""
    folder = root / name
    write_images(folder / "img", range(first, first + length), **images)
    boxes = [f"{5 + index % 20},6,10,{height:g}\n" for index in range(length if lines is None else lines)]
    (folder / "groundtruth_rect.txt").write_text("".join(boxes))
    return folder


class FakeTracker(BaseTracker):
    """Moves its first box by a quarter pixel a frame, and checks that frames come in order and in RGB."""

    device = "cpu"

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds

    def initialize(self, image, box):
        self.first, self.count, self.red = np.array(box, np.float64), 1, int(image[0, 0, 0])
        return TrackerOutput(self.first, 1.0)

    def track(self, image, density=False):
        time.sleep(self.seconds)
        self.count += 1
        assert image[0, 0, 0] == (self.red + self.count - 1) % 256
        box = self.first + [0.25 * (self.count - 1), 0, 0, 0]
        if self.count == 3:
            match self.first[3]:
                case value if value == RAISES:
                    raise ValueError("the filter exploded")
                case value if value == KILLED:
                    os.kill(os.getpid(), signal.SIGKILL)
                case value if value == INTERRUPTED:
                    raise KeyboardInterrupt
                case value if value == RETURNS_NAN:
                    box = box * np.nan
        return TrackerOutput(box, 0.5)


@dataclass(frozen=True)
class FakeSpec(TrackerSpec):
    """Stands where a TrackerSpec does. The override 'refused' makes a tracker that cannot be made.

    Attributes:
        seconds: that each frame takes.
        pids: a folder, in which each process that makes the tracker leaves a file named after it.
    """

    tracker: str = "fake"
    param: str = "still"
    seconds: float = 0.0
    pids: Path | None = None

    def make(self):
        if "refused" in self.overrides:
            raise UserError("the checkpoint x.safetensors is corrupt")
        if self.pids is not None:
            (self.pids / str(os.getpid())).touch()
        return FakeTracker(self.seconds)

    def settings(self):
        return {"overrides": self.overrides}

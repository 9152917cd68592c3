"""Tracked frames for the tests of views."""

from types import SimpleNamespace

import numpy as np

from pytracking.tracker.base import TrackerOutput
from pytracking.view.base import Target, TrackedFrame

HEIGHT, WIDTH = 60, 80


def corner_density(x, y):
    """A density with its peak at (x, y), as a tracker's output carries it."""
    around = np.linspace(-6, 6, 13)
    log_density = -(around[None] ** 2 + around[:, None] ** 2) / 4
    corner = SimpleNamespace(x=x + around, y=y + around, log_density=log_density, anchor=(x - 20, y + 20))
    return SimpleNamespace(corner=corner)


def target(box, name="target", truth=None, score=0.5, flag="normal", density=None):
    return Target(name, TrackerOutput(np.array(box, float), score, flag, density), np.array(box, float), truth)


def tracked_frame(*targets, index=0, total=5, image=None, title="clip", time=None):
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8) if image is None else image
    return TrackedFrame(title, index, total, image, targets or (target((20, 20, 30, 25)),), time)

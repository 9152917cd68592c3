"""OpenCV's classical trackers, for comparison."""

from pytracking.tracker.base import BaseTracker
from pytracking.tracker.opencv.opencv import OpenCVSettings, OpenCVTracker

__all__ = ["OpenCVSettings", "OpenCVTracker", "build"]


def build(settings: OpenCVSettings, device: str | None, seed: int) -> BaseTracker:
    """The tracker of these settings; it runs on the CPU and draws nothing at random."""
    return OpenCVTracker(settings)

"""OpenCV's classical trackers, for comparison."""

from pytracking.tracker.opencv.opencv import OpenCVSettings, OpenCVTracker

__all__ = ["OpenCVSettings", "OpenCVTracker", "build"]


def build(settings: OpenCVSettings, device: str | None = None, seed: int = 0) -> OpenCVTracker:
    """The tracker of these settings. It runs on the CPU and has nothing random: `device` and `seed` are not used."""
    return OpenCVTracker(settings)

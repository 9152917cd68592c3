"""KCF as OpenCV has it, with its own defaults."""

from pytracking.tracker.opencv.opencv import OpenCVSettings


def parameters() -> OpenCVSettings:
    return OpenCVSettings(algorithm="kcf")

"""OpenCV's CSRT with its defaults."""

from pytracking.tracker.opencv.opencv import OpenCVSettings


def parameters() -> OpenCVSettings:
    return OpenCVSettings(algorithm="csrt")

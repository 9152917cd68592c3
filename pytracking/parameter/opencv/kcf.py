"""OpenCV's KCF with a lower threshold, see `OpenCVSettings.kcf_threshold`."""

from pytracking.tracker.opencv.opencv import OpenCVSettings


def parameters() -> OpenCVSettings:
    return OpenCVSettings(algorithm="kcf")

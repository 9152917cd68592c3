"""KCF as OpenCV has it, with a lower threshold (see `kcf_threshold`)."""

from pytracking.tracker.opencv.opencv import OpenCVSettings


def parameters() -> OpenCVSettings:
    return OpenCVSettings(algorithm="kcf")

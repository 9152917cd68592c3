"""Faster-RCNN with a Laplace density of each box offset (Appendix C.1, Figure S1b)."""

from ltr.train_settings.detection.common import DetectionSettings, build, system

__all__ = ["build", "settings"]


def settings() -> DetectionSettings:
    return system("laplace")
